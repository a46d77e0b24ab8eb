//! Many writers, killed again and again.

use std::{collections::BTreeMap, path::Path, thread, time::Duration};

use wal::{Batch, Options, SyncPolicy, Wal, WriteMode};

use crate::{
    child::{Ended, Running, command, say},
    content::{lsn, small},
};

const ROUNDS: u64 = 15;
const THREADS: u64 = 8;

/// Part `part` of `parts` that a thread appended together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    round: u64,
    thread: u64,
    number: u64,
    part: u64,
    parts: u64,
}

impl Part {
    fn payload(self) -> Vec<u8> {
        let Self { round, thread, number, part, parts } = self;
        let mut payload = format!("{round} {thread} {number} {part} {parts} ").into_bytes();
        payload.resize(payload.len() + (number as usize * 37) % 900, b'.');
        payload
    }

    #[track_caller]
    fn of(payload: &[u8]) -> Self {
        let text = String::from_utf8(payload.to_vec()).unwrap();
        let numbers: Vec<u64> = text.split(' ').take(5).map(|number| number.parse().unwrap()).collect();
        let [round, thread, number, part, parts] = numbers[..] else { panic!("{text:.40}") };
        let this = Self { round, thread, number, part, parts };
        assert_eq!(this.payload(), payload);
        this
    }
}

/// The role: appends until the end, and says what was acknowledged.
pub(crate) fn writers(log: &Path, round: u64) {
    let wal = opened(log, round);
    say("ready");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let wal = &wal;
            scope.spawn(move || (1..u64::MAX).for_each(|number| write(wal, round, thread, number)));
        }
    });
}

/// A log that syncs every append, one that only writes it, and one that stores it.
fn opened(log: &Path, round: u64) -> Wal {
    let os_cache = SyncPolicy::OsCache { interval: Duration::from_secs(3600) };
    let (sync, write_mode) = match round % 3 {
        0 => (SyncPolicy::Always, WriteMode::Pwrite),
        1 => (os_cache, WriteMode::Pwrite),
        _ => (os_cache, WriteMode::Mmap),
    };
    Wal::builder(log).options(Options { sync, ..small() }).write_mode(write_mode).open().unwrap()
}

fn write(wal: &Wal, round: u64, thread: u64, number: u64) {
    let parts = if number.is_multiple_of(3) { 2 + number % 4 } else { 1 };
    let mut batch = Batch::new();
    for part in 0..parts {
        batch.push(Part { round, thread, number, part, parts }.payload()).unwrap();
    }
    let first = if number.is_multiple_of(2) {
        let ticket = wal.submit_batch(&batch).unwrap();
        ticket.wait().unwrap();
        ticket.lsn()
    } else {
        *wal.append_batch(&batch).unwrap().start()
    };
    say(&format!("acknowledged {first} {thread} {number} {parts}"));
    if thread == 0 && number.is_multiple_of(50) && first.get() > 2000 {
        let keep = lsn(first.get() - 2000);
        say(&format!("trimming {keep}"));
        wal.truncate_before(keep).unwrap();
    }
}

#[test]
fn killed_writers_lose_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut trimmed, mut count) = (BTreeMap::new(), 1, 0);
    for round in 0..ROUNDS {
        let running = Running::start(command("writers", dir.path(), round));
        thread::sleep(Duration::from_millis(50 + round * 7));
        running.wait_until_said("acknowledged");
        let ended = running.kill();
        assert!(ended.lines.iter().all(|line| line.starts_with('@')), "{:#?}", ended.lines);
        count += note(&ended, round, &mut acknowledged);
        trimmed = ended.said("trimming").map(|trim| trim[0]).max().unwrap_or(trimmed);
        let first = verify(dir.path(), &acknowledged);
        assert!(first <= trimmed, "{first} is the first, and nobody asked for more than {trimmed}");
        acknowledged = acknowledged.split_off(&first);
    }
    println!("{ROUNDS} kills, {count} entries acknowledged");
    assert!(count >= ROUNDS);
}

fn note(ended: &Ended, round: u64, acknowledged: &mut BTreeMap<u64, Part>) -> u64 {
    let mut count = 0;
    for line in ended.said("acknowledged") {
        let [first, thread, number, parts] = line[..] else { panic!("{line:?}") };
        for part in 0..parts {
            let before = acknowledged.insert(first + part, Part { round, thread, number, part, parts });
            assert_eq!(before, None, "entry {} was acknowledged twice", first + part);
            count += 1;
        }
    }
    count
}

/// What is acknowledged is there, batches are whole. Returns the first entry.
fn verify(log: &Path, acknowledged: &BTreeMap<u64, Part>) -> u64 {
    let wal = Wal::builder(log).options(small()).open().unwrap();
    let first = wal.first_lsn().map_or(1, wal::Lsn::get);
    let mut parts = BTreeMap::new();
    for entry in wal.iter() {
        let entry = entry.unwrap();
        assert_eq!(entry.lsn.get(), first + parts.len() as u64);
        parts.insert(entry.lsn.get(), Part::of(&entry.payload));
    }
    for (lsn, part) in acknowledged.range(first..) {
        assert_eq!(parts.get(lsn), Some(part), "entry {lsn}");
    }
    for (lsn, part) in &parts {
        let last = Part { part: part.parts - 1, ..*part };
        assert_eq!(parts.get(&(lsn + last.part - part.part)), Some(&last), "half a batch at {lsn}");
    }
    wal.close().unwrap();
    first
}
