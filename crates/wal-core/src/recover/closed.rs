//! A log that was closed cleanly need not be scanned: its sidecar leads to the close, which proves what precedes it and
//! carries the state.

use wal_format::{
    Close, CloseState, FRAME_HEADER_LEN, FileName, FrameFault, FrameKind, LastFrame, Lsn, Parsed, Verdict,
    parse_frame,
};
use wal_segment::{Directory, Inspected, StorageFile};

use crate::open::SUPERSEDE_LEN;

/// The end of the newest segment and the state there, if a close is found where its sidecar says, with its state, and
/// nothing behind it. Whatever is not as it should be, errors of reading included, is left to the scan.
pub(super) fn find(directory: &Directory, newest: &Inspected) -> Option<(Verdict, CloseState)> {
    let base = newest.opening.as_ref()?.base;
    let file = directory.open(FileName::Segment(newest.header.segment)).ok()?;
    let index = directory.read_index(&newest.header, file.len().ok()?)?;
    // What the next segment will carry over must be read anyway, and damage in it be found before it is relied on.
    if index.end <= SUPERSEDE_LEN {
        return None;
    }
    if index.base != base || index.end <= index.last_frame {
        return None;
    }
    let len = (index.end - index.last_frame).checked_add(FRAME_HEADER_LEN as u64)?;
    let bytes = read(&*file, index.last_frame, len)?;
    let Parsed::Frame(header, body) = parse_frame(&bytes, newest.header.key(), index.last_frame) else {
        return None;
    };
    let behind = bytes.get(usize::try_from(header.frame_len()).ok()?..)?;
    let proves_rest =
        header.kind == FrameKind::Close && header.proves(index.last_frame) == Some(index.last_frame);
    if !proves_rest
        || index.last_frame + header.frame_len() != index.end
        || behind.iter().any(|byte| *byte != 0)
    {
        return None;
    }
    let close = Close::decode(body).ok()?;
    let next = base.plus(u64::from(header.lsn_delta));
    let verdict = Verdict {
        end: index.end,
        fault: FrameFault::Empty,
        next: Some(next).filter(|next: &Lsn| *next == close.next),
        last: Some(LastFrame {
            offset: index.last_frame,
            units: header.units(),
            header_crc: bytes.first_chunk::<4>().map(|crc| u32::from_le_bytes(*crc))?,
            kind: header.kind,
            time: header.time,
        }),
        proven: index.last_frame,
        dirty: false,
        dirty_end: 0,
        beyond: None,
        resumes_at: None,
    };
    verdict.next?;
    Some((verdict, close.state?))
}

/// A close with its state is at most about a megabyte long; a sidecar that says otherwise is not believed.
fn read(file: &dyn StorageFile, offset: u64, len: u64) -> Option<Vec<u8>> {
    let len = usize::try_from(len).ok().filter(|len| *len <= wal_format::METADATA_LEN_MAX + 4096)?;
    let mut bytes = vec![0; len];
    let read = file.read_at(offset, &mut bytes).ok()?;
    bytes.truncate(read);
    Some(bytes)
}
