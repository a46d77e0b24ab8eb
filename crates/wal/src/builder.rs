//! Opening a log with other parts than the usual ones.

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use wal_compress::{Codec, Codecs};
use wal_core::{
    BackupReport, Clock, CommitEvent, Entropy, Entry, Environment, Examination, Extras, Hooks, Log, LogError,
    LogEvent, Options, RepairReport, SalvageReport, SystemClock, SystemEntropy, examine, repair, salvage,
};
use wal_segment::{LocalOptions, LocalStorage, ReadMode, SegmentError, Storage, WriteMode};

use crate::{
    Config, Error, ObjectSettings, RepairOptions, Wal,
    backup::whole,
    tier::{Tier, TierPlace},
};

/// Opens a log with settings, or with another storage, clock or codec than the usual one. Made by [`Wal::builder`].
///
/// ```
/// use std::time::Duration;
/// use wal::{Options, ReadMode, SyncPolicy, Wal};
/// # let dir = tempfile::tempdir()?;
/// let sync = SyncPolicy::OsCache { interval: Duration::from_millis(100) };
/// let wal = Wal::builder(dir.path())
///     .options(Options { sync, segment_len: 16 << 20, ..Options::default() })
///     .read_mode(ReadMode::Pread)
///     .open()?;
/// wal.append("survives the end of the process at once, a power loss after 100 ms")?;
/// wal.sync()?; // or now
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is told to open"]
pub struct WalBuilder {
    dir: PathBuf,
    options: Options,
    local: LocalOptions,
    objects: ObjectSettings,
    create: bool,
    storage: Option<Arc<dyn Storage>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    codecs: Vec<Arc<dyn Codec>>,
    hooks: Hooks,
    tier: Option<Tier>,
    /// Only options that somebody has set, and codecs, can ask for them.
    extras: Extras,
}

impl WalBuilder {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            options: Options::default(),
            local: LocalOptions::default(),
            objects: ObjectSettings::default(),
            create: true,
            storage: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            codecs: Vec::new(),
            hooks: Hooks::default(),
            tier: None,
            extras: if Codecs::BUILT_IN { Extras::ALL } else { Extras::NONE },
        }
    }

    /// Settings, checked when the log is opened. Default: [`Options::default`].
    pub fn options(mut self, options: Options) -> Self {
        (self.options, self.extras) = (options, Extras::ALL);
        self
    }

    /// All settings at once: the options, those of objects, how files are read and written, and who may.
    pub fn config(mut self, config: Config) -> Self {
        (self.options, self.local, self.objects) = config.into_parts();
        self.extras = Extras::ALL;
        self
    }

    /// How files are read. Default: [`ReadMode::Mmap`]. No effect on another [`storage`](Self::storage).
    pub const fn read_mode(mut self, mode: ReadMode) -> Self {
        self.local.read_mode = mode;
        self
    }

    /// How files are written where an append returns once its bytes are with the operating system
    /// ([`Durability::Written`](crate::Durability::Written)). Default: [`WriteMode::Pwrite`].
    pub const fn write_mode(mut self, mode: WriteMode) -> Self {
        self.local.write_mode = mode;
        self
    }

    /// Permission bits of new files, less the process's umask. Default: `0o600`. No effect outside Unix, and on another
    /// [`storage`](Self::storage).
    pub const fn file_mode(mut self, mode: u32) -> Self {
        self.local.file_mode = mode;
        self
    }

    /// Permission bits of directories that are created, less the process's umask. Default: `0o700`. No effect outside
    /// Unix, and on another [`storage`](Self::storage).
    pub const fn dir_mode(mut self, mode: u32) -> Self {
        self.local.dir_mode = mode;
        self
    }

    /// How the object storage is reached where the log is opened by a URL: `s3://bucket/prefix` with the feature `s3`,
    /// and with `object-store` `file:///directory`, whose files are the objects. No effect on a directory.
    pub fn object_settings(mut self, settings: ObjectSettings) -> Self {
        self.objects = settings;
        self
    }

    /// Whether a directory that is missing is created, durably, with its parents. Default: `true`. Without it
    /// [`open`](Self::open) reports [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).
    pub const fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Keeps the files here, and not in the directory that the builder was made with.
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Keeps the log in an object store, in the objects whose paths are `prefix`, a slash and the name of a file. Each
    /// sync publishes one object; appends under [`SyncPolicy::Always`](crate::SyncPolicy::Always) share them as they
    /// share syncs, and [`Background`](crate::SyncPolicy::Background) with an interval of 100 ms makes at most ten a
    /// second. An object is at most [`Options::segment_len`] long, and 8 MiB where that is left as it is.
    ///
    /// Opening the log for writing takes it away from a writer that has it open elsewhere, which then fails with
    /// [`ErrorKind::Fenced`](crate::ErrorKind::Fenced).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) for a prefix that is no path, and when no thread can be started.
    #[cfg(feature = "object-store")]
    pub fn object_store(
        self,
        store: Arc<dyn wal_object_store::ObjectStore>,
        prefix: &str,
        options: wal_object_store::ObjectOptions,
    ) -> Result<Self, Error> {
        let opened = wal_object_store::ObjectStorage::new(store, prefix, options);
        self.objects(opened.map_err(|source| (prefix, source)))
    }

    /// Keeps the log in S3, or in what speaks like it: [`object_store`](Self::object_store), with a client of its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) for settings that the client refuses, and when no thread can be started.
    #[cfg(feature = "s3")]
    pub fn s3(
        self,
        config: wal_object_store::S3Config,
        options: wal_object_store::ObjectOptions,
    ) -> Result<Self, Error> {
        let location = config.location();
        self.objects(config.open(options).map_err(|source| (&*location, source)))
    }

    #[cfg(feature = "object-store")]
    fn objects(
        mut self,
        opened: Result<wal_object_store::ObjectStorage, (&str, io::Error)>,
    ) -> Result<Self, Error> {
        let storage = opened.map_err(|(path, source)| {
            let source = SegmentError::Io { operation: "open", path: path.to_owned(), source };
            Error::new(LogError::Segment { operation: "open the object store", source })
        })?;
        self.storage = Some(Arc::new(storage));
        Ok(self)
    }

    /// Ships sealed segments to another place in the background, and reads them from there once they have left this
    /// one: a *tier*. The directory stays where entries become durable, so appends do not wait for the tier; the log
    /// opens, and goes on, while it is out of reach. How much stays here, how fast it is sent and what happens when too
    /// much waits is in [`Options::tier`]; retention and truncation remove from both places.
    ///
    /// The tier belongs to this log alone. A log that has had a tier is opened with it from then on, for reading too.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use wal::{Wal, storage::MemoryStorage};
    /// # let dir = tempfile::tempdir()?;
    /// let tier = Arc::new(MemoryStorage::new()); // or an `ObjectStorage`
    /// let wal = Wal::builder(dir.path().join("log")).tier(tier.clone()).open()?;
    /// let lsn = wal.append("in two places")?;
    /// wal.ship()?; // or by itself, segment by segment
    ///
    /// // The machine is lost. Another one takes over.
    /// let report = Wal::builder(dir.path().join("elsewhere")).tier(tier.clone()).restore()?;
    /// assert_eq!(report.next, lsn.next());
    /// let wal = Wal::builder(dir.path().join("elsewhere")).tier(tier).open()?;
    /// assert_eq!(wal.get(lsn)?.payload, "in two places");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tier(mut self, tier: Arc<dyn Storage>) -> Self {
        self.tier = Some(Tier::at(TierPlace::Storage(tier)));
        self
    }

    /// The same with a place by its name: a URL as that of a log, with the same settings of objects; or a directory,
    /// for instance of a file server.
    pub fn tier_url(mut self, url: impl AsRef<Path>) -> Self {
        self.tier = Some(Tier::at(TierPlace::Url(url.as_ref().to_owned())));
        self
    }

    /// What time it is. Default: [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where the log's id and the salts of its segments come from. Default: [`SystemEntropy`].
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Adds a codec of yours, for reading and for [`Options::compression`]. Its id is 128 or greater.
    pub fn codec(mut self, codec: Arc<dyn Codec>) -> Self {
        self.codecs.push(codec);
        self.extras = Extras::ALL;
        self
    }

    /// Calls this with the entries that became durable, and before that, under a weaker policy than
    /// [`SyncPolicy::Always`](crate::SyncPolicy::Always), with those that are with the operating system. In order and
    /// without a gap, but for entries that were cut off or removed first; under load one call stands for many commits.
    ///
    /// A thread of the log's calls it, after the fact: nothing waits for it, not even [`Wal::close`]. It may use the
    /// log, but a [`Wal`] that it owns keeps the log open. A panic in it is caught. Without
    /// [`Options::background_threads`] it is [`Wal::maintain`] that calls.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let (told, commits) = std::sync::mpsc::channel();
    /// let wal = wal::Wal::builder(dir.path())
    ///     .on_commit(move |commit| {
    ///         let _ = told.send((commit.first, commit.last, commit.durable));
    ///     })
    ///     .open()?;
    /// let lsn = wal.append("hello")?;
    /// assert_eq!(commits.recv()?, (lsn, lsn, true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_commit(mut self, hook: impl Fn(&CommitEvent) + Send + Sync + 'static) -> Self {
        self.hooks = self.hooks.on_commit(hook);
        self
    }

    /// Calls this with what happens to the log: rotations, removals, damage, its end. By the rules of
    /// [`on_commit`](Self::on_commit). Up to 1024 events wait for a hook that is busy; more are dropped and counted,
    /// [`Stats::hook_events_dropped`](crate::Stats::hook_events_dropped).
    ///
    /// ```
    /// use wal::{LogEvent, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let (told, events) = std::sync::mpsc::channel();
    /// let wal = Wal::builder(dir.path())
    ///     .on_event(move |event| {
    ///         let _ = told.send(event.clone());
    ///     })
    ///     .open()?;
    /// wal.append("hello")?;
    /// wal.close()?;
    /// assert!(matches!(events.recv()?, LogEvent::Rotated { .. }), "the first segment was started");
    /// assert_eq!(events.recv()?, LogEvent::Closed { clean: true });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_event(mut self, hook: impl Fn(&LogEvent) + Send + Sync + 'static) -> Self {
        self.hooks = self.hooks.on_event(hook);
        self
    }

    /// Opens the log for writing, or starts a new one where there is none. This is where recovery happens; what it
    /// found is in [`Wal::recovery_report`]. What is there when this returns is durable.
    ///
    /// # Errors
    ///
    /// Those of [`Wal::open`]; [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for settings out of range and codecs
    /// with an id that is reserved or taken.
    pub fn open(self) -> Result<Wal, Error> {
        self.options.validate_for_writing().map_err(Error::new)?;
        let create = self.create;
        let (environment, options) = self.parts(create).map_err(Error::new)?;
        Log::open(environment, options).map(Wal::new).map_err(Error::new)
    }

    /// Opens the log for reading only, beside a live writer or without one. Takes no lock and changes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Wal::open_read_only`]; otherwise as [`open`](Self::open).
    pub fn open_read_only(self) -> Result<Wal, Error> {
        let (environment, options) = self.parts(false).map_err(Error::new)?;
        Log::open_read_only(environment, options).map(Wal::new).map_err(Error::new)
    }

    /// Reads and checks everything that belongs to the log, and goes on behind damage. Takes no lock and changes
    /// nothing. Maps nothing: with [`ReadMode::Mmap`], too, it reads by copying.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no log;
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when there is nothing that can be read at all;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io), [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    pub fn examine(self) -> Result<Examination, Error> {
        let (environment, options) = self.parts(false).map_err(Error::new)?;
        examine(environment.storage, environment.codecs, &options).map_err(Error::new)
    }

    /// Hands every entry that still verifies to `each`, with its LSN, in ascending order; the entries of one call were
    /// appended together. Takes no lock and changes nothing. [`salvage`](crate::salvage) copies them into new logs.
    ///
    /// # Errors
    ///
    /// Those of [`examine`](Self::examine).
    pub fn salvage(self, each: impl FnMut(&[Entry]) -> ControlFlow<()>) -> Result<SalvageReport, Error> {
        let (environment, options) = self.parts(false).map_err(Error::new)?;
        salvage(environment.storage, environment.codecs, &options, each).map_err(Error::new)
    }

    /// Copies every entry that still verifies into new logs below a directory: [`salvage`](crate::salvage()), with
    /// settings.
    ///
    /// # Errors
    ///
    /// Those of [`salvage`](crate::salvage()).
    pub fn salvage_to(self, to: impl AsRef<Path>) -> Result<crate::Salvaged, Error> {
        crate::salvage::salvage_to(self, to.as_ref())
    }

    /// Removes files that are no longer part of the log, writes index files that are missing or wrong anew, and cuts a
    /// damaged log if it may. Changes nothing unless there is a [quarantine](RepairOptions::quarantine), and says what
    /// it did or would do. Nothing is edited in place.
    ///
    /// # Errors
    ///
    /// Those of [`examine`](Self::examine); [`ErrorKind::Locked`](crate::ErrorKind::Locked) when a writer has the log;
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it cannot be cut because nothing before the damage can be
    /// kept; errors of writing.
    pub fn repair(self, how: &RepairOptions) -> Result<RepairReport, Error> {
        let local = self.local.clone();
        let (environment, options) = self.parts(false).map_err(Error::new)?;
        let how = how.in_core(local).map_err(Error::new)?;
        repair(environment, &options, &how).map_err(Error::new)
    }

    /// Writes the log that was shipped to the [tier](Self::tier) to the directory of this builder, up to the end of the
    /// last segment that was shipped, and returns when it is durable there. Opened with the same tier it goes on where
    /// that ends. The directory must be empty or missing; it is called `NAME.partial` until it is complete.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when the directory is not empty, and without a tier;
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when nothing was shipped;
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when what was shipped is not whole;
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) and [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub fn restore(self) -> Result<BackupReport, Error> {
        self.options.validate().map_err(Error::new)?;
        let why = "restoring takes a tier";
        let tier = self.tier.ok_or(LogError::InvalidArgument { why }).map_err(Error::new)?;
        let tier = tier.place.open(&self.local, &self.objects, false).map_err(Error::new)?;
        let fill = |target: &Arc<dyn Storage>| wal_core::restore(tier, &self.options.prefix, target);
        whole(&self.dir, self.local, fill).map_err(Error::new)
    }

    fn parts(self, create: bool) -> Result<(Environment, Options), LogError> {
        // Before anything is created: settings that cannot be used leave nothing behind.
        self.options.validate()?;
        let codecs = codecs(&self.options, self.codecs)?;
        let local_options = self.local.clone();
        let storage = match self.storage {
            Some(storage) => storage,
            None => storage_at(&self.dir, self.local, &self.objects, create)?,
        };
        let put_behind = |Tier { place, put_behind }: Tier| {
            let storage = place.open_behind(&local_options, &self.objects, create)?;
            Ok(move |environment| put_behind(environment, storage))
        };
        let tier = self.tier.map(put_behind).transpose()?;
        let Self { clock, entropy, hooks, mut options, extras, .. } = self;
        if !storage.capabilities().append_after_sync {
            options.segment_len = object_len(&options);
        }
        let environment = Environment { storage, clock, entropy, codecs, hooks, tier: None, extras };
        let environment = match tier {
            Some(put_behind) => put_behind(environment),
            None => environment,
        };
        Ok((environment, options))
    }
}

/// Who has not asked for something else gets objects of 8 MiB.
fn object_len(options: &Options) -> u64 {
    if options.segment_len == Options::default().segment_len { 8 << 20 } else { options.segment_len }
}

/// A storage by the path of its directory, or by its URL.
pub(crate) fn storage_at(
    place: &Path,
    files: LocalOptions,
    objects: &ObjectSettings,
    create: bool,
) -> Result<Arc<dyn Storage>, LogError> {
    let Some(url) = url(place) else { return local(place, files, create) };
    at_url(url, objects).map_err(|source| {
        // Whoever put a key into it does not want to read it here.
        let place = url.split(['?', '#']).next().unwrap_or(url);
        let path = place.rsplit_once('@').map_or(place, |(_, place)| place).to_owned();
        LogError::Segment {
            operation: "open the storage of the log",
            source: SegmentError::Io { operation: "open", path, source },
        }
    })
}

/// The text, if it is a URL and no path.
pub(crate) fn url(place: &Path) -> Option<&str> {
    let text = place.to_str()?;
    let (scheme, _) = text.split_once("://")?;
    let is_scheme =
        |scheme: &str| scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_scheme(scheme).then_some(text)
}

fn at_url(url: &str, settings: &ObjectSettings) -> io::Result<Arc<dyn Storage>> {
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    let unsupported = |why| Err(io::Error::new(io::ErrorKind::Unsupported, why));
    match scheme {
        "s3" => in_s3(url, settings),
        "file" if rest.starts_with('/') => in_files(Path::new(rest), settings),
        "file" => unsupported("the URL of a directory is file:///directory, from the root on"),
        _ => unsupported("only s3:// and file:// are opened by URL; give others to WalBuilder::object_store"),
    }
}

#[cfg(feature = "s3")]
fn in_s3(url: &str, settings: &ObjectSettings) -> io::Result<Arc<dyn Storage>> {
    let mut config = wal_object_store::S3Config::from_url(url)?.path_style(settings.s3_path_style);
    if let Some(region) = &settings.s3_region {
        config = config.region(region);
    }
    if let Some(endpoint) = &settings.s3_endpoint {
        config = config.endpoint(endpoint);
    }
    let config = config.profile(settings.s3_profile.as_deref())?.limits(settings.request_timeout, 0);
    Ok(Arc::new(config.open(settings.into())?))
}

#[cfg(not(feature = "s3"))]
fn in_s3(_: &str, _: &ObjectSettings) -> io::Result<Arc<dyn Storage>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "logs in S3 take the feature `s3`"))
}

#[cfg(feature = "object-store")]
fn in_files(dir: &Path, settings: &ObjectSettings) -> io::Result<Arc<dyn Storage>> {
    Ok(Arc::new(wal_object_store::in_directory(dir, settings.into())?))
}

#[cfg(not(feature = "object-store"))]
fn in_files(_: &Path, _: &ObjectSettings) -> io::Result<Arc<dyn Storage>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "logs by URL take the feature `object-store`"))
}

fn codecs(options: &Options, own: Vec<Arc<dyn Codec>>) -> Result<Codecs, LogError> {
    let failed = |source| LogError::Compression { source };
    let mut codecs = Codecs::with_level(options.compression.level).map_err(failed)?;
    own.into_iter().try_for_each(|codec| codecs.register(codec)).map_err(failed)?;
    codecs.get(options.compression.codec).map_err(failed)?;
    Ok(codecs)
}

pub(crate) fn local(dir: &Path, options: LocalOptions, create: bool) -> Result<Arc<dyn Storage>, LogError> {
    let opened = if create { LocalStorage::create(dir, options) } else { LocalStorage::open(dir, options) };
    let location = || dir.display().to_string();
    match opened {
        Ok(storage) => Ok(Arc::new(storage)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(LogError::MissingLog { location: location() })
        }
        Err(source) => {
            let source = SegmentError::Io { operation: "open", path: location(), source };
            Err(LogError::Segment { operation: "open the directory of the log", source })
        }
    }
}
