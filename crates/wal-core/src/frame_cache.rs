//! Frames that were decompressed lately, for those who read entries here and there.

use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use wal_format::{FrameHeader, SegmentId};
use wal_segment::LoadedFrame;

use crate::{LogError, engine::Engine, entry::OpenFrame, stats::add};

/// What a frame costs besides its body, in bytes.
const OVERHEAD: usize = 128;
/// Of a cache that is full, one frame may take this part at most.
const PART: usize = 4;

/// Where a frame is. A frame that was published never changes, so what is here never is out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FramePlace {
    segment: SegmentId,
    offset: u64,
    body_crc: u32,
}

impl FramePlace {
    pub(crate) const fn of(segment: SegmentId, offset: u64, header: &FrameHeader) -> Self {
        Self { segment, offset, body_crc: header.body_crc }
    }
}

/// Raw bodies of frames; the oldest makes way.
#[derive(Debug)]
pub(crate) struct FrameCache {
    len_max: usize,
    /// Whether anything was ever kept.
    used: AtomicBool,
    frames: Mutex<Frames>,
}

#[derive(Debug, Default)]
struct Frames {
    bodies: HashMap<FramePlace, Bytes>,
    /// Oldest first.
    order: VecDeque<FramePlace>,
    len: usize,
}

impl FrameCache {
    /// A cache of at most so many bytes.
    pub(crate) fn new(len_max: usize) -> Self {
        Self { len_max, used: AtomicBool::new(false), frames: Mutex::default() }
    }

    /// Whether it is worth a look. In logs without compressed frames it never is.
    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn get(&self, place: FramePlace) -> Option<Bytes> {
        self.frames.lock().bodies.get(&place).cloned()
    }

    /// Remembers a body, unless it would take too much of the room.
    pub(crate) fn put(&self, place: FramePlace, body: Bytes) {
        let len = body.len().saturating_add(OVERHEAD);
        if len > self.len_max / PART {
            return;
        }
        self.used.store(true, Ordering::Relaxed);
        let mut frames = self.frames.lock();
        let Frames { bodies, order, len: held } = &mut *frames;
        if bodies.insert(place, body).is_some() {
            return;
        }
        order.push_back(place);
        *held += len;
        while *held > self.len_max
            && let Some(oldest) = order.pop_front()
        {
            *held -= bodies.remove(&oldest).map_or(0, |body| body.len() + OVERHEAD);
        }
    }
}

/// Behind the pointer of the [`extras`](crate::Extras): programs that never decompress have none of it.
impl Engine {
    /// Opens a compressed frame with others in it: where they may be wanted next, what was decompressed is kept.
    pub(crate) fn open_from_cache(
        &self,
        segment: SegmentId,
        frame: LoadedFrame,
    ) -> Result<OpenFrame, LogError> {
        let LoadedFrame { offset, header, lsn, body } = frame;
        let place = FramePlace::of(segment, offset, &header);
        if let Some(body) = self.find_in_cache(place) {
            return Ok(OpenFrame::decoded(header, lsn, body));
        }
        add(&self.stats.cache_misses, 1);
        let open = OpenFrame::new(header, lsn, body, &self.payloads)?;
        self.put_in_cache(place, open.body());
        Ok(open)
    }

    pub(crate) fn find_in_cache(&self, place: FramePlace) -> Option<Bytes> {
        let body = self.frame_cache.get(place)?;
        add(&self.stats.cache_hits, 1);
        Some(body)
    }

    pub(crate) fn put_in_cache(&self, place: FramePlace, body: Bytes) {
        self.frame_cache.put(place, body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: u64) -> FramePlace {
        FramePlace { segment: SegmentId(1), offset, body_crc: 7 }
    }

    fn body(len: usize) -> Bytes {
        vec![1; len].into()
    }

    #[test]
    fn the_oldest_frames_make_way() {
        let cache = FrameCache::new(10_000);
        for offset in 0..50 {
            cache.put(place(offset), body(1000));
            cache.put(place(offset), body(1000));
            assert!(cache.frames.lock().len <= 10_000);
        }
        let kept: Vec<u64> = (0..50).filter(|offset| cache.get(place(*offset)).is_some()).collect();
        assert_eq!(kept, (42..50).collect::<Vec<_>>());
        assert_eq!(cache.get(FramePlace { body_crc: 8, ..place(49) }), None, "another frame");
    }

    #[test]
    fn what_is_too_long_for_it_is_not_kept() {
        let cache = FrameCache::new(4096);
        cache.put(place(1), body(1000));
        assert_eq!(cache.get(place(1)), None);
        cache.put(place(1), body(800));
        assert_eq!(cache.get(place(1)), Some(body(800)));
        let none = FrameCache::new(0);
        none.put(place(1), Bytes::new());
        assert_eq!(none.get(place(1)), None);
    }
}
