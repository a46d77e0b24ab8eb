//! What once went wrong, as short as it could be made.

use std::{sync::mpsc, time::Duration};

use wal_core::{Durability, LogError, Options, SyncPolicy};
use wal_format::NewEntry;
use wal_sim::{Faults, Shots, SimDisk};

use crate::{
    model::{End, lsn},
    random,
    rig::{Op, Rig, Setup},
    surroundings::{bare, options},
};

/// Seeds of random runs that failed once.
const SEEDS: [u64; 11] = [13, 35, 97, 165, 275, 480, 5135, 5649, 1_000_725, 2_061_743, 5_025_736];

fn background() -> Setup {
    let sync = SyncPolicy::Background { interval: Duration::from_millis(20) };
    Setup::of(Options { sync, ..options() })
}

fn opened(setup: &Setup) -> Rig {
    let mut rig = Rig::new(setup, 1, bare());
    rig.open(End::Process).unwrap();
    rig
}

#[test]
fn seeds_that_failed_once_stay_good() {
    for seed in SEEDS {
        random::check(seed);
    }
}

#[test]
fn maintaining_a_log_without_threads_does_not_wait_for_itself() {
    let mut rig = opened(&background());
    rig.run(&[Op::Append(10), Op::Maintain, Op::Read]).unwrap();
    assert_eq!(rig.log().durable_lsn(), Some(lsn(1)));
}

#[test]
fn a_callback_on_a_log_without_threads_comes_at_once() {
    let rig = opened(&Setup::default());
    let ticket = rig.log().submit(&NewEntry::plain(b"x"), None).unwrap();
    let (done, outcome) = mpsc::channel();
    ticket.on_durable(move |result| done.send(result.is_ok()).unwrap());
    assert_eq!(outcome.try_recv(), Ok(true));
}

#[test]
fn a_clear_that_removes_nothing_is_a_barrier_too() {
    let mut rig = opened(&background());
    rig.run(&[Op::Raise, Op::Clear]).unwrap();
    rig.cut_power(1);
    rig.open(End::Power).unwrap();
    assert_eq!(rig.log().meta_names().unwrap().len(), 1);
}

#[test]
fn a_cut_that_removes_nothing_is_a_barrier_too() {
    let mut rig = opened(&background());
    rig.run(&[Op::Append(58), Op::CutLast(0)]).unwrap();
    rig.cut_power(1);
    rig.open(End::Power).unwrap();
    assert_eq!(rig.log().last_lsn(), Some(lsn(1)));
}

/// The failed write may have left a valid opening, because the end of the frame is zeros and needs no writing.
#[test]
fn an_opening_that_met_a_full_disk_does_not_become_the_head() {
    for call in 0..6 {
        for change in [Op::Clear, Op::CutLast(1)] {
            let mut rig = opened(&Setup::default());
            rig.run(&[Op::Append(17_000), Op::Append(20_000)]).unwrap();
            rig.disk.set_faults(Faults { write: Shots::nth(call), ..Faults::default() });
            rig.run(&[change, Op::AppendAs(123, Durability::Durable), Op::Read]).unwrap();
            rig.kill();
            rig.disk.set_faults(Faults::default());
            rig.open(End::Process).unwrap();
            rig.cut_power(1);
            rig.open(End::Power).unwrap();
        }
    }
}

/// The first try had moved the mark that the second compared with.
#[test]
fn a_trim_that_met_a_full_disk_can_be_tried_again() {
    let mut rig = opened(&Setup::default());
    rig.run(&[Op::Append(10), Op::Append(20), Op::Append(30)]).unwrap();
    rig.disk.set_faults(Faults { write: Shots::nth(0), ..Faults::default() });
    let full = rig.log().truncate_before(lsn(3));
    assert!(matches!(full, Err(LogError::Full { .. })), "{full:?}");
    rig.step(&Op::KeepLast(1)).unwrap();
    assert_eq!(rig.log().first_lsn(), Some(lsn(3)));
    rig.cut_power(1);
    rig.open(End::Power).unwrap();
    assert_eq!(rig.log().first_lsn(), Some(lsn(3)));
}

/// Its frame becomes durable with the cut, and then readers must know.
#[test]
fn a_trim_that_met_a_full_disk_counts_once_its_frame_is_durable() {
    let mut rig = opened(&Setup::default());
    rig.run(&vec![Op::Append(10); 5]).unwrap();
    rig.disk.set_faults(Faults { write: Shots::nth(0), ..Faults::default() });
    rig.log().truncate_before(lsn(3)).unwrap_err();
    rig.log().truncate_from(lsn(3)).unwrap();
    assert_eq!(rig.log().first_lsn(), None);
    assert_eq!(rig.log().range(..).count(), 0);
    let gone = rig.log().get(lsn(1));
    assert!(matches!(gone, Err(LogError::Truncated { .. })), "{gone:?}");
}

/// A clear after it is no clear of nothing.
#[test]
fn a_trim_of_all_that_met_a_full_disk_is_no_clear() {
    let disk = SimDisk::with_options(1, bare());
    let setup = Setup::default();
    let log = setup.open(&disk).unwrap();
    log.append(b"one").unwrap();
    disk.set_faults(Faults { write: Shots::nth(0), ..Faults::default() });
    log.truncate_before(lsn(2)).unwrap_err();
    log.clear().unwrap();
    disk.crash(1);
    drop(log);
    assert_eq!(setup.open(&disk).unwrap().first_lsn(), None);
}

/// Recovery has copied the whole log into one segment, whose opening no other frame proves yet.
#[test]
fn the_only_opening_is_missed_when_it_is_damaged() {
    let mut rig = opened(&Setup::default());
    rig.run(&[Op::Append(40), Op::Append(50), Op::Kill]).unwrap();
    rig.kill();
    let (disk, _) = rig.into_parts();
    disk.crash(1);
    let name = disk.names().pop().unwrap();
    disk.flip_bit(&name, wal_format::FIRST_FRAME, 0).unwrap();
    for opened in [Setup::default().open(&disk), Setup::default().open_read_only(&disk)] {
        let error = opened.unwrap_err();
        assert!(matches!(error, LogError::Lost { .. }), "{error}");
    }
}

/// What a torn opening takes with it was never proven, but somebody may miss it.
#[test]
fn a_torn_opening_is_reported() {
    let mut rig = opened(&Setup::default());
    rig.run(&vec![Op::Append(20_000); 4]).unwrap();
    rig.kill();
    let (disk, _) = rig.into_parts();
    disk.crash(1);
    disk.flip_bit(&disk.names().pop().unwrap(), wal_format::FIRST_FRAME, 0).unwrap();
    let log = Setup::default().open(&disk).unwrap();
    let cut = log.recovery_report().cut.unwrap();
    assert_eq!((cut.next, cut.frames_beyond), (lsn(4), true));
    assert!(!log.recovery_report().clean);
}
