//! Writing what is queued, and syncing what is written.

mod parts;

use std::{collections::VecDeque, mem, sync::Arc};

use parking_lot::MutexGuard;
use wal_format::Lsn;
use wal_segment::{Segment, SegmentError};

use self::parts::Parts;
use crate::{
    LogError,
    appender::Appender,
    chunk::Chunk,
    engine::Engine,
    error::ClosedSnafu,
    events::{self, Span, Start},
    marks::Tick,
    patience::Patience,
    stats::add,
};

/// Once so much of a segment is written and not durable, the log's own thread syncs it. What is left to sync when the
/// log goes on in the next segment is little then: appends wait for that.
const BACKLOG: u64 = 8 << 20;
/// A chunk that is not longer stays in flight when it was written: the next write uses its place again.
const SMALL: usize = 4 << 10;

/// How far the files are written. Guarded by the lock that serialises writing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer {
    progress: Option<Progress>,
    /// Objects that are on their way, oldest first, and perhaps have arrived.
    uploads: VecDeque<Progress>,
    /// What is being written; kept for its memory.
    pub(crate) chunks: Vec<Arc<Chunk>>,
}

/// A point up to which everything is written.
#[derive(Clone, Debug)]
struct Progress {
    segment: Arc<Segment>,
    end: u64,
    tick: Tick,
    next: Lsn,
    last_frame: u64,
    /// How many bytes were written until then, since the log was opened.
    bytes: u64,
}

impl Engine {
    /// Writes and syncs everything that was appended before the call. Tells threads that watch, and leaves tasks to the
    /// caller.
    pub(crate) fn sync_once(&self) -> Result<(), LogError> {
        let _span = Span::flush(&self.directory);
        add(&self.stats.rounds, 1);
        let synced = self.write_and_sync();
        self.watch.wake_threads_moved(self.marks.durable_next());
        synced
    }

    fn write_and_sync(&self) -> Result<(), LogError> {
        let (written, pending) = {
            let mut writer = self.writer.lock();
            self.settle();
            let written = self.write(&mut writer, true);
            (written, writer.pending())
        };
        if self.poisoned().is_some() {
            return written;
        }
        // What did reach the file is made durable even if there was no space for the rest.
        self.sync_in_order(&pending)?;
        written?;
        if self.options.sync.interval().is_some() {
            self.appender.lock().syncing_since = None;
        }
        self.wake_driver(false);
        Ok(())
    }

    /// Writes everything that was appended before the call.
    pub(crate) fn write_pending(&self) -> Result<(), LogError> {
        let mut writer = self.writer.lock();
        self.settle();
        let written = self.write(&mut writer, false);
        self.written(writer, written)
    }

    /// Tells those who watch, now that the lock is not needed any more.
    pub(crate) fn written<T>(
        &self,
        writer: MutexGuard<'_, Writer>,
        written: Result<T, LogError>,
    ) -> Result<T, LogError> {
        drop(writer);
        self.tell_moved();
        written
    }

    /// Tells those who watch of a write or a sync, which may have ended the log.
    pub(crate) fn tell_moved(&self) {
        match self.is_poisoned() {
            false => self.watch.wake_moved(self.marks.durable_next()),
            true => self.watch.wake(),
        }
    }

    /// Returns when `tick` is with the operating system. Of many threads that wait here, the first writes for all.
    pub(crate) fn write_up_to(&self, tick: Tick) -> Result<(), LogError> {
        if self.marks.written() >= tick {
            return Ok(());
        }
        let mut writer = self.writer.lock();
        // Whoever had the lock may have written for all.
        if self.marks.written() >= tick {
            return Ok(());
        }
        self.settle();
        let written = self.write(&mut writer, false);
        self.written(writer, written)
    }

    /// Writes unless another thread is at it.
    pub(crate) fn write_if_free(&self) -> Result<(), LogError> {
        match self.writer.try_lock() {
            Some(mut writer) => {
                let written = self.write(&mut writer, false);
                self.written(writer, written)
            }
            None => Ok(()),
        }
    }

    /// Writes everything queued. With `for_sync` the entries count as being synced from here on.
    pub(crate) fn write(&self, writer: &mut Writer, for_sync: bool) -> Result<(), LogError> {
        if let Some(error) = self.poisoned() {
            return Err(error);
        }
        {
            // An object ends with its sync, and packs are frames of the object that they were counted for.
            let mut appender = match for_sync && self.objects {
                true => self.lock_settled(Patience::Endless)?,
                false => self.appender.lock(),
            };
            // What closing could not write stays where it is: another writer may have the log by now.
            if appender.closed && !appender.queue.is_empty() {
                return ClosedSnafu.fail();
            }
            if for_sync {
                appender.syncing_since = appender.oldest_unsynced();
                // Entries in packs are left for the next sync.
                let began = || u64::try_from(self.clock.monotonic().as_nanos()).unwrap_or(u64::MAX);
                appender.unsynced_since = (!appender.packs.is_empty()).then(began);
                self.end_object(&mut appender);
            }
            appender.take_queue(&mut writer.chunks);
            if for_sync {
                // What others have written is synced as well.
                let written = || self.marks.written();
                self.marks.set_syncing(writer.chunks.last().map_or_else(written, |last| last.tick));
            }
        }
        self.write_taken(writer, None, for_sync).map(drop)
    }

    /// Writes what was taken out of the queue, for a sync that follows or not; the first write began at `start`, or
    /// begins now. Says when the last one ended.
    pub(crate) fn write_taken(
        &self,
        writer: &mut Writer,
        start: Option<Start>,
        for_sync: bool,
    ) -> Result<Option<Start>, LogError> {
        let mut chunks = mem::take(&mut writer.chunks);
        let write = || self.write_chunks(writer, &chunks, start, for_sync);
        let (written, result) = self.or_poison("write entries", write);
        if result.is_ok() && matches!(&*chunks, [chunk] if chunk.bytes.len() <= SMALL) {
            // Readers find the frames in the file from now on, before they look here.
            chunks.clear();
        } else if !chunks.is_empty() {
            self.appender.lock().landed(&mut chunks, written);
        }
        writer.chunks = chunks;
        result
    }

    /// Writes and syncs everything while no append can come in between: both locks are held throughout, and there are
    /// no packs.
    pub(crate) fn drain(&self, writer: &mut Writer, appender: &mut Appender) -> Result<(), LogError> {
        if let Some(error) = self.poisoned() {
            return Err(error);
        }
        self.end_object(appender);
        let mut chunks = Vec::new();
        appender.take_queue(&mut chunks);
        // A sync follows, but that of others may be under way: nothing is begun that could fail beside it.
        let write = || self.write_chunks(writer, &chunks, None, false);
        let (written, result) = self.or_poison("write entries", write);
        appender.landed(&mut chunks, written);
        result?;
        self.sync_in_order(&writer.pending())?;
        (appender.unsynced_since, appender.syncing_since) = (None, None);
        Ok(())
    }

    /// Writes chunks in order. Says how many were written, and when the last write ended.
    fn write_chunks(
        &self,
        writer: &mut Writer,
        chunks: &[Arc<Chunk>],
        mut start: Option<Start>,
        for_sync: bool,
    ) -> (usize, Result<Option<Start>, LogError>) {
        let mut ended = None;
        let mut parts = Parts::new(chunks, for_sync && !self.objects);
        for (at, chunk) in chunks.iter().enumerate() {
            match self.write_chunk(writer, chunk, start.take(), &mut parts) {
                Ok(end) => ended = Some(end),
                Err(error) => return (at, Err(error)),
            }
        }
        (chunks.len(), Ok(ended))
    }

    fn write_chunk(
        &self,
        writer: &mut Writer,
        chunk: &Chunk,
        mut start: Option<Start>,
        parts: &mut Parts,
    ) -> Result<Start, LogError> {
        if let Some(before) = writer.progress.take_if(|before| !Arc::ptr_eq(&before.segment, &chunk.segment))
        {
            // Nothing of a segment is written before the one before it, seal included, is durable. Objects may arrive
            // in any order; they count in theirs.
            if self.objects {
                return self
                    .upload(writer, before)
                    .and_then(|()| self.write_chunk(writer, chunk, None, parts));
            }
            self.sync_progress(&before)?;
            self.sealed.lock().push((before.segment, before.last_frame));
            self.ask_for_chores();
            start = None;
        }
        let start = start.unwrap_or_else(|| Start::now(&*self.clock));
        let wrote = self.write_parts(chunk, parts)?;
        let end = if wrote { Start::now(&*self.clock) } else { start };
        if wrote {
            self.stats.write_duration.record_alone(start.ns_until(end));
        }
        let bytes = self.stats.wrote(chunk.bytes.len());
        chunk.segment.mark_written(chunk.end(), &chunk.bytes, &chunk.points);
        self.marks.advance_written(chunk.tick, chunk.next);
        self.marks.set_filed(chunk.next);
        events::written(&chunk.segment, chunk.offset, chunk.bytes.len(), chunk.next);
        // That of the same segment, if there is one: the others were taken out above.
        let segment = match writer.progress.take() {
            Some(before) => before.segment,
            None => Arc::clone(&chunk.segment),
        };
        let Chunk { tick, next, last_frame, .. } = *chunk;
        writer.progress = Some(Progress { segment, end: chunk.end(), tick, next, last_frame, bytes });
        // What a sync is about to cover is its own: the thread would only wait for it, and count as one that appends.
        let is_left = !self.objects && !parts.is_synced;
        if is_left && chunk.end().saturating_sub(chunk.segment.durable()) >= BACKLOG {
            self.hasten_sync();
        }
        Ok(end)
    }

    /// Want of space leaves the frames in memory, to be written again at the same places once there is some. After any
    /// other error the content of the file is unknown.
    pub(crate) fn write_failed(&self, error: SegmentError) -> LogError {
        add(&self.stats.write_errors, 1);
        if error.is_full() {
            LogError::segment("write entries", error)
        } else {
            self.poison("write entries", error)
        }
    }

    /// Syncs what is not durable yet, in order.
    fn sync_in_order(&self, pending: &[Progress]) -> Result<(), LogError> {
        let pending = pending.iter().filter(|progress| progress.tick > self.marks.durable());
        if self.objects {
            pending.clone().for_each(|progress| progress.segment.begin_sync());
        }
        pending.clone().try_for_each(|progress| self.sync_progress(progress))
    }

    /// Sends an object on its way, and waits for the oldest one if there are too many.
    fn upload(&self, writer: &mut Writer, object: Progress) -> Result<(), LogError> {
        writer.uploads.retain(|upload| upload.tick > self.marks.durable());
        if writer.uploads.len() >= self.options.uploads
            && let Some(oldest) = writer.uploads.front()
        {
            self.sync_progress(oldest)?;
            writer.uploads.pop_front();
        }
        object.segment.begin_sync();
        writer.uploads.push_back(object);
        Ok(())
    }

    fn sync_progress(&self, progress: &Progress) -> Result<(), LogError> {
        let start = Start::now(&*self.clock);
        let synced = self.or_poison("sync entries", || progress.segment.sync());
        synced.map_err(|error| {
            add(&self.stats.sync_errors, 1);
            self.poison("sync entries", error)
        })?;
        let took = start.elapsed_ns(&*self.clock);
        events::synced(&progress.segment, progress.end, progress.next, took / 1000);
        let frames = progress.tick.saturating_sub(self.marks.durable());
        self.stats.synced(progress.bytes, frames, took);
        progress.segment.mark_durable(progress.end);
        if self.objects {
            self.note_published(progress.segment.id(), progress.end);
        }
        self.marks.set_durable(progress.tick, progress.next);
        Ok(())
    }
}

impl Writer {
    /// What is written and perhaps not durable, in order.
    fn pending(&self) -> Vec<Progress> {
        self.uploads.iter().chain(&self.progress).cloned().collect()
    }

    /// Forgets the segment written last, because the log goes on in one that is already durable.
    pub(crate) fn forget(&mut self) -> Option<(Arc<Segment>, u64)> {
        self.progress.take().map(|progress| (progress.segment, progress.last_frame))
    }
}
