//! A file of a storage with a bug.

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use wal_format::{FIRST_FRAME, FrameHeader, FrameKind, Lsn, SegmentHeader};
use wal_segment::StorageFile;

use super::{Bug, Process, frames};

#[derive(Debug)]
pub(super) struct PlantedFile {
    inner: Arc<dyn StorageFile>,
    process: Arc<Process>,
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    header: Option<SegmentHeader>,
    /// Syncs so far; the first ends the preparation.
    syncs: u64,
    /// Frames were written before an opening.
    has_copies: bool,
    has_opening: bool,
    /// Where the data ends.
    end: u64,
    /// Kinds of the frames since the last sync.
    kinds: Vec<FrameKind>,
    /// Writes that were put off.
    held: Vec<(u64, Vec<u8>)>,
}

impl State {
    fn note(&mut self, frames: &[(usize, FrameHeader)], end: u64) {
        for (_, frame) in frames {
            self.has_copies |= frame.kind != FrameKind::Opening && !self.has_opening;
            self.has_opening |= frame.kind == FrameKind::Opening;
            self.kinds.push(frame.kind);
        }
        if !frames.is_empty() {
            self.end = self.end.max(end);
        }
    }
}

/// What becomes of a sync.
enum Fate {
    Done,
    Dropped,
    PutOff,
}

impl PlantedFile {
    pub(super) fn new(inner: Arc<dyn StorageFile>, process: Arc<Process>) -> Self {
        Self { inner, process, state: Mutex::default() }
    }

    fn state(&self) -> State {
        self.state.lock().unwrap().clone()
    }

    /// Writes what was put off.
    fn catch_up(&self) -> io::Result<()> {
        let held = std::mem::take(&mut self.state.lock().unwrap().held);
        held.iter().try_for_each(|(offset, bytes)| self.inner.write_at(*offset, bytes))
    }

    fn hold(&self, offset: u64, bytes: &[u8]) {
        self.state.lock().unwrap().held.push((offset, bytes.to_vec()));
    }

    /// Writes frames as a log with the bug would.
    fn write_frames(&self, offset: u64, data: &[u8], header: &SegmentHeader) -> io::Result<()> {
        let (before, now) = {
            let mut state = self.state.lock().unwrap();
            let before = state.clone();
            let frames = frames::frames(data, header.key(), offset);
            state.note(&frames, offset + data.len() as u64);
            (before, state.clone())
        };
        let opens = now.has_opening && !before.has_opening;
        let bug = self.process.bug;
        let (writes, has_metadata) = {
            let mut state = self.process.state.lock().unwrap();
            state.active = Some((Arc::clone(&self.inner), offset + data.len() as u64));
            state.writes += 1;
            state.has_metadata |= now.kinds.contains(&FrameKind::Metadata);
            (state.writes, state.has_metadata)
        };
        match bug {
            Bug::OpeningFirst if !now.has_opening => self.hold(offset, data),
            Bug::OpeningFirst if opens && now.has_copies => {
                self.inner.write_at(offset, data)?;
                self.inner.sync()?;
                self.catch_up()?;
            }
            Bug::HalfSync => {
                self.catch_up()?;
                let (first, second) = data.split_at(data.len() / 2);
                self.hold(offset + first.len() as u64, second);
                self.inner.write_at(offset, first)?;
            }
            Bug::ShortWrite if data.len() > 4096 => self.inner.write_at(offset, &data[..data.len() / 2])?,
            Bug::Hole if !opens && writes % 5 == 4 => {}
            Bug::ClaimsUnsynced => {
                let mut state = self.process.state.lock().unwrap();
                let data = frames::claiming(data, header.key(), offset, &mut state.crcs, |_| true);
                drop(state);
                self.inner.write_at(offset, &data)?;
            }
            Bug::OpeningProvesItself => {
                let mut state = self.process.state.lock().unwrap();
                let claims = |at| !now.has_opening && !before.has_copies && at == 0;
                let data = frames::claiming(data, header.key(), offset, &mut state.crcs, claims);
                drop(state);
                self.inner.write_at(offset, &data)?;
            }
            Bug::RemovalBeforeTrim => {
                if let Some(first) = frames::trims_to(data, header.key(), offset) {
                    self.process.remove_below(first)?;
                }
                self.inner.write_at(offset, data)?;
            }
            Bug::TrimPastCursors if !has_metadata => self.inner.write_at(offset, data)?,
            Bug::TrimOneTooMany | Bug::TrimPastCursors => {
                let bases = self.process.bases()?;
                let further = |first: Lsn| match bug {
                    Bug::TrimPastCursors => bases.last().copied().unwrap_or(first).max(first),
                    _ => bases.iter().copied().find(|base| *base > first).unwrap_or(first),
                };
                let data = frames::trimming(data, header.key(), offset, further);
                self.inner.write_at(offset, &data)?;
            }
            Bug::FullIsWhole => {
                let written = self.inner.write_at(offset, data);
                return written.or_else(|error| {
                    if error.kind() == io::ErrorKind::StorageFull { Ok(()) } else { Err(error) }
                });
            }
            _ => self.inner.write_at(offset, data)?,
        }
        Ok(())
    }

    fn fate(&self, state: &State) -> Fate {
        let prepares = state.syncs == 0;
        let has = |kind| state.kinds.contains(&kind);
        let (dropped, put_off) = match self.process.bug {
            Bug::HeaderNotSynced => (prepares, false),
            _ if prepares => (false, false),
            Bug::NoSync => (true, false),
            Bug::OpeningBeforeCopies => (!state.has_opening, false),
            Bug::TailNotSynced => (state.has_copies && state.syncs <= 2, false),
            Bug::EarlyAcknowledgement => (false, true),
            // Where a log is opened in a segment of its own making, the opening is synced alone.
            Bug::RemovalBeforeOpening => (false, state.kinds == [FrameKind::Opening]),
            Bug::OpeningBeforeSeal => (false, has(FrameKind::Seal)),
            _ => (false, false),
        };
        match (dropped, put_off) {
            (true, _) => Fate::Dropped,
            (false, true) => Fate::PutOff,
            (false, false) => Fate::Done,
        }
    }

    /// The bytes as a reader with the bug sees them.
    fn image(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.inner.len()? as usize];
        let read = self.inner.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        let Some(header) = frames::header(0, &bytes) else { return Ok(bytes) };
        Ok(match self.process.bug {
            Bug::BodiesUnchecked => frames::with_any_body(bytes, header.key()),
            _ => frames::with_any_salt(bytes, header.key()),
        })
    }

    fn is_imagined(&self) -> bool {
        matches!(self.process.bug, Bug::BodiesUnchecked | Bug::SaltIgnored)
    }
}

impl StorageFile for PlantedFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if self.is_imagined() {
            let image = self.image()?;
            let rest = image.get(offset as usize..).unwrap_or(&[]);
            let len = rest.len().min(buf.len());
            buf[..len].copy_from_slice(&rest[..len]);
            return Ok(len);
        }
        let read = match self.inner.read_at(offset, buf) {
            Err(error)
                if self.process.bug == Bug::ErrorIsEnd && error.kind() != io::ErrorKind::BrokenPipe =>
            {
                return Ok(0);
            }
            read => read?,
        };
        if self.process.bug == Bug::StaleReads {
            let fresh = 4096_u64.saturating_sub(offset).min(read as u64) as usize;
            buf[fresh..read].fill(0);
        }
        Ok(read)
    }

    fn next_data(&self, offset: u64) -> io::Result<Range<u64>> {
        // What is imagined need not be zeros where the file is.
        if self.is_imagined() { Ok(offset..u64::MAX) } else { self.inner.next_data(offset) }
    }

    fn view(&self, range: Range<u64>) -> io::Result<Bytes> {
        let view = self.inner.view(range.clone())?;
        if !self.is_imagined() || range.is_empty() {
            return Ok(view);
        }
        let image = self.image()?;
        let seen = image.get(range.start as usize..range.end as usize);
        seen.map(Bytes::copy_from_slice).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.process.bug {
            Bug::EarlyAcknowledgement | Bug::RemovalBeforeOpening => {
                self.process.settle()?;
            }
            _ => {}
        }
        if let Some(header) = frames::header(offset, data) {
            self.state.lock().unwrap().header = Some(header);
        }
        match self.state().header {
            Some(header) if offset >= FIRST_FRAME => self.write_frames(offset, data, &header),
            _ => self.inner.write_at(offset, data),
        }
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.inner.reserve(len)?;
        if matches!(self.process.bug, Bug::StrayBlocks | Bug::SaltIgnored) {
            let stray = self.process.oldest()?;
            let end = stray.len().min(len as usize);
            self.inner.write_at(FIRST_FRAME, stray.get(FIRST_FRAME as usize..end).unwrap_or(&[]))?;
        }
        Ok(())
    }

    fn freeze(&self, end: u64) {
        self.inner.freeze(end.min(64));
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.inner.punch(range)
    }

    fn sync(&self) -> io::Result<()> {
        let state = self.state();
        match self.fate(&state) {
            Fate::Dropped => {}
            Fate::PutOff => self.process.owe(&self.inner),
            Fate::Done => match (self.inner.sync(), self.process.bug) {
                (Err(_), Bug::SyncTriedAgain) if state.syncs > 0 => self.inner.sync()?,
                (Err(error), Bug::PoisonForgotten)
                    if state.syncs > 0 && error.kind() != io::ErrorKind::BrokenPipe => {}
                (result, _) => result?,
            },
        }
        match self.process.bug {
            Bug::HalfSync => self.catch_up()?,
            Bug::SealBeforeName if state.kinds.contains(&FrameKind::Seal) => self.process.settle_names()?,
            // Of two files, the newer one was first.
            Bug::OpeningBeforeSeal if state.kinds.contains(&FrameKind::Opening) => self.process.settle()?,
            _ => {}
        }
        let mut state = self.state.lock().unwrap();
        state.syncs += 1;
        state.kinds.clear();
        Ok(())
    }
}
