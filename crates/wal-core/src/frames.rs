//! Whole frames as they are stored, for another log: a leader reads them, and a follower appends them verbatim.

use std::{
    iter::FusedIterator,
    ops::{Bound, Range, RangeBounds},
};

use bytes::Bytes;
use snafu::ResultExt;
use wal_format::{
    BodyShape, ChecksumKind, CursorPosition, DecodeError, EntriesBuilder, EntriesRef, FrameHeader, FrameKind,
    Lsn, MetadataRecords, Namespace, NewEntry, TransportFrame,
};
use wal_segment::{FrameReader, LoadedFrame, Segment, SegmentError};

use crate::{
    AppendOptions, Log, LogError,
    append::Stamped,
    appender::Draft,
    engine::Engine,
    error::{DECODE, EncodingSnafu, InvalidFrameSnafu},
    packs::Part,
    patience::Terms,
    payload::Coded,
    peek::Peeked,
    view::View,
    walk::{Look, Walk},
};

/// Frames are read so much at a time; mapped segments are not copied whatever it is.
const READ_LEN: u64 = 256 << 10;

/// The entries of one append, batch or transaction, as they are stored: compressed if they were, with the checksum that
/// was computed when they were appended.
///
/// Nothing is believed before [`Log::append_frame`] has verified it, so any value may stand in any field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedFrame {
    /// LSN of its first entry in the log that it comes from.
    pub first_lsn: Lsn,
    /// When it was appended there, in nanoseconds since 1970.
    pub time: u64,
    /// How many entries it holds.
    pub count: u32,
    /// Which columns the body has: `docs/FORMAT.md`, section 4.
    pub columns: u8,
    /// The kind of all entries, unless the body has a column of kinds.
    pub entry_kind: u8,
    /// What the body is compressed with; zero for not at all.
    pub codec: u8,
    /// What the body's checksum is computed with.
    pub checksum: ChecksumKind,
    /// Checksum of the body.
    pub body_crc: u32,
    /// The body as it is stored.
    pub body: Bytes,
}

impl EncodedFrame {
    /// A frame of entries that come from somewhere else, not compressed.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] for no entries, a reserved term or timestamp, or more bytes than a frame holds.
    pub fn new(
        first_lsn: Lsn,
        time: u64,
        transaction: Option<[u8; 16]>,
        entries: &[NewEntry<'_>],
    ) -> Result<Self, DecodeError> {
        if entries.is_empty() {
            return Err(DecodeError::Invalid { what: "the entry count", value: 0 });
        }
        let mut builder = EntriesBuilder::default();
        entries.iter().try_for_each(|entry| builder.push(entry))?;
        if let Some(id) = transaction {
            builder.set_transaction(id);
        }
        let mut body = Vec::new();
        let shape = builder.finish(&mut body);
        Ok(Self::of(first_lsn, time, shape, 0, ChecksumKind::Crc32, body.into()))
    }

    fn of(
        first_lsn: Lsn,
        time: u64,
        shape: BodyShape,
        codec: u8,
        checksum: ChecksumKind,
        body: Bytes,
    ) -> Self {
        let BodyShape { count, columns, entry_kind } = shape;
        let body_crc = checksum.of(&body);
        Self { first_lsn, time, count, columns, entry_kind, codec, checksum, body_crc, body }
    }

    /// LSN of its last entry in the log that it comes from.
    #[must_use]
    pub fn last_lsn(&self) -> Lsn {
        self.first_lsn.plus(u64::from(self.count.saturating_sub(1)))
    }

    /// Its bytes in transport: `docs/FORMAT.md`, section 10.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::new();
        self.transport().encode(&mut bytes);
        bytes.into()
    }

    /// Takes the frame off the front of what was received; `None` while bytes of it are missing. The body is not
    /// copied. After an error the bytes are as they were.
    ///
    /// A frame is at most 1 GiB and 48 bytes long. Who does not trust the sender gives up sooner.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for bytes that are no frame, do not verify, or are for another build.
    ///
    /// ```
    /// use wal_core::EncodedFrame;
    /// use wal_format::{Lsn, NewEntry};
    /// let frame = EncodedFrame::new(Lsn::FIRST, 0, None, &[NewEntry::plain(b"one"), NewEntry::plain(b"two")])?;
    /// let sent = frame.to_bytes();
    ///
    /// assert_eq!(EncodedFrame::parse(&mut sent.slice(..sent.len() - 1))?, None);
    /// let mut received = sent.clone();
    /// assert_eq!(EncodedFrame::parse(&mut received)?, Some(frame));
    /// assert!(received.is_empty());
    /// # Ok::<(), wal_format::DecodeError>(())
    /// ```
    pub fn parse(bytes: &mut Bytes) -> Result<Option<Self>, DecodeError> {
        let (frame, len) = match TransportFrame::parse(bytes) {
            Ok(parsed) => parsed,
            Err(DecodeError::Short { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let frame = Self {
            first_lsn: frame.first,
            time: frame.time,
            count: frame.count,
            columns: frame.columns,
            entry_kind: frame.entry_kind,
            codec: frame.codec,
            checksum: frame.checksum,
            body_crc: frame.body_crc,
            body: bytes.slice_ref(frame.body),
        };
        drop(bytes.split_to(len));
        Ok(Some(frame))
    }

    const fn coded(&self) -> Coded {
        Coded { codec: self.codec, count: self.count, columns: self.columns }
    }

    fn transport(&self) -> TransportFrame<'_> {
        TransportFrame {
            first: self.first_lsn,
            time: self.time,
            count: self.count,
            columns: self.columns,
            entry_kind: self.entry_kind,
            codec: self.codec,
            checksum: self.checksum,
            body_crc: self.body_crc,
            body: &self.body,
        }
    }
}

impl Engine {
    fn append_frame(&self, frame: &EncodedFrame, terms: &Terms) -> Result<Stamped, LogError> {
        let context = InvalidFrameSnafu { first: frame.first_lsn };
        frame.transport().verify().context(context)?;
        let raw = self.payloads.decode(frame.coded(), frame.body.clone())?;
        let entries =
            EntriesRef::parse(frame.count, frame.columns, frame.entry_kind, &raw).context(context)?;
        let mut payload_len = 0;
        for entry in entries.iter() {
            payload_len += entry.context(context)?.payload.len();
        }
        self.check_len(payload_len)?;
        check_records(entries.metadata()).context(context)?;
        let ours = self.options.checksum;
        let draft = Draft {
            kind: FrameKind::Entries,
            body: &frame.body,
            body_crc: if ours == frame.checksum { frame.body_crc } else { ours.of(&frame.body) },
            codec: frame.codec,
            shape: BodyShape { count: frame.count, columns: frame.columns, entry_kind: frame.entry_kind },
            metadata: entries.metadata(),
            time: Some(frame.time),
        };
        self.append_draft(&draft, payload_len, terms)
    }
}

/// Checkpoints and cursors of others must be ones that this log can read back, and its dictionaries stay its own.
pub(crate) fn check_records(records: &[u8]) -> Result<(), DecodeError> {
    MetadataRecords::new(records).try_for_each(|record| {
        let record = record?;
        match (record.namespace, record.value) {
            (Namespace::CHECKPOINT, Some(value)) => wal_format::Checkpoint::decode(value).map(drop),
            (Namespace::CURSOR, Some(value)) => CursorPosition::decode(value).map(drop),
            // They have numbers of each log's own, and whatever takes one away takes what was compressed with it.
            (Namespace::DICTIONARY, _) => Err(DecodeError::Invalid {
                what: "the part of the metadata",
                value: record.namespace.0.into(),
            }),
            _ => Ok(()),
        }
    })
}

/// Some of the entries of a frame, laid out anew, with their transaction. Not with their metadata: whoever takes a
/// frame apart has the state after its changes, and they might bring back an older one.
pub(crate) fn part_of(
    header: &FrameHeader,
    body: &[u8],
    range: Range<u32>,
) -> Result<(BodyShape, Vec<u8>), LogError> {
    let context = EncodingSnafu { operation: DECODE };
    let entries =
        EntriesRef::parse(header.count, header.columns, header.entry_kind, body).context(context)?;
    let mut kept = EntriesBuilder::default();
    for index in range {
        let entry = entries.get(index).context(context)?;
        let (kind, term, timestamp) = (entry.kind, entry.term, entry.timestamp);
        kept.push(&NewEntry { payload: entry.payload, kind, term, timestamp }).context(context)?;
    }
    if let Some(id) = entries.transaction() {
        kept.set_transaction(id);
    }
    let mut body = Vec::new();
    let shape = kept.finish(&mut body);
    Ok((shape, body))
}

impl Log {
    /// The frames that hold the entries of a range, as the log is now. The last one is given whole, although the range
    /// may end within it; of the first one only what lies in the range, laid out anew and without its changes of the
    /// metadata.
    #[must_use]
    pub fn frames(&self, range: impl RangeBounds<Lsn>) -> Frames {
        let from = match range.start_bound() {
            Bound::Included(lsn) => *lsn,
            Bound::Excluded(lsn) => lsn.next(),
            Bound::Unbounded => Lsn::FIRST,
        };
        let to = match range.end_bound() {
            Bound::Included(lsn) => lsn.next(),
            Bound::Excluded(lsn) => *lsn,
            Bound::Unbounded => Lsn::MAX,
        };
        // What has no place yet is no frame that could be stored elsewhere.
        Frames(Walk::new(self.engine(), from, to, READ_LEN, Engine::settle))
    }

    /// Appends a frame of another log as it is: its checksum is verified, its entries are decoded to see that they can
    /// be, and its bytes are stored without being compressed again. It must come next:
    /// [`expected`](AppendOptions::expected) is the frame's own LSN unless it says otherwise. Changes of the metadata
    /// in it are carried out.
    ///
    /// The frame keeps its time, unless this log has a later one already.
    ///
    /// Dictionaries do not come with the frames. A follower has them from the other log's metadata, with
    /// [`replace_metadata`](Self::replace_metadata), and trains none of its own.
    ///
    /// # Errors
    ///
    /// [`LogError::InvalidFrame`] when it does not verify, [`LogError::Conflict`] when another LSN comes next,
    /// [`LogError::Compression`] when its codec is not there; those of [`append_batch`](Self::append_batch).
    pub fn append_frame(
        &self,
        frame: &EncodedFrame,
        options: &AppendOptions,
    ) -> Result<(Lsn, Lsn), LogError> {
        self.start_threads()?;
        let expected = options.expected.or(Some(frame.first_lsn));
        let terms = self.terms(&AppendOptions { expected, ..*options });
        let stamped = self.engine().append_frame(frame, &terms).inspect_err(|_| self.tell())?;
        Ok((stamped.first, stamped.last))
    }
}

/// Index of its segment in the view, and a frame.
type Loaded = (usize, LoadedFrame);

/// The frames of a range, in order. An error ends it. The range was fixed when this was made. All are of one history of
/// the log, as with [`Iter`](crate::Iter).
#[derive(Debug)]
pub struct Frames(Walk);

impl Frames {
    /// A frame, from `lsn` on.
    fn encoded(&self, lsn: Lsn, (position, frame): Loaded) -> Result<EncodedFrame, LogError> {
        let Walk { engine, view, .. } = &self.0;
        let checksum = view
            .segments
            .get(position)
            .map_or_else(ChecksumKind::default, |segment| segment.header().checksum);
        let header = &frame.header;
        let skipped = lsn.since(frame.lsn).and_then(|skipped| u32::try_from(skipped).ok()).unwrap_or(0);
        if skipped > 0 {
            let body = engine.payloads.decode(header, frame.body)?;
            let (shape, body) = part_of(header, &body, skipped..header.count)?;
            return Ok(EncodedFrame::of(lsn, header.time, shape, 0, checksum, body.into()));
        }
        Ok(EncodedFrame {
            first_lsn: frame.lsn,
            time: header.time,
            count: header.count,
            columns: header.columns,
            entry_kind: header.entry_kind,
            codec: header.codec,
            checksum,
            body_crc: header.body_crc,
            body: frame.body,
        })
    }
}

impl Look for Loaded {
    fn read(
        reader: &mut FrameReader,
        segment: &Segment,
        position: usize,
        offset: u64,
    ) -> Result<Option<Self>, SegmentError> {
        Ok(reader.read(segment, offset)?.map(|frame| (position, frame)))
    }

    fn look_up(engine: &Engine, view: &View, lsn: Lsn, reader: &mut FrameReader) -> Result<Self, LogError> {
        engine.load(view, lsn, reader, Part::Whole)
    }

    fn is_shown(engine: &Engine, lsn: Lsn) -> bool {
        engine.check_readable(lsn).is_ok()
    }

    fn peeked(&self) -> Peeked {
        let (position, frame) = self;
        Peeked { position: *position, offset: frame.offset, first: frame.lsn, header: frame.header }
    }
}

impl Iterator for Frames {
    type Item = Result<EncodedFrame, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.0.next::<Loaded>()?;
        let encoded = found.and_then(|(lsn, frame)| self.encoded(lsn, frame));
        if encoded.is_err() {
            self.0.end();
        }
        Some(encoded)
    }
}

impl FusedIterator for Frames {}
