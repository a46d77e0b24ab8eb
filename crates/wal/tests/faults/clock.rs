//! Clocks that jump.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use wal::{Clock, Wal};

use crate::content::small;

/// Says what it was told to, and waits with the system's clock.
#[derive(Debug, Default)]
struct Told(AtomicU64);

impl Clock for Told {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        wal::SystemClock.monotonic()
    }
}

fn open(dir: &Path, clock: &Arc<Told>) -> Wal {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    Wal::builder(dir).options(small()).clock(clock).open().unwrap()
}

#[test]
fn stamps_never_run_backwards() {
    const DAY: u64 = 86_400_000_000_000;
    const NOW: u64 = 20_000 * DAY;
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Told::default());
    // Back an hour, back to 1970, on by a hundred years, to the end of what can be counted, and back.
    let jumps = [NOW, NOW - DAY / 24, 0, NOW + 1, NOW + 36_500 * DAY, 5, u64::MAX, NOW, 0];
    let mut count = 0;
    for (round, now) in jumps.into_iter().enumerate() {
        clock.0.store(now, Ordering::SeqCst);
        let wal = open(dir.path(), &clock);
        // So much that segments change under every time.
        for _ in 0..30 {
            wal.append(vec![round as u8; 6000]).unwrap();
            count += 1;
        }
        if round % 3 == 1 {
            clock.0.store(1, Ordering::SeqCst);
            wal.truncate_after(wal.last_lsn().unwrap().previous().unwrap()).unwrap();
            wal.append("after a cut").unwrap();
        }
        drop(wal);
        let wal = Wal::open_read_only(dir.path()).unwrap();
        let times: Vec<_> = wal.iter().map(|entry| entry.unwrap().time).collect();
        assert_eq!(times.len(), count);
        assert!(times.is_sorted(), "round {round}: {times:?}");
    }
}
