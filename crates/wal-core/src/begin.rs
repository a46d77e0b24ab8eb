//! Starting a segment that is not the plain successor of an active one: after an open, in recovery, at a truncation.
//!
//! What must be carried over is written and synced first; then the opening frame, which makes it part of the log and
//! what it replaces no longer; then that is synced. Until the opening is durable, the old end of the log stands.

use std::sync::Arc;

use bytes::Bytes;
use snafu::ResultExt;
use wal_format::{
    FIRST_FRAME, FrameHeader, FrameKind, Lsn, Metadata, Opening, Position, Predecessor, SegmentKey,
};
use wal_segment::{FrameReader, Segment};

use crate::{
    DeletionReason, LogError,
    appender::{Appender, CONTROL_RESERVE, Draft, Tail, padded},
    chunk::{CHUNK_LEN, Chunk},
    engine::Engine,
    error::{EncodingSnafu, InvalidArgumentSnafu},
    events::Span,
    frames::part_of,
    prepare::Prepared,
};

/// Frames of an inherited segment that are copied into the new one.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    /// Read by copying: these bytes may not be proven.
    pub(crate) source: Arc<Segment>,
    /// Offset of the first frame.
    pub(crate) from: u64,
    /// End of the last frame.
    pub(crate) to: u64,
    /// Upper bound of the bytes that the copies take.
    pub(crate) len: u64,
    /// Entries from this LSN on are left out.
    pub(crate) until: Option<Lsn>,
}

/// Where a new segment goes on from.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    pub(crate) base: Lsn,
    pub(crate) predecessor: Option<Predecessor>,
    pub(crate) carried: Option<Carried>,
}

/// What the first segment of this process goes on from.
#[derive(Clone, Debug)]
pub(crate) enum Inheritance {
    /// Nothing: the log is new, or the first segment was started.
    None,
    /// The end that recovery found.
    End(Beginning),
}

/// How long a segment must be to begin like this and have room for one more frame.
pub(crate) fn begin_len(appender: &Appender, beginning: &Beginning, room: usize) -> u64 {
    let carried = beginning.carried.as_ref().map_or(0, |carried| carried.len);
    FIRST_FRAME + opening_len(&appender.metadata) + carried + padded(room) + CONTROL_RESERVE
}

/// Length of the opening frame with this metadata.
pub(crate) fn opening_len(metadata: &Metadata) -> u64 {
    padded(metadata.encoded_len() + 72)
}

impl Engine {
    /// Starts the first segment of this process.
    pub(crate) fn begin_first(&self, appender: &mut Appender, room: usize) -> Result<(), LogError> {
        if self.objects && appender.ended.is_some() {
            return InvalidArgumentSnafu { why: "a log on objects begins with its fence, once" }.fail();
        }
        let beginning = match &*self.inheritance.lock() {
            Inheritance::None => Beginning { base: appender.next, predecessor: None, carried: None },
            Inheritance::End(beginning) => beginning.clone(),
        };
        let len = begin_len(appender, &beginning, room);
        let prepared = if self.objects { self.fence(len)? } else { self.take_prepared(len)? };
        self.or_poison("start a segment", || self.begin(appender, &beginning, &prepared))?;
        *self.inheritance.lock() = Inheritance::None;
        // A fence is looked at once more before anything is removed.
        if !self.objects {
            self.sweep(appender.active(), &|_| DeletionReason::Superseded);
        }
        Ok(())
    }

    /// A segment of at least `len` bytes that is ready to be used.
    pub(crate) fn take_prepared(&self, len: u64) -> Result<Prepared, LogError> {
        let preparer = self.preparer()?;
        if self.objects {
            return preparer.object(len).map_err(|error| self.unprepared(error));
        }
        loop {
            if let Some(prepared) = preparer.take(len) {
                return Ok(prepared);
            }
            let written = self.stats.written();
            preparer.begin_anew(len, written).map_err(|error| self.unprepared(error))?;
        }
    }

    /// Starts a segment, makes it durable, and makes it the active one.
    ///
    /// After an error it may be the newest one all the same: when there was no space for the opening, nobody knows how
    /// much of it was written, perhaps all that matters. Nothing may be appended to an older segment then.
    pub(crate) fn begin(
        &self,
        appender: &mut Appender,
        beginning: &Beginning,
        prepared: &Prepared,
    ) -> Result<(), LogError> {
        let _span = Span::rotate(&self.directory);
        let segment = Arc::new(prepared.segment(beginning.base));
        let mut tail = Tail::at_start(Arc::clone(&segment), prepared.capacity);
        let opening = Opening {
            base: beginning.base,
            predecessor: beginning.predecessor,
            durable: durable_position(&segment, beginning.predecessor),
            first_retained: appender.first_retained,
            metadata: appender.metadata.clone(),
        };
        let mut body = Vec::with_capacity(opening.body_len());
        opening.encode(&mut body).context(EncodingSnafu { operation: "encode an opening frame" })?;
        let (header, opening_frame) = opening_frame(&body, segment.key(), appender.time);
        tail.offset += header.frame_len();
        tail.prev_units = header.units();
        tail.last_crc = crc_of(&opening_frame);
        let mut copy = Copy { engine: self, chunk: None, spare: None, tail, lsn: beginning.base };
        if let Some(carried) = &beginning.carried {
            copy.all(carried)?;
        }
        let tail = copy.finish()?;
        self.publish(&tail, &opening_frame)?;
        self.rotated(&segment, tail.capacity);
        appender.tail = Some(tail);
        if self.objects {
            self.note_published(segment.id(), segment.durable());
            appender.end();
        }
        // A predecessor of which only the opening was proven may hold nothing any more.
        let (from, first) = (beginning.predecessor, self.first_retained());
        self.view.rcu(|view| view.going_on(from, Arc::clone(&segment)).trimmed(first));
        Ok(())
    }

    /// Makes the carried frames durable, then the opening that makes them count.
    fn publish(&self, tail: &Tail, opening_frame: &[u8]) -> Result<(), LogError> {
        let segment = &tail.segment;
        let opening_end = FIRST_FRAME + opening_frame.len() as u64;
        let failed = |error| self.poison("start a segment", error);
        if tail.offset > opening_end && !self.objects {
            segment.sync().map_err(failed)?;
        }
        let written = segment.write(FIRST_FRAME, opening_frame);
        written.map_err(|error| {
            if error.is_full() { LogError::segment("start a segment", error) } else { failed(error) }
        })?;
        segment.sync().map_err(failed)?;
        segment.mark_written(tail.offset, &[], &[]);
        segment.mark_durable(tail.offset);
        Ok(())
    }
}

/// Copies frames into a new segment, behind the place of its opening.
struct Copy<'a> {
    engine: &'a Engine,
    chunk: Option<Chunk>,
    /// Memory for the next one.
    spare: Option<Vec<u8>>,
    tail: Tail,
    lsn: Lsn,
}

impl Copy<'_> {
    fn all(&mut self, carried: &Carried) -> Result<(), LogError> {
        let Carried { source, from, to, until, .. } = carried;
        let mut reader = FrameReader::new(256 << 10);
        let mut offset = *from;
        while offset < *to {
            let loaded = reader.load(source, offset);
            let Some((header, body)) =
                loaded.map_err(|error| LogError::segment("read the end of the log", error))?
            else {
                break;
            };
            let body = reader.window().get(body).unwrap_or_default();
            match until {
                Some(until) if source.next_after(&header) > *until => {
                    let lsn = source.base().plus(u64::from(header.lsn_delta));
                    self.part(&header, reader.window().slice_ref(body), until.since(lsn).unwrap_or(0))?;
                }
                // The checksum that was verified covers the copy, too.
                _ if source.key().checksum == self.tail.segment.key().checksum => {
                    self.frame(&header, body)?
                }
                _ => self.summed(&header, body)?,
            }
            offset += header.frame_len();
        }
        Ok(())
    }

    /// The first `count` entries of a frame.
    fn part(&mut self, from: &FrameHeader, body: Bytes, count: u64) -> Result<(), LogError> {
        if count == 0 {
            return Ok(());
        }
        let body = self.engine.payloads.decode(from, body)?;
        // Not its metadata: the opening has the state after all changes, and this would bring back an older one.
        let (shape, body) = part_of(from, &body, 0..u32::try_from(count).unwrap_or(u32::MAX))?;
        let header = FrameHeader {
            count: shape.count,
            columns: shape.columns,
            entry_kind: shape.entry_kind,
            codec: 0,
            ..*from
        };
        self.summed(&header, &body)
    }

    /// A frame whose body is new.
    fn summed(&mut self, from: &FrameHeader, body: &[u8]) -> Result<(), LogError> {
        let body_crc = self.tail.segment.key().checksum.of(body);
        self.frame(&FrameHeader { body_crc, body_len: body.len() as u32, ..*from }, body)
    }

    /// A frame with the length and the checksum of this body.
    fn frame(&mut self, from: &FrameHeader, body: &[u8]) -> Result<(), LogError> {
        if matches!(from.kind, FrameKind::Opening | FrameKind::Seal | FrameKind::Close | FrameKind::Idle) {
            return Ok(());
        }
        let tail = &mut self.tail;
        let base = tail.segment.base();
        let header = FrameHeader {
            lsn_delta: self.lsn.since(base).and_then(|delta| u32::try_from(delta).ok()).unwrap_or(u32::MAX),
            prev_units: tail.prev_units,
            // A copy is not proven by what its original was.
            proof_lag: None,
            ..*from
        };
        let words = header.encode_words(tail.segment.key(), tail.offset);
        let chunk = self.chunk.get_or_insert_with(|| {
            Chunk::new(Arc::clone(&tail.segment), tail.offset, self.lsn, 0, self.spare.take())
        });
        chunk.push(words, body, header.lsn_delta, &mut tail.indexed);
        self.lsn = self.lsn.plus(u64::from(header.count));
        tail.offset += header.frame_len();
        tail.prev_units = header.units();
        tail.last_crc = words[0] as u32;
        tail.last_kind = header.kind;
        if chunk.bytes.len() >= 4 * CHUNK_LEN { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), LogError> {
        let Some(mut chunk) = self.chunk.take() else { return Ok(()) };
        let written = chunk.segment.write(chunk.offset, &chunk.bytes);
        written.map_err(|error| LogError::segment("copy the end of the log", error))?;
        chunk.segment.mark_written(chunk.end(), &chunk.bytes, &chunk.points);
        chunk.bytes.clear();
        self.spare = Some(chunk.bytes);
        Ok(())
    }

    fn finish(mut self) -> Result<Tail, LogError> {
        self.flush()?;
        Ok(self.tail)
    }
}

/// The opening of a segment with nothing before it says that nothing was durable: its own start.
fn durable_position(segment: &Segment, predecessor: Option<Predecessor>) -> Position {
    match predecessor {
        Some(predecessor) => Position { segment: predecessor.segment, offset: predecessor.end },
        None => Position { segment: segment.id(), offset: FIRST_FRAME },
    }
}

fn opening_frame(body: &[u8], key: SegmentKey, time: u64) -> (FrameHeader, Vec<u8>) {
    let draft = Draft::control(FrameKind::Opening, body, key.checksum);
    let header = FrameHeader {
        body_crc: draft.body_crc,
        body_len: body.len() as u32,
        lsn_delta: 0,
        count: 0,
        prev_units: 0,
        time,
        proof_lag: None,
        kind: FrameKind::Opening,
        codec: 0,
        columns: 0,
        entry_kind: 0,
    };
    let mut frame = header.encode(key, FIRST_FRAME).to_vec();
    frame.extend_from_slice(body);
    frame.resize(header.frame_len() as usize, 0);
    (header, frame)
}

fn crc_of(frame: &[u8]) -> u32 {
    frame.first_chunk::<4>().map_or(0, |crc| u32::from_le_bytes(*crc))
}
