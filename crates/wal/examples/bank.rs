//! A ledger on transactions: every transfer is two postings, made by two threads, and both are booked or neither.
//!
//! ```sh
//! cargo run --package wal --example bank
//! ```

#![expect(clippy::print_stdout, reason = "it is an example")]

use std::{collections::BTreeMap, error::Error, ops::RangeInclusive, thread, time::Duration};

use wal::{BoxError, ErrorKind, Lsn, Payload, TransactionId, TransactionOptions, TransactionState, Wal};

const ACCOUNTS: u16 = 8;
const OPENING_BALANCE: i64 = 100;

/// Money that comes to an account, or leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Posting {
    account: u16,
    cents: i64,
}

impl Payload for Posting {
    const KIND: u8 = 1;

    fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.extend_from_slice(&self.account.to_le_bytes());
        out.extend_from_slice(&self.cents.to_le_bytes());
        Ok(())
    }

    fn read(payload: &[u8]) -> Result<Self, BoxError> {
        let (account, cents) = payload.split_at_checked(2).ok_or("a posting has 10 bytes")?;
        Ok(Self {
            account: u16::from_le_bytes(account.try_into()?),
            cents: i64::from_le_bytes(cents.try_into()?),
        })
    }
}

/// Books a transfer. The two sides work side by side, and either may refuse.
fn transfer(wal: &Wal, from: u16, to: u16, cents: i64) -> Result<RangeInclusive<Lsn>, BoxError> {
    let transaction = wal.begin(Duration::from_secs(10))?;
    thread::scope(|scope| {
        let debit = scope.spawn(|| -> Result<(), BoxError> {
            if cents > OPENING_BALANCE {
                return Err("nobody has that much".into());
            }
            transaction.append_record(&Posting { account: from, cents: -cents })?;
            Ok(())
        });
        transaction.append_record(&Posting { account: to, cents })?;
        debit.join().map_err(|_| "a side of the transfer died")?
    })?; // an error drops the transaction: it is rolled back
    Ok(transaction.commit()?)
}

/// What everybody has, and how many transfers there were. Each must balance.
fn audit(wal: &Wal) -> Result<(BTreeMap<u16, i64>, usize), BoxError> {
    let mut balances = BTreeMap::from_iter((0..ACCOUNTS).map(|account| (account, OPENING_BALANCE)));
    let mut transfers: BTreeMap<[u8; 16], Vec<i64>> = BTreeMap::new();
    wal.typed::<Posting>().for_each(.., |entry| -> Result<(), BoxError> {
        let id = entry.entry.transaction.ok_or("a posting outside a transfer")?;
        let posting = entry.record.known().ok_or("an entry that is no posting")?;
        *balances.entry(posting.account).or_default() += posting.cents;
        transfers.entry(id).or_default().push(posting.cents);
        Ok(())
    })?;
    for (id, cents) in &transfers {
        if cents.len() != 2 || cents.iter().sum::<i64>() != 0 {
            return Err(format!("transfer {} does not balance", TransactionId(*id)).into());
        }
    }
    Ok((balances, transfers.len()))
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let dir = tempfile::tempdir()?;
    let wal = Wal::open(dir.path())?;

    // Four clerks at once. Their commits share syncs.
    thread::scope(|scope| {
        for clerk in 0..4_u16 {
            let wal = &wal;
            scope.spawn(move || {
                (0..25).try_for_each(|n| {
                    let (from, to) = ((clerk + n) % ACCOUNTS, (clerk + 3 * n + 1) % ACCOUNTS);
                    transfer(wal, from, to, i64::from(n)).map(drop)
                })
            });
        }
    });
    let (balances, transfers) = audit(&wal)?;
    assert_eq!(transfers, 100);
    assert_eq!(balances.values().sum::<i64>(), i64::from(ACCOUNTS) * OPENING_BALANCE);

    // What one side refuses leaves nothing of the other.
    let before = wal.next_lsn();
    assert!(transfer(&wal, 0, 1, OPENING_BALANCE + 1).is_err());
    assert_eq!((wal.next_lsn(), wal.active_transactions()), (before, 0));

    // A limit is an error that adds nothing and ends nothing.
    let options = TransactionOptions { entries_max: 2, ..TransactionOptions::default() };
    let small = wal.begin_with(&options)?;
    small.append_record(&Posting { account: 0, cents: -1 })?;
    small.append_record(&Posting { account: 1, cents: 1 })?;
    let third = small.append_record(&Posting { account: 2, cents: 0 });
    assert_eq!(third.map_err(|error| error.kind()), Err(ErrorKind::TooLarge));
    let lsns = small.commit()?;
    let state = TransactionState::Committed { first: *lsns.start(), last: *lsns.end() };
    assert_eq!(wal.transaction_state(small.id()), state);

    // What is open at the end is gone.
    let open = wal.begin(Duration::from_secs(3600))?;
    open.append_record(&Posting { account: 0, cents: 1_000_000 })?;
    wal.close()?;
    drop((open, small, wal));
    let wal = Wal::open(dir.path())?;
    let (balances, transfers) = audit(&wal)?;
    assert_eq!(transfers, 101);
    assert_eq!(balances.values().sum::<i64>(), i64::from(ACCOUNTS) * OPENING_BALANCE);
    println!("{transfers} transfers, all of them balanced: {balances:?}");
    Ok(())
}
