//! What a scan amounts to: the rule that tells a torn tail from lost data.

use crate::{FrameFault, FrameHeader, FrameKind, Lsn};

/// The last valid frame of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastFrame {
    /// Where it starts.
    pub offset: u64,
    /// Its length in units of eight bytes.
    pub units: u32,
    /// Its first four bytes.
    pub header_crc: u32,
    /// What it is for.
    pub kind: FrameKind,
    /// When it was stamped.
    pub time: u64,
}

/// The valid frame beyond the first bad place that proves most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beyond {
    /// Where it starts.
    pub offset: u64,
    /// Everything before this offset had been synced when the frame was stamped. Zero: it proves nothing.
    pub proves: u64,
}

/// How a scan of a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The first place that holds no valid frame: the valid data ends here.
    pub end: u64,
    /// Why it does.
    pub fault: FrameFault,
    /// The LSN the next entry would have; `None` when there is no valid opening.
    pub next: Option<Lsn>,
    /// The last valid frame before the end.
    pub last: Option<LastFrame>,
    /// The greatest offset that valid frames before the end prove durable. Zero when none does.
    pub proven: u64,
    /// Whether anything but zeros lies beyond the end.
    pub dirty: bool,
    /// Where what lies there ends and only zeros follow. Zero when nothing does.
    pub dirty_end: u64,
    /// Of the valid frames beyond the end, the one that proves most.
    pub beyond: Option<Beyond>,
    /// The LSN of the first valid frame beyond the end: entries between [`next`](Self::next) and it are missing.
    pub resumes_at: Option<Lsn>,
}

/// What to make of the end of the newest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Only zeros, or nothing, follow the last valid frame.
    Clean,
    /// What follows was never proven durable: a write that a crash cut short.
    Torn,
    /// A later valid frame proves that bytes beyond the end had been synced: they are damaged.
    Damaged,
}

impl Verdict {
    pub(super) const fn at_start() -> Self {
        Self {
            end: 0,
            fault: FrameFault::End,
            next: None,
            last: None,
            proven: 0,
            dirty: false,
            dirty_end: 0,
            beyond: None,
            resumes_at: None,
        }
    }

    /// The rule of `docs/FORMAT.md`, section 6: the tail is torn if and only if nothing valid proves something beyond
    /// the first bad place. A later valid frame alone is no proof, because sectors of one sync may land in any order.
    #[must_use]
    pub fn judgement(&self) -> Judgement {
        if self.beyond.is_some_and(|beyond| beyond.proves > self.end) {
            Judgement::Damaged
        } else if self.dirty {
            Judgement::Torn
        } else {
            Judgement::Clean
        }
    }

    /// Whether the segment holds nothing that its frames do not prove: its last frame is a close or idle mark that
    /// proves all before it.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        let last_proves_rest = |last: LastFrame| {
            matches!(last.kind, FrameKind::Close | FrameKind::Idle) && self.proven == last.offset
        };
        self.last.is_some_and(last_proves_rest)
    }

    /// Whether the log was closed cleanly: its last frame is a close that proves all before it, and nothing was written
    /// behind it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.dirty && self.is_proven() && self.last.is_some_and(|last| last.kind == FrameKind::Close)
    }

    pub(super) fn frame(&mut self, header: &FrameHeader, header_crc: u32, offset: u64, next: Option<Lsn>) {
        self.end = offset.saturating_add(header.frame_len());
        self.next = next;
        self.proven = self.proven.max(header.proves(offset).unwrap_or(0));
        self.last = Some(LastFrame {
            offset,
            units: header.units(),
            header_crc,
            kind: header.kind,
            time: header.time,
        });
    }

    pub(super) fn beyond(&mut self, header: &FrameHeader, offset: u64, base: Option<Lsn>) {
        let proves = header.proves(offset).unwrap_or(0);
        if self.beyond.is_none_or(|beyond| beyond.proves < proves) {
            self.beyond = Some(Beyond { offset, proves });
        }
        if self.resumes_at.is_none() {
            self.resumes_at = base.map(|base| base.plus(u64::from(header.lsn_delta)));
        }
    }
}
