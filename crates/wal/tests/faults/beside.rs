//! Readers in other processes, beside a writer that appends, trims, cuts, clears, closes and opens.

use std::{
    collections::VecDeque,
    env, io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use wal::{Bytes, ErrorKind, ReadMode, Wal, storage::LocalStorage};
use wal_core::{Environment, Log, LogError, Options, RecoveryMode, examine};

use crate::{
    child::{Ended, Running, command, say, until_told},
    churn::Churn,
    content::{check, small},
};

/// How long a reader follows a writer. `cargo xtask faults` makes it minutes.
const SECONDS: &str = "WAL_FAULTS_SECONDS";
const SECONDS_DEFAULT: u64 = 20;
/// How much longer, on a machine so busy that the readers have hardly read anything by then.
const MORE: Duration = Duration::from_secs(300);

/// So much a reader must have seen for its word to count: openings of one that keeps what it reads, rounds of the
/// others, entries.
const OPENINGS_MIN: u64 = 5;
const ROUNDS_MIN: u64 = 20;
const ENTRIES_MIN: u64 = 1000;

/// Says once that there was enough to see.
#[derive(Default)]
struct Enough {
    said: bool,
}

impl Enough {
    fn look(&mut self, is_enough: bool) {
        if is_enough && !self.said {
            self.said = true;
            say("enough");
        }
    }
}

/// The role: maps what is there again and again, and keeps much of it while the writer takes it away.
pub(crate) fn mapper(dir: &Path, _: u64) {
    let told = until_told();
    let mut kept: VecDeque<(u64, Bytes)> = VecDeque::new();
    let (mut opened, mut entries, mut enough) = (0, 0, Enough::default());
    say("ready");
    while !told.load(Ordering::SeqCst) {
        enough.look(opened > OPENINGS_MIN && entries > ENTRIES_MIN);
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
    let (mut looks, mut seen) = (0, Seen::default());
    let log = Log::open_read_only(environment(dir), small()).unwrap();
    say("ready");
    while !told.load(Ordering::SeqCst) {
        if let Err(error) = log.refresh() {
            panic!("cannot refresh: {}", chain(&error));
        }
        looks += 1;
        seen.all_of(&log);
        seen.look(looks);
    }
    seen.tell("looks", looks);
}

/// The role: opens, again and again, in the mode that goes on around damage.
pub(crate) fn rescuer(dir: &Path, _: u64) {
    let told = until_told();
    let (mut openings, mut seen) = (0, Seen::default());
    let options = || Options { recovery: RecoveryMode::ReadToDamage, ..small() };
    say("ready");
    while !told.load(Ordering::SeqCst) {
        match Log::open_read_only(environment(dir), options()) {
            Ok(log) => {
                assert!(log.recovery_report().lost.is_empty(), "{:#?}", log.recovery_report());
                openings += 1;
                seen.all_of(&log);
                seen.look(openings);
            }
            Err(error) if was_taken(&error) => seen.taken += 1,
            Err(error) => panic!("cannot open: {}", chain(&error)),
        }
    }
    seen.tell("openings", openings);
}

/// The role: examines everything, as `wal verify --deep` does.
pub(crate) fn examiner(dir: &Path, _: u64) {
    let told = until_told();
    let (mut examinations, mut seen) = (0, Seen::default());
    say("ready");
    while !told.load(Ordering::SeqCst) {
        match examine(environment(dir).storage, Default::default(), &small()) {
            Ok(found) => {
                assert!(found.damage.is_empty(), "{:#?}", found.damage);
                examinations += 1;
                seen.entries += found.entries;
                seen.look(examinations);
            }
            Err(error) if was_taken(&error) => seen.taken += 1,
            Err(error) => panic!("cannot examine: {}", chain(&error)),
        }
    }
    seen.tell("examinations", examinations);
}

/// What a reader came across.
#[derive(Default)]
struct Seen {
    entries: u64,
    /// How often the writer took away what was to be read next.
    taken: u64,
    enough: Enough,
}

impl Seen {
    fn all_of(&mut self, log: &Log) {
        for entry in log.range(..) {
            match entry {
                Ok(entry) => {
                    check(entry.lsn.get(), &entry.payload);
                    self.entries += 1;
                }
                Err(LogError::Truncated { .. } | LogError::CutOff { .. } | LogError::OutOfRange { .. }) => {
                    self.taken += 1;
                    break;
                }
                Err(error) => panic!("cannot read: {}", chain(&error)),
            }
        }
        if let Some(last) = log.last_lsn() {
            match log.get(last) {
                Ok(entry) => _ = check(last.get(), &entry.payload),
                Err(error) if !error.is_damage() => self.taken += 1,
                Err(error) => panic!("cannot read the last entry: {}", chain(&error)),
            }
        }
    }

    fn look(&mut self, rounds: u64) {
        self.enough.look(rounds > ROUNDS_MIN && self.entries > ENTRIES_MIN);
    }

    fn tell(&self, rounds: &str, count: u64) {
        [(rounds, count), ("entries", self.entries), ("taken", self.taken)]
            .into_iter()
            .for_each(|(word, number)| say(&format!("{word} {number}")));
    }
}

/// A writer that is quicker than a reader may remove a file at every look of it. That is no damage.
fn was_taken(error: &LogError) -> bool {
    match error {
        LogError::Segment { source, .. } => {
            source.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
        }
        _ => false,
    }
}

fn environment(dir: &Path) -> Environment {
    Environment::new(Arc::new(LocalStorage::open(dir, Default::default()).unwrap()))
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

/// How the children ended that played these roles beside a writer, for so long and until each has seen enough.
fn churn_beside<const N: usize>(roles: [&str; N], seed: u64, time: Duration) -> [Ended; N] {
    let dir = tempfile::tempdir().unwrap();
    let mut churn = Churn::new(dir.path(), seed);
    let running = roles.map(|role| Running::start(command(role, dir.path(), 0)));
    let start = Instant::now();
    let mut steps = 0_u64;
    let goes_on = |elapsed| {
        let has_enough = || running.iter().all(|reader| reader.has_said("enough"));
        elapsed < time || elapsed < time + MORE && !has_enough()
    };
    while goes_on(start.elapsed()) {
        churn.step();
        steps += 1;
    }
    let ended = running.map(Running::end);
    ended.iter().for_each(|ended| _ = ended.succeeded());
    println!("{steps} steps of the writer");
    ended
}

#[test]
fn what_was_mapped_stays_readable_whatever_the_writer_removes() {
    let [ended] = churn_beside(["mapper"], 0x51c3_77aa, Duration::from_secs(8));
    println!("{} openings, {} entries", ended.number("opened"), ended.number("entries"));
    assert!(ended.number("opened") > OPENINGS_MIN && ended.number("entries") > ENTRIES_MIN);
}

#[test]
fn a_reader_beside_a_live_writer_never_sees_damage() {
    let seconds = env::var(SECONDS).map_or(SECONDS_DEFAULT, |seconds| seconds.parse().unwrap());
    let roles = [("follower", "looks"), ("rescuer", "openings"), ("examiner", "examinations")];
    let ended = churn_beside(roles.map(|(role, _)| role), 0x9d2f_0001, Duration::from_secs(seconds));
    let mut result = format!("result: {seconds} s");
    for ((_, rounds), ended) in roles.into_iter().zip(&ended) {
        let [count, entries, taken] = [rounds, "entries", "taken"].map(|word| ended.number(word));
        result += &format!("; {count} {rounds}, {entries} entries, {taken} times taken away meanwhile");
        assert!(count > ROUNDS_MIN && entries > ENTRIES_MIN, "{result}");
    }
    println!("{result}; no damage");
}
