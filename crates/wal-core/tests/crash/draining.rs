//! Replays that remove what was accepted, at every step of which the process may end.

use std::time::Duration;

use wal_core::{BatchLimit, Options, ReplayError, ReplayOptions, SyncPolicy};

use crate::{
    model::Payload,
    planted::Bug,
    rig::{Op, Rig, Setup},
    surroundings::options,
    workloads::Workload,
};

/// Entries that are handed over at a time.
const BATCH: usize = 2;
const BIG: usize = 20_000;

pub(crate) fn workloads() -> Vec<Workload> {
    use Op::*;
    let background = SyncPolicy::Background { interval: Duration::from_millis(100) };
    vec![
        Workload {
            name: "drain",
            setup: Setup::of(options()),
            ops: [
                vec![Append(BIG); 6],
                vec![Batch(vec![10, 20, 30]), Drain(4), Append(10), Drain(0), Drain(5), Append(20)],
            ]
            .concat(),
        },
        Workload {
            name: "drain unsynced",
            setup: Setup::of(Options { sync: background, ..options() }),
            ops: [vec![Append(BIG); 5], vec![Drain(3), Append(BIG), Kill, Append(30), Drain(100), Append(9)]]
                .concat(),
        },
    ]
}

impl Rig {
    /// Accepts so many entries, in batches, and refuses the next batch.
    pub(crate) fn drain(&mut self, accept: u64) -> Result<(), String> {
        let begins = self.log().first_lsn().map_or(self.model.next(), |first| first.get());
        let mut handed: Vec<Payload> = Vec::new();
        let limit = BatchLimit { entries: BATCH, ..BatchLimit::default() };
        let options = ReplayOptions { batch: limit, drain: true, ..ReplayOptions::default() };
        let (mut accepted, mut wrong, mut late) = (begins, None, self.setup.bug == Bug::DrainsRefused);
        let replayed = self.log().replay(&options, |batch| {
            let last = batch.last().map_or(0, |entry| entry.lsn.get());
            if batch[0].lsn.get() != begins + handed.len() as u64 {
                wrong = Some(format!("{} came after {} entries from {begins}", batch[0].lsn, handed.len()));
            }
            handed.extend(
                batch.iter().map(|entry| Payload { id: id(&entry.payload), len: entry.payload.len() }),
            );
            if last >= begins + accept {
                // With the bug the log goes on as if this batch had been accepted, once.
                return if std::mem::take(&mut late) { Ok(()) } else { Err(()) };
            }
            accepted = last + 1;
            Ok(())
        });
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        self.model.check_handed(begins, &handed)?;
        // Any part of what was accepted may be gone; what the report says is gone for good.
        self.model.trimming(accepted);
        let (drained, error) = match replayed {
            Ok(report) => (report.drained, None),
            Err(ReplayError::Rejected { report, .. }) => (report.drained, None),
            Err(ReplayError::Log { error, report }) => (report.drained, Some(error)),
        };
        if self.setup.bug == Bug::None && begins + drained > accepted {
            return Err(format!("{drained} entries from {begins} are drained, {accepted} was not accepted"));
        }
        if drained > 0 {
            self.model.trimmed((begins + drained).min(accepted));
        }
        self.errors.extend(error);
        Ok(())
    }
}

/// What tells a payload from all others.
fn id(payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(0, |id| u64::from_le_bytes(*id))
}
