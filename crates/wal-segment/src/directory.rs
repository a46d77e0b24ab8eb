//! The files of one log in a storage: listing, preparing, removing.

use std::{io, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use snafu::ResultExt;
use wal_format::{FileName, IndexPoint, Lsn, SegmentHeader, SegmentId, SegmentIndex, SegmentIndexRef};

use crate::{
    BySegment, Capabilities, Filling, INDEX_STRIDE, Inspected, Storage, StorageFile,
    error::{IoSnafu, SegmentError},
    tiered::STUB,
};

/// More than the fixed part of a sidecar.
const INDEX_FIXED_LEN: u64 = 128;

/// A shorter index is not worth a mapping of its own.
const LENT_MIN: u64 = 64 << 10;

/// The files that lie in a log's storage, by what their names say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Segments, ascending.
    pub segments: Vec<SegmentId>,
    /// Index sidecars, ascending.
    pub indexes: Vec<SegmentId>,
    /// Segments whose preparation was cut short, ascending.
    pub preparing: Vec<SegmentId>,
    /// Names that are not ours. Never touched.
    pub strangers: Vec<String>,
}

/// One log's files in a [`Storage`].
#[derive(Clone, Debug)]
pub struct Directory {
    storage: Arc<dyn Storage>,
    prefix: String,
    /// What was read of objects, which never change.
    inspected: Arc<Mutex<BySegment<Inspected>>>,
}

impl Directory {
    /// The files in `storage` whose names start with `prefix`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, prefix: &str) -> Self {
        Self { storage, prefix: prefix.to_owned(), inspected: Arc::default() }
    }

    /// The storage underneath.
    #[must_use]
    pub const fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Says that the headers of these segments will be read soon.
    pub fn prefetch(&self, segments: &[SegmentId]) {
        let name = |id: &SegmentId| FileName::Segment(*id).with_prefix(&self.prefix);
        let known = self.inspected.lock();
        let names: Vec<_> = segments.iter().filter(|id| known.get(**id).is_none()).map(name).collect();
        drop(known);
        self.storage.prefetch(&names);
    }

    /// What [`inspect`](crate::inspect) found before, where files never change once they can be read.
    pub(crate) fn known(&self, id: SegmentId) -> Option<Inspected> {
        self.inspected.lock().get(id).cloned()
    }

    pub(crate) fn remember(&self, inspected: &Inspected) {
        if !self.storage.capabilities().append_after_sync {
            self.inspected.lock().insert(inspected.header.segment, inspected.clone());
        }
    }

    /// The path of a file, for messages.
    #[must_use]
    pub fn path(&self, name: FileName) -> String {
        format!("{}/{}", self.storage.location(), name.with_prefix(&self.prefix))
    }

    /// Lists what is there.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`].
    pub fn list(&self) -> Result<Listing, SegmentError> {
        let location = || IoSnafu { operation: "list", path: self.storage.location() };
        let mut listing = Listing::default();
        for name in self.storage.list().with_context(|_| location())? {
            match FileName::parse(&name, &self.prefix) {
                Some(FileName::Segment(id)) => listing.segments.push(id),
                Some(FileName::Index(id)) => listing.indexes.push(id),
                Some(FileName::Preparing(id)) => listing.preparing.push(id),
                None => listing.strangers.push(name),
            }
        }
        listing.segments.sort_unstable();
        listing.indexes.sort_unstable();
        listing.preparing.sort_unstable();
        self.inspected.lock().retain(|id| listing.segments.binary_search(&id).is_ok());
        listing.strangers.sort_unstable();
        Ok(listing)
    }

    /// Makes a segment file that is ready to be appended to: its header is durable before it gets its name (which is
    /// durable after [`sync_names`](Self::sync_names)), and the space of its first `capacity` bytes is there. With
    /// `zero_fill` that space is written, so that later durable writes into it change no metadata of the file system.
    /// Where files are published whole by their first sync nothing is durable yet.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`]; nothing is left behind under the final name then.
    pub fn prepare(
        &self,
        header: &SegmentHeader,
        capacity: u64,
        zero_fill: bool,
    ) -> Result<Arc<dyn StorageFile>, SegmentError> {
        let Capabilities { append_after_sync, file_len_max, .. } = self.storage.capabilities();
        if !append_after_sync {
            return self.begin_object(header, capacity <= file_len_max);
        }
        let mut filling = self.begin(header, capacity, zero_fill)?;
        filling.fill_alone(capacity)?;
        filling.finish()
    }

    /// Begins what [`prepare`](Self::prepare) does: a file without its final name, of which nothing is filled yet.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`]; nothing is left behind then.
    pub fn begin(
        &self,
        header: &SegmentHeader,
        capacity: u64,
        zero_fill: bool,
    ) -> Result<Filling, SegmentError> {
        Filling::begin(self, header, capacity, zero_fill)
    }

    /// A file that is published whole needs no name of its own before, and no space. Whether it may become as long as
    /// it is to be is known before anything is written to it.
    fn begin_object(&self, header: &SegmentHeader, fits: bool) -> Result<Arc<dyn StorageFile>, SegmentError> {
        let name = FileName::Segment(header.segment);
        let path = || self.path(name);
        if !fits {
            let too_long = Err(io::ErrorKind::FileTooLarge.into());
            return too_long.with_context(|_| IoSnafu { operation: "prepare", path: path() });
        }
        let file = self
            .storage
            .create(&name.with_prefix(&self.prefix))
            .with_context(|_| IoSnafu { operation: "create", path: path() })?;
        file.write_at(0, &header.encode())
            .with_context(|_| IoSnafu { operation: "prepare", path: path() })?;
        Ok(file)
    }

    /// A new file for a segment that is being prepared, in the place of one whose preparation was cut short.
    pub(crate) fn create_preparing(&self, id: SegmentId) -> io::Result<Arc<dyn StorageFile>> {
        let name = FileName::Preparing(id).with_prefix(&self.prefix);
        match self.storage.create(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.storage.remove(&name)?;
                self.storage.create(&name)
            }
            created => created,
        }
    }

    /// Gives a prepared segment its name.
    pub(crate) fn name(&self, id: SegmentId) -> io::Result<()> {
        let [from, to] = [FileName::Preparing(id), FileName::Segment(id)];
        self.storage.rename(&from.with_prefix(&self.prefix), &to.with_prefix(&self.prefix))
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`].
    pub fn open(&self, name: FileName) -> Result<Arc<dyn StorageFile>, SegmentError> {
        self.open_file(name).with_context(|_| IoSnafu { operation: "open", path: self.path(name) })
    }

    /// The beginning of a file, if it was read ahead.
    pub(crate) fn head(&self, name: FileName) -> Option<Bytes> {
        self.storage.head(&name.with_prefix(&self.prefix))
    }

    pub(crate) fn open_file(&self, name: FileName) -> io::Result<Arc<dyn StorageFile>> {
        self.storage.open(&name.with_prefix(&self.prefix))
    }

    /// Whether there is a note beside the log that a tier has the segment: it is there although it is not here.
    #[must_use]
    pub fn has_note(&self, segment: SegmentId) -> bool {
        let name = FileName::Segment(segment).with_prefix(&self.prefix);
        self.storage.open(&format!("{name}{STUB}")).is_ok()
    }

    /// Length of a segment's file in bytes; `None` when it cannot be asked.
    #[must_use]
    pub fn len_of(&self, segment: SegmentId) -> Option<u64> {
        self.open_file(FileName::Segment(segment)).ok()?.len().ok()
    }

    /// How many bytes the medium keeps for a segment's file; `None` when it cannot be asked.
    #[must_use]
    pub fn space_of(&self, segment: SegmentId) -> Option<u64> {
        self.open_file(FileName::Segment(segment)).ok()?.space().ok()
    }

    /// Removes a file; that it is gone already is no error. Durable after [`sync_names`](Self::sync_names).
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`].
    pub fn remove(&self, name: FileName) -> Result<(), SegmentError> {
        match self.storage.remove(&name.with_prefix(&self.prefix)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.with_context(|_| IoSnafu { operation: "remove", path: self.path(name) }),
        }
    }

    /// Makes creations, renames and removals so far durable.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`].
    pub fn sync_names(&self) -> Result<(), SegmentError> {
        self.storage
            .sync_names()
            .with_context(|_| IoSnafu { operation: "sync the directory", path: self.storage.location() })
    }

    /// Writes the index sidecar of a segment. Not synced: it is a hint, and a torn one does not verify. Where files are
    /// published whole there are none: a request for each would cost more than they gain.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`]; the log does without.
    pub fn write_index(&self, index: &SegmentIndex) -> Result<(), SegmentError> {
        if !self.storage.capabilities().append_after_sync {
            return Ok(());
        }
        let name = FileName::Index(index.segment);
        self.remove(name)?;
        self.storage
            .create(&name.with_prefix(&self.prefix))
            .and_then(|file| file.write_at(0, &index.encode()))
            .with_context(|_| IoSnafu { operation: "write", path: self.path(name) })
    }

    /// Reads the index sidecar of a segment that is at most `end` bytes long; `None` when there is none that verifies
    /// and belongs to it. A file that is longer than the index of such a segment can be is not read.
    #[must_use]
    pub fn read_index(&self, of: &SegmentHeader, end: u64) -> Option<SegmentIndex> {
        let (file, len) = self.index_file(of, end)?;
        let bytes = copy(&*file, len)?;
        let index = SegmentIndexRef::parse(&bytes).ok()?;
        belongs(&index, of).then(|| index.to_owned())
    }

    /// The bytes of that index's [points](IndexPoint::decode), if the segment begins at `base` and they ascend: where
    /// the storage lends bytes, those of its file.
    pub(crate) fn lend_index(&self, of: &SegmentHeader, base: Lsn, end: u64) -> Option<Bytes> {
        let (file, len) = self.index_file(of, end)?;
        let bytes = if len < LENT_MIN { copy(&*file, len)? } else { file.view(0..len).ok()? };
        let index = SegmentIndexRef::parse(&bytes).ok()?;
        let points = index.points.iter().map(|point| IndexPoint::decode(*point));
        let is_right = belongs(&index, of) && index.base == base && points.is_sorted_by(ascends);
        is_right.then(|| bytes.slice_ref(index.points.as_flattened()))
    }

    fn index_file(&self, of: &SegmentHeader, end: u64) -> Option<(Arc<dyn StorageFile>, u64)> {
        if !self.storage.capabilities().append_after_sync {
            return None;
        }
        let file = self.open(FileName::Index(of.segment)).ok()?;
        let points_max = end / INDEX_STRIDE + 2;
        let len = file.len().ok().filter(|len| *len <= INDEX_FIXED_LEN + 8 * points_max)?;
        Some((file, len))
    }
}

fn copy(file: &dyn StorageFile, len: u64) -> Option<Bytes> {
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    let read = file.read_at(0, &mut bytes).ok()?;
    bytes.truncate(read);
    Some(bytes.into())
}

/// Whether an index is that of the file with this header.
fn belongs(index: &SegmentIndexRef<'_>, of: &SegmentHeader) -> bool {
    (index.log_id, index.segment, index.salt) == (of.log_id, of.segment, of.salt)
}

/// Whether one point of an index may follow another.
const fn ascends(one: &IndexPoint, next: &IndexPoint) -> bool {
    one.lsn_delta <= next.lsn_delta && one.units < next.units
}

#[cfg(test)]
mod tests {
    use wal_format::{ChecksumKind, LogId, Lsn};

    use super::*;
    use crate::MemoryStorage;

    fn header() -> SegmentHeader {
        SegmentHeader {
            checksum: ChecksumKind::Crc32,
            ignorable_flags: 0,
            log_id: LogId([1; 16]),
            segment: SegmentId(7),
            epoch: 1,
            salt: 5,
            created: 0,
        }
    }

    fn index_of(header: &SegmentHeader, points: &[IndexPoint]) -> SegmentIndex {
        let SegmentHeader { log_id, segment, salt, .. } = *header;
        let points = points.to_vec();
        SegmentIndex { log_id, segment, salt, end: 1 << 16, base: Lsn::FIRST, last_frame: 1 << 15, points }
    }

    /// What it says of the end and of its points is true of one file alone, not of another one that has its name.
    #[test]
    fn a_sidecar_belongs_to_one_file() {
        let directory = Directory::new(Arc::new(MemoryStorage::new()), "");
        let (header, index) = (header(), index_of(&header(), &[]));
        directory.write_index(&index).unwrap();
        assert_eq!(directory.read_index(&header, 1 << 16), Some(index.clone()));
        let others = [
            SegmentHeader { salt: 6, ..header },
            SegmentHeader { log_id: LogId([2; 16]), ..header },
            SegmentHeader { segment: SegmentId(8), ..header },
        ];
        for other in others {
            // Under the name that is looked for.
            let name = FileName::Index(other.segment).with_prefix("");
            drop(directory.storage().remove(&name));
            directory.storage().create(&name).unwrap().write_at(0, &index.encode()).unwrap();
            assert_eq!(directory.read_index(&other, 1 << 16), None, "{other:?}");
        }
    }

    /// What is lent is searched as it stands: whatever else has a right checksum is none.
    #[test]
    fn an_index_is_lent_to_its_segment_if_its_points_ascend() {
        let directory = Directory::new(Arc::new(MemoryStorage::new()), "");
        let header = header();
        let at = |lsn_delta, units| IndexPoint { lsn_delta, units };
        let index = |points: &[IndexPoint]| index_of(&header, points);
        let lent = |index: &SegmentIndex, base| {
            directory.write_index(index).unwrap();
            directory.lend_index(&header, base, 1 << 16)
        };
        let good = index(&[at(0, 64), at(0, 200), at(3, 400)]);
        let points = lent(&good, Lsn::FIRST).unwrap();
        assert_eq!(points[..], good.encode()[80..]);
        assert_eq!(lent(&good, Lsn::FIRST.next()), None, "another base");
        assert_eq!(lent(&SegmentIndex { salt: 6, ..good.clone() }, Lsn::FIRST), None, "another file");
        assert_eq!(lent(&SegmentIndex { log_id: LogId([2; 16]), ..good }, Lsn::FIRST), None, "another log");
        for points in [[at(1, 64), at(0, 200)], [at(0, 64), at(1, 64)], [at(0, 200), at(1, 64)]] {
            assert_eq!(lent(&index(&points), Lsn::FIRST), None, "{points:?}");
        }
    }
}
