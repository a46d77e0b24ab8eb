//! Readers in other processes, beside a writer that appends, trims, cuts, clears, closes and opens.

use std::{
    collections::VecDeque,
    env,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use wal::{Bytes, ErrorKind, ReadMode, Wal, storage::LocalStorage};
use wal_core::{Environment, Log, LogError};

use crate::{
    child::{Running, command, say, until_told},
    churn::Churn,
    content::{check, small},
};

/// How long a reader follows a writer. `cargo xtask faults` makes it minutes.
const SECONDS: &str = "WAL_FAULTS_SECONDS";
const SECONDS_DEFAULT: u64 = 20;

/// The role: maps what is there again and again, and keeps much of it while the writer takes it away.
pub(crate) fn mapper(dir: &Path, _: u64) {
    let told = until_told();
    let mut kept: VecDeque<(u64, Bytes)> = VecDeque::new();
    let (mut opened, mut entries) = (0, 0);
    say("ready");
    while !told.load(Ordering::SeqCst) {
        let wal = match Wal::builder(dir).read_mode(ReadMode::Mmap).open_read_only() {
            Ok(wal) => wal,
            Err(error) => panic!("cannot open: {}", chain(&error)),
        };
        opened += 1;
        let mut last = None;
        for entry in wal.iter() {
            match entry {
                Ok(entry) => {
                    assert!(last.is_none_or(|last: wal::Lsn| last.next() == entry.lsn), "a gap");
                    last = Some(entry.lsn);
                    check(entry.lsn.get(), &entry.payload);
                    entries += 1;
                    kept.push_back((entry.lsn.get(), entry.payload));
                }
                // The writer took it away.
                Err(error) => {
                    let allowed = [ErrorKind::Truncated, ErrorKind::NotFound];
                    assert!(allowed.contains(&error.kind()), "cannot read: {}", chain(&error));
                    break;
                }
            }
        }
        kept.iter().for_each(|(lsn, payload)| _ = check(*lsn, payload));
        let surplus = kept.len().saturating_sub(5000);
        drop(kept.drain(..surplus));
    }
    say(&format!("opened {opened}"));
    say(&format!("entries {entries}"));
}

/// The role: opens once and looks again and again.
pub(crate) fn follower(dir: &Path, _: u64) {
    let told = until_told();
    let (mut looks, mut entries, mut taken) = (0, 0, 0);
    let log = Log::open_read_only(environment(dir), small()).unwrap();
    say("ready");
    while !told.load(Ordering::SeqCst) {
        if let Err(error) = log.refresh() {
            panic!("cannot refresh: {}", chain(&error));
        }
        looks += 1;
        for entry in log.range(..) {
            match entry {
                Ok(entry) => {
                    check(entry.lsn.get(), &entry.payload);
                    entries += 1;
                }
                Err(LogError::Truncated { .. } | LogError::CutOff { .. } | LogError::OutOfRange { .. }) => {
                    taken += 1;
                    break;
                }
                Err(error) => panic!("cannot read: {}", chain(&error)),
            }
        }
        if let Some(last) = log.last_lsn() {
            match log.get(last) {
                Ok(entry) => _ = check(last.get(), &entry.payload),
                Err(error) if !error.is_damage() => taken += 1,
                Err(error) => panic!("cannot read the last entry: {}", chain(&error)),
            }
        }
    }
    [("looks", looks), ("entries", entries), ("taken", taken)]
        .into_iter()
        .for_each(|(word, number)| say(&format!("{word} {number}")));
}

fn environment(dir: &Path) -> Environment {
    Environment {
        storage: Arc::new(LocalStorage::open(dir, Default::default()).unwrap()),
        clock: Arc::new(wal::SystemClock),
        entropy: Arc::new(wal::SystemEntropy),
        codecs: Default::default(),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn churn_beside(role: &str, seed: u64, time: Duration) -> crate::child::Ended {
    let dir = tempfile::tempdir().unwrap();
    let mut churn = Churn::new(dir.path(), seed);
    let running = Running::start(command(role, dir.path(), 0));
    let start = Instant::now();
    let mut steps = 0_u64;
    while start.elapsed() < time {
        churn.step();
        steps += 1;
    }
    let ended = running.end();
    ended.succeeded();
    println!("{steps} steps of the writer");
    ended
}

#[test]
fn what_was_mapped_stays_readable_whatever_the_writer_removes() {
    let ended = churn_beside("mapper", 0x51c3_77aa, Duration::from_secs(8));
    println!("{} openings, {} entries", ended.number("opened"), ended.number("entries"));
    assert!(ended.number("opened") > 5 && ended.number("entries") > 1000);
}

#[test]
fn a_reader_beside_a_live_writer_never_sees_damage() {
    let seconds = env::var(SECONDS).map_or(SECONDS_DEFAULT, |seconds| seconds.parse().unwrap());
    let ended = churn_beside("follower", 0x9d2f_0001, Duration::from_secs(seconds));
    let [looks, entries, taken] = ["looks", "entries", "taken"].map(|word| ended.number(word));
    println!(
        "result: {seconds} s: {looks} looks, {entries} entries read, {taken} taken away meanwhile, no damage"
    );
    assert!(looks > 20 && entries > 1000);
}
