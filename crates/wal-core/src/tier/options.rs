//! How a log uses its tier, as plain data.

use std::time::Duration;

use crate::{LogError, error::InvalidOptionSnafu};

/// What becomes of a log whose tier cannot be reached for so long that more than [`TierOptions::unshipped_max`] bytes
/// wait for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenUnshipped {
    /// Everything is kept: the local storage grows until the tier is back, or until it is full. The default.
    #[default]
    Keep,
    /// An append that would begin another segment fails as [`LogError::TierBehind`], until enough was shipped.
    Refuse,
    /// The oldest segments go without having been shipped, and the log begins behind them: what the tier has from
    /// before them is no longer part of the log, either. Stats, events and traces tell of it, and of the cursors that
    /// were passed. So it is, too, where somebody else ships to the place.
    Drop,
}

/// Settings of a log with a tier. Without one they mean nothing.
///
/// ```
/// use wal_core::{TierOptions, WhenUnshipped};
/// // Ten gigabytes here, the rest in the tier only; never more than fifty waiting for it.
/// let tier = TierOptions {
///     local_len: Some(10 << 30),
///     unshipped_max: Some(50 << 30),
///     when_unshipped: WhenUnshipped::Refuse,
///     ..TierOptions::default()
/// };
/// assert!(tier.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierOptions {
    /// Bytes of segments that stay in the local storage. While there are more, the oldest of those that are in the tier
    /// leave it, and are read from the tier. What is not shipped never leaves. `None` keeps all of them. Default:
    /// 1 GiB.
    pub local_len: Option<u64>,
    /// Bytes a second that are shipped at most, measured over whole segments: each is sent as fast as it goes, and the
    /// next waits. Not zero. Default: `None`, without limit.
    pub rate: Option<u64>,
    /// Bytes that may wait to be shipped before `when_unshipped` happens. Default: `None`, without limit.
    pub unshipped_max: Option<u64>,
    /// What happens then. Default: [`WhenUnshipped::Keep`].
    pub when_unshipped: WhenUnshipped,
    /// Pause after an attempt that failed. Default: 5 s.
    pub retry: Duration,
    /// Whether segments that are no longer part of the log stay in the tier, until somebody removes them by hand.
    /// Default: no.
    pub keep_removed: bool,
}

impl Default for TierOptions {
    fn default() -> Self {
        Self {
            local_len: Some(1 << 30),
            rate: None,
            unshipped_max: None,
            when_unshipped: WhenUnshipped::Keep,
            retry: Duration::from_secs(5),
            keep_removed: false,
        }
    }
}

impl TierOptions {
    /// Checks every field against its range.
    ///
    /// # Errors
    ///
    /// [`LogError::InvalidOption`] names the first field that is out of range, and the bound.
    pub fn validate(&self) -> Result<(), LogError> {
        let check = |ok: bool, option: &'static str, why: &'static str| {
            if ok { Ok(()) } else { InvalidOptionSnafu { option, why }.fail() }
        };
        check(self.rate != Some(0), "tier.rate", "it must not be zero")?;
        let bounded = self.when_unshipped == WhenUnshipped::Keep || self.unshipped_max.is_some();
        check(bounded, "tier.when_unshipped", "it takes tier.unshipped_max to know when that is")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_by_name() {
        let name = |options: TierOptions| match options.validate() {
            Err(LogError::InvalidOption { option, .. }) => option,
            other => panic!("{other:?}"),
        };
        let good = TierOptions::default;
        assert!(good().validate().is_ok());
        assert_eq!(name(TierOptions { rate: Some(0), ..good() }), "tier.rate");
        assert_eq!(
            name(TierOptions { when_unshipped: WhenUnshipped::Drop, ..good() }),
            "tier.when_unshipped"
        );
    }
}
