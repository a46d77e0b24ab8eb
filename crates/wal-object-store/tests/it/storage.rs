//! The storage contract, and what an object store adds to it.

use std::sync::Arc;

use object_store::memory::InMemory;
use wal_object_store::{ObjectOptions, ObjectStorage};
use wal_segment::{Storage, TakenOver, conformance};

fn options() -> ObjectOptions {
    ObjectOptions { pause: std::time::Duration::ZERO, ..ObjectOptions::default() }
}

fn on(store: &Arc<InMemory>) -> ObjectStorage {
    ObjectStorage::new(Arc::clone(store) as _, "some/log", options()).unwrap()
}

#[test]
fn it_keeps_the_contract_of_a_storage() {
    conformance::check(&|| Arc::new(on(&Arc::default())));
}

#[test]
fn a_name_that_another_writer_took_is_lost_for_good() {
    let store = Arc::new(InMemory::new());
    let (one, other) = (on(&store), on(&store));
    let files = [&one, &other].map(|storage| storage.create("a").unwrap());
    files[0].write_at(0, b"first").unwrap();
    files[1].write_at(0, b"second").unwrap();
    files[0].sync().unwrap();
    for _ in 0..2 {
        let error = files[1].sync().unwrap_err();
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        assert_eq!(inner, Some(&TakenOver { name: "a".to_owned() }));
    }
    other.list().unwrap();
    let mut read = [0; 8];
    assert_eq!(other.open("a").unwrap().read_at(0, &mut read).unwrap(), 5);
    assert_eq!(&read[..5], b"first");
}

#[test]
fn uploads_run_at_once_and_are_waited_for() {
    let store = Arc::new(InMemory::new());
    let storage = on(&store);
    let files = ["a", "b", "c"].map(|name| storage.create(name).unwrap());
    for file in &files {
        file.write_at(0, &[7; 600_000]).unwrap();
        file.begin_sync();
        assert!(file.write_at(600_000, b"late").is_err());
    }
    for file in &files {
        file.sync().unwrap();
        assert_eq!(file.view(599_990..600_000).unwrap().as_ref(), [7; 10]);
    }
    assert_eq!(on(&store).list().unwrap(), ["a", "b", "c"]);
}

#[test]
fn a_runtime_of_the_callers_does_and_being_inside_one_does_not_matter() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let store: Arc<InMemory> = Arc::default();
    let given = ObjectOptions { runtime: Some(runtime.handle().clone()), ..options() };
    let storage = ObjectStorage::new(Arc::clone(&store) as _, "x", given).unwrap();
    storage.create("a").unwrap().sync().unwrap();
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    other.block_on(async { on(&store).create("b").unwrap().sync().unwrap() });
    assert_eq!(storage.list().unwrap(), ["a"]);
    drop(runtime);
    assert!(storage.list().unwrap_err().to_string().contains("runtime"));
}

/// What was read or published lately needs no answer from anybody.
#[test]
fn what_is_kept_in_memory_is_read_without_a_request_or_a_thread() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let given = ObjectOptions { runtime: Some(runtime.handle().clone()), ..options() };
    let store = Arc::new(InMemory::new());
    let bytes: Vec<u8> = (0..600_000_u32).flat_map(u32::to_le_bytes).collect();
    let written = on(&store);
    let published = written.create("a").unwrap();
    published.write_at(0, &bytes).unwrap();
    published.sync().unwrap();
    drop(written);
    let storage = ObjectStorage::new(store, "some/log", given).unwrap();
    storage.list().unwrap();
    let file = storage.open("a").unwrap();
    // Blocks of 256 KiB: the second and the third.
    file.view(300_000..600_000).unwrap();
    drop(runtime);
    for (opened, range) in [(&file, 262_144..786_432), (&file, 500_000..530_000), (&published, 0..2_400_000)]
    {
        let within = range.start as usize..range.end as usize;
        assert_eq!(opened.view(range).unwrap(), bytes[within.clone()]);
        let mut read = vec![0; within.len()];
        assert_eq!(opened.read_at(within.start as u64, &mut read).unwrap(), within.len());
        assert_eq!(read, bytes[within]);
    }
    for range in [262_143..300_000, 786_000..786_433] {
        assert!(file.view(range).unwrap_err().to_string().contains("runtime"));
    }
}

#[test]
fn nothing_shows_a_secret() {
    let store: Arc<InMemory> = Arc::default();
    let location = Some("s3://key:SECRET@bucket/prefix?token=SECRET".to_owned());
    let with = ObjectOptions { location, ..options() };
    let storage = ObjectStorage::new(store, "x", with).unwrap();
    let shown = format!("{storage:?} {} {:?}", storage.location(), storage.open("a").unwrap_err());
    assert!(shown.contains("s3://bucket/prefix") && !shown.contains("SECRET"), "{shown}");
}
