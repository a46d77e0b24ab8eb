//! Readers of the files that five other write-ahead logs leave behind: bytes in, entries out.
//!
//! This crate opens no file and knows nothing of the log that the entries go to. Whoever uses it lists a directory,
//! makes a [`Plan`] of the names, and hands the bytes of each file of the plan to a [`Reader`], in the plan's order.
//!
//! | [`Format`] | program | an entry is protected by | ids |
//! |---|---|---|---|
//! | `Xwal` | `github.com/pantuza/xwal` | CRC-32 over id and payload | of every entry; may begin again in a new file |
//! | `Hungpdn` | `github.com/hungpdn/wal` | CRC-32C over length, id and payload | of every entry |
//! | `Filewal` | FileWAL of `github.com/colonyos/colonies` | CRC-32 over everything but its length | none |
//! | `Fgrosse` | `github.com/fgrosse/wal` | CRC-32 over the payload | of every entry |
//! | `Walrus` | `github.com/l00pss/walrus`, binary and JSON | CRC-32 over everything but its length | of every entry |
//!
//! ```
//! use wal_import::{Event, Format, Plan, Reader};
//!
//! let wal_0 = b"\x0b\x08\x01\x12\x02hi\x18\xd7\xf2\xbd\x01";
//! let plan = Plan::new(Format::Xwal, None, [("wal_0".to_owned(), 12), ("README".to_owned(), 100)])?;
//! assert_eq!(plan.ignored(), ["README"]);
//!
//! let mut reader = Reader::new(plan.format());
//! let events: Vec<Event<'_>> = reader.events(&plan.files()[0], wal_0).collect();
//! assert!(matches!(&events[..], [Event::Entry(entry)] if entry.id == Some(1) && *entry.payload == *b"hi"));
//! # Ok::<(), wal_import::PlanError>(())
//! ```
//!
//! # What is believed
//!
//! An entry is shown only if its checksum holds; lengths are believed only as far as there are bytes. What does not
//! verify is [`Damage`](Event::Damage), or a [torn end](Event::TornTail) when the newest file just stops. Behind damage
//! reading goes on at the next record that verifies and whose id continues the ones before. A checksum does not tell
//! everything:
//!
//! - The type and the id of an fgrosse entry are under no checksum, and its length is not stored. A changed type is not
//!   noticed; a changed id is, unless the entry is the only one of its file. The end of a payload is where its checksum
//!   and the id that follows agree. A damaged last entry cannot be told from a torn one.
//! - The payload of a destroyed filewal record may itself be a log. Behind the destroyed header its records look like
//!   any other; the damage in front of them is reported. In the other formats the ids tell, unless they happen to fit.
//! - Nothing is searched for any more when 64 times the bytes of a file have been checked, and a mebibyte: its
//!   records, and what was tried in search of the next one behind damage, or of the end of an fgrosse entry. From the
//!   next record that does not verify, the rest of the file is damage then, and no torn end. Ordinary damage comes
//!   nowhere near.
//! - A batch or transaction that was torn exactly between two records looks whole: none of the formats says where one
//!   ends.

#![forbid(unsafe_code)]

mod budget;
mod event;
mod events;
mod fgrosse;
mod field;
mod filewal;
mod hungpdn;
mod plan;
mod record;
mod walrus;
mod xwal;

pub use event::{Entry, Event, Flaw, Operation};
pub use events::{Events, Reader};
pub use plan::{Format, Plan, PlanError, SourceFile};
