//! Records: types, kinds, and what is none of them.

use std::time::Duration;

use wal::{Batch, BoxError, Entry, ErrorKind, NewEntry, Outcome, Payload, Registry, Typed, Wal, record_enum};

use crate::support::lsn;

#[derive(Clone, Debug, PartialEq)]
struct Word(String);

#[derive(Clone, Debug, PartialEq)]
struct Number(u32);

impl Payload for Word {
    const KIND: u8 = 1;

    fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        if self.0.is_empty() {
            return Err("an empty word".into());
        }
        out.extend_from_slice(self.0.as_bytes());
        Ok(())
    }

    fn read(payload: &[u8]) -> Result<Self, BoxError> {
        Ok(Self(str::from_utf8(payload)?.to_owned()))
    }
}

impl Payload for Number {
    const KIND: u8 = 255;

    fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.extend_from_slice(&self.0.to_le_bytes());
        Ok(())
    }

    fn read(payload: &[u8]) -> Result<Self, BoxError> {
        Ok(Self(u32::from_le_bytes(payload.try_into()?)))
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(Word),
    Number(Number),
}

record_enum!(Token { Word(Word), Number(Number) });

fn word(text: &str) -> Token {
    Token::Word(Word(text.to_owned()))
}

/// A log of two words, two numbers, something unknown and a number cut short.
fn tokens(dir: &std::path::Path) -> Wal {
    let wal = Wal::open(dir).unwrap();
    let tokens = wal.typed::<Token>();
    tokens.append(&word("one")).unwrap();
    tokens.append_batch(&[Token::Number(Number(2)), word("three")]).unwrap();
    wal.append("of another kind").unwrap();
    wal.append_with(NewEntry { kind: 255, ..NewEntry::plain(b"cut") }, &Default::default()).unwrap();
    tokens.submit(&Token::Number(Number(6))).unwrap().wait().unwrap();
    wal
}

#[test]
fn an_enum_of_payloads_reads_what_it_knows_and_passes_over_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let wal = tokens(dir.path());
    let view = wal.typed::<Token>();
    let unknown = Typed::Unknown { kind: 0, payload: "of another kind".into() };
    let expected = [
        Some(Typed::Known(word("one"))),
        Some(Typed::Known(Token::Number(Number(2)))),
        Some(Typed::Known(word("three"))),
        Some(unknown),
        None,
        Some(Typed::Known(Token::Number(Number(6)))),
    ];
    let read = |entry: Result<wal::TypedEntry<Token>, wal::Error>| match entry {
        Ok(entry) => Some(entry.record),
        Err(error) => {
            assert_eq!((error.kind(), error.lsns()), (ErrorKind::Undecodable, Some(lsn(5)..=lsn(5))));
            assert_eq!(error.to_string(), "entry 5 of kind 255 is not what its reader expects");
            assert!(std::error::Error::source(&error).unwrap().to_string().contains("slice"));
            None
        }
    };
    assert_eq!(view.iter().map(read).collect::<Vec<_>>(), expected);
    let backwards: Vec<_> = view.iter().rev().map(read).collect();
    assert_eq!(backwards.into_iter().rev().collect::<Vec<_>>(), expected);
    assert_eq!(view.range(lsn(2)..).from(lsn(6)).map(read).collect::<Vec<_>>(), expected[5..]);
    assert_eq!(view.get(lsn(2)).unwrap().record, *expected[1].as_ref().unwrap());
    assert_eq!(view.get(lsn(7)).unwrap_err().kind(), ErrorKind::NotFound);
    // A view of one type of them.
    let numbers = wal.typed::<Number>();
    assert_eq!(numbers.iter().filter_map(|entry| entry.ok()?.record.known()).count(), 2);
}

#[test]
fn a_walk_stops_at_the_first_error_of_either_side() {
    let dir = tempfile::tempdir().unwrap();
    let view = tokens(dir.path()).typed::<Token>();
    let mut seen = Vec::new();
    let refused = view.for_each(.., |entry| {
        if entry.lsn() == lsn(3) {
            return Err(BoxError::from("enough"));
        }
        seen.push(entry.lsn());
        Ok(())
    });
    assert_eq!((refused.unwrap_err().to_string().as_str(), seen), ("enough", vec![lsn(1), lsn(2)]));
    let mut count = 0;
    let undecodable = view.for_each(lsn(2).., |_| {
        count += 1;
        Ok::<(), wal::Error>(())
    });
    assert_eq!((undecodable.unwrap_err().kind(), count), (ErrorKind::Undecodable, 3));
}

#[test]
fn what_cannot_be_encoded_is_not_appended() {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open(dir.path()).unwrap();
    let view = wal.typed::<Token>();
    let mut batch = Batch::new();
    batch.push_record(&word("kept")).unwrap();
    let transaction = wal.begin(Duration::from_secs(60)).unwrap();
    transaction.append_record(&Number(1)).unwrap();
    for error in [
        view.append(&word("")).unwrap_err(),
        view.submit(&word("")).unwrap_err(),
        view.append_batch(&[word("a"), word("")]).unwrap_err(),
        batch.push_record(&word("")).unwrap_err(),
        transaction.append_record(&word("")).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Invalid, Some(Outcome::NotAppended)));
        assert_eq!(error.to_string(), "a record of kind 1 could not be encoded");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "an empty word");
    }
    assert_eq!(wal.last_lsn(), None);
    wal.append_batch(&batch).unwrap();
    transaction.commit().unwrap();
    let kinds: Vec<u8> = wal.iter().map(|entry| entry.unwrap().kind).collect();
    assert_eq!(kinds, [1, 255]);
}

#[test]
fn a_registry_decodes_to_an_enum_and_names_both_that_want_a_kind() {
    #[derive(Debug)]
    struct Rival;

    impl Payload for Rival {
        const KIND: u8 = 1;

        fn write(&self, _: &mut Vec<u8>) -> Result<(), BoxError> {
            Ok(())
        }

        fn read(_: &[u8]) -> Result<Self, BoxError> {
            Ok(Self)
        }
    }

    let dir = tempfile::tempdir().unwrap();
    let wal = tokens(dir.path());
    let mut registry = Registry::new();
    registry.register_as(Token::Word).unwrap();
    registry.register_as(Token::Number).unwrap();
    let error = registry.register_as(|_: Rival| word("never")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(text.starts_with("kind 1 of ") && text.contains("Rival") && text.ends_with("Word"), "{text}");
    let by_registry = |entry: Result<Entry, wal::Error>| registry.decode(entry.unwrap()).ok();
    let by_enum: Vec<_> = wal.typed::<Token>().iter().map(Result::ok).collect();
    assert_eq!(wal.iter().map(by_registry).collect::<Vec<_>>(), by_enum);
    assert_eq!(registry.types().map(|(kind, _)| kind).collect::<Vec<_>>(), [1, 255]);
}

#[cfg(all(feature = "json", feature = "postcard"))]
#[test]
fn serde_makes_payloads_of_an_enum() {
    use wal::Record;

    use wal::{Json, Postcard};

    #[derive(Debug, PartialEq)]
    enum Mixed {
        Json(Json<Vec<u8>, 10>),
        Postcard(Postcard<(u32, String), 11>),
    }
    record_enum!(Mixed { Json(Json<Vec<u8>, 10>), Postcard(Postcard<(u32, String), 11>) });

    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open(dir.path()).unwrap();
    let view = wal.typed::<Mixed>();
    let records = [Mixed::Json(Json(vec![1, 2])), Mixed::Postcard(Postcard((300, "x".into())))];
    view.append_batch(&records).unwrap();
    let read: Vec<_> = view.iter().map(|entry| entry.unwrap().record.known().unwrap()).collect();
    assert_eq!(read, records);
    assert_eq!(wal.get(lsn(1)).unwrap().payload, "[1,2]");
    assert_eq!(wal.get(lsn(2)).unwrap().payload, [0xac, 2, 1, b'x'].as_slice());
    assert!(Mixed::decode(11, &[0xac, 2, 1, b'x', 0]).is_err(), "there is more than the value");
    // A length that nothing stands behind takes no memory.
    assert!(Mixed::decode(11, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    assert!(Mixed::decode(10, b"[1").is_err());
    assert_eq!(Mixed::decode(12, b"").unwrap(), None);
}
