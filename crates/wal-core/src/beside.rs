//! A log that another process may be writing: opened without changing anything, and looked at again and again.

mod glance;
mod looking;

use std::{sync::Arc, time::Duration};

use parking_lot::MutexGuard;
use wal_segment::{Directory, Segment, SegmentError, SegmentSet};

use glance::{Glance, Known};
pub(crate) use looking::Looking;
use looking::{Look, Seen};

use crate::{
    LogError, Options, RecoveryMode,
    appender::Appender,
    begin::Inheritance,
    engine::{Engine, Parts},
    error::MissingLogSnafu,
    events::Span,
    open::{Environment, Start},
    recover::{self, Found},
    view::View,
};

/// A live writer may be between two steps when a reader looks; what looks like damage is looked at so often.
pub(crate) const READ_ATTEMPTS: usize = 10;

pub(crate) fn for_reading(environment: Environment, options: Options) -> Result<Arc<Engine>, LogError> {
    options.validate()?;
    let Environment { storage, clock, codecs, hooks, extras, .. } = environment;
    extras.check_codecs(&codecs)?;
    let directory = Arc::new(Directory::new(storage, &options.prefix));
    let span = Span::recovery(&directory);
    let now = clock.monotonic();
    let Looked { start, known } = look(&directory, &options, now)?;
    drop(span);
    let engine = Engine::new(Parts {
        options,
        codecs,
        directory,
        clock,
        preparer: None,
        look_again: Some(look_again),
        appender: start.appender,
        durable_next: start.durable_next,
        view: start.view,
        inheritance: Inheritance::None,
        report: start.report,
        fences: SegmentSet::default(),
        hooks,
        tier: None,
        extras,
    })?;
    engine.looking.remember(known);
    Ok(engine)
}

/// What a look at everything has found.
struct Looked {
    start: Start,
    /// What the next look can go on from.
    known: Option<Known>,
}

impl Looked {
    fn at(
        directory: &Arc<Directory>,
        found: &Found,
        options: &Options,
        now: Duration,
    ) -> Result<Self, LogError> {
        let start = Start::new(directory, found, options)?;
        let grows = directory.storage().capabilities().append_after_sync;
        let known = if grows { Known::of(found, start.durable_next, now) } else { None };
        Ok(Self { start, known })
    }
}

/// Reads the state of a log that a live writer may be changing: segments come and go, and a frame that is being written
/// looks torn. Only what stays wrong is wrong.
fn look(directory: &Arc<Directory>, options: &Options, now: Duration) -> Result<Looked, LogError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let found = recover::find_beside_a_writer(directory);
        match found.and_then(|found| Looked::at(directory, &found, options, now)) {
            Err(error) if attempts < READ_ATTEMPTS && may_pass(&error) => std::thread::yield_now(),
            Err(error) if options.recovery == RecoveryMode::ReadToDamage && is_loss(&error) => {
                let left = recover::remains(directory)?.map(|left| Start::of_remains(directory, &left));
                return left.map_or(Err(error), |start| Ok(Looked { start: start?, known: None }));
            }
            Ok(Looked { start, .. }) if start.report.next.is_none() => {
                return MissingLogSnafu { location: directory.storage().location() }.fail();
            }
            result => return result,
        }
    }
}

/// Damage around which the rest can be read; files of another log among ours are such, too.
fn is_loss(error: &LogError) -> bool {
    let foreign = matches!(error, LogError::Segment { source: SegmentError::Foreign { .. }, .. });
    error.is_damage() || foreign
}

fn may_pass(error: &LogError) -> bool {
    let gone = |source: &SegmentError| {
        source.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    match error {
        LogError::Segment { source, .. } => gone(source) || source.is_damage(),
        LogError::TornTail { .. } => true,
        error => error.is_damage(),
    }
}

/// For a log that is open for reading.
fn look_again(engine: &Engine) -> Result<(), LogError> {
    loop {
        let begun = engine.looking.begin();
        let now = engine.clock.monotonic();
        let known = engine.looking.known();
        if let Some(glance) = known.and_then(|known| known.glance(&engine.directory, now)) {
            let grown = match engine.newest(begun) {
                Taking::In(mut appender) => engine.take_in_more(&mut appender, glance),
                Taking::Nothing => None,
                Taking::Again => continue,
            };
            // Nobody waits for this, and it may fail: only to find something takes longer then.
            drop(grown.map(|segment| segment.index_more()));
            return Ok(());
        }
        let Looked { start, known } = look(&engine.directory, &engine.options, now)?;
        engine.payloads.learn(&start.appender.metadata);
        match engine.newest(begun) {
            Taking::In(mut appender) => {
                engine.take_in(&mut appender, start);
                engine.looking.remember(known);
            }
            Taking::Nothing => {}
            Taking::Again => continue,
        }
        return Ok(());
    }
}

/// What becomes of a look that is over.
enum Taking<'a> {
    /// It is what the log is from now on.
    In(MutexGuard<'a, Appender>),
    Nothing,
    Again,
}

impl Engine {
    /// For a log that is open for reading: takes in what a writer has done since. Nothing for others.
    pub(crate) fn look_again(&self) -> Result<(), LogError> {
        self.look_again.map_or(Ok(()), |look_again| look_again(self))
    }

    fn newest(&self, begun: Look) -> Taking<'_> {
        let appender = self.appender.lock();
        match self.looking.end(begun) {
            Seen::Newest => Taking::In(appender),
            Seen::Outdated => Taking::Nothing,
            Seen::Doubtful => Taking::Again,
        }
    }

    /// What a look has seen is the log from now on.
    fn take_in(&self, appender: &mut Appender, seen: Start) {
        let cut = self.view().cut_until(appender.next, &seen.view);
        // The end moves last: an entry that is promised can be found.
        self.view.store(Arc::new(seen.view));
        self.set_first_retained(seen.appender.first_retained);
        self.marks.set_durable(0, seen.durable_next);
        self.marks.set_written(0, seen.appender.next);
        self.marks.set_filed(seen.appender.next);
        self.marks.set_next(seen.appender.next);
        *appender = seen.appender;
        // Whoever has seen a part of this waits for the lock before asking.
        if let Some(next) = cut {
            self.looks.cut(next);
        }
    }

    /// The same of a look that read only what came. Returns the segment that has grown.
    fn take_in_more(&self, appender: &mut Appender, seen: Glance) -> Option<Arc<Segment>> {
        let Glance::More(known) = seen else { return None };
        let view = self.view();
        let segment = view.segments.last().filter(|last| last.id() == known.segment())?;
        let (written, durable) = known.ends();
        segment.grow(written, durable);
        if appender.metadata != *known.metadata() {
            self.payloads.learn(known.metadata());
            appender.metadata = known.metadata().clone();
        }
        self.marks.set_durable(0, known.durable_next());
        self.marks.set_written(0, known.next());
        self.marks.set_filed(known.next());
        self.marks.set_next(known.next());
        (appender.next, appender.time) = (known.next(), known.time());
        self.looking.remember(Some(*known));
        Some(Arc::clone(segment))
    }

    /// The view, after a file of an older one turned out to be gone.
    pub(crate) fn newer_view(&self) -> Result<Arc<View>, LogError> {
        self.look_again()?;
        Ok(self.view())
    }
}
