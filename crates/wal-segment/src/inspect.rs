//! What a segment file is, from its first frames: read at open for every segment, never scanned for that.

use std::{io, ops::Range};

use snafu::ResultExt;
use wal_format::{
    DecodeError, FIRST_FRAME, FRAME_HEADER_LEN, FileName, FrameFault, FrameHeader, Item, METADATA_LEN_MAX,
    Opening, Parsed, Predecessor, SEGMENT_HEADER_LEN, Scanner, SegmentHeader, SegmentId, Verdict,
    parse_frame,
};

use crate::{
    Directory, StorageFile,
    error::{BodySnafu, IoSnafu, SegmentError},
};

/// Recovery reads in pieces of this size.
const SCAN_LEN: usize = 256 << 10;
/// Header and opening are read with one read of this size unless the metadata is larger.
const INSPECT_LEN: usize = 4096;

/// What lies behind so many holes is read.
const HOLES_MAX: usize = 64;

/// Longer than any opening frame.
const OPENING_LEN_MAX: u64 = METADATA_LEN_MAX as u64 + 4096;

/// A segment file with a valid header.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The header.
    pub header: SegmentHeader,
    /// The opening frame; `None` when the first frame is not valid: the file was prepared and not used, or its opening
    /// was lost.
    pub opening: Option<Opening>,
    /// Length of the opening frame in bytes; zero without one.
    pub opening_len: u64,
    /// Its path, for messages.
    pub path: String,
}

/// Reads the header and the opening frame of a segment, by copying reads.
///
/// # Errors
///
/// [`SegmentError::Io`] when it cannot be read; [`SegmentError::Header`], [`Misnamed`](SegmentError::Misnamed) or
/// [`Unsupported`](SegmentError::Unsupported) when it is not a segment that this build can read.
pub fn inspect(directory: &Directory, id: SegmentId) -> Result<Inspected, SegmentError> {
    if let Some(known) = directory.known(id) {
        return Ok(known);
    }
    let name = FileName::Segment(id);
    let path = directory.path(name);
    if let Some(inspected) = directory.head(name).and_then(|head| from_head(&head, id, &path)) {
        directory.remember(&inspected);
        return Ok(inspected);
    }
    let file = directory.open(name)?;
    let start =
        read(&*file, 0, INSPECT_LEN).with_context(|_| IoSnafu { operation: "read", path: path.clone() })?;
    let header = SegmentHeader::decode(&start).map_err(|source| SegmentError::header(&path, source))?;
    if header.segment != id {
        return Err(SegmentError::Misnamed { path, found: header.segment });
    }
    let (opening, opening_len) = match opening(&*file, &header, &start, &path)? {
        Some((opening, len)) => (Some(opening), len),
        None => (None, 0),
    };
    let inspected = Inspected { header, opening, opening_len, path };
    directory.remember(&inspected);
    Ok(inspected)
}

/// What a beginning that was read ahead says; `None` where it is not enough or not right, and the file has to be read.
fn from_head(head: &[u8], id: SegmentId, path: &str) -> Option<Inspected> {
    let header = SegmentHeader::decode(head).ok().filter(|header| header.segment == id)?;
    let Parsed::Frame(frame, body) = parse_frame(head.get(SEGMENT_HEADER_LEN..)?, header.key(), FIRST_FRAME)
    else {
        return None;
    };
    let opening = Opening::decode(body).ok()?;
    Some(Inspected { header, opening: Some(opening), opening_len: frame.frame_len(), path: path.to_owned() })
}

fn opening(
    file: &dyn StorageFile,
    header: &SegmentHeader,
    start: &[u8],
    path: &str,
) -> Result<Option<(Opening, u64)>, SegmentError> {
    let window = start.get(SEGMENT_HEADER_LEN..).unwrap_or(&[]);
    let longer;
    let parsed = match parse_frame(window, header.key(), FIRST_FRAME) {
        Parsed::More(needed) if needed > window.len() as u64 && needed <= OPENING_LEN_MAX => {
            longer = read(file, FIRST_FRAME, needed as usize)
                .with_context(|_| IoSnafu { operation: "read", path })?;
            parse_frame(&longer, header.key(), FIRST_FRAME)
        }
        parsed => parsed,
    };
    match parsed {
        Parsed::Frame(frame, body) => {
            let opening = Opening::decode(body).with_context(|_| BodySnafu { path, offset: FIRST_FRAME })?;
            Ok(Some((opening, frame.frame_len())))
        }
        Parsed::More(_) | Parsed::Fault(_) => Ok(None),
    }
}

/// Scans a segment from its start by copying reads and hands every item to `each`.
///
/// # Errors
///
/// [`SegmentError::Io`]; [`SegmentError::Header`] or [`Unsupported`](SegmentError::Unsupported) when a frame asks for
/// another build; whatever `each` returns.
pub fn scan(
    file: &dyn StorageFile,
    path: &str,
    each: impl FnMut(&Item<'_>) -> Result<(), SegmentError>,
) -> Result<Verdict, SegmentError> {
    scan_by(file, path, Scanner::next, each)
}

/// [`scan`] that hands out only what [`Scanner::next_notable`] does: no frames of single plain entries.
///
/// # Errors
///
/// Those of [`scan`].
pub fn scan_notable(
    file: &dyn StorageFile,
    path: &str,
    each: impl FnMut(&Item<'_>) -> Result<(), SegmentError>,
) -> Result<Verdict, SegmentError> {
    scan_by(file, path, Scanner::next_notable, each)
}

type Next = for<'a> fn(&'a mut Scanner) -> Result<Option<Item<'a>>, DecodeError>;

fn scan_by(
    file: &dyn StorageFile,
    path: &str,
    next: Next,
    mut each: impl FnMut(&Item<'_>) -> Result<(), SegmentError>,
) -> Result<Verdict, SegmentError> {
    let mut scanner = Scanner::new();
    // Before anything is read: what is read ahead is no hole any more.
    let holes = holes(file).with_context(|_| IoSnafu { operation: "read", path })?;
    let mut offset = 0;
    loop {
        let hole = holes.iter().find(|hole| hole.contains(&offset));
        offset += scanner.pass_zeros(hole.map_or(0, |hole| hole.end - offset));
        let len = scanner
            .feed_with(SCAN_LEN, |room| file.read_at(offset, room))
            .with_context(|_| IoSnafu { operation: "read", path })?;
        if len == 0 {
            scanner.end();
        } else {
            offset += len as u64;
        }
        while let Some(item) =
            next(&mut scanner).map_err(|source: DecodeError| SegmentError::header(path, source))?
        {
            each(&item)?;
        }
        if len == 0 {
            return Ok(*scanner.verdict());
        }
    }
}

/// Reads on behind the end that a scan found, up to the first place where no frame stands now: what lies beyond is not
/// looked at further than it happens to be read. `None` where the scan found no frame at all.
///
/// # Errors
///
/// Those of [`scan`].
pub fn scan_on(
    file: &dyn StorageFile,
    of: &Inspected,
    from: &Verdict,
    mut each: impl FnMut(&Item<'_>) -> Result<(), SegmentError>,
) -> Result<Option<Verdict>, SegmentError> {
    let resumed = of.opening.as_ref().and_then(|opening| Scanner::resume(&of.header, opening, from));
    let Some(mut scanner) = resumed else { return Ok(None) };
    // Mostly there is little.
    let (mut offset, mut len) = (from.end, INSPECT_LEN);
    while !scanner.found_end() {
        let read = scanner
            .feed_with(len, |room| file.read_at(offset, room))
            .with_context(|_| IoSnafu { operation: "read", path: of.path.clone() })?;
        if read == 0 {
            scanner.end();
        }
        (offset, len) = (offset + read as u64, SCAN_LEN);
        while let Some(item) =
            scanner.next_notable().map_err(|source| SegmentError::header(&of.path, source))?
        {
            each(&item)?;
        }
    }
    Ok(Some(*scanner.verdict()))
}

/// Space that was never written to, which most of a newest segment is, unless it was filled with zeros: a scan that
/// only looks whether anything follows passes over it.
fn holes(file: &dyn StorageFile) -> io::Result<Vec<Range<u64>>> {
    let (mut holes, mut at) = (Vec::new(), 0);
    while holes.len() < HOLES_MAX {
        let data = file.next_data(at)?;
        if at < data.start {
            holes.push(at..data.start);
        }
        if data.is_empty() || data.end == u64::MAX {
            break;
        }
        at = data.end;
    }
    Ok(holes)
}

/// Checks that the frame a successor names as the last of this segment is there: its header must verify, and carry the
/// checksum and be of the length that the successor remembers. One read of `file`, which is the segment's.
///
/// # Errors
///
/// [`SegmentError::Io`]; [`SegmentError::Frame`] when it is not there.
pub fn check_last_frame(
    file: &dyn StorageFile,
    of: &Inspected,
    offset: u64,
    named: &Predecessor,
) -> Result<FrameHeader, SegmentError> {
    let bytes = read(file, offset, FRAME_HEADER_LEN)
        .with_context(|_| IoSnafu { operation: "read", path: of.path.clone() })?;
    let fault = |source| SegmentError::Frame { path: of.path.clone(), offset, source };
    let bytes = bytes.first_chunk::<FRAME_HEADER_LEN>().ok_or_else(|| fault(FrameFault::End))?;
    let header = FrameHeader::decode(bytes, of.header.key(), offset).map_err(fault)?;
    let is_named = bytes.first_chunk::<4>() == Some(&named.last_header_crc.to_le_bytes());
    if !is_named || header.units() != named.last_units {
        return Err(fault(FrameFault::OutOfOrder { what: "its successor remembers another frame here" }));
    }
    Ok(header)
}

fn read(file: &dyn StorageFile, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = file.read_at(offset, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}
