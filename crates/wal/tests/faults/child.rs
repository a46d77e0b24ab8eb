//! This test binary as another process, with a role to play.
//!
//! A child says what it did in lines on its standard error, each beginning with `@` and written at once. It goes on
//! until its work is done, it is killed, or its standard input ends.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{beside, killed, limit, locked, preloaded};

const ROLE: &str = "WAL_FAULTS_ROLE";
const LOG: &str = "WAL_FAULTS_LOG";
const ROUND: &str = "WAL_FAULTS_ROUND";

/// Plays with the log in a directory; the number is the round, where there are several.
type Role = fn(&Path, u64);

const ROLES: &[(&str, Role)] = &[
    ("writers", killed::writers),
    ("limited", limit::limited),
    ("cramped", limit::cramped),
    ("holder", locked::holder),
    ("mapper", beside::mapper),
    ("follower", beside::follower),
    ("rescuer", beside::rescuer),
    ("examiner", beside::examiner),
    ("failing", preloaded::failing),
];

/// Does nothing, unless this process is a child.
#[test]
fn plays_its_role() {
    let Ok(role) = env::var(ROLE) else { return };
    let log = PathBuf::from(env::var_os(LOG).unwrap());
    let round = env::var(ROUND).unwrap().parse().unwrap();
    let (_, play) = ROLES.iter().find(|(name, _)| *name == role).unwrap();
    play(&log, round);
}

/// The arguments that make this binary a child.
pub(crate) const ARGS: [&str; 4] = ["--exact", "child::plays_its_role", "--nocapture", "--test-threads=1"];

pub(crate) fn command(role: &str, log: &Path, round: u64) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(ARGS);
    cast(&mut command, role, log, round);
    command
}

/// A child with limits set by a shell first.
pub(crate) fn command_after(script: &str, role: &str, log: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{script}; exec \"$@\""), "sh"]).arg(env::current_exe().unwrap()).args(ARGS);
    cast(&mut command, role, log, 0);
    command
}

fn cast(command: &mut Command, role: &str, log: &Path, round: u64) {
    command.env(ROLE, role).env(LOG, log).env(ROUND, round.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
}

/// Tells the parent something.
pub(crate) fn say(line: &str) {
    // One write, so that lines of several threads do not mix and none is cut in two by a kill.
    let _ = io::stderr().write_all(format!("@{line}\n").as_bytes());
}

/// Becomes true when the parent wants this process to end.
pub(crate) fn until_told() -> Arc<AtomicBool> {
    let told = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&told);
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        flag.store(true, Ordering::SeqCst);
    });
    told
}

/// A child that runs.
pub(crate) struct Running {
    child: Child,
    /// What it has said so far.
    lines: Arc<Mutex<Vec<String>>>,
    listener: JoinHandle<()>,
}

/// How a child ended, and what it said.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) lines: Vec<String>,
}

impl Running {
    /// Starts a child and waits until it says that it is ready.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stderr.take().unwrap());
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != "@ready") {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "a child that is never ready: {lines:#?}");
            lines.push(line.trim_end().to_owned());
        }
        let lines = Arc::new(Mutex::new(lines));
        let said = Arc::clone(&lines);
        let listener = thread::spawn(move || {
            for line in output.split(b'\n') {
                said.lock().unwrap().push(String::from_utf8_lossy(&line.unwrap()).into_owned());
            }
        });
        Self { child, lines, listener }
    }

    /// Whether it has begun a line with this word, or never will, because it has ended.
    pub(crate) fn has_said(&self, word: &str) -> bool {
        let is_it = |line: &String| line.strip_prefix('@').is_some_and(|line| line.starts_with(word));
        self.listener.is_finished() || self.lines.lock().unwrap().iter().any(is_it)
    }

    /// However long that takes on a busy machine.
    pub(crate) fn wait_until_said(&self, word: &str) {
        while !self.has_said(word) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.wait()
    }

    /// Asks it to end, and waits until it does.
    pub(crate) fn end(mut self) -> Ended {
        drop(self.child.stdin.take());
        self.wait()
    }

    pub(crate) fn wait(mut self) -> Ended {
        let status = self.child.wait().unwrap();
        self.listener.join().unwrap();
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        Ended { status, lines }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn succeeded(&self) -> &Self {
        assert!(self.status.success(), "{}:\n{}", self.status, self.lines.join("\n"));
        self
    }

    /// The numbers of the lines that begin with this word.
    pub(crate) fn said(&self, word: &str) -> impl Iterator<Item = Vec<u64>> {
        let lines = self
            .lines
            .iter()
            .filter_map(move |line| line.strip_prefix('@')?.strip_prefix(word)?.strip_prefix(' '));
        lines.map(|rest| rest.split_whitespace().map(|number| number.parse().unwrap()).collect())
    }

    /// The one number that was said with this word.
    #[track_caller]
    pub(crate) fn number(&self, word: &str) -> u64 {
        self.said(word).last().unwrap_or_else(|| panic!("no {word}:\n{}", self.lines.join("\n")))[0]
    }
}
