//! A log on a disk that loses power, with a tier in a store that fails.
//!
//! A schedule is drawn from its seed: appends, cuts, trims, shipping and reading, failing requests, and the death of
//! the process or of the power at any operation of the disk. `WAL_S3_SCHEDULES` and `WAL_S3_SEED` say how many, and
//! from which on.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use object_store::{ObjectStore, PutMode, PutOptions};
use parking_lot::Mutex;
use wal_core::{Entropy, Environment, Log, LogError, Options, TierOptions, restore};
use wal_format::Lsn;
use wal_object_store::{ObjectOptions, ObjectStorage};
use wal_segment::{Capabilities, MemoryStorage, Storage, StorageFile, WriterLock};
use wal_sim::{Crash, CrashMoment, DiskOptions, Faults, Rng, SimDisk};

use crate::faulty::{Decide, Fate, FaultyStore, Plant, Sea};

const STEPS: usize = 60;

/// What the requests meet.
struct Weather {
    calm: AtomicBool,
    random: Mutex<Rng>,
}

impl Decide for Weather {
    fn fate(&self, what: &'static str) -> Fate {
        if self.calm.load(SeqCst) {
            return Fate::Fine;
        }
        match self.random.lock().next_u64() % 12 {
            0 => Fate::Refused,
            1 => Fate::Unheard,
            2 if what == "put" => Fate::Late,
            3 if what == "put" => Fate::Conflict,
            4 if what == "get" => Fate::Short,
            _ => Fate::Fine,
        }
    }
}

/// A mistake in how segments are shipped, which the schedules must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    /// What was sent is taken to have arrived.
    Unverified,
    /// What is there already is taken to be the same.
    Unlike,
}

/// The tier, with a mistake.
#[derive(Debug)]
struct Careless {
    inner: ObjectStorage,
    mistake: Mistake,
}

impl Storage for Careless {
    fn location(&self) -> String {
        self.inner.location()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    fn lock(&self) -> io::Result<WriterLock> {
        self.inner.lock()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }
    fn prefetch(&self, names: &[String]) {
        self.inner.prefetch(names);
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.inner.create(name)
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.inner.open(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn ship(&self, name: &str, content: Bytes) -> io::Result<()> {
        let shipped = self.inner.ship(name, content);
        match self.mistake {
            Mistake::None => shipped,
            Mistake::Unverified => Ok(()),
            Mistake::Unlike => shipped.or_else(|error| {
                let taken = error.get_ref().is_some_and(|inner| inner.is::<wal_segment::TakenOver>());
                if taken { Ok(()) } else { Err(error) }
            }),
        }
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Chance(Mutex<Rng>);

impl Entropy for Chance {
    fn next(&self) -> u64 {
        self.0.lock().next_u64()
    }
}

/// The log as it should be: entries by LSN, from the first that was not trimmed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Model {
    first: u64,
    entries: BTreeMap<u64, Vec<u8>>,
}

impl Model {
    fn next(&self) -> u64 {
        self.entries.last_key_value().map_or(self.first, |(last, _)| last + 1)
    }

    fn of(log: &Log, first: u64) -> Result<Self, LogError> {
        let mut entries = BTreeMap::new();
        for entry in log.range(..) {
            let entry = entry?;
            entries.insert(entry.lsn.get(), entry.payload.to_vec());
        }
        Ok(Self { first: log.first_lsn().map_or(first, Lsn::get), entries })
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    crashes: u64,
    shipped: u64,
    evicted: u64,
    removed: u64,
    failures: u64,
    restored: u64,
}

struct Run {
    random: Rng,
    sea: Arc<Sea>,
    weather: Arc<Weather>,
    disk: SimDisk,
    mistake: Mistake,
    plant: Plant,
    log: Log,
    model: Model,
    /// What was ever appended, by LSN.
    ever: BTreeMap<u64, BTreeSet<Vec<u8>>>,
    /// Segments were trimmed that the tier never got: until it gets one that says so, it looks incomplete.
    holes: bool,
    tally: Tally,
}

type Checked<T = ()> = Result<T, String>;

fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn options(local_len: u64) -> Options {
    let tier = TierOptions { local_len: Some(local_len), retry: Duration::ZERO, ..TierOptions::default() };
    Options {
        segment_len: 64 << 10,
        first_segment_len: 64 << 10,
        background_threads: false,
        tier,
        ..Options::default()
    }
}

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

fn tier(sea: &Arc<Sea>, weather: &Arc<Weather>, plant: Plant, mistake: Mistake) -> Arc<dyn Storage> {
    let store = FaultyStore::new(sea, Arc::<Weather>::clone(weather), plant);
    let how = ObjectOptions { pause: Duration::ZERO, attempts: 2, cache_len: 1 << 20, ..Default::default() };
    let inner = ObjectStorage::new(Arc::new(store), "log", how).unwrap();
    Arc::new(Careless { inner, mistake })
}

impl Run {
    fn new(seed: u64, plant: Plant, mistake: Mistake) -> Self {
        let mut random = Rng::new(seed);
        let sea = Arc::new(Sea::default());
        let noise = Mutex::new(Rng::new(random.next_u64()));
        let weather = Arc::new(Weather { calm: AtomicBool::new(false), random: noise });
        let how = DiskOptions { capabilities: Capabilities::MEMORY, traced: false, ..DiskOptions::default() };
        let disk = SimDisk::with_options(random.next_u64(), how);
        let far = tier(&sea, &weather, plant, mistake);
        let log = open(&disk, far, random.next_u64()).unwrap();
        let model = Model { first: 1, entries: BTreeMap::new() };
        let (ever, tally) = (BTreeMap::new(), Tally::default());
        Self { random, sea, weather, disk, mistake, plant, log, model, ever, holes: false, tally }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound.max(1)
    }

    fn tier(&self) -> Arc<dyn Storage> {
        tier(&self.sea, &self.weather, self.plant, self.mistake)
    }

    /// A step, and what the log may be when it failed.
    fn step(&mut self) -> Checked {
        let next = self.model.next();
        match self.below(100) {
            0..45 => (0..=self.below(20)).try_for_each(|_| self.append()),
            45..62 => self.log.maintain().map_or_else(|_| self.reopen(&[]), Ok),
            62..70 => {
                // It fails for the tier's sake or for the disk's; the next step tells.
                drop(self.log.ship());
                Ok(())
            }
            70..76 => {
                let first = self.model.first + self.below(next - self.model.first + 1);
                let mut after = self.model.clone();
                after.first = first;
                after.entries = after.entries.split_off(&first);
                let waiting = |log: &Log| log.stats().tier.map_or(0, |tier| tier.unshipped_segments);
                let before = waiting(&self.log);
                let done = self.log.truncate_before(lsn(first));
                self.holes |= done.is_err() || waiting(&self.log) < before;
                self.settle(done.map(drop), after)
            }
            76..81 => {
                let next = next - self.below(40.min(next - self.model.first + 1));
                let mut after = self.model.clone();
                drop(after.entries.split_off(&next));
                let done = self.log.truncate_from(lsn(next));
                self.settle(done.map(drop), after)
            }
            81..90 => self.read(),
            90..93 => self.restore(),
            93..97 => {
                let operation = self.disk.operations() + self.below(60);
                let moment = if self.below(2) == 0 { CrashMoment::Before } else { CrashMoment::After };
                let crash = Some(Crash { operation, moment });
                self.disk.set_faults(Faults { crash, ..Faults::default() });
                Ok(())
            }
            97..99 => self.reopen(&[]),
            _ => {
                self.arrive();
                drop(self.log.close());
                self.reopen(&[])
            }
        }
    }

    fn append(&mut self) -> Checked {
        let next = self.model.next();
        let len = self.below(6000) as usize;
        let payload = format!("{next} {} {}", self.random.next_u64(), "x".repeat(len)).into_bytes();
        self.ever.entry(next).or_default().insert(payload.clone());
        let mut after = self.model.clone();
        after.entries.insert(next, payload.clone());
        let done = self.log.append(&payload);
        self.settle(done.map(drop), after)
    }

    /// What succeeded is so; what failed may be so.
    fn settle(&mut self, done: Result<(), LogError>, after: Model) -> Checked {
        match done {
            Ok(()) => {
                self.model = after;
                Ok(())
            }
            Err(_) => self.reopen(&[after]),
        }
    }

    /// Whatever is read is right. That it cannot be read now is no mistake.
    fn read(&mut self) -> Checked {
        let (first, next) = (self.model.first, self.model.next());
        if first == next {
            return Ok(());
        }
        let at = first + self.below(next - first);
        let found: Vec<_> = match self.below(3) {
            0 => vec![self.log.get(lsn(at))],
            1 => self.log.range(lsn(at)..).take(30).collect(),
            _ => self.log.range(..lsn(at + 1)).rev().take(30).collect(),
        };
        for entry in found {
            match entry {
                Ok(entry) if self.model.entries.get(&entry.lsn.get()) == Some(&entry.payload.to_vec()) => {}
                Ok(entry) => return Err(format!("entry {} is another one", entry.lsn)),
                Err(error) if error.is_damage() => return Err(said(&error)),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Creations that were thought to be lost arrive.
    fn arrive(&self) {
        let late: Vec<_> = self.sea.late.lock().unwrap().drain(..).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (path, payload) in late {
            let create = PutOptions::from(PutMode::Create);
            drop(runtime.block_on(self.sea.store.put_opts(&path, payload, create)));
        }
    }

    /// The process ends, perhaps with the power, and another one finds the log as it was, or as it was to be.
    fn reopen(&mut self, or: &[Model]) -> Checked {
        self.tally.crashes += 1;
        if let Some(stats) = self.log.stats().tier {
            self.tally.shipped += stats.shipped_segments;
            self.tally.evicted += stats.evicted_segments;
            self.tally.removed += stats.removed_segments;
            self.tally.failures += stats.failures;
        }
        self.disk.set_faults(Faults::default());
        self.disk.kill();
        if self.below(2) == 0 {
            let seed = self.random.next_u64();
            self.disk.crash(seed);
        }
        self.weather.calm.store(true, SeqCst);
        let (far, chance) = (self.tier(), self.random.next_u64());
        self.log = open(&self.disk, far, chance).map_err(|error| said(&error))?;
        let found = Model::of(&self.log, self.log.next_lsn().get()).map_err(|error| said(&error))?;
        self.weather.calm.store(false, SeqCst);
        let as_it_was = Model { first: self.model.first.min(self.model.next()), ..self.model.clone() };
        match or.iter().chain([&as_it_was]).find(|model| **model == found) {
            Some(model) => self.model = model.clone(),
            None => {
                let (first, next) = (found.first, found.next());
                return Err(format!(
                    "the log is {first}..{next}, and was {}..{}",
                    self.model.first,
                    self.model.next()
                ));
            }
        }
        Ok(())
    }

    /// Whenever the machine is lost, the tier has a log of what was once appended.
    fn restore(&mut self) -> Checked {
        self.weather.calm.store(true, SeqCst);
        let place = MemoryStorage::new();
        let target: Arc<dyn Storage> = Arc::new(place.clone());
        let restored = match restore(self.tier(), "", &target) {
            Ok(_) => Log::open(Environment::new(target), options(0)),
            Err(error)
                if matches!(error, LogError::MissingLog { .. })
                    || (self.holes && matches!(error, LogError::MissingSegment { .. })) =>
            {
                self.weather.calm.store(false, SeqCst);
                return Ok(());
            }
            Err(error) => return Err(format!("nothing to restore: {}", said(&error))),
        };
        self.weather.calm.store(false, SeqCst);
        let log = restored.map_err(|error| said(&error))?;
        self.tally.restored += 1;
        for entry in log.range(..) {
            let entry = entry.map_err(|error| said(&error))?;
            let known = self.ever.get(&entry.lsn.get());
            if !known.is_some_and(|known| known.contains(&entry.payload.to_vec())) {
                return Err(format!("entry {} was never appended", entry.lsn));
            }
        }
        Ok(())
    }

    /// The weather clears, and everything arrives.
    fn end(&mut self) -> Checked {
        self.reopen(&[])?;
        self.weather.calm.store(true, SeqCst);
        self.append()?;
        if self.plant == Plant::Forgets {
            return self.reopen(&[]);
        }
        let shipment = self.log.ship().map_err(|error| said(&error))?;
        if shipment.next.get() != self.model.next() {
            return Err(format!("shipped up to {} of {}", shipment.next, self.model.next()));
        }
        let target: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        restore(self.tier(), "", &target).map_err(|error| said(&error))?;
        let log = Log::open(Environment::new(target), options(0)).map_err(|error| said(&error))?;
        let found = Model::of(&log, log.next_lsn().get()).map_err(|error| said(&error))?;
        if found == self.model { Ok(()) } else { Err("what was restored is another log".to_owned()) }
    }
}

fn open(disk: &SimDisk, far: Arc<dyn Storage>, chance: u64) -> Result<Log, LogError> {
    let entropy = Arc::new(Chance(Mutex::new(Rng::new(chance))));
    let near = Environment { entropy, ..Environment::new(disk.storage()) };
    Log::open(near.with_tier(far), options(chance % 3 * (100 << 10)))
}

fn run(seed: u64, plant: Plant, mistake: Mistake) -> Checked<Tally> {
    let mut run = Run::new(seed, plant, mistake);
    (0..STEPS).try_for_each(|_| run.step())?;
    run.end()?;
    Ok(run.tally)
}

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn whatever_fails_nothing_durable_is_lost() {
    let (seed, count) = (number("WAL_S3_SEED", 1), number("WAL_S3_SCHEDULES", 5000) / 25);
    let mut all = Tally::default();
    for seed in seed..seed + count {
        let tally = run(seed, Plant::None, Mistake::None).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        all.crashes += tally.crashes;
        all.shipped += tally.shipped;
        all.evicted += tally.evicted;
        all.removed += tally.removed;
        all.failures += tally.failures;
        all.restored += tally.restored;
    }
    println!("{count} schedules: {all:?}");
    let all = [all.crashes, all.shipped, all.evicted, all.removed, all.failures, all.restored];
    assert!(all.iter().all(|times| *times > count / 2), "{all:?}");
}

#[test]
fn a_store_that_forgets_what_it_acknowledged_costs_nothing() {
    for seed in 0..30 {
        run(seed, Plant::Forgets, Mistake::None).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

#[test]
fn who_does_not_look_at_what_arrived_is_found_out() {
    let found = (0..100).find_map(|seed| run(seed, Plant::None, Mistake::Unverified).err());
    assert!(found.is_some());
}

/// Two machines believe that they have the log: the second was restored from the tier of the first.
fn rivals(seed: u64, mistake: Mistake) -> Checked<u64> {
    let mut random = Rng::new(seed);
    let sea = Arc::new(Sea::default());
    let noise = Mutex::new(Rng::new(seed));
    let weather = Arc::new(Weather { calm: AtomicBool::new(false), random: noise });
    let far = || tier(&sea, &weather, Plant::None, mistake);
    let opened = |disk: &SimDisk, chance| open(disk, far(), chance).unwrap();
    let disks = [SimDisk::new(seed), SimDisk::new(seed + 1)];
    let first = opened(&disks[0], 1);
    for n in 0..100 {
        first.append(format!("both {n} {}", "x".repeat(3000)).as_bytes()).map_err(|error| said(&error))?;
    }
    weather.calm.store(true, SeqCst);
    first.ship().map_err(|error| said(&error))?;
    restore(far(), "", &disks[1].storage()).map_err(|error| said(&error))?;
    weather.calm.store(false, SeqCst);
    let logs = [first, opened(&disks[1], 2)];
    let count = AtomicU64::new(0);
    for _ in 0..200 {
        let who = (random.next_u64() % 2) as usize;
        let n = count.fetch_add(1, SeqCst);
        logs[who]
            .append(format!("{who} {n} {}", "x".repeat(3000)).as_bytes())
            .map_err(|error| said(&error))?;
        if random.next_u64().is_multiple_of(10) {
            logs[who].maintain().map_err(|error| said(&error))?;
        }
    }
    weather.calm.store(true, SeqCst);
    let mut winners = 0;
    for (who, log) in logs.iter().enumerate() {
        winners += u64::from(log.ship().is_ok());
        // Whoever lost has everything all the same.
        for entry in log.range(..) {
            let entry = entry.map_err(|error| format!("log {who}: {}", said(&error)))?;
            let mine =
                entry.payload.starts_with(b"both") || entry.payload.starts_with(who.to_string().as_bytes());
            if !mine {
                return Err(format!("log {who} shows what another wrote"));
            }
        }
    }
    let target: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    restore(far(), "", &target).map_err(|error| said(&error))?;
    Ok(winners)
}

#[test]
fn of_two_that_ship_to_one_place_one_is_told_and_loses_nothing() {
    for seed in 0..40 {
        let winners = rivals(seed, Mistake::None).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        assert_eq!(winners, 1, "seed {seed}");
    }
    let found = (0..40).any(|seed| rivals(seed, Mistake::Unlike) != Ok(1));
    assert!(found, "who takes another's segment for its own is found out");
}
