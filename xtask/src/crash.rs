//! `cargo xtask crash`: simulated crashes and faults, as many as one likes.

use std::path::Path;

use crate::process::cargo_with;

/// The test binary that looks at them, optimised.
const TEST: &[&str] = &[
    "test",
    "--release",
    "--package",
    "wal-core",
    "--test",
    "crash",
    "--",
    "--exact",
    "slice::whatever_happens_nothing_acknowledged_is_lost",
    "--nocapture",
];
/// Every bit of small logs, where `ci` flips one in thirteen.
const BITS: &[&str] =
    &["test", "--release", "--package", "wal-core", "--test", "it", "--", "bits::", "--nocapture"];
/// About a minute.
const STATES: u64 = 500_000;

/// `crash [--states N] [--seed S] [--random-seconds T]`.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let Request { states, seed, random_seconds } = parse(args)?;
    let vars = [
        ("WAL_CRASH_SLICE", states.to_string()),
        ("WAL_CRASH_SEED", seed.to_string()),
        ("WAL_CRASH_RANDOM_SECONDS", random_seconds.to_string()),
    ];
    cargo_with(root, TEST, &vars.each_ref().map(|(name, value)| (*name, value.as_str())))?;
    cargo_with(root, BITS, &[("WAL_EVERY_BIT", "1")])
}

#[derive(Debug, PartialEq, Eq)]
struct Request {
    states: u64,
    /// Number of the first job. A violation says which job found it.
    seed: u64,
    /// How long random runs go on when all states are done.
    random_seconds: u64,
}

fn parse(args: &[String]) -> Result<Request, String> {
    let mut request = Request { states: STATES, seed: 0, random_seconds: 0 };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let field = match arg.as_str() {
            "--states" => &mut request.states,
            "--seed" => &mut request.seed,
            "--random-seconds" => &mut request.random_seconds,
            _ => return Err(format!("crash: cannot make sense of `{arg}`")),
        };
        let value = args.next().and_then(|value| value.replace('_', "").parse().ok());
        *field = value.ok_or_else(|| format!("`{arg}` needs a number"))?;
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, want: Option<(u64, u64, u64)>) {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let got = parse(&args).ok().map(|request| (request.states, request.seed, request.random_seconds));
        assert_eq!(got, want, "{line}");
    }

    #[test]
    fn everything_is_optional() {
        check("", Some((STATES, 0, 0)));
        check("--states 1_000_000 --seed 7", Some((1_000_000, 7, 0)));
        check("--random-seconds 5", Some((STATES, 0, 5)));
        check("--states", None);
        check("--states many", None);
        check("--state 5", None);
        check("5", None);
    }
}
