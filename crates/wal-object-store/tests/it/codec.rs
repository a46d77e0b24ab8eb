//! A codec that anybody can check: runs of equal bytes as their length and the byte.

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
        for run in raw.chunk_by(|one, other| one == other).flat_map(|run| run.chunks(255)) {
            out.extend_from_slice(&[run.len() as u8, run[0]]);
        }
        Ok(())
    }

    fn decompress(&self, stored: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        let len = out.len() + raw_len;
        stored.chunks(2).for_each(|run| out.extend(std::iter::repeat_n(run[1], run[0].into())));
        assert_eq!(out.len(), len);
        Ok(())
    }
}

/// It, and those of the build.
pub(crate) fn codecs() -> Codecs {
    let mut codecs = Codecs::default();
    codecs.register(Arc::new(Runs)).unwrap();
    codecs
}

/// Packs of a few entries.
pub(crate) fn packing() -> Compression {
    Compression { codec: ID, min_len: 0, pack_len: 4096, ..Compression::default() }
}
