//! What the golden files hold, put together with the public parts of the crate.

use wal_format::{
    ChecksumKind, Close, CloseState, EntriesBuilder, FrameHeader, FrameKind, IndexPoint, LogId, Lsn,
    Metadata, MetadataRecord, Namespace, NewEntry, Opening, Position, Predecessor, Seal, SegmentHeader,
    SegmentId, SegmentIndex, Trim,
};

const TIME: u64 = 1_700_000_000_000_000_000;

fn header(checksum: ChecksumKind) -> SegmentHeader {
    SegmentHeader {
        checksum,
        ignorable_flags: 0x8000_0001,
        log_id: LogId(*b"0123456789abcdef"),
        segment: SegmentId(7),
        epoch: 3,
        salt: 0x5a17_0000_c0ff_ee01,
        created: TIME - 1,
    }
}

fn lsn(number: u64) -> Lsn {
    Lsn::new(number).unwrap()
}

/// A segment in the making: gives every frame its place in the chain.
struct Writer {
    header: SegmentHeader,
    bytes: Vec<u8>,
    delta: u32,
    units: u32,
    time: u64,
    frames: Vec<IndexPoint>,
}

impl Writer {
    fn new(checksum: ChecksumKind) -> Self {
        let header = header(checksum);
        let bytes = header.encode().to_vec();
        Self { header, bytes, delta: 0, units: 0, time: TIME, frames: Vec::new() }
    }

    fn offset(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Appends a frame; of `frame` only lag, kind, codec, columns, entry kind and count are used.
    fn frame(&mut self, frame: FrameHeader, body: &[u8]) {
        let frame = FrameHeader {
            body_crc: self.header.checksum.of(body),
            body_len: u32::try_from(body.len()).unwrap(),
            lsn_delta: self.delta,
            prev_units: self.units,
            time: self.time,
            ..frame
        };
        self.frames
            .push(IndexPoint { lsn_delta: self.delta, units: u32::try_from(self.bytes.len() / 8).unwrap() });
        self.bytes.extend_from_slice(&frame.encode(self.header.key(), self.offset()));
        self.bytes.extend_from_slice(body);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        self.delta += frame.count;
        self.units = frame.units();
        self.time += 1_000;
    }

    fn control(&mut self, kind: FrameKind, proof_lag: Option<u32>, body: &[u8]) {
        self.frame(FrameHeader { kind, count: 0, proof_lag, ..PLAIN }, body);
    }

    fn entries(&mut self, entries: &EntriesBuilder, proof_lag: Option<u32>) {
        let mut body = Vec::new();
        let shape = entries.finish(&mut body);
        let frame = FrameHeader {
            count: shape.count,
            columns: shape.columns,
            entry_kind: shape.entry_kind,
            proof_lag,
            ..PLAIN
        };
        self.frame(frame, &body);
    }

    fn entry(&mut self, entry: &NewEntry<'_>, proof_lag: Option<u32>) {
        let mut entries = EntriesBuilder::default();
        entries.push(entry).unwrap();
        self.entries(&entries, proof_lag);
    }

    fn open(&mut self, opening: &Opening) {
        let mut body = Vec::new();
        opening.encode(&mut body).unwrap();
        self.control(FrameKind::Opening, None, &body);
    }
}

const PLAIN: FrameHeader = FrameHeader {
    body_crc: 0,
    body_len: 0,
    lsn_delta: 0,
    count: 1,
    prev_units: 0,
    time: 0,
    proof_lag: None,
    kind: FrameKind::Entries,
    codec: 0,
    columns: 0,
    entry_kind: 0,
};

fn opening() -> Opening {
    let mut metadata = Metadata::default();
    for (namespace, name, value) in [
        (Namespace::CHECKPOINT, b"nightly".as_slice(), b"\xe7\x03\0\0\0\0\0\0".as_slice()),
        (Namespace::CURSOR, b"replica-1", b"\xe6\x03\0\0\0\0\0\0"),
        (Namespace::USER, b"vote", b"term 7"),
        (Namespace::USER, b"", b""),
        (Namespace(200), b"\xff\0", b"of a later version"),
    ] {
        metadata.apply(&MetadataRecord { namespace, name, value: Some(value) });
    }
    Opening {
        base: lsn(1000),
        predecessor: Some(Predecessor {
            segment: SegmentId(5),
            salt: 0x0bad_cafe_0000_0005,
            end: 8192,
            last_header_crc: 0x1234_5678,
            last_units: 7,
        }),
        durable: Position { segment: SegmentId(5), offset: 8192 },
        first_retained: lsn(900),
        metadata,
    }
}

fn first_opening() -> Opening {
    Opening {
        base: Lsn::FIRST,
        predecessor: None,
        durable: Position { segment: SegmentId(7), offset: 512 },
        first_retained: Lsn::FIRST,
        metadata: Metadata::default(),
    }
}

fn records(records: &[MetadataRecord<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    records.iter().for_each(|record| record.encode(&mut bytes).unwrap());
    bytes
}

/// A batch with every column there is.
fn batch() -> EntriesBuilder {
    let mut batch = EntriesBuilder::default();
    for entry in [
        NewEntry { payload: b"first", kind: 1, term: Some(7), timestamp: Some(-1) },
        NewEntry { payload: b"", kind: 2, term: None, timestamp: None },
        NewEntry { payload: b"third\0", kind: 255, term: Some(0), timestamp: Some(i64::MAX) },
    ] {
        batch.push(&entry).unwrap();
    }
    batch.set_transaction(*b"transaction 0001");
    batch.add_metadata(&records(&[
        MetadataRecord { namespace: Namespace::USER, name: b"vote", value: Some(b"term 8") },
        MetadataRecord { namespace: Namespace::CURSOR, name: b"replica-1", value: None },
    ]));
    batch
}

/// A rotated segment with every kind of frame, and its index.
pub(crate) fn full() -> (Vec<u8>, Vec<u8>) {
    let mut writer = Writer::new(ChecksumKind::Crc32);
    writer.open(&opening());
    writer.entry(&NewEntry::plain(b"a plain entry"), None);
    writer.entry(&NewEntry { kind: 200, ..NewEntry::plain(b"of kind 200") }, Some(0));
    writer.entry(&NewEntry::plain(b""), Some(7));
    writer.entry(
        &NewEntry { term: Some(7), timestamp: Some(1_700_000_000), ..NewEntry::plain(b"dated") },
        None,
    );
    writer.entries(&batch(), Some(0));
    let mut plain = EntriesBuilder::default();
    for payload in [b"eight by".as_slice(), b"tes", b"each or less"] {
        plain.push(&NewEntry::plain(payload)).unwrap();
    }
    writer.entries(&plain, None);
    // Snappy: the length of the raw bytes as the frame has it, then as Snappy has it, then a literal of five bytes.
    writer.frame(FrameHeader { codec: 2, entry_kind: 4, ..PLAIN }, b"\x05\0\0\0\x05\x10hello");
    writer.control(FrameKind::Idle, Some(0), b"");
    let user = MetadataRecord { namespace: Namespace::USER, name: b"vote", value: Some(b"term 9") };
    let checkpoint = MetadataRecord { namespace: Namespace::CHECKPOINT, name: b"nightly", value: None };
    writer.control(FrameKind::Metadata, Some(5), &records(&[user, checkpoint]));
    writer.control(FrameKind::Trim, Some(0), &Trim { first_retained: lsn(1001) }.encode());
    writer.control(FrameKind::Unknown(128), None, b"whatever a later version says");
    writer.entry(&NewEntry::plain(b"the last entry"), None);
    writer.control(FrameKind::Close, Some(0), &close(1012, None));
    writer.control(FrameKind::Seal, Some(0), &Seal { successor: SegmentId(9), next: lsn(1012) }.encode());
    let index = SegmentIndex {
        log_id: writer.header.log_id,
        segment: writer.header.segment,
        salt: writer.header.salt,
        end: writer.offset(),
        base: lsn(1000),
        last_frame: u64::from(writer.frames.last().unwrap().units) * 8,
        points: writer.frames.iter().copied().step_by(4).collect(),
    };
    writer.bytes.resize(writer.bytes.len() + 72, 0);
    (writer.bytes, index.encode())
}

/// Two entries, one whose body never arrived in full, and one behind it that proves nothing about it.
pub(crate) fn torn() -> Vec<u8> {
    with_bad_place(|lost| u32::try_from(lost / 8).unwrap())
}

/// The same, but the frame behind was stamped when the bad place was durable.
pub(crate) fn damaged() -> Vec<u8> {
    with_bad_place(|_| 0)
}

/// `lag` is asked for the proof lag of the frame behind, given the length of the frame that is bad.
fn with_bad_place(lag: impl Fn(u64) -> u32) -> Vec<u8> {
    let mut writer = Writer::new(ChecksumKind::Crc32);
    writer.open(&first_opening());
    writer.entry(&NewEntry::plain(b"one"), None);
    writer.entry(&NewEntry::plain(b"two"), Some(0));
    let bad = writer.offset();
    writer.entry(&NewEntry::plain(&[0xab; 50]), Some(0));
    let end = writer.offset();
    writer.entry(&NewEntry::plain(b"behind"), Some(lag(end - bad)));
    let second_half = usize::try_from(bad).unwrap() + 64..usize::try_from(end).unwrap();
    writer.bytes[second_half].fill(0);
    writer.bytes.extend_from_slice(b"and a few bytes");
    writer.bytes
}

#[cfg(feature = "crc32c")]
pub(crate) fn castagnoli() -> Vec<u8> {
    let mut writer = Writer::new(ChecksumKind::Crc32c);
    writer.open(&first_opening());
    writer.entry(&NewEntry::plain(b"a plain entry"), None);
    writer.entries(&batch(), Some(0));
    let mut metadata = Metadata::default();
    metadata.apply(&MetadataRecord { namespace: Namespace::CURSOR, name: b"replica", value: Some(b"4") });
    let state = CloseState { first_retained: lsn(2), metadata };
    writer.control(FrameKind::Close, Some(0), &close(5, Some(state)));
    writer.bytes
}

fn close(next: u64, state: Option<CloseState>) -> Vec<u8> {
    let mut body = Vec::new();
    Close { next: lsn(next), state }.encode(&mut body).unwrap();
    body
}
