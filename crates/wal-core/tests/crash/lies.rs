//! What the search is worth: it finds every lie of a storage, and soon.

use std::sync::Arc;

use wal_segment::Storage;
use wal_sim::{Faults, Shots};

use crate::{
    exhaustive::{Search, run},
    liar::{Liar, Lie},
    model::End,
    rig::{Op, Rig, Setup},
    surroundings::{bare, scale},
    workloads::{Workload, workloads},
};

type Wrap = fn(Arc<dyn Storage>) -> Arc<dyn Storage>;

fn told(wrap: Wrap) -> impl Iterator<Item = Workload> {
    workloads().into_iter().map(move |mut workload| {
        workload.setup.wrap = wrap;
        workload
    })
}

/// The search finds the lie within so many states.
#[track_caller]
fn is_found(wrap: Wrap, states_max: u64) {
    let search = Search::new(3, 0, 1);
    let why = told(wrap).find_map(|workload| search.workload(&workload, &bare()).err());
    let states = search.states.get();
    let why = why.unwrap_or_else(|| panic!("not found in {states} states"));
    println!("found after {states} states: {why}");
    assert!(states <= states_max * scale(), "only found after {states} states: {why}");
}

#[test]
fn a_sync_of_data_that_does_nothing_is_found() {
    is_found(|storage| Liar::wrap(storage, Lie::SkipsSync), 200);
}

#[test]
fn a_sync_of_names_that_does_nothing_is_found() {
    is_found(|storage| Liar::wrap(storage, Lie::SkipsNames), 500);
}

#[test]
fn a_body_that_is_not_flushed_is_found() {
    is_found(|storage| Liar::wrap(storage, Lie::KeepsBodies), 200);
}

#[test]
fn stale_reads_are_found() {
    is_found(|storage| Liar::wrap(storage, Lie::ReadsStale), 2000);
}

/// Fails each sync in turn; the log never hears of it.
#[test]
fn a_failed_sync_that_is_tried_again_is_found() {
    let wrap: Wrap = |storage| Liar::wrap(storage, Lie::SwallowsErrors);
    let mut states = 0;
    for workload in told(wrap) {
        for call in 1..20 {
            let mut rig = Rig::new(&workload.setup, 1, bare());
            rig.disk.set_faults(Faults { sync: Shots::nth(call), ..Faults::default() });
            rig.open(End::Process).unwrap();
            rig.run(&workload.ops).unwrap();
            rig.disk.crash(call);
            states += 1;
            if let Err(why) = rig.open(End::Power) {
                println!("found after {states} states: {why}");
                assert!(states <= 20);
                return;
            }
        }
    }
    panic!("not found in {states} states");
}

/// Fails each read of recovery in turn; the log takes it for the end of the file.
#[test]
fn a_read_error_that_is_taken_for_the_end_is_found() {
    let wrap: Wrap = |storage| Liar::wrap(storage, Lie::EndsAtErrors);
    let mut states = 0;
    for workload in told(wrap) {
        let (disk, model) = run(&workload, &bare(), 1, None).unwrap().into_parts();
        for read in 1..20 {
            let disk = disk.snapshot();
            disk.set_faults(Faults { read: Shots::nth(read), ..Faults::default() });
            let mut rig = Rig::on(&workload.setup, disk, model.clone());
            states += 1;
            if let Err(why) = rig.open(End::Process) {
                println!("found after {states} states: {why}");
                assert!(states <= 100);
                return;
            }
        }
    }
    panic!("not found in {states} states");
}

/// The same search finds nothing where nobody lies: as many states as any lie needed, many times over.
#[test]
fn the_truth_is_not_found() {
    let search = Search::new(3, 0, 1);
    for workload in workloads().iter().take(3) {
        search.workload(workload, &bare()).unwrap();
    }
    let mut rig = Rig::new(&Setup::default(), 1, bare());
    rig.open(End::Process).unwrap();
    rig.run(&[Op::Append(1), Op::Read]).unwrap();
    println!("{} states", search.states.get());
}
