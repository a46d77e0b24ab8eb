//! Records in JSON.

use serde::{Serialize, de::DeserializeOwned};
use wal_compress::BoxError;

use crate::Payload;

/// A value that is written as JSON, in entries of the kind `KIND`. Readable by other programs and by people, and
/// tolerant of new fields; some five times the size of [`Postcard`](crate::Postcard)'s.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use wal::{Json, Wal};
///
/// #[derive(Serialize, Deserialize)]
/// struct Visit {
///     page: String,
/// }
/// # let dir = tempfile::tempdir()?;
/// let visits = Wal::open(dir.path())?.typed::<Json<Visit>>();
/// let lsn = visits.append(&Json(Visit { page: "/".into() }))?;
/// let visit = visits.get(lsn)?;
/// assert_eq!(visit.entry.payload, r#"{"page":"/"}"#);
/// assert_eq!(visit.record.known().unwrap().0.page, "/");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Json<T, const KIND: u8 = 0>(pub T);

impl<T: Serialize + DeserializeOwned, const KIND: u8> Payload for Json<T, KIND> {
    const KIND: u8 = KIND;

    fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(serde_json::to_writer(out, &self.0)?)
    }

    fn read(payload: &[u8]) -> Result<Self, BoxError> {
        Ok(Self(serde_json::from_slice(payload)?))
    }
}
