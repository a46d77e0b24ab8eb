//! One file of a local directory.

use std::{fs::File, io, ops::Range, path::Path};

use bytes::Bytes;

use super::{
    ReadMode, file_system,
    mmap::{self, Access, MappedFile, Refusal},
};
use crate::StorageFile;

/// How many zeros one write carries where space cannot be reserved otherwise.
const ZEROS_LEN: usize = 64 * 1024;

/// Before so much memory is taken for what is to be read, the file is asked whether it is there.
const TRUSTED_LEN: u64 = 1 << 20;

/// A file of a [`LocalStorage`](super::LocalStorage).
#[derive(Debug)]
pub(super) struct LocalFile {
    mapped: MappedFile,
    read_mode: ReadMode,
    /// Where the file was when it was opened, for messages only.
    path: Box<Path>,
}

impl LocalFile {
    pub(super) fn new(file: File, access: Access, read_mode: ReadMode, path: &Path) -> Self {
        Self { mapped: MappedFile::new(file, access), read_mode, path: path.into() }
    }

    /// The same file, where bytes may be stored.
    pub(super) fn with_stores(self) -> Self {
        Self { mapped: self.mapped.with_stores(), ..self }
    }

    /// The file, to change the bytes of `range`.
    fn file_to_change(&self, range: Range<u64>) -> io::Result<&File> {
        self.mapped.file_to_change(range.start).map_err(|refusal| {
            let path = self.path.display();
            match refusal {
                Refusal::ReadOnly => io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!("{path} was opened for reading only"),
                ),
                Refusal::Frozen(end) => io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("{path}: bytes {}..{} touch the frozen bytes 0..{end}", range.start, range.end),
                ),
            }
        })
    }

    fn copy(&self, range: Range<u64>) -> io::Result<Bytes> {
        let len = range.end.saturating_sub(range.start);
        // A damaged offset must not become an allocation of its size.
        if len > TRUSTED_LEN && range.end > self.len()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut bytes = vec![0; len];
        if self.read_at(range.start, &mut bytes)? < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes.into())
    }
}

impl StorageFile for LocalFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.mapped.file().metadata()?.len())
    }

    #[cfg(unix)]
    fn space(&self) -> io::Result<u64> {
        use std::os::unix::fs::MetadataExt;
        let metadata = self.mapped.file().metadata()?;
        Ok(metadata.len().min(metadata.blocks().saturating_mul(512)))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        // No file reaches beyond what a signed offset counts; the system would call such an offset invalid.
        while let Some(at) = offset.checked_add(done as u64).filter(|at| i64::try_from(*at).is_ok())
            && done < buf.len()
        {
            match read_some(self.mapped.file(), &mut buf[done..], at) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn next_data(&self, offset: u64) -> io::Result<Range<u64>> {
        file_system::next_data(self.mapped.file(), offset)
    }

    fn view(&self, range: Range<u64>) -> io::Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if self.read_mode == ReadMode::Mmap {
            if let Some(bytes) = self.mapped.kept(&range) {
                return Ok(bytes);
            }
            if let Some(bytes) = self.mapped.view(range.clone())? {
                return Ok(bytes);
            }
        }
        self.copy(range)
    }

    fn prefix(&self, end: u64) -> Option<&[u8]> {
        if self.read_mode == ReadMode::Mmap { self.mapped.lend(end) } else { None }
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(data.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        write_all(self.file_to_change(offset..end)?, data, offset)
    }

    fn store(&self, offset: u64, data: &[u8]) -> bool {
        self.mapped.store(offset, data)
    }

    fn warm(&self, end: u64) {
        self.mapped.warm(end);
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let present = self.len()?;
        // Reserving changes no byte that is there; it needs the right to write all the same.
        let file = self.file_to_change(u64::MAX..u64::MAX)?;
        if i64::try_from(len).is_err() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if len == 0 || allocate(file, len)? {
            return Ok(());
        }
        write_zeros(file, present..len)
    }

    fn freeze(&self, end: u64) {
        self.mapped.freeze(end);
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        let file = self.file_to_change(range.clone())?;
        if range.is_empty() { Ok(()) } else { punch(file, range) }
    }

    fn write_back(&self, range: Range<u64>) -> io::Result<bool> {
        mmap::write_back(self.mapped.file(), range)
    }

    fn sync(&self) -> io::Result<()> {
        // `fdatasync` carries the length too when bytes behind the old one were written. On macOS std asks for
        // F_FULLFSYNC in both calls.
        if cfg!(unix) { self.mapped.file().sync_data() } else { self.mapped.file().sync_all() }
    }
}

#[cfg(unix)]
fn read_some(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
fn read_some(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    if buf.is_empty() {
        Ok(0)
    } else {
        end_is_zero(std::os::windows::fs::FileExt::seek_read(file, buf, offset))
    }
}

/// Windows may call the end of the file an error.
#[cfg(windows)]
fn end_is_zero(read: io::Result<usize>) -> io::Result<usize> {
    read.or_else(|error| if error.kind() == io::ErrorKind::UnexpectedEof { Ok(0) } else { Err(error) })
}

/// Not by the standard library: where that calls the C library, each write would be a point where threads may be
/// cancelled, which costs a tenth of a small one.
#[cfg(unix)]
fn write_some(file: &File, data: &[u8], offset: u64) -> io::Result<usize> {
    Ok(rustix::io::pwrite(file, data, offset)?)
}

#[cfg(windows)]
fn write_some(file: &File, data: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, data, offset)
}

fn write_all(file: &File, mut data: &[u8], mut offset: u64) -> io::Result<()> {
    while !data.is_empty() {
        match write_some(file, data, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                data = &data[n..];
                offset += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write_zeros(file: &File, range: Range<u64>) -> io::Result<()> {
    let zeros = [0; ZEROS_LEN];
    let mut at = range.start;
    while at < range.end {
        let n = usize::try_from(range.end - at).map_or(ZEROS_LEN, |left| left.min(ZEROS_LEN));
        write_all(file, &zeros[..n], at)?;
        at += n as u64;
    }
    Ok(())
}

/// Allocates the first `len` bytes, growing the file; `false` where the file system cannot.
#[cfg(target_os = "linux")]
fn allocate(file: &File, len: u64) -> io::Result<bool> {
    use rustix::{
        fs::{FallocateFlags, fallocate},
        io::{Errno, retry_on_intr},
    };
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, len)) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(_: &File, _: u64) -> io::Result<bool> {
    Ok(false)
}

#[cfg(target_os = "linux")]
fn punch(file: &File, range: Range<u64>) -> io::Result<()> {
    use rustix::{
        fs::{FallocateFlags, fallocate},
        io::{Errno, retry_on_intr},
    };
    let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match retry_on_intr(|| fallocate(file, mode, range.start, range.end - range.start)) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn punch(_: &File, _: Range<u64>) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_that_cannot_be_reserved_is_filled_with_zeros() {
        let file = tempfile::tempfile().unwrap();
        write_all(&file, b"data", 0).unwrap();
        for len in [4, 5, ZEROS_LEN as u64, 3 * ZEROS_LEN as u64 + 7, 10] {
            write_zeros(&file, file.metadata().unwrap().len()..len).unwrap();
            assert!(file.metadata().unwrap().len() >= len);
        }
        let mut content = vec![1; 3 * ZEROS_LEN + 7];
        assert_eq!(read_some(&file, &mut content, 0).unwrap(), content.len());
        assert_eq!(&content[..4], b"data");
        assert!(content[4..].iter().all(|&b| b == 0));
    }
}
