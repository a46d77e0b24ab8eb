//! `wal repair`: what can be done about a damaged log.

use std::path::{Path, PathBuf};

use wal::{ReadMode, RepairOptions, RepairReport};

use crate::{
    error::{DamageSnafu, Failure, tell},
    output::Output,
    place::LogArgs,
    progress::Progress,
    verify::deep::describe,
};

const AFTER_HELP: &str = "\
Examples:
  wal repair ./log                                what would be done; changes nothing
  wal repair ./log --apply                        remove what is not part of the log, write index files anew
  wal repair ./log --salvage-to ./rescued         copy every entry that can be read into new logs
  wal repair ./log --cut-at-damage                what would be lost by cutting at the first damaged place
  wal repair ./log --cut-at-damage --apply        cut there

Close the writer first. Every file that is removed or replaced is copied into DIR/quarantine-<n>/ before. Cutting gives
up everything behind the first damaged place: salvage first. What is salvaged keeps its LSNs; every run of entries
without a gap becomes a log of its own.

Exit codes: 0 done or nothing to do, 3 damage is (still) there, 4 another writer has the log, 1 failed.";

/// Clean up a damaged log, cut it at the damage, or copy what can be read; says what it would do unless told to do it
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Do it
    #[arg(long)]
    apply: bool,
    /// Cut the log at the first damaged place
    #[arg(long)]
    cut_at_damage: bool,
    /// Copy every entry that can be read into new logs in this directory, which must be empty or missing
    #[arg(long, value_name = "NEW", conflicts_with_all = ["apply", "cut_at_damage"])]
    salvage_to: Option<PathBuf>,
}

pub(crate) fn run(args: &RepairArgs, out: &mut Output) -> Result<(), Failure> {
    if let Some(to) = &args.salvage_to {
        return salvage(&args.log, to, out);
    }
    let mut how = RepairOptions { cut_at_damage: args.cut_at_damage, quarantine: None };
    let repair = |how: &RepairOptions| {
        let _progress = Progress::unknown("reading every file");
        Ok::<_, Failure>(args.log.builder()?.read_mode(ReadMode::Pread).repair(how)?)
    };
    let mut report = repair(&how)?;
    report.damage.iter().for_each(|finding| tell(&format!("damage: {}", describe(finding))));
    if args.apply && !report.is_empty() {
        let quarantine = quarantine(args.log.path());
        how.quarantine = Some(quarantine.clone());
        report = repair(&how)?;
        print(&report, ["cut", "removed", "wrote"], out)?;
        out.line(format_args!("what was removed is in {}", quarantine.display()))?;
    } else {
        print(&report, ["would cut", "would remove", "would write"], out)?;
    }
    if report.is_empty() {
        out.line("nothing to do")?;
    }
    if report.damage.is_empty() || (args.apply && report.cut.is_some()) {
        return Ok(());
    }
    damaged(args.log.path(), report.damage.len())
}

fn print(report: &RepairReport, [cut, remove, write]: [&str; 3], out: &mut Output) -> Result<(), Failure> {
    if let Some(place) = &report.cut {
        out.line(format_args!("{cut} the log at the first damage: {}", describe(place)))?;
    }
    report.removed.iter().try_for_each(|path| out.line(format_args!("{remove} {path}")))?;
    report.indexes.iter().try_for_each(|path| out.line(format_args!("{write} {path}")))
}

/// The first quarantine directory that is not there yet.
fn quarantine(dir: &Path) -> PathBuf {
    let mut number = 1_u64;
    loop {
        let quarantine = dir.join(format!("quarantine-{number}"));
        if !quarantine.exists() {
            return quarantine;
        }
        number += 1;
    }
}

fn salvage(from: &LogArgs, to: &Path, out: &mut Output) -> Result<(), Failure> {
    let progress = Progress::unknown("salvaging");
    let salvaged = from.builder()?.salvage_to(to)?;
    drop(progress);
    let damage = &salvaged.report.damage;
    damage.iter().for_each(|finding| tell(&format!("damage: {}", describe(finding))));
    for run in &salvaged.runs {
        let (first, last) = (run.lsns.start(), run.lsns.end());
        out.line(format_args!("{}: entries {first} to {last}", run.dir.display()))?;
    }
    out.line(format_args!("{} entries salvaged", salvaged.report.entries))?;
    if damage.is_empty() { Ok(()) } else { damaged(from.path(), damage.len()) }
}

fn damaged(dir: &Path, places: usize) -> Result<(), Failure> {
    let places = if places == 1 { "one place is".to_owned() } else { format!("{places} places are") };
    DamageSnafu { dir, places }.fail()
}
