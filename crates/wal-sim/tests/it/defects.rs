//! The conformance suite sees planted defects.

mod planted;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use planted::{Defect, Planted};
use wal_segment::{Storage, conformance};
use wal_sim::SimDisk;

/// Why the suite panics, if it does.
fn broken(make: &dyn Fn() -> Arc<dyn Storage>) -> Option<String> {
    let panic: Box<dyn Any + Send> = catch_unwind(AssertUnwindSafe(|| conformance::check(make))).err()?;
    let formatted = panic.downcast_ref::<String>().cloned();
    formatted.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
}

fn planted(defect: Defect) -> Arc<dyn Storage> {
    Arc::new(Planted::new(SimDisk::new(1).storage(), defect))
}

#[test]
fn the_wrapper_alone_breaks_nothing() {
    assert_eq!(broken(&|| planted(Defect::None)), None);
}

#[test]
fn each_planted_defect_is_seen() {
    let seen =
        planted::DEFECTS.iter().map(|&(defect, promise)| (defect, promise, broken(&|| planted(defect))));
    let is_wrong = |promise: &str, why: &Option<String>| {
        !why.as_ref().is_some_and(|why| why.starts_with("broken: ") && why.contains(promise))
    };
    let wrong: Vec<_> = seen.filter(|(_, promise, why)| is_wrong(promise, why)).collect();
    assert!(wrong.is_empty(), "unseen, or seen for another reason: {wrong:#?}");
}

#[test]
fn a_sync_that_forgets_is_seen_after_a_power_cut() {
    let disk = SimDisk::new(1);
    let storage = Planted::new(disk.storage(), Defect::SyncForgets);
    let file = storage.create("a").unwrap();
    file.write_at(0, b"x").unwrap();
    file.sync().unwrap();
    storage.sync_names().unwrap();
    assert!(disk.outcomes(0, 0).any(|after| after.read("a").unwrap().is_empty()));
}

/// A mapping is the only way for a view to change, so this takes real files.
#[cfg(target_os = "linux")]
#[test]
fn a_view_that_shows_later_writes_is_seen() {
    use wal_segment::{LocalOptions, LocalStorage};

    let root = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    let why = broken(&|| {
        count.set(count.get() + 1);
        let dir = root.path().join(count.get().to_string());
        let local = LocalStorage::create(dir, LocalOptions::default()).unwrap();
        Arc::new(Planted::new(Arc::new(local), Defect::ViewsAreMapped))
    });
    let why = why.expect("a view that changes is noticed");
    assert!(why.contains("a view of bytes that are not frozen keeps them"), "{why}");
}
