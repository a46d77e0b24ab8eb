//! `cargo xtask faults`: the faults that need root, a prepared disk, a library to load first, or time.
//!
//! The scenarios are tests of `wal`, in `crates/wal/tests/faults`; here is what they need, and the table of how they
//! ended. Everything is made in a temporary directory that is removed at the end.

mod disk;
mod scratch;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::process::{output, output_with, succeeds};
use disk::Disk;
use scratch::Scratch;

const TESTS: &[&str] = &["test", "--package", "wal", "--test", "faults", "--no-run"];
const FULL: &str = "disk::a_full_disk_is_survived_at_every_append";
const FULL_STORED: &str = "disk::a_full_disk_is_survived_by_a_log_that_stores";
const PRELOADED: &str = "preloaded::a_call_that_fails_once_is_final_where_it_must_be";
const PERMISSION: &str = "directory::a_directory_without_permission_stops_the_log_until_it_is_given_back";
const BESIDE: &str = "beside::a_reader_beside_a_live_writer_never_sees_damage";
/// How long a reader follows a writer, unless told otherwise.
const SECONDS: u32 = 120;

/// One fault, and how to bring it about.
struct Fault {
    name: &'static str,
    run: fn(&Bench<'_>) -> Result<Outcome, String>,
}

/// How a fault ended whose test did not fail.
enum Outcome {
    Passed(String),
    /// It could not be brought about here, for this reason.
    Skipped(String),
}

const FAULTS: &[Fault] = &[
    Fault { name: "full disk, tmpfs", run: |bench| bench.full(FULL, Disk::tmpfs) },
    Fault { name: "full disk, ext4", run: |bench| bench.full(FULL, Disk::ext4) },
    Fault { name: "full tmpfs, stores", run: |bench| bench.full(FULL_STORED, Disk::tmpfs) },
    Fault { name: "full ext4, stores", run: |bench| bench.full(FULL_STORED, Disk::ext4) },
    Fault { name: "EIO from fdatasync", run: |bench| bench.failing_call("fdatasync") },
    Fault { name: "EIO from fsync", run: |bench| bench.failing_call("fsync") },
    Fault { name: "EIO from sync_file_range", run: |bench| bench.failing_call("sync_file_range") },
    Fault { name: "EIO from pwrite64", run: |bench| bench.failing_call("pwrite64") },
    Fault { name: "directory read-only", run: |bench| bench.permission() },
    Fault { name: "reader beside writer", run: |bench| bench.beside() },
];

/// What all faults share.
struct Bench<'a> {
    root: &'a Path,
    scratch: &'a Path,
    /// The test binary.
    tests: PathBuf,
    seconds: u32,
}

/// `faults [--seconds N]`.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let seconds = match args {
        [] => SECONDS,
        [option, value] if option == "--seconds" => {
            value.parse().map_err(|_| "`--seconds` needs a number")?
        }
        _ => return Err("faults: the only option is `--seconds N`".to_owned()),
    };
    if !cfg!(target_os = "linux") {
        return Err("faults: only Linux has the means".to_owned());
    }
    let tests = build(root)?;
    let scratch = Scratch::new()?;
    let bench = Bench { root, scratch: scratch.path(), tests, seconds };
    let mut failed = 0;
    println!("\n{:<24} {:>7}  outcome", "fault", "took");
    for Fault { name, run } in FAULTS {
        let start = Instant::now();
        let text = match run(&bench) {
            Ok(Outcome::Passed(text)) => text,
            Ok(Outcome::Skipped(reason)) => format!("SKIPPED: {reason}"),
            Err(text) => {
                failed += 1;
                format!("FAILED: {text}")
            }
        };
        println!("{name:<24} {:>5.1} s  {text}", start.elapsed().as_secs_f64());
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} faults were not survived")) }
}

/// Builds the tests and returns their binary. They call the system through the C library, where a library that is
/// loaded first can stand in the way.
fn build(root: &Path) -> Result<PathBuf, String> {
    let options = ["--message-format", "json", "--target-dir", "target/faults"];
    let env = [("RUSTFLAGS", "--cfg rustix_use_libc")];
    let messages = output_with(root, "cargo", &[TESTS, &options].concat(), &env)?;
    let is_test =
        |message: &Value| message["profile"]["test"] == true && message["target"]["name"] == "faults";
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(is_test)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| "cargo names no binary for the tests".to_owned())
}

impl Bench<'_> {
    /// Runs one test, and returns what it says about its result.
    fn test(&self, name: &str, env: &[(&str, &str)]) -> Result<Outcome, String> {
        judge(Command::new(&self.tests).args(arguments(name)).envs(env.iter().copied()))
    }

    fn full(&self, test: &str, mount: fn(&Self) -> Result<Disk, String>) -> Result<Outcome, String> {
        if !self.is_root() {
            return Ok(Outcome::Skipped("only root can mount a disk".to_owned()));
        }
        let disk = match mount(self) {
            Ok(disk) => disk,
            Err(reason) => return Ok(Outcome::Skipped(reason)),
        };
        self.test(test, &[("WAL_FAULTS_SMALL_DISK", disk.path()?)])
    }

    fn failing_call(&self, call: &str) -> Result<Outcome, String> {
        if !succeeds(self.root, "cc", &["--version"]) {
            return Ok(Outcome::Skipped("there is no C compiler (`cc`)".to_owned()));
        }
        let shim = self.scratch.join("shim.so");
        let shim = shim.to_str().ok_or("the temporary directory is not UTF-8")?;
        let source = "xtask/faults/shim.c";
        output(
            self.root,
            "cc",
            &["-O2", "-Wall", "-Werror", "-fPIC", "-shared", "-o", shim, source, "-ldl"],
        )?;
        self.test(PRELOADED, &[("WAL_FAULTS_SHIM", shim), ("WAL_FAULTS_CALL", call)])
    }

    /// As somebody whom permissions bind.
    fn permission(&self) -> Result<Outcome, String> {
        if !self.is_root() {
            return self.test(PERMISSION, &[]).map(named("the directory came back and the log went on"));
        }
        if !succeeds(self.root, "setpriv", &["--version"]) {
            return Ok(Outcome::Skipped("root may do everything, and there is no `setpriv`".to_owned()));
        }
        let (home, tests) = (self.scratch.join("nobody"), self.scratch.join("nobody/tests"));
        std::fs::create_dir(&home).map_err(|error| format!("cannot make a directory: {error}"))?;
        std::fs::copy(&self.tests, &tests).map_err(|error| format!("cannot copy the tests: {error}"))?;
        let text = self.scratch.to_str().ok_or("the temporary directory is not UTF-8")?;
        output(self.root, "chown", &["-R", "65534:65534", text])?;
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(tests);
        command.args(arguments(PERMISSION)).env("TMPDIR", home);
        judge(&mut command)
            .map(named("no new segment is an error; the directory came back and the log went on"))
    }

    fn beside(&self) -> Result<Outcome, String> {
        self.test(BESIDE, &[("WAL_FAULTS_SECONDS", &self.seconds.to_string())])
    }

    fn is_root(&self) -> bool {
        output(self.root, "id", &["-u"]).is_ok_and(|id| id.trim() == "0")
    }
}

fn arguments(test: &str) -> [&str; 5] {
    ["--exact", test, "--include-ignored", "--nocapture", "--test-threads=1"]
}

/// A test that says nothing about its result passed with this one, unless it says why it was skipped.
fn named(text: &'static str) -> impl Fn(Outcome) -> Outcome {
    move |outcome| match outcome {
        Outcome::Passed(said) if said.is_empty() => Outcome::Passed(text.to_owned()),
        outcome => outcome,
    }
}

/// Runs a test and takes its result from the lines that begin with `result:` or `skipped:`.
fn judge(command: &mut Command) -> Result<Outcome, String> {
    let output = command
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run the test: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || !text.contains("1 passed") {
        return Err(format!("{}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let said = |word: &str| text.split(word).nth(1).and_then(|rest| rest.lines().next()).map(str::trim);
    match said("skipped: ") {
        Some(reason) => Ok(Outcome::Skipped(reason.to_owned())),
        // The last line of all is the test harness's own "test result:".
        None => {
            Ok(Outcome::Passed(said("\nresult: ").or(said("... result: ")).unwrap_or_default().to_owned()))
        }
    }
}
