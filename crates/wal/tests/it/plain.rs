//! Logs that are opened as they are, and what settings add to them. In a build without features the former have no code
//! for the latter, and a build with all of them does not tell.

use std::{fs, path::Path, sync::Arc};

use wal::{Codec, CodecId, CompressError, Compression, Config, ErrorKind, Options, Retention, Wal};

use crate::support::{lsn, path_of, payload, refused, small};

/// Says how long a run of one byte is.
#[derive(Debug)]
struct Runs;

impl Codec for Runs {
    fn id(&self) -> CodecId {
        CodecId(200)
    }

    fn name(&self) -> &'static str {
        "runs"
    }

    fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        for run in raw.chunk_by(|one, next| one == next).flat_map(|run| run.chunks(255)) {
            out.extend([u8::try_from(run.len()).unwrap(), run[0]]);
        }
        Ok(())
    }

    fn decompress(&self, stored: &[u8], _: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        stored.chunks_exact(2).for_each(|run| out.resize(out.len() + usize::from(run[0]), run[1]));
        Ok(())
    }
}

fn fill(wal: &Wal, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        wal.append(payload(n)).unwrap();
    }
}

#[track_caller]
fn check(wal: &Wal, lsns: impl IntoIterator<Item = u64>) {
    let entries: Vec<_> = wal.iter().map(Result::unwrap).collect();
    let expected: Vec<_> = lsns.into_iter().collect();
    assert_eq!(entries.iter().map(|entry| entry.lsn.get()).collect::<Vec<_>>(), expected);
    entries.iter().for_each(|entry| assert!(entry.payload == payload(entry.lsn.get()), "{}", entry.lsn));
}

#[test]
fn a_log_without_settings_rotates_and_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open(dir.path()).unwrap();
    // The first segment has room for a hundred.
    fill(&wal, 1..=120);
    assert_eq!(wal.segments().unwrap().len(), 2);
    drop(wal);
    let wal = Wal::open(dir.path()).unwrap();
    check(&wal, 1..=120);
    wal.truncate_before(lsn(116)).unwrap();
    wal.truncate_from(lsn(119)).unwrap();
    assert_eq!(wal.append(payload(119)).unwrap(), lsn(119));
    check(&Wal::open_read_only(dir.path()).unwrap(), 116..=119);
    wal.close().unwrap();
    check(&Wal::open(dir.path()).unwrap(), 116..=119);
}

#[test]
fn retention_removes_segments_whichever_way_it_was_asked_for() {
    let retention = Retention { max_segments: Some(2), ..Retention::default() };
    let options = Options { retention, background_threads: false, ..small() };
    let ways = [
        |dir: &Path, options| Wal::builder(dir).options(options).open().unwrap(),
        |dir: &Path, options| Wal::builder(dir).config(Config::from(options)).open().unwrap(),
    ];
    for open in ways {
        let dir = tempfile::tempdir().unwrap();
        let wal = open(dir.path(), options.clone());
        fill(&wal, 1..=40);
        let first = wal.segments().unwrap()[0].id;
        wal.maintain().unwrap();
        assert!(wal.segments().unwrap().len() <= 2);
        assert!(wal.first_lsn().unwrap() > lsn(20));
        assert!(!path_of(dir.path(), first.0).exists());
    }
}

#[test]
fn a_codec_compresses_and_is_all_it_takes_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let run = |n: u64| vec![n as u8; 10_000];
    let compression = Compression { codec: CodecId(200), ..Compression::default() };
    let options = Options { compression, ..Options::default() };
    let wal = Wal::builder(dir.path()).options(options).codec(Arc::new(Runs)).open().unwrap();
    for n in 1..=30 {
        wal.append(run(n)).unwrap();
    }
    wal.close().unwrap();
    assert!(wal.segments().unwrap()[0].end < 30_000, "300 kB were appended");
    drop(wal);
    refused(dir.path(), ErrorKind::Unsupported, &["200"], || Wal::open_read_only(dir.path())?.get(lsn(7)));
    let wal = Wal::builder(dir.path()).codec(Arc::new(Runs)).open().unwrap();
    (1..=30).for_each(|n| assert_eq!(wal.get(lsn(n)).unwrap().payload, run(n)));
    assert!(wal.iter().map(Result::unwrap).all(|entry| entry.payload == run(entry.lsn.get())));
}

#[test]
fn a_frame_of_a_codec_that_was_left_out_names_the_feature() {
    let dir = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wal-format/tests/golden/v1/full.wal");
    // Up to its seal: there is no segment that follows it.
    fs::write(path_of(dir.path(), 7), &fs::read(golden).unwrap()[..1600]).unwrap();
    let wal = Wal::open_read_only(dir.path()).unwrap();
    // Compressed with Snappy.
    if cfg!(feature = "snappy") {
        assert_eq!(wal.get(lsn(1010)).unwrap().payload, "hello");
    } else {
        refused(dir.path(), ErrorKind::Unsupported, &["feature `snappy`"], || wal.get(lsn(1010)));
    }
}
