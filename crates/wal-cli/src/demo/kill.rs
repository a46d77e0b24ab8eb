//! Starts the writer, listens, and kills it.

use std::{
    io::{BufRead, BufReader},
    num::NonZeroU8,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use snafu::ResultExt;

use super::{this_program, writer::Ack};
use crate::error::{DemoSnafu, Failure, ProcessSnafu};

/// When to kill.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Acknowledged(u64),
    /// So long after the first acknowledgement.
    Elapsed(Duration),
}

/// What was acknowledged before the writer died.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) acks: Vec<Ack>,
    /// From the first acknowledgement to the kill.
    pub(crate) elapsed: Duration,
}

pub(crate) fn run(
    log: &Path,
    lines: &Path,
    threads: NonZeroU8,
    records: Option<u64>,
    until: Until,
) -> Result<Witness, Failure> {
    let mut command = Command::new(this_program()?);
    command.arg("demo-writer").arg("--log").arg(log).arg("--lines").arg(lines);
    command.arg("--threads").arg(threads.to_string());
    if let Some(records) = records {
        command.arg("--records").arg(records.to_string());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let child = command.spawn().context(ProcessSnafu { operation: "start the writer" })?;
    let mut victim = Victim { child };
    let Some(pipe) = victim.child.stdout.take() else {
        return DemoSnafu { what: "the writer has no standard output" }.fail();
    };
    let witness = listen(BufReader::new(pipe), until, &mut victim)?;
    let status = victim.child.wait().context(ProcessSnafu { operation: "wait for the writer" })?;
    if !was_killed(status) {
        return DemoSnafu { what: format!("the writer ended before it was killed: {status}") }.fail();
    }
    Ok(witness)
}

/// What the pipe still holds after the kill was acknowledged before it, and counts.
fn listen(mut pipe: BufReader<ChildStdout>, until: Until, victim: &mut Victim) -> Result<Witness, Failure> {
    let mut witness = Witness { acks: Vec::new(), elapsed: Duration::ZERO };
    let mut started = None;
    let mut killed = false;
    let mut text = String::new();
    loop {
        text.clear();
        let len = pipe.read_line(&mut text).context(ProcessSnafu { operation: "listen to the writer" })?;
        if len == 0 {
            return Ok(witness);
        }
        let Some(ack) = Ack::decode(&text) else {
            return DemoSnafu { what: format!("the writer said {text:?}") }.fail();
        };
        witness.acks.push(ack);
        let elapsed = started.get_or_insert_with(Instant::now).elapsed();
        let due = match until {
            Until::Acknowledged(count) => witness.acks.len() as u64 >= count,
            Until::Elapsed(wait) => elapsed >= wait,
        };
        if due && !killed {
            witness.elapsed = elapsed;
            victim.child.kill().context(ProcessSnafu { operation: "kill the writer" })?;
            killed = true;
        }
    }
}

/// No process is left behind, whatever fails.
struct Victim {
    child: Child,
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It is dead already unless something went wrong.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    const SIGKILL: i32 = 9;
    status.signal() == Some(SIGKILL)
}

#[cfg(not(unix))]
fn was_killed(status: ExitStatus) -> bool {
    !status.success()
}
