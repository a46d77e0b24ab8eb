//! `wal import --from jsonl`: what `wal export` printed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use wal::{AppendOptions, Durability, EncodedFrame, Lsn, Metadata, NewEntry, Options, SyncPolicy, Wal};

use super::target::{ENTRY_LEN_MAX, Target};
use crate::{
    append::records::{self, Records},
    error::{Failure, LineSnafu},
    lines::{self, Line, VERSION},
    output::Output,
    size,
};

/// More than a line with the longest entry needs, unless most of it has to be escaped.
const LINE_LEN_MAX: u64 = 2 << 30;
/// The metadata of another log may be as long as the format allows.
const METADATA_LEN_MAX: usize = 1 << 20;

/// Makes the log, which appears when it is complete and durable.
pub(super) fn run(src: &Path, dir: &Path, out: &mut Output) -> Result<(), Failure> {
    let target = Target::check(dir)?;
    match write(src, target.partial()) {
        Ok(written) => {
            target.finish()?;
            let Written { entries, payload_bytes, frames } = written;
            let bytes = size::human(payload_bytes);
            out.line(format_args!("{entries} entries in {frames} frames, {bytes} of payload, imported"))
        }
        Err(failure) => {
            target.discard();
            Err(failure)
        }
    }
}

#[derive(Debug, Default)]
struct Written {
    entries: u64,
    payload_bytes: u64,
    frames: u64,
}

/// One entry of a batch that is being read.
struct Read {
    kind: u8,
    term: Option<u64>,
    timestamp: Option<i64>,
    payload: Vec<u8>,
}

struct Importer {
    wal: Wal,
    /// The entry that must come next, and the one that comes behind the last.
    next: u64,
    end: u64,
    batch: Vec<Read>,
    /// How many more entries the batch has, when it was appended, and by which transaction.
    missing: u32,
    time: u64,
    transaction: Option<[u8; 16]>,
    metadata: Metadata,
    written: Written,
}

fn write(src: &Path, dir: &Path) -> Result<Written, Failure> {
    let mut importer = None;
    let mut number = 0;
    let refused = |number: u64| move |why: String| LineSnafu { number, path: src, why }.build();
    for source in records::open(&[PathBuf::from(src)])? {
        let mut records = Records::new(source, LINE_LEN_MAX);
        let mut record = Vec::new();
        while records.read(&mut record)? {
            number += 1;
            if record.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line = serde_json::from_slice(&record).map_err(|error| refused(number)(error.to_string()))?;
            match &mut importer {
                None => {
                    importer = Some(begin(&line, dir).map_err(|why| why.unwrap_or_else(refused(number)))?)
                }
                Some(importer) => importer.take(line).map_err(|why| why.unwrap_or_else(refused(number)))?,
            }
        }
    }
    let importer = importer.ok_or_else(|| refused(number)("there is no log in it".to_owned()))?;
    if importer.missing > 0 || importer.next != importer.end {
        let why = format!(
            "it ends before entry {}, and entry {} should be the last",
            importer.next,
            importer.end - 1
        );
        return Err(refused(number)(why));
    }
    importer.finish()
}

/// What is wrong with a line, or with the log.
enum Refusal {
    Line(String),
    Log(wal::Error),
}

impl Refusal {
    fn unwrap_or_else(self, line: impl FnOnce(String) -> Failure) -> Failure {
        match self {
            Self::Line(why) => line(why),
            Self::Log(source) => Failure::Log { source },
        }
    }
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::Line(why)
    }
}

impl From<wal::Error> for Refusal {
    fn from(error: wal::Error) -> Self {
        Self::Log(error)
    }
}

fn begin(line: &Line, dir: &Path) -> Result<Importer, Refusal> {
    let Line::Log { version, first, next } = line else {
        return Err("it does not say which entries follow, as the first line of an export does"
            .to_owned()
            .into());
    };
    if *version != VERSION {
        return Err(format!("its version is {version}, and this program reads {VERSION}").into());
    }
    let first_lsn =
        Lsn::new(*first).filter(|_| first <= next).ok_or("it has no range of entries".to_owned())?;
    // Closing makes everything durable; until then nobody relies on it.
    let sync = SyncPolicy::Background { interval: Duration::from_secs(1) };
    let (entry_len_max, metadata_len_max) = (ENTRY_LEN_MAX, METADATA_LEN_MAX);
    let options = Options { sync, first_lsn, entry_len_max, metadata_len_max, ..Options::default() };
    Ok(Importer {
        wal: Wal::builder(dir).options(options).open()?,
        next: *first,
        end: *next,
        batch: Vec::new(),
        missing: 0,
        time: 0,
        transaction: None,
        metadata: Metadata::default(),
        written: Written::default(),
    })
}

impl Importer {
    fn take(&mut self, line: Line) -> Result<(), Refusal> {
        let Line::Entry { lsn, kind, time, term, timestamp, tx, batch, payload, payload_base64 } = line
        else {
            if self.next != self.end {
                return Err(format!("entry {} should be here", self.next).into());
            }
            return line.apply(&mut self.metadata).map_err(Refusal::Line);
        };
        if lsn != self.next || lsn >= self.end {
            return Err(format!(
                "it is entry {lsn}, where {} should be, of those before {}",
                self.next, self.end
            )
            .into());
        }
        let transaction = tx.map(|tx| lines::transaction(&tx)).transpose()?;
        if self.missing == 0 {
            (self.missing, self.time, self.transaction) = (batch.unwrap_or(1), time, transaction);
        } else if batch.is_some() || time != self.time || transaction != self.transaction {
            return Err("it belongs to a batch, and says otherwise".to_owned().into());
        }
        let payload = lines::bytes(payload.as_deref(), payload_base64.as_deref())?;
        self.written.payload_bytes += payload.len() as u64;
        self.batch.push(Read { kind, term, timestamp, payload });
        self.next += 1;
        self.missing = self.missing.checked_sub(1).ok_or("a batch has at least one entry".to_owned())?;
        if self.missing == 0 { self.append() } else { Ok(()) }
    }

    fn append(&mut self) -> Result<(), Refusal> {
        let entries: Vec<NewEntry<'_>> = self
            .batch
            .iter()
            .map(|read| {
                let Read { kind, term, timestamp, payload } = read;
                NewEntry { payload, kind: *kind, term: *term, timestamp: *timestamp }
            })
            .collect();
        let first = self.next - entries.len() as u64;
        let first = Lsn::new(first).ok_or("LSNs begin with 1".to_owned())?;
        let frame = EncodedFrame::new(first, self.time, self.transaction, &entries);
        let frame = frame.map_err(|error| error.to_string())?;
        let options = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
        self.wal.append_frame_with(&frame, &options)?;
        self.written.entries += entries.len() as u64;
        self.written.frames += 1;
        self.batch.clear();
        Ok(())
    }

    fn finish(self) -> Result<Written, Failure> {
        if self.written.frames == 0 {
            // Otherwise nothing would say where it goes on.
            self.wal.reset(self.wal.next_lsn())?;
        }
        self.wal.replace_metadata(&self.metadata)?;
        self.wal.close()?;
        Ok(self.written)
    }
}
