//! How much of a file may be checked: each record, the next one behind damage, and where one ends.

/// Bytes that checksums may still be computed over. A file made to be searched for ever runs out of it, and so does one
/// of records that claim all that follows and do not verify.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
}

/// Times that a file may be checked again, and bytes on top for small ones.
const TIMES: usize = 64;
const BASE: usize = 1 << 20;

impl Budget {
    pub(crate) const fn of_file(len: usize) -> Self {
        Self { left: len.saturating_mul(TIMES).saturating_add(BASE) }
    }

    /// Enough for the records of a file that is not damaged: each is checked once, and some twice.
    pub(crate) const fn of_intact(len: usize) -> Self {
        Self { left: len.saturating_mul(2) }
    }

    /// Takes so many bytes, if they are left. After the first refusal nothing is left.
    pub(crate) const fn take(&mut self, len: usize) -> bool {
        match self.left.checked_sub(len) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.left = 0;
                false
            }
        }
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.left == 0
    }
}
