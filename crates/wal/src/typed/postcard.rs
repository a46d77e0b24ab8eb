//! Records in a compact binary form.

use serde::{Serialize, de::DeserializeOwned};
use wal_compress::BoxError;

use crate::Payload;

/// A value that is written in the [postcard format](https://postcard.jamesmunns.com), in entries of the kind `KIND`:
/// small, and without names. So fields and variants keep their order and their types for the life of a log; what
/// changes gets a kind of its own.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use wal::{Postcard, Wal};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// enum Event {
///     Opened { account: u32 },
///     Deposited { account: u32, cents: u64 },
/// }
/// # let dir = tempfile::tempdir()?;
/// let events = Wal::open(dir.path())?.typed::<Postcard<Event>>();
/// let lsn = events.append(&Postcard(Event::Deposited { account: 7, cents: 100 }))?;
/// let event = events.get(lsn)?;
/// assert_eq!(event.entry.payload.len(), 3);
/// assert_eq!(event.record.known().unwrap().0, Event::Deposited { account: 7, cents: 100 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Postcard<T, const KIND: u8 = 0>(pub T);

impl<T: Serialize + DeserializeOwned, const KIND: u8> Payload for Postcard<T, KIND> {
    const KIND: u8 = KIND;

    fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.extend_from_slice(&postcard::to_stdvec(&self.0)?);
        Ok(())
    }

    fn read(payload: &[u8]) -> Result<Self, BoxError> {
        let (value, rest) = postcard::take_from_bytes(payload)?;
        // Bytes that nobody asked for are those of another type.
        if rest.is_empty() { Ok(Self(value)) } else { Err("there are bytes behind the value".into()) }
    }
}
