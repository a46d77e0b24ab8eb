//! Salvaging, examining and repairing a directory in which anything may have happened to any file.
//!
//! What is salvaged was appended (where frames were forged: stands in the files), is in ascending order, and is not
//! said to be lost; the ranges that are lost are in order and do not overlap; examining sees the same. A plan changes
//! nothing; what is done by it is what was planned, and every byte is then in its place or in quarantine. A log that
//! was cut at its damage has none, and opens.
#![no_main]

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use libfuzzer_sys::fuzz_target;
use memchr::memmem;
use wal_compress::{CodecId, Codecs};
use wal_core::{Entry, Finding, LogError, RepairOptions, examine, repair, salvage};
use wal_format::{FRAME_HEADER_LEN, Lsn};
use wal_fuzz::directory::{
    CODECS, Files, Input, empty, environment, files, open, options, storage, was_appended,
};

fuzz_target!(|input: Input| {
    let is_forged = input.is_forged();
    let before = input.files();
    let storage = storage(&before);
    let codecs = CODECS.clone();
    let mut found: Vec<Entry> = Vec::new();
    let report = salvage(Arc::clone(&storage), codecs.clone(), &options(), |entries| {
        found.extend_from_slice(entries);
        ControlFlow::Continue(())
    });
    let seen = examine(Arc::clone(&storage), codecs.clone(), &options());
    match (&report, &seen) {
        (Ok(report), Ok(seen)) => {
            assert_eq!((report.entries, found.len() as u64), (seen.entries, seen.entries));
            assert_eq!(report.first, found.first().map(|entry| entry.lsn));
            assert_eq!(report.last, found.last().map(|entry| entry.lsn));
            check_lost(&found, &report.damage);
            assert!(found.is_sorted_by(|a, b| a.lsn < b.lsn), "out of order");
            found.retain(|entry| !was_appended(entry.lsn, &entry.payload));
            assert!(is_forged || found.is_empty(), "{found:?} was never appended");
            check_stands(&found, &before, &codecs);
        }
        (report, seen) => assert_eq!(report.is_err(), seen.is_err(), "{report:?} {seen:?}"),
    }
    check_repair(&before, false, is_forged);
    check_repair(&before, true, is_forged);
    assert!(sorted(&files(&*storage)) == sorted(&before), "looking changed something");
});

fn sorted(files: &Files) -> BTreeMap<&str, &[u8]> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
}

/// What somebody forged is in the files at least.
fn check_stands(found: &[Entry], files: &Files, codecs: &Codecs) {
    if found.is_empty() {
        return;
    }
    let bodies = decompressed(files, codecs);
    for entry in found {
        let payload = memmem::Finder::new(&entry.payload);
        let mut places = files.iter().map(|(_, bytes)| bytes).chain(&bodies);
        assert!(places.any(|bytes| payload.find(bytes).is_some()), "{entry:?}");
    }
}

/// What the compressed frames of the files hold, whether they verify or not.
fn decompressed(files: &Files, codecs: &Codecs) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for (_, file) in files {
        for at in (512..file.len()).step_by(8) {
            let Some((header, rest)) = file[at..].split_at_checked(FRAME_HEADER_LEN) else { break };
            let (kind, codec) = (header[36], header[37]);
            if kind != 1 || !(1..=2).contains(&codec) {
                continue;
            }
            let word = |at: usize, of: &[u8]| {
                of.get(at..at + 4).map(|len| u32::from_le_bytes(len.try_into().unwrap()))
            };
            let body = rest.get(..word(8, header).unwrap_or(0) as usize).unwrap_or(&[]);
            let (Some(raw_len), Some(stored)) = (word(0, body), body.get(4..)) else { continue };
            let mut raw = Vec::new();
            if codecs.decompress(CodecId(codec), stored, raw_len as usize, &mut raw).is_ok() {
                wal_format::unfold_ends(word(16, header).unwrap_or(0), header[38], &mut raw, &mut Vec::new());
                bodies.push(raw);
            }
        }
    }
    bodies
}

fn check_lost(found: &[Entry], damage: &[Finding]) {
    let mut after: Option<Lsn> = None;
    for lsns in damage.iter().filter_map(|finding| finding.lsns.as_ref()) {
        assert!(lsns.start() <= lsns.end(), "{lsns:?}");
        assert!(after.is_none_or(|after| after < *lsns.start()), "{damage:?}");
        after = Some(*lsns.end());
        let at = found.partition_point(|entry| entry.lsn < *lsns.start());
        assert!(
            found.get(at).is_none_or(|entry| !lsns.contains(&entry.lsn)),
            "{:?} in {lsns:?}",
            found[at].lsn
        );
    }
}

fn check_repair(before: &Files, cut_at_damage: bool, is_forged: bool) {
    let storage = storage(before);
    let how = RepairOptions { cut_at_damage, quarantine: None };
    let plan = repair(environment(&storage), &options(), &how);
    assert!(sorted(&files(&*storage)) == sorted(before), "a plan changed something");
    let quarantine = empty();
    let apply = RepairOptions { quarantine: Some(Arc::clone(&quarantine)), ..how.clone() };
    let done = repair(environment(&storage), &options(), &apply);
    let (after, kept) = (files(&*storage), files(&*quarantine));
    let (after, kept) = (sorted(&after), sorted(&kept));
    for (name, bytes) in before {
        let is_there = |files: &BTreeMap<&str, &[u8]>| files.get(name.as_str()).is_some_and(|it| it == bytes);
        assert!(is_there(&after) || is_there(&kept), "{name} is gone");
    }
    let (plan, done) = match (plan, done) {
        (Ok(plan), Ok(done)) => (plan, done),
        // A forged segment may carry the greatest of all numbers, which is noticed when another one is to be made.
        (Ok(_), Err(LogError::Exhausted { .. })) if is_forged => return,
        (plan, done) => {
            assert!(plan.is_err() && done.is_err(), "{plan:?} {done:?}");
            return;
        }
    };
    assert_eq!(plan, done);
    if plan.cut.is_some() {
        let again = repair(environment(&storage), &options(), &how).expect("it was repaired");
        assert!(again.damage.is_empty(), "{again:?} after {plan:?}");
    }
    if cut_at_damage {
        let log = open(&storage).expect("it was repaired");
        // What verifies and cannot be decoded is no place to cut at: nothing but its frame is lost.
        let damaged = log.range(..).find_map(Result::err).filter(|_| !is_forged);
        assert!(damaged.is_none(), "{damaged:?} after {plan:?}");
    }
}
