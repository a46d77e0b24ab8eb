//! What the short lock guards: where the next frame goes, and the frames that wait to be written.
//!
//! Everything here is memory, in the steady state without allocation; that of a file, where frames are stored, which
//! may wait for the kernel (`docs/adr/0020`).
//!
//! - An LSN is given only together with room in the active segment for its frame.
//! - Frames are stamped in the order in which they will stand in the log, and queued in that order.
//! - Every segment keeps a reserve at its end that only control frames may use, so that a log on a full disk can be
//!   trimmed, and every segment can be sealed and closed.

mod active;

use std::{collections::VecDeque, mem, sync::Arc};

use snafu::ResultExt;
use wal_format::{
    BodyShape, ChecksumKind, FIRST_FRAME, FrameKind, Lsn, Metadata, MetadataRecords, Namespace, NewEntry,
    Opening, Position, Predecessor, Seal, SegmentId, frame_len,
};
use wal_segment::{LoadedFrame, Segment};

pub(crate) use active::{Tail, padded};

use crate::{
    LogError,
    chunk::{Amount, CHUNK_LEN, Chunk},
    error::{EncodingSnafu, MetadataFullSnafu},
    marks::Tick,
    packs::{Packs, Part},
    prepare::Prepared,
};

/// Bytes at the end of a segment that entries may not use.
pub(crate) const CONTROL_RESERVE: u64 = 4096;
/// Bytes of the reserve that only the seal and the close may use.
pub(crate) const FINAL_RESERVE: u64 = 128;
/// Bytes of the reserve that only trims may use that let a file go, besides those.
pub(crate) const TRIM_RESERVE: u64 = 1024;
const _: () = assert!(CONTROL_RESERVE > TRIM_RESERVE && TRIM_RESERVE > FINAL_RESERVE);
const _: () = assert!(FINAL_RESERVE >= 2 * frame_len(Seal::LEN as u32) && CONTROL_RESERVE > FINAL_RESERVE);
/// More than this is sooner written than copied to pages that the processor has not seen yet.
const STORE_MAX: usize = 2048;
/// So many buffers are kept for reuse.
const SPARES: usize = 8;

/// A frame before it has a place: its body is encoded and its checksum computed, outside the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) kind: FrameKind,
    pub(crate) body: &'a [u8],
    pub(crate) body_crc: u32,
    pub(crate) codec: u8,
    pub(crate) shape: BodyShape,
    /// Records in the body that change the metadata.
    pub(crate) metadata: &'a [u8],
    /// When it was appended to the log that it comes from. Default: now.
    pub(crate) time: Option<u64>,
}

impl<'a> Draft<'a> {
    /// A frame of entries that changes no metadata.
    pub(crate) const fn entries(body: &'a [u8], body_crc: u32, codec: u8, shape: BodyShape) -> Self {
        Self { kind: FrameKind::Entries, body, body_crc, codec, shape, metadata: &[], time: None }
    }

    /// A control frame.
    pub(crate) fn control(kind: FrameKind, body: &'a [u8], checksum: ChecksumKind) -> Self {
        let shape = BodyShape { count: 0, columns: 0, entry_kind: 0 };
        Self { kind, body, body_crc: checksum.of(body), codec: 0, shape, metadata: &[], time: None }
    }
}

/// Who may use which part of a segment's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserve {
    /// Entries.
    Keep,
    /// Small changes of the metadata, as consumers make that let a full log be trimmed, and trims that free nothing.
    /// Leaves room for those that do.
    Small,
    /// Trims that free a segment. What is left after them is for the seal and the close, which are stamped without
    /// asking.
    Control,
}

/// Where a frame of some length can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Into the active segment.
    Here,
    /// Not into this one: the log must go on in the next.
    Next,
    /// There is no active segment yet.
    None,
}

/// What was appended since open. Plain numbers: the lock is held anyway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    pub(crate) entries: u64,
    pub(crate) frames: u64,
    pub(crate) payload_bytes: u64,
}

/// Records that the metadata may be changed by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted<'a>(&'a [u8]);

impl Admitted<'_> {
    /// Whether there are records of this part.
    pub(crate) fn has(&self, namespace: Namespace) -> bool {
        MetadataRecords::new(self.0).any(|record| record.is_ok_and(|record| record.namespace == namespace))
    }
}

#[derive(Debug)]
pub(crate) struct Appender {
    pub(crate) next: Lsn,
    pub(crate) first_retained: Lsn,
    pub(crate) metadata: Metadata,
    /// The frame that changed the metadata last.
    pub(crate) metadata_tick: Tick,
    /// Stamp of the last frame.
    pub(crate) time: u64,
    pub(crate) tick: Tick,
    pub(crate) tail: Option<Tail>,
    /// Where the next segment goes on from, when files are published whole and the last one was finished.
    pub(crate) ended: Option<Predecessor>,
    pub(crate) queue: VecDeque<Chunk>,
    /// Entries behind those in the queue, whose frames have no place yet.
    pub(crate) packs: Packs,
    /// What is in the queue, and how much of it is stored.
    pub(crate) queued: Amount,
    pub(crate) stored: Amount,
    /// What is being written, and perhaps what was written last.
    pub(crate) in_flight: Vec<Arc<Chunk>>,
    pub(crate) spares: Vec<Vec<u8>>,
    pub(crate) closed: bool,
    pub(crate) counts: Appended,
    /// When the oldest entry was stamped that no sync has begun to cover, on the monotonic clock, in nanoseconds.
    pub(crate) unsynced_since: Option<u64>,
    /// The same for entries that a running sync covers.
    pub(crate) syncing_since: Option<u64>,
    /// Stamp of the frame at which somebody last looked how old these are.
    pub(crate) looked: u64,
}

impl Appender {
    pub(crate) fn new(next: Lsn, first_retained: Lsn, metadata: Metadata, time: u64) -> Self {
        Self {
            next,
            first_retained,
            metadata,
            metadata_tick: 0,
            time,
            tick: 0,
            tail: None,
            ended: None,
            queue: VecDeque::new(),
            packs: Packs::default(),
            queued: Amount::default(),
            stored: Amount::default(),
            in_flight: Vec::new(),
            spares: Vec::new(),
            closed: false,
            counts: Appended { entries: 0, frames: 0, payload_bytes: 0 },
            unsynced_since: None,
            syncing_since: None,
            looked: 0,
        }
    }

    /// What is not with the operating system, when everything up to a tick is. What waits to be compressed counts as
    /// long as it is.
    pub(crate) fn unwritten(&self, written: Tick) -> Amount {
        let in_flight = self.in_flight.iter().filter(|chunk| chunk.tick > written);
        let in_flight = in_flight.map(|chunk| chunk.amount().minus(chunk.stored()));
        in_flight.fold(self.waiting(), Amount::plus)
    }

    /// What waits in the queue to be written, and in packs.
    pub(crate) fn waiting(&self) -> Amount {
        let packed = Amount { bytes: self.packs.reserved as usize, entries: self.packs.entries };
        self.queued.minus(self.stored).plus(packed)
    }

    /// The segment that takes appends.
    pub(crate) fn active(&self) -> Option<SegmentId> {
        let ended = || self.ended.map(|ended| ended.segment);
        self.tail.as_ref().map(|tail| tail.segment.id()).or_else(ended)
    }

    /// Finishes the active segment: it will be published as it is, and not written to again.
    pub(crate) fn end(&mut self) {
        debug_assert!(self.packs.is_empty(), "what is in packs has its place in the segment that ends");
        if let Some(tail) = self.tail.take() {
            self.ended = Some(tail.predecessor());
        }
    }

    pub(crate) fn count(&mut self, frames: u32, entries: u32, payload_len: usize) {
        if entries > 0 {
            self.counts.frames += u64::from(frames);
            self.counts.entries += u64::from(entries);
            self.counts.payload_bytes += payload_len as u64;
        }
    }

    /// Checks that the metadata may be changed like this.
    pub(crate) fn admit<'a>(&self, records: &'a [u8], max: usize) -> Result<Admitted<'a>, LogError> {
        if !records.is_empty() {
            let context = EncodingSnafu { operation: "read a change of the metadata" };
            let len = self.metadata.encoded_len_after(records).context(context)?;
            // What exceeds a limit that was lowered may still shrink.
            if len > max && len > self.metadata.encoded_len() {
                return MetadataFullSnafu { len, max }.fail();
            }
        }
        Ok(Admitted(records))
    }

    /// Carries out a change whose frame has just been stamped.
    pub(crate) fn change(&mut self, Admitted(records): Admitted<'_>) {
        if !records.is_empty() {
            // They were read when they were admitted.
            let _ = self.metadata.apply_all(records);
            self.metadata_tick = self.tick;
        }
    }

    /// Where a frame with this body can go.
    #[inline]
    pub(crate) fn room(&self, body_len: usize, count: u32, reserve: Reserve) -> Room {
        let Some(tail) = &self.tail else { return Room::None };
        let keep = match reserve {
            Reserve::Keep => CONTROL_RESERVE,
            Reserve::Small => TRIM_RESERVE,
            Reserve::Control => FINAL_RESERVE,
        };
        let end = tail.offset.saturating_add(self.packs.reserved);
        let end = end.saturating_add(padded(body_len)).saturating_add(keep);
        let delta = self.next.since(tail.segment.base()).unwrap_or(u64::MAX).saturating_add(u64::from(count));
        if end <= tail.capacity && delta < u64::from(u32::MAX) { Room::Here } else { Room::Next }
    }

    /// Gives a frame its place, its LSN and its header, and queues it. There must be [`Room::Here`] for it, and no
    /// packs.
    ///
    /// Returns the LSN of its first entry (the next LSN, for a control frame).
    #[inline]
    pub(crate) fn stamp(&mut self, draft: &Draft<'_>, now: u64) -> Lsn {
        self.time = self.time.max(now);
        self.tick += 1;
        let lsn = self.next;
        self.next = lsn.plus(u64::from(draft.shape.count));
        self.queue_frame(draft, lsn, self.tick, self.time);
        lsn
    }

    /// Adds an entry, which was checked, to the open pack, or begins one. There must be [`Room::Here`] for it. Says
    /// whether it began one.
    #[inline]
    pub(crate) fn pack(&mut self, entry: &NewEntry<'_>, len_max: usize, now: u64) -> bool {
        self.time = self.time.max(now);
        let begins = !self.packs.takes(entry.payload.len(), self.time, len_max);
        if begins {
            self.tick += 1;
            self.packs.begin(self.next, self.tick, self.time);
        }
        self.packs.push(entry);
        self.next = self.next.next();
        begins
    }

    /// Keeps memory for the next frames.
    pub(crate) fn spare(&mut self, mut bytes: Vec<u8>) {
        if self.spares.len() < SPARES && bytes.capacity() <= 4 * CHUNK_LEN {
            bytes.clear();
            self.spares.push(bytes);
        }
    }

    #[inline]
    pub(crate) fn queue_frame(&mut self, draft: &Draft<'_>, lsn: Lsn, tick: Tick, time: u64) {
        let Some(tail) = self.tail.as_mut() else { return };
        if !self.queue.back().is_some_and(|chunk| tail.goes_on_in(chunk)) {
            let mut spare = self.spares.pop();
            spare.iter_mut().for_each(|spare| spare.reserve(CHUNK_LEN));
            self.queue.push_back(Chunk::new(Arc::clone(&tail.segment), tail.offset, lsn, tick, spare));
            tail.begin_chunk();
        }
        let (header, words) = tail.header(draft, lsn, time);
        if let Some(chunk) = self.queue.back_mut() {
            chunk.push(words, draft.body, header.lsn_delta, &mut tail.indexed);
            chunk.next = lsn.plus(u64::from(draft.shape.count));
            chunk.tick = tick;
        }
        let bytes = tail.advance(&header, words) as usize;
        self.queued = self.queued.plus(Amount { bytes, entries: draft.shape.count as usize });
    }

    /// Whether the next frame is to be stored when everything up to a tick is with the operating system: all before it
    /// is there then, or is stored with it. Never the first frames of a segment, which may not be there before the one
    /// before it is durable; the writer sees to that.
    #[inline]
    pub(crate) fn may_store(&self, written: Tick, body_len: usize) -> bool {
        if self.queued.minus(self.stored).bytes.saturating_add(body_len) > STORE_MAX {
            return false;
        }

        let Some(tail) = self.tail.as_ref().filter(|tail| !tail.refuses_stores) else { return false };
        let mut before = self.in_flight.iter().map(|chunk| &**chunk).chain(&self.queue).rev();
        let start = match self.queue.back() {
            Some(chunk) if tail.goes_on_in(chunk) => before.next().map_or(FIRST_FRAME, |chunk| chunk.offset),
            _ => tail.offset,
        };
        start > FIRST_FRAME && before.next().is_none_or(|chunk| chunk.tick <= written)
    }

    /// Stores the frames at the end that are not stored. `false`: they must be written.
    #[inline]
    pub(crate) fn store(&mut self) -> bool {
        let Some(chunk) = self.queue.back_mut() else { return false };
        let before = chunk.stored();
        if chunk.store() {
            self.stored = self.stored.plus(chunk.stored().minus(before));
            if let Some(tail) = self.tail.as_mut().filter(|tail| !tail.has_stored) {
                // What comes next should find its place ready: there is something to do now.
                (tail.has_stored, tail.prepare_at) = (true, tail.prepare_at.min(tail.offset));
            }
            return true;
        }
        if let Some(tail) = self.tail.as_mut() {
            tail.refuses_stores = true;
        }
        false
    }

    /// Seals the active segment and goes on in `successor`, whose name is durable. Returns the new segment.
    ///
    /// Nothing of the successor is written before the sealed segment is synced: the writer sees to that when it comes
    /// to the boundary in the queue. That is why the opening may already say so.
    pub(crate) fn roll(&mut self, successor: Prepared, now: u64) -> Option<Arc<Segment>> {
        let seal = Seal { successor: successor.header.segment, next: self.next }.encode();
        let key = self.tail.as_ref()?.segment.key();
        self.stamp(&Draft::control(FrameKind::Seal, &seal, key.checksum), now);
        let predecessor = self.tail.as_ref()?.predecessor();
        let durable = Position { segment: predecessor.segment, offset: predecessor.end };
        self.follow(predecessor, durable, successor, now)
    }

    /// Goes on in `successor`, behind the end of another segment. Everything before `durable` was synced.
    pub(crate) fn follow(
        &mut self,
        predecessor: Predecessor,
        durable: Position,
        successor: Prepared,
        now: u64,
    ) -> Option<Arc<Segment>> {
        let opening = Opening {
            base: self.next,
            predecessor: Some(predecessor),
            durable,
            first_retained: self.first_retained,
            metadata: self.metadata.clone(),
        };
        let mut body = Vec::with_capacity(opening.body_len());
        opening.encode(&mut body).ok()?;
        let segment = Arc::new(successor.segment(self.next));
        self.tail = Some(Tail::at_start(Arc::clone(&segment), successor.capacity));
        self.stamp(&Draft::control(FrameKind::Opening, &body, segment.key().checksum), now);
        self.ended = None;
        Some(segment)
    }

    /// A copy of the frame that holds `lsn`, when it is still in memory; of a pack, perhaps only a part.
    pub(crate) fn pending_frame(&self, lsn: Lsn, part: Part) -> Option<LoadedFrame> {
        let in_flight = self.in_flight.iter().map(|chunk| &**chunk);
        let queued = in_flight.chain(&self.queue).find_map(|chunk| chunk.frame_of(lsn));
        queued.or_else(|| self.packs.frame_of(lsn, self.tail.as_ref()?.segment.base(), part))
    }

    /// Takes all queued frames for writing; they stay visible to readers as `in_flight`. For whoever writes: what was
    /// in flight until now was written.
    pub(crate) fn take_queue(&mut self, chunks: &mut Vec<Arc<Chunk>>) {
        (self.queued, self.stored) = (Amount::default(), Amount::default());
        // Mostly one small chunk follows another: its place is used again.
        if let [place] = &mut *self.in_flight
            && self.queue.len() == 1
            && let Some(place) = Arc::get_mut(place)
            && let Some(chunk) = self.queue.pop_front()
        {
            let written = mem::replace(place, chunk);
            self.spare(written.bytes);
        } else {
            for chunk in mem::take(&mut self.in_flight) {
                self.spare(owned(chunk).bytes);
            }
            self.in_flight.extend(self.queue.drain(..).map(Arc::new));
        }
        chunks.extend(self.in_flight.iter().cloned());
    }

    /// The first `written` of the chunks in flight have reached the operating system; the others go back to the front
    /// of the queue, to be written again at the same places.
    pub(crate) fn landed(&mut self, chunks: &mut Vec<Arc<Chunk>>, written: usize) {
        self.in_flight.clear();
        let mut back: Vec<Chunk> = Vec::new();
        for (at, chunk) in chunks.drain(..).enumerate() {
            let chunk = owned(chunk);
            if at >= written {
                self.queued = self.queued.plus(chunk.amount());
                self.stored = self.stored.plus(chunk.stored());
                back.push(chunk);
            } else {
                self.spare(chunk.bytes);
            }
        }
        for chunk in back.into_iter().rev() {
            self.queue.push_front(chunk);
        }
    }

    /// When the oldest entry without a finished sync was stamped.
    pub(crate) fn oldest_unsynced(&self) -> Option<u64> {
        self.syncing_since.or(self.unsynced_since)
    }
}

/// Readers copy under the lock of the appender, so nobody else has a chunk that was in flight.
fn owned(chunk: Arc<Chunk>) -> Chunk {
    Arc::try_unwrap(chunk).unwrap_or_else(|shared| (*shared).clone())
}
