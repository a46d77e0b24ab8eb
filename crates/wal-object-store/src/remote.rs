//! Objects that are there, and reading them.

use std::{
    future::Future,
    io,
    ops::Range,
    path::{self, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use crate::{
    ObjectOptions,
    ahead::{NOBODY, Reading, Streams, UnderWay},
    cache::{BLOCK_LEN, Cache},
    error::{from_store, may_pass},
    meter::{Attempts, Kind, Meter},
};

/// What requests need.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) options: ObjectOptions,
    pub(crate) meter: Meter,
    pub(crate) cache: Mutex<Cache>,
    pub(crate) under_way: UnderWay,
    pub(crate) streams: Mutex<Streams>,
    /// The object that comes behind the one that was read to its end last.
    pub(crate) expected: AtomicU64,
    /// Where the objects are files, if they are: their names can be seen before they are durable, or although they
    /// never will be.
    pub(crate) dir: Option<PathBuf>,
    serials: AtomicU64,
}

/// An object that was there when it was listed or published.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) path: Path,
    pub(crate) size: u64,
    /// Which of all objects that ever had the name.
    pub(crate) e_tag: Option<String>,
    pub(crate) serial: u64,
    pub(crate) reading: Mutex<Reading>,
}

impl Shared {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, options: ObjectOptions) -> Self {
        let cache = Mutex::new(Cache::new(options.cache_len));
        let (under_way, streams) = (UnderWay::default(), Mutex::default());
        let (expected, serials) = (AtomicU64::new(NOBODY), AtomicU64::new(0));
        Self {
            store,
            options,
            meter: Meter::default(),
            cache,
            under_way,
            streams,
            expected,
            dir: None,
            serials,
        }
    }

    /// Makes the names durable that can be seen. Those in a bucket are.
    pub(crate) async fn sync_names(&self) -> io::Result<()> {
        let Some(dir) = self.dir.clone() else { return Ok(()) };
        let synced = spawn_blocking(move || sync_dir(&dir)).await;
        synced.map_err(io::Error::other)?
    }

    pub(crate) fn remote(&self, path: Path, size: u64, e_tag: Option<String>) -> Remote {
        let serial = self.serials.fetch_add(1, Ordering::Relaxed);
        Remote { path, size, e_tag, serial, reading: Mutex::new(Reading::new()) }
    }

    pub(crate) fn attempts(&self) -> Attempts<'_> {
        Attempts::new(&self.meter, &self.options)
    }

    /// One read of a range that begins inside the object: its whole size, and the bytes up to its end.
    pub(crate) async fn get_once(
        &self,
        path: &Path,
        range: Range<u64>,
        e_tag: Option<String>,
    ) -> io::Result<(u64, Bytes)> {
        let start = range.start;
        let end = range.end;
        let options =
            GetOptions { range: Some(GetRange::Bounded(range)), if_match: e_tag, ..GetOptions::default() };
        let request = async {
            let found = self.store.get_opts(path, options).await?;
            let (size, got) = (found.meta.size, found.range.clone());
            Ok((size, got, found.bytes().await?))
        };
        let (size, got, bytes) = self.meter.ask(Kind::Get, &self.options, request).await?;
        self.meter.received_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let due = end.min(size).saturating_sub(start);
        if got.start != start || bytes.len() as u64 != due {
            let why =
                format!("asked for {start}..{end} of {path}, got {} bytes from {}", bytes.len(), got.start);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        Ok((size, bytes))
    }

    /// The same, as often as it takes.
    pub(crate) async fn get(&self, remote: &Remote, range: Range<u64>) -> io::Result<Bytes> {
        let once = || self.get_once(&remote.path, range.clone(), remote.e_tag.clone());
        match self.insist(once).await? {
            (size, _) if size != remote.size => Err(io::ErrorKind::NotFound.into()),
            (_, bytes) => Ok(bytes),
        }
    }

    /// What is there under a name.
    pub(crate) async fn head(&self, path: &Path) -> io::Result<Remote> {
        let once = || self.meter.ask(Kind::Get, &self.options, self.store.head(path));
        let meta = self.insist(once).await?;
        Ok(self.remote(path.clone(), meta.size, meta.e_tag))
    }

    /// Everything below a path.
    pub(crate) async fn list(&self, prefix: &Path) -> io::Result<Vec<Remote>> {
        let found = self.insist(|| self.list_once(prefix)).await?;
        self.meter.listed(found.len(), &self.options).await;
        Ok(found.into_iter().map(|object| self.remote(object.location, object.size, object.e_tag)).collect())
    }

    /// One listing. It is a request for each page, which has a time of its own: a long log has many of them.
    async fn list_once(&self, prefix: &Path) -> io::Result<Vec<ObjectMeta>> {
        let mut listing = self.store.list(Some(prefix));
        let mut found = Vec::new();
        let mut next = self.meter.ask(Kind::List, &self.options, listing.try_next()).await?;
        while let Some(object) = next {
            found.push(object);
            let more = self.meter.within(&self.options, listing.try_next()).await;
            next = more.map_err(|error| from_store(&error))??;
        }
        Ok(found)
    }

    /// Asks until there is an answer, or no hope for one.
    async fn insist<T, F: Future<Output = io::Result<T>>>(&self, once: impl Fn() -> F) -> io::Result<T> {
        let mut last = io::Error::from(io::ErrorKind::TimedOut);
        let mut attempts = self.attempts();
        while attempts.next().await {
            match once().await {
                Err(error) if may_pass(&error) => last = error,
                outcome => return outcome,
            }
        }
        Err(last)
    }

    /// The bytes of an object in `range`, from the cache, from what is on its way, or with one request for whole blocks
    /// from the first on that is missing.
    pub(crate) async fn blocks(&self, remote: &Remote, range: Range<u64>) -> io::Result<Bytes> {
        let (first, last) = blocks_of(&range);
        let mut parts = Vec::new();
        for block in first..=last {
            self.arrival((remote.serial, block)).await;
            let cached = self.cache.lock().get((remote.serial, block));
            match cached {
                Some(bytes) => parts.push(bytes),
                None => {
                    parts.push(self.fetch(remote, block, last).await?);
                    break;
                }
            }
        }
        joined(&parts, &range)
    }

    /// The same if all of it is in the cache: nobody has to be asked for that.
    pub(crate) fn cached(&self, remote: &Remote, range: &Range<u64>) -> Option<io::Result<Bytes>> {
        let (first, last) = blocks_of(range);
        let mut cache = self.cache.lock();
        let parts: Option<Vec<Bytes>> =
            (first..=last).map(|block| cache.get((remote.serial, block))).collect();
        drop(cache);
        parts.map(|parts| joined(&parts, range))
    }

    async fn fetch(&self, remote: &Remote, block: u64, last: u64) -> io::Result<Bytes> {
        let end = ((last + 1) * BLOCK_LEN).min(remote.size);
        let bytes = self.get(remote, block * BLOCK_LEN..end).await?;
        self.cache.lock().put(remote.serial, block, &bytes);
        Ok(bytes)
    }
}

#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "a store has no call for this")]
fn sync_dir(dir: &path::Path) -> io::Result<()> {
    std::fs::File::open(dir)?.sync_all()
}

/// There is no such thing.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as where there is")]
fn sync_dir(_: &path::Path) -> io::Result<()> {
    Ok(())
}

/// The first and the last block that hold something of a range, which must not be empty.
pub(crate) const fn blocks_of(range: &Range<u64>) -> (u64, u64) {
    (range.start / BLOCK_LEN, (range.end - 1) / BLOCK_LEN)
}

/// The bytes of `range` in blocks from its first on.
fn joined(parts: &[Bytes], range: &Range<u64>) -> io::Result<Bytes> {
    let skip = (range.start - blocks_of(range).0 * BLOCK_LEN) as usize;
    let len = (range.end - range.start) as usize;
    if let [only] = parts {
        return slice(only, skip, len);
    }
    let mut joined = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    parts.iter().for_each(|part| joined.extend_from_slice(part));
    slice(&joined.freeze(), skip, len)
}

fn slice(bytes: &Bytes, skip: usize, len: usize) -> io::Result<Bytes> {
    if bytes.len() < skip + len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.slice(skip..skip + len))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use object_store::{
        memory::InMemory,
        throttle::{ThrottleConfig, ThrottledStore},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_listing_may_take_longer_than_a_request() {
        let slow =
            ThrottleConfig { wait_list_per_entry: Duration::from_secs(20), ..ThrottleConfig::default() };
        let store = ThrottledStore::new(InMemory::new(), slow);
        for name in ["a", "b", "c", "d"] {
            store.put(&Path::from("log").join(name), name.into()).await.unwrap();
        }
        let shared = Shared::new(Arc::new(store), ObjectOptions { attempts: 1, ..ObjectOptions::default() });
        assert_eq!(shared.list(&"log".into()).await.unwrap().len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_object_gets_more_time_than_a_short_one() {
        let slow = ThrottleConfig { wait_put_per_call: Duration::from_secs(40), ..ThrottleConfig::default() };
        let store = ThrottledStore::new(InMemory::new(), slow);
        let options = ObjectOptions { attempts: 1, ..ObjectOptions::default() };
        let shared = Shared::new(Arc::new(store), options);
        for (name, len, is_published) in [("short", 10, false), ("long", 8 << 20, true)] {
            let content = Bytes::from(vec![7; len]);
            let published = crate::publish::publish(&shared, name, &name.into(), &content).await;
            assert_eq!(published.is_ok(), is_published, "{name}");
        }
    }
}
