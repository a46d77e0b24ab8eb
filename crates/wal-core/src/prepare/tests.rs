use wal_segment::{LocalOptions, LocalStorage, Storage};
use wal_sim::{Faults, Shots, SimDisk};

use super::*;
use crate::{SystemClock, SystemEntropy};

const MIB: u64 = 1 << 20;

fn preparer(dir: &std::path::Path, segment_len: u64) -> Preparer {
    preparer_with(dir, segment_len, segment_len)
}

fn preparer_with(dir: &std::path::Path, first_segment_len: u64, segment_len: u64) -> Preparer {
    let storage = LocalStorage::open(dir, LocalOptions::default()).unwrap();
    preparer_on(Arc::new(storage), first_segment_len, segment_len)
}

fn preparer_on(storage: Arc<dyn Storage>, first_segment_len: u64, segment_len: u64) -> Preparer {
    let directory = Arc::new(Directory::new(storage, ""));
    let options = Options { segment_len, first_segment_len, ..Options::default() };
    let log_id = LogId(*b"one of many logs");
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    Preparer::new(directory, clock, entropy, log_id, 1, SegmentId(7), &options)
}

#[test]
fn what_long_syncs_will_cover_is_not_filled() {
    let dir = tempfile::tempdir().unwrap();
    let preparer = preparer(dir.path(), 1 << 20);
    let written = |bytes, syncs| Written { bytes, syncs };
    let advance = |active, offset, written| {
        preparer.advance(SegmentId(active), 0, (offset, 1 << 20), written, &|| false).unwrap()
    };
    let preparing = || preparer.directory.list().unwrap().preparing;

    assert_eq!(advance(7, 1 << 18, written(10 << 20, 10)), Some(1 << 19), "all of it at the half");
    assert_eq!(preparing(), []);
    assert_eq!(advance(7, 1 << 19, written(20 << 20, 20)), None, "it is ready");
    assert!(preparer.take(0).is_some());

    // The syncs since then are short ones.
    assert!(advance(8, 1 << 18, written(21 << 20, 20_000)).is_some_and(|next| next < 1 << 19));
    assert_eq!(preparing(), [SegmentId(9)], "it is being filled");
    assert!(advance(8, 3 << 17, written(40 << 20, 20_001)).is_some(), "what was begun is gone on with");
    assert_eq!(advance(8, 1 << 20, written(60 << 20, 20_002)), None);
    assert_eq!(preparer.take(0).unwrap().header.segment, SegmentId(9));
}

#[test]
fn one_that_is_not_filled_is_short_unless_its_syncs_are_long() {
    let written = |bytes| Written { bytes, syncs: 1 };
    for (bytes, len) in [(4 << 10, 64 << 20), (1 << 20, 16 << 20), (2 << 20, 32 << 20), (1 << 30, 64 << 20)] {
        let dir = tempfile::tempdir().unwrap();
        let preparer = preparer(dir.path(), 64 << 20);
        preparer.hasten(0, written(bytes)).unwrap();
        assert_eq!(preparer.take(0).unwrap().capacity, len, "{bytes}");
    }
}

#[test]
fn one_that_begins_out_of_turn_is_short() {
    let dir = tempfile::tempdir().unwrap();
    let preparer = preparer_with(dir.path(), MIB, 64 * MIB);
    let len = || preparer.take(0).map(|ready| ready.capacity / MIB);
    let prepare = || preparer.prepare(0, Written::default()).unwrap();
    let begin_anew = |len_min| preparer.begin_anew(len_min, Written::default()).unwrap();
    let lens: Vec<_> = std::iter::repeat_with(|| (prepare(), len()).1).take(4).collect();
    assert_eq!(lens, [Some(1), Some(4), Some(16), Some(64)]);

    begin_anew(0);
    assert_eq!(len(), Some(1), "the log was cut");
    prepare();
    assert_eq!(len(), Some(4), "they grow anew");
    begin_anew(2 * MIB);
    assert_eq!(len(), Some(2), "as long as it must be");

    // The next one was on its way.
    let half =
        preparer.advance(SegmentId(14), 0, (8 * MIB, 16 * MIB), Written::default(), &|| false).unwrap();
    assert!(half.is_some_and(|next| next < 9 * MIB));
    begin_anew(0);
    let filled = preparer.take(0).unwrap().capacity;
    assert!((MIB..3 * MIB).contains(&filled), "as much of it as is filled: {filled}");
}

#[test]
fn whoever_comes_too_late_makes_no_segment_for_one_that_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let preparer = preparer(dir.path(), 1 << 20);
    let full = (1 << 20, 1 << 20);
    let advance =
        |active, full| preparer.advance(SegmentId(active), 0, full, Written::default(), &|| false).unwrap();
    assert_eq!(advance(7, full), None, "all of it is due");
    assert_eq!(advance(7, full), None, "it is ready");
    assert_eq!(preparer.take(0).unwrap().header.segment, SegmentId(8));
    // The log goes on in it, and a thread that still believes in the one before looks what there is to do.
    assert_eq!(advance(7, full), None);
    assert_eq!(preparer.directory.list().unwrap().segments, [SegmentId(8)]);
    assert!(advance(8, (1 << 18, 1 << 20)).is_some(), "the next one is begun");
    assert_eq!(preparer.directory.list().unwrap().preparing, [SegmentId(9)]);
}

/// Another writer may have the log by then, and the id that would be next.
#[test]
fn nothing_is_made_once_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let preparer = preparer(dir.path(), MIB);
    preparer.close();
    let advanced = preparer.advance(SegmentId(7), 0, (1 << 20, 1 << 20), Written::default(), &|| false);
    assert!(matches!(advanced, Err(PrepareError::Closed)), "{advanced:?}");
    type Prepare = fn(&Preparer, u64, Written) -> Result<(), PrepareError>;
    for prepare in [Preparer::prepare as Prepare, Preparer::begin_anew, Preparer::hasten] {
        let prepared = prepare(&preparer, 0, Written::default());
        assert!(matches!(prepared, Err(PrepareError::Closed)), "{prepared:?}");
    }
    assert!(preparer.take(0).is_none());
    let left = preparer.directory.list().unwrap();
    assert!(left.segments.is_empty() && left.preparing.is_empty(), "{left:?}");
}

/// Whoever fills a segment sees that, and leaves the rest as it is.
#[test]
fn whoever_needs_a_segment_that_is_being_filled_is_seen_to_wait() {
    let dir = tempfile::tempdir().unwrap();
    let preparer = preparer(dir.path(), MIB);
    let nobody_waits = || preparer.while_nobody_waits(&|| false)();
    let filling = preparer.work.lock();
    assert!(nobody_waits());
    std::thread::scope(|scope| {
        let hastened = scope.spawn(|| preparer.hasten(0, Written::default()));
        while nobody_waits() {
            assert!(!hastened.is_finished());
            std::thread::yield_now();
        }
        drop(filling);
        hastened.join().unwrap().unwrap();
    });
    assert!(nobody_waits() && preparer.take(0).is_some());
}

/// Whoever had to wait for it is told, nothing is left of it, and the next attempt makes it.
#[test]
fn whatever_fails_while_somebody_waits_costs_that_attempt_alone() {
    type Prepare = fn(&Preparer, u64, Written) -> Result<(), PrepareError>;
    type Fault = fn(u64) -> Faults;
    let faults: [Fault; 2] = [
        |nth| Faults { write: Shots::from(nth), ..Faults::default() },
        |nth| Faults { sync: Shots::nth(nth), ..Faults::default() },
    ];
    for prepare in [Preparer::prepare as Prepare, Preparer::begin_anew, Preparer::hasten] {
        for fault in faults {
            let mut refused = 0;
            for nth in 0..4 {
                let disk = SimDisk::new(1);
                // Long enough for a sync between two steps.
                let preparer = preparer_on(disk.storage(), 9 * MIB, 64 * MIB);
                disk.set_faults(fault(nth));
                if let Err(error) = prepare(&preparer, 0, Written::default()) {
                    assert!(matches!(error, PrepareError::File(_)), "{error:?}");
                    let left = preparer.directory.list().unwrap();
                    assert!(left.segments.is_empty() && left.preparing.is_empty(), "{left:?}");
                    refused += 1;
                }
                disk.set_faults(Faults::default());
                prepare(&preparer, 0, Written::default()).unwrap();
                assert!(preparer.take(0).is_some());
            }
            assert!(refused > 0);
        }
    }
}
