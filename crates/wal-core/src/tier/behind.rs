//! What a log asks of its tier.
//!
//! All of it goes through a pointer that only [`Environment::with_tier`](crate::Environment::with_tier) makes: a
//! program that names no tier has none of its code, although the log's threads and its appends look after one
//! (`adr/0018`).

use std::{fmt, sync::Arc, time::Duration};

use wal_format::SegmentId;
use wal_segment::{Storage, TieredStorage};

use super::{Tier, TierStats};
use crate::{LogError, appender::Appender, engine::Engine, view::View};

/// The tier of one log that is open for writing, as the rest of the log knows it.
pub(crate) trait Behind: fmt::Debug + Send + Sync {
    /// The tier itself, for those who ask for it by name.
    fn tier(&self) -> &Tier;

    /// Whether it lets an append begin another segment.
    fn check(&self, engine: &Engine, appender: &Appender) -> Result<(), LogError>;

    /// Whether the segment is there and no longer here: to read it takes the tier.
    fn has_left(&self, segment: SegmentId) -> bool;

    /// There may be something to ship, or to remove from the tier.
    fn wake(&self);

    /// What the thread does that ships.
    fn run(&self, engine: &Engine);

    /// Ships what can be shipped now, for logs without threads.
    fn ship_by_itself(&self, engine: &Engine) -> Option<Duration>;

    /// Nothing is begun any more. What is on its way may end later, and is not noted.
    fn stop(&self);

    /// How the log stands with it.
    fn stats(&self, view: &View) -> TierStats;
}

impl Behind for Tier {
    fn tier(&self) -> &Tier {
        self
    }

    fn check(&self, engine: &Engine, appender: &Appender) -> Result<(), LogError> {
        engine.check_unshipped(self, appender)
    }

    fn has_left(&self, segment: SegmentId) -> bool {
        self.known.lock().evicted.contains(segment)
    }

    fn wake(&self) {
        self.signal();
    }

    fn run(&self, engine: &Engine) {
        engine.run_tier(self);
    }

    fn ship_by_itself(&self, engine: &Engine) -> Option<Duration> {
        engine.ship_what_waits(self)
    }

    fn stop(&self) {
        self.end();
    }

    fn stats(&self, view: &View) -> TierStats {
        self.stats_now(view)
    }
}

/// A storage with a tier behind it, for the log that will be opened there. Made by
/// [`Environment::with_tier`](crate::Environment::with_tier).
#[derive(Clone, Debug)]
pub struct Tiered(Arc<dyn Attach>);

impl Tiered {
    /// The storage in front and the one behind as one, and what ships from one to the other.
    pub(crate) fn new(front: Arc<dyn Storage>, behind: Arc<dyn Storage>) -> (Arc<dyn Storage>, Self) {
        let both = Arc::new(TieredStorage::new(front, behind));
        (Arc::<TieredStorage>::clone(&both), Self(both))
    }

    /// The tier of a log that holds these segments.
    pub(crate) fn attach(self, prefix: &str, view: &View) -> Box<dyn Behind> {
        self.0.attach(prefix, view)
    }
}

trait Attach: fmt::Debug + Send + Sync {
    fn attach(self: Arc<Self>, prefix: &str, view: &View) -> Box<dyn Behind>;
}

impl Attach for TieredStorage {
    fn attach(self: Arc<Self>, prefix: &str, view: &View) -> Box<dyn Behind> {
        Box::new(Tier::new(self, prefix, view))
    }
}
