use wal_compress::{CodecId, Codecs, CompressError, Zstd};

fn record(n: u64) -> Vec<u8> {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(r#"{{"id":{n},"name":"package-{mixed:x}","section":"libs","installed":true}}"#).into_bytes()
}

fn trained(records: impl Iterator<Item = u64>) -> Vec<u8> {
    let records: Vec<_> = records.map(record).collect();
    let lens: Vec<_> = records.iter().map(Vec::len).collect();
    Zstd::train(&records.concat(), &lens, 4096).unwrap()
}

fn compressed(codecs: &Codecs, raw: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    codecs.get(CodecId::ZSTD).unwrap().compress(raw, &mut stored).unwrap();
    stored
}

fn decompressed(codecs: &Codecs, stored: &[u8], len: usize) -> Result<Vec<u8>, CompressError> {
    let mut raw = Vec::new();
    codecs.decompress(CodecId::ZSTD, stored, len, &mut raw).map(|()| raw)
}

#[test]
fn what_a_dictionary_compressed_needs_it() {
    let codecs = Codecs::new();
    let zstd = codecs.get(CodecId::ZSTD).unwrap();
    let (older, newer) = (trained(0..2000), trained(10_000..12_000));
    let raw = record(77_777);
    let plain = compressed(&codecs, &raw);
    let ids = [zstd.add_dictionary(&older).unwrap(), zstd.add_dictionary(&newer).unwrap()];
    assert_eq!(zstd.add_dictionary(&older).unwrap(), ids[0], "again");
    assert_eq!(compressed(&codecs, &raw), plain, "it is only known");
    let stored = ids.map(|id| {
        zstd.use_dictionary(Some(id));
        compressed(&codecs, &raw)
    });
    assert!(stored.iter().all(|stored| stored.len() * 2 < plain.len()));
    for stored in stored.iter().chain([&plain]) {
        assert_eq!(decompressed(&codecs, stored, raw.len()).unwrap(), raw);
    }
    let without = decompressed(&Codecs::new(), &stored[0], raw.len());
    assert!(matches!(without, Err(CompressError::MissingDictionary { id }) if id == ids[0]));
    zstd.use_dictionary(None);
    assert_eq!(compressed(&codecs, &raw), plain);
}

#[test]
fn a_codec_gives_ids_that_take_little_room() {
    let codecs = Codecs::new();
    let zstd = codecs.get(CodecId::ZSTD).unwrap();
    let records: Vec<_> = (0..2000).map(record).collect();
    let lens: Vec<_> = records.iter().map(Vec::len).collect();
    for id in 1..4 {
        let dictionary = zstd.train_dictionary(&records.concat(), &lens, 4096).unwrap();
        assert_eq!(zstd.add_dictionary(&dictionary).unwrap(), id);
        zstd.use_dictionary(Some(id));
        let stored = compressed(&codecs, &record(77));
        assert_eq!(decompressed(&codecs, &stored, record(77).len()).unwrap(), record(77));
    }
}

#[test]
fn a_copy_of_its_own_has_no_dictionaries() {
    let codecs = Codecs::new();
    let zstd = codecs.get(CodecId::ZSTD).unwrap();
    let (raw, plain) = (record(5), compressed(&codecs, &record(5)));
    zstd.use_dictionary(Some(zstd.add_dictionary(&trained(0..2000)).unwrap()));
    assert_eq!(compressed(&codecs.unshared(), &raw), plain);
    assert_ne!(compressed(&codecs.clone(), &raw), plain, "a clone shares");
}

#[test]
fn what_is_no_dictionary_is_refused() {
    let codecs = Codecs::new();
    let zstd = codecs.get(CodecId::ZSTD).unwrap();
    for bytes in [&b""[..], b"abc", &[7; 4096]] {
        assert!(matches!(zstd.add_dictionary(bytes), Err(CompressError::BadDictionary)));
    }
    let dictionary = trained(0..2000);
    zstd.add_dictionary(&dictionary).unwrap();
    let mut other = dictionary.clone();
    *other.last_mut().unwrap() ^= 1;
    assert!(matches!(zstd.add_dictionary(&other), Err(CompressError::DuplicateDictionary { .. })));
    let none = codecs.get(CodecId::IDENTITY).unwrap().add_dictionary(&dictionary);
    assert!(matches!(none, Err(CompressError::NoDictionaries { codec: CodecId::IDENTITY })));
}

#[test]
fn a_dictionary_whose_insides_are_damaged_is_an_error() {
    let mut dictionary = trained(0..2000);
    let good = Codecs::new();
    let zstd = good.get(CodecId::ZSTD).unwrap();
    zstd.use_dictionary(Some(zstd.add_dictionary(&dictionary).unwrap()));
    let stored = compressed(&good, &record(5));
    dictionary[8..200].fill(0xff);
    let bad = Codecs::new();
    let zstd = bad.get(CodecId::ZSTD).unwrap();
    zstd.use_dictionary(Some(zstd.add_dictionary(&dictionary).unwrap()));
    let damaged = decompressed(&bad, &stored, record(5).len());
    assert!(matches!(damaged, Err(CompressError::Damaged { .. })));
    let mut out = b"kept".to_vec();
    assert!(matches!(zstd.compress(&record(5), &mut out), Err(CompressError::Compress { .. })));
    assert_eq!(out, b"kept");
}

#[test]
fn samples_that_do_not_add_up_are_refused() {
    for (samples, lens) in [(&b"abcdef"[..], &[3, 4][..]), (b"", &[]), (b"abc", &[usize::MAX, 4])] {
        let refused = Zstd::train(samples, lens, 4096);
        assert!(matches!(refused, Err(CompressError::TooFewSamples { .. })));
    }
}
