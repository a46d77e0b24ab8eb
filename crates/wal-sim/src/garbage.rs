//! What lies on a disk where nothing was written.

use std::sync::Arc;

use crate::{inode::SECTOR_LEN, random::Rng};

/// Fills `image[start..]` with zeros, noise and old bytes of the disk, by runs of whole sectors.
pub(crate) fn fill(image: &mut [u8], start: usize, old: &[Arc<Vec<u8>>], rng: &mut Rng) {
    let mut at = start;
    while at < image.len() {
        let run = (1 + rng.below(8)) as usize * SECTOR_LEN as usize;
        let end = (at - at % SECTOR_LEN as usize + run).min(image.len());
        let place = &mut image[at..end];
        match (rng.below(8), pick(old, rng)) {
            (0, _) => place.fill(0),
            // The same offset is the hardest: whatever was valid there looks as if it belonged there.
            (1..=4, Some(bytes)) => copy(place, bytes, at),
            // Frames lie at multiples of eight bytes.
            (5, Some(bytes)) => copy(place, bytes, rng.below(bytes.len() as u64 / 8) as usize * 8),
            _ => rng.fill(place),
        }
        at = end;
    }
}

fn pick<'a>(old: &'a [Arc<Vec<u8>>], rng: &mut Rng) -> Option<&'a Arc<Vec<u8>>> {
    old.get(rng.below(old.len() as u64) as usize)
}

fn copy(place: &mut [u8], bytes: &[u8], from: usize) {
    let bytes = bytes.get(from..).unwrap_or_default();
    let n = bytes.len().min(place.len());
    place[..n].copy_from_slice(&bytes[..n]);
}
