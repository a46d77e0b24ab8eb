//! `cargo xtask compare`: this log beside its rivals, in a workspace of its own so that nobody else compiles them.

use std::env;
use std::path::Path;

use crate::process::cargo;

const MANIFEST: &str = "benches/compare/Cargo.toml";
const REPORT: &str = "docs/benchmarks";

/// `compare [--rivals FEATURE,..]`, and what the program itself understands.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let (rivals, rest) = parse(args)?;
    // Absolute: the program is started where the caller is, and its directories are not to depend on that.
    let root = root.canonicalize().map_err(|error| format!("cannot find {}: {error}", root.display()))?;
    let (manifest, report) = (root.join(MANIFEST), root.join(REPORT));
    let path = |path: &Path| path.to_str().map(str::to_owned).ok_or("the repository's path is not UTF-8");
    let (manifest, report) = (path(&manifest)?, path(&report)?);
    let mut call = vec!["run", "--release", "--locked", "--manifest-path", &manifest];
    if let Some(rivals) = &rivals {
        call.extend(["--no-default-features", "--features", rivals]);
    }
    call.push("--");
    call.extend(rest.iter().map(String::as_str));
    if !rest.iter().any(|arg| arg == "--out") {
        call.extend(["--out", &report]);
    }
    let here = env::current_dir().map_err(|error| format!("cannot tell the current directory: {error}"))?;
    cargo(&here, &call)
}

/// The rivals to build in, if not all, and what is left.
fn parse(args: &[String]) -> Result<(Option<String>, Vec<String>), String> {
    let Some(at) = args.iter().position(|arg| arg == "--rivals") else { return Ok((None, args.to_vec())) };
    let mut rest = args.to_vec();
    let value = rest.drain(at..args.len().min(at + 2)).nth(1).ok_or("`--rivals` needs a list")?;
    Ok((Some(value), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, want: Option<(Option<&str>, &str)>) {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let got = parse(&args).ok().map(|(rivals, rest)| (rivals, rest.join(" ")));
        assert_eq!(got, want.map(|(rivals, rest)| (rivals.map(str::to_owned), rest.to_owned())), "{line}");
    }

    #[test]
    fn rivals_are_for_cargo_and_the_rest_for_the_program() {
        check("", Some((None, "")));
        check("--quick --only wal-db", Some((None, "--quick --only wal-db")));
        check("--quick --rivals wal-db,fjall --dir a", Some((Some("wal-db,fjall"), "--quick --dir a")));
        check("--rivals", None);
    }
}
