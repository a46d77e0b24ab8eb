//! A log on a real server: `cargo xtask s3` starts one. Without `WAL_S3_ENDPOINT` there is nothing to do.
#![cfg(feature = "aws")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it counted"
)]

use std::{path::Path, sync::Arc, time::Duration};

use wal_core::{Environment, Log, LogError, Options};
use wal_object_store::{ObjectOptions, S3Config};
use wal_segment::Storage;

fn environment(url: &str, endpoint: &str) -> Environment {
    let config =
        S3Config::from_url(url).unwrap().endpoint(endpoint).region("us-east-1").keys("key", "secret", None);
    let config = config.limits(Duration::from_secs(20), 3);
    Environment::new(Arc::new(config.open(ObjectOptions::default()).unwrap()))
}

#[test]
fn a_log_lives_on_a_real_server() {
    let Ok(endpoint) = std::env::var("WAL_S3_ENDPOINT") else { return };
    let url = std::env::var("WAL_S3_URL").unwrap_or_else(|_| format!("s3://bucket/{}", std::process::id()));
    let options = || Options { segment_len: 256 << 10, ..Options::default() };
    let old = Log::open(environment(&url, &endpoint), options()).unwrap();
    for n in 0..20_u32 {
        old.append(&n.to_le_bytes()).unwrap();
    }
    let threads = 8;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..10 {
                    old.append(&[7; 1000]).unwrap();
                }
            });
        }
    });
    let reader = Log::open_read_only(environment(&url, &endpoint), options()).unwrap();
    assert_eq!(reader.range(..).inspect(|entry| assert!(entry.is_ok())).count(), 100);

    let new = Log::open(environment(&url, &endpoint), options()).unwrap();
    let error = old.append(b"late").unwrap_err();
    assert!(
        matches!(&error, LogError::Unconfirmed { source, .. } if matches!(**source, LogError::Fenced { .. })),
        "{error:?}"
    );
    for _ in 0..10 {
        drop(new.submit(&wal_format::NewEntry::plain(&[9; 100_000]), None).unwrap());
    }
    new.sync().unwrap();
    new.truncate_before(wal_format::Lsn::new(50).unwrap()).unwrap();
    new.close().unwrap();
    drop((old, new));

    let storage = environment(&url, &endpoint).storage;
    let log = Log::open_read_only(environment(&url, &endpoint), options()).unwrap();
    let entries: Vec<_> = log.range(..).map(|entry| entry.unwrap()).collect();
    assert_eq!((entries.len(), entries[0].lsn.get(), entries[60].payload.len()), (61, 50, 100_000));
    if let Ok(to) = std::env::var("WAL_S3_COPY") {
        copy(&*storage, Path::new(&to));
    }
}

/// Copies every object into a directory, as any tool would.
fn copy(storage: &dyn Storage, to: &Path) {
    for name in storage.list().unwrap() {
        let file = storage.open(&name).unwrap();
        let bytes = file.view(0..file.len().unwrap()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test's own directory")]
        std::fs::write(to.join(name), bytes).unwrap();
    }
}
