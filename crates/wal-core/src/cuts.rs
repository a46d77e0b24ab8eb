//! How readers notice that history was changed under them.

use std::{collections::VecDeque, sync::atomic::Ordering};

use wal_format::Lsn;

use crate::sync::{AtomicU64, Mutex};

/// Where history was cut since the log was opened, so that readers notice that what they stood on is gone.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    generation: AtomicU64,
    /// Of each cut the generation that it began and the LSN that came next. Only so many are kept: old ones are merged,
    /// which at worst stops a reader that was older than all of them for nothing.
    nexts: Mutex<VecDeque<(u64, Lsn)>>,
}

const CUTS_KEPT: usize = 64;

impl Cuts {
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Everything from `next` on was cut off.
    pub(crate) fn cut(&self, next: Lsn) {
        let mut nexts = self.nexts.lock();
        let generation = self.generation() + 1;
        nexts.push_back((generation, next));
        if nexts.len() > CUTS_KEPT
            && let Some((_, oldest)) = nexts.pop_front()
            && let Some((_, second)) = nexts.front_mut()
        {
            *second = oldest.min(*second);
        }
        self.generation.store(generation, Ordering::Release);
    }

    /// Makes readers look again although nothing was cut.
    pub(crate) fn stir(&self) {
        let _nexts = self.nexts.lock();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Brings a reader up to date that is about to read `lsn`: from here on it must look at the newest view. Returns
    /// the first LSN that was cut off, if any was.
    ///
    /// # Errors
    ///
    /// The first LSN that was cut off, when that is not beyond `lsn`: the reader has nothing to go on from.
    pub(crate) fn notice(&self, generation: &mut u64, lsn: Lsn) -> Result<Option<Lsn>, Lsn> {
        let now = self.generation();
        match self.since(*generation) {
            Some(next) if next <= lsn => Err(next),
            cut => {
                *generation = now;
                Ok(cut)
            }
        }
    }

    /// The first LSN that was cut off since `generation`.
    pub(crate) fn since(&self, generation: u64) -> Option<Lsn> {
        let nexts = self.nexts.lock();
        nexts.iter().filter(|(cut, _)| *cut > generation).map(|(_, next)| *next).min()
    }
}

#[cfg(all(test, loom))]
mod model;
