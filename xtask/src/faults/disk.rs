//! Small file systems.

use std::fs;
use std::path::{Path, PathBuf};

use super::Bench;
use crate::process::{output, succeeds};

/// A mounted file system, unmounted when dropped.
pub(super) struct Disk {
    path: PathBuf,
}

impl Disk {
    pub(super) fn tmpfs(bench: &Bench<'_>) -> Result<Self, String> {
        Self::mount(bench, "tmpfs", |path| {
            output(bench.root, "mount", &["-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", path])
        })
    }

    /// In a file, through a loop device.
    pub(super) fn ext4(bench: &Bench<'_>) -> Result<Self, String> {
        let image = bench.scratch.join("ext4.image");
        let file = fs::File::create(&image).map_err(|error| format!("cannot create the image: {error}"))?;
        file.set_len(16 << 20).map_err(|error| format!("cannot size the image: {error}"))?;
        let image = text(&image)?;
        output(bench.root, "mkfs.ext4", &["-q", "-F", "-m", "0", image])?;
        Self::mount(bench, "ext4", |path| output(bench.root, "mount", &["-o", "loop", image, path]))
    }

    fn mount(
        bench: &Bench<'_>,
        name: &str,
        mount: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Self, String> {
        let path = bench.scratch.join(name);
        fs::create_dir(&path).map_err(|error| format!("cannot make a mount point: {error}"))?;
        mount(text(&path)?)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> Result<&str, String> {
        text(&self.path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let is_gone = text(&self.path).is_ok_and(|path| succeeds(Path::new("/"), "umount", &[path]));
        // The next one has the same name.
        if !is_gone || fs::remove_dir(&self.path).is_err() {
            eprintln!("xtask: {} stays mounted", self.path.display());
        }
    }
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))
}
