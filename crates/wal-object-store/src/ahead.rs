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
/// So many are on their way at once, if the cache has room for twice as many.
const WINDOWS_MAX: u64 = 8;
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
    /// He has come from the object before this one, and will go on to the next.
    came: bool,
}

impl Reading {
    const NEVER: u64 = u64::MAX;

    pub(crate) const fn new() -> Self {
        Self { at: Self::NEVER, asked: 0, ahead: 0, came: false }
    }

    /// Takes note of a read in an object of `size` bytes. One that goes on where the last one ended asks for windows:
    /// one, then two, then four, up to `most` ahead.
    fn read(&mut self, range: &Range<u64>, size: u64, most: u64) -> Vec<Range<u64>> {
        let goes_on = range.start.abs_diff(self.at) <= BLOCK_LEN && range.end > self.at;
        self.at = range.end;
        if !goes_on {
            (self.asked, self.ahead, self.came) = (0, 0, false);
            return Vec::new();
        }
        self.ahead = (2 * self.ahead).max(1).min(most);
        self.ask(range.end + self.ahead * WINDOW, size)
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

/// The blocks that are on their way, and how to hear that they have come, or will not.
pub(crate) type UnderWay = Mutex<HashMap<(u64, u64), watch::Receiver<()>>>;

impl Shared {
    fn windows_max(&self) -> u64 {
        WINDOWS_MAX.min(self.options.cache_len as u64 / (2 * WINDOW))
    }

    /// Takes note of a read, and asks for what will be read next, also in the object behind this one. Failures are for
    /// whoever reads it then.
    pub(crate) fn read_ahead(
        self: &Arc<Self>,
        io: &IoThread,
        remote: &Arc<Remote>,
        range: &Range<u64>,
        is_there: bool,
        behind: impl Fn() -> Option<Arc<Remote>>,
    ) {
        let most = self.windows_max();
        if most == 0 {
            return;
        }
        let (windows, beyond) = {
            let mut reading = remote.reading.lock();
            if !is_there {
                reading.missed();
            }
            if range.start < BLOCK_LEN && self.expected.load(Ordering::Relaxed) == remote.serial {
                self.expected.store(NOBODY, Ordering::Relaxed);
                reading.come(most);
            }
            (reading.read(range, remote.size, most), reading.beyond(remote.size, most))
        };
        windows.into_iter().for_each(|window| self.send_for(io, remote, window));
        if beyond > 0
            && let Some(next) = behind()
        {
            let windows = next.reading.lock().before(beyond, next.size);
            windows.into_iter().for_each(|window| self.send_for(io, &next, window));
        }
        if range.end >= remote.size
            && let Some(next) = behind()
        {
            self.expected.store(next.serial, Ordering::Relaxed);
        }
    }

    /// Whether a block is on its way.
    pub(crate) fn is_coming(&self, key: (u64, u64)) -> bool {
        self.under_way.lock().contains_key(&key)
    }

    fn send_for(self: &Arc<Self>, io: &IoThread, remote: &Arc<Remote>, window: Range<u64>) {
        let blocks = window.start / BLOCK_LEN..window.end.div_ceil(BLOCK_LEN);
        let keys = move |serial| blocks.clone().map(move |block| (serial, block));
        let holds = |key| self.cache.lock().holds(key);
        let (done, coming) = watch::channel(());
        {
            let mut under_way = self.under_way.lock();
            if keys(remote.serial).any(|key| under_way.contains_key(&key) || holds(key)) {
                return;
            }
            under_way.extend(keys(remote.serial).map(|key| (key, coming.clone())));
        }
        let (shared, remote) = (Arc::clone(self), Arc::clone(remote));
        drop(io.start(async move {
            let e_tag = remote.e_tag.clone();
            if let Ok((size, bytes)) = shared.get_once(&remote.path, window.clone(), e_tag).await
                && size == remote.size
            {
                shared.cache.lock().put(remote.serial, window.start / BLOCK_LEN, &bytes);
            }
            let mut under_way = shared.under_way.lock();
            keys(remote.serial).for_each(|key| drop(under_way.remove(&key)));
            // Whoever waits looks into the cache. So does he if this never ends, with the runtime.
            drop(done);
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
    use super::*;

    const MIB: u64 = 1 << 20;
    const SIZE: u64 = 16 * MIB + 5;

    fn blocks(from: u64, to: u64) -> Range<u64> {
        from * BLOCK_LEN..to * BLOCK_LEN
    }

    #[test]
    fn the_first_read_and_reads_here_and_there_ask_for_nothing() {
        let mut reading = Reading::new();
        for range in [blocks(0, 1), blocks(30, 31), blocks(8, 9), blocks(50, 51), 10..20, 500..510, 10..20] {
            assert_eq!(reading.read(&range, SIZE, 8), [], "{range:?}");
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
            asked.extend(reading.read(&(start..end), SIZE, 8));
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
        reading.read(&blocks(0, 1), SIZE, 8);
        assert_ne!(reading.read(&blocks(1, 2), SIZE, 8), []);
        reading.missed();
        assert_eq!(reading.read(&blocks(2, 3), SIZE, 8).first(), Some(&blocks(3, 7)));
    }

    #[test]
    fn who_came_from_the_object_before_goes_on_to_the_next_at_full_speed() {
        let size = 4 * MIB;
        let (mut first, mut second, mut third) = (Reading::new(), Reading::new(), Reading::new());
        for block in 0..16 {
            first.read(&blocks(block, block + 1), size, 4);
            assert_eq!(first.beyond(size, 4), 0, "he may want no more than this one");
        }
        second.come(4);
        let mut asked = second.read(&(512..BLOCK_LEN), size, 4);
        assert_eq!(asked.len(), 4, "at full speed");
        let mut beyond = third.before(second.beyond(size, 4), size);
        for block in 1..16 {
            asked.extend(second.read(&blocks(block, block + 1), size, 4));
            beyond.extend(third.before(second.beyond(size, 4), size));
        }
        assert_eq!(asked.last().map(|window| window.end), Some(size));
        assert_eq!(beyond, [0..MIB, MIB..2 * MIB, 2 * MIB..3 * MIB, 3 * MIB..4 * MIB]);
        third.come(4);
        assert_eq!(third.read(&(512..BLOCK_LEN), size, 4), [], "it was asked for");
    }

    #[test]
    fn where_others_read_nobody_is_sent_ahead() {
        let mut next = Reading::new();
        next.read(&blocks(20, 21), SIZE, 8);
        assert_eq!(next.before(3 * MIB, SIZE), []);
    }
}
