//! A simulated disk as the protocol's model sees it: files as rows of numbered frames.

use std::collections::BTreeMap;

use wal_format::{
    FIRST_FRAME, FileName, FrameHeader, FrameKind, Opening, Parsed, Seal, SegmentHeader, parse_frame,
};
use wal_sim::SimDisk;

use super::disk::{Disk, Frame, Frames, Id, Place};

/// The valid frames of a file, wherever they stand. What is not valid between two of them counts as one that is
/// missing, however many there were.
struct Row<'a> {
    /// With where each stands, its number, and its body.
    frames: Vec<(u64, u64, FrameHeader, &'a [u8])>,
    /// Where frames start, gaps start, and the last frame ends; their numbers are those of these places.
    places: Vec<u64>,
}

impl<'a> Row<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, String> {
        let header = SegmentHeader::decode(bytes).map_err(|error| format!("a header: {error}"))?;
        let used = used(bytes);
        let mut row = Self { frames: Vec::new(), places: vec![FIRST_FRAME] };
        let mut at = FIRST_FRAME;
        while at < used {
            // No frame begins with zeros, and most of what is none consists of them.
            if bytes[at as usize..].first_chunk() == Some(&[0; 8]) {
                at += 8;
                continue;
            }
            let Parsed::Frame(frame, body) = parse_frame(&bytes[at as usize..], header.key(), at) else {
                at += 8;
                continue;
            };
            if row.places.last() != Some(&at) {
                row.places.push(at);
            }
            row.frames.push((at, row.places.len() as u64 - 1, frame, body));
            at += frame.frame_len();
            row.places.push(at);
        }
        Ok(row)
    }

    /// The number of what stands here or comes next.
    fn number_at(&self, offset: u64) -> u64 {
        self.places.partition_point(|place| *place < offset) as u64
    }
}

/// Beyond this place there are only zeros.
pub(super) fn used(bytes: &[u8]) -> u64 {
    let (sectors, rest) = bytes.as_chunks::<512>();
    let last = sectors.iter().rposition(|sector| *sector != [0; 512]);
    let whole = rest.iter().all(|byte| *byte == 0);
    if whole { last.map_or(0, |last| (last as u64 + 1) * 512) } else { bytes.len() as u64 }
}

/// What the model would find on this disk, if its files held the same frames.
pub(super) fn translated(disk: &SimDisk) -> Result<Disk, String> {
    let mut files = BTreeMap::new();
    for name in disk.names() {
        if let Some(FileName::Segment(id)) = FileName::parse(&name, "") {
            files.insert(id.0, disk.read(&name).unwrap_or_default());
        }
    }
    let rows = files.iter().map(|(id, bytes)| Ok((*id, Row::of(bytes)?)));
    let rows: BTreeMap<Id, Row<'_>> = rows.collect::<Result<_, String>>()?;
    let place = |id: Id, offset: u64| Place { id, at: rows.get(&id).map_or(0, |row| row.number_at(offset)) };
    let mut translated = BTreeMap::new();
    for (id, row) in &rows {
        translated.insert(*id, frames(*id, row, place)?);
    }
    Ok(Disk::of(translated))
}

fn frames(id: Id, row: &Row<'_>, place: impl Fn(Id, u64) -> Place) -> Result<Frames, String> {
    let opening = match row.frames.first() {
        Some((FIRST_FRAME, _, header, body)) if header.kind == FrameKind::Opening => {
            Some(Opening::decode(body).map_err(|error| format!("an opening: {error}"))?)
        }
        _ => None,
    };
    // Without an opening nobody looks at the numbers of entries.
    let base = opening.as_ref().map_or(1, |opening| opening.base.get());
    let mut frames = Frames::new();
    for (offset, number, header, body) in &row.frames {
        let claim = header.proves(*offset).map(|offset| place(id, offset).at);
        let frame = match (header.kind, &opening) {
            (FrameKind::Opening, Some(Opening { predecessor, durable, .. })) => Frame::Opening {
                // The model knows no trims: the log begins with the entry 1, and no walk goes below it.
                predecessor: predecessor
                    .filter(|_| base > 1)
                    .map(|before| place(before.segment.0, before.end)),
                durable: place(durable.segment.0, durable.offset),
            },
            (FrameKind::Entries, _) if header.count == 1 => {
                let value = body.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                Frame::Entry { lsn: base + u64::from(header.lsn_delta), value, claim }
            }
            (FrameKind::Seal, _) => {
                let seal = Seal::decode(body).map_err(|error| format!("a seal: {error}"))?;
                Frame::Seal { next: seal.successor.0, claim }
            }
            (kind, _) => return Err(format!("the model knows no frame like {kind:?}")),
        };
        frames.insert(*number, frame);
    }
    Ok(frames)
}
