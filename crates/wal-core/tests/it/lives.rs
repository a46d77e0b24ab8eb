//! Random lives of a log: it is opened, used in every way there is, and closed, killed or left, again and again. What
//! it holds is always what a list in memory does.
//!
//! `WAL_LIVES` says how many logs are tried, `WAL_LIVES_SEED` which is the first.

use std::{collections::BTreeMap, env, sync::Arc, time::Duration};

use wal_core::{
    Environment, Log, LogError, Options, RepairOptions, Retention, SyncPolicy, TierOptions, examine, repair,
    restore,
};
use wal_segment::{MemoryStorage, Storage};
use wal_sim::Rng;

use crate::{
    damage::{files, storage},
    reading::lsn,
    support::environment,
};

/// So many logs take some seconds.
const LOGS: u64 = 120;
const LIVES: u64 = 6;
const INTERVAL: Duration = Duration::from_secs(60);

type Values = BTreeMap<String, Vec<u8>>;

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new())
}

fn one_of<T: Copy, const N: usize>(dice: &mut Rng, choices: [T; N]) -> T {
    choices[dice.below(N as u64) as usize]
}

/// What the log is to hold. Entry `n` is the `n - 1`th payload; those before `first` were removed.
struct Model {
    payloads: Vec<Vec<u8>>,
    first: u64,
    values: Values,
}

impl Model {
    fn next(&self) -> u64 {
        self.payloads.len() as u64 + 1
    }

    fn payload(&self, n: u64) -> &[u8] {
        &self.payloads[n as usize - 1]
    }

    #[track_caller]
    fn check(&self, log: &Log, what: &str) {
        let forward: Vec<u64> = log.range(..).map(|entry| self.checked(entry, what)).collect();
        let backward: Vec<u64> = log.range(..).rev().map(|entry| self.checked(entry, what)).collect();
        assert!(forward.iter().copied().eq(self.first..self.next()), "{what}: {forward:?}");
        assert!(backward.into_iter().rev().eq(self.first..self.next()), "{what}: backward");
        for n in (self.first..self.next()).step_by(7) {
            assert_eq!(log.get(lsn(n)).unwrap().payload, self.payload(n), "{what}: entry {n}");
        }
        assert_eq!(log.next_lsn(), lsn(self.next()), "{what}");
        assert_eq!(values(log), self.values, "{what}");
    }

    #[track_caller]
    fn checked(&self, entry: Result<wal_core::Entry, LogError>, what: &str) -> u64 {
        let entry = entry.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(entry.payload, self.payload(entry.lsn.get()), "{what}: entry {}", entry.lsn);
        entry.lsn.get()
    }

    /// What was not written died with the process: the log says what is left, and that must be a part of this.
    fn lose(&mut self, left: Result<Log, LogError>, what: &str) {
        let Ok(log) = left else {
            (self.first, self.values) = (1, Values::new());
            return self.payloads.clear();
        };
        let next = log.next_lsn().get();
        assert!(next <= self.next(), "{what}: {next} instead of {}", self.next());
        self.payloads.truncate(next as usize - 1);
        self.first = self.first.min(next);
        self.values = values(&log);
    }
}

fn values(log: &Log) -> Values {
    let value = |name: String| log.meta(&name).unwrap().map(|value| (name, value));
    log.meta_names().unwrap().into_iter().filter_map(value).collect()
}

/// One log, and where it is kept.
struct Lives {
    dice: Rng,
    near: Arc<MemoryStorage>,
    far: Option<Arc<dyn Storage>>,
    /// Beyond 64 KiB a newest segment that others left is gone on from, not made anew.
    segment_len: u64,
    model: Model,
}

impl Lives {
    fn new(seed: u64) -> Self {
        let mut dice = Rng::new(seed);
        let far = (dice.below(2) == 0).then(memory);
        let segment_len = one_of(&mut dice, [64 << 10, 128 << 10, 256 << 10]);
        let model = Model { payloads: Vec::new(), first: 1, values: Values::new() };
        Self { dice, near: Arc::new(MemoryStorage::new()), far, segment_len, model }
    }

    fn environment(&self) -> Environment {
        let near = environment(Arc::<MemoryStorage>::clone(&self.near));
        match &self.far {
            Some(far) => near.with_tier(Arc::clone(far)),
            None => near,
        }
    }

    fn options(&mut self) -> Options {
        let sync = one_of(
            &mut self.dice,
            [
                SyncPolicy::Always,
                SyncPolicy::OsCache { interval: INTERVAL },
                SyncPolicy::Background { interval: INTERVAL },
            ],
        );
        let local_len = one_of(&mut self.dice, [Some(0), None, Some(100 << 10)]);
        Options {
            segment_len: self.segment_len,
            first_segment_len: self.segment_len,
            background_threads: false,
            sync,
            tier: TierOptions { local_len, retry: Duration::ZERO, ..TierOptions::default() },
            ..Options::default()
        }
    }

    fn live(&mut self, what: &str) {
        let options = self.options();
        let opened = Log::open(self.environment(), options.clone());
        let log = opened.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        self.model.check(&log, &format!("{what}, opened"));
        for step in 0..self.dice.below(14) {
            let what = format!("{what}, step {step}");
            self.step(&log, &options, &what);
            self.model.check(&log, &what);
        }
        self.end(log, &options, what);
        if self.far.is_none() && self.dice.below(3) == 0 {
            self.repair(&options, what);
        }
    }

    fn step(&mut self, log: &Log, options: &Options, what: &str) {
        match self.dice.below(15) {
            0..=4 => self.append(log),
            5 => {
                self.model.first = self.somewhere();
                log.truncate_before(lsn(self.model.first)).unwrap();
            }
            6 => {
                let next = self.somewhere();
                log.truncate_from(lsn(next)).unwrap();
                self.model.payloads.truncate(next as usize - 1);
            }
            7 => log.sync().unwrap(),
            8 => log.maintain().unwrap(),
            9 => self.copy(log, options, what),
            10 => self.ship(log, options, what),
            11 => {
                let max_segments = Some(1 + self.dice.below(4));
                let policy = Retention { max_segments, ..Retention::default() };
                self.model.first = log.retain_with(&policy).unwrap().first_retained.get();
            }
            12 | 13 => self.set_value(log),
            _ if self.dice.below(3) == 0 => {
                log.clear().unwrap();
                self.model.first = self.model.next();
            }
            _ => {}
        }
    }

    /// An entry that is there, or the next one.
    fn somewhere(&mut self) -> u64 {
        self.model.first + self.dice.below(self.model.next() + 1 - self.model.first)
    }

    fn append(&mut self, log: &Log) {
        for _ in 0..self.dice.below(60) {
            let len_max = match self.dice.below(20) {
                0 => 40_000,
                1 => 6_000,
                _ => 400,
            };
            let next = self.model.next();
            let payload: Vec<u8> = (0..self.dice.below(len_max)).map(|at| (at ^ next) as u8).collect();
            assert_eq!(log.append(&payload).unwrap(), lsn(next));
            self.model.payloads.push(payload);
        }
    }

    fn set_value(&mut self, log: &Log) {
        let name = format!("value {}", self.dice.below(4));
        if self.dice.below(4) == 0 {
            log.set_meta(&name, None, None).unwrap();
            self.model.values.remove(&name);
        } else {
            let value = vec![self.dice.below(250) as u8; self.dice.below(900) as usize];
            log.set_meta(&name, Some(&value), None).unwrap();
            self.model.values.insert(name, value);
        }
    }

    fn copy(&self, log: &Log, options: &Options, what: &str) {
        let (backup, copy) = (memory(), memory());
        let copied = log.backup(&backup).and_then(|report| {
            let all = (lsn(self.model.first), lsn(self.model.next()));
            assert_eq!((report.first, report.next), all, "{what}");
            log.copy_to(&copy)
        });
        if let Err(error) = copied {
            return assert!(log.segments().unwrap().is_empty(), "{what}: {error:?}");
        }
        for (target, kind) in [(backup, "backup"), (copy, "copy")] {
            let copied = Log::open(environment(target), options.clone()).unwrap();
            self.model.check(&copied, &format!("{what}, {kind}"));
        }
    }

    /// After everything was shipped, the tier has the log as it is.
    fn ship(&self, log: &Log, options: &Options, what: &str) {
        let Some(far) = &self.far else { return };
        assert_eq!(log.ship().unwrap().next, lsn(self.model.next()), "{what}");
        if log.segments().unwrap().is_empty() {
            return;
        }
        let target = memory();
        restore(Arc::clone(far), "", &target).unwrap_or_else(|error| panic!("{what}, restore: {error:?}"));
        let restored = Log::open(environment(target), options.clone()).unwrap();
        self.model.check(&restored, &format!("{what}, restored"));
    }

    /// Ends the process in one of the ways there are.
    fn end(&mut self, log: Log, options: &Options, what: &str) {
        let way = self.dice.below(3);
        if way < 2 {
            log.sync().unwrap();
            if !log.segments().unwrap().is_empty() {
                let reader = Log::open_read_only(self.environment(), options.clone()).unwrap();
                self.model.check(&reader, &format!("{what}, beside"));
            }
        }
        if way == 0 {
            log.close().unwrap();
        }
        // A log that is dropped closes itself: what it writes then is not in this copy.
        let left = storage(&files(&*self.near));
        drop(log);
        self.near = left;
        if way == 2 {
            let left = Log::open_read_only(self.environment(), options.clone());
            self.model.lose(left, what);
        }
    }

    fn repair(&self, options: &Options, what: &str) {
        let near = || Arc::<MemoryStorage>::clone(&self.near);
        let how = RepairOptions { cut_at_damage: true, quarantine: Some(memory()) };
        match repair(environment(near()), options, &how) {
            Ok(report) => assert!(report.damage.is_empty(), "{what}: {report:?}"),
            Err(error) => assert!(self.model.payloads.is_empty(), "{what}: {error:?}"),
        }
        if !self.model.payloads.is_empty() {
            let report = examine(near(), Default::default(), options).unwrap();
            assert!(report.damage.is_empty(), "{what}: {report:?}");
        }
    }
}

#[test]
fn whatever_is_done_with_a_log_it_holds_what_it_should() {
    let number = |name| env::var(name).ok()?.parse().ok();
    let (first, count) = (number("WAL_LIVES_SEED").unwrap_or(1), number("WAL_LIVES").unwrap_or(LOGS));
    for seed in first..first + count {
        let mut lives = Lives::new(seed);
        (0..LIVES).for_each(|life| lives.live(&format!("log {seed}, life {life}")));
    }
}
