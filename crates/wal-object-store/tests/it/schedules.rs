//! Logs on a store that fails, with writers that compete, stall in the middle of a request, and die.
//!
//! A schedule is drawn from its seed. While a request of one writer is under way, others may do whatever they like; it
//! goes on when they have. `WAL_S3_SCHEDULES` and `WAL_S3_SEED` say how many, and from which on.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use object_store::ObjectStore;
use wal_compress::Compression;
use wal_core::{Log, LogError, Options, SyncPolicy};

use crate::{
    codec::packing,
    faulty::{Decide, Fate, FaultyStore, Plant, Sea},
    log::{environment, options},
};

/// Writers at once.
const WRITERS: usize = 3;
/// Steps of a schedule, nested ones not counted.
const STEPS: usize = 60;

/// Steps in the middle of requests; without a bound an opener could be kept from ever reaching the end of the log.
const NESTED: u64 = 40;

struct World {
    sea: Arc<Sea>,
    random: Mutex<u64>,
    writers: [Mutex<Option<Writer>>; WRITERS],
    plant: Plant,
    /// How deep requests are nested in requests.
    depth: AtomicU64,
    payloads: AtomicU64,
    /// A request runs in another thread, where a panic would go unheard.
    violation: Mutex<Option<String>>,
    me: Weak<Self>,
    facts: Mutex<Facts>,
}

/// What was promised.
#[derive(Default)]
struct Facts {
    /// By LSN: the payload that somebody was told is durable.
    acknowledged: BTreeMap<u64, u64>,
    /// Payloads that were handed to an append.
    known: u64,
    /// The greatest LSN that anybody asked to trim to.
    trimmed: u64,
    tally: Tally,
    nested_here: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    acknowledged: u64,
    opened: u64,
    fenced: u64,
    failed: u64,
    nested: u64,
    late: u64,
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            opened: self.opened + other.opened,
            fenced: self.fenced + other.fenced,
            failed: self.failed + other.failed,
            nested: self.nested + other.nested,
            late: self.late + other.late,
        }
    }
}

struct Writer {
    log: Log,
    dead: Arc<std::sync::atomic::AtomicBool>,
    /// LSN and payload of what is not known to be durable.
    pending: Vec<(u64, u64)>,
}

/// A writer's view of the world.
struct Eyes(Weak<World>);

impl Decide for Eyes {
    fn fate(&self, what: &'static str) -> Fate {
        self.0.upgrade().map_or(Fate::Fine, |world| world.fate(what))
    }

    fn pause(&self, _: &'static str) {
        if let Some(world) = self.0.upgrade() {
            world.interrupt();
        }
    }
}

impl World {
    fn below(&self, bound: u64) -> u64 {
        let mut random = self.random.lock().unwrap();
        *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn fate(&self, what: &str) -> Fate {
        let chance = self.below(100);
        match what {
            "put" => match chance {
                0..5 => Fate::Refused,
                5..10 => Fate::Unheard,
                10..15 => Fate::Late,
                15..17 => Fate::Conflict,
                _ => Fate::Fine,
            },
            "get" => match chance {
                0..4 => Fate::Refused,
                4..8 => Fate::Short,
                _ => Fate::Fine,
            },
            _ if chance < 5 => Fate::Refused,
            "delete" if chance < 8 => Fate::Unheard,
            _ => Fate::Fine,
        }
    }

    /// A request is under way: perhaps others do something meanwhile.
    fn interrupt(&self) {
        let enough = self.facts.lock().unwrap().nested_here >= NESTED;
        if enough || self.below(100) >= 4 || self.depth.load(SeqCst) >= 2 {
            return;
        }
        self.depth.fetch_add(1, SeqCst);
        for _ in 0..=self.below(6) {
            let mut facts = self.facts.lock().unwrap();
            facts.nested_here += 1;
            facts.tally.nested += 1;
            drop(facts);
            self.step();
        }
        self.depth.fetch_sub(1, SeqCst);
    }

    fn step(&self) {
        if self.below(100) < 15 {
            self.arrive();
        }
        let Some(mut slot) =
            self.writers.get(self.below(WRITERS as u64) as usize).and_then(|w| w.try_lock().ok())
        else {
            // It is in the middle of something.
            return;
        };
        let Some(writer) = slot.as_mut() else {
            // Now and then: whoever opens the log ends the others.
            if self.below(100) < 12 {
                *slot = self.open();
            }
            return;
        };
        let alive = match self.below(100) {
            0..55 => self.append(writer),
            55..80 => self.sync(writer),
            80..88 => self.trim(writer),
            88..92 => {
                writer.dead.store(true, SeqCst);
                false
            }
            92..96 => {
                let closed = writer.log.close();
                self.settle(writer, closed.is_ok());
                false
            }
            _ => self.read(writer),
        };
        if !alive {
            *slot = None;
        }
    }

    /// A creation that nobody waits for any more arrives.
    fn arrive(&self) {
        let mut late = self.sea.late.lock().unwrap();
        if late.is_empty() {
            return;
        }
        let at = self.below(late.len() as u64) as usize;
        let (path, payload) = late.swap_remove(at);
        drop(late);
        let mode = object_store::PutOptions::from(object_store::PutMode::Create);
        let put = async { self.sea.store.put_opts(&path, payload, mode).await.is_ok() };
        self.facts.lock().unwrap().tally.late += u64::from(now(put));
    }

    fn open(&self) -> Option<Writer> {
        let decide = Arc::new(Eyes(Weak::clone(&self.me)));
        let trusted = self.plant != Plant::None;
        let store = FaultyStore { trusted, per_page: 4, ..FaultyStore::new(&self.sea, decide, self.plant) };
        let dead = Arc::clone(&store.dead);
        let interval = SyncPolicy::Background { interval: Duration::from_secs(3600) };
        let compression = if self.below(2) == 0 { packing() } else { Compression::default() };
        let how = Options { segment_len: 64 << 10, sync: interval, compression, ..options() };
        let opened = Log::open(environment(store), how);
        let mut facts = self.facts.lock().unwrap();
        match opened {
            Ok(log) => {
                facts.tally.opened += 1;
                Some(Writer { log, dead, pending: Vec::new() })
            }
            Err(LogError::Fenced { .. } | LogError::Segment { .. }) => {
                facts.tally.failed += 1;
                None
            }
            Err(error) => {
                self.must(false, || format!("the log cannot be opened: {error:?}"));
                None
            }
        }
    }

    fn must(&self, kept: bool, what: impl FnOnce() -> String) {
        if !kept {
            self.violation.lock().unwrap().get_or_insert_with(what);
        }
    }

    fn append(&self, writer: &mut Writer) -> bool {
        let payload = self.payloads.fetch_add(1, SeqCst) + 1;
        self.facts.lock().unwrap().known = payload;
        let len = if self.below(3) == 0 { 30_000 } else { 16 };
        let mut bytes = payload.to_le_bytes().to_vec();
        bytes.resize(len, 0x5a);
        match writer.log.append(&bytes) {
            Ok(lsn) => {
                writer.pending.push((lsn.get(), payload));
                self.settle(writer, false);
                true
            }
            Err(error) => self.give_up(writer, &error),
        }
    }

    fn sync(&self, writer: &mut Writer) -> bool {
        match writer.log.sync() {
            Ok(()) => {
                self.settle(writer, true);
                true
            }
            Err(error) => self.give_up(writer, &error),
        }
    }

    fn trim(&self, writer: &mut Writer) -> bool {
        let (first, next) = (first_of(&writer.log), writer.log.next_lsn().get());
        let to = first + self.below(next - first + 1);
        {
            let mut facts = self.facts.lock().unwrap();
            facts.trimmed = facts.trimmed.max(to);
        }
        match writer.log.truncate_before(wal_format::Lsn::new(to).unwrap()) {
            Ok(_) => {
                // One that had nothing to do waited for nothing.
                self.settle(writer, false);
                true
            }
            Err(error) => self.give_up(writer, &error),
        }
    }

    /// What the log says is durable was promised.
    fn settle(&self, writer: &mut Writer, all: bool) {
        let durable = writer.log.durable_lsn().map_or(0, |lsn| lsn.get());
        let mut facts = self.facts.lock().unwrap();
        for (lsn, payload) in writer.pending.extract_if(.., |(lsn, _)| all || *lsn <= durable) {
            let before = facts.acknowledged.insert(lsn, payload);
            self.must(before.is_none(), || {
                format!("entry {lsn} was promised twice: {before:?} and {payload}")
            });
            facts.tally.acknowledged += 1;
        }
    }

    fn give_up(&self, writer: &mut Writer, error: &LogError) -> bool {
        self.settle(writer, false);
        let fenced = matches!(error, LogError::Fenced { .. })
            || matches!(error, LogError::Unconfirmed { source, .. } if matches!(**source, LogError::Fenced { .. }));
        let tally = &mut self.facts.lock().unwrap().tally;
        tally.fenced += u64::from(fenced);
        tally.failed += u64::from(!fenced);
        // What waits in it must not leave it any more.
        writer.dead.store(true, SeqCst);
        false
    }

    /// A writer reads its own log: what it shows is right, even if it is fenced already.
    fn read(&self, writer: &mut Writer) -> bool {
        let first = writer.log.first_lsn();
        if let Some(entry) = first.and_then(|first| writer.log.get(first).ok()) {
            self.check_entry(entry.lsn.get(), &entry.payload);
        }
        true
    }

    fn check_entry(&self, lsn: u64, payload: &[u8]) -> u64 {
        let id = payload.first_chunk().map_or(0, |id| u64::from_le_bytes(*id));
        let facts = self.facts.lock().unwrap();
        self.must(id > 0 && id <= facts.known, || format!("entry {lsn} was never appended: {id}"));
        let rest = payload.get(8..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0x5a));
        self.must(rest, || format!("entry {lsn} is not what was appended"));
        id
    }

    /// Everything that was promised is there, once, and nothing that was not appended.
    fn check(&self) {
        let log = match Log::open_read_only(environment(FaultyStore::calm(&self.sea)), options()) {
            Ok(log) => log,
            Err(LogError::MissingLog { .. }) => {
                let nothing = self.facts.lock().unwrap().acknowledged.is_empty();
                return self.must(nothing, || "all is gone".to_owned());
            }
            Err(error) => return self.must(false, || format!("the log cannot be read: {error:?}")),
        };
        let mut there = BTreeMap::new();
        for entry in log.range(..) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.must(false, || format!("an entry cannot be read: {error:?}")),
            };
            there.insert(entry.lsn.get(), self.check_entry(entry.lsn.get(), &entry.payload));
        }
        let mut ids: Vec<u64> = there.values().copied().collect();
        ids.sort_unstable();
        ids.dedup();
        self.must(ids.len() == there.len(), || "an entry is there twice".to_owned());
        let facts = self.facts.lock().unwrap();
        let first = first_of(&log);
        let asked = facts.trimmed.max(1);
        self.must(first <= asked, || format!("trimmed to {first}, and nobody asked for more than {asked}"));
        for (lsn, payload) in facts.acknowledged.range(first..) {
            let found = there.get(lsn);
            self.must(found == Some(payload), || {
                format!("entry {lsn} was promised as {payload}, and is {found:?}")
            });
        }
    }
}

/// Where a log begins, with entries or without.
fn first_of(log: &Log) -> u64 {
    log.first_lsn().unwrap_or_else(|| log.next_lsn()).get()
}

/// The outcome of something that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the store in memory does not wait"),
    }
}

fn run(seed: u64, plant: Plant) -> Result<Tally, String> {
    let world = Arc::new_cyclic(|me| World {
        sea: Arc::default(),
        random: Mutex::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)),
        writers: Default::default(),
        plant,
        depth: AtomicU64::new(0),
        payloads: AtomicU64::new(0),
        violation: Mutex::new(None),
        me: Weak::clone(me),
        facts: Mutex::default(),
    });
    for _ in 0..STEPS {
        world.step();
    }
    for writer in &world.writers {
        if let Some(writer) = writer.lock().unwrap().take() {
            writer.dead.store(true, SeqCst);
        }
    }
    while !world.sea.late.lock().unwrap().is_empty() {
        world.arrive();
    }
    world.check();
    let violation = world.violation.lock().unwrap().take();
    violation.map_or_else(|| Ok(world.facts.lock().unwrap().tally), Err)
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

#[test]
fn whatever_the_store_does_nothing_acknowledged_is_lost() {
    let (count, first) = (number("WAL_S3_SCHEDULES", 5000), number("WAL_S3_SEED", 0));
    let next = AtomicU64::new(first);
    let part = || {
        let mut sum = Tally::default();
        loop {
            let seed = next.fetch_add(1, SeqCst);
            if seed >= first + count {
                return sum;
            }
            let tally = run(seed, Plant::None).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
            sum = sum.plus(tally);
        }
    };
    let sum = std::thread::scope(|scope| {
        let other = scope.spawn(part);
        part().plus(other.join().unwrap())
    });
    println!("s3: {count} schedules, {sum:?}");
    assert!(sum.fenced > 0 && sum.late > 0 && sum.nested > 0 && sum.failed > 0, "{sum:?}");
}

#[track_caller]
fn found(plant: Plant) {
    let seeds = 0..number("WAL_S3_SCHEDULES", 5000);
    assert!(seeds.into_iter().any(|seed| run(seed, plant).is_err()), "{plant:?} was not found");
}

#[test]
fn a_conflict_taken_for_a_success_is_found() {
    found(Plant::ConflictIsSuccess);
}

#[test]
fn a_store_that_forgets_is_found() {
    found(Plant::Forgets);
}

#[test]
fn fences_that_go_are_found() {
    found(Plant::FencesGo);
}
