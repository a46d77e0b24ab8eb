//! Runs other programs.

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `cargo` with these arguments in `root`, its output shown.
pub(crate) fn cargo(root: &Path, args: &[&str]) -> Result<(), String> {
    cargo_with(root, args, &[])
}

/// Like [`cargo`], with environment variables on top.
pub(crate) fn cargo_with(root: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<(), String> {
    let vars: String = env.iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
    let shown = format!("{vars}cargo {}", args.join(" "));
    println!("$ {shown}");
    let status = command("cargo", root, args)
        .envs(env.iter().copied())
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed ({status})")) }
}

/// Runs a program and returns what it printed.
pub(crate) fn output(root: &Path, program: &str, args: &[&str]) -> Result<String, String> {
    let output = command(program, root, args)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{program} {}` failed ({})", args.join(" "), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{program} printed something that is not UTF-8"))
}

/// Runs a program and returns what it printed if it failed, or nothing.
pub(crate) fn complaint(root: &Path, program: &str, args: &[&str]) -> Result<Option<String>, String> {
    let output =
        command(program, root, args).output().map_err(|error| format!("cannot run {program}: {error}"))?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Whether a program is there and willing.
pub(crate) fn succeeds(root: &Path, program: &str, args: &[&str]) -> bool {
    command(program, root, args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn command(program: &str, root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    // Nothing here may wait for somebody to type.
    command.args(args).current_dir(root).stdin(Stdio::null());
    command
}
