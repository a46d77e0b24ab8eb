//! The operation log: what a snapshot and what comes after it make together.

use std::collections::{BTreeMap, HashMap};

use wal::{
    Error, ErrorKind, NewEntry, Outcome, Wal,
    oplog::{Action, Operation, OperationLog},
};

use crate::support::{lsn, small};

type State = BTreeMap<(String, Vec<u8>), Vec<u8>>;

fn put(n: u64) -> Operation {
    Operation::put("t", format!("key {}", n % 7), vec![n as u8; 9000]).at(n as i64)
}

/// The state after so many of these operations, of which every fifth deletes.
fn operation(n: u64) -> Operation {
    if n.is_multiple_of(5) {
        Operation { action: Action::Delete, data: Vec::new(), ..put(n) }
    } else {
        put(n)
    }
}

fn state(count: u64) -> State {
    let mut state = State::new();
    for n in 1..=count {
        let Operation { action, entity, key, data, .. } = operation(n);
        match action {
            Action::Put => drop(state.insert((entity, key), data)),
            _ => drop(state.remove(&(entity, key))),
        }
    }
    state
}

fn open(dir: &std::path::Path) -> OperationLog {
    OperationLog::new(Wal::builder(dir).options(small()).open().unwrap())
}

fn filled(dir: &std::path::Path, count: u64) -> OperationLog {
    let log = open(dir);
    log.append_batch(&[operation(1), operation(2)]).unwrap();
    log.submit(&operation(3)).unwrap().wait().unwrap();
    (4..=count).for_each(|n| assert_eq!(log.append(&operation(n)).unwrap(), lsn(n)));
    log
}

#[test]
fn a_snapshot_and_the_log_make_the_state_wherever_the_crash_was() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 40);
    let mut replayed = State::new();
    assert_eq!(log.replay_into(None, &mut replayed).unwrap(), Some(lsn(40)));
    assert_eq!(replayed, state(40));
    let mut hashed = HashMap::new();
    log.replay_into(None, &mut hashed).unwrap();
    assert_eq!(hashed.into_iter().collect::<State>(), state(40));
    for n in 0..=40 {
        // The crash came before the operations were removed from the log.
        let mut restored = state(n);
        let snapshot = wal::Lsn::new(n);
        assert_eq!(log.replay_into(snapshot, &mut restored).unwrap(), Some(lsn(40)));
        assert_eq!(restored, state(40), "from {n}");
    }
    let segments = log.wal().segments().unwrap().len();
    log.snapshot_taken(lsn(30)).unwrap();
    assert!(log.wal().segments().unwrap().len() < segments);
    assert_eq!(log.wal().first_lsn(), Some(lsn(31)));
    drop(log);
    let log = open(dir.path());
    let mut restored = state(30);
    let mut seen = Vec::new();
    log.replay(Some(lsn(30)), |lsn, operation| {
        seen.push((lsn.get(), operation.timestamp));
        wal::oplog::Apply::apply(&mut restored, lsn, operation)
    })
    .unwrap();
    assert_eq!(restored, state(40));
    assert_eq!(seen, (31..=40).map(|n| (n, n as i64)).collect::<Vec<_>>());
    log.snapshot_taken(lsn(40)).unwrap();
    assert_eq!(log.replay_into(Some(lsn(40)), &mut restored).unwrap(), Some(lsn(40)));
    assert_eq!(log.append(&operation(41)).unwrap(), lsn(41));
}

#[test]
fn a_snapshot_that_does_not_fit_the_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 10);
    log.snapshot_taken(lsn(6)).unwrap();
    let refused = |snapshot: Option<u64>| {
        let mut state = State::new();
        let error = log.replay_into(snapshot.map(lsn), &mut state).unwrap_err();
        assert!(state.is_empty());
        error.kind()
    };
    assert_eq!(refused(None), ErrorKind::Truncated);
    assert_eq!(refused(Some(5)), ErrorKind::Truncated);
    assert_eq!(refused(Some(11)), ErrorKind::NotFound);
    assert_eq!(log.snapshot_taken(lsn(11)).unwrap_err().kind(), ErrorKind::NotFound);
    log.wal().clear().unwrap();
    assert_eq!((refused(None), refused(Some(9))), (ErrorKind::Truncated, ErrorKind::Truncated));
    assert_eq!(log.replay_into(Some(lsn(10)), &mut State::new()).unwrap(), Some(lsn(10)));
}

#[test]
fn what_is_no_operation_stops_a_replay_and_what_is_another_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    assert_eq!(log.replay_into(None, &mut State::new()).unwrap(), None);
    let own = Operation { action: Action::Other(9), ..Operation::put("t", "k", "whatever") };
    log.append(&Operation::put("t", "k", "v")).unwrap();
    log.append(&own).unwrap();
    let wrong = Operation { action: Action::Other(1), ..own.clone() };
    let error = log.append(&wrong).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Invalid, Some(Outcome::NotAppended)));
    let mut state = State::new();
    assert_eq!(log.replay_into(None, &mut state).unwrap(), Some(lsn(2)));
    assert_eq!(state, State::from([(("t".into(), b"k".into()), b"v".into())]));
    let mut seen = Vec::new();
    log.replay(Some(lsn(1)), |_, operation| {
        seen.push(operation);
        Ok::<(), Error>(())
    })
    .unwrap();
    assert_eq!(seen, [own]);
    log.wal().append_with(NewEntry { kind: 1, ..NewEntry::plain(b"?") }, &Default::default()).unwrap();
    let error = log.replay_into(None, &mut state).unwrap_err();
    assert_eq!((error.kind(), error.lsns()), (ErrorKind::Undecodable, Some(lsn(3)..=lsn(3))));
}
