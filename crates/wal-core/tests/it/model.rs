//! Everything that reads, in turn with everything that changes the log, compared with what it should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use wal_compress::{CodecId, Compression};
use wal_core::{
    AppendOptions, Durability, Entry, EntryRef, Iter, Log, LogError, Options, SyncPolicy, Tail, TailFrom,
    TailOptions, TransactionOptions, Visibility,
};
use wal_format::{EntriesBuilder, Lsn, NewEntry};
use wal_segment::{LocalOptions, LocalStorage, MemoryStorage, Storage};

use crate::support::{environment, open, small};

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

/// An entry without what the log adds, and when it was part of the log.
#[derive(Clone, Debug)]
struct Known {
    kind: u8,
    term: Option<u64>,
    timestamp: Option<i64>,
    transaction: Option<[u8; 16]>,
    payload: Vec<u8>,
    /// From the one step to the other.
    born: u64,
    cut: u64,
}

/// What there is, and was.
#[derive(Default)]
struct World {
    step: u64,
    /// The last cut.
    cut: u64,
    /// All entries that ever were, by their number.
    all: Vec<Known>,
    /// Numbers of those that are there, by their LSN.
    now: BTreeMap<u64, u64>,
    first: u64,
    next: u64,
}

impl World {
    fn is(&self, entry: &Entry) -> u64 {
        let number = u64::from_le_bytes(*entry.payload.first_chunk().expect("its number"));
        let known = &self.all[number as usize];
        let Entry { kind, term, timestamp, transaction, payload, .. } = entry;
        assert!(*payload == known.payload, "{}", entry.lsn);
        assert_eq!((*kind, *term, *timestamp), (known.kind, known.term, known.timestamp), "{}", entry.lsn);
        assert_eq!(*transaction, known.transaction, "{}", entry.lsn);
        number
    }

    fn cut(&mut self, next: u64) {
        for (_, number) in self.now.split_off(&next) {
            self.all[number as usize].cut = self.step;
        }
        self.cut = self.step;
        self.next = next;
    }
}

/// What a reader was given: all of it must have been there at some time.
#[derive(Debug, Default)]
struct Given {
    numbers: BTreeSet<u64>,
    /// When the youngest came, and when the first was cut off, as it was known at a step.
    born: u64,
    cut: u64,
    known: u64,
}

impl Given {
    #[track_caller]
    fn add(&mut self, world: &World, entry: &Entry, at: u64, what: &str) {
        assert_eq!(entry.lsn.get(), at, "{what}");
        let number = world.is(entry);
        let known = &world.all[number as usize];
        if self.numbers.is_empty() || self.known <= world.cut {
            let cuts = self.numbers.iter().map(|number| world.all[*number as usize].cut);
            (self.cut, self.known) = (cuts.min().unwrap_or(u64::MAX), world.step);
        }
        self.numbers.insert(number);
        (self.born, self.cut) = (self.born.max(known.born), self.cut.min(known.cut));
        assert!(self.born < self.cut, "{what}: entry {at} is of another history");
    }
}

struct Walk {
    entries: Iter,
    range: Range<u64>,
    front: u64,
    back: u64,
    given: Given,
    began: u64,
    cut_off: bool,
    beside: bool,
}

struct Follow {
    tail: Tail,
    next: u64,
    given: Given,
}

struct Test {
    /// Of SplitMix64.
    random: u64,
    world: World,
    storage: Arc<dyn Storage>,
    options: Options,
    log: Log,
    reader: Option<Log>,
    walks: Vec<Walk>,
    tails: Vec<Follow>,
    /// Where it is, for who reads of a failure.
    what: String,
}

impl Test {
    fn below(&mut self, n: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }

    fn entry(&mut self, rich: bool, transaction: Option<[u8; 16]>) -> Known {
        let number = self.world.all.len() as u64;
        let len = match self.below(40) {
            0 => self.below(6000),
            1..=5 => self.below(900),
            _ => self.below(120),
        };
        let mut payload = number.to_le_bytes().to_vec();
        payload.extend((0..len).map(|n| (number.wrapping_mul(31) + n / 7) as u8));
        let rich = rich && self.below(3) > 0;
        Known {
            kind: if rich { self.below(3) as u8 } else { 0 },
            term: (rich && self.below(2) > 0).then_some(number),
            timestamp: (rich && self.below(2) > 0).then_some(-(number as i64)),
            transaction,
            payload,
            born: self.world.step,
            cut: u64::MAX,
        }
    }

    fn add(&mut self, known: Known) {
        let number = self.world.all.len() as u64;
        self.world.all.push(known);
        self.world.now.insert(self.world.next, number);
        self.world.next += 1;
    }

    fn append(&mut self) {
        let durability = match self.below(4) {
            0 => Durability::Durable,
            1 => Durability::Written,
            _ => Durability::Buffered,
        };
        let how = AppendOptions { durability: Some(durability), ..AppendOptions::default() };
        let rich = self.below(3) == 0;
        fn new(known: &Known) -> NewEntry<'_> {
            let Known { kind, term, timestamp, payload, .. } = known;
            NewEntry { payload, kind: *kind, term: *term, timestamp: *timestamp }
        }
        match self.below(4) {
            0 | 1 => {
                for _ in 0..=self.below(12) {
                    let known = self.entry(rich, None);
                    let at = self.log.append_entry(&new(&known), &how).unwrap();
                    assert_eq!(at.get(), self.world.next);
                    self.add(known);
                }
            }
            2 => {
                let mut batch = EntriesBuilder::default();
                let count = if self.below(8) == 0 { 80 } else { 1 + self.below(12) };
                let first = self.world.next;
                for _ in 0..count {
                    let known = self.entry(rich, None);
                    batch.push(&new(&known)).unwrap();
                    self.add(known);
                }
                assert_eq!(self.log.append_batch(&batch, &how).unwrap().0.get(), first);
            }
            _ => {
                let transaction = self.log.begin(&TransactionOptions::default()).unwrap();
                let first = self.world.next;
                for _ in 0..=self.below(6) {
                    let known = self.entry(rich, Some(transaction.id().0));
                    transaction.append(&new(&known)).unwrap();
                    self.add(known);
                }
                assert_eq!(transaction.commit(&how).unwrap().0.get(), first);
            }
        }
    }

    fn cut(&mut self) {
        let far = if self.below(16) > 0 { 15 } else { u64::MAX };
        let next = self.world.next - self.below((self.world.next - self.world.first).min(far));
        self.log.truncate_from(lsn(next)).unwrap();
        if next < self.world.next {
            self.world.cut(next);
        }
        self.world.step += 1;
    }

    fn change(&mut self) {
        match self.below(64) {
            0..=3 | 60..=63 => self.cut(),
            4 => {
                let first = self.world.first + self.below((self.world.next - self.world.first) / 3 + 1);
                self.log.truncate_before(lsn(first)).unwrap();
                self.world.now = self.world.now.split_off(&first);
                self.world.first = first;
            }
            5 if self.below(8) == 0 => {
                let next = self.world.next - self.below(self.world.next.min(30));
                self.log.reset(lsn(next)).unwrap();
                if next < self.world.next {
                    self.world.cut(next);
                }
                self.world.now.clear();
                (self.world.first, self.world.next) = (next, next);
            }
            6..=8 => self.log.sync().unwrap(),
            9 => self.log.maintain().unwrap(),
            10 if self.below(3) == 0 => {
                self.walks.retain(|walk| walk.beside);
                self.tails.clear();
                self.log.close().unwrap();
                self.log = open(&self.storage, &self.options).unwrap();
                assert_eq!(self.log.next_lsn().get(), self.world.next);
            }
            _ => self.append(),
        }
        self.world.step += 1;
        if self.below(6) == 0
            && let Some(reader) = &self.reader
        {
            reader.refresh().unwrap();
        }
        assert_eq!(self.log.next_lsn().get(), self.world.next);
    }

    fn look_up(&mut self) {
        let World { first, next, .. } = self.world;
        if first == next {
            return;
        }
        let count = 1 + self.below(20);
        let lsns: Vec<Lsn> = (0..count).map(|_| lsn(first + self.below(next - first))).collect();
        let entries = self.log.get_many(&lsns).unwrap();
        for (entry, lsn) in entries.iter().zip(&lsns) {
            assert_eq!(entry.lsn, *lsn);
            assert_eq!(self.world.is(entry), self.world.now[&lsn.get()], "{}", self.what);
            assert_eq!(self.log.get(*lsn).unwrap(), *entry);
            self.log.get_with(*lsn, |lent| assert_eq!(lent.payload, entry.payload)).unwrap();
        }
    }

    fn begin_walk(&mut self) {
        let beside = self.below(3) == 0;
        let Some(log) = (if beside { self.reader.clone() } else { Some(self.log.clone()) }) else { return };
        let first = log.first_lsn().map_or(1, Lsn::get);
        let next = log.next_lsn().get();
        let (start, end) = match self.below(5) {
            0 => (first + self.below(next.saturating_sub(first)), next),
            1 => (first, first + self.below(next.saturating_sub(first) + 1)),
            2 => (first, next),
            _ => (next.saturating_sub(self.below(40)).max(first), next),
        };
        let entries = log.range(lsn(start)..lsn(end.max(1)));
        let (start, end) = (entries.front().get(), entries.back().get());
        self.walks.push(Walk {
            entries,
            range: start..end.max(start),
            front: start,
            back: end,
            given: Given::default(),
            began: self.world.step,
            cut_off: false,
            beside,
        });
    }

    fn walk(&mut self) {
        if self.walks.is_empty() {
            return;
        }
        let nth = self.below(self.walks.len() as u64) as usize;
        let steps = if self.below(5) == 0 { self.below(200) } else { self.below(12) };
        let forwards = self.below(3);
        for _ in 0..steps {
            let (how, far, to) = (self.below(16), self.below(60), self.below(self.world.next + 3));
            let (lends, direction) = (self.below(2) == 0, self.below(2));
            let to = |here: u64| if far < 50 { (here + far / 3).saturating_sub(8) } else { to }.max(1);
            let walk = &mut self.walks[nth];
            match how {
                0 | 1 => walk.seek(&self.world, to(walk.front)),
                2 | 3 => walk.seek_back(&self.world, to(walk.back)),
                _ => {
                    let forward = forwards == 0 || (forwards == 1 && direction == 0);
                    walk.step(&self.world, forward, lends, &format!("{}, walk {nth}", self.what));
                }
            }
        }
    }

    /// Has iterators give what is near the end, from the back and not the highest first, or go there again.
    fn near_the_end(&mut self) {
        let next = self.world.next;
        for nth in 0..self.walks.len() {
            for _ in 0..=self.below(3) {
                let (backwards, near, steps) = (self.below(2) == 0, self.below(14), self.below(4));
                let walk = &mut self.walks[nth];
                let to = next.saturating_sub(near).max(1);
                // There is room for where it goes.
                if backwards {
                    walk.seek(&self.world, walk.range.start);
                    walk.seek_back(&self.world, to);
                } else {
                    walk.seek_back(&self.world, walk.range.end);
                    walk.seek(&self.world, to);
                }
                let what = format!("{}, walk {nth} near the end", self.what);
                (0..steps).for_each(|_| walk.step(&self.world, !backwards, steps == 1, &what));
            }
        }
    }

    fn follow(&mut self) {
        if self.tails.len() < 2 {
            let visibility = if self.below(2) == 0 { Visibility::Written } else { Visibility::Durable };
            let log = match &self.reader {
                Some(reader) if self.tails.is_empty() => reader.clone(),
                _ => self.log.clone(),
            };
            let from = log.first_lsn().map_or(self.world.next, Lsn::get);
            let options = TailOptions { from: TailFrom::Lsn(lsn(from)), visibility };
            let tail = log.tail(options);
            self.tails.push(Follow { tail, next: from, given: Given::default() });
        }
        let nth = self.below(self.tails.len() as u64) as usize;
        for _ in 0..self.below(60) {
            let Follow { tail, next, given } = &mut self.tails[nth];
            match tail.try_next() {
                Ok(None) => break,
                Ok(Some(entry)) => {
                    given.add(&self.world, &entry, *next, &format!("{}, tail {nth}", self.what));
                    *next += 1;
                }
                Err(LogError::CutOff { .. }) => {
                    assert!(self.world.cut > 0, "{}: tail {nth} cut off at {next}", self.what);
                    self.tails.remove(nth);
                    break;
                }
                Err(LogError::Truncated { .. }) if *next < self.world.first => {
                    self.tails.remove(nth);
                    break;
                }
                Err(error) => panic!("{}: tail {nth} at {next}: {error:?}", self.what),
            }
        }
    }
}

impl Walk {
    fn begin_anew(&mut self, world: &World) {
        if self.cut_off {
            (self.cut_off, self.given, self.began) = (false, Given::default(), world.step);
        }
    }

    fn seek(&mut self, world: &World, to: u64) {
        self.begin_anew(world);
        self.entries.seek(lsn(to));
        self.front = to.clamp(self.range.start, self.back.max(self.range.start));
        assert_eq!((self.entries.front().get(), self.entries.back().get()), (self.front, self.back));
    }

    fn seek_back(&mut self, world: &World, to: u64) {
        self.begin_anew(world);
        self.entries.seek_back(lsn(to));
        self.back = (to + 1).clamp(self.front.min(self.range.end), self.range.end);
        assert_eq!((self.entries.front().get(), self.entries.back().get()), (self.front, self.back));
    }

    #[track_caller]
    fn step(&mut self, world: &World, forward: bool, lends: bool, what: &str) {
        let at = if forward { self.front } else { self.back - 1 };
        let what = format!("{what} {}..{} forward {forward} beside {}", self.front, self.back, self.beside);
        let what = &*what;
        let entries = &mut self.entries;
        let item = match (forward, lends) {
            (true, false) => entries.next(),
            (false, false) => entries.next_back(),
            (true, true) => entries.next_ref().map(|it| it.map(|it| kept(it, world))),
            (false, true) => entries.next_back_ref().map(|it| it.map(|it| kept(it, world))),
        };
        match item {
            None => assert!(self.front >= self.back, "{what}: ended early"),
            Some(Ok(entry)) => {
                assert!(self.front < self.back, "{what}: {}", entry.lsn);
                self.given.add(world, &entry, at, what);
                if forward { self.front += 1 } else { self.back -= 1 }
            }
            Some(Err(error)) => {
                self.cut_off = matches!(error, LogError::CutOff { .. });
                match error {
                    // Somebody beside the writer learns late of a cut. After one the range may go too far: to what came
                    // later, which need not be given.
                    LogError::CutOff { .. } if !self.beside => {
                        let came = world.now.get(&at).map(|number| world.all[*number as usize].born);
                        let is_late = world.cut > 0 && came.is_some_and(|born| born >= self.began);
                        assert!(is_late || world.cut >= self.began, "{what}: {error:?}");
                    }
                    LogError::CutOff { .. } | LogError::OutOfRange { .. } => {
                        assert!(world.cut > 0, "{what}: {error:?}");
                    }
                    LogError::Truncated { .. } => assert!(at < world.first, "{what}: {error:?}"),
                    error => panic!("{what}: {error:?}"),
                }
                self.front = self.back;
            }
        }
    }
}

fn kept(entry: EntryRef<'_>, world: &World) -> Entry {
    let EntryRef { lsn, kind, term, timestamp, time, payload } = entry;
    let number = u64::from_le_bytes(*payload.first_chunk().expect("its number"));
    let transaction = world.all[number as usize].transaction;
    Entry { lsn, kind, term, timestamp, time, transaction, payload: payload.to_vec().into() }
}

fn run(storage: Arc<dyn Storage>, compression: Compression, seed: u64, steps: u64) {
    let interval = std::time::Duration::from_secs(3600);
    let options = Options {
        compression,
        background_threads: false,
        sync: SyncPolicy::Background { interval },
        unsynced_age_max: 2 * interval,
        ..small()
    };
    let log = open(&storage, &options).unwrap();
    let world = World { first: 1, next: 1, ..World::default() };
    let what = String::new();
    let (walks, tails) = (vec![], vec![]);
    let mut test = Test { random: seed, world, storage, options, log, reader: None, walks, tails, what };
    for step in 0..steps {
        test.what = format!("seed {seed} step {step}");
        test.change();
        if step == steps / 20 {
            test.log.sync().unwrap();
            let reader = Log::open_read_only(environment(Arc::clone(&test.storage)), test.options.clone());
            test.reader = Some(reader.unwrap());
        }
        if test.below(4) == 0 {
            if test.walks.len() > 5 {
                test.walks.remove(0);
            }
            test.begin_walk();
            if test.below(2) == 0 {
                // Some are sent about before the log is cut under them.
                test.near_the_end();
                test.cut();
                test.append();
                test.world.step += 1;
                test.near_the_end();
            }
        }
        for _ in 0..test.below(4) {
            test.walk();
        }
        if test.below(3) == 0 {
            test.near_the_end();
        }
        test.follow();
        if test.below(5) == 0 {
            test.look_up();
        }
    }
}

fn seeds() -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse().ok());
    let from = number("MODEL_FROM").unwrap_or(0);
    from..from + number("MODEL_SEEDS").unwrap_or(12)
}

fn on_each(storage: impl Fn() -> (Arc<dyn Storage>, Option<tempfile::TempDir>)) {
    let zstd = Compression { codec: CodecId::ZSTD, ..Compression::default() };
    let kinds = [
        Compression::default(),
        Compression { min_len: 600, pack_len: 0, ..zstd.clone() },
        Compression { min_len: 64, pack_len: 2 << 10, ..zstd },
    ];
    for seed in seeds() {
        for compression in &kinds {
            let (storage, _dir) = storage();
            run(storage, compression.clone(), seed, 300);
        }
    }
}

#[test]
fn whatever_is_read_in_memory_is_what_was_there() {
    on_each(|| (Arc::new(MemoryStorage::new()), None));
}

#[test]
fn whatever_is_read_of_files_is_what_was_there() {
    on_each(|| {
        let dir = tempfile::tempdir().unwrap();
        (Arc::new(LocalStorage::open(dir.path(), LocalOptions::default()).unwrap()), Some(dir))
    });
}
