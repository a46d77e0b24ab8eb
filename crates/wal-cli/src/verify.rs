//! `wal verify`: reads everything and checks every checksum.

pub(crate) mod deep;

use std::{ops::RangeInclusive, path::Path};

use wal::{Cut, ErrorKind, Lsn, ReadMode, SegmentSummary, Wal};

use crate::{
    error::{DamageSnafu, Failure, chain, tell},
    output::Output,
    place::LogArgs,
    progress::Progress,
    size,
};

const AFTER_HELP: &str = "\
Reads with system calls, never through a memory map, so that a failing disk is an error and not a crash. Every damaged
place is named on stderr with its file, offset and LSNs. A torn write at the end was never acknowledged and is no
damage; it is mentioned.

With --deep every frame of every file is read, also those that hold no entries, the links between segments, the headers
of segments that are no longer part of the log, and the index files are checked, and damage that keeps the log from
being opened does not end the search.

Exit codes: 0 intact, 3 damaged, 1 could not be read.";

/// Entries in a row that cannot be read before the rest of their segment is given up.
const UNREADABLE_MAX: u32 = 20_000;

/// Read everything and check every checksum; exit code 3 on damage
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Check what only recovery and repair look at, too, and go on where the log cannot be opened
    #[arg(long)]
    deep: bool,
}

pub(crate) fn run(args: &VerifyArgs, out: &mut Output) -> Result<(), Failure> {
    if args.deep {
        return deep::run(&args.log, out);
    }
    let log = args.log.builder()?.read_mode(ReadMode::Pread);
    let survey = Survey::of(&log.open_read_only()?)?;
    if let Some(cut) = survey.cut {
        tell(&format!("note: a torn write at the end, at {}, is not part of the log", cut.at));
    }
    survey.places.iter().for_each(|place| tell(&place.describe()));
    let (entries, bytes) = (survey.entries, size::human(survey.payload_bytes));
    out.line(format_args!("{} segments, {entries} entries, {bytes} of payload read", survey.segments))?;
    verdict(args.log.path(), survey.places.len(), out)
}

fn verdict(dir: &Path, places: usize, out: &mut Output) -> Result<(), Failure> {
    match places {
        0 => out.line("intact"),
        1 => DamageSnafu { dir, places: "one place is" }.fail(),
        n => DamageSnafu { dir, places: format!("{n} places are") }.fail(),
    }
}

/// What was read so far.
#[derive(Debug, Default)]
struct Survey {
    segments: usize,
    cut: Option<Cut>,
    entries: u64,
    payload_bytes: u64,
    places: Vec<Place>,
}

/// A damaged place.
#[derive(Debug)]
struct Place {
    path: Option<String>,
    offset: Option<u64>,
    lsns: RangeInclusive<Lsn>,
    what: String,
    /// Reading ended here, before the end of the segment.
    gave_up_before: Option<Lsn>,
}

impl Survey {
    fn of(wal: &Wal) -> Result<Self, Failure> {
        let segments = wal.segments()?;
        let cut = wal.recovery_report().cut;
        let mut survey = Self { segments: segments.len(), cut, ..Self::default() };
        let entries = wal.first_lsn().and_then(|first| wal.next_lsn().since(first));
        let mut progress = Progress::entries("verifying", entries.unwrap_or(0));
        segments.iter().try_for_each(|segment| survey.read(wal, segment, &mut progress))?;
        Ok(survey)
    }

    fn read(&mut self, wal: &Wal, segment: &SegmentSummary, progress: &mut Progress) -> Result<(), Failure> {
        let mut next = wal.first_lsn().map_or(segment.base, |first| first.max(segment.base));
        let mut unreadable = 0;
        while next < segment.next {
            let before = next;
            // An error ends an iterator; a new one begins behind it.
            for item in wal.range(next..segment.next) {
                match item {
                    Ok(entry) => {
                        self.entries += 1;
                        self.payload_bytes += entry.payload.len() as u64;
                        unreadable = 0;
                    }
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        unreadable += 1;
                        self.note(next, &error);
                    }
                    Err(error) => return Err(error.into()),
                }
                next = next.next();
                progress.add(1);
            }
            if next == before {
                break;
            }
            if unreadable > UNREADABLE_MAX
                && let Some(place) = self.places.last_mut()
            {
                place.gave_up_before = Some(segment.next);
                break;
            }
        }
        Ok(())
    }

    /// Entries in a row that one damaged place makes unreadable are one finding.
    fn note(&mut self, lsn: Lsn, error: &wal::Error) {
        let (path, offset) = (error.path().map(str::to_owned), error.offset());
        if let Some(last) = self.places.last_mut()
            && last.path == path
            && last.offset == offset
            && last.lsns.end().next() == lsn
        {
            last.lsns = *last.lsns.start()..=lsn;
            return;
        }
        self.places.push(Place { path, offset, lsns: lsn..=lsn, what: chain(error), gave_up_before: None });
    }
}

impl Place {
    fn describe(&self) -> String {
        let mut text = "damage".to_owned();
        if let Some(path) = &self.path {
            text.push_str(&format!(" in {path}"));
        }
        if let Some(offset) = self.offset {
            text.push_str(&format!(" at offset {offset}"));
        }
        let (first, last) = (self.lsns.start(), self.lsns.end());
        match first == last {
            true => text.push_str(&format!(", entry {first}: {}", self.what)),
            false => text.push_str(&format!(", entries {first} to {last}; the first error: {}", self.what)),
        }
        if let Some(next) = self.gave_up_before {
            text.push_str(&format!(" (not read on to the end of the segment, before entry {next})"));
        }
        text
    }
}
