//! One file: what the medium holds of it, what reads show, and what lies between.

use std::{io, iter, ops::Range, sync::Arc};

use bytes::Bytes;

use crate::{choices::Fate, random::Rng};

/// What a disk writes at once.
pub(crate) const SECTOR_LEN: u64 = 512;
/// Longer files are refused: they are kept in memory, and an offset may be anything.
const FILE_LEN_MAX: u64 = 1 << 30;

/// A file.
///
/// - `durable` is what a power cut leaves at least; its length is the durable length.
/// - `cached` is what reads show, and never shorter than `durable`.
/// - Without failed syncs, `cached` is `durable` extended with zeros, with all of `pending` applied.
#[derive(Clone, Debug)]
pub(crate) struct Inode {
    pub(crate) name: Arc<str>,
    pub(crate) was_synced: bool,
    durable: Arc<Vec<u8>>,
    cached: Arc<Vec<u8>>,
    /// In order of issue.
    pending: Vec<Change>,
    /// Which sectors have space of their own.
    allocated: Vec<bool>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, data: Bytes },
    Punch(Range<u64>),
}

/// A part of a change that a power cut keeps or loses on its own.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    start: usize,
    end: usize,
    /// What is written; zeros when there is nothing.
    data: Option<&'a [u8]>,
}

impl Inode {
    /// A file with this durable content.
    pub(crate) fn new(name: Arc<str>, content: Vec<u8>) -> Self {
        let durable = Arc::new(content);
        let allocated = vec![true; sectors(&(0..durable.len() as u64)).len()];
        let cached = Arc::clone(&durable);
        Self { name, was_synced: false, durable, cached, pending: Vec::new(), allocated }
    }

    pub(crate) const fn durable(&self) -> &Arc<Vec<u8>> {
        &self.durable
    }

    pub(crate) const fn cached(&self) -> &Arc<Vec<u8>> {
        &self.cached
    }

    /// How many bytes of the disk it takes.
    pub(crate) fn space(&self) -> u64 {
        let sectors = self.allocated.iter().filter(|is_allocated| **is_allocated).count();
        (sectors as u64 * SECTOR_LEN).min(self.cached.len() as u64)
    }

    /// From `offset` on, the next sectors that are not zeros.
    pub(crate) fn next_data(&self, offset: u64) -> Range<u64> {
        let len = self.cached.len() as u64;
        let sectors = self.cached.chunks(SECTOR_LEN as usize).zip((0..).step_by(SECTOR_LEN as usize));
        let mut sectors = sectors
            .skip((offset / SECTOR_LEN) as usize)
            .map(|(bytes, start)| (start, *bytes == [0; SECTOR_LEN as usize][..bytes.len()]));
        let start = sectors.find(|(_, is_hole)| !is_hole).map_or(len, |(start, _)| start).max(offset);
        let end = sectors.find(|(_, is_hole)| *is_hole).map_or(len, |(end, _)| end).max(start);
        start..end
    }

    /// Whether a power cut can leave nothing but what reads show now.
    pub(crate) fn is_settled(&self) -> bool {
        Arc::ptr_eq(&self.durable, &self.cached)
    }

    pub(crate) fn allocated_len(&self) -> u64 {
        self.allocated.iter().filter(|&&is| is).count() as u64 * SECTOR_LEN
    }

    /// Changes what reads show; `range` was checked with [`check_range`].
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        let range = offset..offset + data.len() as u64;
        let cached = Arc::make_mut(&mut self.cached);
        grow(cached, range.end as usize);
        cached[range.start as usize..range.end as usize].copy_from_slice(data);
        self.allocate(&range);
        self.pending.push(Change::Write { offset, data: Bytes::copy_from_slice(data) });
    }

    /// The bytes of a write to `range` that find room in `free` bytes.
    pub(crate) fn fitting(&self, range: &Range<u64>, free: u64, copy_on_write: bool) -> u64 {
        let mut free = free / SECTOR_LEN;
        for sector in sectors(range) {
            if copy_on_write || !self.is_allocated(sector) {
                if free == 0 {
                    return (sector as u64 * SECTOR_LEN).saturating_sub(range.start);
                }
                free -= 1;
            }
        }
        range.end - range.start
    }

    pub(crate) fn reserve(&mut self, len: u64) {
        self.allocate(&(0..len));
        self.extend(len);
    }

    /// Grows the file without giving it space.
    pub(crate) fn extend(&mut self, len: u64) {
        if len > self.cached.len() as u64 {
            grow(Arc::make_mut(&mut self.cached), len as usize);
        }
    }

    pub(crate) fn punch(&mut self, range: &Range<u64>) {
        let range = range.start..range.end.min(self.cached.len() as u64);
        if range.is_empty() {
            return;
        }
        Arc::make_mut(&mut self.cached)[range.start as usize..range.end as usize].fill(0);
        let whole = range.start.div_ceil(SECTOR_LEN) as usize..(range.end / SECTOR_LEN) as usize;
        self.allocated.get_mut(whole).unwrap_or_default().fill(false);
        self.pending.push(Change::Punch(range));
    }

    pub(crate) fn sync(&mut self) {
        self.was_synced = true;
        if self.pending.is_empty() && self.durable.len() == self.cached.len() {
            return;
        }
        let durable = Arc::make_mut(&mut self.durable);
        grow(durable, self.cached.len());
        for change in self.pending.drain(..) {
            for piece in change.pieces() {
                piece.apply(durable, Fate::Kept);
            }
        }
    }

    /// Drops what is pending, after some of it was written when there is `chance` for it.
    pub(crate) fn fail_sync(&mut self, mut chance: Option<&mut Rng>, reverts: bool) {
        let pending = std::mem::take(&mut self.pending);
        for piece in pending.iter().flat_map(Change::pieces) {
            if chance.as_mut().is_some_and(|rng| rng.chance(128)) {
                piece.apply(Arc::make_mut(&mut self.durable), Fate::Kept);
            }
        }
        if reverts {
            let mut content = Vec::clone(&self.durable);
            grow(&mut content, self.cached.len());
            self.cached = Arc::new(content);
        }
    }

    /// How many pieces a power cut decides on.
    pub(crate) fn piece_count(&self) -> usize {
        self.pending.iter().map(|change| change.pieces().count()).sum()
    }

    /// The lengths worth telling apart after a power cut, ascending: the durable one, the present one, and every end of
    /// a pending piece between them.
    pub(crate) fn lens(&self) -> Vec<u64> {
        let (durable, cached) = (self.durable.len(), self.cached.len());
        let ends = self.pending.iter().flat_map(Change::pieces).map(|piece| piece.end);
        let mut lens: Vec<u64> = ends
            .filter(|end| (durable..cached).contains(end))
            .chain([durable, cached])
            .map(|len| len as u64)
            .collect();
        lens.sort_unstable();
        lens.dedup();
        lens
    }

    /// The file after a power cut that left `len` bytes, `fates` by piece, and the work of `fill` where nothing was
    /// written behind the durable length.
    pub(crate) fn cut(&self, len: u64, fates: &[Fate], fill: impl FnOnce(&mut [u8], usize)) -> Self {
        let len = len as usize;
        if fates.is_empty() && len == self.durable.len() {
            return self.after(Arc::clone(&self.durable));
        }
        let mut image = Vec::with_capacity(self.cached.len());
        image.extend_from_slice(&self.durable);
        image.resize(len, 0);
        fill(&mut image, self.durable.len());
        for (piece, &fate) in self.pending.iter().flat_map(Change::pieces).zip(fates) {
            piece.apply(&mut image, fate);
        }
        image.truncate(len);
        self.after(Arc::new(image))
    }

    /// The file as the power cut left it.
    fn after(&self, image: Arc<Vec<u8>>) -> Self {
        let mut allocated = self.allocated.clone();
        allocated.resize(sectors(&(0..image.len() as u64)).len(), false);
        Self {
            name: Arc::clone(&self.name),
            was_synced: self.was_synced,
            durable: Arc::clone(&image),
            cached: image,
            pending: Vec::new(),
            allocated,
        }
    }

    /// Flips a bit of the medium, and of what reads show unless it was written anew; `None` behind the durable length.
    pub(crate) fn flip_bit(&mut self, offset: u64, bit: u8) -> Option<()> {
        let at = usize::try_from(offset).ok().filter(|&at| at < self.durable.len())?;
        let mask = 1 << (bit % 8);
        let is_dirty =
            self.pending.iter().flat_map(Change::pieces).any(|piece| (piece.start..piece.end).contains(&at));
        let is_settled = self.is_settled();
        Arc::make_mut(&mut self.durable)[at] ^= mask;
        if is_settled {
            self.cached = Arc::clone(&self.durable);
        } else if !is_dirty {
            Arc::make_mut(&mut self.cached)[at] ^= mask;
        }
        Some(())
    }

    fn is_allocated(&self, sector: usize) -> bool {
        self.allocated.get(sector).is_some_and(|&is| is)
    }

    fn allocate(&mut self, range: &Range<u64>) {
        let sectors = sectors(range);
        if self.allocated.len() < sectors.end {
            self.allocated.resize(sectors.end, false);
        }
        self.allocated[sectors].fill(true);
    }
}

impl Change {
    /// A write in sectors; a hole is punched whole or not at all.
    fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let (range, data) = match self {
            Self::Write { offset, data } => (*offset..*offset + data.len() as u64, Some(&data[..])),
            Self::Punch(range) => (range.clone(), None),
        };
        let mut next = range.start;
        iter::from_fn(move || {
            let start = next;
            let sector_end = (start / SECTOR_LEN + 1) * SECTOR_LEN;
            next = if data.is_some() { sector_end.min(range.end) } else { range.end };
            let inside = (start - range.start) as usize..(next - range.start) as usize;
            (start < next).then(|| Piece {
                start: start as usize,
                end: next as usize,
                data: data.map(|data| &data[inside]),
            })
        })
    }
}

impl Piece<'_> {
    fn apply(&self, image: &mut Vec<u8>, fate: Fate) {
        let Some(data) = self.data else {
            let end = self.end.min(image.len());
            if !matches!(fate, Fate::Lost) {
                image.get_mut(self.start..end).unwrap_or_default().fill(0);
            }
            return;
        };
        if matches!(fate, Fate::Lost) {
            return;
        }
        grow(image, self.end);
        let place = &mut image[self.start..self.end];
        match fate {
            Fate::Torn(seed) => tear(place, data, &mut Rng::new(seed)),
            _ => place.copy_from_slice(data),
        }
    }
}

/// Overwrites some of the bytes: the first, the last, or any.
fn tear(place: &mut [u8], data: &[u8], rng: &mut Rng) {
    let at = rng.below(data.len() as u64 + 1) as usize;
    match rng.below(3) {
        0 => place[..at].copy_from_slice(&data[..at]),
        1 => place[at..].copy_from_slice(&data[at..]),
        _ => place.iter_mut().zip(data).filter(|_| rng.chance(128)).for_each(|(old, new)| *old = *new),
    }
}

/// The end of a range that starts at `offset`, unless the file would be too long.
pub(crate) fn check_range(offset: u64, len: u64) -> io::Result<Range<u64>> {
    let end = offset.checked_add(len).filter(|&end| end <= FILE_LEN_MAX);
    end.map(|end| offset..end).ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}

/// The numbers of the sectors that `range` touches.
fn sectors(range: &Range<u64>) -> Range<usize> {
    (range.start / SECTOR_LEN) as usize..range.end.div_ceil(SECTOR_LEN) as usize
}

fn grow(bytes: &mut Vec<u8>, len: usize) {
    if bytes.len() < len {
        bytes.resize(len, 0);
    }
}
