//! What repair may do, in terms of directories.

use std::{path::PathBuf, sync::Arc};

use wal_core::LogError;
use wal_segment::{LocalOptions, Storage};

use crate::builder::local;

/// What [`WalBuilder::repair`](crate::WalBuilder::repair) may do. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairOptions {
    /// Whether a damaged log is cut at the first damaged place, which gives up everything behind it. Default: `false`.
    pub cut_at_damage: bool,
    /// The directory, made when it is missing, where every file that is removed or replaced is copied to first.
    /// Default: none, and nothing is changed: the report says what would be done.
    pub quarantine: Option<PathBuf>,
}

impl RepairOptions {
    pub(crate) fn in_core(&self, options: LocalOptions) -> Result<wal_core::RepairOptions, LogError> {
        let quarantine = self.quarantine.as_ref().map(|dir| local(dir, options, true)).transpose()?;
        Ok(wal_core::RepairOptions {
            cut_at_damage: self.cut_at_damage,
            quarantine: quarantine.map(|storage| storage as Arc<dyn Storage>),
        })
    }
}
