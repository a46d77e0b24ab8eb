//! The directory of the other log.

use std::{
    fs,
    path::{Path, PathBuf},
};

use snafu::ResultExt;
use wal_import::{Event, Format, Plan, Reader, SourceFile};

use crate::error::{Failure, FileSnafu, ForeignSnafu, PlanSnafu};

/// The files that are read, and where they are.
pub(super) struct Source {
    dir: PathBuf,
    plan: Plan,
}

impl Source {
    /// Fails when there are files and none is of this format: somebody took the wrong directory.
    pub(super) fn list(dir: &Path, format: Format, prefix: Option<&str>) -> Result<Self, Failure> {
        let mut files = Vec::new();
        let listed = || FileSnafu { operation: "list", path: dir };
        for entry in fs::read_dir(dir).with_context(|_| listed())? {
            let path = entry.with_context(|_| listed())?.path();
            let found = fs::metadata(&path).context(FileSnafu { operation: "look at", path: &path });
            // A link to nowhere is no file of the log unless it is named like one; reading it fails then.
            let (is_file, len) = found.map_or((true, 0), |found| (found.is_file(), found.len()));
            if let Some(name) = path.file_name().filter(|_| is_file) {
                files.push((name.to_string_lossy().into_owned(), len));
            }
        }
        let plan = Plan::new(format, prefix, files).context(PlanSnafu { dir })?;
        if plan.files().is_empty() && !plan.ignored().is_empty() {
            return ForeignSnafu { dir, format }.fail();
        }
        Ok(Self { dir: dir.to_owned(), plan })
    }

    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Hands over what is in the files, in order. One file at a time is in memory.
    pub(super) fn read(
        &self,
        mut each: impl FnMut(&SourceFile, Event<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut reader = Reader::new(self.plan.format());
        for file in self.plan.files() {
            let path = self.dir.join(file.name());
            let bytes = fs::read(&path).context(FileSnafu { operation: "read", path })?;
            reader.events(file, &bytes).try_for_each(|event| each(file, event))?;
        }
        Ok(())
    }
}
