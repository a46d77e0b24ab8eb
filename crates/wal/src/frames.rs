//! Frames from log to log.

use std::ops::{RangeBounds, RangeInclusive};

use wal_core::{AppendOptions, EncodedFrame};
use wal_format::{Lsn, Metadata};

use crate::{Error, Wal};

/// The frames of a range, in order; made by [`Wal::frames`]. An error ends it. All are of one history of the log, as
/// the entries of an [`Iter`](crate::Iter).
#[derive(Debug)]
pub struct Frames(wal_core::Frames);

impl Iterator for Frames {
    type Item = Result<EncodedFrame, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|frame| frame.map_err(Error::new))
    }
}

/// What a replicated log is made of: frames that a leader reads and a follower appends verbatim, and the state besides
/// the entries.
impl Wal {
    /// The frames that hold the entries of a range, as the log is now: what was appended together, compressed if it
    /// was, with its checksum. A leader that ships only what it cannot lose ends the range at
    /// [`durable_lsn`](Self::durable_lsn).
    ///
    /// A range that begins before [`first_lsn`](Self::first_lsn) is cut to what is there: a follower that needs more
    /// than that needs a snapshot.
    ///
    /// The last frame is given whole, although the range may end within it; of the first one only what lies in the
    /// range, without the changes of the metadata that came with it.
    #[must_use]
    pub fn frames(&self, range: impl RangeBounds<Lsn>) -> Frames {
        Frames(self.log.frames(range))
    }

    /// Appends a frame of another log as it is, if its entries come next, and returns their LSNs. Its checksum is
    /// verified and its entries are decoded first; its bytes are not compressed again. Changes of the metadata that
    /// were appended with the entries are carried out. As durable as the policy says.
    ///
    /// The entries keep their append time, unless this log has a later one already: times never run backwards.
    ///
    /// Frames that were compressed with a [dictionary](Self::train_dictionary) need it here, too. It comes with the
    /// leader's [`metadata`](Self::metadata), and the follower trains none of its own.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt): the frame does not verify; have it sent again.
    /// - [`ErrorKind::Conflict`](crate::ErrorKind::Conflict): another LSN comes next.
    /// - [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported): its codec or checksum is not part of this build.
    /// - Those of [`append`](Self::append).
    ///
    /// ```
    /// use wal::{EncodedFrame, ErrorKind, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let leader = Wal::open(dir.path().join("leader"))?;
    /// let follower = Wal::open(dir.path().join("follower"))?;
    /// leader.append("one")?;
    /// leader.append("two")?;
    ///
    /// for frame in leader.frames(follower.next_lsn()..) {
    ///     let mut received = frame?.to_bytes(); // over the network
    ///     let frame = EncodedFrame::parse(&mut received)?.expect("it is complete");
    ///     follower.append_frame(&frame)?;
    ///     assert_eq!(follower.append_frame(&frame).unwrap_err().kind(), ErrorKind::Conflict);
    /// }
    /// assert!(follower.iter().zip(leader.iter()).all(|(one, other)| one.unwrap() == other.unwrap()));
    /// assert_eq!(follower.next_lsn(), leader.next_lsn());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append_frame(&self, frame: &EncodedFrame) -> Result<RangeInclusive<Lsn>, Error> {
        self.append_frame_with(frame, &AppendOptions::default())
    }

    /// As [`append_frame`](Self::append_frame), with another durability than the log's policy, a timeout, or at
    /// another [LSN](AppendOptions::expected) than the frame's own.
    ///
    /// # Errors
    ///
    /// Those of [`append_frame`](Self::append_frame).
    pub fn append_frame_with(
        &self,
        frame: &EncodedFrame,
        options: &AppendOptions,
    ) -> Result<RangeInclusive<Lsn>, Error> {
        let (first, last) = self.log.append_frame(frame, options).map_err(Error::append)?;
        Ok(first..=last)
    }

    /// All that the log remembers besides its entries: checkpoints, cursors and values. A snapshot for a follower
    /// carries it ([`Metadata::encode`]) to [`replace_metadata`](Self::replace_metadata).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned) when it is not certain after a failure.
    pub fn metadata(&self) -> Result<Metadata, Error> {
        self.log.metadata().map_err(Error::new)
    }

    /// Replaces all that the log remembers besides its entries by the state of another log, in one step; durable on
    /// return. Dictionaries are only added: what is here may need those that are here.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a checkpoint or a cursor beyond the next LSN,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for one that cannot be decoded and for a dictionary that has
    /// the id of another one here; those of
    /// [`set_meta`](Self::set_meta).
    pub fn replace_metadata(&self, metadata: &Metadata) -> Result<(), Error> {
        self.log.replace_metadata(metadata).map_err(Error::append)
    }
}
