//! A codec that anybody can check: it leaves out the run of equal bytes that data ends with.

use std::sync::Arc;

use wal_compress::{Codec, CodecId, Codecs, CompressError, Compression};

const ID: CodecId = CodecId(200);

#[derive(Debug)]
struct Runs;

impl Codec for Runs {
    fn id(&self) -> CodecId {
        ID
    }

    fn name(&self) -> &str {
        "runs"
    }

    fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        let last = raw.last().copied().unwrap_or_default();
        let len = raw.iter().rposition(|byte| *byte != last).map_or(0, |at| at + 1);
        out.extend_from_slice(&raw[..len]);
        out.push(last);
        Ok(())
    }

    fn decompress(&self, stored: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        let (last, rest) = stored.split_last().unwrap();
        assert!(rest.len() <= raw_len, "only what was checked is decompressed");
        let len = out.len() + raw_len;
        out.extend_from_slice(rest);
        out.resize(len, *last);
        Ok(())
    }
}

/// What the logs of these tests can decompress.
pub(crate) fn codecs() -> Codecs {
    let mut codecs = Codecs::default();
    codecs.register(Arc::new(Runs)).unwrap();
    codecs
}

/// Compresses what is longer than a line.
pub(crate) fn compression() -> Compression {
    Compression { codec: ID, min_len: 100, ..Compression::default() }
}

#[test]
fn it_is_used() {
    use crate::{model::End, rig, surroundings};
    let options = wal_core::Options { compression: compression(), ..surroundings::options() };
    let mut rig = rig::Rig::new(&rig::Setup::of(options), 1, surroundings::bare());
    rig.open(End::Process).unwrap();
    rig.run(&[rig::Op::Append(20_000), rig::Op::Read]).unwrap();
    assert!((5_000..15_000).contains(&rig.log().stats().written_bytes), "{:?}", rig.log().stats());
}
