//! The index of a segment that readers search while its writer adds to it, or that stays in its file.

mod filed;

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use wal_format::{IndexPoint, hint_frame};

use self::filed::Filed;
use crate::{local::fetch, sparse::SparseIndex};

/// Room for points in the first piece; each one after it has twice as much.
const FIRST: usize = 64;
/// Beside the units of a point, of which a segment of 16 GiB has fewer: whether the stretch behind it is even.
const EVEN: u32 = 1 << 31;
/// Together they have room for more points than a segment can have.
const PIECES: usize = 26;

/// Points in ascending order of LSN and offset. They are only added, behind those that are there, and never move:
/// whoever searches them takes no lock.
#[derive(Debug, Default)]
pub(crate) struct Points {
    /// Points before this one may be read: it is stored after them and loaded before them.
    len: AtomicUsize,
    /// How many points there are to an LSN, in units of 2⁻³²: where a point is expected costs no division.
    pace: AtomicU64,
    words: Words,
}

/// Where the points are, each in one word.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an index is in a box")]
enum Words {
    /// In memory, where more can be added.
    Growing {
        pieces: [OnceLock<Box<[AtomicU64]>>; PIECES],
        adding: Mutex<()>,
    },
    Filed(Filed),
}

impl Default for Words {
    fn default() -> Self {
        Self::Growing { pieces: Default::default(), adding: Mutex::default() }
    }
}

/// Where an entry is: between a point and the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) from: IndexPoint,
    pub(crate) to: Option<IndexPoint>,
    /// Whether it is known that its frames hold one entry each and are equally long.
    pub(crate) even: bool,
    /// Which point it begins with.
    nth: usize,
}

impl Stretch {
    /// How many frames there are, and the length of each in bytes, if each holds one entry and all are equally long;
    /// zero if that cannot be.
    #[inline]
    pub(crate) fn frames(&self) -> (u32, u64) {
        let Some(to) = self.to else { return (0, 0) };
        let (frames, units) =
            (to.lsn_delta.wrapping_sub(self.from.lsn_delta), to.units.wrapping_sub(self.from.units));
        match (units.checked_div(frames), units.checked_rem(frames)) {
            (Some(len), Some(0)) => (frames, u64::from(len) * 8),
            _ => (0, 0),
        }
    }

    /// Its part of some bytes that begin at `offset` of the segment.
    fn within<'a>(&self, bytes: &'a [u8], offset: u64) -> Option<&'a [u8]> {
        let at = |point: IndexPoint| usize::try_from(point.offset().checked_sub(offset)?).ok();
        bytes.get(at(self.from)?..at(self.to?)?)
    }

    /// Whether its frames, which are `bytes`, hold one entry each and are equally long. Nothing of them is verified:
    /// what lengths say, from one that is known to begin a frame, is believed no further than to find an entry that is.
    pub(crate) fn is_even(&self, bytes: &[u8]) -> bool {
        let (frames, len) = self.frames();
        let is_next = |(nth, rest): (u32, &[u8])| {
            let delta = self.from.lsn_delta.wrapping_add(nth);
            hint_frame(rest)
                .is_some_and(|hint| hint.frame_len == len && hint.count == 1 && hint.lsn_delta == delta)
        };
        let whole = len > 0 && u64::from(frames) * len == bytes.len() as u64;
        whole && usize::try_from(len).is_ok_and(|len| (0..).zip(bytes.chunks(len)).all(is_next))
    }
}

impl Points {
    /// These points, with no room for more.
    pub(crate) fn of(points: &[IndexPoint]) -> Self {
        let pieces = <[OnceLock<Box<[AtomicU64]>>; PIECES]>::default();
        let points = points.split(|point| point.units >= EVEN).next().unwrap_or(&[]);
        let mut rest = points;
        for (nth, piece) in pieces.iter().enumerate() {
            if rest.is_empty() {
                break;
            }
            let (here, behind) = rest.split_at(rest.len().min(FIRST << nth));
            let _ = piece.set(here.iter().map(|point| AtomicU64::new(word(*point))).collect());
            rest = behind;
        }
        let len = points.len() - rest.len();
        let pace = AtomicU64::new(pace(len, points.last().map_or(0, |point| point.lsn_delta)));
        let words = Words::Growing { pieces, adding: Mutex::default() };
        Self { len: AtomicUsize::new(len), pace, words }
    }

    /// Those before `end` of the points of a sidecar, which verifies, and where they ascend.
    pub(crate) fn filed(points: Bytes, end: u64) -> Self {
        Self::of_file(Filed::new(points), end)
    }

    fn of_file(filed: Filed, end: u64) -> Self {
        let len = filed.before(end);
        let last = len.checked_sub(1).and_then(|at| filed.get(at)).map_or(0, |word| point_of(word).lsn_delta);
        let (len, pace) = (AtomicUsize::new(len), AtomicU64::new(pace(len, last)));
        Self { len, pace, words: Words::Filed(filed) }
    }

    /// Those of them before an `end`, with no room for more.
    pub(crate) fn until(&self, end: u64) -> Self {
        match &self.words {
            Words::Growing { .. } => Self::of(SparseIndex::from_points(self.to_vec(), end).points()),
            Words::Filed(filed) => Self::of_file(filed.anew(), end),
        }
    }

    /// Whether they are those of a sidecar: others, maybe, than when that was verified.
    pub(crate) const fn are_filed(&self) -> bool {
        matches!(self.words, Words::Filed(_))
    }

    /// Whether their file has more of them.
    pub(crate) fn are_cut(&self) -> bool {
        let len = self.len.load(Ordering::Relaxed);
        if let Words::Filed(filed) = &self.words { filed.has_more_than(len) } else { false }
    }

    /// Adds points behind those that are there, as far as there is room: what is left out costs time when it is looked
    /// for. `frames` are those around them, from `offset` on.
    pub(crate) fn extend(&self, points: &[IndexPoint], frames: &[u8], offset: u64) {
        let Words::Growing { pieces, adding } = &self.words else { return };
        let _adding = adding.lock();
        let mut len = self.len.load(Ordering::Relaxed);
        for (nth_point, point) in points.iter().enumerate() {
            let stretch =
                Stretch { from: *point, to: points.get(nth_point + 1).copied(), even: false, nth: len };
            let even = stretch.within(frames, offset).is_some_and(|bytes| stretch.is_even(bytes));
            let (nth, at) = place(len);
            let Some(piece) = pieces.get(nth) else { break };
            let piece = piece.get_or_init(|| (0..FIRST << nth).map(|_| AtomicU64::new(0)).collect());
            let Some(slot) = piece.get(at).filter(|_| point.units < EVEN) else { break };
            slot.store(word(*point) | if even { u64::from(EVEN) } else { 0 }, Ordering::Relaxed);
            len += 1;
            self.pace.store(pace(len, point.lsn_delta), Ordering::Relaxed);
        }
        self.len.store(len, Ordering::Release);
    }

    /// Remembers what was found out about a stretch, for as long as there is this index: what is written never changes.
    pub(crate) fn note_even(&self, stretch: &Stretch) {
        let pieces = match &self.words {
            Words::Growing { pieces, .. } => pieces,
            Words::Filed(filed) => return filed.note_even(stretch.nth),
        };
        let (nth, at) = place(stretch.nth);
        if let Some(slot) = pieces.get(nth).and_then(|piece| piece.get()?.get(at)) {
            slot.fetch_or(u64::from(EVEN), Ordering::Relaxed);
        }
    }

    /// From the last point at or before an entry on.
    pub(crate) fn around(&self, lsn_delta: u32) -> Option<Stretch> {
        let len = self.len.load(Ordering::Acquire);
        let guess = self.guess(lsn_delta, len);
        self.near(guess, lsn_delta, len).or_else(|| self.search(guess, lsn_delta, len))
    }

    /// Has the points around an entry fetched into the caches.
    #[inline]
    pub(crate) fn touch(&self, lsn_delta: u32) {
        // Four are looked at, which may be in two cache lines.
        let first = self.guess(lsn_delta, self.len.load(Ordering::Acquire)).saturating_sub(1);
        let pieces = match &self.words {
            Words::Growing { pieces, .. } => pieces,
            Words::Filed(filed) => {
                [first, first + 3].iter().filter_map(|at| filed.place(*at)).for_each(fetch);
                return;
            }
        };
        let (nth, at) = place(first);
        if let Some(slot) = pieces.get(nth).and_then(|piece| piece.get()?.get(at..)) {
            slot.first().iter().for_each(|slot| fetch(*slot));
            slot.get(3).iter().for_each(|slot| fetch(*slot));
        }
    }

    /// Among the points next to the guess, without a branch that depends on which of them it is.
    #[inline]
    fn near(&self, guess: usize, lsn_delta: u32, len: usize) -> Option<Stretch> {
        let first = guess.saturating_sub(1);
        let words = match &self.words {
            Words::Growing { pieces, .. } => {
                let (nth, at) = place(first);
                let slots = pieces.get(nth)?.get()?.get(at..)?.first_chunk::<4>()?;
                slots.each_ref().map(|slot| slot.load(Ordering::Relaxed))
            }
            Words::Filed(filed) => filed.four(first)?,
        };
        let before = words.map(|word| (word >> 32) as u32 <= lsn_delta);
        if first + 4 > len || !before[0] || before[3] {
            return None;
        }
        let chosen = usize::from(before[1]) + usize::from(before[2]);
        let noted = if let Words::Filed(filed) = &self.words { filed.even_at(first + chosen) } else { 0 };
        Some(stretch(first + chosen, *words.get(chosen)? | noted, words.get(chosen + 1).copied()))
    }

    fn search(&self, guess: usize, lsn_delta: u32, len: usize) -> Option<Stretch> {
        let beyond = |at: usize| self.get(at).is_none_or(|word| (word >> 32) as u32 > lsn_delta);
        // Entries of similar length make points that lie evenly: the guess is mostly next to the answer, and a search
        // that widens around it misses the cache twice instead of a dozen times.
        let (mut low, mut high) = (guess, guess);
        let mut step = 1;
        while low > 0 && beyond(low) {
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 1;
        while high < len && !beyond(high) {
            high = (high + step).min(len);
            step *= 2;
        }
        // The first point beyond it is at `low` or behind, and at `high` at the latest.
        while low < high {
            let middle = low.midpoint(high);
            if beyond(middle) { high = middle } else { low = middle + 1 }
        }
        let nth = low.checked_sub(1)?;
        Some(stretch(nth, self.get(nth)?, if low < len { self.get(low) } else { None }))
    }

    /// Where the point would be if all lay evenly. Whatever else it is, it is within what is there.
    #[inline]
    fn guess(&self, lsn_delta: u32, len: usize) -> usize {
        let guess = u64::from(lsn_delta).wrapping_mul(self.pace.load(Ordering::Relaxed)) >> 32;
        (guess as usize).min(len.saturating_sub(1))
    }

    #[inline]
    fn get(&self, at: usize) -> Option<u64> {
        let pieces = match &self.words {
            Words::Growing { pieces, .. } => pieces,
            Words::Filed(filed) => return filed.get(at),
        };
        let (nth, at) = place(at);
        Some(pieces.get(nth)?.get()?.get(at)?.load(Ordering::Relaxed))
    }

    /// The last point.
    pub(crate) fn last(&self) -> Option<IndexPoint> {
        let len = self.len.load(Ordering::Acquire);
        self.get(len.checked_sub(1)?).map(point_of)
    }

    /// All points.
    pub(crate) fn to_vec(&self) -> Vec<IndexPoint> {
        let len = self.len.load(Ordering::Acquire);
        (0..len).map_while(|at| self.get(at)).map(point_of).collect()
    }
}

/// How many points there are to an LSN, of so many points up to this LSN, in units of 2⁻³².
fn pace(len: usize, last: u32) -> u64 {
    ((len.saturating_sub(1) as u64) << 32) / u64::from(last).max(1)
}

/// The piece that a point is in, and where.
#[inline]
const fn place(at: usize) -> (usize, usize) {
    let nth = (at / FIRST + 1).ilog2() as usize;
    (nth, at + FIRST - (FIRST << nth))
}

/// A point in one word, so that it is read whole.
fn word(point: IndexPoint) -> u64 {
    u64::from(point.lsn_delta) << 32 | u64::from(point.units)
}

#[inline]
const fn point_of(word: u64) -> IndexPoint {
    IndexPoint { lsn_delta: (word >> 32) as u32, units: word as u32 & !EVEN }
}

#[inline]
fn stretch(nth: usize, from: u64, to: Option<u64>) -> Stretch {
    let even = from as u32 & EVEN != 0;
    Stretch { from: point_of(from), to: to.map(point_of), even, nth }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::sparse::point;

    #[test]
    fn the_guess_does_not_change_the_answer() {
        // Uneven on purpose: equal deltas (control frames), jumps, dense and sparse stretches.
        let deltas = [0, 0, 1, 2, 3, 3, 3, 900, 901, 1000, 5000, 5001, 5002, 70_000, 70_000];
        let points: Vec<_> = deltas.iter().zip(64..).map(|(delta, n)| point(*delta, n * 8)).collect();
        let filed = |len: usize| in_a_file(&points, (64 + len as u64) * 8);
        for (len, index) in
            (0..=points.len()).flat_map(|len| [(len, Points::of(&points[..len])), (len, filed(len))])
        {
            for delta in (0..6000).chain(69_990..70_010).chain([u32::MAX]) {
                let plain = points[..len].partition_point(|point| point.lsn_delta <= delta);
                let want = plain.checked_sub(1).map(|at| (points[at], points[..len].get(plain).copied()));
                let found = index.around(delta).map(|found| (found.from, found.to));
                assert_eq!(found, want, "{len} {delta}");
                index.touch(delta);
            }
            assert_eq!(index.to_vec(), points[..len]);
            assert_eq!(index.last(), points[..len].last().copied());
            for end in 0..=len {
                assert_eq!(index.until((64 + end as u64) * 8).to_vec(), points[..end]);
            }
        }
    }

    /// The same points, as they stand in a file.
    fn in_a_file(points: &[IndexPoint], end: u64) -> Points {
        let words = points.iter().flat_map(|point| [point.lsn_delta, point.units]);
        Points::filed(words.flat_map(u32::to_le_bytes).collect(), end)
    }

    #[test]
    fn what_is_noted_of_points_in_a_file_is_of_each() {
        let points: Vec<_> = (0..200).map(|n| point(n, 64 + u64::from(n) * 1024)).collect();
        let index = in_a_file(&points, u64::MAX);
        for noted in [0, 63, 64, 150] {
            index.note_even(&index.around(noted).unwrap());
        }
        let even = (0..200).filter(|delta| index.around(*delta).unwrap().even);
        assert_eq!(even.collect::<Vec<_>>(), [0, 63, 64, 150]);
        assert_eq!(index.to_vec(), points);
        // There is no room for more.
        index.extend(&[point(300, 1 << 20)], &[], 0);
        assert_eq!(index.to_vec(), points);
        let (far, last) = (IndexPoint { units: EVEN, ..points[199] }, points[198]);
        let mut beyond = points;
        beyond[199] = far;
        assert_eq!(in_a_file(&beyond, u64::MAX).last(), Some(last), "units that a word cannot hold");
    }

    /// They were verified, and may have become anything since.
    #[test]
    fn points_that_are_noise_lead_somewhere() {
        let mut seed = 1_u64;
        let mut noise = || {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (seed >> 32) as u32
        };
        for round in 0..600 {
            let shift = round % 32;
            let len = noise() % 300;
            let words: Vec<u32> = (0..2 * len).map(|_| noise() >> shift).collect();
            let bytes: Bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>().into();
            let index = Points::filed(bytes, u64::MAX);
            index.len.store(len as usize, Ordering::Relaxed);
            index.pace.store(u64::from(noise()) << (round % 33), Ordering::Relaxed);
            for _ in 0..50 {
                let delta = noise() >> shift;
                index.touch(delta);
                if let Some(found) = index.around(delta) {
                    let (frames, len) = found.frames();
                    assert!(u64::from(frames).checked_mul(len).is_some());
                    assert!(!found.is_even(&[0; 1000]));
                    index.note_even(&found);
                }
            }
            assert!(index.until(u64::from(noise())).to_vec().len() <= len as usize);
        }
    }

    #[test]
    fn pieces_hold_what_was_added_in_order() {
        let points: Vec<_> = (0..1000).map(|n| point(n, 64 + u64::from(n) * 1024)).collect();
        for len in [0, 1, 63, 64, 65, 191, 192, 193, 1000] {
            let (whole, grown) = (Points::of(&points[..len]), Points::default());
            points[..len].chunks(7).for_each(|some| grown.extend(some, &[], 0));
            assert_eq!(whole.to_vec(), points[..len], "{len}");
            assert_eq!(grown.to_vec(), points[..len], "{len}");
        }
    }

    #[test]
    fn what_is_noted_of_a_stretch_does_not_change_its_points() {
        let points = [point(0, 64), point(4, 1088), point(6, 2112)];
        let index = Points::of(&points);
        let first = index.around(3).unwrap();
        assert_eq!((first.even, first.frames()), (false, (4, 256)));
        index.note_even(&first);
        assert_eq!(index.around(0).map(|first| first.even), Some(true));
        assert_eq!(index.around(4).map(|second| second.even), Some(false));
        assert_eq!(index.to_vec(), points);
    }

    #[test]
    fn readers_see_whole_points_while_more_are_added() {
        let index = Points::default();
        let of = |n: u32| point(n, 64 + u64::from(n) * 1024);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut seen = 0;
                    while seen < 50_000 {
                        let delta = seen;
                        if let Some(Stretch { from, to, .. }) = index.around(delta) {
                            assert!(from == of(from.lsn_delta) && from.lsn_delta <= delta);
                            assert!(to.is_none_or(|to| to == of(from.lsn_delta + 1)));
                            seen = seen.max(from.lsn_delta) + u32::from(from.lsn_delta == seen);
                        }
                    }
                });
            }
            (0..50_000).collect::<Vec<_>>().chunks(100).for_each(|some| {
                index.extend(&some.iter().map(|n| of(*n)).collect::<Vec<_>>(), &[], 0);
            });
        });
    }
}
