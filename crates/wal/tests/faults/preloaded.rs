//! System calls that fail once, through a library that is loaded before the system's. Prepared by
//! `cargo xtask faults`.

use std::{collections::BTreeSet, env, ffi::OsString, path::Path};

use wal::{Error, ErrorKind, Options, Outcome, Wal};

use crate::{
    child::{Ended, Running, command, say},
    content::{check, lsn, payload},
};

/// The library.
const SHIM: &str = "WAL_FAULTS_SHIM";
/// Which call fails, and the how manieth.
const CALL: &str = "WAL_FAULTS_CALL";
const AT: &str = "WAL_FAULTS_AT";
/// The call that what no sync covers yet is written with: the next segment, while nobody has it, and long entries, of
/// which the medium is asked to begin with a part while the rest is copied.
const AHEAD: &str = "sync_file_range";
/// A run without threads of the log, one with them, and one with long entries.
const ROUNDS: [u64; 3] = [0, 1, LONG];
const LONG: u64 = 2;

fn options(round: u64) -> Options {
    let len = if round == LONG { 2 << 20 } else { 64 << 10 };
    Options { segment_len: len, first_segment_len: len, background_threads: round > 0, ..Options::default() }
}

/// What a failure has made of the log.
#[derive(Debug, Default)]
struct State {
    /// Nothing may be acknowledged any more.
    is_final: bool,
    /// The first entry that was appended and not confirmed.
    in_doubt: Option<u64>,
}

/// The role: a run with everything in it, in which a call fails. Says what was acknowledged; once an append is in
/// doubt, or the log calls itself poisoned, nothing may be.
pub(crate) fn failing(log: &Path, round: u64) {
    say("ready");
    let wal = match Wal::builder(log).options(options(round)).open() {
        Ok(wal) => wal,
        Err(error) => return refused(&error),
    };
    let mut state = State::default();
    let (count, len, trims) = if round == LONG { (6, 900 << 10, 2) } else { (60, 5000, 25) };
    for number in 1..=count {
        let next = wal.next_lsn().get();
        match wal.append(payload(next, 0, len)) {
            Ok(lsn) => {
                assert!(!state.is_final, "entry {lsn} was acknowledged after a failure");
                say(&format!("acknowledged {lsn}"));
            }
            Err(error) => note(&error, &mut state),
        }
        if number % trims == 0 {
            let first = next / 2 + 1;
            say(&format!("trimming {first}"));
            match wal.truncate_before(lsn(first)) {
                Ok(_) => assert!(!state.is_final, "a trim after a failure"),
                Err(error) => note(&error, &mut state),
            }
        }
        let durable = wal.durable_lsn().map_or(0, wal::Lsn::get);
        if state.is_final {
            assert!(
                state.in_doubt.is_none_or(|doubtful| durable < doubtful),
                "{state:?}: {durable} became durable"
            );
            assert_eq!(wal.sync().unwrap_err().kind(), ErrorKind::Poisoned);
        }
        // What is shown after a failure is what was durable before.
        for entry in wal.iter() {
            let entry = entry.unwrap();
            check(entry.lsn.get(), &entry.payload);
            assert!(!state.is_final || entry.lsn.get() <= durable);
        }
    }
    if let Err(error) = wal.close() {
        typed(&error);
    }
}

fn typed(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Poisoned), "{error}");
}

fn refused(error: &Error) {
    typed(error);
    say("refused 1");
}

fn note(error: &Error, state: &mut State) {
    typed(error);
    say("refused 1");
    if state.is_final {
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
        return;
    }
    state.is_final = error.kind() == ErrorKind::Poisoned || error.outcome() == Some(Outcome::Unknown);
    if error.outcome() == Some(Outcome::Unknown) {
        state.in_doubt = Some(error.lsns().unwrap().start().get());
    }
    if state.is_final {
        say("final 1");
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    rounds: u64,
    poisoned: u64,
    refused: u64,
    unnoticed: u64,
}

#[test]
#[ignore = "needs a library to load first: cargo xtask faults"]
fn a_call_that_fails_once_is_final_where_it_must_be() {
    let shim = env::var_os(SHIM).expect("run this through cargo xtask faults");
    let call = env::var(CALL).unwrap();
    let mut tally = Tally::default();
    for round in ROUNDS {
        let before = tally;
        for at in 1.. {
            if !fail(&shim, &call, at, round, &mut tally) {
                break;
            }
        }
        if call == AHEAD && round != LONG {
            // What was filled is made anew, or not filled: an append that needs the segment does not even ask for this.
            let is_nobodys = tally.refused == 0 && tally.poisoned == 0;
            assert!(is_nobodys && (round == 0 || tally.rounds > 0), "{call} is in nobody's way: {tally:?}");
        } else {
            assert!(
                tally.poisoned > before.poisoned,
                "{call} was never in the way of an append in run {round}"
            );
        }
    }
    let Tally { rounds, poisoned, refused, unnoticed } = tally;
    println!(
        "result: {rounds} rounds: {poisoned} poisoned, {refused} refused, {unnoticed} without effect on the caller; \
         all acknowledged entries there after reopening"
    );
}

/// Whether the run was long enough for the call to fail.
fn fail(shim: &OsString, call: &str, at: u64, round: u64, tally: &mut Tally) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command("failing", dir.path(), round);
    command.env("LD_PRELOAD", shim).env(CALL, call).env(AT, at.to_string());
    let ended = Running::start(command).wait();
    ended.succeeded();
    let acknowledged: BTreeSet<u64> = ended.said("acknowledged").map(|line| line[0]).collect();
    verify(dir.path(), round, &ended, &acknowledged);
    let is_failed = ended.said("injected").next().is_some();
    if is_failed {
        tally.rounds += 1;
        match (ended.said("final").next(), ended.said("refused").next()) {
            (Some(_), _) => tally.poisoned += 1,
            (None, Some(_)) => tally.refused += 1,
            (None, None) => tally.unnoticed += 1,
        }
    }
    is_failed
}

fn verify(log: &Path, round: u64, ended: &Ended, acknowledged: &BTreeSet<u64>) {
    let trimmed = ended.said("trimming").map(|line| line[0]).max().unwrap_or(1);
    let wal =
        Wal::builder(log).options(Options { background_threads: false, ..options(round) }).open().unwrap();
    let mut present = BTreeSet::new();
    for entry in wal.iter() {
        let entry = entry.unwrap();
        check(entry.lsn.get(), &entry.payload);
        present.insert(entry.lsn.get());
    }
    assert!(present.first().is_none_or(|first| *first <= trimmed));
    let first = present.first().copied().unwrap_or(trimmed);
    let missing: Vec<_> = acknowledged.range(first..).filter(|lsn| !present.contains(lsn)).collect();
    assert!(missing.is_empty(), "acknowledged and gone: {missing:?}\n{}", ended.lines.join("\n"));
    // An append in doubt may be there, and it is the only one beyond what was acknowledged.
    let surplus = present.iter().filter(|lsn| Some(*lsn) > acknowledged.last()).count();
    assert!(surplus <= 1, "{surplus} entries that nobody acknowledged");
    wal.append("goes on").unwrap();
}
