//! `wal retain`: what may go from the front of a log.

use std::time::Duration;

use serde::Serialize;
use wal::{Lsn, Pin, PinKind, Retained, Retention, RetentionPlan, RetentionReason};

use crate::{
    args::{self, Listing},
    error::{Failure, UsageSnafu},
    output::Output,
    place::{self, LogArgs},
};

const AFTER_HELP: &str = "\
Examples:
  wal retain ./log --max-age 7d                       what would go; changes nothing
  wal retain ./log --max-age 7d --apply               remove it
  wal retain ./log --max-bytes 1GiB --max-segments 20 --apply
  wal retain ./log --max-bytes 1GiB --cursor-max-bytes 4GiB --apply

Whole segments go, oldest first, when any limit is exceeded. Cursors and protected checkpoints hold back what they need;
a cursor only up to the caps that are given. The clock is taken at its word: look at the plan first.

Exit codes: 0 done or nothing to do, 4 another writer has the log, 1 failed.";

/// Remove the oldest segments by age, size or number; says what it would do unless told to do it
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RetainArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Remove segments whose last entry is older than this, such as 7d or 12h
    #[arg(long, value_name = "AGE", value_parser = wal::human::parse_duration)]
    max_age: Option<Duration>,
    /// Remove segments while the files together are longer than this
    #[arg(long, value_name = "SIZE", value_parser = wal::human::parse_size)]
    max_bytes: Option<u64>,
    /// Remove segments while there are more than so many
    #[arg(long, value_name = "COUNT")]
    max_segments: Option<u64>,
    /// Remove segments that hold only entries before this one
    #[arg(long, value_name = "LSN", value_parser = args::lsn)]
    keep_from: Option<Lsn>,
    /// Pass cursors that hold back more than this
    #[arg(long, value_name = "SIZE", value_parser = wal::human::parse_size)]
    cursor_max_bytes: Option<u64>,
    /// Pass cursors that hold back entries older than this
    #[arg(long, value_name = "AGE", value_parser = wal::human::parse_duration)]
    cursor_max_age: Option<Duration>,
    /// Say what would be done (the default)
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,
    /// Do it
    #[arg(long)]
    apply: bool,
    /// What the result is printed as
    #[arg(long, value_enum, default_value_t = Listing::Table)]
    format: Listing,
}

#[derive(Serialize)]
struct Plan {
    remove: Vec<Removal>,
    first_retained: u64,
    rolls_active: bool,
    held_back_by: Vec<Holder>,
    passes: Vec<String>,
    drops: Vec<String>,
    freed_bytes: u64,
}

#[derive(Serialize)]
struct Removal {
    segment: u64,
    base: u64,
    next: u64,
    bytes: u64,
    reason: &'static str,
}

#[derive(Serialize)]
pub(crate) struct Holder {
    kind: &'static str,
    name: String,
    lsn: u64,
}

#[derive(Serialize)]
struct Done {
    entries: u64,
    segments: u64,
    freed_bytes: u64,
    first_retained: u64,
    rolled_active: bool,
    held_back_by: Vec<Holder>,
    passed: Vec<String>,
    dropped: Vec<String>,
}

pub(crate) fn run(args: &RetainArgs, out: &mut Output) -> Result<(), Failure> {
    let policy = Retention {
        max_age: args.max_age,
        max_bytes: args.max_bytes,
        max_segments: args.max_segments,
        keep_from: args.keep_from,
        cursor_max_bytes: args.cursor_max_bytes,
        cursor_max_age: args.cursor_max_age,
        clock_trial: Duration::ZERO,
        ..Retention::default()
    };
    if !policy.has_limits() {
        return UsageSnafu { what: "give a limit: --max-age, --max-bytes, --max-segments or --keep-from" }
            .fail();
    }
    if args.apply {
        let wal = args.log.existing()?;
        let done = wal.retain_with(&policy)?;
        place::close(&wal)?;
        return match args.format {
            Listing::Json => out.json(&in_json(done)),
            Listing::Table => print(&done, out),
        };
    }
    let plan = args.log.read_only()?.retention_plan_with(&policy)?;
    match args.format {
        Listing::Json => out.json(&plan_in_json(plan)),
        Listing::Table => out.line(plan),
    }
}

fn print(done: &Retained, out: &mut Output) -> Result<(), Failure> {
    if done.rolled_active {
        out.line("closed the active segment")?;
    }
    done.passed.iter().try_for_each(|name| out.line(format_args!("passed cursor {name:?}")))?;
    done.dropped.iter().try_for_each(|name| out.line(format_args!("deleted checkpoint {name:?}")))?;
    done.held_back_by.iter().try_for_each(|pin| out.line(format_args!("held back by {pin}")))?;
    let Retained { entries, segments, freed_bytes, first_retained, .. } = done;
    out.line(format_args!("removed {entries} entries in {segments} segments, {freed_bytes} bytes freed"))?;
    out.line(format_args!("first entry {first_retained}"))
}

fn in_json(done: Retained) -> Done {
    Done {
        entries: done.entries,
        segments: done.segments,
        freed_bytes: done.freed_bytes,
        first_retained: done.first_retained.get(),
        rolled_active: done.rolled_active,
        held_back_by: holders(done.held_back_by),
        passed: done.passed,
        dropped: done.dropped,
    }
}

fn plan_in_json(plan: RetentionPlan) -> Plan {
    let removal = |planned: wal::PlannedRemoval| Removal {
        segment: planned.segment.0,
        base: planned.lsns.start.get(),
        next: planned.lsns.end.get(),
        bytes: planned.bytes,
        reason: reason(planned.reason),
    };
    Plan {
        remove: plan.remove.into_iter().map(removal).collect(),
        first_retained: plan.first_retained.get(),
        rolls_active: plan.rolls_active,
        held_back_by: holders(plan.held_back_by),
        passes: plan.passes,
        drops: plan.drops,
        freed_bytes: plan.freed_bytes,
    }
}

pub(crate) fn holders(pins: Vec<Pin>) -> Vec<Holder> {
    pins.into_iter()
        .map(|Pin { kind: of, name, lsn, .. }| Holder { kind: kind(of), name, lsn: lsn.get() })
        .collect()
}

const fn kind(kind: PinKind) -> &'static str {
    match kind {
        PinKind::Cursor => "cursor",
        PinKind::Checkpoint => "checkpoint",
        _ => "other",
    }
}

const fn reason(reason: RetentionReason) -> &'static str {
    match reason {
        RetentionReason::KeepFrom => "keep-from",
        RetentionReason::Age => "age",
        RetentionReason::Bytes => "bytes",
        RetentionReason::Segments => "segments",
        _ => "other",
    }
}
