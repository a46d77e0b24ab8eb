//! By time, by list, by header: every way finds what plain reading finds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use wal_compress::{Codec, CodecId, Codecs, CompressError, Compression};
use wal_core::{
    AppendOptions, AppendTime, BatchLimit, Clock, Durability, Environment, Log, LogError, Options,
};
use wal_format::{EntriesBuilder, Lsn, NewEntry};
use wal_segment::{MemoryStorage, Storage};
use wal_sim::VirtualTime;

use crate::{
    hooked::Hooked,
    support::{environment, fill, open, payload, small},
};

pub(crate) fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

#[derive(Debug)]
pub(crate) struct TestClock(pub(crate) Arc<VirtualTime>);

impl Clock for TestClock {
    fn now(&self) -> u64 {
        self.0.wall_ns()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.monotonic_ns())
    }
}

/// Keeps every byte and leaves out that there are as many zeros behind them.
#[derive(Debug)]
struct Halves;

impl Codec for Halves {
    fn id(&self) -> CodecId {
        CodecId(201)
    }

    fn name(&self) -> &str {
        "halves"
    }

    fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        let end = raw.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        out.extend_from_slice(&raw[..end]);
        Ok(())
    }

    fn decompress(&self, stored: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        let len = out.len() + raw_len;
        out.extend_from_slice(stored);
        out.resize(len, 0);
        Ok(())
    }
}

fn codecs() -> Codecs {
    let mut codecs = Codecs::default();
    codecs.register(Arc::new(Halves)).unwrap();
    codecs
}

/// A log of single entries, batches and compressed frames in several segments, one millisecond apart, part of it
/// trimmed and its end still in memory.
pub(crate) fn varied(storage: &Arc<dyn Storage>) -> (Log, Arc<VirtualTime>) {
    let time = Arc::new(VirtualTime::new(1_000_000_000));
    let options = Options {
        compression: Compression { codec: CodecId(201), min_len: 100, ..Compression::default() },
        background_threads: false,
        ..small()
    };
    let clock = Arc::new(TestClock(Arc::clone(&time)));
    let log = Log::open(Environment { clock, codecs: codecs(), ..environment(Arc::clone(storage)) }, options)
        .unwrap();
    for round in 0..1000_u64 {
        time.advance(Duration::from_millis(1));
        let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
        match round % 4 {
            0 | 1 => {
                log.append_entry(&NewEntry::plain(&payload(round)), &buffered).unwrap();
            }
            2 => {
                let compressible = [payload(round), vec![0; 600]].concat();
                log.append_entry(&NewEntry { kind: 2, ..NewEntry::plain(&compressible) }, &buffered).unwrap();
            }
            _ => {
                let mut batch = EntriesBuilder::default();
                for n in 0..round % 7 + 1 {
                    let entry = vec![n as u8; 100];
                    batch.push(&NewEntry { kind: n as u8, ..NewEntry::plain(&entry) }).unwrap();
                }
                log.append_batch(&batch, &buffered).unwrap();
            }
        }
        if round == 970 {
            log.sync().unwrap();
        }
    }
    log.truncate_before(lsn(203)).unwrap();
    for n in 0..50 {
        time.advance(Duration::from_millis(1));
        let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
        log.append_entry(&NewEntry::plain(&payload(n)), &buffered).unwrap();
    }
    assert!(log.segments().unwrap().len() > 2);
    (log, time)
}

/// Runs a test on a log with its end in memory, on one that was opened again, and beside a writer.
fn on_varied(test: impl Fn(&Log)) {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let (log, _) = varied(&storage);
    test(&log);
    log.sync().unwrap();
    let reader = |options| Environment { codecs: codecs(), ..environment(options) };
    test(&Log::open_read_only(reader(Arc::clone(&storage)), small()).unwrap());
    drop(log);
    test(&Log::open(reader(storage), small()).unwrap());
}

#[test]
fn a_time_leads_to_the_first_entry_not_before_it() {
    on_varied(|log| {
        let all: Vec<(Lsn, u64)> =
            log.range(..).map(|entry| entry.map(|it| (it.lsn, it.time)).unwrap()).collect();
        let times = all.iter().flat_map(|(_, time)| [time - 1, *time, time + 1]).chain([0, u64::MAX]);
        for time in times {
            let want = all.iter().find(|(_, of)| *of >= time).map(|(lsn, _)| *lsn);
            assert_eq!(log.lsn_at_time(AppendTime(time)).unwrap(), want, "{time}");
        }
    });
}

#[test]
fn an_empty_log_has_no_time() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&storage, &small()).unwrap();
    assert_eq!(log.lsn_at_time(AppendTime(0)).unwrap(), None);
    log.append(b"x").unwrap();
    log.clear().unwrap();
    assert_eq!(log.lsn_at_time(AppendTime(0)).unwrap(), None);
}

#[test]
fn a_clock_that_jumps_leaves_times_in_order() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let time = Arc::new(VirtualTime::new(1000));
    let clock = Arc::new(TestClock(Arc::clone(&time)));
    let log = Log::open(Environment { clock, ..environment(storage) }, small()).unwrap();
    for wall in [1000, 5000, 10, 20, 6000] {
        time.set_wall(wall);
        log.append(b"x").unwrap();
    }
    assert_eq!(log.lsn_at_time(AppendTime(10)).unwrap(), Some(lsn(1)));
    assert_eq!(log.lsn_at_time(AppendTime(1001)).unwrap(), Some(lsn(2)));
    assert_eq!(log.lsn_at_time(AppendTime(5001)).unwrap(), Some(lsn(5)));
}

#[test]
fn headers_say_what_the_entries_are() {
    on_varied(|log| {
        let entries: Vec<_> = log.range(..).map(Result::unwrap).collect();
        let mut at = 0;
        let segments = log.segments().unwrap();
        for info in log.headers(Lsn::FIRST, Lsn::MAX) {
            let info = info.unwrap();
            // The log may begin in the middle of a batch.
            let gone = if at == 0 { entries[0].lsn.since(info.first).unwrap() as usize } else { 0 };
            let held = &entries[at..at + info.count as usize - gone];
            assert_eq!((info.first.plus(gone as u64), info.last()), (held[0].lsn, held.last().unwrap().lsn));
            assert!(held.iter().all(|entry| entry.time == info.time));
            assert!(info.kind.is_none_or(|kind| held.iter().all(|entry| entry.kind == kind)));
            let segment = segments.iter().find(|segment| segment.id == info.segment).unwrap();
            assert!((segment.base..segment.next).contains(&held[0].lsn), "{info:?} {segment:?}");
            if info.codec == CodecId::IDENTITY && info.count == 1 {
                assert_eq!(info.body_len as usize, held[0].payload.len());
            }
            at += held.len();
        }
        assert_eq!(at, entries.len());
        let middle: Vec<_> = log.headers(lsn(300), lsn(310)).map(Result::unwrap).collect();
        assert!(middle[0].first <= lsn(300) && middle[0].last() >= lsn(300), "{middle:?}");
        assert!(middle.last().unwrap().first < lsn(310) && middle.last().unwrap().last() >= lsn(309));
        assert_eq!(log.headers(lsn(310), lsn(300)).count(), 0);
    });
}

#[test]
fn a_list_of_entries_comes_in_the_order_asked_for() {
    on_varied(|log| {
        let (first, next) = (log.first_lsn().unwrap().get(), log.next_lsn().get());
        let mut lsns: Vec<Lsn> = (first..next).map(lsn).collect();
        lsns.extend([lsn(first + 7), lsn(next - 1), lsn(first + 7)]);
        // Any order: stride through them.
        let lsns: Vec<Lsn> = (0..lsns.len()).map(|at| lsns[at * 37 % lsns.len()]).collect();
        let found = log.get_many(&lsns).unwrap();
        assert_eq!(found.len(), lsns.len());
        for (entry, lsn) in found.iter().zip(&lsns) {
            assert_eq!(*entry, log.get(*lsn).unwrap());
        }
        assert!(log.get_many(&[]).unwrap().is_empty());
        let gone = log.get_many(&[lsn(next - 1), lsn(first - 1)]).unwrap_err();
        assert!(matches!(gone, LogError::Truncated { lsn: at, .. } if at.get() == first - 1), "{gone}");
        let beyond = log.get_many(&[lsn(next), lsn(first)]).unwrap_err();
        assert!(matches!(beyond, LogError::OutOfRange { .. }), "{beyond}");
    });
}

#[test]
fn a_bounded_range_holds_what_fits_and_at_least_one() {
    on_varied(|log| {
        let limit = BatchLimit { entries: 7, bytes: 1500 };
        let mut next = log.first_lsn().unwrap();
        let mut all = Vec::new();
        while next < log.next_lsn() {
            let some = log.get_range(next.., limit).unwrap();
            let bytes: usize = some.iter().map(|entry| entry.payload.len()).sum();
            assert!(some.len() == 1 || (some.len() <= 7 && bytes <= 1500));
            next = some.last().unwrap().lsn.next();
            all.extend(some);
        }
        assert_eq!(all, log.range(..).map(Result::unwrap).collect::<Vec<_>>());
        let none = log.get_range(.., BatchLimit { entries: 0, bytes: 1 }).unwrap_err();
        assert!(matches!(none, LogError::InvalidArgument { .. }), "{none}");
    });
}

#[test]
fn an_iterator_goes_on_wherever_it_is_sent() {
    on_varied(|log| {
        let (first, next) = (log.first_lsn().unwrap().get(), log.next_lsn().get());
        let mut entries = log.range(..);
        for at in (0..300).map(|n| first + n * 61 % (next - first)) {
            entries.seek(lsn(at));
            assert_eq!(entries.next().unwrap().unwrap(), log.get(lsn(at)).unwrap());
            if at + 1 < next {
                assert_eq!(entries.next_ref().unwrap().unwrap().lsn, lsn(at + 1));
            }
        }
        entries.seek(lsn(1));
        assert_eq!(entries.front(), lsn(first), "not before the range");
        entries.seek_back(lsn(250));
        assert_eq!(entries.next_back().unwrap().unwrap().lsn, lsn(250));
        entries.seek_back(lsn(next + 9));
        assert_eq!(entries.next_back().unwrap().unwrap().lsn, lsn(next - 1));
        entries.seek(lsn(next + 9));
        assert_eq!(entries.front(), lsn(next - 1), "not beyond what was taken from the back");
        assert!(entries.next().is_none());
        let mut part = log.range(lsn(250)..lsn(260));
        part.seek(lsn(255));
        part.seek(lsn(100));
        assert_eq!(part.count(), 10);
    });
}

#[test]
fn what_is_lent_is_what_is_given_from_both_ends() {
    on_varied(|log| {
        let given: Vec<_> = log.range(..).map(Result::unwrap).collect();
        for turn in [1, 2, 3, 7] {
            let (mut entries, mut step) = (log.range(..), 0);
            assert!(entries.passed().is_none() && entries.passed_back().is_none(), "nothing was passed yet");
            let (mut front, mut back) = (0, given.len());
            loop {
                step += 1;
                // Lent and given in turn, from the back every so often.
                let (lent, owned) = match (step % turn == 0, step % 5 == 0) {
                    (true, true) => (None, entries.next_back()),
                    (true, false) => (entries.next_back_ref(), None),
                    (false, true) => (None, entries.next()),
                    (false, false) => (entries.next_ref(), None),
                };
                let Some(payload) = lent
                    .map(|lent| lent.map(|lent| (lent.lsn, lent.kind, lent.time, lent.payload.to_vec())))
                    .or_else(|| {
                        owned.map(|own| own.map(|own| (own.lsn, own.kind, own.time, own.payload.to_vec())))
                    })
                else {
                    break;
                };
                let want = if step % turn == 0 {
                    back -= 1;
                    &given[back]
                } else {
                    front += 1;
                    &given[front - 1]
                };
                let want = (want.lsn, want.kind, want.time, want.payload.to_vec());
                assert_eq!(payload.unwrap(), want);
            }
            assert_eq!(front, back, "each was seen once");
        }
    });
}

#[test]
fn what_stands_before_the_first_entry_of_a_segment_is_looked_at_once() {
    let options =
        Options { segment_len: 2 << 20, first_segment_len: 2 << 20, background_threads: false, ..small() };
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&memory, &options).unwrap();
    (0..1000).for_each(|_| log.set_meta("name", Some(&[7; 1000]), None).unwrap());
    fill(&log, 1..=10);
    drop(log);
    let (hooked, reads) = (Hooked::new(memory), Arc::new(AtomicUsize::new(0)));
    let log = Log::open_read_only(environment(Arc::new(hooked.clone())), options).unwrap();
    let counted = Arc::clone(&reads);
    hooked.set(move |operation, _| {
        counted.fetch_add(usize::from(operation == "read"), Ordering::SeqCst);
        Ok(())
    });
    let taken = [(); 3].map(|()| {
        log.headers(Lsn::FIRST, Lsn::MAX).next().unwrap().unwrap();
        reads.swap(0, Ordering::SeqCst)
    });
    assert!(taken[0] > 200 && taken[2] < 10, "{taken:?}");
}
