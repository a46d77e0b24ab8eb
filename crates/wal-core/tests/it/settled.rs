//! Lookups that take no lock find what all others find.
#![expect(clippy::disallowed_methods, reason = "readers are threads, and a segment's salt is in its file")]

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use wal_core::{Log, LogError, Options, SyncPolicy};
use wal_format::{FileName, FrameHeader, FrameKind, Lsn, SegmentHeader, SegmentKey, frame_len};
use wal_segment::{INDEX_STRIDE, LocalOptions, LocalStorage};

use crate::support::{environment, payload, small};

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

fn local(dir: &Path, options: Options) -> Log {
    let storage = LocalStorage::open(dir, LocalOptions::default()).unwrap();
    Log::open(environment(Arc::new(storage)), options).unwrap()
}

/// Of a log with one entry: where the next one will stand, where the index has a point, and what frames are verified
/// with.
fn end_of(dir: &Path, log: &Log) -> (u64, u64, SegmentKey) {
    let only = log.headers(Lsn::FIRST, Lsn::MAX).next().unwrap().unwrap();
    let bytes = fs::read(dir.join(FileName::Segment(only.segment).with_prefix(""))).unwrap();
    (only.offset + frame_len(only.body_len), only.offset, SegmentHeader::decode(&bytes).unwrap().key())
}

#[test]
fn an_entry_that_looks_like_a_frame_is_not_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let log = local(dir.path(), Options { background_threads: false, ..small() });
    log.append(&[0; 8]).unwrap();
    let (mut end, point, key) = end_of(dir.path(), &log);
    while end < point + INDEX_STRIDE {
        log.append(&[0; 8]).unwrap();
        end += 48;
    }
    // The next two frames are 48 and 992 bytes long. Were they equally long, the second would begin inside of itself,
    // where it holds a frame that verifies there and has its number.
    log.append(&[0; 8]).unwrap();
    let victim = log.next_lsn();
    let (at, forged) = (end + 520, [7; 16]);
    let header = FrameHeader {
        body_crc: key.checksum.of(&forged),
        body_len: 16,
        lsn_delta: u32::try_from(victim.get() - 1).unwrap(),
        count: 1,
        prev_units: 1,
        time: 1,
        proof_lag: None,
        kind: FrameKind::Entries,
        codec: 0,
        columns: 0,
        entry_kind: 0,
    };
    let mut hostile = vec![0; 952];
    let inside = 520 - 48 - 40;
    hostile[inside..inside + 40].copy_from_slice(&header.encode(key, at));
    hostile[inside + 40..inside + 56].copy_from_slice(&forged);
    assert_eq!(log.append(&hostile).unwrap(), victim);
    for n in 0..200 {
        log.append(&payload(n)).unwrap();
    }
    let placed = log.headers(victim, victim.next()).next().unwrap().unwrap();
    assert_eq!((placed.offset, placed.body_len), (end + 48, 952));
    for _ in 0..3 {
        assert_eq!(log.get(victim).unwrap().payload, hostile);
        assert_eq!(log.get_many(&[victim; 3]).unwrap()[2].payload, hostile);
    }
}

#[test]
fn single_entries_are_found_in_every_way() {
    let dir = tempfile::tempdir().unwrap();
    let sync = SyncPolicy::Background { interval: Duration::from_secs(3600) };
    let log = local(dir.path(), Options { sync, ..small() });
    let of = |n: u64| if n.is_multiple_of(7) { payload(n) } else { vec![n as u8; 100] };
    for n in 1..=3000 {
        log.append(&of(n)).unwrap();
        if n % 1000 == 500 {
            log.sync().unwrap();
        }
    }
    assert!(log.segments().unwrap().len() > 3);
    // Twice: the second time more is known. Backwards, and with some that are not durable yet, in memory even.
    let lsns: Vec<Lsn> = (1..=3000).rev().chain([5, 5, 3000, 1]).map(lsn).collect();
    for _ in 0..2 {
        for (entry, lsn) in log.get_many(&lsns).unwrap().iter().zip(&lsns) {
            assert_eq!((entry.lsn, &entry.payload[..]), (*lsn, &of(lsn.get())[..]));
            assert_eq!(log.get(*lsn).unwrap(), *entry);
            let len = log.get_with(*lsn, |lent| {
                assert_eq!(
                    (lent.time, lent.kind, lent.payload),
                    (entry.time, entry.kind, &entry.payload[..])
                );
                lent.payload.len()
            });
            assert_eq!(len.unwrap(), entry.payload.len());
        }
        let mut shown = vec![0; lsns.len()];
        log.get_many_with(&lsns, |nth, lent| {
            assert_eq!((lent.lsn, lent.payload), (lsns[nth], &of(lsns[nth].get())[..]));
            shown[nth] += 1;
        })
        .unwrap();
        assert!(shown.iter().all(|times| *times == 1), "each is shown once");
    }
    log.sync().unwrap();
    log.truncate_before(lsn(2000)).unwrap();
    log.truncate_after(lsn(2500)).unwrap();
    for gone in [1, 1999, 2501, 3000] {
        assert!(log.get(lsn(gone)).is_err() && log.get_with(lsn(gone), |_| ()).is_err());
        let among = log.get_many(&[lsn(2000), lsn(gone)]);
        assert!(matches!(among, Err(LogError::Truncated { .. } | LogError::OutOfRange { .. })), "{among:?}");
        let among = log.get_many_with(&[lsn(gone), lsn(2000)], |nth, lent| {
            assert_eq!((nth, lent.lsn), (1, lsn(2000)), "what is gone is not shown");
        });
        assert!(matches!(among, Err(LogError::Truncated { .. } | LogError::OutOfRange { .. })), "{among:?}");
    }
    assert_eq!(log.get_many(&[lsn(2500), lsn(2000)]).unwrap()[0].payload, of(2500));
}

/// Entries whose first eight bytes say when they were appended.
fn edition(payload: &[u8]) -> u64 {
    u64::from_le_bytes(*payload.first_chunk().unwrap())
}

#[test]
fn what_was_cut_off_is_never_seen_again() {
    const LSNS: usize = 4000;
    let dir = tempfile::tempdir().unwrap();
    let sync = SyncPolicy::Background { interval: Duration::from_secs(3600) };
    let log = local(dir.path(), Options { sync, ..small() });
    // Of each entry, the oldest edition that may still be seen.
    let oldest: Vec<AtomicU64> = (0..LSNS).map(|_| AtomicU64::new(0)).collect();
    let (done, next) = (AtomicBool::new(false), AtomicU64::new(1));
    thread::scope(|scope| {
        for reader in 0..2_u64 {
            let (log, oldest, done, next) = (&log, &oldest, &done, &next);
            scope.spawn(move || {
                let mut state = reader;
                while !done.load(Ordering::Acquire) {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407_u64);
                    let at = 1 + (state >> 33) % next.load(Ordering::Acquire);
                    let floor = oldest[at as usize].load(Ordering::Acquire);
                    let seen = if state & 1 << 20 == 0 {
                        log.get(lsn(at)).map(|entry| (entry.lsn, edition(&entry.payload))).ok()
                    } else {
                        log.get_many(&[lsn(at)]).map(|all| (all[0].lsn, edition(&all[0].payload))).ok()
                    };
                    assert!(
                        seen.is_none_or(|(lsn, edition)| lsn.get() == at && edition >= floor),
                        "{seen:?}"
                    );
                }
            });
        }
        let mut number = 0;
        while log.next_lsn().get() < LSNS as u64 - 100 {
            for _ in 0..100 {
                number += 1;
                let record = [&u64::to_le_bytes(number)[..], &[3; 92]].concat();
                next.store(log.append(&record).unwrap().get(), Ordering::Release);
            }
            log.sync().unwrap();
            let end = log.next_lsn().get();
            let cut = end - 1 - number % 60;
            log.truncate_after(lsn(cut)).unwrap();
            for at in cut + 1..end {
                oldest[at as usize].store(number + 1, Ordering::Release);
            }
            if number % 1000 == 0 {
                log.truncate_before(lsn(cut / 2)).unwrap();
            }
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn many_entries_are_of_one_history() {
    const LSNS: u64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let sync = SyncPolicy::Background { interval: Duration::from_secs(3600) };
    let log = local(dir.path(), Options { sync, ..small() });
    let (done, compared) = (AtomicBool::new(false), AtomicU64::new(0));
    let lsns: Vec<Lsn> = (2..=LSNS).map(lsn).collect();
    log.append(&[0; 8]).unwrap();
    let owned = || -> Result<Vec<u64>, LogError> {
        Ok(log.get_many(&lsns)?.iter().map(|entry| edition(&entry.payload)).collect())
    };
    let lent = || {
        let mut editions = Vec::new();
        log.get_many_with(&lsns, |_, entry| editions.push(edition(entry.payload))).map(|()| editions)
    };
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            for round in 0_u64.. {
                if done.load(Ordering::Acquire) {
                    break;
                }
                match if round.is_multiple_of(2) { owned() } else { lent() } {
                    Ok(editions) => {
                        let (oldest, newest) = (editions.iter().min(), editions.iter().max());
                        assert_eq!(
                            (oldest, editions.len()),
                            (newest, lsns.len()),
                            "entries of two histories"
                        );
                        compared.fetch_add(1, Ordering::AcqRel);
                    }
                    Err(LogError::CutOff { .. } | LogError::OutOfRange { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let mut number = 0;
        while !reader.is_finished() && (number < 200 || compared.load(Ordering::Acquire) < 20) {
            number += 1_u64;
            log.truncate_after(Lsn::FIRST).unwrap();
            for _ in 2..=LSNS {
                log.append(&number.to_le_bytes()).unwrap();
            }
            if number % 2 == 0 {
                log.sync().unwrap();
            }
        }
        done.store(true, Ordering::Release);
    });
}

/// How many descriptors of this process are of files in a directory.
#[cfg(target_os = "linux")]
fn open_files(dir: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    links.filter_map(|link| fs::read_link(link.path()).ok()).filter(|to| to.starts_with(dir)).count()
}

#[test]
#[cfg(target_os = "linux")]
fn segments_sealed_long_ago_are_closed_until_they_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let sync = SyncPolicy::Background { interval: Duration::from_secs(3600) };
    let log = local(dir.path(), Options { background_threads: false, sync, ..small() });
    for n in 1..=12_000 {
        log.append(&payload(n)).unwrap();
        if n % 100 == 0 {
            log.maintain().unwrap();
        }
    }
    let (open, segments) = (open_files(dir.path()), log.segments().unwrap().len());
    assert!(segments > 25 && open < 15, "{open} files are open of {segments} segments");
    crate::support::check(&log, 1, 12_001);
}
