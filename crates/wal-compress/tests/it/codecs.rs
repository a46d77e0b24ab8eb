use std::sync::Arc;

use wal_compress::{Codec, CodecId, Codecs, CompressError};

/// A codec of the user's, which keeps or breaks its promises as told.
#[derive(Debug)]
struct Yours {
    id: CodecId,
    surplus: usize,
}

impl Codec for Yours {
    fn id(&self) -> CodecId {
        self.id
    }

    fn name(&self) -> &str {
        "yours"
    }

    fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        out.extend_from_slice(raw);
        Ok(())
    }

    fn decompress(&self, stored: &[u8], _raw_len: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        out.extend_from_slice(stored);
        out.extend(std::iter::repeat_n(0, self.surplus));
        Ok(())
    }
}

fn yours(id: u8) -> Arc<dyn Codec> {
    Arc::new(Yours { id: CodecId(id), surplus: 0 })
}

#[test]
fn ids_below_128_are_refused() {
    for id in [0, 1, 2, 3, 127] {
        let error = Codecs::new().register(yours(id)).unwrap_err();
        assert!(matches!(error, CompressError::ReservedId { id: CodecId(refused) } if refused == id));
    }
}

#[test]
fn an_id_is_given_once() {
    let mut codecs = Codecs::new();
    for id in [128, 255] {
        codecs.register(yours(id)).unwrap();
        assert_eq!(codecs.get(CodecId(id)).unwrap().id(), CodecId(id));
        let error = codecs.register(yours(id)).unwrap_err();
        assert!(matches!(error, CompressError::DuplicateId { id: CodecId(taken) } if taken == id));
    }
}

#[test]
fn unknown_ids_are_told() {
    for id in [3, 127, 128, 255] {
        let error = Codecs::new().get(CodecId(id)).unwrap_err();
        assert_eq!(error.to_string(), format!("no codec has the id {id}"));
    }
}

#[test]
fn a_codec_left_out_names_its_feature() {
    for (id, feature, present) in [
        (CodecId::ZSTD, "zstd", cfg!(feature = "zstd")),
        (CodecId::SNAPPY, "snappy", cfg!(feature = "snappy")),
    ] {
        match Codecs::new().get(id) {
            Ok(codec) => {
                assert!(present);
                assert_eq!((codec.id(), codec.name()), (id, feature));
            }
            Err(error) => {
                assert!(!present);
                assert_eq!(error.to_string(), format!("codec {id} needs the feature `{feature}`"));
            }
        }
    }
}

#[test]
fn a_level_out_of_range_is_refused() {
    assert!(matches!(Codecs::with_level(23), Err(CompressError::InvalidLevel { level: 23, .. })));
    for level in [-7, 0, 22] {
        assert!(Codecs::with_level(level).is_ok());
    }
}

#[test]
fn a_user_codec_that_miscounts_is_caught() {
    let mut codecs = Codecs::new();
    codecs.register(Arc::new(Yours { id: CodecId(128), surplus: 1 })).unwrap();
    let mut out = b"kept".to_vec();
    let error = codecs.decompress(CodecId(128), b"abc", 3, &mut out).unwrap_err();
    assert!(matches!(error, CompressError::WrongLength { expected: 3, actual: 4, .. }));
    assert_eq!(out, b"kept");
}

#[cfg(feature = "zstd")]
#[test]
fn frames_of_zstd_are_stored_without_their_magic_number_and_read_with_it_too() {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let zstd = wal_compress::Zstd::default();
    let raw = b"the same again, ".repeat(50);
    let (mut stored, mut out) = (Vec::new(), b"before".to_vec());
    zstd.compress(&raw, &mut stored).unwrap();
    let frame = [&MAGIC, &stored[..]].concat();
    assert!(!stored.starts_with(&MAGIC) && stored[0] & 8 == 0);
    for stored in [&stored, &frame] {
        zstd.decompress(stored, raw.len(), &mut out).unwrap();
        assert!(out.starts_with(b"before") && out[6..] == raw);
        out.truncate(6);
    }
    for damaged in [&stored[1..], &frame[1..], &[&MAGIC, &frame[..]].concat(), &MAGIC, &[]] {
        let refused = zstd.decompress(damaged, raw.len(), &mut out);
        // By chance one of them seems to need a dictionary.
        let is_told =
            matches!(refused, Err(CompressError::Damaged { .. } | CompressError::MissingDictionary { .. }));
        assert!(is_told && out == b"before", "{refused:?}");
    }
}
