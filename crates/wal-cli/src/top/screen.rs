//! What `wal top` shows: a page on a terminal, a line elsewhere.

use std::{fmt::Write, path::Path};

use super::{Look, Rates};
use crate::size;

/// To the top left corner; each line then clears what it does not cover, and the last one what is below.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K\n";
const CLEAR_REST: &str = "\x1b[J";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";
/// So many looks, and so many segments and cursors, are shown at most.
const HISTORY: usize = 60;
const ROWS: usize = 8;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn line(now: &Look, rates: &Rates) -> String {
    let slowest = now.cursors.iter().max_by_key(|(.., lag)| *lag);
    let mut line = format!(
        "{:.1}s entries={} last={} rate={:.0}/s written={}/s unproven={} segments={} bytes={}",
        now.at.as_secs_f64(),
        now.next.saturating_sub(now.first),
        now.next.saturating_sub(1),
        rates.entries,
        size::human(rates.bytes as u64).replace(' ', ""),
        now.next.saturating_sub(now.durable_next),
        now.ends.len(),
        now.ends.values().sum::<u64>(),
    );
    if let Some((name, _, lag)) = slowest {
        // Writing into a string cannot fail.
        let _ = write!(line, " slowest={name:?} lag={lag}");
    }
    line.push('\n');
    line
}

pub(super) fn page(dir: &Path, before: &Look, now: &Look, rates: &Rates, history: &[f64]) -> String {
    let bytes: u64 = now.ends.values().sum();
    let mut lines = vec![
        format!("{BOLD}{}{PLAIN}   interrupt to end", safe(&dir.display().to_string())),
        String::new(),
        format!(
            "entries   {:>14}   {} to {}",
            now.next.saturating_sub(now.first),
            now.first,
            now.next.saturating_sub(1)
        ),
        format!("appended  {:>12.0}/s   {}", rates.entries, sparks(history)),
        format!("written   {:>12}/s", size::human(rates.bytes as u64)),
        format!("removed   {:>12.0}/s", rates.removed),
        format!(
            "unproven  {:>14}   entries that the files do not prove durable",
            now.next.saturating_sub(now.durable_next)
        ),
        format!(
            "segments  {:>14}   {} used, {} in files, {:.2} started/s",
            now.ends.len(),
            size::human(bytes),
            size::human(now.file_bytes),
            rates.rotations
        ),
        String::new(),
    ];
    for (id, end) in now.ends.iter().rev().take(ROWS) {
        let grew = before.ends.get(id).is_none_or(|before| before < end);
        lines.push(format!(
            "  segment {id:>8} {:>12}{}",
            size::human(*end),
            if grew { "  growing" } else { "" }
        ));
    }
    more(&mut lines, now.ends.len());
    if !now.cursors.is_empty() {
        let mut cursors = now.cursors.clone();
        cursors.sort_by_key(|(.., lag)| std::cmp::Reverse(*lag));
        lines.push(String::new());
        for (name, next, lag) in cursors.iter().take(ROWS) {
            lines.push(format!("  cursor {:<24} at {next:>12}, {lag} behind", safe(name)));
        }
        more(&mut lines, cursors.len());
    }
    format!("{HOME}{}{CLEAR_LINE}{CLEAR_REST}", lines.join(CLEAR_LINE))
}

fn more(lines: &mut Vec<String>, count: usize) {
    if count > ROWS {
        lines.push(format!("  and {} more", count - ROWS));
    }
}

/// Names are the user's: none may steer the terminal.
fn safe(text: &str) -> String {
    text.chars().map(|each| if each.is_control() { '?' } else { each }).collect()
}

fn sparks(history: &[f64]) -> String {
    let shown = history.get(history.len().saturating_sub(HISTORY)..).unwrap_or(history);
    let greatest = shown.iter().copied().fold(1.0, f64::max);
    let top = BARS.len() - 1;
    let bar = |value: &f64| BARS.get((value / greatest * top as f64).round() as usize).copied();
    shown.iter().filter_map(bar).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn state() -> (Look, Rates) {
        let now = Look {
            at: Duration::from_secs(3),
            first: 5,
            next: 105,
            durable_next: 100,
            ends: (1..=10).map(|id| (id, id * 1024)).collect(),
            file_bytes: 1 << 20,
            cursors: vec![("fast".to_owned(), 105, 0), ("slow\u{1b}[2J".to_owned(), 15, 90)],
        };
        (now, Rates { entries: 42.0, bytes: 2048.0, rotations: 0.25, removed: 0.0 })
    }

    #[test]
    fn a_line_says_the_most_important() {
        let (now, rates) = state();
        let want = "3.0s entries=100 last=104 rate=42/s written=2.0KiB/s unproven=5 segments=10 bytes=56320 \
                    slowest=\"slow\\u{1b}[2J\" lag=90\n";
        assert_eq!(line(&now, &rates), want);
    }

    #[test]
    fn a_page_shows_rates_the_newest_segments_and_the_slowest_cursors() {
        let (now, rates) = state();
        let page = page(Path::new("/var/log"), &Look::default(), &now, &rates, &[0.0, 21.0, 42.0]);
        for part in ["entries              100   5 to 104", "42/s   ▁▅█", "segment       10", "and 2 more"]
        {
            assert!(page.contains(part), "{part:?} is not in {page:?}");
        }
        assert!(page.contains("cursor slow?[2J"), "{page:?}");
        assert!(page.find("slow").unwrap() < page.find("fast").unwrap());
        assert!(page.starts_with(HOME) && page.ends_with(CLEAR_REST));
    }
}
