//! The write-ahead log beside its rivals: the same work, one run, one report.
//!
//! `cargo xtask compare` builds and starts it. Every measurement runs in a process of its own, the peers of a row take
//! turns, and durable runs count only if every entry is there when the log is opened again.

#![forbid(unsafe_code)]

mod append;
mod bars;
mod cell;
mod footprint;
mod peers;
mod plan;
mod plot;
mod read;
mod report;
mod run;
mod subject;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use crate::{report::Report, run::Results, subject::Fallible};

const HELP: &str = "\
usage: wal-compare [--quick] [--only PEER,..] [--workload NAME,..] [--dir DIR] [--out DIR]

  --quick      smaller logs, shorter runs, fewer repetitions
  --only       these peers, beside this log and the floor
  --workload   these workloads
  --dir        where the logs are written and removed again, 12 GiB at most; the target directory otherwise
  --out        where report.md, report.json and the plots go
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["cell", request] => cell::serve(request),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Request::parse(&args).and_then(|request| compare(&request)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wal-compare: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Request {
    is_quick: bool,
    only: Vec<String>,
    workloads: Vec<String>,
    dir: PathBuf,
    out: Option<PathBuf>,
}

impl Request {
    fn parse(args: &[String]) -> Fallible<Self> {
        let target = env::current_exe()?.parent().and_then(Path::parent).map(Path::to_path_buf);
        let dir = target.unwrap_or_else(env::temp_dir);
        let mut request = Self { is_quick: false, only: Vec::new(), workloads: Vec::new(), dir, out: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("`{arg}` needs a value\n\n{HELP}"));
            let list = |value: &String| value.split(',').map(|name| name.trim().to_owned()).collect();
            match arg.as_str() {
                "--quick" => request.is_quick = true,
                "--only" => request.only = list(value()?),
                "--workload" => request.workloads = list(value()?),
                "--dir" => request.dir = value()?.into(),
                "--out" => request.out = Some(value()?.into()),
                _ => return Err(format!("cannot make sense of `{arg}`\n\n{HELP}").into()),
            }
        }
        let known = |name: &String| peers::find(name).is_some();
        if let Some(name) = request.only.iter().find(|name| !known(name)) {
            let names: Vec<_> = peers::all().iter().map(|peer| peer.name).collect();
            return Err(format!("there is no peer `{name}` in this build, only {}", names.join(", ")).into());
        }
        let workloads: Vec<_> = plan::WORKLOADS.iter().map(|(name, _)| *name).chain(["footprint"]).collect();
        if let Some(name) = request.workloads.iter().find(|name| !workloads.contains(&name.as_str())) {
            return Err(format!("there is no workload `{name}`, only {}", workloads.join(", ")).into());
        }
        Ok(request)
    }

    fn wants(&self, workload: &str) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|name| name == workload)
    }
}

fn compare(request: &Request) -> Fallible<()> {
    let mut peers = peers::all();
    if !request.only.is_empty() {
        peers.retain(|peer| !peer.is_rival() || request.only.iter().any(|name| name == peer.name));
    }
    let start = Instant::now();
    let dir = request.dir.join("wal-compare");
    let mut results = Results::default();
    let rows: Vec<_> =
        plan::rows(request.is_quick).into_iter().filter(|row| request.wants(row.workload)).collect();
    for (at, row) in rows.iter().enumerate() {
        eprintln!(
            "[{:>4.0} s] {}/{} {}: {}",
            start.elapsed().as_secs_f64(),
            at + 1,
            rows.len(),
            row.workload,
            row.label
        );
        results.measure(row, &peers, &dir)?;
    }
    // It compiles every rival once more, alone: minutes.
    let is_asked_for = request.workloads.iter().any(|name| name == "footprint");
    let footprints = if is_asked_for || !request.is_quick && request.wants("footprint") {
        footprint::measure(&peers, &dir, &mut results.failures)?
    } else {
        Vec::new()
    };
    let report =
        Report { results: &results, peers: &peers, footprints: &footprints, is_quick: request.is_quick };
    let seconds = start.elapsed().as_secs();
    let text = report.markdown(seconds);
    print!("{text}");
    if let Some(out) = &request.out {
        report.write(out, &text, seconds)?;
    }
    Ok(())
}
