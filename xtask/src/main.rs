//! The chores of this repository: `cargo xtask help` lists them.
//!
//! Each chore is a table and the code that walks it: the steps of `ci` in `ci.rs`, the rules of `tidy` in `tidy.rs`.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command-line tool of the developers: it prints, takes the time, and reads the source tree"
)]

mod ci;
mod compare;
mod crash;
mod faults;
mod fuzz;
mod instructions;
mod metadata;
mod process;
mod s3;
mod tidy;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask <command>

  ci [STEP..]                   every check, or the named ones, up to the first failure
  tidy                          the house rules: layers, sizes, names, unsafe, documents and their links
  fuzz [TARGET] [--seconds N] [--minimise]
                               runs the fuzz targets, 60 seconds each unless told otherwise
  crash [--states N] [--seed S] [--random-seconds T]
                                simulated crashes and faults, for about a minute unless told otherwise
  faults [--seconds N]          full disks, failing calls and more, as far as root and cc allow; N for the reader
  s3 [--schedules N] [--seed S]
                                a log on an S3 server that is installed with pip; with N, so many schedules of failing
                                stores and competing writers, and the model, in the place of it
  compare [--quick] [--rivals FEATURE,..] [--only PEER,..] [--workload NAME,..] [--dir DIR] [--out DIR]
                                this log beside its rivals, into docs/benchmarks; `compare --help` says more
  instructions [FILTER]         what each path costs in instructions, counted under valgrind
  help                          this text
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match dispatch(&root(), &args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(root: &Path, args: &[String]) -> Result<(), String> {
    match args.split_first().map(|(command, rest)| (command.as_str(), rest)) {
        Some(("ci", steps)) => ci::run(root, steps),
        Some(("tidy", [])) => tidy::run(root),
        Some(("fuzz", rest)) => fuzz::run(root, rest),
        Some(("crash", rest)) => crash::run(root, rest),
        Some(("s3", rest)) => s3::run(root, rest),
        Some(("compare", rest)) => compare::run(root, rest),
        Some(("instructions", rest)) => instructions::run(root, rest),
        Some(("faults", rest)) => faults::run(root, rest),
        None | Some(("help" | "--help" | "-h", _)) => {
            print!("{HELP}{}", ci::help());
            Ok(())
        }
        Some((command, _)) => Err(format!("cannot make sense of `{command}` and what follows it\n\n{HELP}")),
    }
}

/// The root of the workspace. Asked for at run time: a target directory may be shared between working trees.
fn root() -> PathBuf {
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    manifest_dir.as_deref().and_then(Path::parent).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
