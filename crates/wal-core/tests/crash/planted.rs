//! Bugs, planted: between the log and the disk, a storage does what a log with that bug would do.
//!
//! It sees every byte with its place and every name, reads the frames among them, and leaves out, delays, swaps or
//! changes what the bug is about. The log itself is the real one, and knows of nothing.

mod file;
mod frames;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
};

use file::PlantedFile;
use wal_format::Lsn;
use wal_segment::{Capabilities, Storage, StorageFile, WriterLock};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing, for comparison.
    None,
    /// Files are not synced, once they are prepared.
    NoSync,
    /// What a sync is waited for comes with the next operation.
    EarlyAcknowledgement,
    /// A sync covers only the first half of the last write.
    HalfSync,
    /// The directory is not synced, once the first segment is there.
    NoNameSync,
    /// The directory is synced before a segment gets its name, and not after.
    NamesBeforeRename,
    /// A segment gets its name before its header is synced.
    HeaderNotSynced,
    /// A segment is sealed before its successor's name is durable.
    SealBeforeName,
    /// The successor is opened before the sealed segment is synced.
    OpeningBeforeSeal,
    /// The opening is written before what was copied is synced.
    OpeningBeforeCopies,
    /// The opening is written first, and the copies after it.
    OpeningFirst,
    /// What reopening copies is not synced by it.
    TailNotSynced,
    /// Files are removed before the trim that permits it is synced.
    RemovalBeforeTrim,
    /// Files are removed before the opening that replaces them is synced.
    RemovalBeforeOpening,
    /// One file more than those is removed.
    OneTooMany,
    /// A trim names the end of the oldest segment that is to stay.
    TrimOneTooMany,
    /// Where there are cursors, trims go as far as they can, whoever stands in the way.
    TrimPastCursors,
    /// A sync that failed is tried again.
    SyncTriedAgain,
    /// A sync that failed is forgotten.
    PoisonForgotten,
    /// A write that met a full disk is taken for whole.
    FullIsWhole,
    /// A long write is cut in the middle.
    ShortWrite,
    /// One of several writes never happens.
    Hole,
    /// Who prepares a segment writes zeros into the one in use.
    FillerOverAppender,
    /// Frames claim what was not synced.
    ClaimsUnsynced,
    /// What follows an opening claims it before it is written.
    OpeningProvesItself,
    /// The two halves of a transaction are committed one after the other. The rig does this one by itself.
    CommitInParts,
    /// What a batch changes in the metadata is changed behind its entries. The rig does this one by itself.
    ValueApart,
    /// An entry is acknowledged once it is in a pack. The rig does this one by itself.
    PackAcknowledged,
    /// Anybody may write.
    NoLock,
    /// Bodies are believed without a look at their checksums.
    BodiesUnchecked,
    /// No bug of the log: new files hold what the oldest one does, as blocks that went astray would.
    StrayBlocks,
    /// The same, and frames of other files are believed.
    SaltIgnored,
    /// Reads show zeros behind the first page.
    StaleReads,
    /// A read error is the end of the file.
    ErrorIsEnd,
    /// A frame of another log is appended whatever its checksum says. The rig does this one by itself.
    ReceivedUnchecked,
    /// A replay drains a batch that was not accepted.
    DrainsRefused,
}

/// What all files of one process share.
#[derive(Debug)]
struct Process {
    bug: Bug,
    inner: Arc<dyn Storage>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    names_synced: bool,
    /// Files whose sync was put off.
    owed: Vec<Arc<dyn StorageFile>>,
    names_owed: bool,
    /// The file written to last, and where that write ended.
    active: Option<(Arc<dyn StorageFile>, u64)>,
    writes: u64,
    /// Values, checkpoints or cursors were written.
    has_metadata: bool,
    /// What became of the header checksums of frames that were changed.
    crcs: HashMap<u32, u32>,
}

impl Process {
    /// Does the syncs that were put off.
    fn settle(&self) -> io::Result<()> {
        let owed = std::mem::take(&mut self.state.lock().unwrap().owed);
        owed.iter().try_for_each(|file| file.sync())
    }

    fn settle_names(&self) -> io::Result<()> {
        let owed = std::mem::take(&mut self.state.lock().unwrap().names_owed);
        if owed { self.inner.sync_names() } else { Ok(()) }
    }

    /// The segments, oldest first.
    fn segments(&self) -> io::Result<Vec<String>> {
        let mut names = self.inner.list()?;
        names.retain(|name| name.ends_with(".wal"));
        names.sort_unstable();
        Ok(names)
    }

    fn content(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.inner.open(name)?;
        let mut bytes = vec![0; file.len()? as usize];
        let read = file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// The content of the oldest segment.
    fn oldest(&self) -> io::Result<Vec<u8>> {
        self.segments()?.first().map_or(Ok(Vec::new()), |name| self.content(name))
    }

    /// Removes the segments that end before this entry.
    fn remove_below(&self, first: Lsn) -> io::Result<()> {
        for pair in self.segments()?.windows(2) {
            if frames::base(&self.content(&pair[1])?).is_some_and(|base| base <= first) {
                self.inner.remove(&pair[0])?;
            }
        }
        self.inner.sync_names()
    }

    /// The LSNs that the segments count from, oldest first.
    fn bases(&self) -> io::Result<Vec<Lsn>> {
        let mut bases = Vec::new();
        for name in self.segments()? {
            bases.extend(frames::base(&self.content(&name)?));
        }
        Ok(bases)
    }

    fn owe(&self, file: &Arc<dyn StorageFile>) {
        self.state.lock().unwrap().owed.push(Arc::clone(file));
    }
}

/// A storage with a bug.
#[derive(Debug)]
struct Planted(Arc<Process>);

/// Plants a bug between a log and its storage.
pub(crate) fn plant(inner: Arc<dyn Storage>, bug: Bug) -> Arc<dyn Storage> {
    Arc::new(Planted(Arc::new(Process { bug, inner, state: Mutex::default() })))
}

impl Planted {
    fn file(&self, inner: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        Arc::new(PlantedFile::new(inner, Arc::clone(&self.0)))
    }

    /// The segment after this one, unless it is the newest.
    fn next_segment(&self, name: &str) -> Option<String> {
        let mut names = self.0.segments().ok()?;
        names.pop();
        names.into_iter().find(|other| other.as_str() > name)
    }
}

impl Storage for Planted {
    fn location(&self) -> String {
        self.0.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.inner.capabilities()
    }

    fn lock(&self) -> io::Result<WriterLock> {
        if self.0.bug == Bug::NoLock {
            return Ok(WriterLock { epoch: None, guard: Box::new(()) });
        }
        self.0.inner.lock()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.inner.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.0.inner.create(name).map(|file| self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.0.inner.open(name).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        match self.0.bug {
            Bug::NamesBeforeRename => self.0.inner.sync_names()?,
            Bug::EarlyAcknowledgement => self.0.settle()?,
            _ => {}
        }
        self.0.inner.rename(from, to)?;
        let active = self.0.state.lock().unwrap().active.clone();
        if self.0.bug == Bug::FillerOverAppender
            && let Some((file, end)) = active
        {
            let start = end.saturating_sub(4096).max(512);
            file.write_at(start, &vec![0; (end - start) as usize])?;
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if self.0.bug == Bug::EarlyAcknowledgement {
            self.0.settle()?;
        }
        if self.0.bug == Bug::OneTooMany
            && name.ends_with(".wal")
            && let Some(next) = self.next_segment(name)
        {
            self.0.inner.remove(&next)?;
        }
        self.0.inner.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        let again = {
            let mut state = self.0.state.lock().unwrap();
            state.names_owed |= self.0.bug == Bug::SealBeforeName && state.active.is_some();
            std::mem::replace(&mut state.names_synced, true)
        };
        match self.0.bug {
            Bug::NoNameSync if again => Ok(()),
            Bug::NamesBeforeRename => Ok(()),
            Bug::SealBeforeName if self.0.state.lock().unwrap().names_owed => Ok(()),
            Bug::RemovalBeforeOpening => {
                self.0.inner.sync_names()?;
                self.0.settle()
            }
            _ => self.0.inner.sync_names(),
        }
    }
}
