//! `wal verify --deep`: everything, whether the log can be opened or not.

use wal::{Finding, Lsn, ReadMode};

use super::verdict;
use crate::{
    error::{Failure, tell},
    output::Output,
    place::LogArgs,
    progress::Progress,
    size,
};

pub(super) fn run(log: &LogArgs, out: &mut Output) -> Result<(), Failure> {
    let progress = Progress::unknown("reading every file");
    let found = log.builder()?.read_mode(ReadMode::Pread).examine()?;
    drop(progress);
    found.notes.iter().for_each(|note| tell(&format!("note: {}", describe(note))));
    found.damage.iter().for_each(|finding| tell(&format!("damage: {}", describe(finding))));
    let (segments, frames, entries) = (found.segments, found.frames, found.entries);
    let bytes = size::human(found.payload_bytes);
    out.line(format_args!(
        "{segments} segments, {frames} frames, {entries} entries, {bytes} of payload read"
    ))?;
    verdict(log.path(), found.damage.len(), out)
}

/// The place, what is wrong there, and what it costs.
pub(crate) fn describe(finding: &Finding) -> String {
    // Most messages name their place.
    let mut text = match finding.offset {
        _ if finding.what.contains(&finding.path) => finding.what.clone(),
        Some(offset) => format!("{} at offset {offset}: {}", finding.path, finding.what),
        None => format!("{}: {}", finding.path, finding.what),
    };
    if let Some(lsns) = &finding.lsns {
        text.push_str("; ");
        text.push_str(&lost(*lsns.start(), *lsns.end()));
    }
    text
}

fn lost(first: Lsn, last: Lsn) -> String {
    if last == Lsn::MAX {
        format!("entries from {first} on are lost")
    } else if first == last {
        format!("entry {first} is lost")
    } else {
        format!("entries {first} to {last} are lost")
    }
}
