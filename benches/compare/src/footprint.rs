//! What a log costs a program that does no more than append, sync and read: crates, bytes, and time to build.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Serialize;

use crate::subject::{Fallible, Peer};

/// A program's cost beyond an empty one.
#[derive(Debug, Serialize)]
pub struct Footprint {
    /// Whose.
    pub peer: &'static str,
    /// Crates in its tree, its own not counted.
    pub crates: usize,
    /// Size of the stripped program beyond that of an empty one, in thousands of bytes.
    pub extra_kilobytes: f64,
    /// CPU time of a build from nothing, in seconds.
    pub cpu_seconds: f64,
}

/// Builds and runs a program for each peer that is a crate; what fails is added to `failures`.
pub fn measure(peers: &[Peer], dir: &Path, failures: &mut Vec<String>) -> Fallible<Vec<Footprint>> {
    let dir = dir.join("program");
    let empty = build(&dir, "", "")?.bytes;
    let mut footprints = Vec::new();
    for peer in peers.iter().filter(|peer| !peer.dependency.is_empty()) {
        eprintln!("footprint: {}", peer.name);
        match build(&dir, peer.dependency, peer.program) {
            Ok(Built { crates, bytes, cpu_seconds }) => footprints.push(Footprint {
                peer: peer.name,
                crates,
                extra_kilobytes: bytes.saturating_sub(empty) as f64 / 1e3,
                cpu_seconds,
            }),
            Err(error) => failures.push(format!("footprint, {}: {error}", peer.name)),
        }
    }
    Ok(footprints)
}

struct Built {
    crates: usize,
    bytes: u64,
    cpu_seconds: f64,
}

fn build(dir: &Path, dependency: &str, program: &str) -> Fallible<Built> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir.join("src"))?;
    let dependency = dependency.replace("@ROOT@", &root()?.display().to_string());
    let manifest = format!(
        "[package]\nname = \"program\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         {dependency}\n\n[profile.release]\nstrip = true\n"
    );
    fs::write(dir.join("Cargo.toml"), manifest)?;
    fs::write(dir.join("src/main.rs"), format!("fn main() {{{program}\n}}\n"))?;
    let cargo = |args: &[&str]| -> Fallible<String> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(args)
            .current_dir(dir)
            .env("CARGO_TARGET_DIR", dir.join("target"))
            .env_remove("RUSTFLAGS")
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let first = words.lines().find(|line| line.starts_with("error")).unwrap_or("cargo failed");
            return Err(first.to_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    cargo(&["fetch", "--quiet"])?;
    let before = children_seconds()?;
    cargo(&["build", "--release", "--quiet"])?;
    let cpu_seconds = children_seconds()? - before;
    let tree = cargo(&["tree", "--edges", "normal,build", "--prefix", "none", "--no-dedupe"])?;
    let mut crates: Vec<_> = tree.lines().filter_map(|line| line.split(" (").next()).collect();
    crates.sort_unstable();
    crates.dedup();
    let binary = dir.join("target/release/program");
    let bytes = fs::metadata(&binary)?.len();
    let status =
        Command::new(binary).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !status.success() {
        return Err(format!("the program ended with {status}").into());
    }
    fs::remove_dir_all(dir)?;
    Ok(Built { crates: crates.len() - 1, bytes, cpu_seconds })
}

/// The repository, from where this program was compiled.
fn root() -> Fallible<PathBuf> {
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    Ok(here.join("../..").canonicalize()?)
}

/// CPU time of all children that ended.
fn children_seconds() -> Fallible<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| -> Fallible<f64> { Ok(fields.get(at).ok_or("a short line")?.parse::<f64>()?) };
    // The fields 16 and 17 of proc(5), in hundredths of a second.
    Ok((ticks(13)? + ticks(14)?) / 100.0)
}
