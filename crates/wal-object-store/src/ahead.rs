//! Windows of objects that are on their way before anybody asks for them: who reads from front to back would mostly
//! wait if each request began when the one before it has ended (`docs/adr/0034`).

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    cache::BLOCK_LEN,
    io_thread::IoThread,
    remote::{Remote, Shared},
};

/// What one request asks for.
const WINDOW: u64 = 4 * BLOCK_LEN;
/// So many are on their way at once, for all who read on, if the cache has room for twice as many. For a moment there
/// are more, when somebody begins beside others.
const WINDOWS_MAX: u64 = 8;
/// Who has not read on while others did so often has stopped.
const FORGOTTEN: u64 = 64;
/// No object is expected to be read next.
pub(crate) const NOBODY: u64 = u64::MAX;

/// Where somebody reads in an object.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Where the last read ended; [`Reading::NEVER`] before the first.
    at: u64,
    /// Up to where windows were asked for.
    asked: u64,
    /// So many windows ahead.
    ahead: u64,
    /// Who reads has come from the object before this one, and will go on to the next.
    came: bool,
}

impl Reading {
    const NEVER: u64 = u64::MAX;

    pub(crate) const fn new() -> Self {
        Self { at: Self::NEVER, asked: 0, ahead: 0, came: false }
    }

    /// Takes note of a read, and says whether it goes on where the last one ended.
    fn read(&mut self, range: &Range<u64>) -> bool {
        let goes_on = range.start.abs_diff(self.at) <= BLOCK_LEN && range.end > self.at;
        self.at = range.end;
        if !goes_on {
            (self.asked, self.ahead, self.came) = (0, 0, false);
        }
        goes_on
    }

    /// What to ask for behind a read that goes on, in an object of `size` bytes: one window, then two, then four, up to
    /// `most` ahead.
    fn go_on(&mut self, size: u64, most: u64) -> Vec<Range<u64>> {
        self.ahead = (2 * self.ahead).max(1).min(most);
        self.ask(self.at + self.ahead * WINDOW, size)
    }

    /// What was to be read is not there any more, so what comes behind it may not be, either.
    const fn missed(&mut self) {
        self.asked = 0;
    }

    /// Somebody who has read the object before this one to its end begins here.
    const fn come(&mut self, most: u64) {
        (self.at, self.ahead, self.came) = (0, most, true);
    }

    /// How much of the next object is to be asked for, too, where it is certain enough that it will be read.
    fn beyond(&self, size: u64, most: u64) -> u64 {
        let is_asked = self.came && self.asked >= size;
        if is_asked { (self.at + most * WINDOW).saturating_sub(size) } else { 0 }
    }

    /// The same, asked of the next object: nothing where others read.
    fn before(&mut self, len: u64, size: u64) -> Vec<Range<u64>> {
        if self.at == Self::NEVER {
            self.at = 0;
        }
        if self.at == 0 { self.ask(len, size) } else { Vec::new() }
    }

    /// Whole windows up to `until` that were not asked for yet, and the one at the end of the object.
    fn ask(&mut self, until: u64, size: u64) -> Vec<Range<u64>> {
        let mut from = self.asked.max(self.at.next_multiple_of(BLOCK_LEN));
        let mut windows = Vec::new();
        while from < size && (from + WINDOW).min(size) <= until {
            let window = from..(from + WINDOW).min(size);
            from = window.end;
            windows.push(window);
        }
        self.asked = self.asked.max(from);
        windows
    }
}

/// The objects in which somebody reads on, who share what may be on its way.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// With the number of the read that went on last.
    last: Vec<(u64, u64)>,
    reads: u64,
}

impl Streams {
    /// Somebody reads on: so many do at present.
    fn go_on(&mut self, serial: u64) -> u64 {
        self.end(serial);
        self.reads += 1;
        let now = self.reads;
        self.last.retain(|(_, last)| now - last < FORGOTTEN);
        self.last.push((serial, now));
        self.last.len() as u64
    }

    fn end(&mut self, serial: u64) {
        self.last.retain(|(other, _)| *other != serial);
    }
}

/// The blocks that are on their way, and how to hear that they have come, or will not.
pub(crate) type UnderWay = Mutex<HashMap<(u64, u64), watch::Receiver<()>>>;

/// A window that is on its way, or whose request has ended, with its runtime perhaps.
struct Sent {
    shared: Arc<Shared>,
    serial: u64,
    blocks: Range<u64>,
    /// Who waits hears that this is gone, and looks into the cache.
    _coming: watch::Sender<()>,
}

impl Drop for Sent {
    fn drop(&mut self) {
        let mut under_way = self.shared.under_way.lock();
        self.blocks.clone().for_each(|block| drop(under_way.remove(&(self.serial, block))));
    }
}

impl Shared {
    /// Where requests are limited, one at a time: they would go before those that somebody waits for.
    fn windows_max(&self) -> u64 {
        let most = WINDOWS_MAX.min(self.options.cache_len as u64 / (2 * WINDOW));
        if self.options.requests_per_second > 0 { most.min(1) } else { most }
    }

    /// Takes note of a read, and asks for what will be read next, also in the object behind this one. Failures are for
    /// whoever reads it then.
    pub(crate) fn read_ahead(
        self: &Arc<Self>,
        io: &IoThread,
        remote: &Arc<Remote>,
        range: &Range<u64>,
        is_there: bool,
        behind: impl FnOnce() -> Option<Arc<Remote>>,
    ) {
        let (size, most) = (remote.size, self.windows_max());
        if most == 0 {
            return;
        }
        let mut reading = remote.reading.lock();
        if !is_there {
            reading.missed();
        }
        if range.start < BLOCK_LEN && self.expected.load(Ordering::Relaxed) == remote.serial {
            self.expected.store(NOBODY, Ordering::Relaxed);
            reading.come(most);
        }
        if !reading.read(range) {
            return;
        }
        let is_over = range.end >= size;
        let most = most / self.streams.lock().go_on(remote.serial);
        let (windows, beyond) = (reading.go_on(size, most), reading.beyond(size, most));
        drop(reading);
        windows.into_iter().for_each(|window| self.send_for(io, remote, window));
        if beyond == 0 && !is_over {
            return;
        }
        let next = behind();
        if let Some(next) = next.as_ref().filter(|_| beyond > 0) {
            let windows = next.reading.lock().before(beyond, next.size);
            windows.into_iter().for_each(|window| self.send_for(io, next, window));
        }
        if is_over {
            self.streams.lock().end(remote.serial);
            self.expected.store(next.map_or(NOBODY, |next| next.serial), Ordering::Relaxed);
        }
    }

    /// Whether a block is on its way.
    pub(crate) fn is_coming(&self, key: (u64, u64)) -> bool {
        self.under_way.lock().contains_key(&key)
    }

    /// Asks for what is missing in a window, from the first block of it on: mostly all.
    fn send_for(self: &Arc<Self>, io: &IoThread, remote: &Arc<Remote>, window: Range<u64>) {
        let (coming, receiver) = watch::channel(());
        let sent = {
            let mut under_way = self.under_way.lock();
            let cache = self.cache.lock();
            let is_missing = |block: &u64| {
                let key = (remote.serial, *block);
                !under_way.contains_key(&key) && !cache.holds(key)
            };
            let mut blocks = window.start / BLOCK_LEN..window.end.div_ceil(BLOCK_LEN);
            let Some(first) = blocks.find(is_missing) else { return };
            let last = blocks.take_while(is_missing).last().unwrap_or(first);
            drop(cache);
            let blocks = first..last + 1;
            under_way.extend(blocks.clone().map(|block| ((remote.serial, block), receiver.clone())));
            Sent { shared: Arc::clone(self), serial: remote.serial, blocks, _coming: coming }
        };
        let remote = Arc::clone(remote);
        drop(io.start(async move {
            let Sent { shared, blocks, .. } = &sent;
            let range = blocks.start * BLOCK_LEN..(blocks.end * BLOCK_LEN).min(remote.size);
            if let Ok((size, bytes)) = shared.get_once(&remote.path, range, remote.e_tag.clone()).await
                && size == remote.size
            {
                shared.cache.lock().put(remote.serial, blocks.start, &bytes);
            }
        }));
    }

    /// Returns at once if the block is not on its way, and otherwise when it has come, or will not.
    pub(crate) async fn arrival(&self, key: (u64, u64)) {
        let coming = self.under_way.lock().get(&key).cloned();
        if let Some(mut coming) = coming {
            let _ = coming.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::ObjectOptions;

    const MIB: u64 = 1 << 20;
    const SIZE: u64 = 16 * MIB + 5;

    fn blocks(from: u64, to: u64) -> Range<u64> {
        from * BLOCK_LEN..to * BLOCK_LEN
    }

    /// A read, and what it asks for.
    fn read(reading: &mut Reading, range: Range<u64>, size: u64, most: u64) -> Vec<Range<u64>> {
        if reading.read(&range) { reading.go_on(size, most) } else { Vec::new() }
    }

    #[test]
    fn the_first_read_and_reads_here_and_there_ask_for_nothing() {
        let mut reading = Reading::new();
        for range in [blocks(0, 1), blocks(30, 31), blocks(8, 9), blocks(50, 51), 10..20, 500..510, 10..20] {
            assert_eq!(read(&mut reading, range.clone(), SIZE, 8), [], "{range:?}");
        }
        assert_eq!(reading.beyond(SIZE, 8), 0);
    }

    #[test]
    fn who_reads_on_asks_for_more_and_more_and_never_twice() {
        let mut reading = Reading::new();
        let mut asked: Vec<Range<u64>> = Vec::new();
        let mut least_ahead = u64::MAX;
        // Reads begin a little before the last one has ended, with the frame that was not whole.
        for block in 0..66 {
            let start = (block * BLOCK_LEN).saturating_sub(100);
            let end = ((block + 1) * BLOCK_LEN).min(SIZE);
            asked.extend(read(&mut reading, start..end, SIZE, 8));
            let until = asked.last().map_or(0, |window| window.end);
            assert!(until <= (end + 8 * WINDOW).min(SIZE), "no more than eight");
            if block > 4 && until < SIZE {
                least_ahead = least_ahead.min(until - end);
            }
        }
        assert_eq!(asked.first(), Some(&(2 * BLOCK_LEN..2 * BLOCK_LEN + MIB)));
        assert!(asked.windows(2).all(|pair| pair[0].end == pair[1].start), "{asked:?}");
        assert_eq!(asked.last().map(|window| window.end), Some(SIZE));
        assert!(least_ahead > 7 * WINDOW - BLOCK_LEN, "{least_ahead}");
    }

    #[test]
    fn what_went_from_the_cache_is_asked_for_again() {
        let mut reading = Reading::new();
        read(&mut reading, blocks(0, 1), SIZE, 8);
        assert_ne!(read(&mut reading, blocks(1, 2), SIZE, 8), []);
        reading.missed();
        assert_eq!(read(&mut reading, blocks(2, 3), SIZE, 8).first(), Some(&blocks(3, 7)));
    }

    #[test]
    fn who_came_from_the_object_before_goes_on_to_the_next_at_full_speed() {
        let size = 4 * MIB;
        let (mut first, mut second, mut third) = (Reading::new(), Reading::new(), Reading::new());
        for block in 0..16 {
            read(&mut first, blocks(block, block + 1), size, 4);
            assert_eq!(first.beyond(size, 4), 0, "he may want no more than this one");
        }
        second.come(4);
        let mut asked = read(&mut second, 512..BLOCK_LEN, size, 4);
        assert_eq!(asked.len(), 4, "at full speed");
        let mut beyond = third.before(second.beyond(size, 4), size);
        for block in 1..16 {
            asked.extend(read(&mut second, blocks(block, block + 1), size, 4));
            beyond.extend(third.before(second.beyond(size, 4), size));
        }
        assert_eq!(asked.last().map(|window| window.end), Some(size));
        assert_eq!(beyond, [0..MIB, MIB..2 * MIB, 2 * MIB..3 * MIB, 3 * MIB..4 * MIB]);
        third.come(4);
        assert_eq!(read(&mut third, 512..BLOCK_LEN, size, 4), [], "it was asked for");
    }

    #[test]
    fn where_others_read_nobody_is_sent_ahead() {
        let mut next = Reading::new();
        read(&mut next, blocks(20, 21), SIZE, 8);
        assert_eq!(next.before(9 * MIB, SIZE), []);
    }

    #[test]
    fn who_reads_on_shares_with_all_who_do_and_not_with_those_who_stopped() {
        let mut streams = Streams::default();
        assert_eq!([1, 2, 1, 3].map(|serial| streams.go_on(serial)), [1, 2, 2, 3]);
        streams.end(3);
        assert_eq!(streams.go_on(1), 2);
        let counts: Vec<_> = (0..FORGOTTEN).map(|_| streams.go_on(1)).collect();
        assert_eq!((counts.first(), counts.last()), (Some(&2), Some(&1)));
    }

    #[test]
    fn no_more_is_on_its_way_than_the_cache_and_the_limit_allow() {
        let most = |cache_len, requests_per_second| {
            let options = ObjectOptions { cache_len, requests_per_second, ..ObjectOptions::default() };
            Shared::new(Arc::new(InMemory::new()), options).windows_max()
        };
        assert_eq!([most(0, 0), most(2 << 20, 0), most(5 << 20, 0), most(64 << 20, 0)], [0, 1, 2, 8]);
        assert_eq!([most(0, 10), most(64 << 20, 10)], [0, 1]);
    }
}
