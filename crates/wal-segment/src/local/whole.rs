//! A directory that is there whole or not at all.
#![expect(clippy::disallowed_methods, reason = "this file makes and renames directories")]

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf, absolute},
};

use super::{LocalOptions, LocalStorage, create_dir_durable, sync_parent};

/// A directory in the making. It is called `NAME.partial` until [`finish`](Self::finish) gives it its name. Dropping it
/// leaves what there is.
#[derive(Debug)]
pub struct WholeDirectory {
    dir: PathBuf,
    partial: PathBuf,
}

impl WholeDirectory {
    /// Makes `NAME.partial`, durably, with the parents that are missing.
    ///
    /// # Errors
    ///
    /// `DirectoryNotEmpty` when there is something in `dir`, `AlreadyExists` when there is a `NAME.partial`: another
    /// process may be at work in it, or was killed; `InvalidInput` when `dir` does not end in a name; errors of the
    /// file system.
    pub fn begin(dir: &Path, options: &LocalOptions) -> io::Result<Self> {
        let dir = absolute(dir)?;
        let name = dir.file_name().ok_or_else(|| {
            let why = format!("{} does not end in a name", dir.display());
            io::Error::new(io::ErrorKind::InvalidInput, why)
        })?;
        let mut partial = OsString::from(name);
        partial.push(".partial");
        let partial = dir.with_file_name(partial);
        match fs::read_dir(&dir).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => {
                let why = format!("{} is not empty", dir.display());
                return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, why));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if fs::symlink_metadata(&partial).is_ok() {
            let why =
                format!("{} is in the making, or left of an attempt that did not end", partial.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        create_dir_durable(&partial, options.dir_mode)?;
        Ok(Self { dir, partial })
    }

    /// Where to put its files.
    #[must_use]
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// The same, as a storage.
    ///
    /// # Errors
    ///
    /// Those of [`LocalStorage::open`].
    pub fn storage(&self, options: LocalOptions) -> io::Result<LocalStorage> {
        LocalStorage::open(&self.partial, options)
    }

    /// Gives it its name, durably. What is in it must be durable already.
    ///
    /// # Errors
    ///
    /// `DirectoryNotEmpty` when something has appeared under the name; errors of the file system.
    pub fn finish(self) -> io::Result<()> {
        // Not every system replaces an empty directory.
        match fs::remove_dir(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::rename(&self.partial, &self.dir)?,
        }
        sync_parent(&self.dir)
    }

    /// Removes it. That it is left when this fails is what its name says.
    pub fn discard(self) {
        let _ = fs::remove_dir_all(&self.partial);
    }
}
