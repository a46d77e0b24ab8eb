//! A log that keeps little on the machine and everything in a tier, and comes back when the machine is lost.
//!
//! The tier here is a directory; `s3://bucket/prefix` in its place needs the feature `s3`, and nothing else changes.
//!
//! `cargo run -p wal --example tiered`

#![expect(clippy::print_stdout, reason = "it is an example")]

use wal::{Options, TierOptions, Wal};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = tempfile::tempdir()?;
    let (log, tier) = (place.path().join("log"), place.path().join("tier"));
    let options = Options {
        segment_len: 1 << 20,
        tier: TierOptions { local_len: Some(2 << 20), ..TierOptions::default() },
        sync: wal::SyncPolicy::Background { interval: std::time::Duration::from_millis(100) },
        ..Options::default()
    };
    let wal = Wal::builder(&log).options(options).tier_url(&tier).open()?;
    for n in 0..100_000 {
        wal.append(format!("reading {n} of a sensor that has much to say"))?;
    }
    let shipped = wal.ship()?;
    let first = wal.first_lsn().ok_or("the log is empty")?;
    let oldest = wal.get(first)?;
    let stats = wal.stats().tier.ok_or("the log has no tier")?;
    println!("the oldest entry, from the tier: {:?}", oldest.payload);
    println!("here {} KiB, shipped {} KiB", stats.local_bytes >> 10, stats.shipped_bytes >> 10);

    wal.append("this one stays on the machine")?;
    drop(wal);
    std::fs::remove_dir_all(&log)?;
    wal::restore(&tier, &log)?;
    let wal = Wal::builder(&log).tier_url(&tier).open()?;
    assert_eq!(wal.next_lsn(), shipped.next);
    assert_eq!(wal.get(first)?.payload, oldest.payload);
    println!("restored up to {}", shipped.next);
    Ok(())
}
