//! Beginnings of many objects in one: what opening a long log reads in the place of a request for each object.
//!
//! A page is a hint. It holds copies of the header and the opening frame of some objects, each with the tag and the
//! length of the object it was taken from: where the listing shows another tag or length, or none, the object itself is
//! read. Pages are created by writers, as everything is, and never changed; deleting them costs time and nothing else.
//!
//! ```text
//!       0       1       2       3       4       5       6       7
//!   0 | magic "walheads"                                              |
//!   8 | version u32                   | count u32                     |
//!  16 | for each object: length u64, then name, tag and beginning,    |
//!     | each with its length before it as a u32                       |
//!  -4 | crc-32 of everything before u32                               |
//! ```
//!
//! Its name says from which object to which it reaches: `{prefix}{first:020}-{last:020}.heads`.

use bytes::Bytes;
use wal_format::{ChecksumKind, FIRST_FRAME, Parsed, SEGMENT_HEADER_LEN, SegmentHeader, parse_frame};

/// How the names of pages end. No file of a log has such a name.
pub(crate) const ENDING: &str = ".heads";
const OF_SEGMENTS: &str = ".wal";
const MAGIC: &[u8; 8] = b"walheads";
const VERSION: u32 = 1;
/// Digits of an id.
const DIGITS: usize = 20;
/// No page is longer, although the metadata of a log is repeated in each opening.
pub(crate) const PAGE_LEN_MAX: u64 = 8 << 20;

/// The beginning of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) e_tag: String,
    pub(crate) head: Bytes,
}

impl Entry {
    /// As much of the beginning of an object as is needed; `None` when it is no segment, or not enough of one.
    pub(crate) fn of(name: &str, size: u64, e_tag: &str, start: &Bytes) -> Option<Self> {
        let header = SegmentHeader::decode(start).ok()?;
        let Parsed::Frame(frame, _) =
            parse_frame(start.get(SEGMENT_HEADER_LEN..)?, header.key(), FIRST_FRAME)
        else {
            return None;
        };
        let len = usize::try_from(FIRST_FRAME + frame.frame_len()).ok()?;
        // A copy: the rest of the object need not be kept.
        let head = Bytes::copy_from_slice(start.get(..len)?);
        Some(Self { name: name.to_owned(), size, e_tag: e_tag.to_owned(), head })
    }
}

/// The page of these objects, in the order of their names: its name, and what is in it. `None` when it would be too
/// long, or when one is no segment.
pub(crate) fn encode(entries: &[Entry]) -> Option<(String, Bytes)> {
    let (first, last) = (stem(&entries.first()?.name)?, stem(&entries.last()?.name)?);
    let name = format!("{first}-{}{ENDING}", last.get(last.len() - DIGITS..)?);
    let mut page = MAGIC.to_vec();
    page.extend_from_slice(&VERSION.to_le_bytes());
    page.extend_from_slice(&u32::try_from(entries.len()).ok()?.to_le_bytes());
    for entry in entries {
        page.extend_from_slice(&entry.size.to_le_bytes());
        for part in [entry.name.as_bytes(), entry.e_tag.as_bytes(), &entry.head] {
            page.extend_from_slice(&u32::try_from(part.len()).ok()?.to_le_bytes());
            page.extend_from_slice(part);
        }
    }
    page.extend_from_slice(&ChecksumKind::Crc32.of(&page).to_le_bytes());
    (page.len() as u64 <= PAGE_LEN_MAX).then(|| (name, page.into()))
}

/// What is in a page; `None` when it is none, or damaged.
pub(crate) fn decode(page: &Bytes) -> Option<Vec<Entry>> {
    let (content, crc) = page.split_last_chunk::<4>()?;
    if ChecksumKind::Crc32.of(content) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut rest = Rest(page.slice(..content.len()));
    if rest.take(MAGIC.len())? != MAGIC[..] || rest.u32()? != VERSION {
        return None;
    }
    let count = rest.u32()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let size = u64::from_le_bytes(*rest.take(8)?.first_chunk()?);
        let (name, e_tag, head) = (rest.text()?, rest.text()?, rest.part()?);
        entries.push(Entry { name, size, e_tag, head });
    }
    rest.0.is_empty().then_some(entries)
}

struct Rest(Bytes);

impl Rest {
    fn take(&mut self, len: usize) -> Option<Bytes> {
        (len <= self.0.len()).then(|| self.0.split_to(len))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }

    fn part(&mut self) -> Option<Bytes> {
        let len = self.u32()?;
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.part()?.to_vec()).ok()
    }
}

/// The name of a segment without its ending: a prefix, and the id in digits.
fn stem(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(OF_SEGMENTS)?;
    let digits = stem.get(stem.len().checked_sub(DIGITS)?..)?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then_some(stem)
}

/// From which object to which a page reaches, by its name.
pub(crate) fn reach(page: &str) -> Option<(String, String)> {
    let stem = page.strip_suffix(ENDING)?;
    let (first, last) = stem.split_at_checked(stem.len().checked_sub(DIGITS + 1)?)?;
    let prefix = first.get(..first.len().checked_sub(DIGITS)?)?;
    let last = last.strip_prefix('-')?;
    Some((format!("{first}{OF_SEGMENTS}"), format!("{prefix}{last}{OF_SEGMENTS}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64) -> Entry {
        let head = Bytes::from(vec![id as u8; id as usize]);
        Entry { name: format!("a-{id:020}.wal"), size: id, e_tag: format!("\"{id}\""), head }
    }

    #[test]
    fn a_page_holds_what_was_put_into_it_and_nothing_else_passes() {
        let entries: Vec<_> = (1..9).map(entry).collect();
        let (name, page) = encode(&entries).unwrap();
        assert_eq!(name, "a-00000000000000000001-00000000000000000008.heads");
        assert_eq!(decode(&page).unwrap(), entries);
        let reaches = reach(&name).unwrap();
        assert_eq!((&*reaches.0, &*reaches.1), ("a-00000000000000000001.wal", "a-00000000000000000008.wal"));
        for at in 0..page.len() {
            let mut bad = page.to_vec();
            bad[at] ^= 1;
            assert_eq!(decode(&bad.into()), None, "byte {at}");
            assert_eq!(decode(&page.slice(..at)), None, "cut at {at}");
        }
        // Lengths that lie, with a checksum that does not.
        for at in (0..page.len() - 8).step_by(3) {
            let mut bad = page[..page.len() - 4].to_vec();
            bad[at..at + 4].fill(0xff);
            let crc = ChecksumKind::Crc32.of(&bad);
            bad.extend_from_slice(&crc.to_le_bytes());
            let _ = decode(&bad.into());
        }
        assert_eq!(encode(&[]), None);
    }

    #[test]
    fn only_segments_have_a_place_in_a_page() {
        for name in ["", "x.wal", "00000000000000000001.idx", "0000000000000000000é.wal", ".wal"] {
            assert_eq!(stem(name), None, "{name}");
        }
        for name in [
            "",
            ".heads",
            "-.heads",
            "1-2.heads",
            "00000000000000000001.heads",
            "é0000000000000000001-00000000000000000001.heads",
        ] {
            let _ = reach(name);
        }
        assert_eq!(Entry::of("x", 3, "t", &Bytes::from_static(b"abc")), None);
    }
}
