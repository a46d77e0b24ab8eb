//! Enums of payloads.

/// Makes a [`Record`](crate::Record) of an enum whose variants hold one [`Payload`](crate::Payload) each.
///
/// Two variants with the same kind do not compile.
///
/// ```
/// use wal::{Record, record_enum};
/// # use wal::{BoxError, Payload};
/// # #[derive(Debug, PartialEq)] struct Opened(u8);
/// # #[derive(Debug, PartialEq)] struct Closed(u8);
/// # impl Payload for Opened {
/// #     const KIND: u8 = 1;
/// #     fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> { out.push(self.0); Ok(()) }
/// #     fn read(payload: &[u8]) -> Result<Self, BoxError> { Ok(Self(<[u8; 1]>::try_from(payload)?[0])) }
/// # }
/// # impl Payload for Closed {
/// #     const KIND: u8 = 2;
/// #     fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> { out.push(self.0); Ok(()) }
/// #     fn read(payload: &[u8]) -> Result<Self, BoxError> { Ok(Self(<[u8; 1]>::try_from(payload)?[0])) }
/// # }
///
/// #[derive(Debug, PartialEq)]
/// enum Account {
///     Opened(Opened), // each implements `Payload`, or is a `Json<T, 1>`, a `Postcard<T, 2>`
///     Closed(Closed),
/// }
/// record_enum!(Account { Opened(Opened), Closed(Closed) });
///
/// assert_eq!(Account::Closed(Closed(5)).kind(), 2);
/// assert_eq!(Account::decode(2, &[5])?, Some(Account::Closed(Closed(5))));
/// assert_eq!(Account::decode(3, &[5])?, None);
/// # Ok::<(), BoxError>(())
/// ```
#[macro_export]
macro_rules! record_enum {
    ($name:ident { $($variant:ident($payload:ty)),+ $(,)? }) => {
        impl $crate::Record for $name {
            fn kind(&self) -> u8 {
                match self { $(Self::$variant(_) => <$payload as $crate::Payload>::KIND),+ }
            }
            fn encode(&self, out: &mut ::std::vec::Vec<u8>) -> ::std::result::Result<(), $crate::BoxError> {
                match self { $(Self::$variant(payload) => $crate::Payload::write(payload, out)),+ }
            }
            fn decode(kind: u8, bytes: &[u8]) -> ::std::result::Result<Option<Self>, $crate::BoxError> {
                $(if kind == <$payload as $crate::Payload>::KIND {
                    return <$payload as $crate::Payload>::read(bytes).map(|read| Some(Self::$variant(read)));
                })+
                Ok(None)
            }
        }
        const _: () = {
            let kinds = [$(<$payload as $crate::Payload>::KIND),+];
            assert!($crate::kinds_differ(&kinds), "a kind is taken twice");
        };
    };
}

/// Whether no kind is there twice.
#[must_use]
pub const fn kinds_differ(mut kinds: &[u8]) -> bool {
    while let [first, rest @ ..] = kinds {
        let mut others = rest;
        while let [other, further @ ..] = others {
            if *other == *first {
                return false;
            }
            others = further;
        }
        kinds = rest;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::kinds_differ;

    #[test]
    fn a_kind_that_is_there_twice_is_found() {
        assert!(kinds_differ(&[]) && kinds_differ(&[1]) && kinds_differ(&[1, 2, 3]));
        assert!(!kinds_differ(&[1, 1]) && !kinds_differ(&[1, 2, 3, 2]));
    }
}
