//! A reader that takes in, again and again, what a writer beside it has added, and one that opens the log anew.

use std::{path::Path, sync::Arc, time::Duration};

use wal_core::{Environment, Log, Options, SyncPolicy, TailFrom, TailOptions, Visibility};
use wal_segment::{LocalOptions, LocalStorage};

use crate::{
    sample::{Sample, median, payload, row},
    subject::open,
};

/// Repetitions of each row, the rivals of a row in turn.
const REPEATS: usize = 5;
/// How often each looks.
const LOOKS: usize = 200;
/// How much the newest segment holds, in entries of 128 B.
const FILLED: [usize; 3] = [1000, 40_000, 380_000];

/// Prints the rows.
pub fn table(dir: &Path) {
    for filled in FILLED {
        let dir = dir.join(format!("following-{filled}"));
        let interval = Duration::from_millis(200);
        let options = Options {
            sync: SyncPolicy::OsCache { interval },
            first_segment_len: 64 << 20,
            ..Options::default()
        };
        let (log, record) = (open(&dir, options), payload(128, 1));
        for _ in 0..filled {
            log.append(&record).unwrap();
        }
        log.sync().unwrap();
        let (mut looks, mut quiet, mut anew) = (Vec::new(), Vec::new(), Vec::new());
        let mut tail =
            reader(&dir).tail(TailOptions { from: TailFrom::End, visibility: Visibility::Written });
        for _ in 0..REPEATS {
            let one_more = |_| {
                log.append(&record).unwrap();
            };
            looks.push(p50(one_more, |_| assert!(tail.try_next().unwrap().is_some())));
            quiet.push(p50(drop, |_| assert!(tail.try_next().unwrap().is_none())));
            anew.push(p50(one_more, |_| assert!(reader(&dir).last_lsn() == log.last_lsn())));
            while tail.try_next().unwrap().is_some() {}
        }
        let [looks, quiet, anew] = [looks, quiet, anew].map(|figures| median(&figures));
        let where_ = format!("beside a writer, {} MB of 128 B in the segment", filled * 168 / 1_000_000);
        let theirs = format!("opening anew {anew:.1} us");
        for (what, ours) in [("a tail takes one entry more", looks), ("a tail finds nothing new", quiet)] {
            row(&format!("{what}, {where_}"), &format!("{ours:.1} us"), &theirs, ours / anew);
        }
    }
}

fn reader(dir: &Path) -> Log {
    let storage = Arc::new(LocalStorage::open(dir, LocalOptions::default()).unwrap());
    Log::open_read_only(Environment::new(storage), Options::default()).unwrap()
}

/// The median time of `look` in microseconds, with `before` done before each.
fn p50(before: impl Fn(usize), mut look: impl FnMut(usize)) -> f64 {
    let mut sample = Sample::default();
    for n in 0..LOOKS {
        before(n);
        let start = std::time::Instant::now();
        look(n);
        sample.add(start.elapsed());
    }
    sample.quantile(500) / 1000.0
}
