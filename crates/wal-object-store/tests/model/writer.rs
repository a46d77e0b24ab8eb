//! A writer, one step at a time.

use std::{cell::Cell, collections::BTreeMap, rc::Rc};

use super::world::{Answer, GAP, Object, World};

type Asked = Rc<Cell<Option<Answer>>>;

/// What a writer does next.
enum State {
    /// Looks for the end of the log.
    Looking,
    /// Waits for what becomes of its fence.
    Fencing(Rc<Object>, Asked),
    /// Has created its fence, and has not looked whether it counts.
    Doubting(Rc<Object>),
    Open,
}

pub(crate) struct Writer {
    state: State,
    /// The segment stamped last.
    last: Option<Rc<Object>>,
    next_id: u64,
    next_lsn: u64,
    first_retained: u64,
    /// The lowest id that is not acknowledged.
    low: u64,
    /// What was sent, and what became of it; `None` once it is known to be there.
    sent: BTreeMap<u64, (Rc<Object>, Option<Asked>)>,
    /// Ids of the log, which it read or wrote.
    live: Vec<u64>,
    fences: Vec<u64>,
    removing: Vec<u64>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Looking,
            last: None,
            next_id: 0,
            next_lsn: 1,
            first_retained: 1,
            low: 0,
            sent: BTreeMap::new(),
            live: Vec::new(),
            fences: Vec::new(),
            removing: Vec::new(),
        }
    }

    /// One step; `false` when it has found out that it is fenced.
    pub(crate) fn step(&mut self, world: &mut World) -> Result<bool, String> {
        match &self.state {
            State::Looking => self.look(world)?,
            State::Fencing(fence, asked) => {
                let (fence, asked) = (Rc::clone(fence), Rc::clone(asked));
                self.await_fence(world, fence, &asked);
            }
            State::Doubting(fence) => {
                let fence = Rc::clone(fence);
                let head = world.read()?.last().map(|head| head.salt);
                if world.rules.look_again && head != Some(fence.salt) {
                    world.outcome.void += 1;
                    self.state = State::Looking;
                } else {
                    self.take_over(fence);
                }
            }
            State::Open => return self.write(world),
        }
        Ok(true)
    }

    fn look(&mut self, world: &mut World) -> Result<(), String> {
        let chain = world.read()?;
        self.live = chain.iter().map(|object| object.id).collect();
        self.fences = world.objects.values().filter(|object| object.fence).map(|object| object.id).collect();
        let head = chain.last();
        let id = head.map_or(1, |head| head.id + if head.fence { GAP } else { 1 });
        let epoch = world.objects.values().map(|object| object.epoch).max().unwrap_or(0) + 1;
        let fence = Rc::new(Object {
            id,
            salt: world.salt(),
            epoch,
            fence: true,
            predecessor: head.map(|head| (head.id, head.salt)),
            claim: head.map_or(0, |head| head.id),
            lsn: head.map_or(1, |head| head.lsn + u64::from(!head.fence)),
            first_retained: head.map_or(1, |head| head.first_retained),
        });
        let asked = world.send(Rc::clone(&fence));
        self.state = State::Fencing(fence, asked);
        Ok(())
    }

    fn await_fence(&mut self, world: &mut World, fence: Rc<Object>, asked: &Asked) {
        match asked.get() {
            None => {
                if world.percent(30) {
                    asked.set(Some(Answer::Unknown));
                }
            }
            Some(Answer::Created) => self.state = State::Doubting(fence),
            Some(Answer::Exists | Answer::Unknown) => match world.objects.get(&fence.id) {
                None => self.state = State::Fencing(Rc::clone(&fence), world.send(fence)),
                Some(found) if found.salt == fence.salt => self.state = State::Doubting(fence),
                Some(_) => self.state = State::Looking,
            },
        }
    }

    fn take_over(&mut self, fence: Rc<Object>) {
        self.next_id = fence.id + GAP;
        self.low = self.next_id;
        self.next_lsn = fence.lsn;
        self.first_retained = fence.first_retained;
        self.live.push(fence.id);
        self.fences.push(fence.id);
        self.last = Some(fence);
        self.state = State::Open;
    }

    fn write(&mut self, world: &mut World) -> Result<bool, String> {
        if let Some(id) = self.removing.pop() {
            world.outcome.removed += u64::from(world.objects.remove(&id).is_some());
        }
        if (self.sent.len() as u64) < world.rules.width && world.percent(60) {
            self.publish(world);
        }
        for (object, asked) in self.sent.values_mut() {
            let Some(request) = asked else { continue };
            match request.get() {
                None => {
                    if world.percent(10) {
                        request.set(Some(Answer::Unknown));
                    }
                }
                Some(Answer::Created) => *asked = None,
                Some(Answer::Exists | Answer::Unknown) => match world.objects.get(&object.id) {
                    None => *asked = Some(world.send(Rc::clone(object))),
                    Some(found) if found.salt == object.salt => *asked = None,
                    Some(_) => return Ok(false),
                },
            }
        }
        self.acknowledge(world)?;
        Ok(true)
    }

    fn publish(&mut self, world: &mut World) {
        let Some(last) = &self.last else { return };
        if world.percent(15) {
            self.first_retained = self.first_retained.max(self.next_lsn.saturating_sub(world.below(4)));
        }
        let claim = if world.rules.honest_claims { self.claim() } else { last.id };
        let object = Rc::new(Object {
            id: self.next_id,
            salt: world.salt(),
            epoch: last.epoch,
            fence: false,
            predecessor: Some((last.id, last.salt)),
            claim,
            lsn: self.next_lsn,
            first_retained: self.first_retained,
        });
        let asked = world.send(Rc::clone(&object));
        self.sent.insert(self.next_id, (Rc::clone(&object), Some(asked)));
        self.live.push(self.next_id);
        (self.next_id, self.next_lsn, self.last) = (self.next_id + 1, self.next_lsn + 1, Some(object));
    }

    /// The id up to which everything is acknowledged.
    fn claim(&self) -> u64 {
        let before = self.live.iter().rev().find(|id| **id < self.low);
        before.copied().unwrap_or(0)
    }

    fn acknowledge(&mut self, world: &mut World) -> Result<(), String> {
        let arrived = |sent: &BTreeMap<u64, (Rc<Object>, Option<Asked>)>, in_order: bool| {
            let there = sent.iter().find(|(_, (_, asked))| in_order || asked.is_none());
            there.filter(|(_, (_, asked))| asked.is_none()).map(|(id, _)| *id)
        };
        while let Some(id) = arrived(&self.sent, world.rules.in_order) {
            let Some((object, _)) = self.sent.remove(&id) else { break };
            world.acknowledge(&object)?;
            self.low = self.low.max(id + 1);
            self.plan_removal(world, &object);
        }
        Ok(())
    }

    /// What a durable trim permits: everything below that is not part of the log.
    fn plan_removal(&mut self, world: &World, trim: &Object) {
        let dead = |id: &u64| world.objects.get(id).is_some_and(|object| object.lsn < trim.first_retained);
        let kept: Vec<u64> = self.live.iter().copied().filter(|id| *id >= trim.id || !dead(id)).collect();
        // A reader looks for everything between the newest segment and what that one claims.
        let bound = if world.rules.claimed_only { trim.claim + 1 } else { trim.id };
        let below = world.objects.keys().copied().filter(|id| *id < bound && !kept.contains(id));
        let fences_go = !world.rules.fences_stay;
        self.removing = below.filter(|id| fences_go || !self.fences.contains(id)).collect();
        self.removing.reverse();
        self.live = kept;
    }
}
