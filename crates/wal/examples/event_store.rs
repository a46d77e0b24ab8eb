//! An event store: what happened to a cart, as typed entries, and what it looked like at any time.
//!
//! ```sh
//! cargo run --package wal --example event_store
//! ```

#![expect(clippy::print_stdout, reason = "it is an example")]

use std::{collections::BTreeMap, error::Error};

use wal::{BoxError, ErrorKind, Lsn, NewEntry, Payload, Typed, TypedWal, Wal, record_enum};

/// So many of an article.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Items {
    article: String,
    count: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Added(Items);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Removed(Items);

#[derive(Clone, Debug, PartialEq, Eq)]
struct CheckedOut;

impl Items {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(self.article.as_bytes());
    }

    fn read(payload: &[u8]) -> Result<Self, BoxError> {
        let (count, article) = payload.split_at_checked(4).ok_or("the count is missing")?;
        let article = str::from_utf8(article)?.to_owned();
        Ok(Self { article, count: u32::from_le_bytes(count.try_into()?) })
    }
}

impl Payload for Added {
    const KIND: u8 = 1;

    fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        self.0.write(out);
        Ok(())
    }

    fn read(payload: &[u8]) -> Result<Self, BoxError> {
        Items::read(payload).map(Self)
    }
}

impl Payload for Removed {
    const KIND: u8 = 2;

    fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        self.0.write(out);
        Ok(())
    }

    fn read(payload: &[u8]) -> Result<Self, BoxError> {
        Items::read(payload).map(Self)
    }
}

impl Payload for CheckedOut {
    const KIND: u8 = 3;

    fn write(&self, _: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(())
    }

    fn read(payload: &[u8]) -> Result<Self, BoxError> {
        if payload.is_empty() { Ok(Self) } else { Err("a checkout has no details".into()) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Added(Added),
    Removed(Removed),
    CheckedOut(CheckedOut),
}

record_enum!(Event { Added(Added), Removed(Removed), CheckedOut(CheckedOut) });

fn added(article: &str, count: u32) -> Event {
    Event::Added(Added(Items { article: article.to_owned(), count }))
}

fn removed(article: &str, count: u32) -> Event {
    Event::Removed(Removed(Items { article: article.to_owned(), count }))
}

/// What events make together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Cart {
    items: BTreeMap<String, u32>,
    is_closed: bool,
    /// Events of kinds that this program does not know.
    skipped: u32,
}

impl Cart {
    fn apply(&mut self, event: Typed<Event>) {
        match event {
            Typed::Known(Event::Added(Added(items))) => {
                *self.items.entry(items.article).or_default() += items.count
            }
            Typed::Known(Event::Removed(Removed(items))) => {
                let left = self.items.entry(items.article).or_default();
                *left = left.saturating_sub(items.count);
                self.items.retain(|_, count| *count > 0);
            }
            Typed::Known(Event::CheckedOut(_)) => self.is_closed = true,
            Typed::Unknown { .. } => self.skipped += 1,
        }
    }

    /// The cart as it was once this event had happened.
    fn as_of(events: &TypedWal<Event>, lsn: Lsn) -> Result<Self, wal::Error> {
        let mut cart = Self::default();
        events.for_each(..=lsn, |entry| {
            cart.apply(entry.record);
            Ok::<(), wal::Error>(())
        })?;
        Ok(cart)
    }
}

fn items<const N: usize>(items: [(&str, u32); N]) -> BTreeMap<String, u32> {
    items.map(|(article, count)| (article.to_owned(), count)).into()
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let events = Wal::open(dir.path())?.typed::<Event>();
    let first = events.append(&added("tea", 2))?;
    let both = events.append_batch(&[added("milk", 1), removed("tea", 1)])?;
    // A newer program has an event of its own, and this one reads on.
    events.wal().append_with(NewEntry { kind: 4, ..NewEntry::plain(b"gift wrap") }, &Default::default())?;
    let last = events.append(&Event::CheckedOut(CheckedOut))?;
    drop(events);

    let events = Wal::open(dir.path())?.typed::<Event>();
    assert_eq!(Cart::as_of(&events, first)?.items, items([("tea", 2)]));
    assert_eq!(Cart::as_of(&events, *both.end())?.items, items([("milk", 1), ("tea", 1)]));
    let now = Cart::as_of(&events, last)?;
    assert_eq!((now.is_closed, now.skipped), (true, 1));

    // Backwards: what was the last thing that was taken out?
    let taken = events.iter().rev().find_map(|entry| match entry.ok()?.record {
        Typed::Known(Event::Removed(Removed(items))) => Some(items.article),
        _ => None,
    });
    assert_eq!(taken.as_deref(), Some("tea"));

    // One event that its type refuses, with its place; the one behind it can be read.
    let wrong = NewEntry { kind: CheckedOut::KIND, ..NewEntry::plain(b"?") };
    let wrong = events.wal().append_with(wrong, &Default::default())?;
    events.append(&added("cake", 1))?;
    let mut tail = events.range(wrong..);
    let refused = tail.next().and_then(Result::err).map(|error| (error.kind(), error.lsns()));
    assert_eq!(refused, Some((ErrorKind::Undecodable, Some(wrong..=wrong))));
    assert_eq!(tail.next().ok_or("the event is missing")??.record.known(), Some(added("cake", 1)));
    println!("{} events; the cart that was checked out: {:?}", wrong.get() + 1, now.items);
    Ok(())
}
