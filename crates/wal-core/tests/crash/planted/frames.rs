//! The frames among the bytes of a file, seen and changed.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

use wal_format::{
    FIRST_FRAME, FRAME_HEADER_LEN, FrameHeader, FrameKind, Lsn, Opening, SegmentHeader, SegmentKey, Trim,
};

thread_local! {
    /// The salts of all files that were ever made.
    static SALTS: RefCell<BTreeSet<u64>> = const { RefCell::new(BTreeSet::new()) };
}

/// The header of a file, if these bytes at its start are one.
pub(super) fn header(offset: u64, bytes: &[u8]) -> Option<SegmentHeader> {
    let header = SegmentHeader::decode(bytes).ok().filter(|_| offset == 0)?;
    SALTS.with_borrow_mut(|salts| salts.insert(header.salt));
    Some(header)
}

fn frame_at(bytes: &[u8], at: usize, key: SegmentKey, offset: u64) -> Option<FrameHeader> {
    let head = bytes.get(at..)?.first_chunk::<FRAME_HEADER_LEN>()?;
    let header = FrameHeader::decode(head, key, offset + at as u64).ok()?;
    (at + header.frame_len() as usize <= bytes.len()).then_some(header)
}

fn body(at: usize, header: &FrameHeader) -> std::ops::Range<usize> {
    at + FRAME_HEADER_LEN..at + FRAME_HEADER_LEN + header.body_len as usize
}

/// The frames that stand one after the other in `bytes`, which stand at `offset`.
pub(super) fn frames(bytes: &[u8], key: SegmentKey, offset: u64) -> Vec<(usize, FrameHeader)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(header) = frame_at(bytes, at, key, offset) {
        found.push((at, header));
        at += header.frame_len() as usize;
    }
    found
}

/// Writes a frame's header anew, with a checksum that fits; remembers what the old one became.
fn seal(
    bytes: &mut [u8],
    at: usize,
    header: &FrameHeader,
    place: (SegmentKey, u64),
    crcs: &mut HashMap<u32, u32>,
) {
    let crc = |bytes: &[u8]| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let before = crc(bytes);
    let header = FrameHeader { body_crc: place.0.checksum.of(&bytes[body(at, header)]), ..*header };
    bytes[at..at + FRAME_HEADER_LEN].copy_from_slice(&header.encode(place.0, place.1 + at as u64));
    crcs.insert(before, crc(bytes));
}

/// The same frames; those that `claims` picks by their places claim that everything before them was synced. Openings
/// name their predecessors' new last frames.
pub(super) fn claiming(
    bytes: &[u8],
    key: SegmentKey,
    offset: u64,
    crcs: &mut HashMap<u32, u32>,
    claims: impl Fn(usize) -> bool,
) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for (at, header) in frames(bytes, key, offset) {
        let header = if header.kind == FrameKind::Opening {
            change_opening(&mut changed[body(at, &header)], |opening| {
                if let Some(predecessor) = &mut opening.predecessor {
                    let crc = predecessor.last_header_crc;
                    predecessor.last_header_crc = crcs.get(&crc).copied().unwrap_or(crc);
                }
            });
            header
        } else if claims(at) {
            FrameHeader { proof_lag: Some(0), ..header }
        } else {
            header
        };
        seal(&mut changed, at, &header, (key, offset), crcs);
    }
    changed
}

/// The base of a segment that was opened.
pub(super) fn base(bytes: &[u8]) -> Option<Lsn> {
    let key = header(0, bytes)?.key();
    let at = FIRST_FRAME as usize;
    let frame = frame_at(bytes, at, key, 0)?;
    Opening::decode(&bytes[body(at, &frame)]).ok().map(|opening| opening.base)
}

/// What the last trim among these frames trims to.
pub(super) fn trims_to(bytes: &[u8], key: SegmentKey, offset: u64) -> Option<Lsn> {
    let frames = frames(bytes, key, offset);
    let (at, frame) = frames.into_iter().rfind(|(_, frame)| frame.kind == FrameKind::Trim)?;
    Trim::decode(&bytes[body(at, &frame)]).ok().map(|trim| trim.first_retained)
}

/// The same frames, with the trims among them changed. A frame that follows one was stamped after its own place was
/// known, so nothing else changes.
pub(super) fn trimming(bytes: &[u8], key: SegmentKey, offset: u64, further: impl Fn(Lsn) -> Lsn) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for (at, header) in frames(bytes, key, offset) {
        if header.kind == FrameKind::Trim
            && let Ok(trim) = Trim::decode(&bytes[body(at, &header)])
        {
            let trim = Trim { first_retained: further(trim.first_retained) };
            changed[body(at, &header)].copy_from_slice(&trim.encode());
            seal(&mut changed, at, &header, (key, offset), &mut HashMap::new());
        }
    }
    changed
}

fn change_opening(body: &mut [u8], change: impl FnOnce(&mut Opening)) {
    let mut opening = Opening::decode(body).unwrap();
    change(&mut opening);
    let mut bytes = Vec::new();
    opening.encode(&mut bytes).unwrap();
    body.copy_from_slice(&bytes);
}

/// A file as a reader sees it that believes any body.
pub(super) fn with_any_body(mut bytes: Vec<u8>, key: SegmentKey) -> Vec<u8> {
    let mut at = FIRST_FRAME as usize;
    while let Some(header) = frame_at(&bytes, at, key, 0) {
        if key.checksum.of(&bytes[body(at, &header)]) != header.body_crc {
            seal(&mut bytes, at, &header, (key, 0), &mut HashMap::new());
        }
        at += header.frame_len() as usize;
    }
    bytes
}

/// A file as a reader sees it that believes the frames of any file.
pub(super) fn with_any_salt(mut bytes: Vec<u8>, key: SegmentKey) -> Vec<u8> {
    let salts = SALTS.with_borrow(Clone::clone);
    let mut at = FIRST_FRAME as usize;
    loop {
        let foreign = || {
            let keys = salts.iter().map(|salt| SegmentKey { salt: *salt, ..key });
            keys.into_iter().find_map(|other| frame_at(&bytes, at, other, 0))
        };
        let header = match frame_at(&bytes, at, key, 0) {
            Some(header) => header,
            None => {
                let Some(header) = foreign() else { return bytes };
                if key.checksum.of(&bytes[body(at, &header)]) != header.body_crc {
                    return bytes;
                }
                seal(&mut bytes, at, &header, (key, 0), &mut HashMap::new());
                header
            }
        };
        at += header.frame_len() as usize;
    }
}
