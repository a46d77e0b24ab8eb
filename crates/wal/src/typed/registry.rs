//! Types that are put together when the program runs.

use std::{
    any::{Any, type_name},
    collections::BTreeMap,
    fmt,
};

use wal_compress::BoxError;
use wal_core::LogError;

use crate::{Entry, Error, Payload, TypedEntry};

/// The types that a log may hold, by their kinds: for programs whose parts bring types of their own. Where all types
/// are known in one place, an enum and [`record_enum!`](crate::record_enum) do more.
///
/// `T` is what entries are decoded to: anything at all by default, or an enum of yours.
///
/// ```
/// use wal::{Registry, Wal};
/// # use wal::{BoxError, Payload};
/// # struct Login(u8);
/// # struct Logout(u8);
/// # impl Payload for Login {
/// #     const KIND: u8 = 1;
/// #     fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> { out.push(self.0); Ok(()) }
/// #     fn read(payload: &[u8]) -> Result<Self, BoxError> { Ok(Self(<[u8; 1]>::try_from(payload)?[0])) }
/// # }
/// # impl Payload for Logout {
/// #     const KIND: u8 = 1;
/// #     fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> { out.push(self.0); Ok(()) }
/// #     fn read(payload: &[u8]) -> Result<Self, BoxError> { Ok(Self(<[u8; 1]>::try_from(payload)?[0])) }
/// # }
/// # let dir = tempfile::tempdir()?;
/// let wal = Wal::open(dir.path())?;
/// wal.typed::<Login>().append(&Login(5))?;
///
/// let mut registry = Registry::new();
/// registry.register::<Login>()?;
/// let entry = registry.decode(wal.get(wal.last_lsn().unwrap())?)?;
/// let anything = entry.record.known().unwrap();
/// assert_eq!(anything.downcast_ref::<Login>().unwrap().0, 5);
///
/// // Kinds are not shared.
/// let error = registry.register::<Logout>().unwrap_err();
/// assert!(error.to_string().starts_with("kind 1 of "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Registry<T = Box<dyn Any + Send>> {
    types: BTreeMap<u8, Registered<T>>,
}

struct Registered<T> {
    name: &'static str,
    read: Box<Read<T>>,
}

type Read<T> = dyn Fn(&[u8]) -> Result<T, BoxError> + Send + Sync;

impl Registry {
    /// Adds a type.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when its kind is taken; the text names both types.
    pub fn register<P: Payload + Send + 'static>(&mut self) -> Result<(), Error> {
        self.register_as(|payload: P| Box::new(payload) as Box<dyn Any + Send>)
    }
}

impl<T> Registry<T> {
    /// Without any type.
    #[must_use]
    pub const fn new() -> Self {
        Self { types: BTreeMap::new() }
    }

    /// Adds a type, and how it becomes what entries are decoded to: a variant of an enum, for instance.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when its kind is taken; the text names both types.
    pub fn register_as<P: Payload + 'static>(
        &mut self,
        wrap: impl Fn(P) -> T + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let (kind, name) = (P::KIND, type_name::<P>());
        if let Some(Registered { name: registered, .. }) = self.types.get(&kind) {
            return Err(Error::new(LogError::KindTaken { kind, registered, refused: name }));
        }
        let read = Box::new(move |payload: &[u8]| P::read(payload).map(&wrap));
        self.types.insert(kind, Registered { name, read });
        Ok(())
    }

    /// Decodes an entry. One of a kind that nobody registered is [`Typed::Unknown`](crate::Typed::Unknown).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Undecodable`](crate::ErrorKind::Undecodable) when its type refuses it, with its LSN.
    pub fn decode(&self, entry: Entry) -> Result<TypedEntry<T>, Error> {
        TypedEntry::new(entry, |kind, payload| {
            self.types.get(&kind).map(|registered| (registered.read)(payload)).transpose()
        })
    }

    /// The kinds and the names of their types.
    pub fn types(&self) -> impl Iterator<Item = (u8, &'static str)> {
        self.types.iter().map(|(kind, registered)| (*kind, registered.name))
    }
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Registry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.types()).finish()
    }
}
