//! What is known of the file system that a file is on.

use std::{fs::File, io, ops::Range};

/// Whether it is ext4, XFS or tmpfs, of which two things are known. Writing to a page that has its place on the disk
/// needs no other one: where it does, a page that was written back may be refused when it is touched again, with a
/// signal. And what was written counts as data from then on: on ZFS it has counted as a hole until it was on the disk.
#[cfg(target_os = "linux")]
pub(super) fn is_plain(file: &File) -> bool {
    const EXT: i128 = 0xef53;
    const XFS: i128 = 0x5846_5342;
    const TMPFS: i128 = 0x0102_1994;
    // Its type is the system's choice.
    let kind = rustix::fs::fstatfs(file).map(|found| i128::from(found.f_type));
    matches!(kind, Ok(EXT | XFS | TMPFS))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_plain(_: &File) -> bool {
    false
}

/// The first bytes at or behind `offset` that may be other than zeros: those that have space which was written to, or
/// wait to be written.
#[cfg(target_os = "linux")]
pub(super) fn next_data(file: &File, offset: u64) -> io::Result<Range<u64>> {
    use rustix::{
        fs::{SeekFrom, seek},
        io::Errno,
    };
    // The length first: what another process appends after this is not missed.
    let len = file.metadata()?.len();
    if offset >= len {
        return Ok(offset..offset);
    }
    let unknown = Ok(offset..u64::MAX);
    if !is_plain(file) {
        return unknown;
    }
    // The position of the descriptor moves, which nobody uses.
    let start = match seek(file, SeekFrom::Data(offset)) {
        Ok(start) => start.max(offset),
        Err(Errno::NXIO) => return Ok(len..len),
        Err(_) => return unknown,
    };
    // What cannot be told ends nowhere.
    Ok(start..seek(file, SeekFrom::Hole(start)).map_or(u64::MAX, |end| end.max(start)))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn next_data(_: &File, offset: u64) -> io::Result<Range<u64>> {
    Ok(offset..u64::MAX)
}
