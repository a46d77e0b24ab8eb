//! Entries that share a frame with others, or have more than bytes, are found in every way like all others.

use std::{ops::Range, sync::Arc};

use proptest::prelude::*;
use wal_compress::{CodecId, Compression};
use wal_core::{
    AppendOptions, Durability, Entry, EntryRef, Iter, Log, LogError, Options, RecoveryMode, user_value,
};
use wal_format::{EntriesBuilder, FileName, FrameHeader, Lsn, NewEntry};
use wal_segment::{LocalOptions, LocalStorage, MemoryStorage, Storage};

use crate::{
    damage::files,
    hostile::{forge, frames, quiet, read},
    support::{environment, open, payload, small},
};

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

/// What was appended, without what the log adds.
type Told = (u64, u8, Option<u64>, Option<i64>, Option<[u8; 16]>, Vec<u8>);

fn told(entry: &Entry) -> Told {
    let Entry { lsn, kind, term, timestamp, transaction, payload, .. } = entry;
    (lsn.get(), *kind, *term, *timestamp, *transaction, payload.to_vec())
}

/// The same without the transaction, which is not lent.
fn lent(entry: &EntryRef<'_>) -> Told {
    let EntryRef { lsn, kind, term, timestamp, payload, .. } = *entry;
    (lsn.get(), kind, term, timestamp, None, payload.to_vec())
}

fn without_transaction(told: &Told) -> Told {
    let mut told = told.clone();
    told.4 = None;
    told
}

/// Appends single entries and batches of all kinds, and tells what they are.
fn fill(log: &Log, rounds: u64) -> Vec<Told> {
    let mut all: Vec<Told> = vec![];
    for round in 0..rounds {
        let mut batch = EntriesBuilder::default();
        let count = match round % 8 {
            0..=2 => 1,
            3 => 40,
            _ => 2 + round % 9,
        };
        let transaction = (round % 8 == 5).then_some([round as u8; 16]);
        for n in 0..count {
            let bytes = payload(round * 50 + n);
            let rich = round % 8 >= 6 || round % 8 == 1;
            let term = (rich && n % 3 != 1).then_some(round);
            let timestamp = (rich && n % 2 == 0).then_some(-(n as i64));
            let kind = if round % 8 == 2 || rich { n as u8 + 1 } else { 0 };
            batch.push(&NewEntry { kind, term, timestamp, ..NewEntry::plain(&bytes) }).unwrap();
            all.push((all.len() as u64 + 1, kind, term, timestamp, transaction, bytes));
        }
        if let Some(id) = transaction {
            batch.set_transaction(id);
        }
        if round % 8 == 7 {
            batch.add_metadata(&user_value("round", Some(&round.to_le_bytes())).unwrap());
        }
        let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
        log.append_batch(&batch, &buffered).unwrap();
    }
    all
}

/// Runs a test on logs in memory and in mapped files, compressed in part or not, whose ends are not durable, then
/// durable, then read by somebody else.
fn on_each(rounds: u64, test: impl Fn(&Log, &[Told])) {
    let compressed =
        Compression { codec: CodecId::ZSTD, min_len: 600, pack_len: 0, ..Compression::default() };
    for compression in [Compression::default(), compressed] {
        let dir = tempfile::tempdir().unwrap();
        let files = LocalStorage::open(dir.path(), LocalOptions::default()).unwrap();
        let storages: [Arc<dyn Storage>; 2] = [Arc::new(MemoryStorage::new()), Arc::new(files)];
        for storage in storages {
            let log = open(&storage, &Options { compression: compression.clone(), ..small() }).unwrap();
            let mut all = fill(&log, rounds / 2);
            log.sync().unwrap();
            let first = all.len() as u64;
            all.extend(fill(&log, rounds / 3).into_iter().map(|mut told| {
                told.0 += first;
                told
            }));
            test(&log, &all);
            log.sync().unwrap();
            // The second time more is known.
            test(&log, &all);
            test(&log, &all);
            test(&Log::open_read_only(environment(storage), small()).unwrap(), &all);
        }
    }
}

#[test]
fn they_are_found_in_every_way() {
    on_each(240, |log, all| {
        assert!(log.segments().unwrap().len() > 1);
        let lsns: Vec<Lsn> = (0..all.len()).map(|n| lsn(1 + (n * 37 % all.len()) as u64)).collect();
        let of = |lsn: Lsn| &all[lsn.get() as usize - 1];
        for (entry, lsn) in log.get_many(&lsns).unwrap().iter().zip(&lsns) {
            assert_eq!(told(entry), *of(*lsn));
            assert_eq!(log.get(*lsn).unwrap(), *entry);
            log.get_with(*lsn, |entry| assert_eq!(lent(&entry), without_transaction(of(*lsn)))).unwrap();
        }
        let mut shown = vec![0; lsns.len()];
        log.get_many_with(&lsns, |nth, entry| {
            assert_eq!(lent(&entry), without_transaction(of(lsns[nth])));
            shown[nth] += 1;
        })
        .unwrap();
        assert!(shown.iter().all(|times| *times == 1), "each is shown once");
        let forwards: Vec<Told> = log.range(..).map(|entry| told(&entry.unwrap())).collect();
        assert_eq!(forwards, all);
        let mut backwards: Vec<Told> = log.range(..).rev().map(|entry| told(&entry.unwrap())).collect();
        backwards.reverse();
        assert_eq!(backwards, all);
    });
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Next(bool),
    Back(bool),
    Seek(u64),
    SeekBack(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Next),
        4 => any::<bool>().prop_map(Step::Back),
        1 => any::<u64>().prop_map(Step::Seek),
        1 => any::<u64>().prop_map(Step::SeekBack),
    ]
}

/// What an iterator gives, and what it should: its range and both ends, as indices.
fn walk(entries: &mut Iter, all: &[Told], (start, end): (usize, usize), steps: &[Step]) {
    let (mut front, mut back) = (start, end);
    let near = |at: u64, here: usize| match at % 3 {
        // Near the end that is moved, which may be in the same frame, or anywhere.
        0 => (here + (at / 3 % 40) as usize).saturating_sub(20),
        _ => (at / 3) as usize % (all.len() + 2),
    };
    for step in steps {
        match *step {
            Step::Next(true) => {
                let found = entries.next_ref().map(|entry| lent(&entry.unwrap()));
                assert_eq!(found, (front < back).then(|| without_transaction(&all[front])));
                front += usize::from(front < back);
            }
            Step::Next(false) => {
                let found = entries.next().map(|entry| told(&entry.unwrap()));
                assert_eq!(found, (front < back).then(|| all[front].clone()));
                front += usize::from(front < back);
            }
            Step::Back(true) => {
                let found = entries.next_back_ref().map(|entry| lent(&entry.unwrap()));
                assert_eq!(found, (front < back).then(|| without_transaction(&all[back - 1])));
                back -= usize::from(front < back);
            }
            Step::Back(false) => {
                let found = entries.next_back().map(|entry| told(&entry.unwrap()));
                assert_eq!(found, (front < back).then(|| all[back - 1].clone()));
                back -= usize::from(front < back);
            }
            Step::Seek(at) => {
                let to = near(at, front);
                entries.seek(lsn(1 + to as u64));
                front = to.clamp(start, back.max(start));
            }
            Step::SeekBack(at) => {
                let to = near(at, back);
                entries.seek_back(lsn(1 + to as u64));
                back = (to + 1).clamp(front.min(end), end);
            }
        }
    }
}

#[test]
fn an_iterator_gives_them_from_both_ends_wherever_it_is_sent() {
    let walks =
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(step(), 1..200));
    on_each(60, |log, all| {
        let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |((start, end, steps) in &walks)| {
            let (start, end) = (start.index(all.len()), end.index(all.len() + 1));
            let end = if start % 2 == 0 { all.len() } else { end.max(start) };
            let mut entries = log.range(lsn(1 + start as u64)..lsn(1 + end as u64));
            walk(&mut entries, all, (start, end), &steps);
        });
    });
}

#[test]
fn columns_that_contradict_themselves_are_an_error_with_a_place() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&memory, &quiet()).unwrap();
    let batch = |log: &Log| {
        let mut batch = EntriesBuilder::default();
        (0..4).for_each(|n| batch.push(&NewEntry::plain(&payload(n))).unwrap());
        log.append_batch(&batch, &AppendOptions::default()).unwrap();
    };
    (0..5).for_each(|_| batch(&log));
    // What the newest segment says of itself is looked at when the log is opened.
    let last = loop {
        let last = log.append(&[7; 5000]).unwrap().get();
        if log.segments().unwrap().len() > 2 {
            break last;
        }
    };
    drop(log);
    let good = files(&*memory);
    let (name, bytes) = good.iter().find(|(name, _)| name.ends_with(".wal")).unwrap();
    let mut batches = frames(bytes).into_iter().filter(|(_, frame)| frame.count > 1);
    let (at, _) = batches.nth(2).unwrap();
    // In the third batch, entries 9 to 12: the second ends before it begins, or there is no room for so many.
    type Forgery = fn(&mut FrameHeader, &mut [u8]);
    let ends: Forgery = |_, body| body[4..8].copy_from_slice(&1_u32.to_le_bytes());
    let count: Forgery = |frame, _| frame.count = 200;
    for (what, forgery, first_bad) in [("ends", ends, 10), ("count", count, 9)] {
        let mut files = good.clone();
        forge(files.get_mut(name).unwrap(), at, forgery);
        let log = read(&files, RecoveryMode::Refuse).unwrap();
        let refused = |how: &str, error: Option<LogError>| match error {
            Some(LogError::Undecodable { ref path, offset, .. }) => {
                assert!(path.ends_with(name) && offset == at as u64, "{what} {how} {path} {offset}");
            }
            other => panic!("{what} {how}: {other:?}"),
        };
        let bad = lsn(first_bad);
        refused("get", log.get(bad).err());
        refused("get_with", log.get_with(bad, |_| ()).err());
        refused("get_many", log.get_many(&[lsn(1), bad]).err());
        refused("get_many_with", log.get_many_with(&[bad], |_, _| ()).err());
        let mut entries = log.range(..);
        (1..first_bad).for_each(|n| assert_eq!(entries.next().unwrap().unwrap().lsn, lsn(n), "{what}"));
        refused("next", entries.next().unwrap().err());
        assert!(entries.next().is_none() && entries.next_back().is_none(), "an error ends it");
        let mut entries = log.range(..);
        (1..first_bad).for_each(|n| assert_eq!(entries.next_ref().unwrap().unwrap().lsn, lsn(n), "{what}"));
        refused("next_ref", entries.next_ref().unwrap().err());
        assert!(entries.next_ref().is_none(), "an error ends it");
        let mut entries = log.range(..);
        let last_bad = if what == "ends" { 10 } else { 12 };
        (last_bad + 1..=last)
            .rev()
            .for_each(|n| assert_eq!(entries.next_back().unwrap().unwrap().lsn, lsn(n), "{what}"));
        refused("next_back", entries.next_back().unwrap().err());
        assert!(entries.next_back().is_none(), "an error ends it");
        let mut entries = log.range(..);
        (last_bad + 1..=last)
            .rev()
            .for_each(|n| assert_eq!(entries.next_back_ref().unwrap().unwrap().lsn, lsn(n), "{what}"));
        refused("next_back_ref", entries.next_back_ref().unwrap().err());
    }
}

#[test]
fn what_was_read_last_is_still_that_after_reading_on_failed() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let options = Options { segment_len: 4 << 20, first_segment_len: 4 << 20, ..quiet() };
    let log = open(&memory, &options).unwrap();
    let of = |n: u64| vec![n as u8; 50];
    // The 6th is longer than what is read at once, and damaged. Around it are batches of four, and single ones.
    let batch = |first: u64| {
        let mut batch = EntriesBuilder::default();
        (first..first + 4).for_each(|n| batch.push(&NewEntry::plain(&of(n))).unwrap());
        log.append_batch(&batch, &AppendOptions::default()).unwrap();
    };
    log.append(&of(1)).unwrap();
    batch(2);
    log.append(&vec![6; 300 << 10]).unwrap();
    batch(7);
    log.append(&of(11)).unwrap();
    let damaged = log.headers(lsn(6), lsn(7)).next().unwrap().unwrap();
    drop(log);
    let mut files = files(&*memory);
    let name = FileName::Segment(damaged.segment).with_prefix("");
    files.get_mut(&name).unwrap()[damaged.offset as usize + 50] ^= 1;

    let log = read(&files, RecoveryMode::Refuse).unwrap();
    let mut entries = log.range(..);
    (1..=5).for_each(|n| assert_eq!(entries.next().unwrap().unwrap().payload, of(n)));
    assert!(entries.next().unwrap().unwrap_err().is_damage());
    for n in [3, 5, 2, 1] {
        entries.seek(lsn(n));
        assert_eq!(entries.next_ref().unwrap().unwrap().payload, of(n), "{n}");
    }
    let mut entries = log.range(..);
    (7..=11).rev().for_each(|n| assert_eq!(entries.next_back().unwrap().unwrap().payload, of(n)));
    assert!(entries.next_back().unwrap().unwrap_err().is_damage());
    for n in [9, 7, 10, 11] {
        entries.seek_back(lsn(n));
        assert_eq!(entries.next_back_ref().unwrap().unwrap().payload, of(n), "{n}");
    }
}

/// A log with one batch, the entries 1 to 10: each is its number, ten times.
fn ten() -> Log {
    let log = open(&(Arc::new(MemoryStorage::new()) as Arc<dyn Storage>), &quiet()).unwrap();
    let mut batch = EntriesBuilder::default();
    (1..=10).for_each(|n| batch.push(&NewEntry::plain(&[n; 10])).unwrap());
    log.append_batch(&batch, &AppendOptions::default()).unwrap();
    log
}

#[test]
fn nothing_was_passed_once_an_iterator_was_sent_elsewhere() {
    let log = ten();
    let mut entries = log.range(..);
    assert_eq!(entries.next_ref().unwrap().unwrap().payload, [1; 10]);
    assert!(entries.pass());
    assert_eq!(entries.passed().unwrap().payload, [2; 10]);
    entries.seek(lsn(8));
    assert_eq!(entries.passed(), None, "entry 7 was not passed");
    assert!(entries.pass());
    assert_eq!(entries.passed().unwrap().payload, [8; 10]);

    let mut entries = log.range(..);
    assert_eq!(entries.next_back_ref().unwrap().unwrap().payload, [10; 10]);
    assert!(entries.pass_back());
    assert_eq!(entries.passed_back().unwrap().payload, [9; 10]);
    entries.seek_back(lsn(4));
    assert_eq!(entries.passed_back(), None, "entry 5 was not passed");
    assert_eq!(entries.next_back_ref().unwrap().unwrap().payload, [4; 10]);
    assert!(entries.pass_back());
    assert_eq!(entries.passed_back().unwrap().payload, [3; 10]);
}

#[test]
fn a_batch_that_claims_entries_of_the_next_segment_is_not_asked_for_them() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&memory, &quiet()).unwrap();
    let mut batch = EntriesBuilder::default();
    (0..4).for_each(|n| batch.push(&NewEntry::plain(&[n; 100])).unwrap());
    (0..200).for_each(|_| {
        log.append_batch(&batch, &AppendOptions::default()).unwrap();
    });
    let all: Vec<Entry> = log.range(..).map(Result::unwrap).collect();
    let base = log.segments().unwrap()[1].base.get();
    drop(log);
    let mut files = files(&*memory);
    files.retain(|name, _| name.ends_with(".wal"));
    // The last batch of the first segment says that it holds six.
    let bytes = files.first_entry().unwrap().into_mut();
    let (at, _) = frames(bytes).into_iter().rfind(|(_, frame)| frame.count == 4).unwrap();
    forge(bytes, at, |frame, body| {
        frame.count = 6;
        let len = u32::try_from(body.len()).unwrap() - 24;
        for (n, end) in body.chunks_exact_mut(4).take(6).enumerate() {
            end.copy_from_slice(&(len / 6 * (n as u32 + 1)).min(len).to_le_bytes());
        }
        body[20..24].copy_from_slice(&len.to_le_bytes());
    });
    let log = read(&files, RecoveryMode::Refuse).unwrap();
    for start in [1, base - 1, base - 3] {
        let behind = log.range(lsn(start)..).map(Result::unwrap).filter(|entry| entry.lsn.get() >= base);
        assert!(behind.eq(all[base as usize - 1..].iter().cloned()), "from {start}");
    }
    let back = log.range(..).rev().map(Result::unwrap).take_while(|entry| entry.lsn.get() >= base);
    assert!(back.eq(all[base as usize - 1..].iter().rev().cloned()));
    assert_eq!(log.get(lsn(base)).unwrap(), all[base as usize - 1]);
    let mut entries = log.range(..);
    for n in [base - 1, base, base + 1, base - 1, base] {
        entries.seek(lsn(n));
        let given = entries.next().unwrap().unwrap();
        assert!(n < base || given == all[n as usize - 1], "{n}");
    }
    entries.seek(lsn(1));
    for n in [base, base - 1, base, base + 1] {
        entries.seek_back(lsn(n));
        let given = entries.next_back().unwrap().unwrap();
        assert!(n < base || given == all[n as usize - 1], "{n}");
    }
}

/// What is forged, in words, and what may be given of the frame for it: nothing is known of these entries any more.
fn forge_somehow(bytes: &mut [u8], at: usize, random: &mut impl FnMut(u64) -> u64) -> (String, Range<u64>) {
    let (mut what, mut claimed) = (String::new(), 0..0);
    forge(bytes, at, |frame, body| {
        let before = *frame;
        let small = random(9) as u32;
        match random(9) {
            0 => frame.count = frame.count.wrapping_add(small).max(1),
            1 => frame.count = frame.count.saturating_sub(small).max(1),
            2 => frame.count = u32::MAX >> random(32),
            3 => frame.columns = random(64) as u8,
            4 => frame.prev_units = (random(1 << 12) as u32).max(1),
            5 => frame.prev_units = frame.prev_units.wrapping_add(small).wrapping_sub(4).max(1),
            6 => frame.lsn_delta = frame.lsn_delta.wrapping_add(small).wrapping_sub(4),
            7 => frame.codec = random(4) as u8,
            _ => {}
        }
        if random(2) == 0 && !body.is_empty() {
            for _ in 0..=small {
                body[random(body.len().min(60) as u64) as usize] = random(256) as u8;
            }
        }
        let all = [before.lsn_delta, frame.lsn_delta].map(u64::from);
        claimed = all[0].min(all[1])..(all[0] + u64::from(before.count)).max(all[1] + u64::from(frame.count));
        what = format!("{before:?} became {frame:?}");
    });
    (what, claimed)
}

#[test]
fn forged_frames_change_no_other_entries() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let compressed =
        Compression { codec: CodecId::ZSTD, min_len: 600, pack_len: 0, ..Compression::default() };
    let log = open(&memory, &Options { compression: compressed, ..quiet() }).unwrap();
    let all = fill(&log, 260);
    assert!(log.segments().unwrap().len() > 1);
    let second = log.segments().unwrap()[1].base.get();
    drop(log);
    let mut good = files(&*memory);
    good.retain(|name, _| name.ends_with(".wal"));
    let bytes = good.first_entry().unwrap().get().clone();
    let of_entries: Vec<usize> =
        frames(&bytes).into_iter().filter(|(_, frame)| frame.count > 0).map(|(at, _)| at).collect();
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below.max(1)
    };
    for _ in 0..400 {
        let mut files = good.clone();
        let at = of_entries[random(of_entries.len() as u64) as usize];
        let (what, claimed) = forge_somehow(files.first_entry().unwrap().into_mut(), at, &mut random);
        let Ok(log) = read(&files, RecoveryMode::Refuse) else { continue };
        let claimed = claimed.start + 1..(claimed.end + 1).min(second);
        let is = |entry: &EntryRef<'_>, n: u64, how: &str| {
            assert_eq!(entry.lsn.get(), n, "{how}: {what}");
            let same = lent(entry) == without_transaction(&all[n as usize - 1]);
            assert!(same || claimed.contains(&n), "{how} {n}: {what}");
        };
        for n in claimed.start.saturating_sub(3).max(1)..(claimed.end + 3).min(all.len() as u64) {
            let _ = log.get_with(lsn(n), |entry| is(&entry, n, "get"));
            if let Ok(entries) = log.get_many(&[lsn(n), lsn(1)]) {
                assert_eq!(entries[0].lsn, lsn(n), "{what}");
            }
        }
        let end = all.len() as u64 + 1;
        let mut entries = log.range(..);
        let (mut front, mut back) = (1, end);
        for _ in 0..300 {
            let near = (claimed.start + random(claimed.end.min(second) - claimed.start + 8))
                .saturating_sub(4)
                .max(1);
            let (item, n, how) = match random(6) {
                0 => {
                    entries.seek(lsn(near));
                    front = near.clamp(1, back);
                    continue;
                }
                1 => {
                    entries.seek_back(lsn(near));
                    back = (near + 1).clamp(front, end);
                    continue;
                }
                2 | 3 => (entries.next_ref(), front, "next"),
                _ => (entries.next_back_ref(), back - 1, "next_back"),
            };
            match item {
                None => {
                    assert!(front >= back, "{how} {n}: {what}");
                    (front, back) = (1, end);
                    entries = log.range(..);
                }
                Some(Ok(entry)) => {
                    is(&entry, n, how);
                    if how == "next" { front += 1 } else { back -= 1 }
                }
                Some(Err(_)) => (front, back) = (entries.front().get(), entries.back().get()),
            }
        }
        let forwards = log.range(..).map_while(Result::ok).count();
        let backwards = log.range(..).rev().map_while(Result::ok).count();
        assert!(forwards.max(backwards) <= all.len(), "{what}");
    }
}
