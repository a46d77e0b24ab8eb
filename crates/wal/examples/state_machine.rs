//! The log of a replicated state machine: votes, terms, a follower that is fed with frames, a conflict that is cut off,
//! and a snapshot in the place of entries that are gone. Who wins elections is for a consensus library to say; this is
//! what it asks of its log.
//!
//! ```sh
//! cargo run --package wal --example state_machine
//! ```

#![expect(clippy::print_stdout, reason = "it is an example")]

use std::{collections::BTreeMap, error::Error, path::Path};

use wal::{AppendOptions, Bytes, EncodedFrame, Entry, ErrorKind, Lsn, NewEntry, Wal};

type Failure = Box<dyn Error>;

/// What the commands make: a counter a name. A command is `name=+5`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counters(BTreeMap<String, i64>);

impl Counters {
    fn apply(&mut self, command: &[u8]) -> Result<(), Failure> {
        let (name, by) = std::str::from_utf8(command)?.split_once('=').ok_or("a command has a =")?;
        *self.0.entry(name.to_owned()).or_default() += by.parse::<i64>()?;
        Ok(())
    }
}

/// What a leader gives to a follower that is too far behind.
struct Snapshot {
    state: Counters,
    /// The entry that comes next.
    next: Lsn,
}

/// One member of the group: a log, and what its committed entries make.
struct Replica {
    wal: Wal,
    state: Counters,
    /// The first entry that is not applied.
    next: Lsn,
}

impl Replica {
    fn open(dir: &Path) -> Result<Self, Failure> {
        let wal = Wal::open(dir)?;
        let next = wal.first_lsn().unwrap_or_else(|| wal.next_lsn());
        Ok(Self { wal, state: Counters::default(), next })
    }

    /// A vote must be durable before it is told to anybody: it is, when this returns.
    fn vote(&self, term: u64, candidate: &str) -> Result<bool, Failure> {
        let granted = self.term()?;
        if term <= granted {
            return Ok(false);
        }
        self.wal.set_meta("vote", format!("{term} {candidate}"))?;
        Ok(true)
    }

    fn term(&self) -> Result<u64, Failure> {
        let Some(vote) = self.wal.meta("vote")? else { return Ok(0) };
        let vote = String::from_utf8(vote)?;
        Ok(vote.split(' ').next().unwrap_or_default().parse()?)
    }

    /// A leader proposes at the place that it believes to be next. Another one may have been faster.
    fn propose(&self, term: u64, at: Lsn, command: &str) -> Result<Lsn, wal::Error> {
        let entry = NewEntry { term: Some(term), ..NewEntry::plain(command.as_bytes()) };
        let options = AppendOptions { expected: Some(at), ..AppendOptions::default() };
        self.wal.append_with(entry, &options)
    }

    /// What a leader sends to a follower that has everything before `next`.
    fn send(&self, next: Lsn) -> Result<Vec<Bytes>, wal::Error> {
        if self.wal.first_lsn().is_none_or(|first| next < first) && next < self.wal.next_lsn() {
            // It is gone, and this says so.
            self.wal.get(next)?;
        }
        let Some(durable) = self.wal.durable_lsn() else { return Ok(Vec::new()) };
        self.wal.frames(next..=durable).map(|frame| Ok(frame?.to_bytes())).collect()
    }

    /// A follower takes what was sent: durable when this returns, and then it may be acknowledged. What contradicts the
    /// leader was never committed, and is cut off.
    fn receive(&self, bytes: &Bytes) -> Result<(), Failure> {
        let mut bytes = bytes.clone();
        let frame = EncodedFrame::parse(&mut bytes)?.ok_or("it is not complete")?;
        if frame.first_lsn < self.wal.next_lsn() {
            let ours = self.wal.frames(frame.first_lsn..).next().transpose()?;
            if ours.is_some_and(|ours| (ours.count, ours.body) == (frame.count, frame.body.clone())) {
                return Ok(()); // sent twice
            }
            let cut = self.wal.truncate_after(frame.first_lsn.previous().ok_or("nothing comes before")?)?;
            println!("  cut {} entries that contradict the leader", cut.entries);
        }
        self.wal.append_frame(&frame)?;
        Ok(())
    }

    /// Applies what the group has agreed on.
    fn commit(&mut self, through: Lsn) -> Result<(), Failure> {
        for entry in self.wal.range(self.next..=through) {
            let entry = entry?;
            self.state.apply(&entry.payload)?;
            self.next = entry.lsn.next();
        }
        Ok(())
    }

    /// Keeps the state and lets go of the entries that made it.
    fn snapshot(&self) -> Result<Snapshot, Failure> {
        self.wal.truncate_before(self.next)?;
        Ok(Snapshot { state: self.state.clone(), next: self.next })
    }

    /// Takes a snapshot in the place of all entries. Votes are its own, and stay.
    fn install(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        self.wal.reset(snapshot.next)?;
        (self.state, self.next) = (snapshot.state.clone(), snapshot.next);
        Ok(())
    }

    fn entries(&self) -> Result<Vec<Entry>, wal::Error> {
        self.wal.iter().collect()
    }
}

fn main() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let path = |name: &str| dir.path().join(name);
    let (mut ann, mut bob) = (Replica::open(&path("ann"))?, Replica::open(&path("bob"))?);

    println!("term 1: ann leads");
    assert!(ann.vote(1, "ann")? && bob.vote(1, "ann")?);
    assert!(!bob.vote(1, "bob")?, "there is one vote a term");
    for (at, command) in (1..).zip(["x=+1", "y=+2", "x=+3"]) {
        ann.propose(1, Lsn::FIRST.plus(at - 1), command)?;
    }
    let late = ann.propose(1, Lsn::FIRST, "x=+100").map_err(|error| error.kind());
    assert_eq!(late, Err(ErrorKind::Conflict), "a proposal for a place that is taken");
    for frame in ann.send(bob.wal.next_lsn())? {
        bob.receive(&frame)?;
    }
    assert_eq!(ann.entries()?, bob.entries()?, "terms and times included");

    println!("a frame that was damaged on the way");
    ann.propose(1, ann.wal.next_lsn(), "y=+4")?;
    let sent = ann.send(bob.wal.next_lsn())?;
    let mut damaged = sent[0].to_vec();
    damaged[50] ^= 1;
    assert!(EncodedFrame::parse(&mut damaged.into()).is_err());
    bob.receive(&sent[0])?;
    bob.receive(&sent[0])?;
    ann.commit(Lsn::FIRST.plus(3))?;
    bob.commit(Lsn::FIRST.plus(3))?;

    println!("term 2: bob leads, and ann has proposed what nobody else has");
    ann.propose(1, ann.wal.next_lsn(), "x=+1000")?;
    assert!(ann.vote(2, "bob")? && bob.vote(2, "bob")?);
    bob.propose(2, bob.wal.next_lsn(), "z=+5")?;
    for frame in bob.send(Lsn::FIRST.plus(4))? {
        ann.receive(&frame)?;
    }
    // Not at the same times: ann has written down the cut since.
    let of = |replica: &Replica| -> Result<Vec<(Option<u64>, Bytes)>, wal::Error> {
        Ok(replica.entries()?.into_iter().map(|entry| (entry.term, entry.payload)).collect())
    };
    assert_eq!(of(&ann)?, of(&bob)?);
    ann.commit(Lsn::FIRST.plus(4))?;
    bob.commit(Lsn::FIRST.plus(4))?;

    println!("a restart: the vote and the entries are there");
    drop(ann);
    let ann = {
        let mut ann = Replica::open(&path("ann"))?;
        assert_eq!(ann.term()?, 2);
        ann.commit(Lsn::FIRST.plus(4))?;
        ann
    };
    assert_eq!(ann.state, bob.state);

    println!("cyd joins when the entries are gone: a snapshot, then frames");
    let snapshot = bob.snapshot()?;
    bob.propose(2, bob.wal.next_lsn(), "x=+6")?;
    bob.commit(Lsn::FIRST.plus(5))?;
    let mut cyd = Replica::open(&path("cyd"))?;
    let gone = bob.send(cyd.wal.next_lsn()).map_err(|error| error.kind());
    assert_eq!(gone, Err(ErrorKind::Truncated));
    cyd.install(&snapshot)?;
    for frame in bob.send(cyd.wal.next_lsn())? {
        cyd.receive(&frame)?;
    }
    cyd.commit(Lsn::FIRST.plus(5))?;
    assert_eq!(cyd.state, bob.state);
    println!("everybody agrees: {:?}", cyd.state.0);
    Ok(())
}
