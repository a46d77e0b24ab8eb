//! A follower that applies what a leader appends: `cargo run --example tail`.
//!
//! The leader appends orders; the follower sums them up as soon as they are durable, so that it never knows of an order
//! that a power loss could take back. It ends when the log is closed.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "an example has threads of its own, and says what it saw"
)]

use std::{collections::BTreeMap, error::Error, thread};

use wal::{TailFrom, Wal};

const ORDERS: u64 = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let wal = Wal::open(dir.path().join("orders"))?;

    let orders = wal.tail(TailFrom::Start);
    let follower = thread::spawn(move || -> Result<_, wal::Error> {
        let mut totals: BTreeMap<String, u64> = BTreeMap::new();
        // Sleeps until there is an order; the loop ends when the log is closed.
        for order in orders {
            let order = order?;
            let text = String::from_utf8_lossy(&order.payload).into_owned();
            let (customer, amount) = text.split_once(' ').expect("the leader writes a name and an amount");
            *totals.entry(customer.to_owned()).or_default() += amount.parse::<u64>().expect("a number");
        }
        Ok(totals)
    });

    for n in 1..=ORDERS {
        let customer = if n % 3 == 0 { "ada" } else { "bob" };
        wal.append(format!("{customer} {n}"))?;
    }
    wal.close()?;

    let totals = follower.join().expect("the follower does not panic")?;
    let ada: u64 = (1..=ORDERS).filter(|n| n % 3 == 0).sum();
    let bob: u64 = (1..=ORDERS).filter(|n| n % 3 != 0).sum();
    assert_eq!(totals, BTreeMap::from([("ada".to_owned(), ada), ("bob".to_owned(), bob)]));
    println!("followed {ORDERS} orders: {totals:?}");
    Ok(())
}
