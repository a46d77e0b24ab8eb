//! One measurement of one subject, in a process of its own.
//!
//! Some rivals keep settings or memory for the whole process, some hang when the disk fails, and none should inherit
//! the heap of another: so the program starts itself for every cell, and the cell prints what it found as JSON.

use std::{
    collections::BTreeMap,
    env,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    append, peers, read,
    subject::{Fallible, Mode, Peer, Settings, Subject},
};

/// Longest life of a cell.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a cell does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Work {
    /// Appends for a time and notes how long each took.
    Latency { mode: Mode, len: usize, batch: usize, threads: usize, millis: u64, segment_len: Option<u64> },
    /// Appends many entries and notes how long all took.
    Throughput { mode: Mode, len: usize, threads: usize, bytes: u64 },
    /// Fills a log for the steps that follow, so many entries at once where the peer can; closes it, or ends as if
    /// killed.
    Fill { len: usize, batch: usize, bytes: u64, segment_len: Option<u64>, is_closed: bool },
    /// Opens the log.
    Open { segment_len: Option<u64> },
    /// Reads the log in all ways that there are, each for so long at most.
    Read { len: usize, millis: u64 },
    /// Writes a log and gets from it at random without closing it: alone, then beside a thread that appends.
    Hot { len: usize, bytes: u64, millis: u64 },
    /// Appends while others read.
    Beside { len: usize, bytes: u64, readers: usize, millis: u64 },
    /// Appends and reads, and notes the memory.
    Memory { len: usize, bytes: u64 },
    /// Opens the log and counts its entries.
    Count { len: usize, segment_len: Option<u64> },
}

/// What a cell found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Names with their units, and values.
    pub figures: BTreeMap<String, f64>,
    /// Entries appended and acknowledged.
    pub appended: u64,
    /// Entries counted, by the cell that counts.
    pub counted: Option<u64>,
    /// Whether the subject has what it takes.
    pub is_supported: bool,
}

impl Outcome {
    /// Nothing yet, of a subject that can.
    pub fn new() -> Self {
        Self { is_supported: true, ..Self::default() }
    }

    /// Notes a figure.
    pub fn note(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), value);
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    peer: String,
    dir: PathBuf,
    work: Work,
}

/// Runs a cell in a process of its own.
pub fn spawn(peer: &Peer, dir: &Path, work: &Work) -> Fallible<Outcome> {
    let request = Request { peer: peer.name.to_owned(), dir: dir.to_owned(), work: work.clone() };
    let mut child = start(&request, work)?;
    let (mut stdout, mut stderr) =
        (child.stdout.take().ok_or("no pipe")?, child.stderr.take().ok_or("no pipe")?);
    let complaints = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    let words = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(format!("still busy after {} s", PATIENCE.as_secs()).into());
        }
        thread::sleep(Duration::from_millis(1));
    };
    let words = words.join().map_err(|_| "reading its output failed")??;
    let complaints = complaints.join().map_err(|_| "reading its output failed")??;
    if !status.success() {
        let last = complaints.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return Err(format!("{status}: {last}").into());
    }
    // Some rivals print, too: the answer is the last line.
    Ok(serde_json::from_str(words.lines().next_back().ok_or("no answer")?)?)
}

/// Starts the child. Where threads compete for cores, real-time priority would let one of them keep its core for ever,
/// so those cells give it up, if there was any.
fn start(request: &Request, work: &Work) -> Fallible<Child> {
    let (program, text) = (env::current_exe()?, serde_json::to_string(request)?);
    let spawn = |command: &mut Command| {
        let command =
            command.args(["cell", &text]).env("WALRUS_DATA_DIR", &request.dir).env("WALRUS_QUIET", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    if matches!(work, Work::Beside { .. } | Work::Hot { .. }) {
        match spawn(Command::new("chrt").args(["-o", "0"]).arg(&program)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            started => return Ok(started?),
        }
    }
    Ok(spawn(&mut Command::new(program))?)
}

/// What the child does.
pub fn serve(request: &str) -> Fallible<()> {
    let Request { peer, dir, work } = serde_json::from_str(request)?;
    let peer = peers::find(&peer).ok_or("no such peer")?;
    let outcome = perform(&peer, &dir, &work)?;
    println!("\n{}", serde_json::to_string(&outcome)?);
    Ok(())
}

fn perform(peer: &Peer, dir: &Path, work: &Work) -> Fallible<Outcome> {
    let (mode, segment_len) = match work {
        Work::Latency { mode, segment_len, .. } => (*mode, *segment_len),
        Work::Throughput { mode, .. } => (*mode, None),
        Work::Fill { segment_len, .. } | Work::Open { segment_len } | Work::Count { segment_len, .. } => {
            (Mode::Bulk, *segment_len)
        }
        Work::Beside { .. } | Work::Hot { .. } => (Mode::Buffered, None),
        Work::Read { .. } | Work::Memory { .. } => (Mode::Bulk, None),
    };
    let start = Instant::now();
    let mut opened = (peer.open)(dir, Settings { mode, segment_len })?;
    let took = start.elapsed();
    // A rival that is always durable writes durably beside its readers, too.
    if opened.is_none() && matches!(work, Work::Beside { .. } | Work::Hot { .. }) {
        opened = (peer.open)(dir, Settings { mode: Mode::Durable, segment_len })?;
    }
    let Some(log) = opened else { return Ok(Outcome::default()) };
    let outcome = match work {
        Work::Latency { len, batch, threads, millis, .. } => {
            append::latency(&*log, append::Load { len: *len, batch: *batch, threads: *threads }, *millis)
        }
        Work::Throughput { len, threads, bytes, .. } => {
            append::throughput(peer, &*log, *len, *threads, *bytes)
        }
        Work::Fill { len, batch, bytes, is_closed, .. } => {
            let outcome = append::fill(peer, &*log, dir, (*len, *batch), *bytes)?;
            if *is_closed && outcome.is_supported {
                log.close()?;
                return Ok(outcome);
            }
            Ok(outcome)
        }
        Work::Open { .. } => {
            let mut outcome = Outcome::new();
            outcome.note("open ms", took.as_secs_f64() * 1e3);
            Ok(outcome)
        }
        Work::Read { len, millis } => read::read(&*log, dir, *len, *millis),
        Work::Beside { len, bytes, readers, millis } => {
            read::beside(peer, &*log, *len, *bytes, *readers, *millis)
        }
        Work::Hot { len, bytes, millis } => read::hot(peer, &*log, *len, *bytes, *millis),
        Work::Memory { len, bytes } => read::memory(peer, &*log, *len, *bytes),
        Work::Count { len, .. } => count(&*log, *len),
    };
    // Nothing is closed: what was acknowledged must not depend on it.
    std::mem::forget(log);
    outcome
}

fn count(log: &dyn Subject, len: usize) -> Fallible<Outcome> {
    let counted = log.count(len).transpose()?;
    Ok(Outcome { counted, ..Outcome::new() })
}
