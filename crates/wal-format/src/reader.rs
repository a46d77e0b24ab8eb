//! Reading a segment from anything that can be read.

use std::io::{self, Read};

use snafu::{ResultExt, Snafu};

use crate::{DecodeError, Item, Opening, Scanner, Verdict};

/// So much is read at a time.
const SLICE_LEN: usize = 64 << 10;

/// Why a segment could not be read further.
#[derive(Debug, Snafu)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes could not be had, which says nothing about them.
    #[snafu(display("could not read on after {offset} bytes"))]
    Io {
        /// How much had been read.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The bytes are not what a segment holds.
    #[snafu(display("the bytes read so far, {offset}, are not a segment that can be read"))]
    Decode {
        /// How much had been read.
        offset: u64,
        /// Why.
        source: DecodeError,
    },
}

/// Reads one segment of a log from a file, a socket, a decompressor or a byte slice: a [`Scanner`] that fetches its
/// bytes itself. Memory is bounded by the longest frame and 64 KiB; a length is believed only after the header that
/// holds it has verified.
///
/// ```
/// use wal_format::{Item, SegmentReader};
/// # let file = wal_format::example_segment();
///
/// let mut segment = SegmentReader::new(file.as_slice()); // or a `File`
/// let mut entries = Vec::new();
/// while let Some(item) = segment.next()? {
///     let Item::Frame(frame) = item else { continue };
///     for entry in frame.entries()? {
///         let (lsn, entry) = entry?;
///         entries.push((lsn.get(), entry.payload.to_vec()));
///     }
/// }
/// assert_eq!(entries, [(1, b"one".to_vec()), (2, b"two".to_vec()), (3, b"three".to_vec())]);
///
/// let verdict = segment.verdict().expect("all of it was read");
/// assert!(!verdict.dirty, "nothing but zeros follows");
/// assert_eq!(verdict.next.map(|lsn| lsn.get()), Some(4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SegmentReader<R> {
    scanner: Scanner,
    input: R,
    offset: u64,
    ended: bool,
}

impl<R: Read> SegmentReader<R> {
    /// Reads a segment from its start. There is no need to buffer `input`.
    #[must_use]
    pub fn new(input: R) -> Self {
        Self { scanner: Scanner::new(), input, offset: 0, ended: false }
    }

    /// The next item: the header, then frames, then frames beyond the first place that holds none; `None` at the end
    /// of the input.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`], after which reading may be tried again, and [`ReadError::Decode`], after which there is
    /// nothing more: as [`Scanner::next`].
    #[expect(clippy::should_implement_trait, reason = "the item borrows from the reader")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, ReadError> {
        loop {
            let found = self.scanner.find().context(DecodeSnafu { offset: self.offset })?;
            match found {
                Some(found) => return Ok(Some(self.scanner.item(found))),
                None if self.ended => return Ok(None),
                None => self.fetch()?,
            }
        }
    }

    fn fetch(&mut self) -> Result<(), ReadError> {
        let Self { scanner, input, .. } = self;
        let read = scanner.feed_with(SLICE_LEN, |room| input.read(room));
        match read {
            Ok(0) => {
                self.scanner.end();
                self.ended = true;
            }
            Ok(len) => self.offset = self.offset.saturating_add(len as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(source).context(IoSnafu { offset: self.offset }),
        }
        Ok(())
    }

    /// The opening frame, once it was read.
    #[must_use]
    pub const fn opening(&self) -> Option<&Opening> {
        self.scanner.opening()
    }

    /// What the segment amounts to; `None` before all of it was read.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.ended.then(|| self.scanner.verdict())
    }

    /// The input, wherever it stands now.
    #[must_use]
    pub fn into_inner(self) -> R {
        self.input
    }
}
