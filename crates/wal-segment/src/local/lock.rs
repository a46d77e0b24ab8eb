//! The lock file that keeps a second writer out of a local directory.
#![expect(clippy::disallowed_methods, reason = "this file is where the lock meets the file system")]

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::Path,
};

use crate::WriterLock;

/// The one name in the directory that is not a segment's.
pub(super) const FILE_NAME: &str = "LOCK";

/// Locks `dir` against every other writer, in this process or another, until the guard is dropped or the process ends.
///
/// The file stays when the lock is given up: who removed it could remove one that the next writer already holds.
pub(super) fn acquire(dir: &Path, mode: u32) -> io::Result<WriterLock> {
    Ok(WriterLock { epoch: None, guard: Box::new(take(dir, mode)?) })
}

/// The locked file.
#[derive(Debug)]
struct Held {
    file: File,
    process: u32,
}

impl Drop for Held {
    /// Closing alone is not enough: a process that was just forked by another thread has the file open, too, until it
    /// executes its program, and the lock with it. Such a process must not give up a lock that is not its own.
    fn drop(&mut self) {
        if self.process == std::process::id() {
            let _ = self.file.unlock();
        }
    }
}

fn take(dir: &Path, mode: u32) -> io::Result<Held> {
    let path = dir.join(FILE_NAME);
    let mut how = OpenOptions::new();
    how.read(true).write(true).create(true).truncate(false);
    super::never_follow_nor_wait(&mut how);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut how, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = how.open(&path)?;
    match file.try_lock() {
        Ok(()) => {
            // For whoever wonders who holds it; a full disk is no reason to go without a writer.
            let _ = write_holder(&mut file);
            Ok(Held { file, process: std::process::id() })
        }
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            format!("{} is locked by {}", path.display(), holder(file)),
        )),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    let line = format!("{}\n", std::process::id());
    file.write_all(line.as_bytes())?;
    // Only now: emptied first, the file would give its block back and ask for one again.
    file.set_len(line.len() as u64)
}

/// Names the holder as well as the file tells; it may be empty for the moment between locking and writing.
fn holder(file: File) -> String {
    let mut text = String::new();
    match file.take(32).read_to_string(&mut text) {
        Ok(_) => match text.lines().next() {
            Some(process) if !process.trim().is_empty() => format!("process {}", process.trim()),
            _ => "another writer".to_owned(),
        },
        Err(_) => "another writer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_process_inherits_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let held = take(dir.path(), 0o600).unwrap();
        let inherited = held.file.try_clone().unwrap();
        assert_eq!(take(dir.path(), 0o600).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        let mut again = take(dir.path(), 0o600).unwrap();
        // As in a child that ends: the parent keeps what is the parent's.
        again.process = 0;
        let parents = again.file.try_clone().unwrap();
        drop(again);
        assert_eq!(take(dir.path(), 0o600).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop((parents, inherited));
        take(dir.path(), 0o600).unwrap();
    }
}
