//! Objects that are there, and reading them.

use std::{
    collections::HashMap,
    future::Future,
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, path::Path};
use parking_lot::Mutex;

use crate::{
    ObjectOptions,
    cache::{BLOCK_LEN, Cache},
    error::{from_store, may_pass},
    publish::pause,
};

/// Who reads on where the last read ended gets so many blocks at once.
const READ_AHEAD: u64 = 4;
/// The beginning of an object, as it is read ahead.
const HEAD_LEN: u64 = 4096;

/// What requests need.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) options: ObjectOptions,
    pub(crate) cache: Mutex<Cache>,
    /// Beginnings that were read ahead, until they are asked for.
    heads: Mutex<HashMap<u64, Bytes>>,
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
    /// Where the last request ended.
    read_to: AtomicU64,
}

impl Shared {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, options: ObjectOptions) -> Self {
        let cache = Mutex::new(Cache::new(options.cache_len));
        Self { store, options, cache, heads: Mutex::default(), serials: AtomicU64::new(0) }
    }

    pub(crate) fn remote(&self, path: Path, size: u64, e_tag: Option<String>) -> Remote {
        let serial = self.serials.fetch_add(1, Ordering::Relaxed);
        Remote { path, size, e_tag, serial, read_to: AtomicU64::new(u64::MAX) }
    }

    /// The outcome of a request, unless it takes too long.
    pub(crate) async fn timely<T>(&self, request: impl Future<Output = T>) -> io::Result<T> {
        let limit = self.options.request_timeout;
        tokio::time::timeout(limit, request).await.map_err(|_| io::ErrorKind::TimedOut.into())
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
        let (size, got, bytes) = self.timely(request).await?.map_err(|error| from_store(&error))?;
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
        let mut failed = 0;
        loop {
            match self.get_once(&remote.path, range.clone(), remote.e_tag.clone()).await {
                Ok((size, _)) if size != remote.size => return Err(io::ErrorKind::NotFound.into()),
                Ok((_, bytes)) => return Ok(bytes),
                Err(error) if !may_pass(&error) => return Err(error),
                Err(error) => {
                    failed += 1;
                    if failed >= self.options.attempts.max(1) {
                        return Err(error);
                    }
                }
            }
            pause(self.options.pause_after(failed - 1)).await;
        }
    }

    /// What is there under a name.
    pub(crate) async fn head(&self, path: &Path) -> io::Result<Remote> {
        let mut failed = 0;
        loop {
            let found = self.timely(self.store.head(path)).await;
            match found.and_then(|found| found.map_err(|error| from_store(&error))) {
                Ok(meta) => return Ok(self.remote(path.clone(), meta.size, meta.e_tag)),
                Err(error) if !may_pass(&error) => return Err(error),
                Err(error) => {
                    failed += 1;
                    if failed >= self.options.attempts.max(1) {
                        return Err(error);
                    }
                }
            }
            pause(self.options.pause_after(failed - 1)).await;
        }
    }

    /// Everything below a path.
    pub(crate) async fn list(&self, prefix: &Path) -> io::Result<Vec<Remote>> {
        let mut failed = 0;
        loop {
            let listed = self.timely(self.store.list(Some(prefix)).try_collect::<Vec<_>>()).await;
            match listed.and_then(|listed| listed.map_err(|error| from_store(&error))) {
                Ok(found) => {
                    return Ok(found.into_iter().map(|o| self.remote(o.location, o.size, o.e_tag)).collect());
                }
                Err(error) if !may_pass(&error) => return Err(error),
                Err(error) => {
                    failed += 1;
                    if failed >= self.options.attempts.max(1) {
                        return Err(error);
                    }
                }
            }
            pause(self.options.pause_after(failed - 1)).await;
        }
    }

    /// Reads the beginnings of objects, several at once. What fails will fail again when it is read.
    pub(crate) async fn prefetch(&self, remotes: Vec<Arc<Remote>>) {
        let mut reads = stream::iter(remotes)
            .map(|remote| async move {
                let head = self.get(&remote, 0..HEAD_LEN.min(remote.size)).await;
                (remote.serial, head)
            })
            .buffer_unordered(self.options.parallel_reads.max(1));
        while let Some((serial, head)) = reads.next().await {
            if let Ok(head) = head {
                self.heads.lock().insert(serial, head);
            }
        }
    }

    /// A beginning that was read ahead, once.
    pub(crate) fn take_head(&self, remote: &Remote, range: &Range<u64>) -> Option<Bytes> {
        let mut heads = self.heads.lock();
        let head = heads.get(&remote.serial)?;
        if range.end > head.len() as u64 {
            return None;
        }
        let bytes = head.slice(range.start as usize..range.end as usize);
        heads.remove(&remote.serial);
        Some(bytes)
    }

    /// Whole blocks of an object that hold `range`, from the cache or with one request from the first that is missing.
    pub(crate) async fn blocks(&self, remote: &Remote, range: Range<u64>) -> io::Result<Bytes> {
        let (first, last) = (range.start / BLOCK_LEN, (range.end - 1) / BLOCK_LEN);
        let mut parts = Vec::new();
        for block in first..=last {
            let cached = self.cache.lock().get((remote.serial, block));
            match cached {
                Some(bytes) => parts.push(bytes),
                None => {
                    parts.push(self.fetch(remote, block, last, range.start).await?);
                    break;
                }
            }
        }
        let skip = (range.start - first * BLOCK_LEN) as usize;
        let len = (range.end - range.start) as usize;
        if let [only] = &*parts {
            return slice(only, skip, len);
        }
        let mut joined = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
        parts.iter().for_each(|part| joined.extend_from_slice(part));
        slice(&joined.freeze(), skip, len)
    }

    async fn fetch(&self, remote: &Remote, block: u64, last: u64, at: u64) -> io::Result<Bytes> {
        let start = block * BLOCK_LEN;
        let reads_on = remote.read_to.load(Ordering::Relaxed) == start && at > 0;
        let until = if reads_on { last.max(block + READ_AHEAD - 1) } else { last };
        let end = ((until + 1) * BLOCK_LEN).min(remote.size);
        let bytes = self.get(remote, start..end).await?;
        remote.read_to.store(end, Ordering::Relaxed);
        self.cache.lock().put(remote.serial, block, &bytes);
        Ok(bytes)
    }
}

fn slice(bytes: &Bytes, skip: usize, len: usize) -> io::Result<Bytes> {
    if bytes.len() < skip + len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.slice(skip..skip + len))
}
