//! `cargo xtask fuzz`, and the slices of it that belong to `ci`.
//!
//! The targets live in a workspace of their own, `fuzz/`, because they need a nightly toolchain and cargo-fuzz.

use std::path::Path;
use std::{env, fs};

use crate::ci::Done;
use crate::metadata;
use crate::process::{cargo, succeeds};

const MANIFEST: &str = "fuzz/Cargo.toml";
/// How long `ci` runs each target.
const SLICE_SECONDS: u32 = 20;
/// How long `cargo xtask fuzz` does, unless told otherwise.
const RUN_SECONDS: u32 = 60;
/// The targets that open whole logs. All that they run is safe code, in which a sanitizer finds nothing and takes four
/// fifths of the time. Without it everything is compiled differently, hence a target directory of its own.
const WHOLE_LOGS: [&str; 2] = ["recovery", "salvage"];
/// What notices a length that was believed without its bytes (where there is a sanitizer).
const ALLOCATION_MAX: &str = "-malloc_limit_mb=64";

/// `fuzz [TARGET] [--seconds N] [--minimise]`.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let Request { target, seconds, minimise } = parse(args)?;
    if let Some(reason) = obstacle(root) {
        return Err(reason);
    }
    let one = |target: &str| {
        fuzz(root, target, seconds)?;
        if minimise { shrink(root, target) } else { Ok(()) }
    };
    let targets = targets(root)?;
    match target {
        None => targets.iter().try_for_each(|target| one(target)),
        Some(target) if targets.contains(&target) => one(&target),
        Some(target) => Err(format!("there is no target `{target}`, only {}", targets.join(", "))),
    }
}

/// The step of `ci` that runs every target for a short while.
pub(crate) fn slice(root: &Path) -> Result<Done, String> {
    if let Some(reason) = obstacle(root) {
        return Ok(Done::Skipped(reason));
    }
    targets(root)?.iter().try_for_each(|target| fuzz(root, target, SLICE_SECONDS))?;
    Ok(Done::Passed)
}

/// The step of `ci` that compiles the targets on the default toolchain, so that they cannot rot where nobody fuzzes.
pub(crate) fn check(root: &Path) -> Result<Done, String> {
    if !root.join(MANIFEST).is_file() {
        return Ok(Done::Skipped(format!("there is no {MANIFEST}")));
    }
    // libfuzzer-sys compiles C++, and a C compiler is all that this repository asks for.
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if !succeeds(root, &compiler, &["--version"]) {
        return Ok(Done::Skipped(format!("there is no C++ compiler (`{compiler}`)")));
    }
    cargo(root, &["check", "--manifest-path", MANIFEST])?;
    Ok(Done::Passed)
}

/// What keeps this machine from fuzzing.
fn obstacle(root: &Path) -> Option<String> {
    if !root.join(MANIFEST).is_file() {
        Some(format!("there is no {MANIFEST}"))
    } else if !succeeds(root, "cargo", &["+nightly", "--version"]) {
        Some("there is no nightly toolchain (`rustup toolchain install nightly`)".to_owned())
    } else if !succeeds(root, "cargo", &["+nightly", "fuzz", "--version"]) {
        Some("there is no cargo-fuzz (`cargo install cargo-fuzz`)".to_owned())
    } else {
        None
    }
}

fn targets(root: &Path) -> Result<Vec<String>, String> {
    let packages = metadata::read(root, MANIFEST)?.packages;
    Ok(packages.into_iter().flat_map(|package| package.binaries).collect())
}

/// How a target is built.
fn build(target: &str) -> &'static [&'static str] {
    if WHOLE_LOGS.contains(&target) {
        &["--sanitizer", "none", "--target-dir", "fuzz/target/whole-logs"]
    } else {
        &[]
    }
}

/// Keeps of the inputs found so far as few as cover as much.
fn shrink(root: &Path, target: &str) -> Result<(), String> {
    let corpus = format!("fuzz/corpus/{target}");
    cargo(root, &[&["+nightly", "fuzz", "cmin"], build(target), &[target, &corpus]].concat())
}

fn fuzz(root: &Path, target: &str, seconds: u32) -> Result<(), String> {
    let time = format!("-max_total_time={seconds}");
    let mut args = [&["+nightly", "fuzz", "run"], build(target)].concat();
    let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
    fs::create_dir_all(root.join(&corpus)).map_err(|error| format!("cannot make {corpus}: {error}"))?;
    args.extend([target, &corpus]);
    if root.join(&seeds).is_dir() {
        args.push(&seeds);
    }
    args.extend(["--", &time, ALLOCATION_MAX, "-rss_limit_mb=2048"]);
    cargo(root, &args)
}

#[derive(Debug, PartialEq, Eq)]
struct Request {
    /// All of them if there is none.
    target: Option<String>,
    /// For each target.
    seconds: u32,
    /// Whether the inputs found are reduced afterwards.
    minimise: bool,
}

fn parse(args: &[String]) -> Result<Request, String> {
    let mut request = Request { target: None, seconds: RUN_SECONDS, minimise: false };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            let value = args.next().and_then(|value| value.parse().ok());
            request.seconds = value.ok_or("`--seconds` needs a number")?;
        } else if arg == "--minimise" {
            request.minimise = true;
        } else if arg.starts_with('-') || request.target.is_some() {
            return Err(format!("fuzz: cannot make sense of `{arg}`"));
        } else {
            request.target = Some(arg.clone());
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, want: Option<(Option<&str>, u32)>) {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let want = want.map(|(target, seconds)| Request {
            target: target.map(str::to_owned),
            seconds,
            minimise: line.contains("--minimise"),
        });
        assert_eq!(parse(&args).ok(), want, "{line}");
    }

    #[test]
    fn target_and_seconds_are_optional() {
        check("", Some((None, RUN_SECONDS)));
        check("frame", Some((Some("frame"), RUN_SECONDS)));
        check("frame --seconds 5", Some((Some("frame"), 5)));
        check("--seconds 5 frame", Some((Some("frame"), 5)));
        check("--minimise frame", Some((Some("frame"), RUN_SECONDS)));
        check("--seconds", None);
        check("--seconds soon", None);
        check("frame batch", None);
        check("--second 5", None);
    }
}
