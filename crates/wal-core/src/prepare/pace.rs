//! How far the next segment is filled while the active one fills up.
//!
//! All of it at once would keep the medium busy for as long as hundreds of syncs take, each of which would wait. Bit by
//! bit, hardly any does.

use wal_segment::Filling;

/// Where syncs cover more than this, zeros cost the medium more time than they save the file system
/// (`docs/adr/0025`).
const MUCH: u64 = 192 << 10;
/// A segment that is not filled is not longer than this, unless it would hold only a few syncs.
const UNFILLED: u64 = 16 << 20;
/// Where syncs cover more than this, too many of them would have a step beside them if steps were short.
const LITTLE: u64 = 8 << 10;
/// So long are steps where syncs cover little: hardly any of them is late enough to be seen then.
const STEP_SHORT: u64 = Filling::STEP / 2;

/// Filling begins when this part of the active segment is full.
const BEFORE: u64 = 16;
/// It ends when this part is left, which is needed for the last sync and the name.
const BEHIND: u64 = 4;
/// More than this is never needed for them.
const BEHIND_MAX: u64 = 8 << 20;

/// What was written and synced since the log was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) syncs: u64,
}

impl Written {
    /// How many bytes a sync covered since `before`.
    pub(super) fn a_sync_since(self, before: Self) -> u64 {
        let syncs = self.syncs.saturating_sub(before.syncs).max(1);
        self.bytes.saturating_sub(before.bytes) / syncs
    }
}

/// Whether a segment should be filled at all, where a sync covers so many bytes.
pub(super) const fn pays(covered: u64) -> bool {
    covered <= MUCH
}

/// How long a segment should be at most that is not filled because of how much a sync covers.
pub(super) const fn unfilled_len(covered: u64) -> u64 {
    let many = covered.saturating_mul(16);
    if many > UNFILLED { many } else { UNFILLED }
}

/// How many bytes are filled at a time.
pub(super) const fn step(covered: u64) -> u64 {
    if covered > LITTLE { Filling::STEP } else { STEP_SHORT }
}

/// Up to where a segment of `capacity` bytes is full when there is something to do for the first time.
pub(crate) const fn begins_at(capacity: u64) -> u64 {
    capacity / BEFORE
}

/// How many of the `len` bytes of the next segment should be filled when the active one, of `capacity` bytes, is full
/// up to `offset`: whole steps, or all of them.
pub(super) fn due(offset: u64, capacity: u64, len: u64, step: u64) -> u64 {
    let (from, to) = span(capacity);
    if offset >= to {
        return len;
    }
    let due = scale(offset.saturating_sub(from), len, to - from);
    due - due % step
}

/// When the next step is due behind those `filled` bytes.
pub(super) fn next(filled: u64, capacity: u64, len: u64, step: u64) -> u64 {
    let (from, to) = span(capacity);
    let offset = scale(filled.saturating_add(step), to - from, len).saturating_add(from + 1);
    offset.min(to)
}

/// Where in the active segment the next one is filled.
const fn span(capacity: u64) -> (u64, u64) {
    let behind = capacity / BEHIND;
    (begins_at(capacity), capacity - if behind < BEHIND_MAX { behind } else { BEHIND_MAX })
}

/// A part of `len` as large as `part` is of `whole`.
fn scale(part: u64, len: u64, whole: u64) -> u64 {
    let scaled = u128::from(part) * u128::from(len) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_follows_step_until_all_is_filled() {
        const MIB: u64 = 1 << 20;
        for (capacity, len) in
            [(64 * MIB, 64 * MIB), (MIB, 4 * MIB), (16 * MIB, MIB), (4096, 8192), (16 << 30, 16 << 30)]
        {
            let (mut offset, mut filled, mut steps) = (capacity / BEFORE, 0, 0);
            assert_eq!(due(offset, capacity, len, Filling::STEP), 0);
            while filled < len {
                // As it changes what a sync covers.
                let step = if steps % 3 == 0 { Filling::STEP } else { STEP_SHORT };
                let at = next(filled, capacity, len, step);
                assert!(at > offset && at < capacity, "{capacity} {len}: {at}");
                let more = due(at, capacity, len, step);
                assert!(more > filled, "{capacity} {len}: nothing is due at {at}");
                assert!(more == len || more - filled <= 2 * step, "a step is a step");
                (offset, filled, steps) = (at, more, steps + 1);
            }
            assert!(steps <= len / STEP_SHORT + 1);
        }
    }

    #[test]
    fn whoever_is_late_is_told_to_catch_up() {
        assert_eq!(due(u64::MAX, 1 << 20, 4 << 20, Filling::STEP), 4 << 20);
        assert_eq!(due(0, 1 << 20, 4 << 20, Filling::STEP), 0);
        assert!(due(1 << 19, 1 << 20, 4 << 20, Filling::STEP) > 1 << 20);
    }

    #[test]
    fn how_a_segment_is_filled_depends_on_what_syncs_cover() {
        let before = Written { bytes: 1 << 20, syncs: 100 };
        let covered = |bytes, syncs| {
            Written { bytes: before.bytes + bytes, syncs: before.syncs + syncs }.a_sync_since(before)
        };
        assert_eq!(covered(40 << 10, 10), 4 << 10);
        assert_eq!(covered(40 << 10, 0), 40 << 10, "the first is under way");
        assert_eq!(covered(0, 10), 0, "they covered what was written before");
        assert_eq!((step(4 << 10), pays(4 << 10)), (STEP_SHORT, true));
        assert_eq!((step(64 << 10), pays(64 << 10)), (Filling::STEP, true));
        assert!(!pays(256 << 10));
    }
}
