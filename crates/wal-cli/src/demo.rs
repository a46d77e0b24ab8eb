//! `wal demo`: a writer is killed in mid-stream, and what it had acknowledged must be there.
//!
//! - The lines of real files are dealt out to threads: thread `t` of `n` appends lines `t`, `t + n`, `t + 2n` and so
//!   on. An entry carries its thread as its kind and its line as its term, so the log can be checked entry by entry.
//! - The writer is another process, which tells about every append after it returned. Only what arrives here counts as
//!   acknowledged.

mod audit;
mod corpus;
mod crew;
mod figures;
mod kill;
mod tear;
pub(crate) mod writer;

use std::{
    env, fmt,
    num::NonZeroU8,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use snafu::ResultExt;
use tempfile::TempDir;
use wal::{ReadMode, Wal};

use crate::{
    error::{DemoSnafu, Failure, FileSnafu, ProcessSnafu},
    output::Output,
};
use audit::Progress;
use corpus::Corpus;
use figures::Figures;
use kill::{Until, Witness};

const AFTER_HELP: &str = "\
A child process appends the lines with several threads, each append durable when it returns, and reports every one
that did. This process kills it with SIGKILL, leaves a torn write behind as a power failure would, opens the log, and
compares: every acknowledged entry must be there, with exactly its bytes and its LSN; each thread's lines must be there
in order, without a gap, a duplicate or one that was never written. Then it appends the rest, and reads everything in
both directions. The exit code is not zero when any of this fails.

What this cannot show is a real power failure: the operating system survives. The tests of the project simulate one.

Examples:
  wal demo
  wal demo --file /var/log/dpkg.log --threads 16
  wal demo --keep                            and look around with wal ls, wal info and wal dump";

/// Kill a writer in mid-stream, recover, and prove that nothing acknowledged is lost
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DemoArgs {
    /// Append the lines of this file [default: the .rs, .md and .toml files below the current directory]
    #[arg(long)]
    file: Option<PathBuf>,
    /// Where to make the directory to work in [default: the current directory, else the one for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Threads that append
    #[arg(long, value_name = "N", default_value = "8")]
    threads: NonZeroU8,
    /// Leave the log behind
    #[arg(long)]
    keep: bool,
    /// Append so many lines, and kill the writer after three fifths of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(10..))]
    records: Option<u64>,
    /// Kill the writer after so many seconds of appending
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = seconds, conflicts_with = "records")]
    seconds_before_kill: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.01..=600.0).contains(&seconds) { Ok(seconds) } else { Err("between 0.01 and 600".to_owned()) }
}

pub(crate) fn run(args: &DemoArgs, out: &mut Output) -> Result<(), Failure> {
    let corpus = Corpus::gather(args.file.as_deref())?;
    // Dropped, it removes itself and all that is in it, also when something fails.
    let mut place = workplace(args.dir.as_deref())?;
    place.disable_cleanup(args.keep);
    let played = Play { args, corpus: &corpus, place: place.path() }.play(out);
    if args.keep {
        let left = out.line(format_args!("\nleft behind: {}", place.path().join(LOG).display()));
        return played.and(left);
    }
    let path = place.path().to_owned();
    let removed = place.close().context(FileSnafu { operation: "remove", path });
    played.and(removed)
}

const LOG: &str = "log";
const LINES: &str = "lines";

/// In the current directory, because directories for temporary files are often in memory, where nothing is durable.
fn workplace(dir: Option<&Path>) -> Result<TempDir, Failure> {
    let make = |dir: &Path| {
        let made = tempfile::Builder::new().prefix("wal-demo-").tempdir_in(dir);
        made.context(FileSnafu { operation: "make a directory in", path: dir })
    };
    match dir {
        Some(dir) => make(dir),
        None => make(Path::new(".")).or_else(|_| make(&env::temp_dir())),
    }
}

struct Play<'a> {
    args: &'a DemoArgs,
    corpus: &'a Corpus,
    place: &'a Path,
}

impl Play<'_> {
    fn play(&self, out: &mut Output) -> Result<(), Failure> {
        let threads = u64::from(self.args.threads.get());
        let log = self.place.join(LOG);
        let lines = self.place.join(LINES);
        self.corpus.save(&lines)?;
        let files = self.corpus.describe();
        scene(
            out,
            format_args!("{threads} threads append lines of {files}, every append durable when it returns"),
        )?;

        let until = match self.args.records {
            Some(records) => Until::Acknowledged(records * 3 / 5),
            None => Until::Elapsed(Duration::from_secs_f64(self.args.seconds_before_kill)),
        };
        let witness = kill::run(&log, &lines, self.args.threads, self.args.records, until)?;
        scene(
            out,
            format_args!(
                "the writer was killed with SIGKILL after {} acknowledged appends",
                witness.acks.len()
            ),
        )?;
        let torn = tear::run(&log)?;
        scene(
            out,
            format_args!("a torn write of {torn} bytes was left behind its end, as by a power failure"),
        )?;

        let started = Instant::now();
        let wal = Wal::open(&log)?;
        let recovery = started.elapsed();
        let progress = audit::after_recovery(&wal, self.corpus, &witness, threads)?;
        let lead = progress.entries() - witness.acks.len() as u64;
        scene(
            out,
            format_args!(
                "recovered: every acknowledged entry is there, and {lead} that the kill cut off from telling"
            ),
        )?;

        let total = self.total(&witness, &progress);
        let rest = crew::append_rest(&wal, self.corpus, &progress, total)?;
        let counts = Progress::complete(threads, total);
        let (forward, backward) = self.read_back(&wal, &counts)?;
        let mut figures = Figures {
            entries: total,
            payload_bytes: self.corpus.len_of(0..total),
            witness: &witness,
            found: progress.entries(),
            report: wal.recovery_report().clone(),
            recovery,
            rest: &rest,
            forward,
            backward,
            reopened: Duration::ZERO,
        };
        wal.close()?;
        scene(
            out,
            format_args!("the rest was appended: {total} entries, read back in both directions and compared"),
        )?;
        figures.reopened = self.read_closed(&log, &counts)?;
        out.line("")?;
        figures.print(out)
    }

    /// How many lines there are in the end. A share of what was found, so that slow disks need no more time.
    fn total(&self, witness: &Witness, progress: &Progress) -> u64 {
        let greatest = witness.acks.iter().map(|ack| ack.line + 1).max().unwrap_or(0);
        let planned = progress.entries() * 5 / 3;
        self.args.records.unwrap_or(planned).max(greatest).max(progress.lines_needed())
    }

    fn read_back(&self, wal: &Wal, counts: &Progress) -> Result<(Duration, Duration), Failure> {
        let started = Instant::now();
        audit::forward(wal, self.corpus, counts)?;
        let forward = started.elapsed();
        let started = Instant::now();
        audit::backward(wal, self.corpus, counts)?;
        Ok((forward, started.elapsed()))
    }

    /// Once more from the files alone, by system calls, and after a clean close. Returns how long opening took.
    fn read_closed(&self, log: &Path, counts: &Progress) -> Result<Duration, Failure> {
        let started = Instant::now();
        let wal = Wal::builder(log).read_mode(ReadMode::Pread).open_read_only()?;
        let opened = started.elapsed();
        audit::forward(&wal, self.corpus, counts)?;
        if !wal.recovery_report().clean {
            return DemoSnafu { what: "a closed log did not open as clean" }.fail();
        }
        Ok(opened)
    }
}

/// One step, shown at once.
fn scene(out: &mut Output, what: fmt::Arguments<'_>) -> Result<(), Failure> {
    out.line(format_args!("- {what}"))?;
    out.flush()
}

/// Where this program is, to run it again.
fn this_program() -> Result<PathBuf, Failure> {
    env::current_exe().context(ProcessSnafu { operation: "find this program" })
}
