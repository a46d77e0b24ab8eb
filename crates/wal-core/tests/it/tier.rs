//! A log whose sealed segments are shipped to another storage.

mod trouble;

use std::{
    fmt, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use bytes::Bytes;
use wal_core::{Hooks, Log, LogError, LogEvent, Options, Retention, TierOptions, WhenUnshipped, restore};
use wal_format::Lsn;
use wal_segment::{
    Capabilities, LocalOptions, LocalStorage, MemoryStorage, Storage, StorageFile, WriterLock,
};

use wal_sim::{Crash, CrashMoment, DiskOptions, Faults, SimDisk};

use crate::{
    damage::{files, storage},
    support::{check, environment, fill, payload, small},
};

/// A tier that can be out of reach, and counts what is read of it.
#[derive(Default)]
struct Far {
    files: MemoryStorage,
    out: AtomicBool,
    /// It keeps nothing of what it says that it has.
    lies: AtomicBool,
    /// It can be read and takes nothing.
    deaf: AtomicBool,
    /// It removes nothing.
    keeps: AtomicBool,
    /// Happens once, while something is shipped.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    opened: AtomicU64,
}

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Far")
    }
}

impl Far {
    fn reach(&self) -> io::Result<()> {
        if self.out.load(SeqCst) { Err(io::Error::other("out of reach")) } else { Ok(()) }
    }

    fn names(&self) -> Vec<String> {
        self.files.list().unwrap()
    }
}

impl Storage for Far {
    fn location(&self) -> String {
        "far".to_owned()
    }
    fn capabilities(&self) -> Capabilities {
        self.files.capabilities()
    }
    fn lock(&self) -> io::Result<WriterLock> {
        self.reach()?;
        // Writers are elsewhere, and do not see each other.
        Ok(WriterLock { epoch: None, guard: Box::new(()) })
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.reach()?;
        self.files.list()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.files.create(name)
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.reach()?;
        self.opened.fetch_add(1, SeqCst);
        self.files.open(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn ship(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.reach()?;
        let meanwhile = self.meanwhile.lock().unwrap().take();
        meanwhile.into_iter().for_each(|happens| happens());
        if self.deaf.load(SeqCst) {
            return Err(io::Error::other("deaf"));
        }
        if self.lies.load(SeqCst) { Ok(()) } else { self.files.ship(name, content) }
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.reach()?;
        if self.keeps.load(SeqCst) {
            return Err(io::Error::other("kept"));
        }
        self.files.remove(name)
    }
    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

/// No threads, nothing stays here that need not, and failures are tried again at once.
fn options() -> Options {
    let tier = TierOptions { local_len: Some(0), retry: Duration::ZERO, ..TierOptions::default() };
    Options { background_threads: false, tier, ..small() }
}

fn open(near: &MemoryStorage, far: &Arc<Far>, options: &Options) -> Result<Log, LogError> {
    let far: Arc<dyn Storage> = Arc::<Far>::clone(far);
    Log::open(environment(Arc::new(near.clone())).with_tier(far), options.clone())
}

fn segments(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).filter(|name| name.ends_with(".wal")).collect()
}

#[test]
fn what_left_for_the_tier_is_read_like_the_rest() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1..=2000);
    log.maintain().unwrap();
    let stats = log.stats().tier.unwrap();
    let count = log.segments().unwrap().len();
    assert!(count > 4, "{count}");
    assert_eq!(stats.shipped_segments, count as u64 - 1);
    assert_eq!((stats.unshipped_segments, stats.evicted_segments), (0, count as u64 - 1));
    assert_eq!(segments(&far.names()).len(), count - 1);
    // The active one, and perhaps the next.
    assert!(segments(&near.list().unwrap()).len() <= 2);
    check(&log, 1, 2001);
    // Where an entry is to be found is known here.
    far.opened.store(0, SeqCst);
    assert_eq!(log.get(lsn(5)).unwrap().payload, payload(5));
    log.close().unwrap();
    let log = open(&near, &far, &options()).unwrap();
    assert!(log.recovery_report().clean && log.recovery_report().strangers.is_empty());
    check(&log, 1, 2001);
    fill(&log, 2001..=2100);
    check(&log, 1, 2101);
    let far: Arc<dyn Storage> = far;
    let reader = Log::open_read_only(environment(Arc::new(near.clone())).with_tier(far), options()).unwrap();
    check(&reader, 1, 2101);
    let target: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    assert_eq!(log.backup(&target).unwrap().next, lsn(2101));
    check(&Log::open(environment(target), options()).unwrap(), 1, 2101);
    // Who does not know of the tier is told that something is missing, and changes nothing.
    log.close().unwrap();
    drop(log);
    let before = near.list().unwrap();
    let alone = Log::open(environment(Arc::new(near.clone())), options()).unwrap_err();
    assert!(matches!(alone, LogError::MissingSegment { shipped: true, .. }), "{alone}");
    assert_eq!(near.list().unwrap(), before);
}

#[test]
fn a_log_opens_and_goes_on_without_its_tier() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1..=1000);
    log.maintain().unwrap();
    log.close().unwrap();
    far.out.store(true, SeqCst);
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1001..=2000);
    log.maintain().unwrap();
    let stats = log.stats().tier.unwrap();
    assert!(stats.unshipped_segments > 1 && stats.failures > 0, "{stats:?}");
    assert!(stats.last_error.unwrap().contains("out of reach"));
    assert_eq!(log.get(lsn(2000)).unwrap().payload, payload(2000));
    // The beginning of a segment stands in its note.
    let error = log.get(lsn(200)).unwrap_err();
    assert!(error.to_string().contains("read") && !error.is_damage(), "{error}");
    far.out.store(false, SeqCst);
    log.maintain().unwrap();
    let stats = log.stats().tier.unwrap();
    assert_eq!((stats.unshipped_segments, stats.last_error), (0, None));
    check(&log, 1, 2001);
}

#[test]
fn a_lost_directory_comes_back_as_far_as_it_was_shipped() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1..=500);
    log.checkpoint("half", Default::default()).unwrap();
    log.truncate_after(lsn(450)).unwrap();
    fill(&log, 451..=900);
    let shipment = log.ship().unwrap();
    assert_eq!(shipment.next, lsn(901));
    assert!(log.ship().unwrap().segments == 0, "nothing is left");
    fill(&log, 901..=910);
    let tier: Arc<dyn Storage> = Arc::<Far>::clone(&far);
    let place = MemoryStorage::new();
    let target: Arc<dyn Storage> = Arc::new(place.clone());
    let report = restore(Arc::clone(&tier), "", &target).unwrap();
    assert_eq!((report.first, report.next), (lsn(1), lsn(901)));
    assert!(matches!(restore(Arc::clone(&tier), "", &target), Err(LogError::NotEmpty { .. })));
    // The machine is back as another one, and goes on.
    let other = open(&place, &far, &options()).unwrap();
    assert_eq!(other.id(), log.id());
    check(&other, 1, 901);
    fill(&other, 901..=1300);
    other.ship().unwrap();
    check(&other, 1, 1301);
    // The first one was not gone after all. It hears of it, and goes on by itself.
    fill(&log, 911..=1400);
    log.maintain().unwrap();
    let stats = log.stats().tier.unwrap();
    assert!(stats.conflict && stats.last_error.unwrap().contains("somebody else"), "{}", stats.failures);
    assert!(matches!(log.ship(), Err(LogError::TierConflict { .. })));
    check(&log, 1, 1401);
    check(&other, 1, 1301);
}

#[test]
fn another_log_in_the_place_is_noticed_before_anything_is_sent() {
    let far = Arc::new(Far::default());
    let first = MemoryStorage::new();
    let log = open(&first, &far, &options()).unwrap();
    fill(&log, 1..=1000);
    log.truncate_before(lsn(800)).unwrap();
    fill(&log, 1001..=1500);
    log.ship().unwrap();
    log.ship().unwrap();
    let there = far.names();
    assert!(!there.contains(&"00000000000000000001.wal".to_owned()), "{there:?}");
    let other = open(&MemoryStorage::new(), &far, &options()).unwrap();
    fill(&other, 1..=500);
    assert!(matches!(other.ship(), Err(LogError::TierConflict { .. })));
    assert_eq!(far.names(), there);
    check(&other, 1, 501);
}

#[test]
fn what_is_trimmed_leaves_the_tier_when_the_tier_can_do_without() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1..=2000);
    log.maintain().unwrap();
    let before = segments(&far.names()).len();
    log.truncate_before(lsn(1000)).unwrap();
    log.maintain().unwrap();
    assert_eq!(segments(&far.names()).len(), before, "who restored it now would look for the first entry");
    let tier: Arc<dyn Storage> = Arc::<Far>::clone(&far);
    let restored = |first: u64, next: u64| {
        let target: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let report = restore(Arc::clone(&tier), "", &target).unwrap();
        assert_eq!((report.first, report.next), (lsn(first), lsn(next)));
        check(&Log::open(environment(target), options()).unwrap(), first, next);
    };
    log.ship().unwrap();
    fill(&log, 2001..=2010);
    log.ship().unwrap();
    let after = log.stats().tier.unwrap();
    assert!(after.removed_segments > 0 && segments(&far.names()).len() < before, "{after:?}");
    restored(1000, 2011);
    check(&log, 1000, 2011);
    // Retention counts what is in the tier.
    log.retain_with(&Retention { max_segments: Some(2), ..Retention::default() }).unwrap();
    fill(&log, 2011..=2019);
    log.ship().unwrap();
    fill(&log, 2020..=2020);
    log.ship().unwrap();
    assert!(segments(&far.names()).len() <= 3, "{:?}", far.names());
    let first = log.first_lsn().unwrap().get();
    restored(first, 2021);
    let stray: Vec<_> = near.list().unwrap().into_iter().filter(|name| name.ends_with(".gone")).collect();
    assert!(stray.len() <= 1, "{stray:?}");
}

#[test]
fn when_the_tier_is_out_of_reach_the_policy_says_what_gives() {
    let behind = |when_unshipped| {
        let tier = TierOptions { unshipped_max: Some(200 << 10), when_unshipped, ..options().tier };
        Options { tier, ..options() }
    };
    let append = |log: &Log| (1..=3000).map(|n| log.append(&payload(n))).find_map(Result::err);
    let opened = |options: &Options| {
        let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
        far.out.store(true, SeqCst);
        (open(&near, &far, options).unwrap(), far)
    };
    let (log, far) = opened(&behind(WhenUnshipped::Refuse));
    let error = append(&log).unwrap();
    assert!(matches!(error, LogError::TierBehind { max: 204_800, .. }), "{error}");
    let next = log.next_lsn().get();
    assert!(log.append(&payload(299)).is_err());
    assert_eq!(log.next_lsn().get(), next);
    log.checkpoint("metadata fits", Default::default()).unwrap();
    far.out.store(false, SeqCst);
    log.maintain().unwrap();
    fill(&log, next..=next + 500);
    check(&log, 1, next + 501);

    let (log, far) = opened(&behind(WhenUnshipped::Drop));
    for n in 1..=3000 {
        log.append(&payload(n)).unwrap();
        if n % 100 == 0 {
            log.maintain().unwrap();
        }
    }
    let stats = log.stats();
    let tier = stats.tier.clone().unwrap();
    assert!(tier.dropped_segments > 0 && tier.unshipped_bytes <= 200 << 10, "{tier:?}");
    let given_up = stats.deleted.iter().find(|deleted| deleted.reason.name() == "behind").unwrap();
    assert_eq!(given_up.segments, tier.dropped_segments);
    let first = log.first_lsn().unwrap().get();
    assert!(first > 1);
    check(&log, first, 3001);
    far.out.store(false, SeqCst);
    log.ship().unwrap();
    check(&log, first, 3001);

    let (log, _) = opened(&behind(WhenUnshipped::Keep));
    assert!(append(&log).is_none());
    log.maintain().unwrap();
    check(&log, 1, 3001);
}

#[test]
fn threads_ship_by_themselves_and_tell() {
    let (tell, told) = mpsc::channel();
    let hooks = Hooks::default().on_event(move |event| drop(tell.send(event.clone())));
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| -> Arc<dyn Storage> {
        Arc::new(LocalStorage::create(dir.path().join(name), LocalOptions::default()).unwrap())
    };
    let options = Options { background_threads: true, ..options() };
    let mut environment = environment(place("near")).with_tier(place("far"));
    environment.hooks = hooks;
    let log = Log::open(environment, options).unwrap();
    fill(&log, 1..=1000);
    let shipped = told.iter().find(|event| matches!(event, LogEvent::Shipped { .. })).unwrap();
    assert!(matches!(shipped, LogEvent::Shipped { segment, bytes } if segment.0 == 1 && bytes > 0));
    log.ship().unwrap();
    check(&log, 1, 1001);
    log.close().unwrap();
    assert!(matches!(log.ship(), Err(LogError::Closed)));
    drop(log);
    let target = place("back");
    restore(place("far"), "", &target).unwrap();
    check(&Log::open(crate::support::environment(target), small()).unwrap(), 1, 1001);
}

#[test]
fn a_rate_spreads_the_shipping_out() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let tier = TierOptions { rate: Some(1), ..options().tier };
    let log = open(&near, &far, &Options { tier, ..options() }).unwrap();
    fill(&log, 1..=1000);
    (0..5).for_each(|_| log.maintain().unwrap());
    assert_eq!(log.stats().tier.unwrap().shipped_segments, 1, "the next is due in some 18 hours");
    log.ship().unwrap();
    assert_eq!(log.stats().tier.unwrap().unshipped_segments, 0);
}

#[test]
fn a_damaged_segment_is_not_shipped() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    far.out.store(true, SeqCst);
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1..=500);
    log.close().unwrap();
    drop(log);
    let name = "00000000000000000001.wal";
    let file = near.open(name).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes[10_000] ^= 1;
    near.remove(name).unwrap();
    near.create(name).unwrap().write_at(0, &bytes).unwrap();
    far.out.store(false, SeqCst);
    let log = open(&near, &far, &options()).unwrap();
    log.append(b"more").unwrap();
    assert!(log.ship().unwrap_err().is_damage());
    assert!(far.names().is_empty() && near.open(name).is_ok());
}

fn memory_disk(seed: u64) -> SimDisk {
    let how = DiskOptions { capabilities: Capabilities::MEMORY, traced: false, ..DiskOptions::default() };
    SimDisk::with_options(seed, how)
}

fn open_on(disk: &SimDisk, far: &Arc<Far>) -> Log {
    let tier: Arc<dyn Storage> = Arc::<Far>::clone(far);
    Log::open(environment(disk.storage()).with_tier(tier), options()).unwrap()
}

/// Has the process die at this operation of a pass, or after it. Says whether it came so far.
fn maintain_until(log: &Log, disk: &SimDisk, operation: u64, seed: u64) -> bool {
    let moment = if seed.is_multiple_of(2) { CrashMoment::Before } else { CrashMoment::After };
    let crash = Some(Crash { operation: disk.operations() + operation, moment });
    disk.set_faults(Faults { crash, ..Faults::default() });
    let _ = log.maintain();
    let died = disk.faults_fired() > 0;
    disk.set_faults(Faults::default());
    disk.kill();
    died
}

/// Ships on a disk that dies at this operation of the pass, loses power, and comes back. Says whether it died, and
/// whether everything can be read then.
fn dies_at(operation: u64, seed: u64, lies: bool) -> (bool, bool) {
    let (disk, far) = (memory_disk(seed), Arc::new(Far::default()));
    let open = || open_on(&disk, &far);
    let log = open();
    fill(&log, 1..=500);
    far.lies.store(lies, SeqCst);
    let died = maintain_until(&log, &disk, operation, seed);
    disk.crash(seed);
    drop(log);
    let log = open();
    let whole = log.range(..).map_while(Result::ok).filter(|entry| entry.payload == payload(entry.lsn.get()));
    let is_whole = whole.count() == 500;
    if !lies {
        log.maintain().unwrap();
        assert_eq!(log.stats().tier.unwrap().unshipped_segments, 0);
        check(&log, 1, 501);
    }
    (died, is_whole)
}

#[test]
fn whichever_step_is_the_last_nothing_is_lost() {
    let mut operation = 0;
    loop {
        let outcomes = (0..4).map(|seed| dies_at(operation, seed, false));
        let outcomes: Vec<_> = outcomes.collect();
        assert!(outcomes.iter().all(|(_, whole)| *whole), "operation {operation}");
        if outcomes.iter().all(|(died, _)| !died) {
            break;
        }
        operation += 1;
    }
    assert!(operation > 10, "{operation} operations");
    // What a power cut brings back of the local file hides it now and then.
    let found = (0..20).any(|seed| !dies_at(u64::from(u32::MAX), seed, true).1);
    assert!(found, "a tier that lies is found out");
}

/// What an earlier life left is shipped like the rest: its newest segment is no longer the newest one.
#[test]
fn what_follows_a_reopened_log_is_shipped() {
    for dies in [false, true] {
        let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
        // Longer than what is copied into the next segment.
        let options = Options { segment_len: 256 << 10, first_segment_len: 256 << 10, ..options() };
        let log = open(&near, &far, &options).unwrap();
        fill(&log, 1..=1000);
        let killed = storage(&files(&near));
        drop(log);
        let near = if dies { (*killed).clone() } else { near };
        let log = open(&near, &far, &options).unwrap();
        fill(&log, 1001..=4000);
        log.ship().unwrap();
        let sealed = log.segments().unwrap().len() as u64 - 1;
        let stats = log.stats().tier.unwrap();
        assert_eq!((stats.unshipped_segments, stats.shipped_segments), (0, sealed), "{dies} {stats:?}");
        check(&log, 1, 4001);
        let target: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        assert_eq!(log.backup(&target).unwrap().next, lsn(4001));
        let tier: Arc<dyn Storage> = Arc::<Far>::clone(&far);
        let target: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        assert_eq!(restore(tier, "", &target).unwrap().next, lsn(4001));
    }
}

/// Notes are damaged whose segments have left, and are written anew on a disk that dies at this operation. Says whether
/// it did.
fn dies_renewing(operation: u64, seed: u64) -> bool {
    let (disk, far) = (memory_disk(seed), Arc::new(Far::default()));
    let open = || open_on(&disk, &far);
    let log = open();
    fill(&log, 1..=500);
    log.maintain().unwrap();
    log.close().unwrap();
    drop(log);
    let notes: Vec<_> = disk.names().into_iter().filter(|name| name.ends_with(".tier")).collect();
    assert!(!notes.is_empty());
    notes.iter().for_each(|note| disk.flip_bit(note, 100, 1).unwrap());
    let log = open();
    let died = maintain_until(&log, &disk, operation, seed);
    if seed > 1 {
        disk.crash(seed);
    }
    drop(log);
    let log = open();
    check(&log, 1, 501);
    log.maintain().unwrap();
    assert_eq!(log.stats().tier.unwrap().unshipped_segments, 0);
    died
}

#[test]
fn a_damaged_note_is_replaced_and_whichever_step_is_the_last_nothing_is_lost() {
    let died = |operation: &u64| (0..4).any(|seed| dies_renewing(*operation, seed));
    let operations = (0..).take_while(died).count();
    assert!(operations > 5, "{operations} operations");
}
