//! Metadata records: what can be read can be written, never longer, and says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wal_format::{Metadata, MetadataRecords};

fuzz_target!(|bytes: &[u8]| {
    let read: usize = MetadataRecords::new(bytes).flatten().map(|record| record.encoded_len()).sum();
    assert!(read <= bytes.len());
    let Ok(metadata) = Metadata::decode(bytes) else { return };
    assert_eq!(read, bytes.len(), "all of it was read");
    assert!(metadata.encoded_len() <= bytes.len());
    let mut encoded = Vec::new();
    if metadata.encode(&mut encoded).is_err() {
        assert!(bytes.len() > wal_format::METADATA_LEN_MAX);
        return;
    }
    assert_eq!(encoded.len(), metadata.encoded_len());
    assert_eq!(Metadata::decode(&encoded).as_ref(), Ok(&metadata));
    // Recovery replays changes on top of their result.
    let mut again = metadata.clone();
    again.apply_all(bytes).expect("it was read before");
    assert_eq!(again, metadata);
});
