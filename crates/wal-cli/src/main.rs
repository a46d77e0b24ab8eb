//! `wal`: a write-ahead log on the command line. Appends, reads, inspects and verifies logs, and shows recovery.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "this program reads the user's files and clock; logs go through `wal`"
)]

mod append;
mod args;
mod backup;
mod base64;
mod bench;
mod checkpoint;
mod completions;
mod config;
mod copy;
mod cursors;
mod demo;
mod dump;
mod error;
mod export;
mod fence;
mod format;
mod get;
mod import;
mod info;
mod lines;
mod ls;
mod output;
mod place;
mod progress;
mod prune;
mod repair;
mod replay;
mod restore;
mod retain;
mod size;
mod stats;
mod table;
mod tail;
mod top;
mod truncate;
mod verify;

use std::process::ExitCode;

use args::Verb;
use clap::Parser;
use error::Failure;
use output::Output;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Whoever asked for help and closed the pipe has read enough.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { error::USAGE } else { 0 });
        }
    };
    match run(args.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(verb: Verb) -> Result<(), Failure> {
    let mut out = Output::stdout();
    let result = match verb {
        Verb::Append(args) => append::run(args, &mut out),
        Verb::Dump(args) => dump::run(&args, &mut out),
        Verb::Get(args) => get::run(&args, &mut out),
        Verb::Tail(args) => tail::run(&args, &mut out),
        Verb::Replay(args) => replay::run(&args, &mut out),
        Verb::Ls(args) => ls::run(&args, &mut out),
        Verb::Info(args) => info::run(&args, &mut out),
        Verb::Stats(args) => stats::run(&args, &mut out),
        Verb::Top(args) => top::run(&args, &mut out),
        Verb::Bench(args) => bench::run(&args, &mut out),
        Verb::Verify(args) => verify::run(&args, &mut out),
        Verb::Repair(args) => repair::run(&args, &mut out),
        Verb::Backup(args) => backup::backup(&args, &mut out),
        Verb::Restore(args) => restore::run(&args, &mut out),
        Verb::Clone(args) => backup::clone(&args, &mut out),
        Verb::Copy(args) => copy::run(&args, &mut out),
        Verb::Export(args) => export::run(&args, &mut out),
        Verb::Import(args) => import::run(&args, &mut out),
        Verb::Completions(args) => completions::run(&args, &mut out),
        Verb::Retain(args) => retain::run(&args, &mut out),
        Verb::Truncate(args) => truncate::run(&args, &mut out),
        Verb::Prune(args) => prune::run(&args, &mut out),
        Verb::Fence(args) => fence::run(&args, &mut out),
        Verb::Checkpoint(args) => checkpoint::run(&args, &mut out),
        Verb::Cursors(args) => cursors::run(&args, &mut out),
        Verb::Demo(args) => demo::run(&args, &mut out),
        Verb::DemoWriter(args) => demo::writer::run(&args),
    };
    // What was printed before something failed is worth having.
    let flushed = out.flush();
    result.and(flushed)
}
