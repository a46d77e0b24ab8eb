//! Whole files, sent to a storage for good, and read back before anybody relies on them.

use std::{
    hash::{BuildHasher, RandomState},
    io,
};

use bytes::Bytes;
use wal_format::SEGMENT_HEADER_LEN;

use crate::{Storage, TakenOver};

/// What is read back at once.
const PIECE_LEN: usize = 1 << 20;

/// [`Storage::ship`] where files can be renamed: nobody sees the name before the whole content is durable.
pub(crate) fn ship(storage: &dyn Storage, name: &str, content: &Bytes) -> io::Result<()> {
    if is_there(storage, name, content)? {
        // Its name may be that of a process that was killed before it was durable.
        return storage.sync_names();
    }
    // Another process may be at it.
    let number = RandomState::new().hash_one(name);
    let part = format!("{name}.{number:016x}.part");
    let sent = write(storage, &part, content).and_then(|()| storage.rename(&part, name));
    if sent.is_err() {
        // What is left is called a part, and nothing looks at it.
        let _ = storage.remove(&part);
    }
    match sent {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        sent => sent?,
    }
    storage.sync_names()?;
    if is_there(storage, name, content)? { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn write(storage: &dyn Storage, name: &str, content: &Bytes) -> io::Result<()> {
    let file = storage.create(name)?;
    file.write_at(0, content)?;
    file.sync()
}

/// Whether the file is there and begins with the content. Another one is an error.
fn is_there(storage: &dyn Storage, name: &str, content: &Bytes) -> io::Result<bool> {
    let file = match storage.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let mut piece = vec![0; PIECE_LEN.min(content.len().max(1))];
    let mut at = 0;
    while at < content.len() {
        let want = content.len().min(at + piece.len()) - at;
        let read = file.read_at(at as u64, &mut piece[..want])?;
        compare(name, at, &content[at..at + want], &piece[..read])?;
        at += want;
    }
    Ok(true)
}

/// Compares a piece of what was read back with what it should be.
///
/// # Errors
///
/// [`TakenOver`] inside when the header of the segment is another one; `InvalidData` when only what follows it differs.
pub fn compare(name: &str, at: usize, want: &[u8], found: &[u8]) -> io::Result<()> {
    if want == found {
        return Ok(());
    }
    let differs = want.iter().zip(found).position(|(want, found)| want != found);
    let first = at + differs.unwrap_or_else(|| want.len().min(found.len()));
    if first < SEGMENT_HEADER_LEN {
        return Err(io::Error::other(TakenOver { name: name.to_owned() }));
    }
    let why = format!("{name} is not what was sent: it differs at offset {first}");
    Err(io::Error::new(io::ErrorKind::InvalidData, why))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    };

    use super::*;
    use crate::{Capabilities, MemoryStorage, StorageFile, WriterLock};

    /// Knows whether its names are durable.
    #[derive(Debug, Default)]
    struct Names {
        files: MemoryStorage,
        synced: AtomicBool,
        /// Another process is faster than the next one to give a file its name.
        beaten: AtomicBool,
    }

    impl Storage for Names {
        fn location(&self) -> String {
            self.files.location()
        }
        fn capabilities(&self) -> Capabilities {
            self.files.capabilities()
        }
        fn lock(&self) -> io::Result<WriterLock> {
            self.files.lock()
        }
        fn list(&self) -> io::Result<Vec<String>> {
            self.files.list()
        }
        fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
            self.files.create(name)
        }
        fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
            self.files.open(name)
        }
        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.synced.store(false, SeqCst);
            if self.beaten.swap(false, SeqCst) {
                self.files.rename(from, to)?;
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            self.files.rename(from, to)
        }
        fn remove(&self, name: &str) -> io::Result<()> {
            self.files.remove(name)
        }
        fn sync_names(&self) -> io::Result<()> {
            self.synced.store(true, SeqCst);
            self.files.sync_names()
        }
    }

    #[test]
    fn what_a_killed_process_left_is_durable_before_it_is_relied_on() {
        let (storage, content) = (Names::default(), Bytes::from(vec![7; 5000]));
        write(&storage, "part", &content).unwrap();
        storage.rename("part", "a").unwrap();
        ship(&storage, "a", &content).unwrap();
        assert!(storage.synced.load(SeqCst), "a power cut could take the name back");
    }

    #[test]
    fn a_name_is_durable_whoever_gave_it() {
        let (storage, content) = (Names::default(), Bytes::from(vec![7; 5000]));
        for (beaten, name) in [(false, "ours"), (true, "theirs")] {
            storage.beaten.store(beaten, SeqCst);
            ship(&storage, name, &content).unwrap();
            assert!(storage.synced.load(SeqCst), "a power cut could take {name} back");
        }
        assert_eq!(storage.list().unwrap(), ["ours", "theirs"], "no part is left");
    }

    fn taken(result: io::Result<()>) -> bool {
        result.is_err_and(|error| error.get_ref().is_some_and(|inner| inner.is::<TakenOver>()))
    }

    #[test]
    fn a_file_is_there_whole_or_its_name_is_free() {
        let storage = Arc::new(MemoryStorage::new());
        let content = Bytes::from(vec![7; 5000]);
        storage.ship("a", content.clone()).unwrap();
        storage.ship("a", content.clone()).unwrap();
        storage.ship("a", content.slice(..1000)).unwrap();
        assert_eq!(storage.list().unwrap(), ["a"], "no part is left");
        assert_eq!(storage.open("a").unwrap().len().unwrap(), 5000);
        let mut other = content.to_vec();
        other[100] = 8;
        assert!(taken(storage.ship("a", other.into())), "another header");
        let mut damaged = content.to_vec();
        damaged[4000] = 8;
        let error = storage.ship("a", damaged.into()).unwrap_err();
        assert!(error.kind() == io::ErrorKind::InvalidData && error.to_string().contains("offset 4000"));
        let longer = Bytes::from(vec![7; 5001]);
        assert_eq!(storage.ship("a", longer).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
