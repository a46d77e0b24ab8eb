//! Threads that compress packs beside those that append, and codecs that misbehave meanwhile.

use std::{
    panic,
    sync::{
        Arc, Condvar, Mutex, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use wal_compress::{Codec, CodecId, CompressError, Compression, WhenBehind, Zstd};
use wal_core::{
    AppendOptions, BatchLimit, Durability, Entropy, Environment, Log, LogError, Options, SyncPolicy,
    SystemEntropy,
};
use wal_format::{EntriesBuilder, Lsn, NewEntry};
use wal_segment::{MemoryStorage, Storage};
use wal_sim::VirtualTime;

use crate::{
    hooked::Hooked,
    reading::{TestClock, lsn},
    support::{check, environment, fill, open, payload, small},
};

const ID: CodecId = CodecId(200);

/// Zstandard with a gate: nothing is compressed while it is shut.
#[derive(Debug, Default)]
struct Gated {
    inner: Zstd,
    shut: Mutex<bool>,
    opened: Condvar,
    /// How many threads stand before it.
    waiting: AtomicUsize,
    decompressed: AtomicUsize,
    /// The codec panics.
    broken: AtomicBool,
}

impl Gated {
    fn set_shut(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.opened.notify_all();
    }

    /// Returns when somebody wants to compress and cannot.
    fn wait_until_used(&self) {
        while self.waiting.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
    }
}

impl Codec for Gated {
    fn id(&self) -> CodecId {
        ID
    }

    fn name(&self) -> &str {
        "gated"
    }

    fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(self.opened.wait_while(self.shut.lock().unwrap(), |shut| *shut).unwrap());
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) {
            out.extend_from_slice(b"what is left of it");
            // Without a message on the terminal.
            panic::resume_unwind(Box::new("broken"));
        }
        self.inner.compress(raw, out)
    }

    fn decompress(&self, stored: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        self.decompressed.fetch_add(1, Ordering::SeqCst);
        self.inner.decompress(stored, raw_len, out)
    }
}

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new())
}

fn with_codec(storage: &Arc<dyn Storage>, codec: &Arc<Gated>, options: &Options) -> Log {
    let mut environment = Environment { ..environment(Arc::clone(storage)) };
    environment.codecs.register(Arc::clone(codec) as Arc<dyn Codec>).unwrap();
    Log::open(environment, options.clone()).unwrap()
}

/// The same with a clock that stands still: a pack ends when it has been open for a while, and what is left of it then
/// may be too short to be worth compressing.
fn with_still_clock(storage: &Arc<dyn Storage>, codec: &Arc<Gated>, options: &Options) -> Log {
    let clock = Arc::new(TestClock(Arc::new(VirtualTime::default())));
    let mut environment = Environment { clock, ..environment(Arc::clone(storage)) };
    environment.codecs.register(Arc::clone(codec) as Arc<dyn Codec>).unwrap();
    Log::open(environment, options.clone()).unwrap()
}

/// A log that syncs when it is asked to, with short packs.
fn threaded(threads: u32, when_behind: WhenBehind) -> Options {
    let compression =
        Compression { codec: ID, pack_len: 4096, threads, when_behind, ..Compression::default() };
    let interval = Duration::from_secs(3600);
    let sync = SyncPolicy::Background { interval };
    let options = Options { sync, compression, unsynced_age_max: 2 * interval, ..small() };
    Options { first_segment_len: 1 << 20, segment_len: 1 << 20, ..options }
}

fn frames(log: &Log) -> (usize, usize) {
    let headers: Vec<_> = log.headers(Lsn::FIRST, Lsn::MAX).map(|header| header.unwrap()).collect();
    let compressed = headers.iter().filter(|header| header.codec != CodecId::IDENTITY).count();
    (compressed, headers.len() - compressed)
}

#[test]
fn appends_go_on_while_the_codec_hangs() {
    let (storage, codec) = (memory(), Arc::new(Gated::default()));
    let options = threaded(1, WhenBehind::StorePlain);
    let log = with_codec(&storage, &codec, &options);
    codec.set_shut(true);
    fill(&log, 1..1001);
    codec.wait_until_used();
    fill(&log, 1001..2001);
    check(&log, 1, 2001);
    assert_eq!(log.durable_lsn(), None);
    // What must follow the packs waits for them, as long as it has time.
    let mut batch = EntriesBuilder::default();
    batch.push(&NewEntry::plain(&payload(2001))).unwrap();
    let timeout = Some(Duration::from_millis(20));
    let late = log.append_batch(&batch, &AppendOptions { timeout, ..AppendOptions::default() });
    assert!(matches!(late, Err(LogError::TimedOut { .. })), "{late:?}");
    assert_eq!(log.next_lsn(), lsn(2001));
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let durability = Some(Durability::Durable);
            log.append_batch(&batch, &AppendOptions { durability, ..AppendOptions::default() })
        });
        codec.set_shut(false);
        assert_eq!(waits.join().unwrap().unwrap(), (lsn(2001), lsn(2001)));
    });
    assert_eq!(log.durable_lsn(), Some(lsn(2001)));
    let (compressed, plain) = frames(&log);
    assert!(compressed >= 1 && plain > 50, "{compressed} {plain}");
    let stats = log.stats();
    assert!(stats.compression_skipped_bytes > 50 * 3500 && stats.compression_raw_bytes > 0, "{stats:?}");
    check(&log, 1, 2002);
    log.close().unwrap();
    drop(log);
    check(&with_codec(&storage, &codec, &options), 1, 2002);
}

#[test]
fn without_leave_to_store_them_plain_all_packs_are_compressed() {
    for threads in [0, 1, 3] {
        let (storage, codec) = (memory(), Arc::new(Gated::default()));
        let options = threaded(threads, WhenBehind::Compress);
        let log = with_still_clock(&storage, &codec, &options);
        fill(&log, 1..2001);
        log.truncate_after(lsn(1990)).unwrap();
        fill(&log, 1991..2001);
        log.close().unwrap();
        let (compressed, plain) = frames(&log);
        assert!(compressed > 50 && plain <= 2, "{threads}: {compressed} {plain}");
        drop(log);
        check(&with_codec(&storage, &codec, &options), 1, 2001);
    }
}

#[test]
fn a_codec_that_panics_costs_the_gain_alone() {
    for (threads, sync) in [
        (0, SyncPolicy::Always),
        (1, SyncPolicy::Always),
        (1, SyncPolicy::Background { interval: Duration::from_secs(3600) }),
    ] {
        let (storage, codec) = (memory(), Arc::new(Gated::default()));
        let options = Options { sync, ..threaded(threads, WhenBehind::Compress) };
        let log = with_codec(&storage, &codec, &options);
        codec.broken.store(true, Ordering::SeqCst);
        let long = [7; 1000];
        for _ in 0..100 {
            log.append(&long).unwrap();
        }
        log.sync().unwrap();
        assert_eq!(log.durable_lsn(), Some(lsn(100)));
        codec.broken.store(false, Ordering::SeqCst);
        log.append(&long).unwrap();
        log.sync().unwrap();
        let (compressed, plain) = frames(&log);
        assert!(compressed == 1 && plain >= 25, "{compressed} {plain}");
        let same = |log: &Log| {
            assert_eq!(
                log.range(..).filter(|entry| entry.as_ref().unwrap().payload == long[..]).count(),
                101
            );
        };
        same(&log);
        drop(log);
        same(&with_codec(&storage, &codec, &options));
    }
}

#[test]
fn random_gets_decompress_a_frame_once() {
    let (storage, codec) = (memory(), Arc::new(Gated::default()));
    let options = threaded(0, WhenBehind::Compress);
    let log = with_still_clock(&storage, &codec, &options);
    fill(&log, 1..1001);
    log.close().unwrap();
    let (compressed, plain) = frames(&log);
    assert!(compressed > 20 && plain == 0, "{compressed} {plain}");
    drop(log);
    for (frame_cache_len, once) in [(1 << 20, true), (0, false)] {
        let log = with_codec(&storage, &codec, &Options { frame_cache_len, ..options.clone() });
        codec.decompressed.store(0, Ordering::SeqCst);
        // Each entry twice, one far from the next.
        for n in 0..2000_u64 {
            let n = n * 617 % 1000 + 1;
            assert_eq!(log.get(lsn(n)).unwrap().payload, payload(n));
        }
        let stats = log.stats();
        assert_eq!(stats.cache_hits + stats.cache_misses, 2000);
        let decompressed = codec.decompressed.load(Ordering::SeqCst);
        assert_eq!(decompressed as u64, stats.cache_misses);
        assert_eq!(decompressed, if once { compressed } else { 2000 });
    }
}

/// In either direction, whatever part is read at a time, and wherever one ends.
#[test]
fn who_reads_in_parts_decompresses_a_frame_once() {
    let (storage, codec) = (memory(), Arc::new(Gated::default()));
    let options = threaded(0, WhenBehind::Compress);
    let log = with_still_clock(&storage, &codec, &options);
    fill(&log, 1..1001);
    log.close().unwrap();
    let (compressed, _) = frames(&log);
    drop(log);
    let forwards = |log: &Log, part: usize| {
        let (mut next, limit) = (1, BatchLimit { entries: part, ..BatchLimit::default() });
        while next <= 1000 {
            let entries = log.get_range(lsn(next).., limit).unwrap();
            entries.iter().for_each(|entry| assert_eq!(entry.payload, payload(entry.lsn.get())));
            next += entries.len() as u64;
        }
    };
    let backwards = |log: &Log, part: usize| {
        let mut next = 1001;
        while next > 1 {
            let entries = log.range(..lsn(next)).rev().take(part).map(Result::unwrap);
            next -=
                entries.inspect(|entry| assert_eq!(entry.payload, payload(entry.lsn.get()))).count() as u64;
        }
    };
    type Read<'a> = &'a dyn Fn(&Log, usize);
    for read in [&forwards as Read<'_>, &backwards] {
        for part in [1, 7, 30, 999] {
            for (frame_cache_len, once) in [(1 << 20, true), (0, false)] {
                let log = with_codec(&storage, &codec, &Options { frame_cache_len, ..options.clone() });
                codec.decompressed.store(0, Ordering::SeqCst);
                read(&log, part);
                let decompressed = codec.decompressed.load(Ordering::SeqCst);
                assert_eq!(decompressed == compressed, once, "{part}: {decompressed}");
            }
        }
    }
}

/// Of a frame that was decompressed lately only the header is read.
#[test]
fn what_is_in_the_cache_is_not_read_again() {
    let storage = Hooked::new(memory());
    let mut options = Options { background_threads: false, ..threaded(0, WhenBehind::Compress) };
    options.compression.pack_len = 32 << 10;
    let hooked: Arc<dyn Storage> = Arc::new(storage.clone());
    let log = with_still_clock(&hooked, &Arc::default(), &options);
    let noise =
        |n: u64| (n * 40..n * 40 + 40).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    for n in 1..=100 {
        log.append(&[noise(n).collect(), vec![0; 60]].concat()).unwrap();
    }
    log.sync().unwrap();
    let stored = log.headers(lsn(1), lsn(2)).next().unwrap().unwrap();
    assert!(stored.codec == ID && stored.count > 20 && stored.body_len > 8 << 10, "{stored:?}");
    let read_for = |n: u64| {
        let before = storage.bytes_read();
        assert!(log.get(lsn(n)).unwrap().payload.iter().copied().take(320).eq(noise(n)));
        storage.bytes_read() - before
    };
    assert!(read_for(10) > u64::from(stored.body_len));
    let again = read_for(11);
    assert!(again <= 2 << 10, "{again} bytes");
}

/// Appends an entry to a log when somebody makes another one: a clone does, once it knows where it ends.
#[derive(Debug)]
struct Appending {
    log: Weak<Log>,
    next: u64,
    done: AtomicBool,
}

impl Entropy for Appending {
    fn next(&self) -> u64 {
        if !self.done.swap(true, Ordering::SeqCst) {
            fill(&self.log.upgrade().unwrap(), [self.next]);
        }
        SystemEntropy.next()
    }
}

#[test]
fn a_clone_ends_between_two_frames_while_packs_grow() {
    use crate::hooked::Hooked;
    let source = Hooked::new(memory());
    let shared: Arc<dyn Storage> = Arc::new(source.clone());
    let options = Options { background_threads: false, ..threaded(0, WhenBehind::Compress) };
    let log = Arc::new(with_codec(&shared, &Arc::new(Gated::default()), &options));
    fill(&log, 1..11);
    // One entry comes after everything was synced and before the end of the clone is known, the next one after that.
    let (weak, done) = (Arc::downgrade(&log), AtomicBool::new(false));
    source.set(move |operation, _| {
        if operation == "sync" && !done.swap(true, Ordering::SeqCst) {
            fill(&weak.upgrade().unwrap(), [11]);
        }
        Ok(())
    });
    let entropy = Appending { log: Arc::downgrade(&log), next: 12, done: AtomicBool::new(false) };
    let target = memory();
    let report = Log::clone_into(&log, Arc::clone(&target), Arc::new(entropy)).unwrap();
    assert_eq!((report.next, log.next_lsn()), (lsn(12), lsn(13)));
    check(&with_codec(&target, &Arc::new(Gated::default()), &options), 1, 12);
    check(&log, 1, 13);
}

#[test]
fn packs_that_wait_are_closed_with_the_log() {
    let storage = memory();
    let compression = Compression { codec: CodecId::SNAPPY, ..Compression::default() };
    for round in 0..20_u64 {
        let when_behind = if round.is_multiple_of(2) { WhenBehind::Compress } else { WhenBehind::StorePlain };
        let compression = Compression { threads: 2, when_behind, pack_len: 1024, ..compression.clone() };
        let options = Options { compression, ..threaded(2, when_behind) };
        let log = open(&storage, &options).unwrap();
        fill(&log, round * 200 + 1..(round + 1) * 200 + 1);
        drop(log);
    }
    check(&open(&storage, &small()).unwrap(), 1, 4001);
}
