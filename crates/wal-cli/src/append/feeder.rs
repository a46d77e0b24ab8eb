//! The thread that reads records and appends them.

use std::{ops::RangeInclusive, sync::mpsc::SyncSender};

use wal::{AppendOptions, Batch, Lsn, NewEntry, Ticket, Wal};

use super::records::Records;
use crate::error::Failure;

/// What was appended, and what to wait for before saying so.
pub(crate) struct Appended {
    pub(crate) lsns: RangeInclusive<Lsn>,
    pub(crate) ticket: Option<Ticket>,
}

pub(crate) struct Feeder {
    pub(crate) wal: Wal,
    pub(crate) sender: SyncSender<Result<Appended, Failure>>,
    pub(crate) kind: u8,
    /// Records in a batch; `None` to append each by itself.
    pub(crate) batch: Option<usize>,
    /// Whether the other side waits for durability; else an append is finished when it returns.
    pub(crate) wait_for_durable: bool,
}

impl Feeder {
    /// Appends everything, up to the first failure, or until nobody listens any more.
    pub(crate) fn run(self, sources: impl Iterator<Item = Records>) {
        if let Err(failure) = self.feed(sources) {
            let _ = self.sender.send(Err(failure));
        }
    }

    fn feed(&self, sources: impl Iterator<Item = Records>) -> Result<(), Failure> {
        let mut record = Vec::new();
        let mut batch = Batch::new();
        for mut records in sources {
            while records.read(&mut record)? {
                let entry = NewEntry { kind: self.kind, ..NewEntry::plain(&record) };
                let appended = match self.batch {
                    None => self.append(entry)?,
                    Some(len) => {
                        batch.push_entry(entry)?;
                        if batch.len() < len {
                            continue;
                        }
                        self.append_batch(&mut batch)?
                    }
                };
                if self.sender.send(Ok(appended)).is_err() {
                    return Ok(());
                }
            }
        }
        if !batch.is_empty() {
            let appended = self.append_batch(&mut batch)?;
            let _ = self.sender.send(Ok(appended));
        }
        Ok(())
    }

    fn append(&self, entry: NewEntry<'_>) -> Result<Appended, Failure> {
        if self.wait_for_durable {
            return Ok(submitted(self.wal.submit_with(entry, None)?));
        }
        let lsn = self.wal.append_with(entry, &AppendOptions::default())?;
        Ok(Appended { lsns: lsn..=lsn, ticket: None })
    }

    fn append_batch(&self, batch: &mut Batch) -> Result<Appended, Failure> {
        let appended = if self.wait_for_durable {
            submitted(self.wal.submit_batch(batch)?)
        } else {
            Appended { lsns: self.wal.append_batch(batch)?, ticket: None }
        };
        batch.clear();
        Ok(appended)
    }
}

const fn submitted(ticket: Ticket) -> Appended {
    Appended { lsns: ticket.lsns(), ticket: Some(ticket) }
}
