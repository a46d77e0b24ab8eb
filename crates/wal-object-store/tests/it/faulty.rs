//! An object store that counts, and fails on demand.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result, memory::InMemory, path::Path,
};
use std::sync::Mutex;

/// Requests made so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) puts: AtomicU64,
    pub(crate) put_bytes: AtomicU64,
    pub(crate) gets: AtomicU64,
    pub(crate) got_bytes: AtomicU64,
    pub(crate) lists: AtomicU64,
    pub(crate) deletes: AtomicU64,
}

impl Counts {
    /// Puts, gets, lists and deletes since the last call.
    pub(crate) fn take(&self) -> [u64; 4] {
        [&self.puts, &self.gets, &self.lists, &self.deletes].map(|count| count.swap(0, SeqCst))
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    /// An error before anything happened: 500, 503, no connection.
    Refused,
    /// It was carried out, and the answer was lost.
    Unheard,
    /// It was not carried out, and was not answered; a creation arrives some time later.
    Late,
    /// A conflict that is none: 409 because something else happened to the name.
    Conflict,
    /// A read that ends too early.
    Short,
}

/// A mistake of the store, or of whoever uses it, that the schedules must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    None,
    /// Creations replace what is there.
    Overwrites,
    /// A refused creation is taken for a success.
    ConflictIsSuccess,
    /// Some creations are acknowledged and forgotten.
    Forgets,
    /// Fences go with what they protect.
    FencesGo,
}

/// Decides, and may do something else before the request is carried out, or after it.
pub(crate) trait Decide: Send + Sync {
    fn fate(&self, what: &'static str) -> Fate;
    fn pause(&self, _what: &'static str) {}
}

/// Nothing ever happens.
#[derive(Debug)]
pub(crate) struct Calm;

impl Decide for Calm {
    fn fate(&self, _: &'static str) -> Fate {
        Fate::Fine
    }
}

/// What all stores of a schedule share: the objects, and creations that are still on their way.
#[derive(Debug, Default)]
pub(crate) struct Sea {
    pub(crate) store: InMemory,
    pub(crate) late: Mutex<Vec<(Path, PutPayload)>>,
}

/// The sea as one process sees it.
pub(crate) struct FaultyStore {
    pub(crate) sea: Arc<Sea>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) decide: Arc<dyn Decide>,
    pub(crate) plant: Plant,
    /// Nobody asks it whether it can be trusted.
    pub(crate) trusted: bool,
    /// So many beginnings make a page.
    pub(crate) per_page: usize,
    /// The process has died: nothing leaves it any more.
    pub(crate) dead: Arc<AtomicBool>,
}

impl FaultyStore {
    pub(crate) fn calm(sea: &Arc<Sea>) -> Self {
        Self::new(sea, Arc::new(Calm), Plant::None)
    }

    pub(crate) fn new(sea: &Arc<Sea>, decide: Arc<dyn Decide>, plant: Plant) -> Self {
        Self {
            sea: Arc::clone(sea),
            counts: Arc::default(),
            decide,
            plant,
            trusted: false,
            per_page: 256,
            dead: Arc::default(),
        }
    }

    fn fate(&self, what: &'static str) -> Result<Fate> {
        if self.dead.load(SeqCst) {
            return Err(failed("the process is dead"));
        }
        self.decide.pause(what);
        Ok(self.decide.fate(what))
    }

    /// What comes after the request was carried out.
    fn answer<T>(&self, fate: Fate, what: &'static str, result: Result<T>) -> Result<T> {
        self.decide.pause(what);
        if self.dead.load(SeqCst) || fate == Fate::Unheard {
            return Err(failed("the answer was lost"));
        }
        result
    }

    async fn create(&self, path: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let opts = if self.plant == Plant::Overwrites { PutOptions::default() } else { opts };
        let put = self.sea.store.put_opts(path, payload, opts).await;
        match put {
            Err(Error::AlreadyExists { .. }) if self.plant == Plant::ConflictIsSuccess => {
                Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
            }
            put => put,
        }
    }
}

fn failed(why: &'static str) -> Error {
    Error::Generic { store: "faulty", source: why.into() }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        assert_eq!(opts.mode, PutMode::Create, "nothing is ever overwritten");
        self.counts.puts.fetch_add(1, SeqCst);
        self.counts.put_bytes.fetch_add(payload.content_length() as u64, SeqCst);
        match self.fate("put")? {
            Fate::Refused => Err(failed("503 slow down")),
            Fate::Late => {
                self.sea.late.lock().unwrap().push((path.clone(), payload));
                Err(failed("timed out"))
            }
            Fate::Conflict => {
                Err(Error::AlreadyExists { path: path.to_string(), source: "409 conflicting request".into() })
            }
            _ if self.plant == Plant::Forgets && path.as_ref().ends_with("7.wal") => {
                Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
            }
            fate => {
                let put = self.create(path, payload, opts).await;
                self.answer(fate, "put", put)
            }
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(failed("nothing is published in parts"))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.counts.gets.fetch_add(1, SeqCst);
        let fate = self.fate("get")?;
        if fate == Fate::Refused {
            return Err(failed("500 internal error"));
        }
        let range: Option<Range<u64>> = match &options.range {
            Some(GetRange::Bounded(range)) => Some(range.clone()),
            _ => None,
        };
        let found = self.sea.store.get_opts(path, options).await;
        let mut found = self.answer(fate, "get", found)?;
        if let (Fate::Short, Some(_)) = (fate, range) {
            let (meta, got, attributes) = (found.meta.clone(), found.range.clone(), found.attributes.clone());
            let bytes = found.bytes().await?;
            let short = bytes.slice(..bytes.len() / 2);
            let payload = GetResultPayload::Stream(stream::once(async move { Ok(short) }).boxed());
            found = GetResult { payload, meta, range: got, attributes, extensions: Default::default() };
        }
        self.counts.got_bytes.fetch_add(found.range.end - found.range.start, SeqCst);
        Ok(found)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let fate = self.fate("delete");
        let (sea, counts, plant) = (Arc::clone(&self.sea), Arc::clone(&self.counts), self.plant);
        let deletes = paths.then(move |path| {
            let (sea, counts, fate) = (Arc::clone(&sea), Arc::clone(&counts), fate.as_ref().ok().copied());
            async move {
                counts.deletes.fetch_add(1, SeqCst);
                let path = path?;
                if fate.is_none_or(|fate| fate == Fate::Refused) {
                    return Err(failed("503 slow down"));
                }
                sea.store.delete(&path).await?;
                if plant == Plant::FencesGo {
                    remove_fences_below(&sea, &path).await?;
                }
                if fate == Some(Fate::Unheard) { Err(failed("the answer was lost")) } else { Ok(path) }
            }
        });
        deletes.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.counts.lists.fetch_add(1, SeqCst);
        let fate = match self.fate("list") {
            Ok(Fate::Refused) => Err(failed("503 slow down")),
            fate => fate,
        };
        match fate {
            Err(error) => stream::once(async move { Err(error) }).boxed(),
            Ok(_) => self.sea.store.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(failed("nobody asks for this"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(failed("nothing is copied"))
    }
}

async fn remove_fences_below(sea: &Sea, path: &Path) -> Result<()> {
    let all: Vec<ObjectMeta> = sea.store.list(None).try_collect().await?;
    let mut below: Vec<_> = all.into_iter().filter(|object| object.location <= *path).collect();
    below.retain(|object| object.size < 1000);
    for object in below {
        sea.store.delete(&object.location).await?;
    }
    Ok(())
}
