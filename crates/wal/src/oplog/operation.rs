//! One operation and its bytes.

use wal_compress::BoxError;

use crate::Record;

const VERSION: u8 = 1;
const HEADER_LEN: usize = 24;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Sets the data of a key.
    Put,
    /// Removes a key.
    Delete,
    /// What the program says: any code but 1 and 2, which put and delete.
    Other(u8),
}

impl Action {
    /// The number that stands for it in the log: the kind of the entry.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Put => 1,
            Self::Delete => 2,
            Self::Other(code) => code,
        }
    }

    const fn of(code: u8) -> Self {
        match code {
            1 => Self::Put,
            2 => Self::Delete,
            code => Self::Other(code),
        }
    }
}

/// A change of keyed data.
///
/// ```
/// use wal::oplog::{Action, Operation};
/// let operation = Operation::put("users", "ada", "1815").at(-4_890_000_000);
/// assert_eq!((operation.action, operation.timestamp), (Action::Put, -4_890_000_000));
/// assert_eq!(Operation::delete("users", "ada").data, b"");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// What it does.
    pub action: Action,
    /// What the key belongs to: a table, a collection. May be empty.
    pub entity: String,
    /// The key. May be empty.
    pub key: Vec<u8>,
    /// The data; none for a deletion.
    pub data: Vec<u8>,
    /// A time of the program's, in a unit of its choice. When the log was told is
    /// [`Entry::time`](crate::Entry::time).
    pub timestamp: i64,
}

impl Operation {
    /// Sets the data of a key. At time zero.
    pub fn put(entity: impl Into<String>, key: impl Into<Vec<u8>>, data: impl Into<Vec<u8>>) -> Self {
        Self { action: Action::Put, entity: entity.into(), key: key.into(), data: data.into(), timestamp: 0 }
    }

    /// Removes a key. At time zero.
    pub fn delete(entity: impl Into<String>, key: impl Into<Vec<u8>>) -> Self {
        Self { action: Action::Delete, ..Self::put(entity, key, Vec::new()) }
    }

    /// The same at this time.
    #[must_use]
    pub fn at(self, timestamp: i64) -> Self {
        Self { timestamp, ..self }
    }
}

/// Every kind is one of an operation's: see [`Action::Other`].
impl Record for Operation {
    fn kind(&self) -> u8 {
        self.action.code()
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        if Action::of(self.action.code()) != self.action {
            return Err("the codes 1 and 2 stand for Put and Delete".into());
        }
        let len = |what: &str, bytes: &[u8]| {
            u32::try_from(bytes.len())
                .map_err(|_| format!("the {what} of {} bytes exceeds 4 GiB less 1 byte", bytes.len()))
        };
        let entity = len("entity", self.entity.as_bytes())?;
        let (key, data) = (len("key", &self.key)?, len("data", &self.data)?);
        out.reserve(HEADER_LEN + self.entity.len() + self.key.len() + self.data.len());
        out.extend_from_slice(&[VERSION, 0, 0, 0]);
        [entity, key, data].iter().for_each(|len| out.extend_from_slice(&len.to_le_bytes()));
        out.extend_from_slice(&self.timestamp.to_le_bytes());
        out.extend_from_slice(self.entity.as_bytes());
        out.extend_from_slice(&self.key);
        out.extend_from_slice(&self.data);
        Ok(())
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Option<Self>, BoxError> {
        let (header, rest) =
            payload.split_first_chunk::<HEADER_LEN>().ok_or("it is shorter than 24 bytes")?;
        let [version, entity, key, data, time @ ..] = header.as_chunks::<4>().0 else {
            return Err("it is shorter than 24 bytes".into());
        };
        if *version != [VERSION, 0, 0, 0] {
            return Err(format!("its version is {version:?}, and this program knows {VERSION}").into());
        }
        let [entity, key, data] = [entity, key, data].map(|len| u32::from_le_bytes(*len) as usize);
        let too_long = || format!("it has {} bytes for {entity}, {key} and {data}", rest.len());
        let (entity, rest) = rest.split_at_checked(entity).ok_or_else(too_long)?;
        let (key, rest) = rest.split_at_checked(key).ok_or_else(too_long)?;
        if rest.len() != data {
            return Err(too_long().into());
        }
        Ok(Some(Self {
            action: Action::of(kind),
            entity: str::from_utf8(entity)?.to_owned(),
            key: key.to_vec(),
            data: rest.to_vec(),
            timestamp: i64::from_le_bytes(time.as_flattened().try_into()?),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(operation: &Operation) -> Vec<u8> {
        let mut bytes = Vec::new();
        operation.encode(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let operation = Operation::put("ab", [7, 8, 9], "data!").at(-2);
        let mut expected = vec![1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0];
        expected.extend([0xfe, 255, 255, 255, 255, 255, 255, 255]);
        expected.extend(b"ab\x07\x08\x09data!");
        assert_eq!(bytes(&operation), expected);
    }

    #[test]
    fn every_operation_comes_back() {
        let long = "x".repeat(70_000);
        for operation in [
            Operation::put("", "", ""),
            Operation::delete("users", [0, 255]).at(i64::MIN),
            Operation::put(long.clone(), long.clone(), long).at(i64::MAX),
            Operation { action: Action::Other(0), ..Operation::put("e", "k", "d") },
            Operation { action: Action::Other(255), ..Operation::put("e", "k", "d") },
        ] {
            let bytes = bytes(&operation);
            assert_eq!(Operation::decode(operation.kind(), &bytes).unwrap(), Some(operation));
        }
        let wrong = Operation { action: Action::Other(2), ..Operation::put("e", "k", "d") };
        assert!(wrong.encode(&mut Vec::new()).is_err());
    }

    #[test]
    fn what_is_no_operation_is_refused() {
        let whole = bytes(&Operation::put("entity", "key", "data"));
        for len in 0..whole.len() {
            assert!(Operation::decode(1, &whole[..len]).is_err(), "{len} bytes");
        }
        assert!(Operation::decode(1, &[&whole[..], b"!"].concat()).is_err());
        // Whatever the first bytes say: no panic, and no memory for what is not there.
        for at in 0..HEADER_LEN {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            assert_eq!(Operation::decode(1, &bytes).is_ok(), at >= 16, "byte {at}");
        }
        let mut bytes = whole;
        bytes[24] = 0xff;
        assert!(Operation::decode(1, &bytes).unwrap_err().to_string().contains("utf-8"));
    }
}
