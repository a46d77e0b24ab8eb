//! What an iterator gives is of one history of the log, from whichever end it is read and wherever it is sent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use wal_core::{AppendOptions, Durability, EncodedFrame, Entry, Iter, Log, LogError, Options, SyncPolicy};
use wal_format::{EntriesBuilder, Lsn, NewEntry};
use wal_segment::{MemoryStorage, Storage};

use crate::{
    hooked::Hooked,
    races::{half_durable, rewrite, write},
    reading::lsn,
    support::{environment, open, small},
};

fn quiet() -> Options {
    Options { background_threads: false, ..small() }
}

/// Nothing is synced or written that nobody asks for.
fn never_synced() -> Options {
    let interval = Duration::from_secs(3600);
    Options { sync: SyncPolicy::Background { interval }, unsynced_age_max: 2 * interval, ..quiet() }
}

fn append(log: &Log, kind: u8, count: usize, durability: Durability) {
    let options = AppendOptions { durability: Some(durability), ..AppendOptions::default() };
    for _ in 0..count {
        log.append_entry(&NewEntry::plain(&vec![kind; usize::from(kind)]), &options).unwrap();
    }
}

/// The next entry must be this one, of this kind.
#[track_caller]
fn given(item: Option<Result<Entry, LogError>>, n: u64, kind: u8) {
    let entry = item.unwrap().unwrap();
    assert_eq!((entry.lsn, char::from(entry.payload[0])), (lsn(n), char::from(kind)));
}

#[track_caller]
fn cut_off(item: Option<Result<Entry, LogError>>) {
    assert!(matches!(item, Some(Err(LogError::CutOff { .. }))), "{item:?}");
}

/// Has an iterator of a log that is open for reading give something, and then the log gets another history.
fn beside(first: impl FnOnce(&mut Iter), then: impl FnOnce(&Log, &mut Iter)) {
    let dir = tempfile::tempdir().unwrap();
    let (log, reader, _) = half_durable(dir.path());
    let mut entries = reader.range(..);
    first(&mut entries);
    rewrite(&log);
    then(&reader, &mut entries);
}

fn twenty(entries: &mut Iter) {
    (1..=20).for_each(|n| given(entries.next(), n, b'o'));
}

#[test]
fn beside_a_writer_both_ends_are_of_one_history() {
    beside(twenty, |_, entries| {
        cut_off(entries.next_back());
        assert!(entries.next().is_none() && entries.next_back().is_none());
    });
    beside(twenty, |_, entries| {
        assert!(matches!(entries.next_back_ref(), Some(Err(LogError::CutOff { .. }))));
        assert!(entries.next_ref().is_none());
    });
}

#[test]
fn beside_a_writer_that_cut_nothing_that_was_given_both_ends_are_of_the_new_history() {
    let ten = |entries: &mut Iter| (1..=10).for_each(|n| given(entries.next(), n, b'o'));
    beside(ten, |_, entries| {
        given(entries.next_back(), 120, b'n');
        (11..=119).for_each(|n| given(entries.next(), n, b'n'));
        assert!(entries.next().is_none() && entries.next_back().is_none());
    });
    // What was read of the other one, but not given, counts for nothing.
    beside(
        |entries| entries.seek(lsn(20)),
        |_, entries| {
            entries.seek(lsn(100));
            given(entries.next(), 100, b'n');
            given(entries.next_back(), 120, b'n');
            entries.seek(lsn(11));
            (11..=119).filter(|n| *n != 100).take(89).for_each(|n| given(entries.next(), n, b'n'));
        },
    );
}

#[test]
fn wherever_an_iterator_is_sent_it_stays_in_its_history() {
    for to in [120, 61, 100] {
        beside(twenty, |_, entries| {
            entries.seek(lsn(to));
            cut_off(entries.next());
        });
        let sent = |entries: &mut Iter| {
            twenty(entries);
            entries.seek(lsn(5));
            given(entries.next(), 5, b'o');
            entries.seek(lsn(to));
        };
        beside(sent, |_, entries| cut_off(entries.next()));
        beside(sent, |_, entries| cut_off(entries.next_back()));
        beside(twenty, |_, entries| {
            entries.seek_back(lsn(to));
            cut_off(entries.next_back());
        });
    }
    let both = |entries: &mut Iter| {
        entries.seek_back(lsn(40));
        given(entries.next_back(), 40, b'o');
        given(entries.next_back(), 39, b'o');
        entries.seek(lsn(3));
        given(entries.next(), 3, b'o');
        entries.seek_back(lsn(120));
    };
    beside(both, |_, entries| cut_off(entries.next_back()));
}

#[test]
fn an_entry_that_was_trimmed_away_ends_no_history() {
    let dir = tempfile::tempdir().unwrap();
    let (log, reader, _) = half_durable(dir.path());
    let newest = log.segments().unwrap().pop().unwrap();
    let mut entries = reader.range(..);
    twenty(&mut entries);
    rewrite(&log);
    log.truncate_before(newest.base.next()).unwrap();
    // Its file is gone, and so is the entry.
    entries.seek(newest.base);
    let gone = entries.next();
    assert!(matches!(gone, Some(Err(LogError::Truncated { .. }))), "{gone:?}");
    entries.seek(lsn(120));
    cut_off(entries.next());
}

#[test]
fn after_it_was_cut_off_an_iterator_that_is_sent_somewhere_begins_anew() {
    beside(twenty, |reader, entries| {
        entries.seek(lsn(120));
        cut_off(entries.next());
        reader.refresh().unwrap();
        entries.seek(lsn(9));
        (9..=10).for_each(|n| given(entries.next(), n, b'o'));
        (11..=119).for_each(|n| given(entries.next(), n, b'n'));
        given(entries.next_back(), 120, b'n');
        assert!(entries.next().is_none());
    });
}

#[test]
fn copies_that_the_next_writer_made_are_no_cut() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let hooked = Hooked::new(Arc::clone(&memory));
    let log = Log::open(environment(Arc::new(hooked.clone())), quiet()).unwrap();
    write(&log, b'o', 120);
    let newest = log.segments().unwrap().pop().unwrap();
    let reader = Log::open_read_only(environment(Arc::clone(&memory)), quiet()).unwrap();
    let mut entries = reader.range(..);
    twenty(&mut entries);
    entries.seek(lsn(10));
    given(entries.next(), 10, b'o');
    hooked.fail("sync");
    log.sync().unwrap_err();
    drop(log);
    let log = open(&memory, &quiet()).unwrap();
    assert!(log.segments().unwrap().iter().all(|segment| segment.id != newest.id), "it was replaced");
    (newest.base.get()..=120).rev().for_each(|n| given(entries.next_back(), n, b'o'));
    (11..newest.base.get()).for_each(|n| given(entries.next(), n, b'o'));
    assert!(entries.next().is_none());
}

#[test]
fn copies_are_no_cut_for_who_was_sent_into_a_batch() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let hooked = Hooked::new(Arc::clone(&memory));
    let log = Log::open(environment(Arc::new(hooked.clone())), quiet()).unwrap();
    write(&log, b'o', 45);
    let mut batch = EntriesBuilder::default();
    (0..5).for_each(|_| batch.push(&NewEntry::plain(&[b'o'; 2000])).unwrap());
    let written = AppendOptions { durability: Some(Durability::Written), ..Default::default() };
    log.append_batch(&batch, &written).unwrap();
    log.append_entry(&NewEntry::plain(&[b'o'; 9000]), &written).unwrap();
    assert_eq!(log.segments().unwrap().pop().unwrap().base, lsn(51), "it ends with the batch");
    let reader = Log::open_read_only(environment(Arc::clone(&memory)), quiet()).unwrap();
    let mut entries = reader.range(..);
    for n in [46, 50] {
        entries.seek(lsn(n));
        given(entries.next(), n, b'o');
    }
    hooked.fail("sync");
    log.sync().unwrap_err();
    drop(log);
    let _log = open(&memory, &quiet()).unwrap();
    given(entries.next(), 51, b'o');
}

/// The same in the process that writes, where it is known what was cut.
fn live(next: Lsn, first: impl FnOnce(&mut Iter), then: impl FnOnce(&mut Iter)) {
    let log = open(&(Arc::new(MemoryStorage::new()) as Arc<dyn Storage>), &quiet()).unwrap();
    write(&log, b'o', 120);
    let mut entries = log.range(..);
    first(&mut entries);
    log.truncate_from(next).unwrap();
    write(&log, b'n', 121 - next.get() as usize);
    then(&mut entries);
}

#[test]
fn in_the_process_that_writes_both_ends_are_of_one_history() {
    // The back gave what was cut: what is common to both histories is given, and then it ends.
    live(
        lsn(60),
        |entries| given(entries.next_back(), 120, b'o'),
        |entries| {
            (1..=59).for_each(|n| given(entries.next(), n, b'o'));
            cut_off(entries.next());
        },
    );
    live(
        lsn(60),
        |entries| given(entries.next_back(), 120, b'o'),
        |entries| {
            given(entries.next(), 1, b'o');
            cut_off(entries.next_back());
        },
    );
    live(lsn(60), |entries| given(entries.next_back(), 120, b'o'), |entries| cut_off(entries.next_back()));
    // Nothing was given that was cut.
    live(lsn(60), twenty, |entries| {
        given(entries.next(), 21, b'o');
        given(entries.next_back(), 120, b'n');
        (22..=59).for_each(|n| given(entries.next(), n, b'o'));
        (60..=119).for_each(|n| given(entries.next(), n, b'n'));
        assert!(entries.next().is_none());
    });
}

#[test]
fn in_the_process_that_writes_a_cut_counts_wherever_an_iterator_is_sent() {
    live(lsn(11), twenty, |entries| {
        entries.seek(lsn(5));
        (5..=10).for_each(|n| given(entries.next(), n, b'o'));
        cut_off(entries.next());
        entries.seek(lsn(9));
        (9..=10).for_each(|n| given(entries.next(), n, b'o'));
        (11..=120).for_each(|n| given(entries.next(), n, b'n'));
    });
    let sent = |entries: &mut Iter| {
        twenty(entries);
        entries.seek(lsn(5));
        entries.seek_back(lsn(10));
    };
    live(lsn(11), sent, |entries| {
        (5..=10).rev().for_each(|n| given(entries.next_back(), n, b'o'));
        entries.seek_back(lsn(11));
        cut_off(entries.next_back());
        entries.seek(lsn(9));
        entries.seek_back(lsn(11));
        given(entries.next_back(), 11, b'n');
        given(entries.next(), 9, b'o');
    });
}

/// Ten entries that share a frame, or those of single frames.
fn write_batch(log: &Log, kind: u8) {
    let mut batch = EntriesBuilder::default();
    (0..10).for_each(|_| batch.push(&NewEntry::plain(&[kind; 200])).unwrap());
    log.append_batch(&batch, &AppendOptions::default()).unwrap();
}

/// Takes an entry of a batch from the back, and then a higher one of the same.
fn higher_later(entries: &mut Iter) {
    for n in [5, 10] {
        entries.seek_back(lsn(n));
        given(entries.next_back(), n, b'o');
    }
}

#[test]
fn the_highest_entry_of_a_batch_counts_also_when_a_lower_one_was_given_before() {
    let log = open(&(Arc::new(MemoryStorage::new()) as Arc<dyn Storage>), &quiet()).unwrap();
    write_batch(&log, b'o');
    let mut entries = log.range(..);
    higher_later(&mut entries);
    log.truncate_after(lsn(7)).unwrap();
    append(&log, b'n', 3, Durability::Durable);
    (1..=7).for_each(|n| given(entries.next(), n, b'o'));
    cut_off(entries.next());
}

/// The range goes on behind the end of the log once that was cut, and the log comes there in a segment that it began
/// after the iterator had looked.
#[test]
fn what_came_in_a_later_segment_than_an_iterator_knows_is_no_damage() {
    let log = open(&(Arc::new(MemoryStorage::new()) as Arc<dyn Storage>), &never_synced()).unwrap();
    write(&log, b'o', 120);
    let mut entries = log.range(..);
    given(entries.next(), 1, b'o');
    log.truncate_from(lsn(21)).unwrap();
    given(entries.next(), 2, b'o');
    let known = log.segments().unwrap().len();
    write(&log, b'n', 64);
    append(&log, b'n', 36, Durability::Buffered);
    assert!(log.segments().unwrap().len() > known && log.next_lsn() == lsn(121));
    for n in 86..=120 {
        entries.seek(lsn(n));
        for n in n..=120 {
            match entries.next().unwrap() {
                Ok(entry) => assert_eq!((entry.lsn, entry.payload[0]), (lsn(n), b'n')),
                Err(error) => {
                    assert!(matches!(error, LogError::CutOff { .. }), "{n}: {error:?}");
                    break;
                }
            }
        }
    }
}

#[test]
fn batches_that_a_failed_sync_leaves_uncertain_are_not_given_by_who_was_on_the_way() {
    let hooked = Hooked::new(Arc::new(MemoryStorage::new()));
    let log = Log::open(environment(Arc::new(hooked.clone())), never_synced()).unwrap();
    (0..3).for_each(|_| write_batch(&log, b'o'));
    log.sync().unwrap();
    (0..3).for_each(|_| write_batch(&log, b'u'));
    append(&log, b'u', 1, Durability::Written);
    let (mut forwards, mut lent, mut backwards) = (log.range(..), log.range(..), log.range(..));
    given(forwards.next(), 1, b'o');
    assert!(lent.next_ref().is_some());
    given(backwards.next_back(), 61, b'u');
    hooked.fail("sync");
    log.sync().unwrap_err();
    (2..=30).for_each(|n| given(forwards.next(), n, b'o'));
    assert!(forwards.next().unwrap().is_err());
    assert_eq!(std::iter::from_fn(|| lent.next_ref().map(|it| it.is_ok())).filter(|ok| *ok).count(), 29);
    assert!(backwards.next_back().unwrap().is_err());
}

/// Entries and their kinds, however they are read.
type Read = Box<dyn Iterator<Item = Result<(Lsn, u8), LogError>>>;

/// What is read in some way of a log with entries that are durable, written and in memory. At whichever read of a file
/// it is cut and goes on, there must be nothing of the other history: 50 entries are common, and 60 were given.
fn at_any_read(read: impl Fn(&Log) -> Read) {
    for written in [1, 3, 20] {
        let reads = (0..).take_while(|nth| at_read(*nth, written, &read)).count();
        assert!(reads > 0, "nothing was read");
    }
}

/// Says whether there were so many reads.
fn at_read(nth: usize, written: usize, read: &impl Fn(&Log) -> Read) -> bool {
    let hooked = Hooked::new(Arc::new(MemoryStorage::new()));
    let log = Log::open(environment(Arc::new(hooked.clone())), never_synced()).unwrap();
    append(&log, b'o', 60 - written, Durability::Durable);
    append(&log, b'o', written, Durability::Written);
    append(&log, b'o', 20, Durability::Buffered);
    let mut items = read(&log);
    items.by_ref().take(60).for_each(|item| assert_eq!(item.unwrap().1, b'o'));
    // What was in memory is in the file by now, where nobody has looked.
    append(&log, b'o', 1, Durability::Written);
    let (reads, writer) = (AtomicUsize::new(0), log.clone());
    hooked.set(move |operation, _| {
        if operation == "read" && reads.fetch_add(1, Ordering::SeqCst) == nth {
            writer.truncate_from(lsn(51)).unwrap();
            append(&writer, b'n', 60, Durability::Buffered);
        }
        Ok(())
    });
    let mut rest: Vec<_> = items.collect();
    hooked.set(|_, _| Ok(()));
    let end = rest.pop_if(|item| item.is_err());
    let kinds: Vec<_> = rest.into_iter().map(|item| char::from(item.unwrap().1)).collect();
    assert!(kinds.iter().all(|kind| *kind == 'o'), "{nth} {written}: {kinds:?}");
    assert!(
        kinds.len() == 20 || matches!(end, Some(Err(LogError::CutOff { .. }))),
        "{nth} {written}: {end:?}"
    );
    log.next_lsn() != lsn(82)
}

#[test]
fn a_cut_in_the_middle_of_a_look_is_noticed_by_iterators() {
    at_any_read(|log| Box::new(log.range(..).map(|it| it.map(|it| (it.lsn, it.payload[0])))));
}

#[test]
fn a_cut_in_the_middle_of_a_look_is_noticed_by_headers() {
    // An entry is as long as its kind says.
    at_any_read(|log| {
        let headers = log.headers(Lsn::FIRST, Lsn::MAX);
        Box::new(headers.map(|it| it.map(|it| (it.first, it.body_len as u8))))
    });
}

#[test]
fn a_cut_in_the_middle_of_a_look_is_noticed_by_frames() {
    let payload = |frame: &EncodedFrame| *frame.body.last().unwrap();
    at_any_read(move |log| Box::new(log.frames(..).map(move |it| it.map(|it| (it.first_lsn, payload(&it))))));
}
