//! How far the next segment is filled while the active one fills up.
//!
//! All of it at once would keep the medium busy for as long as hundreds of syncs take, each of which would wait. Bit by
//! bit, hardly any does.

use wal_segment::Filling;

/// Filling begins when this part of the active segment is full.
const BEFORE: u64 = 16;
/// It ends when this part is left, which is needed for the last sync and the name.
const BEHIND: u64 = 4;
/// More than this is never needed for them.
const BEHIND_MAX: u64 = 8 << 20;

/// Up to where a segment of `capacity` bytes is full when there is something to do for the first time.
pub(crate) const fn begins_at(capacity: u64) -> u64 {
    capacity / BEFORE
}

/// How many of the `len` bytes of the next segment should be filled when the active one, of `capacity` bytes, is full
/// up to `offset`: whole steps, or all of them.
pub(super) fn due(offset: u64, capacity: u64, len: u64) -> u64 {
    let (from, to) = span(capacity);
    if offset >= to {
        return len;
    }
    let due = scale(offset.saturating_sub(from), len, to - from);
    due - due % Filling::STEP
}

/// When the next step is due behind those `filled` bytes.
pub(super) fn next(filled: u64, capacity: u64, len: u64) -> u64 {
    let (from, to) = span(capacity);
    let offset = scale(filled.saturating_add(Filling::STEP), to - from, len).saturating_add(from + 1);
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
            assert_eq!(due(offset, capacity, len), 0);
            while filled < len {
                let at = next(filled, capacity, len);
                assert!(at > offset && at < capacity, "{capacity} {len}: {at}");
                let more = due(at, capacity, len);
                assert!(more > filled, "{capacity} {len}: nothing is due at {at}");
                assert!(more == len || more - filled <= 2 * Filling::STEP, "a step is a step");
                (offset, filled, steps) = (at, more, steps + 1);
            }
            assert!(steps <= len / Filling::STEP + 1);
        }
    }

    #[test]
    fn whoever_is_late_is_told_to_catch_up() {
        assert_eq!(due(u64::MAX, 1 << 20, 4 << 20), 4 << 20);
        assert_eq!(due(0, 1 << 20, 4 << 20), 0);
        assert!(due(1 << 19, 1 << 20, 4 << 20) > 1 << 20);
    }
}
