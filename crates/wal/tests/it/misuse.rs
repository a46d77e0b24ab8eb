//! Calls that a log refuses, and what stands on the edge of it.

use std::{error::Error as _, sync::Arc};

use wal::{
    AppendOptions, Batch, BoxError, Codec, CodecId, CompressError, Compression, ErrorKind, NewEntry, Options,
    Outcome, Wal,
};

use crate::support::{bytes_of, filled, lsn, quiet, refused, small};

#[test]
fn an_entry_beyond_the_limit_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::builder(dir.path())
        .options(Options { entry_len_max: 10, background_threads: false, ..small() })
        .open()
        .unwrap();
    let first = wal.append([7; 10]).unwrap();
    let written = wal.stats().written_bytes;
    let mut batch = Batch::new();
    batch.push("sixty").unwrap();
    batch.push("seventy").unwrap();
    let places = ["11 bytes", "limit of 10"];
    let single = refused(dir.path(), ErrorKind::TooLarge, &places, || wal.append([7; 11]));
    let batched = refused(dir.path(), ErrorKind::TooLarge, &["12 bytes"], || wal.append_batch(&batch));
    let submitted = refused(dir.path(), ErrorKind::TooLarge, &places, || wal.submit([7; 11]));
    for error in [single, batched, submitted] {
        assert_eq!(error.outcome(), Some(Outcome::NotAppended));
    }
    assert_eq!((wal.last_lsn(), wal.stats().written_bytes), (Some(first), written));
    assert_eq!(wal.append("fits").unwrap(), first.next());
}

#[test]
fn entries_may_be_empty_and_batches_may_not() {
    let dir = tempfile::tempdir().unwrap();
    let wal = quiet(dir.path());
    wal.append("").unwrap();
    let mut batch = Batch::new();
    refused(dir.path(), ErrorKind::Invalid, &["at least one entry"], || wal.append_batch(&batch));
    refused(dir.path(), ErrorKind::Invalid, &["at least one entry"], || wal.submit_batch(&batch));
    for payload in ["", "not", ""] {
        batch.push(payload).unwrap();
    }
    assert_eq!(wal.append_batch(&batch).unwrap(), lsn(2)..=lsn(4));
    drop(wal);
    let wal = Wal::open(dir.path()).unwrap();
    let payloads: Vec<_> = wal.iter().map(|entry| entry.unwrap().payload).collect();
    assert_eq!(payloads, ["", "", "not", ""]);
}

#[test]
fn entries_that_are_not_there_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let wal = quiet(dir.path());
    wal.truncate_before(lsn(20)).unwrap();
    for (number, kind, text) in [
        (1, ErrorKind::Truncated, "begins at 20"),
        (19, ErrorKind::Truncated, "begins at 20"),
        (31, ErrorKind::NotFound, "next one will be 31"),
        (u64::MAX, ErrorKind::NotFound, "next one will be 31"),
    ] {
        let place = format!("entry {number} ");
        let error = refused(dir.path(), kind, &[text, &place], || wal.get(lsn(number)));
        assert_eq!((error.lsns(), error.outcome()), (Some(lsn(number)..=lsn(number)), None));
    }
    assert_eq!(wal.iter().from(lsn(5)).count(), 11);
    assert_eq!(wal.range(..lsn(20)).count(), 0);
    assert_eq!(wal.iter().from(lsn(u64::MAX)).count(), 0);
    refused(dir.path(), ErrorKind::NotFound, &["entry 32 "], || wal.truncate_before(lsn(32)));
    refused(dir.path(), ErrorKind::NotFound, &["next one will be 31"], || wal.truncate_after(lsn(31)));
    refused(dir.path(), ErrorKind::Truncated, &["begins at 20"], || wal.truncate_after(lsn(18)));
    refused(dir.path(), ErrorKind::NotFound, &[], || wal.truncate_after(lsn(u64::MAX)));
}

#[test]
fn an_unexpected_lsn_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let wal = quiet(dir.path());
    wal.append("one").unwrap();
    let mut batch = Batch::new();
    batch.push("two").unwrap();
    let options = AppendOptions { expected: Some(lsn(9)), ..AppendOptions::default() };
    let places = ["would be 2, not 9"];
    for error in [
        refused(dir.path(), ErrorKind::Conflict, &places, || wal.append_at(lsn(9), "two")),
        refused(dir.path(), ErrorKind::Conflict, &places, || wal.append_batch_with(&batch, &options)),
        refused(dir.path(), ErrorKind::Conflict, &places, || {
            wal.submit_with(NewEntry::plain(b"two"), Some(lsn(9)))
        }),
        refused(dir.path(), ErrorKind::Conflict, &places, || wal.submit_batch_with(&batch, Some(lsn(9)))),
    ] {
        assert_eq!((error.outcome(), error.lsns()), (Some(Outcome::NotAppended), Some(lsn(9)..=lsn(9))));
    }
    assert_eq!(wal.append_at(lsn(2), "two").unwrap(), lsn(2));
}

#[test]
fn a_second_writer_is_locked_out_until_the_first_closes() {
    let dir = tempfile::tempdir().unwrap();
    let wal = quiet(dir.path());
    wal.append("one").unwrap();
    let location = dir.path().to_str().unwrap();
    let error = refused(dir.path(), ErrorKind::Locked, &[location], || Wal::open(dir.path()));
    assert_eq!(error.path(), Some(location));
    assert_eq!(Wal::open_read_only(dir.path()).unwrap().iter().count(), 1);
    wal.close().unwrap();
    let second = Wal::open(dir.path()).unwrap();
    second.append("two").unwrap();
    assert_eq!(wal.get(lsn(1)).unwrap().payload, "one", "what a closed handle shows stays");
}

#[test]
fn a_closed_log_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let wal = quiet(dir.path());
    let clone = wal.clone();
    wal.append("one").unwrap();
    wal.close().unwrap();
    wal.close().unwrap();
    let error = refused(dir.path(), ErrorKind::Closed, &["closed"], || clone.append("two"));
    assert_eq!(error.outcome(), Some(Outcome::NotAppended));
    refused(dir.path(), ErrorKind::Closed, &[], || wal.submit("two"));
    refused(dir.path(), ErrorKind::Closed, &[], || wal.sync());
    refused(dir.path(), ErrorKind::Closed, &[], || wal.clear());
    refused(dir.path(), ErrorKind::Closed, &[], || wal.truncate_before(lsn(2)));
    refused(dir.path(), ErrorKind::Closed, &[], || wal.truncate_after(lsn(1)));
    assert_eq!(wal.get(lsn(1)).unwrap().payload, "one");
}

#[test]
fn a_reader_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let wal = Wal::open_read_only(dir.path()).unwrap();
    let error = refused(dir.path(), ErrorKind::ReadOnly, &["reading only"], || wal.append("x"));
    assert_eq!(error.outcome(), Some(Outcome::NotAppended));
    refused(dir.path(), ErrorKind::ReadOnly, &[], || wal.submit("x"));
    refused(dir.path(), ErrorKind::ReadOnly, &[], || wal.sync());
    refused(dir.path(), ErrorKind::ReadOnly, &[], || wal.clear());
    refused(dir.path(), ErrorKind::ReadOnly, &[], || wal.truncate_before(lsn(2)));
    refused(dir.path(), ErrorKind::ReadOnly, &[], || wal.truncate_from(lsn(2)));
    let before = bytes_of(dir.path());
    assert_eq!(wal.iter().count(), 30);
    wal.close().unwrap();
    assert!(before == bytes_of(dir.path()));
}

#[test]
fn settings_that_cannot_be_used_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new");
    let refuse = |options: Options, option: &str| {
        refused(dir.path(), ErrorKind::Invalid, &[option], || Wal::builder(&path).options(options).open());
        assert!(!path.exists());
    };
    refuse(Options { segment_len: 1, ..Options::default() }, "segment_len");
    refuse(Options { prefix: "../x".to_owned(), ..Options::default() }, "prefix");
    let level = Compression { level: 99, ..Compression::default() };
    refuse(Options { compression: level, ..Options::default() }, "level 99");
    let unknown = Compression { codec: CodecId(200), ..Compression::default() };
    let options = Options { compression: unknown, ..Options::default() };
    refused(dir.path(), ErrorKind::Unsupported, &["200"], || Wal::builder(&path).options(options).open());
    let reserved = Arc::new(Flip(CodecId(3)));
    refused(dir.path(), ErrorKind::Invalid, &["3 is reserved"], || {
        Wal::builder(&path).codec(reserved).open()
    });
    assert!(!path.exists());
}

/// Inverts all bits, and leaves out the last byte so that it looks worth storing.
#[derive(Debug)]
struct Flip(CodecId);

impl Codec for Flip {
    fn id(&self) -> CodecId {
        self.0
    }

    fn name(&self) -> &str {
        "flip"
    }

    fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        if raw.contains(&b'!') {
            let source = BoxError::from("no exclamation marks");
            return Err(CompressError::Compress { codec: self.0, source });
        }
        out.extend(raw.iter().skip(5).map(|byte| !byte));
        Ok(())
    }

    fn decompress(&self, stored: &[u8], _: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        out.extend(b"12345");
        out.extend(stored.iter().map(|byte| !byte));
        Ok(())
    }
}

#[test]
fn a_codec_of_ones_own_is_used_and_missed() {
    let dir = tempfile::tempdir().unwrap();
    // Alone in its frame an entry is refused with it; what is in a pack is stored as it is.
    let compression = Compression {
        codec: CodecId(200),
        min_len: 0,
        min_gain_percent: 0,
        pack_len: 0,
        ..Compression::default()
    };
    let options = Options { compression, background_threads: false, ..Options::default() };
    let wal = Wal::builder(dir.path()).options(options).codec(Arc::new(Flip(CodecId(200)))).open().unwrap();
    wal.append("12345678").unwrap();
    let error = refused(dir.path(), ErrorKind::Invalid, &["codec 200"], || wal.append("12345!"));
    assert_eq!(error.outcome(), Some(Outcome::NotAppended));
    assert_eq!(error.source().unwrap().to_string(), "no exclamation marks");
    assert_eq!(wal.get(lsn(1)).unwrap().payload, "12345678");
    drop(wal);
    let wal = Wal::open(dir.path()).unwrap();
    refused(dir.path(), ErrorKind::Unsupported, &["200"], || wal.get(lsn(1)));
}
