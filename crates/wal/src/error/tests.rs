use std::error::Error as _;

use wal_core::{TransactionId, TransactionState};

use super::*;

const PATH: &str = "/data/wal/orders-00000000000000000007.wal";

fn lsn(number: u64) -> Lsn {
    Lsn::new(number).unwrap()
}

fn path() -> String {
    PATH.to_owned()
}

fn io_error(kind: io::ErrorKind) -> SegmentError {
    SegmentError::Io { operation: "read", path: path(), source: kind.into() }
}

fn segment(source: SegmentError) -> LogError {
    LogError::Segment { operation: "open the log", source }
}

fn frame() -> SegmentError {
    SegmentError::Frame { path: path(), offset: 4096, source: FrameFault::BodyChecksum }
}

#[test]
fn every_error_of_the_log_has_its_kind() {
    let magic = DecodeError::Magic;
    let newer = DecodeError::UnsupportedColumns { columns: 128 };
    let location = || "/data/wal".to_owned();
    let unconfirmed =
        |source| LogError::Unconfirmed { first: lsn(3), last: lsn(4), source: Box::new(source) };
    let full = || LogError::Full { operation: "append", source: io_error(io::ErrorKind::StorageFull) };
    let reading = "read the entries of a frame";
    let compression = |source| LogError::Compression { source };
    let id = TransactionId([1; 16]);
    let codec = wal_compress::CodecId::ZSTD;
    let table = [
        (segment(io_error(io::ErrorKind::Other)), ErrorKind::Io),
        (segment(io_error(io::ErrorKind::StorageFull)), ErrorKind::Full),
        (LogError::Lost { first: lsn(1), last: None, source: frame() }, ErrorKind::Corrupt),
        (
            LogError::MissingSegment {
                segment: SegmentId(2),
                location: location(),
                near: lsn(9),
                shipped: true,
            },
            ErrorKind::Corrupt,
        ),
        (LogError::MissingLog { location: location() }, ErrorKind::NotFound),
        (LogError::TornTail { path: path(), offset: 8, next: lsn(9), frames_beyond: false }, ErrorKind::Torn),
        (LogError::Inconsistent { path: path(), why: "" }, ErrorKind::Corrupt),
        (LogError::Locked { location: location() }, ErrorKind::Locked),
        (LogError::NotEmpty { location: location() }, ErrorKind::Invalid),
        (LogError::Differs { path: path() }, ErrorKind::Invalid),
        (LogError::InvalidFrame { first: lsn(1), source: magic }, ErrorKind::Corrupt),
        (LogError::InvalidFrame { first: lsn(1), source: newer }, ErrorKind::Unsupported),
        (full(), ErrorKind::Full),
        (LogError::Poisoned { cause: "sync".into() }, ErrorKind::Poisoned),
        (LogError::TransactionFull { id, what: "entries", max: 1 }, ErrorKind::TooLarge),
        (LogError::TransactionExpired { id }, ErrorKind::Expired),
        (LogError::TransactionEnded { id, state: TransactionState::RolledBack }, ErrorKind::Invalid),
        (LogError::UndecodableRecord { lsn: lsn(1), kind: 2, source: "".into() }, ErrorKind::Undecodable),
        (LogError::UnencodableRecord { kind: 2, source: "".into() }, ErrorKind::Invalid),
        (LogError::KindTaken { kind: 2, registered: "A", refused: "B" }, ErrorKind::Invalid),
        (LogError::Closed, ErrorKind::Closed),
        (LogError::TimedOut { operation: "sync" }, ErrorKind::TimedOut),
        (unconfirmed(LogError::TimedOut { operation: "sync" }), ErrorKind::TimedOut),
        (LogError::Busy { operation: "sync" }, ErrorKind::Busy),
        (LogError::ReadOnly, ErrorKind::ReadOnly),
        (unconfirmed(full()), ErrorKind::Full),
        (unconfirmed(LogError::Closed), ErrorKind::Closed),
        (LogError::Truncated { lsn: lsn(1), first: lsn(2) }, ErrorKind::Truncated),
        (LogError::CutOff { lsn: lsn(2), next: lsn(2) }, ErrorKind::Truncated),
        (LogError::OutOfRange { lsn: lsn(2), next: lsn(2) }, ErrorKind::NotFound),
        (LogError::TooLarge { len: 2, max: 1 }, ErrorKind::TooLarge),
        (LogError::Conflict { expected: lsn(1), next: lsn(2) }, ErrorKind::Conflict),
        (LogError::InvalidOption { option: "sync", why: "" }, ErrorKind::Invalid),
        (LogError::InvalidArgument { why: "" }, ErrorKind::Invalid),
        (LogError::Encoding { operation: "encode the entry", source: magic }, ErrorKind::Invalid),
        (LogError::Encoding { operation: reading, source: magic }, ErrorKind::Corrupt),
        (LogError::Encoding { operation: reading, source: newer }, ErrorKind::Unsupported),
        (compression(CompressError::FeatureDisabled { codec, feature: "zstd" }), ErrorKind::Unsupported),
        (compression(CompressError::UnknownCodec { id: codec }), ErrorKind::Unsupported),
        (compression(CompressError::Damaged { codec, source: "bad".into() }), ErrorKind::Corrupt),
        (compression(CompressError::WrongLength { codec, expected: 1, actual: 2 }), ErrorKind::Corrupt),
        (compression(CompressError::Compress { codec, source: "bad".into() }), ErrorKind::Invalid),
        (compression(CompressError::ReservedId { id: codec }), ErrorKind::Invalid),
        (compression(CompressError::InvalidGain { percent: 101 }), ErrorKind::Invalid),
        (compression(CompressError::InvalidThreads { threads: 99 }), ErrorKind::Invalid),
        (LogError::Thread { source: io::ErrorKind::WouldBlock.into() }, ErrorKind::Io),
    ];
    for (cause, kind) in table {
        let text = format!("{cause:?}");
        assert_eq!(Error::new(cause).kind(), kind, "{text}");
    }
}

#[test]
fn every_error_of_a_segment_has_its_kind_and_place() {
    let id = wal_format::LogId([1; 16]);
    let source = DecodeError::Magic;
    let version = DecodeError::UnsupportedVersion { version: 9 };
    let columns = DecodeError::UnsupportedColumns { columns: 128 };
    let table = [
        (io_error(io::ErrorKind::PermissionDenied), ErrorKind::Io, None),
        (SegmentError::Header { path: path(), source }, ErrorKind::Corrupt, Some(0)),
        (SegmentError::Unsupported { path: path(), source: version }, ErrorKind::Unsupported, None),
        (SegmentError::Foreign { path: path(), found: id, expected: id }, ErrorKind::Corrupt, Some(0)),
        (SegmentError::Misnamed { path: path(), found: SegmentId(8) }, ErrorKind::Corrupt, Some(0)),
        (frame(), ErrorKind::Corrupt, Some(4096)),
        (SegmentError::Body { path: path(), offset: 8, source }, ErrorKind::Corrupt, Some(8)),
        (SegmentError::Body { path: path(), offset: 8, source: columns }, ErrorKind::Unsupported, Some(8)),
        (SegmentError::SyncFailed { path: path() }, ErrorKind::Poisoned, None),
    ];
    for (cause, kind, offset) in table {
        let error = Error::new(segment(cause));
        assert_eq!((error.kind(), error.offset()), (kind, offset), "{error}");
        assert_eq!((error.path(), error.segment()), (Some(PATH), Some(SegmentId(7))), "{error}");
        assert!(error.to_string().contains(PATH), "{error}");
    }
}

#[test]
fn only_appends_have_an_outcome() {
    assert_eq!(Error::new(LogError::Closed).outcome(), None);
    assert_eq!(Error::append(LogError::Closed).outcome(), Some(Outcome::NotAppended));
    let unconfirmed =
        || LogError::Unconfirmed { first: lsn(3), last: lsn(4), source: Box::new(LogError::Closed) };
    for error in [Error::new(unconfirmed()), Error::append(unconfirmed())] {
        assert_eq!(error.outcome(), Some(Outcome::Unknown));
        assert_eq!(error.lsns(), Some(lsn(3)..=lsn(4)));
    }
}

#[test]
fn the_text_is_ours_and_the_source_is_not() {
    let cause = LogError::Unconfirmed {
        first: lsn(3),
        last: lsn(4),
        source: Box::new(LogError::Segment {
            operation: "sync",
            source: SegmentError::Io {
                operation: "sync",
                path: path(),
                source: io::Error::other("the disk is on fire"),
            },
        }),
    };
    let error = Error::append(cause);
    assert_eq!(
        error.to_string(),
        format!("entries 3 to 4 were appended and not confirmed: could not sync: could not sync {PATH}")
    );
    let source = error.source().unwrap();
    assert!(source.is::<io::Error>());
    assert_eq!(source.to_string(), "the disk is on fire");
    assert_eq!(error.path(), Some(PATH));
    let debug = format!("{error:?}");
    assert!(debug.contains("Unknown") && debug.contains("on fire"), "{debug}");

    let error = Error::new(LogError::Lost { first: lsn(3), last: None, source: frame() });
    assert_eq!(
        error.to_string(),
        format!(
            "entries from 3 on are lost: {PATH} is damaged at offset 4096: the frame body does not verify"
        )
    );
    assert!(error.source().is_none());
    assert_eq!(error.lsns(), Some(lsn(3)..=Lsn::MAX));
}

#[test]
fn an_io_error_keeps_the_original() {
    let error = io::Error::from(Error::new(LogError::ReadOnly));
    assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
    let original = error.into_inner().unwrap().downcast::<Error>().unwrap();
    assert_eq!(original.kind(), ErrorKind::ReadOnly);
}

#[test]
fn a_path_gives_the_segment_whatever_it_is() {
    for (path, segment) in [
        ("x/00000000000000000001.wal", Some(1)),
        ("x/prefix00000000000000000001.idx", Some(1)),
        ("ü/1.wal", None),
        ("", None),
        ("üüüüüüüüüüüüüüü", None),
    ] {
        assert_eq!(segment_of_path(path), segment.map(SegmentId), "{path}");
    }
}
