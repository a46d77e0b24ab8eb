//! `wal append`: newline-delimited records from files or standard input.
//!
//! One thread reads and appends; this one waits for durability and acknowledges. So records that arrive together share
//! syncs, and one that arrives alone is acknowledged at once. The reader is not waited for when acknowledging fails: it
//! may be stuck in a read that never returns.

mod feeder;
pub(crate) mod records;

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
    thread,
    time::Duration,
};

use clap::ValueEnum;
use snafu::ResultExt;
use wal::{CodecId, Config, SyncPolicy, human};

use crate::{
    error::{Failure, ProcessSnafu, UsageSnafu, tell},
    output::Output,
    place::LogArgs,
};
use feeder::{Appended, Feeder};
use records::Records;

const AFTER_HELP: &str = "\
Examples:
  printf 'one\\ntwo\\n' | wal append ./log       two entries
  wal append ./log a.txt b.txt                 the lines of files
  some-program | wal append ./log --ack        prints the LSN of each line once it is durable
  wal append ./log --batch 100 < records.txt   a hundred lines at a time are there whole or not at all

A record is a line without its newline; the last one needs none. Any byte but the newline may be in it, and it may be
empty. The log is created when it is missing. At a URL it is taken over from the program that writes to it, which is
stopped.

What `--ack` confirms depends on the policy:
  always      the record is synced: it survives power loss
  os-cache    the record is with the operating system: it survives the end of this process, and a power loss costs at
              most the last interval
  background  the record is in memory, and any crash costs at most the last interval
Whatever the policy, everything is synced when the command ends. It ends with an error when nobody reads the LSNs.";

/// Records that may wait for their acknowledgement. Their bytes are bounded by the log itself.
const IN_FLIGHT_MAX: usize = 1024;

/// Append newline-delimited records from files or standard input
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct AppendArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Files to read records from, in this order; `-` is standard input [default: -]
    files: Vec<PathBuf>,
    /// When a record counts as appended [default: always]
    #[arg(long, value_enum)]
    sync: Option<Sync>,
    /// Time between syncs under os-cache and background [default: 100ms]
    #[arg(long, value_name = "DURATION", value_parser = human::parse_duration)]
    interval: Option<Duration>,
    /// Print the LSN of each record, one a line, once it is acknowledged
    #[arg(long)]
    ack: bool,
    /// Append so many records at a time, atomically; the last batch may be smaller
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: Option<u32>,
    /// The kind of the entries, a number of yours
    #[arg(long, value_name = "N", default_value_t = 0)]
    kind: u8,
    /// Compress what gains from it
    #[arg(long, value_enum)]
    compress: Option<Codec>,
    /// Greatest length of a segment, such as 64MiB
    #[arg(long, value_name = "SIZE", value_parser = human::parse_size)]
    segment_len: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sync {
    Always,
    OsCache,
    Background,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Codec {
    None,
    Zstd,
    Snappy,
}

pub(crate) fn run(args: AppendArgs, out: &mut Output) -> Result<(), Failure> {
    let config = config(&args)?;
    let limit = u64::from(config.options.entry_len_max);
    let wait_for_durable = config.options.sync == SyncPolicy::Always;
    // Before the log is created: a wrong file name leaves nothing behind.
    let sources = records::open(&args.files)?;
    args.log.announce();
    let wal = args.log.with(config).open()?;
    if let Some(cut) = wal.recovery_report().cut {
        tell(&format!("note: a torn write at the end was cut off at {}, before entry {}", cut.at, cut.next));
    }
    let (sender, receiver) = sync_channel(IN_FLIGHT_MAX);
    let feeder = Feeder {
        wal: wal.clone(),
        sender,
        kind: args.kind,
        batch: args.batch.and_then(|batch| usize::try_from(batch).ok()),
        wait_for_durable,
    };
    thread::Builder::new()
        .name("wal-append".to_owned())
        .spawn(move || feeder.run(sources.into_iter().map(|source| Records::new(source, limit))))
        .context(ProcessSnafu { operation: "start a thread" })?;
    let result = acknowledge(&receiver, args.ack.then_some(out));
    // Also after a failure: what was acknowledged is there, and the next open finds a clean end where possible.
    let closed = wal.close();
    result.map_err(Failure::of_acknowledging)?;
    Ok(closed?)
}

/// The command line has the last word.
fn config(args: &AppendArgs) -> Result<Config, Failure> {
    let mut config = args.log.config.config()?;
    let options = &mut config.options;
    let interval = args.interval.or(options.sync.interval()).unwrap_or(Duration::from_millis(100));
    let sync = args.sync.unwrap_or(match options.sync {
        SyncPolicy::OsCache { .. } => Sync::OsCache,
        SyncPolicy::Background { .. } => Sync::Background,
        _ => Sync::Always,
    });
    options.sync = match sync {
        Sync::Always if args.interval.is_some() => {
            return UsageSnafu { what: "--interval is for --sync os-cache and --sync background" }.fail();
        }
        Sync::Always => SyncPolicy::Always,
        Sync::OsCache => SyncPolicy::OsCache { interval },
        Sync::Background => SyncPolicy::Background { interval },
    };
    if let Some(codec) = args.compress {
        options.compression.codec = match codec {
            Codec::None => CodecId::IDENTITY,
            Codec::Zstd => CodecId::ZSTD,
            Codec::Snappy => CodecId::SNAPPY,
        };
    }
    options.segment_len = args.segment_len.unwrap_or(options.segment_len);
    options.first_segment_len = options.first_segment_len.min(options.segment_len);
    Ok(config)
}

/// Waits for what was appended, in order, and prints LSNs when there is somewhere to print them. What is printed is
/// never held back while this waits.
fn acknowledge(
    receiver: &Receiver<Result<Appended, Failure>>,
    mut out: Option<&mut Output>,
) -> Result<(), Failure> {
    loop {
        let appended = match receiver.try_recv() {
            Ok(appended) => appended,
            // Here, because it is known here that this acknowledges.
            Err(TryRecvError::Disconnected) => return out.map_or(Ok(()), Output::flush),
            Err(TryRecvError::Empty) => {
                if let Some(out) = out.as_deref_mut() {
                    out.flush()?;
                }
                match receiver.recv() {
                    Ok(appended) => appended,
                    Err(_) => return Ok(()),
                }
            }
        };
        let Appended { lsns, ticket } = appended?;
        if let Some(ticket) = ticket.filter(|ticket| !ticket.is_durable()) {
            if let Some(out) = out.as_deref_mut() {
                out.flush()?;
            }
            ticket.wait()?;
        }
        let Some(out) = out.as_deref_mut() else { continue };
        let (mut lsn, last) = lsns.into_inner();
        while lsn <= last {
            out.line(lsn)?;
            lsn = lsn.next();
        }
    }
}
