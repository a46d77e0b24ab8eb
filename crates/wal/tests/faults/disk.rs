//! A small disk that is full at every append of a run, then has space again. Prepared by `cargo xtask faults`.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use wal::{ErrorKind, Options, Outcome, SyncPolicy, Wal, WriteMode};

use crate::content::{check, lsn, payload};

/// A directory on a file system of its own, of a few megabytes.
const SMALL_DISK: &str = "WAL_FAULTS_SMALL_DISK";
const ROUNDS: u64 = 60;
const ENTRY_LEN: usize = 3000;
/// Short enough to be stored.
const STORED_LEN: usize = 1500;

fn options(background_threads: bool) -> Options {
    Options { segment_len: 256 << 10, first_segment_len: 64 << 10, background_threads, ..Options::default() }
}

/// What takes the space away.
struct Ballast {
    path: PathBuf,
    len: usize,
}

impl Ballast {
    /// Takes everything, then gives some of it back.
    fn fill(disk: &Path, spare: usize) -> Self {
        let path = disk.join("ballast");
        let mut file = fs::File::create(&path).unwrap();
        let mut len = 0;
        for piece in [64 << 10, 4 << 10, 512, 1] {
            while let Ok(written @ 1..) = file.write(&vec![1; piece]) {
                len += written;
            }
        }
        let mut this = Self { path, len };
        this.shrink(spare);
        this
    }

    fn shrink(&mut self, spare: usize) {
        self.len = self.len.saturating_sub(spare);
        fs::OpenOptions::new().write(true).open(&self.path).unwrap().set_len(self.len as u64).unwrap();
    }

    fn free(self) {
        fs::remove_file(self.path).unwrap();
    }
}

#[derive(Debug, Default)]
struct Tally {
    not_appended: u64,
    unknown: u64,
    trims_at_once: u64,
    trims_later: u64,
}

#[test]
#[ignore = "needs a small disk: cargo xtask faults"]
fn a_full_disk_is_survived_at_every_append() {
    let disk = PathBuf::from(env::var_os(SMALL_DISK).expect("run this through cargo xtask faults"));
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let log = disk.join(format!("log-{round}"));
        run(&disk, &log, round, &mut tally);
        fs::remove_dir_all(log).unwrap();
    }
    let Tally { not_appended, unknown, trims_at_once, trims_later } = tally;
    println!(
        "result: {ROUNDS} rounds: Full {} times ({not_appended} not appended, {unknown} open until there was space); \
         trims at once {trims_at_once}, with space {trims_later}",
        not_appended + unknown
    );
}

fn run(disk: &Path, log: &Path, round: u64, tally: &mut Tally) {
    let wal = Wal::builder(log).options(options(round.is_multiple_of(2))).open().unwrap();
    for number in 1..=round {
        wal.append(payload(number, round, ENTRY_LEN)).unwrap();
    }
    let ballast = Ballast::fill(disk, (round as usize % 7) * 9000);
    let mut open = None;
    let full = (0..2000).find_map(|_| {
        let next = wal.next_lsn().get();
        wal.append(payload(next, round, ENTRY_LEN)).err()
    });
    let full = full.expect("the disk is full");
    assert_eq!(full.kind(), ErrorKind::Full, "{full}");
    match full.outcome() {
        Some(Outcome::NotAppended) => tally.not_appended += 1,
        _ => {
            tally.unknown += 1;
            open = full.lsns().map(|lsns| lsns.end().get());
        }
    }
    let durable = wal.durable_lsn().map_or(0, wal::Lsn::get);
    verify(&wal, 1, durable);

    // Trimming is what a program would do now.
    let first = durable / 2 + 1;
    if durable > 0 {
        match wal.truncate_before(lsn(first)) {
            Ok(_) => tally.trims_at_once += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                tally.trims_later += 1;
            }
        }
    }

    ballast.free();
    wal.sync().unwrap();
    let last = open.unwrap_or(durable);
    assert_eq!(wal.durable_lsn().map_or(0, wal::Lsn::get), last, "what was open is confirmed");
    if durable > 0 {
        wal.truncate_before(lsn(first)).unwrap();
    }
    for number in last + 1..last + 40 {
        assert_eq!(wal.append_at(lsn(number), payload(number, round, ENTRY_LEN)).unwrap(), lsn(number));
    }
    verify(&wal, first, last + 39);
    drop(wal);
    verify(&Wal::builder(log).options(options(false)).open().unwrap(), first, last + 39);
}

/// The same where entries are stored in mapped pages: one that the disk has no space for is refused, and no signal ends
/// the process.
#[test]
#[ignore = "needs a small disk: cargo xtask faults"]
fn a_full_disk_is_survived_by_a_log_that_stores() {
    let disk = PathBuf::from(env::var_os(SMALL_DISK).expect("run this through cargo xtask faults"));
    let mut stored = 0;
    for round in 0..ROUNDS {
        let log = disk.join(format!("log-{round}"));
        let sync = SyncPolicy::OsCache { interval: Duration::from_millis(round % 3 * 5 + 1) };
        let options = Options { sync, ..options(round.is_multiple_of(2)) };
        let open = || Wal::builder(&log).options(options.clone()).write_mode(WriteMode::Mmap).open().unwrap();
        let wal = open();
        // By the short way, which alone stores.
        let append = |number: u64| wal.append(payload(number, round, STORED_LEN));
        (1..=round).for_each(|number| assert_eq!(append(number).unwrap(), lsn(number)));
        let ballast = Ballast::fill(&disk, (round as usize % 7) * 9000);
        let (last, full) = (round..20_000).find_map(|last| Some((last, append(last + 1).err()?))).unwrap();
        assert_eq!(full.kind(), ErrorKind::Full, "{full}");
        let last = last + u64::from(full.outcome() != Some(Outcome::NotAppended));
        stored += last.saturating_sub(wal.stats().writes);
        verify(&wal, 1, last.min(wal.last_lsn().map_or(0, wal::Lsn::get)));
        ballast.free();
        wal.sync().unwrap();
        verify(&wal, 1, last);
        (last + 1..last + 40).for_each(|number| assert_eq!(append(number).unwrap(), lsn(number)));
        drop(wal);
        verify(&open(), 1, last + 39);
        fs::remove_dir_all(log).unwrap();
    }
    assert!(stored > 0, "ext4 and tmpfs take stores");
    println!("result: {ROUNDS} rounds, {stored} entries stored");
}

#[track_caller]
fn verify(wal: &Wal, first: u64, last: u64) {
    let mut next = first;
    for entry in wal.iter() {
        let entry = entry.unwrap();
        if entry.lsn.get() > last {
            break;
        }
        assert_eq!(entry.lsn.get(), next);
        check(next, &entry.payload);
        next += 1;
    }
    assert_eq!(next, last + 1, "entries are missing");
}
