//! Cells that read.

use std::{
    fs, hint,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use wal_benches::sample::median;

use crate::{
    append,
    cell::Outcome,
    subject::{Fallible, Found, Peer, Place, Subject},
};

/// Passes of each way to read everything: the first two or three fill caches and page tables, and the median is of a
/// warm log.
const PASSES: usize = 25;
/// Gets between two looks at the clock.
const STRIDE: usize = 64;
/// Gets in one call.
const MANY: usize = 1024;

/// Numbers without a pattern that a processor would guess.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// Scans, scans backwards, gets at random.
pub fn read(log: &dyn Subject, dir: &Path, len: usize, millis: u64) -> Fallible<Outcome> {
    let places = append::places(dir)?;
    let bytes = (places.len() * len) as u64;
    let mut outcome = Outcome::new();
    let passes = if log.scans_again() { PASSES } else { 1 };
    let mut scan = |name: &str, scan: &dyn Fn() -> Option<Fallible<Found>>| -> Fallible<()> {
        let mut times = Vec::new();
        for _ in 0..passes {
            let start = Instant::now();
            let Some(found) = scan().transpose()? else { return Ok(()) };
            times.push(start.elapsed().as_secs_f64() * 1e9 / places.len() as f64);
            if found.bytes != bytes {
                return Err(format!("{name} found {} bytes, {bytes} were appended", found.bytes).into());
            }
        }
        outcome.note(name, median(&times));
        Ok(())
    };
    scan("scan ns", &|| log.scan(len))?;
    scan("reverse ns", &|| log.reverse())?;
    let time = Duration::from_millis(millis);
    if let Some((gets, took)) = gets(log, &places, len, 1, |elapsed| elapsed >= time)? {
        outcome.note("get ns", took.as_secs_f64() * 1e9 / gets as f64);
    }
    if let Some(each) = gets_at_once(log, &places, len, time)? {
        outcome.note("get many ns", each);
    }
    Ok(outcome)
}

/// Nanoseconds of each get where many are asked for at once.
fn gets_at_once(log: &dyn Subject, places: &[Place], len: usize, time: Duration) -> Fallible<Option<f64>> {
    let mut random = Random(7);
    let (mut gets, mut took) = (0, Duration::ZERO);
    while took < time {
        let wanted: Vec<_> = (0..MANY).map(|_| places[random.below(places.len())]).collect();
        let start = Instant::now();
        let Some(found) = log.get_many(&wanted) else { return Ok(None) };
        took += start.elapsed();
        if found? != MANY * len {
            return Err("a get of many returned something else".into());
        }
        gets += MANY;
    }
    Ok(Some(took.as_secs_f64() * 1e9 / gets as f64))
}

/// Appends, and keeps where the entries are.
fn fill(peer: &Peer, log: &dyn Subject, len: usize, bytes: u64) -> Fallible<Vec<Place>> {
    let entries = append::entries(peer, len, bytes);
    let mut places = Vec::with_capacity(entries as usize);
    append::fill_with(peer, log, (len, 1), entries, |place| {
        places.push(place);
        Ok(())
    })?;
    Ok(places)
}

/// Gets at random from a log that was just written and is still open: alone, then beside a thread that appends.
pub fn hot(peer: &Peer, log: &dyn Subject, len: usize, bytes: u64, millis: u64) -> Fallible<Outcome> {
    let places = fill(peer, log, len, bytes)?;
    log.sync()?;
    let time = Duration::from_millis(millis);
    let timed = |seed| gets(log, &places, len, seed, |elapsed| elapsed >= time);
    let Some((count, took)) = timed(1)? else { return Ok(Outcome::default()) };
    let mut outcome = Outcome::new();
    outcome.note("get ns", took.as_secs_f64() * 1e9 / count as f64);
    let (payloads, is_over) = (append::payloads(len, 1), AtomicBool::new(false));
    let beside = thread::scope(|scope| {
        let writer = scope.spawn(|| -> Fallible<()> {
            for payload in payloads.iter().cycle() {
                log.append(0, payload)?;
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
            Ok(())
        });
        let timed = timed(2);
        is_over.store(true, Ordering::Relaxed);
        writer.join().map_err(|_| "the writer panicked")??;
        timed
    })?;
    if let Some((count, took)) = beside {
        outcome.note("get beside a writer ns", took.as_secs_f64() * 1e9 / count as f64);
    }
    Ok(outcome)
}

/// Gets entries at random until told to stop; `None` if the subject cannot.
fn gets(
    log: &dyn Subject,
    places: &[Place],
    len: usize,
    seed: u64,
    is_over: impl Fn(Duration) -> bool,
) -> Fallible<Option<(u64, Duration)>> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut gets, mut took) = (0, Duration::ZERO);
    loop {
        // Drawn before: where they lie in the list of all is not the log's to find.
        let wanted: [Place; STRIDE] = std::array::from_fn(|_| places[random.below(places.len())]);
        let start = Instant::now();
        for place in wanted {
            let Some(found) = log.get(place) else { return Ok(None) };
            if found? != len {
                return Err("a get returned something else".into());
            }
            gets += 1;
            // A single get may take a tenth of a second.
            if gets < STRIDE as u64 && start.elapsed() > Duration::from_millis(100) {
                break;
            }
        }
        took += start.elapsed();
        if is_over(took) {
            return Ok(Some((gets, took)));
        }
    }
}

/// One thread appends: alone, then beside threads that only burn time, then beside threads that read.
pub fn beside(
    peer: &Peer,
    log: &dyn Subject,
    len: usize,
    bytes: u64,
    readers: usize,
    millis: u64,
) -> Fallible<Outcome> {
    let places = fill(peer, log, len, bytes)?;
    log.settle()?;
    let time = Duration::from_millis(millis);
    let payloads = append::payloads(len, 1);
    let write = || -> Fallible<f64> {
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < time {
            for payload in payloads.iter().take(STRIDE / 4) {
                log.append(0, payload)?;
                count += 1;
            }
        }
        Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(count))
    };
    let is_over = AtomicBool::new(false);
    let (reads, nanoseconds) = (AtomicU64::new(0), AtomicU64::new(0));
    let beside = |work: &(dyn Fn(u64) -> Fallible<()> + Sync)| -> Fallible<f64> {
        is_over.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            let threads: Vec<_> = (1..=readers as u64).map(|n| scope.spawn(move || work(n))).collect();
            let written = write();
            is_over.store(true, Ordering::Relaxed);
            for thread in threads {
                thread.join().map_err(|_| "a reading thread panicked")??;
            }
            written
        })
    };
    let alone = write()?;
    let spinning = beside(&|_| {
        while !is_over.load(Ordering::Relaxed) {
            hint::black_box(crc32fast::hash(&[7; 4096]));
        }
        Ok(())
    })?;
    let reading = beside(&|n| {
        if let Some((count, took)) = gets(log, &places, len, n, |_| is_over.load(Ordering::Relaxed))? {
            reads.fetch_add(count, Ordering::Relaxed);
            nanoseconds.fetch_add(u64::try_from(took.as_nanos())?, Ordering::Relaxed);
        }
        Ok(())
    })?;
    if reads.load(Ordering::Relaxed) == 0 {
        return Ok(Outcome::default());
    }
    let mut outcome = Outcome::new();
    outcome.note("alone ns", alone);
    outcome.note("beside spinning ns", spinning);
    outcome.note("beside readers ns", reading);
    outcome.note("get ns", nanoseconds.into_inner() as f64 / reads.into_inner() as f64);
    Ok(outcome)
}

/// Appends and scans; the memory of its own that the process has at most, and what it maps of files.
pub fn memory(peer: &Peer, log: &dyn Subject, len: usize, bytes: u64) -> Fallible<Outcome> {
    let entries = append::entries(peer, len, bytes);
    let is_over = AtomicBool::new(false);
    let watch = || -> Fallible<u64> {
        let mut most = 0;
        while !is_over.load(Ordering::Relaxed) {
            most = most.max(anonymous()?);
            thread::sleep(Duration::from_millis(2));
        }
        Ok(most)
    };
    let watched = |work: &dyn Fn() -> Fallible<()>| -> Fallible<f64> {
        is_over.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            let watcher = scope.spawn(watch);
            let done = work();
            is_over.store(true, Ordering::Relaxed);
            let most = watcher.join().map_err(|_| "the watcher panicked")??;
            done.map(|()| most.max(anonymous().unwrap_or(0)) as f64 / f64::from(1 << 20))
        })
    };
    let mut outcome = Outcome { appended: entries, ..Outcome::new() };
    let appending = watched(&|| {
        append::fill_with(peer, log, (len, 1), entries, |_| Ok(()))?;
        log.settle()
    })?;
    outcome.note("appending MiB", appending);
    let can_scan = AtomicBool::new(false);
    let reading = watched(&|| {
        let found = log.scan(len).transpose()?;
        can_scan.store(found.is_some(), Ordering::Relaxed);
        Ok(())
    })?;
    if can_scan.into_inner() {
        outcome.note("reading MiB", reading);
    }
    Ok(outcome)
}

/// Resident memory that is no file's.
fn anonymous() -> Fallible<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}
