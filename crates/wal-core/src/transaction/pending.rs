//! One transaction while it is open, and how it ended.

use std::time::Duration;

use parking_lot::Mutex;
use wal_format::EntriesBuilder;

use super::{TransactionId, TransactionOptions, TransactionState};
use crate::{
    LogError,
    error::{TransactionEndedSnafu, TransactionExpiredSnafu},
};

#[derive(Debug)]
pub(crate) struct Pending {
    pub(super) id: TransactionId,
    /// On the monotonic clock; `None` when it lies beyond all time.
    pub(super) deadline: Option<Duration>,
    pub(super) limits: TransactionOptions,
    pub(super) stage: Mutex<Stage>,
}

#[derive(Debug)]
pub(super) enum Stage {
    Active(EntriesBuilder),
    Committing,
    Ended(TransactionState),
}

impl Pending {
    pub(super) fn new(id: TransactionId, deadline: Option<Duration>, limits: TransactionOptions) -> Self {
        Self { id, deadline, limits, stage: Mutex::new(Stage::Active(EntriesBuilder::default())) }
    }

    pub(super) fn is_past(&self, now: Duration) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Why it takes no entries.
    pub(super) fn refusal(&self, state: TransactionState) -> LogError {
        let id = self.id;
        match state {
            TransactionState::Expired => TransactionExpiredSnafu { id }.build(),
            state => TransactionEndedSnafu { id, state }.build(),
        }
    }
}

impl Stage {
    pub(super) const fn state(&self) -> TransactionState {
        match self {
            Self::Active(_) => TransactionState::Active,
            Self::Committing => TransactionState::Committing,
            Self::Ended(state) => *state,
        }
    }
}
