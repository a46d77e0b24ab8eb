//! Transactions among everything else that may happen to a log: whole or not there, and gone when they were not
//! committed.

use std::{collections::VecDeque, time::Duration};

use wal_core::{AppendOptions, LogError, Transaction, TransactionOptions, TransactionState};
use wal_format::{EntriesBuilder, Lsn, NewEntry};
use wal_sim::Rng;

use crate::{
    model::Payload,
    planted::Bug,
    random::Plan,
    rig::{Op, Rig},
    surroundings::{scale, seed},
    tally,
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A step of a transaction. All but the first are about the one that is open for the longest.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Begins one with entries of these lengths, and leaves it open.
    Begin(Vec<usize>),
    Commit,
    Rollback,
    /// Lets it wait for too long.
    Expire,
}

/// The transactions that a process has open.
pub(crate) type Open = VecDeque<(Transaction, Vec<Payload>)>;

impl Rig {
    pub(crate) fn transact(&mut self, step: &Step) -> Result<(), String> {
        if let Step::Begin(lens) = step {
            return self.begin(lens);
        }
        let Some((transaction, payloads)) = self.open_transactions().pop_front() else { return Ok(()) };
        match step {
            Step::Begin(_) => {}
            Step::Commit => return self.commit(transaction, payloads),
            Step::Rollback => transaction.rollback().map_err(|error| error.to_string())?,
            Step::Expire => {
                self.advance(TIMEOUT);
                let committed = transaction.commit(&AppendOptions::default());
                if !matches!(committed, Err(LogError::TransactionExpired { .. })) {
                    return Err(format!("past its time it was committed: {committed:?}"));
                }
                self.open_transactions().clear();
            }
        }
        let id = transaction.id();
        let ended = matches!(
            (step, self.log().transaction_state(id)),
            (Step::Rollback, TransactionState::RolledBack) | (Step::Expire, TransactionState::Expired)
        );
        if ended { Ok(()) } else { Err(format!("{id} is {}", self.log().transaction_state(id))) }
    }

    fn begin(&mut self, lens: &[usize]) -> Result<(), String> {
        let options = TransactionOptions { timeout: TIMEOUT, ..TransactionOptions::default() };
        let transaction = match self.log().begin(&options) {
            Ok(transaction) => transaction,
            Err(error) => {
                self.errors.push(error);
                return Ok(());
            }
        };
        let payloads: Vec<Payload> = lens.iter().map(|len| self.model.payload(*len)).collect();
        for payload in &payloads {
            transaction.append(&NewEntry::plain(&payload.bytes())).map_err(|error| error.to_string())?;
        }
        self.open_transactions().push_back((transaction, payloads));
        Ok(())
    }

    fn commit(&mut self, transaction: Transaction, payloads: Vec<Payload>) -> Result<(), String> {
        let options = AppendOptions::default();
        let result = match self.setup.bug {
            Bug::CommitInParts => self.commit_in_parts(&payloads, &options),
            _ => transaction.commit(&options),
        };
        let is_undone = matches!(&result, Err(error) if !matches!(error, LogError::Unconfirmed { .. }));
        self.appended(&payloads, result.map(|(first, last)| (first.get(), last.get())), None)?;
        match (is_undone, transaction.state()) {
            // The next commit tries again.
            (true, TransactionState::Active) => self.open_transactions().push_back((transaction, payloads)),
            (true, state) => return Err(format!("after a commit that changed nothing it is {state}")),
            (false, _) => {}
        }
        Ok(())
    }

    /// What a log would do that takes two frames for one commit, and tells nobody.
    fn commit_in_parts(&self, payloads: &[Payload], options: &AppendOptions) -> Result<(Lsn, Lsn), LogError> {
        let append = |part: &[Payload]| {
            let mut batch = EntriesBuilder::default();
            part.iter().for_each(|payload| batch.push(&NewEntry::plain(&payload.bytes())).unwrap());
            self.log().append_batch(&batch, options)
        };
        let first = self.log().next_lsn();
        let last = first.plus(payloads.len() as u64 - 1);
        let (one, other) = payloads.split_at(payloads.len() / 2);
        let unconfirmed = |source| LogError::Unconfirmed { first, last, source: Box::new(source) };
        append(one).and_then(|_| append(other)).map(|_| (first, last)).map_err(unconfirmed)
    }
}

/// A random run with transactions in between.
fn plan(seed: u64) -> Plan {
    let mut plan = Plan::new(seed);
    let mut rng = Rng::new(seed ^ 0x7a);
    for life in &mut plan.lives {
        for _ in 0..1 + rng.below(6) {
            let step = match rng.below(8) {
                0..=3 => Step::Begin((0..1 + rng.below(4)).map(|_| rng.below(9000) as usize).collect()),
                4..=5 => Step::Commit,
                6 => Step::Rollback,
                _ => Step::Expire,
            };
            let at = rng.below(life.ops.len() as u64 + 1) as usize;
            life.ops.insert(at, Op::Transact(step));
        }
    }
    plan
}

#[test]
fn transactions_are_whole_or_not_there_whatever_happens() {
    let before = tally::here();
    for n in 0..120 * scale() {
        let plan = plan(seed() + n);
        if let Err(why) = plan.run() {
            let plan = plan.shrunk();
            panic!("plan {n}: {why}\nshorter: {:?}\nby {:#?}", plan.run(), plan.lives);
        }
    }
    println!("{} states", (tally::here() - before).states);
}
