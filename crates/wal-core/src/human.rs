//! Sizes and durations as people write them: `64MiB`, `1_000_000`, `100ms`, `1m30s`. What is printed reads back as the
//! same number.

use std::{fmt::Write, time::Duration};

/// Why a text is no size.
const NO_SIZE: &str = "a size is a whole number and a unit (B, KiB, MiB, GiB, kB, MB or GB), such as 64MiB";
/// Why a text is no duration.
const NO_DURATION: &str =
    "a duration is a whole number and a unit (ns, us, ms, s, m, h or d), such as 100ms or 1m30s";

/// Names in lower case. A letter alone means the binary unit, as in most tools.
const SIZES: &[(&str, u64)] = &[
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("g", 1 << 30),
    ("m", 1 << 20),
    ("k", 1 << 10),
    ("b", 1),
    ("", 1),
];

/// The first that divides a size is printed.
const PRINTED_SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

/// The spelling that is printed comes first, the longest unit first.
const DURATIONS: &[(&str, u64)] = &[
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
    ("µs", 1_000),
    ("min", 60_000_000_000),
];
const PRINTED: usize = 7;

/// Reads a size in bytes: `65536`, `65_536`, `64KiB`, `64 kib`, `10 MB`, `1G`.
///
/// # Errors
///
/// Says what a size looks like.
///
/// ```
/// use wal_core::human::{format_size, parse_size};
/// assert_eq!(parse_size("64 MiB"), Ok(64 << 20));
/// assert_eq!(format_size(64 << 20), "64MiB");
/// assert!(parse_size("1.5MiB").is_err());
/// ```
pub fn parse_size(text: &str) -> Result<u64, &'static str> {
    let (number, unit) = number(text.trim()).ok_or(NO_SIZE)?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let (_, scale) = SIZES.iter().find(|(name, _)| *name == unit).ok_or(NO_SIZE)?;
    number.checked_mul(*scale).ok_or("that is more than any file holds")
}

/// A size in the greatest unit that divides it: `64MiB`, `10MB`, `65537`.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let divides = |scale: u64| bytes > 0 && bytes.is_multiple_of(scale);
    match PRINTED_SIZES.iter().find(|(_, scale)| divides(*scale)) {
        Some((name, scale)) => format!("{}{name}", bytes / scale),
        None => bytes.to_string(),
    }
}

/// Reads a duration: `100ms`, `5 s`, `1m30s`, `0`.
///
/// # Errors
///
/// Says what a duration looks like. A number alone is refused unless it is zero: nobody would know its unit.
///
/// ```
/// use std::time::Duration;
/// use wal_core::human::{format_duration, parse_duration};
/// assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
/// assert_eq!(format_duration(Duration::from_millis(1500)), "1s500ms");
/// assert!(parse_duration("100").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    while let Some((count, after)) = number(rest) {
        let after = after.trim_start();
        let unit = after.find(|c: char| !c.is_alphabetic()).map_or(after, |end| after.split_at(end).0);
        let (_, scale) = DURATIONS.iter().find(|(name, _)| *name == unit).ok_or(NO_DURATION)?;
        let part = u128::from(count) * u128::from(*scale);
        let seconds = u64::try_from(part / 1_000_000_000).map_err(|_| "that is longer than time lasts")?;
        let part = Duration::new(seconds, (part % 1_000_000_000) as u32);
        total = total.checked_add(part).ok_or("that is longer than time lasts")?;
        rest = after.get(unit.len()..).unwrap_or("").trim_start();
        if rest.is_empty() {
            return Ok(total);
        }
    }
    Err(NO_DURATION)
}

/// A duration in whole units: `100ms`, `1m30s`, `0s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut left = duration.as_nanos();
    let mut text = String::new();
    for (name, scale) in DURATIONS.iter().take(PRINTED) {
        let scale = u128::from(*scale);
        if left >= scale {
            let _ = write!(text, "{}{name}", left / scale);
            left %= scale;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// The whole number at the start, in which underscores may stand between digits, and the rest.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let grouped = !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    let number = digits.replace('_', "").parse().ok()?;
    grouped.then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, size) in [
            ("0", 0),
            ("65536", 65536),
            ("1_000_000", 1_000_000),
            ("64KiB", 65536),
            (" 64 mib ", 64 << 20),
            ("1G", 1 << 30),
            ("10 MB", 10_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for wrong in ["", "MiB", "-1", "1.5MiB", "1 parsec", "1__0", "_1", "1_", "99999999999GiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        for (size, text) in [(0, "0"), (1023, "1023"), (1000, "1kB"), (3 << 10, "3KiB"), (5_000_000, "5MB")] {
            assert_eq!(format_size(size), text);
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("250us", 250_000),
            ("250µs", 250_000),
            ("1_500 ms", 1_500_000_000),
            ("1m30s", 90_000_000_000),
            ("2h 5min", 7_500_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for wrong in ["", "100", "ms", "-1s", "1.5s", "1s garbage", "1 year", "99999999999999999999h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert!(parse_duration("9999999999999999999h").is_err(), "too long");
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(bytes: u64, shift in 0_u32..64, seconds: u64, nanos in 0_u32..1_000_000_000) {
            for bytes in [bytes, bytes >> shift << shift, bytes >> shift, (bytes >> shift).wrapping_mul(1000)] {
                prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
            }
            let duration = Duration::new(seconds >> shift, nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = (parse_size(&text), parse_duration(&text));
        }
    }
}
