//! Append, read, rotate, reopen.

use std::time::Duration;

use wal_core::{AppendOptions, Log, LogError, Options, SyncPolicy};
use wal_format::{ChecksumKind, EntriesBuilder, Lsn, NewEntry};

use crate::support::{check, environment, on_all, open, payload, small};

fn fill(log: &Log, from: u64, to: u64) {
    for n in from..to {
        assert_eq!(log.append(&payload(n)).unwrap().get(), n);
    }
}

#[test]
fn what_was_appended_is_read_back_before_and_after_reopening() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        fill(&log, 1, 1000);
        check(&log, 1, 1000);
        assert!(log.segments().unwrap().len() > 2, "several segments");
        drop(log);
        let log = open(&storage, &small()).unwrap();
        assert!(log.recovery_report().clean, "{:?}", log.recovery_report());
        check(&log, 1, 1000);
        fill(&log, 1000, 1200);
        check(&log, 1, 1200);
        log.close().unwrap();
        log.close().unwrap();
        assert!(matches!(log.append(b"late"), Err(LogError::Closed)));
    });
}

#[test]
fn every_policy_shows_its_entries_at_once_and_keeps_them_over_a_close() {
    let interval = Duration::from_millis(5);
    for sync in [SyncPolicy::Always, SyncPolicy::OsCache { interval }, SyncPolicy::Background { interval }] {
        on_all(|storage| {
            let options = Options { sync, ..small() };
            let log = open(&storage, &options).unwrap();
            for n in 1..500 {
                let lsn = log.append(&payload(n)).unwrap();
                assert_eq!(log.get(lsn).unwrap().payload, payload(n));
            }
            check(&log, 1, 500);
            log.sync().unwrap();
            assert_eq!(log.durable_lsn(), Lsn::new(499));
            drop(log);
            check(&open(&storage, &options).unwrap(), 1, 500);
        });
    }
}

#[test]
fn short_runs_leave_no_trail_of_files() {
    on_all(|storage| {
        for n in 1..50 {
            let log = open(&storage, &small()).unwrap();
            check(&log, 1, n);
            fill(&log, n, n + 1);
        }
        let log = open(&storage, &small()).unwrap();
        assert!(log.segments().unwrap().len() <= 2);
        drop(log);
        assert!(storage.list().unwrap().len() < 6, "{:?}", storage.list());
    });
}

#[test]
fn opening_without_appending_changes_nothing() {
    on_all(|storage| {
        fill(&open(&storage, &small()).unwrap(), 1, 20);
        let before = storage.list().unwrap();
        for _ in 0..3 {
            check(&open(&storage, &small()).unwrap(), 1, 20);
        }
        let mut after = storage.list().unwrap();
        let mut before = before;
        before.sort();
        after.sort();
        assert_eq!(before, after);
    });
}

#[test]
fn batches_and_large_entries() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        let mut batch = EntriesBuilder::default();
        for n in 1..100 {
            batch.push(&NewEntry { kind: n as u8, term: Some(n), ..NewEntry::plain(&payload(n)) }).unwrap();
        }
        let (first, last) = log.append_batch(&batch, &AppendOptions::default()).unwrap();
        assert_eq!((first.get(), last.get()), (1, 99));
        check(&log, 1, 100);
        assert_eq!(log.get(Lsn::new(7).unwrap()).unwrap().term, Some(7));
        let large = vec![7; 1 << 20];
        let lsn = log.append(&large).unwrap();
        assert_eq!(log.get(lsn).unwrap().payload, large);
        let wrong = AppendOptions { expected: Lsn::new(5), ..AppendOptions::default() };
        let conflict = log.append_entry(&NewEntry::plain(b"x"), &wrong);
        assert!(matches!(conflict, Err(LogError::Conflict { next, .. }) if next.get() == 101));
        log.append(b"").unwrap();
        drop(log);
        let log = open(&storage, &small()).unwrap();
        assert_eq!(log.get(lsn).unwrap().payload, large);
        assert_eq!(log.get(lsn.next()).unwrap().payload, b"".as_slice());
        assert_eq!(log.get(Lsn::new(99).unwrap()).unwrap().kind, 99);
    });
}

#[test]
fn truncation_both_ways() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        fill(&log, 1, 1000);
        let lsn = |n| Lsn::new(n).unwrap();
        log.truncate_before(lsn(300)).unwrap();
        check(&log, 300, 1000);
        assert!(matches!(log.get(lsn(299)), Err(LogError::Truncated { .. })));
        log.truncate_after(lsn(700)).unwrap();
        check(&log, 300, 701);
        fill(&log, 701, 750);
        check(&log, 300, 750);
        drop(log);
        let log = open(&storage, &small()).unwrap();
        check(&log, 300, 750);
        log.truncate_after(lsn(400)).unwrap();
        check(&log, 300, 401);
        drop(log);
        let log = open(&storage, &small()).unwrap();
        check(&log, 300, 401);
        log.clear().unwrap();
        check(&log, 401, 401);
        assert_eq!(log.first_lsn(), None);
        fill(&log, 401, 410);
        drop(log);
        let log = open(&storage, &small()).unwrap();
        check(&log, 401, 410);
        log.truncate_from(lsn(401)).unwrap();
        check(&log, 401, 401);
    });
}

#[test]
fn a_cut_through_a_batch_keeps_its_first_part() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        let mut batch = EntriesBuilder::default();
        for n in 1..100 {
            batch.push(&NewEntry::plain(&payload(n))).unwrap();
        }
        log.append_batch(&batch, &AppendOptions::default()).unwrap();
        log.truncate_after(Lsn::new(42).unwrap()).unwrap();
        check(&log, 1, 43);
        drop(log);
        check(&open(&storage, &small()).unwrap(), 1, 43);
    });
}

#[test]
fn tickets_in_all_their_ways() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        let ticket = log.submit(&NewEntry::plain(&payload(1)), None).unwrap();
        assert_eq!(log.get(ticket.lsn()).unwrap().payload, payload(1));
        ticket.wait().unwrap();
        assert!(ticket.is_durable());
        let ticket = log.submit(&NewEntry::plain(&payload(2)), None).unwrap();
        assert!(ticket.wait_timeout(Duration::from_secs(60)).unwrap());
        let (sender, receiver) = std::sync::mpsc::channel();
        let ticket = log.submit(&NewEntry::plain(&payload(3)), None).unwrap();
        ticket.on_durable(move |outcome| sender.send(outcome.is_ok()).unwrap());
        assert!(receiver.recv().unwrap());
        check(&log, 1, 4);
    });
}

#[test]
fn many_threads_share_syncs_and_nothing_is_lost() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                let log = &log;
                scope.spawn(move || {
                    for n in 0..200_u64 {
                        let lsn = log.append(format!("{thread} {n}").as_bytes()).unwrap();
                        assert!(log.durable_lsn().unwrap() >= lsn, "acknowledged before durable");
                    }
                });
            }
        });
        drop(log);
        let log = open(&storage, &small()).unwrap();
        let mut seen = [0_u64; 8];
        for entry in log.range(..) {
            let entry = entry.unwrap();
            let text = std::str::from_utf8(&entry.payload).unwrap();
            let (thread, n) = text.split_once(' ').unwrap();
            let thread: usize = thread.parse().unwrap();
            assert_eq!(seen[thread], n.parse::<u64>().unwrap(), "each thread's entries keep their order");
            seen[thread] += 1;
        }
        assert_eq!(seen, [200; 8]);
    });
}

#[test]
fn one_writer_and_readers_beside_it() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        assert!(matches!(open(&storage, &small()), Err(LogError::Locked { .. })));
        let missing = Log::open_read_only(environment(storage.clone()), small());
        assert!(matches!(missing, Err(LogError::MissingLog { .. })));
        fill(&log, 1, 500);
        let reader = Log::open_read_only(environment(storage.clone()), small()).unwrap();
        check(&reader, 1, 500);
        assert!(matches!(reader.append(b"no"), Err(LogError::ReadOnly)));
        fill(&log, 500, 510);
        assert_eq!(reader.next_lsn().get(), 500, "a reader sees the log as it was opened");
        reader.refresh().unwrap();
        check(&reader, 1, 510);
        let early = Log::open_read_only(environment(storage.clone()), small()).unwrap();
        log.truncate_before(Lsn::new(400).unwrap()).unwrap();
        fill(&log, 510, 520);
        drop(log);
        // Files that the reader has not opened yet are gone; what is still part of the log is found all the same.
        assert_eq!(early.get(Lsn::new(505).unwrap()).unwrap().payload, payload(505));
        assert!(early.get(Lsn::new(1).unwrap()).is_err());
    });
}

#[test]
fn sidecars_are_hints() {
    on_all(|storage| {
        for (round, damage) in [0_u8, 1, 2].into_iter().enumerate() {
            let from = round as u64 * 500 + 1;
            fill(&open(&storage, &small()).unwrap(), from, from + 500);
            let log = open(&storage, &small()).unwrap();
            log.truncate_before(Lsn::new(from / 2 + 1).unwrap()).unwrap();
            drop(log);
            let indexes: Vec<String> =
                storage.list().unwrap().into_iter().filter(|name| name.ends_with(".idx")).collect();
            assert!(indexes.len() > 1, "{indexes:?}");
            for name in indexes {
                let mut bytes = vec![0; 1 << 20];
                let read = storage.open(&name).unwrap().read_at(0, &mut bytes).unwrap();
                storage.remove(&name).unwrap();
                if damage > 0 {
                    bytes.truncate(read);
                    bytes[60 * usize::from(damage) % read] ^= 0x10;
                    storage.create(&name).unwrap().write_at(0, &bytes).unwrap();
                }
            }
            let log = open(&storage, &small()).unwrap();
            assert!(log.recovery_report().clean);
            check(&log, from / 2 + 1, from + 500);
        }
    });
}

#[test]
fn an_iterator_survives_the_segment_it_has_not_read_yet() {
    on_all(|storage| {
        fill(&open(&storage, &small()).unwrap(), 1, 20);
        let log = open(&storage, &small()).unwrap();
        let (mut forward, mut backward) = (log.range(..), log.range(..));
        // The first append copies the small segment and removes its file.
        fill(&log, 20, 21);
        assert_eq!(forward.next().unwrap().unwrap().payload, payload(1));
        assert_eq!(backward.next_back().unwrap().unwrap().payload, payload(19));
        assert_eq!(
            forward.map(|entry| entry.unwrap().lsn.get()).collect::<Vec<_>>(),
            (2..20).collect::<Vec<_>>()
        );
    });
}

#[test]
fn damage_in_a_small_closed_segment_is_found_at_open() {
    on_all(|storage| {
        fill(&open(&storage, &small()).unwrap(), 1, 20);
        let name = storage.list().unwrap().into_iter().find(|name| name.ends_with(".wal")).unwrap();
        let mut bytes = vec![0; 64 << 10];
        storage.open(&name).unwrap().read_at(0, &mut bytes).unwrap();
        bytes[1000] ^= 1;
        storage.remove(&name).unwrap();
        storage.create(&name).unwrap().write_at(0, &bytes).unwrap();
        assert!(matches!(open(&storage, &small()), Err(LogError::Lost { .. })));
    });
}

#[test]
fn what_is_carried_into_a_segment_of_another_checksum_has_that_one() {
    // Without the feature there is only one.
    if !ChecksumKind::Crc32c.is_available() {
        return;
    }
    on_all(|storage| {
        let kinds = [ChecksumKind::Crc32, ChecksumKind::Crc32c, ChecksumKind::Crc32c, ChecksumKind::Crc32];
        for (checksum, first) in kinds.into_iter().zip((1..).step_by(10)) {
            let log = open(&storage, &Options { checksum, ..small() }).unwrap();
            fill(&log, first, first + 10);
            check(&log, 1, first + 10);
        }
        check(&Log::open_read_only(environment(storage), small()).unwrap(), 1, 41);
    });
}
