//! Cells that append.

use std::{
    fs,
    io::{BufWriter, Write},
    path::Path,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use wal_benches::sample::{Sample, payload};

use crate::{
    cell::Outcome,
    subject::{Fallible, Peer, Place, Subject},
};

/// Payloads that take turns, so that none is in a cache because it is always the same, and none is invented on the way.
const PAYLOADS: usize = 64;
/// Calls before anything is timed.
const WARM_UP: usize = 30;
/// Bytes between two looks at the clock, where single appends are not timed.
const STRIDE: usize = 128 << 10;
/// Longest time of a run that is measured by its size.
const LONGEST: Duration = Duration::from_secs(4);
/// Where the places of a filled log are kept for those who read it.
const PLACES: &str = "places.compare";

/// What each call appends, and how many threads call.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Bytes of a payload.
    pub len: usize,
    /// Entries of a call.
    pub batch: usize,
    /// Threads that append.
    pub threads: usize,
}

/// Payloads for one thread.
pub fn payloads(len: usize, thread: usize) -> Vec<Vec<u8>> {
    // Fewer of the large ones: they are to stay in a cache, as a caller's would be.
    let count = (STRIDE * 4 / len.max(1)).clamp(2, PAYLOADS);
    (0..count).map(|n| payload(len, (thread * PAYLOADS + n) as u64 + 1)).collect()
}

/// CPU time of this process, all threads.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Times each call for a while.
pub fn latency(log: &dyn Subject, load: Load, millis: u64) -> Fallible<Outcome> {
    let call = |thread: usize, payloads: &[Vec<u8>], n: usize| -> Fallible<bool> {
        let payload = |n: usize| payloads[n % payloads.len()].as_slice();
        if load.batch == 1 {
            log.append(thread, payload(n))?;
            return Ok(true);
        }
        let batch: Vec<_> = (n..n + load.batch).map(payload).collect();
        Ok(log.append_batch(thread, &batch).transpose()?.is_some())
    };
    let first = payloads(load.len, 0);
    for n in 0..WARM_UP {
        if !call(0, &first, n)? {
            return Ok(Outcome::default());
        }
    }
    // What a log prepares in the background, it prepares before it is needed.
    thread::sleep(Duration::from_millis(50));
    let barrier = Barrier::new(load.threads + 1);
    let time = Duration::from_millis(millis);
    let (results, elapsed, used) = thread::scope(|scope| {
        let run = |thread: usize| -> Fallible<Sample> {
            let payloads = payloads(load.len, thread);
            let mut sample = Sample::default();
            barrier.wait();
            let start = Instant::now();
            let mut now = start;
            for n in 0.. {
                call(thread, &payloads, n)?;
                let after = Instant::now();
                sample.add(after - now);
                now = after;
                if now - start >= time {
                    break;
                }
            }
            Ok(sample)
        };
        let threads: Vec<_> = (0..load.threads).map(|thread| scope.spawn(move || run(thread))).collect();
        barrier.wait();
        let (start, before) = (Instant::now(), cpu());
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        (results, start.elapsed(), cpu() - before)
    });
    let (mut all, mut calls) = (Sample::default(), 0);
    for result in results {
        let sample = result.map_err(|_| "an appending thread panicked")??;
        calls += sample.len();
        all.merge(&sample);
    }
    let mut outcome = Outcome { appended: ((calls + WARM_UP) * load.batch) as u64, ..Outcome::new() };
    outcome.note("per s", calls as f64 / elapsed.as_secs_f64());
    for (name, per_mille) in [("p50 us", 500), ("p99 us", 990), ("p99.9 us", 999)] {
        outcome.note(name, all.quantile(per_mille) / 1e3);
    }
    outcome.note("max us", all.quantile(1000) / 1e3);
    outcome.note("cpu us", used.as_secs_f64() * 1e6 / calls.max(1) as f64);
    Ok(outcome)
}

/// How many entries of a length make so many bytes, as far as the peer can.
pub fn entries(peer: &Peer, len: usize, bytes: u64) -> u64 {
    (bytes / len as u64).min(peer.entries_max).max(1)
}

/// Times all calls together, and the hand-over to the operating system with them.
pub fn throughput(
    peer: &Peer,
    log: &dyn Subject,
    len: usize,
    threads: usize,
    bytes: u64,
) -> Fallible<Outcome> {
    let share = entries(peer, len, bytes) as usize / threads;
    let warm = payloads(len, 0);
    for payload in warm.iter().cycle().take(WARM_UP) {
        log.append(0, payload)?;
    }
    log.flush()?;
    thread::sleep(Duration::from_millis(50));
    let barrier = Barrier::new(threads + 1);
    let stride = (STRIDE / len).max(1);
    let (results, elapsed, used) = thread::scope(|scope| {
        let run = |thread: usize| -> Fallible<usize> {
            let payloads = payloads(len, thread);
            barrier.wait();
            let start = Instant::now();
            let mut n = 0;
            while n < share && start.elapsed() < LONGEST {
                let end = share.min(n + stride);
                for n in n..end {
                    log.append(thread, &payloads[n % payloads.len()])?;
                }
                n = end;
            }
            Ok(n)
        };
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        barrier.wait();
        let (start, before) = (Instant::now(), cpu());
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        log.flush().map(|()| (results, start.elapsed(), cpu() - before))
    })?;
    let mut calls = 0;
    for result in results {
        calls += result.map_err(|_| "an appending thread panicked")??;
    }
    let mut outcome = Outcome { appended: (calls + WARM_UP) as u64, ..Outcome::new() };
    outcome.note("ns", elapsed.as_secs_f64() * 1e9 / calls.max(1) as f64);
    outcome.note("MB/s", (calls * len) as f64 / elapsed.as_secs_f64() / 1e6);
    outcome.note("cpu ns", used.as_secs_f64() * 1e9 / calls.max(1) as f64);
    Ok(outcome)
}

/// Fills a log, and keeps the places of its entries in a file beside it.
pub fn fill(
    peer: &Peer,
    log: &dyn Subject,
    dir: &Path,
    (len, batch): (usize, usize),
    bytes: u64,
) -> Fallible<Outcome> {
    let entries = entries(peer, len, bytes);
    let mut file = BufWriter::new(fs::File::create(places_file(dir))?);
    let start = Instant::now();
    fill_with(peer, log, (len, batch), entries, |place| {
        for number in [place.space, place.at, place.len] {
            file.write_all(&number.to_le_bytes())?;
        }
        Ok(())
    })?;
    log.settle()?;
    file.flush()?;
    let mut outcome = Outcome { appended: entries, ..Outcome::new() };
    outcome.note("fill s", start.elapsed().as_secs_f64());
    Ok(outcome)
}

/// Appends so many entries, as many at once as the peer needs to be quick, or more.
pub fn fill_with(
    peer: &Peer,
    log: &dyn Subject,
    (len, batch): (usize, usize),
    entries: u64,
    mut keep: impl FnMut(Place) -> Fallible<()>,
) -> Fallible<()> {
    let payloads = payloads(len, 0);
    let mut left = entries;
    // A batch has to stay below the limits that rivals have on it.
    let mut batch = batch.max(peer.fill_batch).min(((2 << 20) / len).max(1)) as u64;
    while left > 0 {
        let count = left.min(batch);
        if count > 1 {
            let several: Vec<_> = payloads.iter().cycle().take(count as usize).map(Vec::as_slice).collect();
            let Some(places) = log.append_batch(0, &several) else {
                batch = 1;
                continue;
            };
            places?.into_iter().try_for_each(&mut keep)?;
        } else {
            keep(log.append(0, &payloads[left as usize % payloads.len()])?)?;
        }
        left -= count;
    }
    Ok(())
}

/// The places that [`fill`] kept.
pub fn places(dir: &Path) -> Fallible<Vec<Place>> {
    let bytes = fs::read(places_file(dir))?;
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    let place = |bytes: &[u8]| Place {
        space: number(&bytes[..8]),
        at: number(&bytes[8..16]),
        len: number(&bytes[16..]),
    };
    Ok(bytes.chunks_exact(24).map(place).collect())
}

fn places_file(dir: &Path) -> std::path::PathBuf {
    dir.with_extension(PLACES)
}
