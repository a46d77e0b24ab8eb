//! Going on behind the end that another scan found, without what it has read.

use super::{Scanner, Stage, Verdict};
use crate::{Opening, SegmentHeader};

impl Scanner {
    /// A scanner that goes on where another one found the end of a segment, as if it had been fed what precedes
    /// [`Verdict::end`]: feed it what stands there now. For those who watch a segment grow. `None` where no valid
    /// frame precedes the end.
    ///
    /// Of the other's verdict only what is about frames before the end is taken over: what lay beyond may have been on
    /// its way.
    ///
    /// ```
    /// use wal_format::{Item, Scanner, example_segment};
    ///
    /// let bytes = example_segment();
    /// let mut scanner = Scanner::new();
    /// let (mut header, mut end) = (None, 0);
    /// scanner.feed(&bytes[..bytes.len() - 112]); // without the last entry and the zeros behind it
    /// while let Some(item) = scanner.next()? {
    ///     match item {
    ///         Item::Header(found) => header = Some(found),
    ///         Item::Frame(frame) => end = frame.offset + frame.header.frame_len(),
    ///         Item::Beyond(_) => {}
    ///     }
    /// }
    /// let (header, opening) = (header.ok_or("no header")?, scanner.opening().ok_or("no opening")?);
    /// let mut later = Scanner::resume(&header, opening, scanner.verdict()).ok_or("no frame")?;
    /// later.feed(&bytes[end as usize..]);
    /// let Some(Item::Frame(frame)) = later.next()? else { panic!("the last entry") };
    /// assert_eq!((frame.lsn.get(), frame.body), (3, &b"three"[..]));
    /// assert!(later.next()?.is_none() && later.found_end());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn resume(header: &SegmentHeader, opening: &Opening, verdict: &Verdict) -> Option<Self> {
        let last = verdict.last?;
        let expected_delta = u32::try_from(verdict.next?.since(opening.base)?).ok()?;
        let Verdict { end, next, proven, .. } = *verdict;
        Some(Self {
            offset: end,
            stage: Stage::Frames,
            key: Some(header.key()),
            opening: Some(opening.clone()),
            expected_delta,
            expected_units: last.units,
            verdict: Verdict { end, next, last: Some(last), proven, ..Verdict::at_start() },
            ..Self::new()
        })
    }

    /// Whether the first place that holds no valid frame was found: what follows is only looked at for what it proves.
    #[must_use]
    pub const fn found_end(&self) -> bool {
        matches!(self.stage, Stage::Beyond)
    }
}
