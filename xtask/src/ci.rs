//! `cargo xtask ci`: the steps, in order, up to the first failure.

mod examples;
mod features;
mod locks;
mod loom;
mod no_std;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::{cargo, cargo_with};
use crate::{fuzz, metadata, s3, tidy};

/// One check. A new one is a line in [`STEPS`].
struct Step {
    name: &'static str,
    run: fn(&Path) -> Result<Done, String>,
}

/// How a step ended that did not fail.
pub(crate) enum Done {
    Passed,
    /// It could not run here, and that is no failure.
    Skipped(String),
}

/// Cheap and telling ones first.
const STEPS: &[Step] = &[
    Step { name: "format", run: |root| passed(cargo(root, &["fmt", "--all", "--check"])) },
    Step { name: "tidy", run: |root| passed(tidy::run(root)) },
    Step { name: "locks", run: locks::check },
    Step { name: "clippy", run: |root| passed(cargo_all(root, CLIPPY, &["--", "-D", "warnings"], &[])) },
    Step { name: "test", run: |root| passed(cargo_all(root, TEST, &[], &[])) },
    Step { name: "examples", run: |root| passed(examples::run(root)) },
    Step { name: "doc", run: |root| passed(cargo_all(root, DOC, &[], &[("RUSTDOCFLAGS", "-D warnings")])) },
    Step { name: "features", run: |root| passed(features::check(root)) },
    Step { name: "no_std", run: |root| passed(no_std::check(root)) },
    Step { name: "s3", run: s3::check },
    Step { name: "loom", run: |root| passed(loom::check(root)) },
    Step { name: "fuzz-build", run: fuzz::check },
    Step { name: "fuzz-slice", run: fuzz::slice },
];

const CLIPPY: &[&str] = &["clippy", "--workspace", "--all-targets"];
/// Without `--all-targets`, which would leave out the documentation's examples.
const TEST: &[&str] = &["test", "--workspace"];
const DOC: &[&str] = &["doc", "--workspace", "--no-deps"];
/// They bring an HTTP client and TLS, which take minutes to build: the step `s3` does, where it can.
const HEAVY: &[&str] = &["s3", "aws"];

/// Runs `cargo` with all features but the heavy ones.
fn cargo_all(root: &Path, args: &[&str], more: &[&str], env: &[(&str, &str)]) -> Result<(), String> {
    let features = features_but_heavy(root, |_| true)?;
    cargo_with(root, &[args, &["--features", &features], more].concat(), env)
}

/// The features of these packages but the heavy ones, as `cargo` wants them.
fn features_but_heavy(root: &Path, of: impl Fn(&str) -> bool) -> Result<String, String> {
    let mut features = Vec::new();
    for package in metadata::read(root, "Cargo.toml")?.packages.iter().filter(|package| of(&package.name)) {
        let light = package.features.iter().filter(|name| !HEAVY.contains(&name.as_str()));
        features.extend(light.map(|feature| format!("{}/{feature}", package.name)));
    }
    Ok(features.join(","))
}

fn passed(result: Result<(), String>) -> Result<Done, String> {
    result.map(|()| Done::Passed)
}

/// Runs the steps with these names, or all of them if there are none.
pub(crate) fn run(root: &Path, names: &[String]) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != *name)) {
        return Err(format!("there is no step `{unknown}`\n{}", help()));
    }
    let mut summary = Vec::new();
    let mut failure = None;
    for step in STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)) {
        println!("\n=== {}", step.name);
        let start = Instant::now();
        let result = (step.run)(root);
        let verdict = match &result {
            Ok(Done::Passed) => "passed".to_owned(),
            Ok(Done::Skipped(reason)) => format!("SKIPPED: {reason}"),
            Err(_) => "FAILED".to_owned(),
        };
        let line = summary_line(step.name, start.elapsed(), &verdict);
        println!("{line}");
        summary.push(line);
        if let Err(message) = result {
            failure = Some(format!("step `{}`: {message}", step.name));
            break;
        }
    }
    println!("\n=== summary");
    summary.iter().for_each(|line| println!("{line}"));
    failure.map_or(Ok(()), Err)
}

/// The steps' names, for the help text.
pub(crate) fn help() -> String {
    let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
    format!("\nsteps of ci: {}\n", names.join(", "))
}

fn summary_line(name: &str, took: Duration, verdict: &str) -> String {
    format!("{name:<12}{:>8.1} s  {verdict}", took.as_secs_f64())
}
