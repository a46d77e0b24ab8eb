//! A log in a directory of the local file system.
#![expect(clippy::disallowed_methods, reason = "this file is where Storage meets the file system")]

mod file;
mod file_system;
mod lock;
mod mmap;
mod striped;
mod whole;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    path::{Path, PathBuf, absolute},
    sync::Arc,
};

pub use mmap::fetch;
pub use whole::WholeDirectory;

use self::{file::LocalFile, mmap::Access};
use crate::{Capabilities, Storage, StorageFile, WriterLock, name::check_plain};

/// How [`StorageFile::view`] gets at the bytes of a local file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadMode {
    /// Final bytes are slices of a memory mapping: no copy, no system call.
    ///
    /// Whoever chooses it knows that no other program rewrites or shortens the files of this directory while they are
    /// read (removing and renaming them is harmless), and that a medium which fails under a mapping ends the process
    /// with `SIGBUS` instead of an error.
    #[default]
    Mmap,
    /// Every view is a copy, and a failing medium is an [`io::Error`].
    Pread,
}

/// How bytes get to the operating system that need not be durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteMode {
    /// By a system call, which tells of a medium that fails.
    #[default]
    Pwrite,
    /// Where they are to be with the operating system at once, they are stored in the pages of the file, through a
    /// memory mapping: two to three times as fast for small entries, and as safe when the process ends, however it
    /// does.
    ///
    /// Whoever chooses it knows that a page which cannot be had any more ends the process with `SIGBUS` instead of an
    /// error: the medium fails when it has to be read again, the file system has shut down, or has to find another
    /// place for it and cannot (XFS, when the file shares its blocks with a copy). A program that writes through a
    /// wild pointer may write into what is not durable yet. A part of a file is asked for before it is used, and what
    /// is refused then is written by system calls, with their errors. So is everything on file systems other than
    /// ext4, XFS and tmpfs, before Linux 5.14, and on other systems; and so are entries of more than about 2 KiB,
    /// appends with a deadline or an expected LSN, and packs.
    Mmap,
}

/// Settings of a [`LocalStorage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalOptions {
    /// How files are read. Default: [`ReadMode::Mmap`].
    pub read_mode: ReadMode,
    /// How they are written. Default: [`WriteMode::Pwrite`].
    pub write_mode: WriteMode,
    /// Permission bits of new files, less the process's umask. Default: `0o600`. No effect outside Unix.
    pub file_mode: u32,
    /// Permission bits of directories that [`LocalStorage::create`] makes, less the process's umask. Default: `0o700`.
    /// No effect outside Unix.
    pub dir_mode: u32,
}

impl Default for LocalOptions {
    fn default() -> Self {
        let (read_mode, write_mode) = (ReadMode::default(), WriteMode::default());
        Self { read_mode, write_mode, file_mode: 0o600, dir_mode: 0o700 }
    }
}

/// A directory whose regular files are the segments. One file in it, `LOCK`, is its own and never listed.
#[derive(Debug)]
pub struct LocalStorage {
    dir: PathBuf,
    /// Held from the start, because syncing names must not begin to fail for want of a file descriptor.
    #[cfg(unix)]
    handle: File,
    options: LocalOptions,
    /// What is to be with the operating system is stored where it has it.
    stores: bool,
}

impl LocalStorage {
    /// Opens an existing directory. Nothing is written.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none, `NotADirectory` when something else has the name; errors of the file system.
    pub fn open(dir: impl AsRef<Path>, options: LocalOptions) -> io::Result<Self> {
        // Absolute, so that a process which changes its working directory does not change its log.
        let dir = absolute(dir)?;
        if !fs::metadata(&dir)?.is_dir() {
            return Err(not_a_directory(&dir));
        }
        #[cfg(unix)]
        let handle = File::open(&dir)?;
        #[cfg(unix)]
        let stores = options.write_mode == WriteMode::Mmap && file_system::is_plain(&handle);
        #[cfg(not(unix))]
        let stores = false;
        Ok(Self {
            #[cfg(unix)]
            handle,
            dir,
            options,
            stores,
        })
    }

    /// Opens a directory and first creates it, durably, with the parents that are missing.
    ///
    /// # Errors
    ///
    /// `NotADirectory` when something else has the name, of the directory or of a parent; errors of the file system.
    pub fn create(dir: impl AsRef<Path>, options: LocalOptions) -> io::Result<Self> {
        create_dir_durable(&absolute(dir.as_ref())?, options.dir_mode)?;
        Self::open(dir, options)
    }

    /// Files are created by path. In a directory that has taken the place of ours their names would not be synced, and
    /// nobody would be locked out. Where there is none, nothing was created.
    #[cfg(unix)]
    fn check_place(&self) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        let Ok(found) = fs::metadata(&self.dir) else { return Ok(()) };
        let ours = self.handle.metadata()?;
        if (found.dev(), found.ino()) == (ours.dev(), ours.ino()) {
            return Ok(());
        }
        Err(io::Error::other(format!("{} has been replaced by another directory", self.dir.display())))
    }

    /// Where `name` is, if it may name a segment at all.
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        check_plain(name)?;
        if name == lock::FILE_NAME {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name} is the lock's own file"),
            ));
        }
        Ok(self.dir.join(name))
    }
}

impl Storage for LocalStorage {
    fn location(&self) -> String {
        self.dir.display().to_string()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { stores: self.stores, ..Capabilities::FILE_SYSTEM }
    }

    fn lock(&self) -> io::Result<WriterLock> {
        lock::acquire(&self.dir, self.options.file_mode)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // The type of the entry itself: a symbolic link is not followed.
            let is_file = match entry.file_type() {
                Ok(kind) => kind.is_file(),
                // Removed by another process since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => return Err(error),
            };
            if is_file
                && let Ok(name) = entry.file_name().into_string()
                && name != lock::FILE_NAME
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let path = self.path(name)?;
        let mut how = OpenOptions::new();
        how.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut how, self.options.file_mode);
        let file = LocalFile::new(how.open(&path)?, Access::Write, self.options.read_mode, &path);
        Ok(Arc::new(if self.stores { file.with_stores() } else { file }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let path = self.path(name)?;
        let mut how = OpenOptions::new();
        how.read(true);
        never_follow_nor_wait(&mut how);
        let file = how.open(&path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} is not a regular file", path.display()),
            ));
        }
        Ok(Arc::new(LocalFile::new(file, Access::Read, self.options.read_mode, &path)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        rename_to_free_name(&self.path(from)?, &self.path(to)?)
    }

    fn link(&self, from: &dyn Storage, name: &str) -> io::Result<()> {
        let source = from.local_path(name).ok_or(io::ErrorKind::Unsupported)?;
        if !fs::symlink_metadata(&source)?.is_file() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        fs::hard_link(source, self.path(name)?)
    }

    fn local_path(&self, name: &str) -> Option<PathBuf> {
        self.path(name).ok()
    }

    fn ship(&self, name: &str, content: bytes::Bytes) -> io::Result<()> {
        crate::ship::ship(self, name, &content)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name)?)
    }

    #[cfg(unix)]
    fn sync_names(&self) -> io::Result<()> {
        self.check_place()?;
        self.handle.sync_all()
    }

    /// Nothing to do outside Unix: a directory cannot be synced there, and the file system orders its own metadata.
    #[cfg(not(unix))]
    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Refuses a symbolic link under the name, and does not wait for the other end of a pipe.
fn never_follow_nor_wait(how: &mut OpenOptions) {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        std::os::unix::fs::OpenOptionsExt::custom_flags(how, flags.bits().cast_signed());
    }
    #[cfg(not(unix))]
    let _ = how;
}

fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::{
            fs::{CWD, RenameFlags, renameat_with},
            io::Errno,
        };
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // This file system or kernel cannot do it in one step.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            result => return Ok(result?),
        }
    }
    rename_in_two_steps(from, to)
}

/// Enough under the writer lock: nobody else creates names.
fn rename_in_two_steps(from: &Path, to: &Path) -> io::Result<()> {
    match fs::symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
        Err(error) => Err(error),
    }
}

/// Makes `dir` exist, durably, outermost parent first.
///
/// Each directory's entry is synced before the next one is created inside it. So whatever point an earlier attempt
/// reached, at most the innermost directory that exists can have an entry that is not durable, and it is synced again.
fn create_dir_durable(dir: &Path, mode: u32) -> io::Result<()> {
    match fs::metadata(dir) {
        Ok(found) if found.is_dir() => return sync_found_parent(dir),
        Ok(_) => return Err(not_a_directory(dir)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    if let Some(parent) = dir.parent() {
        create_dir_durable(parent, mode)?;
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
    #[cfg(not(unix))]
    let _ = mode;
    match builder.create(dir) {
        // Another process was faster; if what it made is no directory, opening it says so.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_parent(dir),
    }
}

/// Syncs the entry of a directory that was found. Its parent may belong to somebody who does not let us open it, or
/// may be a place without names to sync: then it was not us who created the directory there.
fn sync_found_parent(dir: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    match sync_parent(dir) {
        Err(error)
            if matches!(error.kind(), InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported) =>
        {
            Ok(())
        }
        result => result,
    }
}

fn sync_parent(dir: &Path) -> io::Result<()> {
    match dir.parent() {
        Some(parent) if cfg!(unix) => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

fn not_a_directory(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotADirectory, format!("{} is not a directory", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_in_two_steps_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| dir.path().join(name));
        fs::write(&a, "of a").unwrap();
        fs::write(&b, "of b").unwrap();
        let kind = |result: io::Result<()>| result.map_err(|error| error.kind());
        assert_eq!(kind(rename_in_two_steps(&a, &b)), Err(io::ErrorKind::AlreadyExists));
        assert_eq!(kind(rename_in_two_steps(&c, &dir.path().join("d"))), Err(io::ErrorKind::NotFound));
        assert_eq!(kind(rename_in_two_steps(&a, &c)), Ok(()));
        assert_eq!([fs::read(&b).unwrap(), fs::read(&c).unwrap()], [b"of b", b"of a"]);
        assert!(!a.exists());
    }
}
