//! A job queue: producers append jobs, every worker has a cursor of its own, and retention removes what all of them
//! have done. What a worker has acknowledged is not done again after a crash; what it was at is.
//!
//! ```console
//! $ cargo run -p wal --example job_queue
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use wal::{Cursor, Options, Retention, Wal};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let options = Options {
        // Small segments, so that there is something to remove.
        segment_len: 64 << 10,
        first_segment_len: 64 << 10,
        // Two segments are enough, and a worker that is gone may hold up no more than a megabyte.
        retention: Retention {
            max_segments: Some(2),
            cursor_max_bytes: Some(1 << 20),
            ..Retention::default()
        },
        // The log's threads would see to retention by themselves: here it is done by hand, to be shown.
        background_threads: false,
        ..Options::default()
    };
    let queue = Wal::builder(dir.path()).options(options.clone()).open()?;

    // Cursors first: a worker that joins later begins with what is still there.
    let (mails, bills) = (queue.cursor("mails")?, queue.cursor("bills")?);
    for number in 1..=200 {
        queue.append(job(number))?;
    }

    // One worker has done everything, the other one half.
    assert_eq!(work(&mails, usize::MAX)?, 200);
    assert_eq!(work(&bills, 100)?, 100);
    let plan = queue.retention_plan()?;
    println!("{plan}");
    assert_eq!(plan.held_back_by.first().map(|pin| pin.name.as_str()), Some("bills"));
    let done = queue.retain()?;
    assert!(done.freed_bytes > 0 && done.passed.is_empty());
    assert!(queue.first_lsn() <= Some(bills.position()?), "no job is removed that is not done");

    // The process ends between a job and its acknowledgement.
    let undone = bills.pending()?.next().ok_or("there is a job")??;
    drop((mails, bills, queue));
    let queue = Wal::builder(dir.path()).options(options).open()?;
    let bills = queue.cursor("bills")?;
    let again = bills.pending()?.next().ok_or("there is a job")??;
    assert_eq!((again.lsn, &again.payload), (undone.lsn, &undone.payload), "it comes again");
    assert_eq!(work(&bills, usize::MAX)?, 100);
    assert!(queue.retain()?.held_back_by.is_empty());
    assert!(queue.segments()?.len() <= 2);

    // A worker that does not come back is passed, by name.
    let lost = queue.cursor("lost")?;
    for number in 1..=2000 {
        queue.append(job(number))?;
    }
    work(&bills, usize::MAX)?;
    work(&queue.cursor("mails")?, usize::MAX)?;
    let done = queue.retain()?;
    println!("passed: {:?}, {} bytes freed", done.passed, done.freed_bytes);
    assert_eq!(done.passed, ["lost"]);
    assert!(lost.pending().is_err(), "it is told that jobs are gone");
    lost.delete()?;
    queue.close()?;
    Ok(())
}

fn job(number: u32) -> Vec<u8> {
    format!("job {number} {}", "-".repeat(1000)).into_bytes()
}

/// Does so many jobs, and acknowledges each. Returns how many there were.
fn work(cursor: &Cursor, limit: usize) -> Result<usize, wal::Error> {
    let mut done = 0;
    for job in cursor.pending()?.take(limit) {
        let job = job?;
        assert!(job.payload.starts_with(b"job "));
        cursor.ack(job.lsn)?;
        done += 1;
    }
    Ok(done)
}
