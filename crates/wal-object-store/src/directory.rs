//! Objects that are files of a directory: object storage without a server, for tests and for shared file systems.

use std::{io, path, path::Path, sync::Arc};

use object_store::{local::LocalFileSystem, path::Path as StorePath};

use crate::{ObjectOptions, ObjectStorage, error::from_store, remote::Shared};

/// The storage whose objects are the files in `dir`, by the same rules as in a bucket: published whole and synced,
/// created only where there is none (by a hard link), fenced. The directory is made when the first is published.
///
/// # Errors
///
/// `InvalidInput` for a directory in which there is an ordinary log, known by its lock file: that one has other rules;
/// and for the root of all directories; those of [`ObjectStorage::new`].
pub fn in_directory(dir: &Path, options: ObjectOptions) -> io::Result<ObjectStorage> {
    let dir = path::absolute(dir)?;
    if dir.join("LOCK").try_exists()? {
        let why = "there is an ordinary log in this directory: open it by its path, not by a URL";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let location = options.location.clone().or_else(|| Some(format!("file://{}", dir.display())));
    let prefix = StorePath::from_absolute_path(&dir)
        .map_err(|source| from_store(&object_store::Error::InvalidPath { source }))?;
    if prefix.as_ref().is_empty() {
        let why = "this is the root of all directories: a log has one of its own";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let store = LocalFileSystem::new().with_fsync(true);
    let mut shared = Shared::new(Arc::new(store), ObjectOptions { location, ..options });
    shared.dir = Some(dir);
    ObjectStorage::with_shared(shared, prefix.as_ref())
}

#[cfg(test)]
mod tests {
    use wal_segment::Storage;

    use super::*;

    #[test]
    fn a_directory_may_have_any_name_and_is_not_the_root() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a b%20c", "ü#1?", "x@y", "..."] {
            let place = dir.path().join(name);
            let storage = in_directory(&place, ObjectOptions::default()).unwrap();
            storage.create("f").unwrap().sync().unwrap();
            assert!(place.join("f").exists(), "{name}");
            let again = in_directory(&place, ObjectOptions::default()).unwrap();
            assert_eq!(again.list().unwrap(), ["f"], "{name}");
        }
        for root in ["/", "/.", "/.."] {
            let error = in_directory(Path::new(root), ObjectOptions::default()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{root}");
        }
    }
}
