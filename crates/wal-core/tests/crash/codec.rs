//! A codec that anybody can check: it leaves out the run of equal bytes that data ends with, and what data begins with
//! as a dictionary does.

use std::sync::{Arc, Mutex};

use wal_compress::{Codec, CodecId, Codecs, CompressError, Compression};
use wal_core::Options;

const ID: CodecId = CodecId(200);

/// Its dictionaries, the one in use last, by their first bytes: none is 0.
#[derive(Debug, Default)]
struct Runs {
    dictionaries: Mutex<Vec<Vec<u8>>>,
    used: Mutex<u8>,
}

impl Runs {
    fn dictionary(&self, id: u8) -> Result<Vec<u8>, CompressError> {
        if id == 0 {
            return Ok(Vec::new());
        }
        let known = self.dictionaries.lock().unwrap();
        let found = known.iter().find(|dictionary| dictionary[0] == id).cloned();
        found.ok_or(CompressError::MissingDictionary { id: id.into() })
    }
}

impl Codec for Runs {
    fn id(&self) -> CodecId {
        ID
    }

    fn name(&self) -> &str {
        "runs"
    }

    fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        let id = *self.used.lock().unwrap();
        let dictionary = self.dictionary(id)?;
        let same = raw.iter().zip(dictionary.iter().skip(1)).take_while(|(a, b)| a == b).count();
        let last = raw.last().copied().unwrap_or_default();
        let len = raw.iter().rposition(|byte| *byte != last).map_or(0, |at| at + 1).max(same);
        out.extend_from_slice(&[id, same as u8]);
        out.extend_from_slice(&raw[same..len]);
        out.push(last);
        Ok(())
    }

    fn decompress(&self, stored: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        let (last, rest) = stored.split_last().unwrap();
        let dictionary = self.dictionary(rest[0])?;
        let same = usize::from(rest[1]);
        assert!(rest.len() - 2 + same <= raw_len, "only what was checked is decompressed");
        let len = out.len() + raw_len;
        out.extend(dictionary.iter().skip(1).take(same));
        out.extend_from_slice(&rest[2..]);
        out.resize(len, *last);
        Ok(())
    }

    fn train_dictionary(&self, samples: &[u8], _: &[usize], len: usize) -> Result<Vec<u8>, CompressError> {
        let id = self.dictionaries.lock().unwrap().len() as u8 + 1;
        Ok(std::iter::once(id).chain(samples.iter().copied()).take(len.min(200)).collect())
    }

    fn add_dictionary(&self, dictionary: &[u8]) -> Result<u32, CompressError> {
        let mut known = self.dictionaries.lock().unwrap();
        if !known.iter().any(|other| other == dictionary) {
            known.push(dictionary.to_vec());
        }
        Ok(dictionary[0].into())
    }

    fn check_dictionary(&self, dictionary: &[u8]) -> Result<u32, CompressError> {
        Ok(dictionary[0].into())
    }

    fn use_dictionary(&self, id: Option<u32>) {
        *self.used.lock().unwrap() = id.unwrap_or(0) as u8;
    }

    fn unshared(&self) -> Option<Arc<dyn Codec>> {
        Some(Arc::new(Self::default()))
    }
}

/// What the logs of these tests can decompress.
pub(crate) fn codecs() -> Codecs {
    let mut codecs = Codecs::default();
    codecs.register(Arc::new(Runs::default())).unwrap();
    codecs
}

/// Compresses what is longer than a line.
pub(crate) fn compression() -> Compression {
    Compression { codec: ID, min_len: 100, ..Compression::default() }
}

/// A log whose dictionaries fit.
pub(crate) fn compressing(options: Options) -> Options {
    Options { compression: compression(), ..options }
}

#[test]
fn it_is_used() {
    use crate::{model::End, rig, surroundings};
    let mut rig =
        rig::Rig::new(&rig::Setup::of(compressing(surroundings::options())), 1, surroundings::bare());
    rig.open(End::Process).unwrap();
    rig.run(&[rig::Op::Append(20_000), rig::Op::Read]).unwrap();
    assert!((5_000..15_000).contains(&rig.log().stats().written_bytes), "{:?}", rig.log().stats());
    let ops = [vec![rig::Op::Submit(300); 30], vec![rig::Op::Read, rig::Op::Sync, rig::Op::Train]].concat();
    rig.run(&ops).unwrap();
    assert!(rig.errors.is_empty(), "{:?}", rig.errors);
    assert_eq!(rig.log().stats().frames, 2, "they share one");
    rig.run(
        &[vec![rig::Op::Append(300); 3], vec![rig::Op::Reopen, rig::Op::Append(300), rig::Op::Read]].concat(),
    )
    .unwrap();
    assert!(rig.errors.is_empty(), "{:?}", rig.errors);
}
