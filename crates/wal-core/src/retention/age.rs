//! How old a segment is, although stamps and clocks may be wrong.
//!
//! The stamps of frames never run backwards, so one wild sample can leave all later stamps in the future; a clock that
//! was not set yet leaves stamps that look decades old. Neither is taken for an age.

use std::time::Duration;

/// 1 January 2020, in nanoseconds since 1970: a clock that says less was never set.
const CLOCK_EXISTS: u64 = 1_577_836_800 * 1_000_000_000;

/// What is known of the time of a segment's last entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dated {
    /// The stamp of the entry's frame; `None` when it was not, or could not be, read.
    pub(super) stamp: Option<u64>,
    /// What the clock said when the file was prepared. Not corrected by anything, so later files are right again.
    pub(super) created: u64,
    /// The opening of the log that prepared the file.
    pub(super) epoch: u64,
    /// The entry was appended by this process, at most so long ago by the monotonic clock.
    pub(super) at_most: Option<Duration>,
    /// This process has known the entry for so long.
    pub(super) at_least: Duration,
}

/// Time since the last entry of the segment at `index` was appended; of those before it, too, the stamps are known.
pub(super) fn age(segments: &[Dated], index: usize, now: u64) -> Duration {
    let Some(segment) = segments.get(index) else { return Duration::ZERO };
    let told = segment.stamp.filter(|stamp| is_plausible(*stamp, now));
    let time = told.or_else(|| prepared_after(segments, index, now));
    let age = time.map_or(segment.at_least, |time| Duration::from_nanos(now.saturating_sub(time)));
    segment.at_most.map_or(age, |at_most| age.min(at_most))
}

fn is_plausible(time: u64, now: u64) -> bool {
    (CLOCK_EXISTS..=now).contains(&time)
}

/// When the first file was prepared that was prepared after the segment's last entry was appended: one by a later
/// opening of the log, or the second next, because only one is prepared ahead. A time before those of what precedes the
/// entry is not believed.
fn prepared_after(segments: &[Dated], index: usize, now: u64) -> Option<u64> {
    let epoch = segments.get(index)?.epoch;
    let before = segments.get(..=index)?.iter().flat_map(|segment| [segment.stamp, Some(segment.created)]);
    let least = before.flatten().filter(|time| is_plausible(*time, now)).max().unwrap_or(CLOCK_EXISTS);
    let later = segments.iter().enumerate().skip(index + 1);
    let mut later = later.filter(|(at, segment)| *at > index + 1 || segment.epoch > epoch);
    later.find_map(|(_, segment)| Some(segment.created).filter(|time| (least..=now).contains(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000_000_000;
    const NOW: u64 = 20_500 * DAY;
    const WILD: u64 = NOW + 36_500 * DAY;
    const SEEN: Duration = Duration::from_secs(77);

    /// Segments that were prepared and ended on these days before now, by one process.
    fn segments(days: &[(u64, u64)]) -> Vec<Dated> {
        let dated = |(created, stamp): &(u64, u64)| Dated {
            stamp: Some(NOW - stamp * DAY),
            created: NOW - created * DAY,
            epoch: 1,
            at_most: None,
            at_least: SEEN,
        };
        days.iter().map(dated).collect()
    }

    #[track_caller]
    fn check(segments: &[Dated], index: usize, days: u64) {
        assert_eq!(age(segments, index, NOW), Duration::from_nanos(days * DAY), "{segments:?}");
    }

    #[test]
    fn an_age_is_the_time_since_the_last_stamp() {
        let all = segments(&[(9, 8), (8, 7), (7, 1)]);
        check(&all, 0, 8);
        check(&all, 2, 1);
        assert_eq!(age(&all, 3, NOW), Duration::ZERO, "there is no such segment");
    }

    #[test]
    fn stamps_from_the_future_do_not_keep_a_segment_for_ever() {
        let mut all = segments(&[(9, 8), (8, 0), (7, 0), (5, 0), (2, 0)]);
        all[1..].iter_mut().for_each(|segment| segment.stamp = Some(WILD));
        check(&all, 0, 8);
        // The next was prepared while the segment was in use, the one after it was not.
        check(&all, 1, 5);
        check(&all, 2, 2);
        assert_eq!(age(&all, 3, NOW), SEEN, "nothing was prepared after it that is known of");
        all[4].epoch = 2;
        check(&all, 3, 2);
    }

    #[test]
    fn a_file_whose_own_time_is_wild_is_no_evidence() {
        for wild in [0, NOW - 300 * DAY, WILD] {
            let mut all = segments(&[(9, 8), (8, 0), (7, 0), (5, 0), (2, 0)]);
            all[1..].iter_mut().for_each(|segment| segment.stamp = Some(WILD));
            all[3].created = wild;
            check(&all, 1, 2);
            all[4].created = wild;
            assert_eq!(age(&all, 1, NOW), SEEN);
        }
    }

    #[test]
    fn stamps_of_a_clock_that_was_not_set_are_no_age() {
        let mut all = segments(&[(0, 0), (0, 0), (0, 0)]);
        all.iter_mut().for_each(|segment| (segment.stamp, segment.created) = (Some(60), 50));
        assert_eq!(age(&all, 0, NOW), SEEN);
        // Nor is anything an age while it is not.
        let all = segments(&[(9, 8), (8, 7)]);
        assert_eq!(age(&all, 0, 100), SEEN);
    }

    #[test]
    fn what_this_process_appended_is_not_older_than_it_can_be() {
        let mut all = segments(&[(9, 8)]);
        all[0].at_most = Some(Duration::from_secs(5));
        assert_eq!(age(&all, 0, NOW), Duration::from_secs(5));
    }

    #[test]
    fn what_cannot_be_read_is_dated_by_what_follows() {
        let mut all = segments(&[(9, 8), (8, 7), (6, 5)]);
        all[0].stamp = None;
        check(&all, 0, 6);
    }
}
