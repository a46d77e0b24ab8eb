//! Opening a log for writing, which takes the lock and makes the end of the log certain.

use std::sync::Arc;

use wal_compress::Codecs;
use wal_format::{
    FIRST_FRAME, FRAME_HEADER_LEN, FileName, FrameFault, FrameHeader, LogId, Lsn, Metadata, Position,
    Predecessor,
};
use wal_segment::{Directory, FrameReader, Segment, SegmentError, Storage, WriterLock};

use crate::{
    Clock, Entropy, Extras, Hooks, LogError, Options, RecoveryMode, SystemClock, SystemEntropy, Tiered,
    appender::Appender,
    begin::{Beginning, Carried, Inheritance},
    engine::{Engine, Parts},
    error::{ExhaustedSnafu, InvalidOptionSnafu, LockedSnafu, TornTailSnafu},
    events::Span,
    prepare::Preparer,
    recover::{self, CutPlace, Found, FoundLog, Lost, Part, Remains, position},
    report::{Cut, RecoveryReport},
    view::View,
};

/// A newest segment whose data is shorter than this is copied into the next one and replaced by it, so that short runs
/// of a program leave no trail of files.
pub(crate) const SUPERSEDE_LEN: u64 = 64 << 10;
/// How often a writer tries to take over a log that others take over at the same time.
const TAKEOVER_ATTEMPTS: usize = 16;

/// What a log is opened with, apart from its settings.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Where its files are.
    pub storage: Arc<dyn Storage>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where log ids and salts come from.
    pub entropy: Arc<dyn Entropy>,
    /// The codecs it can compress and decompress with.
    pub codecs: Codecs,
    /// Whom to call when something happens.
    pub hooks: Hooks,
    /// The tier behind the storage, when it has one: a log that is open for writing ships to it.
    pub tier: Option<Tiered>,
    /// What it can do that only options ask for which differ from the default.
    pub extras: Extras,
}

impl Environment {
    /// A storage, and for the rest what the system and the features that are compiled in have to offer.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let (codecs, hooks) = (Codecs::default(), Hooks::default());
        Self { storage, clock, entropy, codecs, hooks, tier: None, extras: Extras::ALL }
    }

    /// The same with a tier behind the storage, which is where entries become durable: sealed segments are shipped to
    /// `tier`, and what is not in the storage any more is read from there.
    #[must_use]
    pub fn with_tier(mut self, tier: Arc<dyn Storage>) -> Self {
        let (storage, tier) = Tiered::new(self.storage, tier);
        (self.storage, self.tier) = (storage, Some(tier));
        self
    }
}

pub(crate) fn for_writing(environment: Environment, options: Options) -> Result<Arc<Engine>, LogError> {
    options.validate_for_writing()?;
    environment.extras.check(&options, &environment.codecs)?;
    if environment.tier.is_some() && !environment.storage.capabilities().append_after_sync {
        let why = "the log is in an object store already";
        return InvalidOptionSnafu { option: "tier", why }.fail();
    }
    let writer_lock = lock(&environment.storage)?;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let directory = Arc::new(Directory::new(Arc::clone(&environment.storage), &options.prefix));
        let _span = Span::recovery(&directory);
        let found = recover::find(&directory)?;
        match writer(environment.clone(), options.clone(), writer_lock.epoch, directory, found) {
            // Another writer was faster, or is at it all the time.
            Err(LogError::Fenced { .. }) if attempts < TAKEOVER_ATTEMPTS => {}
            Err(error) => return Err(error),
            Ok(engine) => {
                engine.hold(writer_lock);
                return Ok(engine);
            }
        }
    }
}

/// Becomes the only writer.
pub(crate) fn lock(storage: &Arc<dyn Storage>) -> Result<WriterLock, LogError> {
    storage.lock().map_err(|source| {
        let location = storage.location();
        if source.kind() == std::io::ErrorKind::WouldBlock {
            return LockedSnafu { location }.build();
        }
        LogError::segment("lock the log", SegmentError::Io { operation: "lock", path: location, source })
    })
}

/// Ends a damaged log at a place, durably, and closes it.
pub(crate) fn cut(
    environment: Environment,
    options: Options,
    writer_lock: WriterLock,
    left: &Remains,
    place: CutPlace,
) -> Result<(), LogError> {
    let directory = Arc::new(Directory::new(Arc::clone(&environment.storage), &options.prefix));
    let found = place.into_found(&directory, left)?;
    let options = Options { recovery: RecoveryMode::CutTornTail, background_threads: false, ..options };
    let engine = writer(environment, options, writer_lock.epoch, directory, found)?;
    engine.hold(writer_lock);
    let closed = engine.close();
    engine.unlock();
    closed
}

fn writer(
    environment: Environment,
    options: Options,
    epoch: Option<u64>,
    directory: Arc<Directory>,
    found: Found,
) -> Result<Arc<Engine>, LogError> {
    let Environment { clock, entropy, codecs, hooks, tier, extras, .. } = environment;
    let log_id = found.log_id.unwrap_or_else(|| new_log_id(&*entropy));
    // Leave room for a long life: a number so near its end was not reached by counting.
    let greatest = found.greatest;
    if greatest.0 > u64::MAX / 2 || found.epoch > u64::MAX / 2 {
        return ExhaustedSnafu { what: if greatest.0 > u64::MAX / 2 { "segment ids" } else { "epochs" } }
            .fail();
    }
    let epoch = epoch.unwrap_or(found.epoch + 1);
    let preparer =
        Preparer::new(Arc::clone(&directory), Arc::clone(&clock), entropy, log_id, epoch, greatest, &options);
    let start = Start::new(&directory, &found, &options)?;
    let rewrite = start.rewrite || found.must_rewrite;
    let mut engine = Engine::new(Parts {
        codecs,
        directory,
        clock,
        preparer: Some(preparer),
        look_again: None,
        appender: start.appender,
        durable_next: start.durable_next,
        view: start.view,
        inheritance: start.inheritance,
        report: start.report,
        hooks,
        options,
        fences: found.fences,
        tier,
        extras,
    })?;
    if rewrite || engine.objects {
        let rewritten = engine.rewrite_end()?;
        let alone = Arc::get_mut(&mut engine);
        debug_assert!(alone.is_some(), "nobody else has the engine yet");
        if let Some(engine) = alone {
            engine.report.rewritten = rewritten;
        }
    }
    if engine.objects {
        engine.check_fence()?;
    }
    Ok(engine)
}

fn new_log_id(entropy: &dyn Entropy) -> LogId {
    let (high, low) = (u128::from(entropy.next()), u128::from(entropy.next()));
    LogId(((high << 64) | low).to_le_bytes())
}

/// The state an engine starts from.
pub(crate) struct Start {
    pub(crate) appender: Appender,
    pub(crate) durable_next: Lsn,
    pub(crate) view: View,
    inheritance: Inheritance,
    pub(crate) report: RecoveryReport,
    /// The end of the log is not certain: it must be rewritten before anything is reported as there.
    rewrite: bool,
}

impl Start {
    pub(crate) fn new(
        directory: &Arc<Directory>,
        found: &Found,
        options: &Options,
    ) -> Result<Self, LogError> {
        let mut report = RecoveryReport {
            dead: found.dead.clone(),
            unused: found.unused.clone(),
            strangers: found.listing.strangers.clone(),
            ..RecoveryReport::default()
        };
        let Some(log) = &found.log else {
            report.clean = found.begun.is_none();
            report.cut = begun(found, options.first_lsn);
            refuse(directory, &report, options)?;
            return Ok(Self {
                appender: Appender::new(options.first_lsn, options.first_lsn, Metadata::default(), 0),
                durable_next: options.first_lsn,
                view: View::default(),
                inheritance: Inheritance::None,
                report,
                rewrite: false,
            });
        };
        let objects = !directory.storage().capabilities().append_after_sync;
        describe(&mut report, log, objects);
        report.clean &= found.begun.is_none();
        report.cut = report.cut.or(begun(found, log.next()));
        refuse(directory, &report, options)?;
        let mut segments: Vec<Arc<Segment>> =
            log.links.iter().map(|link| Arc::new(link.segment(directory))).collect();
        // An object was published whole or not at all.
        let proven = if objects { log.verdict.end } else { log.proven() };
        segments.push(Arc::new(log.segment(directory, log.verdict.end, proven)));
        let rewrite = !objects && !log.verdict.is_proven();
        let durable_next = if rewrite { proven_next(directory, log)? } else { log.next() };
        Ok(Self {
            appender: Appender::new(log.next(), log.first_retained, log.metadata.clone(), log.time()),
            durable_next,
            view: View::new(segments, Arc::default()),
            inheritance: Inheritance::End(if objects { behind(log)? } else { beginning(directory, log)? }),
            report,
            rewrite,
        })
    }

    /// For reading what is left of a damaged log.
    pub(crate) fn of_remains(directory: &Arc<Directory>, left: &Remains) -> Result<Self, LogError> {
        let lost = left.lost();
        let verdict = &left.verdict;
        let next = verdict.next.unwrap_or(left.first_retained);
        let head = left.parts.last().map(|part| &part.inspected);
        let report = RecoveryReport {
            segments: left.parts.len(),
            first: Some(left.first_retained),
            next: Some(next),
            proven: head.map(|head| position(head, verdict.proven.max(FIRST_FRAME))),
            dead: left.dead.clone(),
            unused: left.unused.clone(),
            strangers: left.listing.strangers.clone(),
            lost: lost.iter().map(Lost::finding).collect(),
            ..RecoveryReport::default()
        };
        let newest = left.parts.len().saturating_sub(1);
        let durable = |at: usize, end: u64| if at == newest { verdict.proven.max(FIRST_FRAME) } else { end };
        let of = |(at, part): (usize, &Part)| Arc::new(part.segment(directory, durable(at, part.end)));
        let segments = left.parts.iter().enumerate().map(of).collect();
        let time = verdict.last.map_or(0, |last| last.time);
        Ok(Self {
            appender: Appender::new(next, left.first_retained, left.metadata.clone(), time),
            durable_next: next,
            view: View::new(segments, Arc::new(lost)),
            inheritance: Inheritance::None,
            report,
            rewrite: false,
        })
    }
}

/// In the strict mode anything to cut is an error.
fn refuse(directory: &Directory, report: &RecoveryReport, options: &Options) -> Result<(), LogError> {
    let Some(cut) = report.cut.filter(|_| options.recovery == RecoveryMode::Refuse) else { return Ok(()) };
    let path = directory.path(FileName::Segment(cut.at.segment));
    let Cut { at: Position { offset, .. }, next, frames_beyond, .. } = cut;
    TornTailSnafu { path, offset, next, frames_beyond }.fail()
}

/// A segment whose opening is torn: what was written into it was never proven.
fn begun(found: &Found, next: Lsn) -> Option<Cut> {
    let (segment, frames_beyond, bytes) = found.begun?;
    Some(Cut { at: Position { segment, offset: FIRST_FRAME }, next, bytes, frames_beyond })
}

fn describe(report: &mut RecoveryReport, log: &FoundLog, objects: bool) {
    let verdict = &log.verdict;
    report.segments = log.links.len() + 1;
    report.first = Some(log.first_retained);
    report.next = Some(log.next());
    report.clean = verdict.is_closed() || objects;
    let proven = if objects { verdict.end } else { log.proven() };
    report.proven = Some(position(&log.head, proven));
    report.cut = verdict.dirty.then(|| Cut {
        at: position(&log.head, verdict.end),
        next: log.next(),
        bytes: verdict.dirty_end.saturating_sub(verdict.end),
        frames_beyond: verdict.beyond.is_some(),
    });
}

/// How the next segment goes on from the end that was found: behind the last proven place of the newest segment,
/// carrying what follows it; in the place of the whole segment when nothing in it is proven, or when it is small.
fn beginning(directory: &Arc<Directory>, log: &FoundLog) -> Result<Beginning, LogError> {
    let end = log.verdict.end;
    let source = || Arc::new(log.segment(directory, end, 0));
    let proven = log.verdict.proven;
    if proven == 0 || end <= SUPERSEDE_LEN {
        let from = FIRST_FRAME + log.head.opening_len;
        let carried = Some(Carried { source: source(), from, to: end, len: end - from, until: None });
        let predecessor = log.head.opening.as_ref().and_then(|opening| opening.predecessor);
        return Ok(Beginning { base: log.base(), predecessor, carried });
    }
    let source = source();
    let mark = frame_at(&source, proven)?;
    let predecessor = frame_before(&source, proven, mark.prev_units)?;
    let carried =
        Some(Carried { source: Arc::clone(&source), from: proven, to: end, len: end - proven, until: None });
    Ok(Beginning {
        base: source.base().plus(u64::from(mark.lsn_delta)),
        predecessor: Some(predecessor),
        carried,
    })
}

/// A segment that follows the newest one.
fn behind(log: &FoundLog) -> Result<Beginning, LogError> {
    let gone = || SegmentError::Missing { path: log.head.path.clone() };
    let last = log.verdict.last.ok_or_else(|| LogError::segment("read the end of the log", gone()))?;
    let predecessor = Predecessor {
        segment: log.head.header.segment,
        salt: log.head.header.salt,
        end: log.verdict.end,
        last_header_crc: last.header_crc,
        last_units: last.units,
    };
    Ok(Beginning { base: log.next(), predecessor: Some(predecessor), carried: None })
}

/// The LSN at the last proven place.
fn proven_next(directory: &Arc<Directory>, log: &FoundLog) -> Result<Lsn, LogError> {
    if log.verdict.proven == 0 {
        return Ok(log.base());
    }
    let source = log.segment(directory, log.verdict.end, 0);
    let mark = frame_at(&source, log.verdict.proven)?;
    Ok(source.base().plus(u64::from(mark.lsn_delta)))
}

/// The header of a frame that the scan found valid.
fn frame_at(segment: &Segment, offset: u64) -> Result<FrameHeader, LogError> {
    let failed = |source| LogError::segment("read the end of the log", source);
    let frame = FrameReader::new(FRAME_HEADER_LEN as u64).read(segment, offset).map_err(failed)?;
    let gone = || SegmentError::Frame { path: segment.path().to_owned(), offset, source: FrameFault::End };
    frame.map(|frame| frame.header).ok_or_else(|| failed(gone()))
}

/// The end of a segment at `end`, where the last frame has this length.
pub(crate) fn frame_before(segment: &Segment, end: u64, units: u32) -> Result<Predecessor, LogError> {
    let offset = end.saturating_sub(u64::from(units) * 8);
    let header = frame_at(segment, offset)?;
    let bytes = header.encode(segment.key(), offset);
    Ok(Predecessor {
        segment: segment.id(),
        salt: segment.header().salt,
        end,
        last_header_crc: bytes.first_chunk::<4>().map_or(0, |crc| u32::from_le_bytes(*crc)),
        last_units: units,
    })
}

impl Engine {
    /// Recovery's last step: what the operating system may have held only in memory is written anew, before anybody is
    /// told that it is there. Returns how many entries that were.
    fn rewrite_end(&self) -> Result<u64, LogError> {
        let mut appender = self.appender.lock();
        let from = self.marks.durable_next();
        self.begin_first(&mut appender, 0)?;
        self.marks.set_durable(0, appender.next);
        Ok(appender.next.since(from).unwrap_or(0))
    }
}
