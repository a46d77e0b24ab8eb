//! Beginnings of objects: reading them ahead, from pages where there are any, and keeping pages up to date.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object_store::{ObjectStoreExt, PutMode, PutOptions, path::Path};
use tokio::time::timeout;

use crate::{
    meter::Kind,
    pages::{self, Entry, PAGE_LEN_MAX},
    remote::{Remote, Shared},
    storage::Inner,
};

/// The beginning of an object, as it is read ahead.
const HEAD_LEN: u64 = 4096;
/// A page is read for so many objects, and not for fewer: their own beginnings are as soon there.
const WORTH: usize = 8;

/// Pages are long, and are in memory together.
const PAGES_AT_ONCE: usize = 8;
/// Whoever publishes the object that fills a page waits no longer for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of the beginnings of objects.
#[derive(Default)]
pub(crate) struct Heads {
    /// Pages that were there when last listed.
    listed: BTreeMap<String, Arc<Remote>>,
    /// Those of them that were read, with how many objects they say something about that is true.
    read: HashMap<String, usize>,
    /// Read ahead, until somebody asks.
    ahead: HashMap<String, Bytes>,
    /// What the pages that are nearly empty have, by the name of the object, and what none has.
    uncovered: BTreeMap<String, Entry>,
    /// Pages that may go once everything uncovered is in another.
    retired: BTreeSet<String>,
}

impl Inner {
    /// Whether there will be pages: otherwise nobody takes back what is remembered for them.
    fn writes_pages(&self) -> bool {
        self.is_locked() && self.shared.options.heads_per_page > 0
    }

    /// What a listing found.
    pub(crate) fn pages_listed(
        &self,
        listed: BTreeMap<String, Arc<Remote>>,
        objects: &BTreeMap<String, Arc<Remote>>,
    ) {
        let mut heads = self.heads.lock();
        if self.writes_pages() {
            // What little is left of their objects is read by itself, and finds a place in a new page.
            let few = |page: &&String| {
                pages::reach(page).is_none_or(|(first, last)| {
                    first > last || objects.range(first..=last).nth(WORTH - 1).is_none()
                })
            };
            heads.retired.retain(|name| listed.contains_key(name));
            heads.retired.extend(listed.keys().filter(few).cloned());
        }
        heads.read.retain(|name, _| listed.contains_key(name));
        heads.listed = listed;
        heads.ahead.clear();
    }

    /// The pages that are worth reading for these objects.
    pub(crate) fn pages_for(&self, names: &[String]) -> Vec<(String, Arc<Remote>)> {
        let heads = self.heads.lock();
        let wanted = |page: &&String| {
            let Some((first, last)) = pages::reach(page) else { return false };
            !heads.read.contains_key(*page)
                && names.iter().filter(|name| (&first..=&last).contains(name)).nth(WORTH - 1).is_some()
        };
        let pages = heads.listed.iter().filter(|(name, _)| wanted(name));
        pages.map(|(name, remote)| (name.clone(), Arc::clone(remote))).collect()
    }

    /// Takes in what a page says that is true of the objects that are there. A damaged one is retired.
    pub(crate) fn page_read(&self, page: String, content: &Bytes, objects: &BTreeMap<String, Arc<Remote>>) {
        let is_true = |entry: &Entry| {
            objects.get(&entry.name).is_some_and(|remote| {
                remote.size == entry.size && remote.e_tag.as_deref() == Some(&*entry.e_tag)
            })
        };
        let entries = pages::decode(content).unwrap_or_default();
        let all = entries.len();
        let entries: Vec<_> = entries.into_iter().filter(is_true).collect();
        let mut heads = self.heads.lock();
        let sparse = entries.len() < all.max(4) / 4;
        if sparse && self.writes_pages() {
            heads.retired.insert(page.clone());
            heads.uncovered.extend(entries.iter().map(|entry| (entry.name.clone(), entry.clone())));
        }
        heads.read.insert(page, entries.len());
        heads.ahead.extend(entries.into_iter().map(|entry| (entry.name, entry.head)));
    }

    /// Whether the beginning of an object is known already.
    pub(crate) fn is_ahead(&self, name: &str) -> bool {
        self.heads.lock().ahead.contains_key(name)
    }

    /// A beginning that was read ahead, once.
    pub(crate) fn take_ahead(&self, name: &str) -> Option<Bytes> {
        self.heads.lock().ahead.remove(name)
    }

    /// The beginning of an object that no page has.
    pub(crate) fn head_read(&self, name: &str, remote: &Remote, start: Bytes) {
        let mut heads = self.heads.lock();
        if self.writes_pages() {
            heads.uncover(name, remote, &start);
        }
        heads.ahead.insert(name.to_owned(), start);
    }

    /// An object was published, and is part of the next page.
    pub(crate) fn head_published(&self, name: &str, remote: &Remote, content: &Bytes) {
        let per_page = self.shared.options.heads_per_page;
        if per_page == 0 {
            return;
        }
        let (new, retired) = {
            let mut heads = self.heads.lock();
            heads.uncover(name, remote, content);
            if heads.uncovered.len() < per_page {
                return;
            }
            heads.turn_over(per_page)
        };
        let (shared, prefix) = (Arc::clone(&self.shared), self.prefix().clone());
        // If it fails, the objects themselves are read.
        let write = async move { timeout(PATIENCE, write(&shared, &prefix, new, retired)).await };
        let _ = self.io.start(write).wait();
    }
}

impl Heads {
    fn uncover(&mut self, name: &str, remote: &Remote, start: &Bytes) {
        let tag = remote.e_tag.as_deref();
        if let Some(entry) = tag.and_then(|tag| Entry::of(name, remote.size, tag, start)) {
            self.uncovered.insert(name.to_owned(), entry);
        }
    }

    /// The pages to be written, and those that can go then.
    fn turn_over(&mut self, per_page: usize) -> (Vec<Vec<Entry>>, BTreeSet<String>) {
        let retired = std::mem::take(&mut self.retired);
        // A page that goes may leave less than a page behind.
        let whole = if retired.is_empty() { self.uncovered.len() / per_page * per_page } else { usize::MAX };
        let mut rest = std::mem::take(&mut self.uncovered).into_values();
        let entries: Vec<_> = rest.by_ref().take(whole).collect();
        self.uncovered = rest.map(|entry| (entry.name.clone(), entry)).collect();
        (entries.chunks(per_page).map(<[Entry]>::to_vec).collect(), retired)
    }
}

/// Creates pages, and removes those that they replace. Each is tried once.
async fn write(shared: &Shared, prefix: &Path, new: Vec<Vec<Entry>>, mut retired: BTreeSet<String>) {
    let mut whole = true;
    let mut rest = new;
    while let Some(mut entries) = rest.pop() {
        let Some((name, page)) = pages::encode(&entries) else {
            if entries.len() > 1 {
                let half = entries.split_off(entries.len() / 2);
                rest.extend([half, entries]);
            }
            continue;
        };
        let path = prefix.clone().join(name.as_str());
        // One that was damaged has the name that its successor gets.
        if retired.remove(&name) {
            let _ = shared.meter.ask(Kind::Delete, &shared.options, shared.store.delete(&path)).await;
        }
        shared.meter.sent_bytes.fetch_add(page.len() as u64, Ordering::Relaxed);
        let put = shared.store.put_opts(&path, page.into(), PutOptions::from(PutMode::Create));
        whole &= matches!(shared.meter.request(Kind::Put, &shared.options, put).await, Ok(Ok(_)));
    }
    for name in retired.into_iter().filter(|_| whole) {
        let path = prefix.clone().join(name.as_str());
        let _ = shared.meter.ask(Kind::Delete, &shared.options, shared.store.delete(&path)).await;
    }
}

impl Shared {
    /// Reads whole pages, several at once. One that cannot be read is left out.
    pub(crate) async fn read_pages(&self, pages: Vec<(String, Arc<Remote>)>) -> Vec<(String, Bytes)> {
        let reads = stream::iter(pages.into_iter().filter(|(_, page)| page.size <= PAGE_LEN_MAX))
            .map(|(name, page)| async move {
                (page.size > 0).then_some(())?;
                Some((name, self.get(&page, 0..page.size).await.ok()?))
            })
            .buffer_unordered(self.options.parallel_reads.clamp(1, PAGES_AT_ONCE));
        reads.filter_map(|read| async { read }).collect().await
    }

    /// Reads the beginnings of objects, several at once. What fails will fail again when it is read.
    pub(crate) async fn read_heads(
        &self,
        objects: Vec<(String, Arc<Remote>)>,
    ) -> Vec<(String, Arc<Remote>, Bytes)> {
        let reads = stream::iter(objects)
            .map(|(name, remote)| async move {
                (remote.size > 0).then_some(())?;
                let head = self.get(&remote, 0..HEAD_LEN.min(remote.size)).await.ok()?;
                Some((name, remote, head))
            })
            .buffer_unordered(self.options.parallel_reads.max(1));
        reads.filter_map(|read| async { read }).collect().await
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use wal_core::{Environment, Log, Options};
    use wal_segment::Storage;

    use super::*;
    use crate::{ObjectOptions, ObjectStorage};

    #[test]
    fn nothing_is_remembered_for_pages_that_nobody_writes() {
        let store = Arc::new(InMemory::new());
        for heads_per_page in [0, 100] {
            let options = ObjectOptions { heads_per_page, ..ObjectOptions::default() };
            let storage = || ObjectStorage::new(Arc::clone(&store) as _, "log", options.clone()).unwrap();
            let log = Log::open(Environment::new(Arc::new(storage())), Options::default()).unwrap();
            for _ in 0..10 {
                log.append(b"one object").unwrap();
            }
            drop(log);
            let writer = storage();
            let _lock = writer.lock().unwrap();
            writer.prefetch(&writer.list().unwrap());
            assert_eq!(writer.inner().heads.lock().uncovered.is_empty(), heads_per_page == 0);
        }
    }
}
