//! Recovery: what is there, what is proven, and making the rest certain.

use super::{Log, Stop};
use crate::protocol::disk::{Frame, Id, Place};

fn damage<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Damage(why.into()))
}

impl Log<'_> {
    pub(crate) fn recover(&mut self) -> Result<(), Stop> {
        let Some(chain) = self.find()? else { return self.start() };
        let places = self.places(&chain);
        let proven = self.proven(&chain);
        let key = |place: Place| (chain.iter().position(|id| *id == place.id), place.at);
        let Some(&head) = chain.last() else { return self.start() };
        if self.disk.names.range(head + 1..).any(|id| self.has_claim(*id)) {
            return damage("the opening of the newest segment is lost");
        }
        let bad = self.first_bad(&places, head)?;
        if key(bad) < key(proven) {
            return damage(format!("{bad:?} is bad, and all before {proven:?} was durable"));
        }
        let whole: Vec<Place> = places.into_iter().filter(|place| key(*place) < key(bad)).collect();
        if let Some((last, Frame::Seal { next, .. })) =
            whole.last().and_then(|place| Some((place, self.disk.frame(*place)?)))
            && last.id == head
            && !self.disk.names.contains(&next)
        {
            return damage("the successor vanished");
        }
        let entries = |log: &Self, from: Option<Place>| -> Vec<(u64, u64)> {
            let frames = whole.iter().filter(|place| from.is_none_or(|from| key(**place) >= key(from)));
            let entry = |place: &Place| match log.disk.frame(*place) {
                Some(Frame::Entry { lsn, value, .. }) => Some((lsn, value)),
                _ => None,
            };
            frames.filter_map(entry).collect()
        };
        let body = entries(self, None);
        if !body.iter().map(|(lsn, _)| *lsn).eq(1..=body.len() as u64) {
            return damage(format!("gap: {body:?}"));
        }
        let tail = entries(self, Some(proven));
        self.content = body.iter().map(|(_, value)| *value).collect();
        // Nothing of a segment is proven, not even its opening: end the one before.
        let predecessor = match proven {
            Place { id, at: 0 } => self.disk.opening(id).and_then(|(predecessor, _)| predecessor),
            proven => Some(proven),
        };
        self.rewrite(predecessor, &tail)
    }

    /// The head and what it follows; `None` when there is no opening.
    fn find(&self) -> Result<Option<Vec<Id>>, Stop> {
        let opened: Vec<Id> =
            self.disk.names.iter().copied().filter(|id| self.disk.opening(*id).is_some()).collect();
        let Some(head) = opened.last() else { return Ok(None) };
        let mut chain = vec![*head];
        while let Some((Some(predecessor), _)) = self.disk.opening(chain[0]) {
            if !self.disk.names.contains(&predecessor.id)
                || !self.disk.cached[&predecessor.id].contains_key(&0)
            {
                return damage(format!("the predecessor {predecessor:?} of {} is missing", chain[0]));
            }
            chain.insert(0, predecessor.id);
        }
        if self.rules.fork_is_error {
            let predecessor = |id: &Id| {
                self.disk.opening(*id).and_then(|(predecessor, _)| predecessor).map(|place| place.id)
            };
            let mut predecessors: Vec<Option<Id>> = opened.iter().map(predecessor).collect();
            predecessors.sort_unstable();
            if predecessors.windows(2).any(|pair| pair[0] == pair[1]) {
                return damage("fork");
            }
        }
        Ok(Some(chain))
    }

    /// Where the frames of the log are, up to the first that is missing in the head.
    fn places(&self, chain: &[Id]) -> Vec<Place> {
        let mut places = Vec::new();
        for (n, id) in chain.iter().enumerate() {
            let end = self.end_of(chain, n);
            let mut place = Place { id: *id, at: 0 };
            while end.map_or_else(|| self.disk.frame(place).is_some(), |end| place.at < end) {
                places.push(place);
                place.at += 1;
            }
        }
        places
    }

    /// Where a segment's successor says that it ends.
    fn end_of(&self, chain: &[Id], n: usize) -> Option<u64> {
        let next = chain.get(n + 1)?;
        self.disk.opening(*next).and_then(|(predecessor, _)| predecessor).map(|place| place.at)
    }

    fn has_claim(&self, id: Id) -> bool {
        self.disk.cached[&id].values().any(|frame| frame.claim().is_some())
    }

    /// The last place that any frame proves durable.
    fn proven(&self, chain: &[Id]) -> Place {
        let position = |id: Id| chain.iter().position(|other| *other == id);
        let mut best = (0, 0);
        for (n, id) in chain.iter().enumerate() {
            let end = self.end_of(chain, n).unwrap_or(u64::MAX);
            for (_, frame) in self.disk.cached[id].range(..end) {
                let claim = match frame {
                    Frame::Opening { durable, .. } => position(durable.id).map(|at| (at, durable.at)),
                    frame => frame.claim().map(|claim| (n, claim)),
                };
                let Some((at, mut offset)) = claim else { continue };
                if !self.rules.unclipped
                    && let Some(end) = self.end_of(chain, at)
                {
                    offset = offset.min(end);
                }
                best = best.max((at, offset));
            }
        }
        Place { id: chain[best.0], at: best.1 }
    }

    fn first_bad(&self, places: &[Place], head: Id) -> Result<Place, Stop> {
        match places.iter().find(|place| self.disk.frame(**place).is_none()) {
            Some(bad) if bad.id != head && self.rules.older_is_damage => {
                damage(format!("{bad:?} in an older segment is bad"))
            }
            Some(bad) => Ok(*bad),
            None => {
                let last = places.iter().filter(|place| place.id == head).map(|place| place.at).max();
                Ok(Place { id: head, at: last.map_or(0, |last| last + 1) })
            }
        }
    }

    /// There is no log yet.
    fn start(&mut self) -> Result<(), Stop> {
        // Only copies of a log that stands are written before an opening: any frame says that one was lost.
        if self.disk.names.iter().any(|id| !self.disk.cached[id].is_empty()) {
            return damage("the only opening is lost");
        }
        let next = self.disk.names.last().copied().unwrap_or(0) + 1;
        self.prepare(next)?;
        let durable = Place { id: next, at: 0 };
        self.write(next, 0, Frame::Opening { predecessor: None, durable })?;
        self.sync(next)?;
        self.content = Vec::new();
        self.go_on_in(next, 1)
    }

    fn rewrite(&mut self, predecessor: Option<Place>, tail: &[(u64, u64)]) -> Result<(), Stop> {
        let next = self.disk.names.last().copied().unwrap_or(0) + 1;
        self.prepare(next)?;
        let own = |at| Place { id: next, at };
        let end = 1 + tail.len() as u64;
        let mut durable = predecessor.unwrap_or(own(0));
        if self.rules.self_proof && !self.rules.opening_first {
            durable = own(end);
        }
        let opening = Frame::Opening { predecessor, durable };
        if self.rules.opening_first {
            self.write(next, 0, opening)?;
        }
        for (at, (lsn, value)) in (1..).zip(tail) {
            self.write(next, at, Frame::Entry { lsn: *lsn, value: *value, claim: None })?;
        }
        if !self.rules.opening_first {
            self.sync(next)?;
            self.write(next, 0, opening)?;
        }
        self.sync(next)?;
        self.go_on_in(next, end)
    }

    fn go_on_in(&mut self, id: Id, at: u64) -> Result<(), Stop> {
        (self.ids, self.current, self.at) = (id, id, at);
        self.durable = self.end();
        self.chain = self.find()?.unwrap_or_default();
        self.clean()
    }
}
