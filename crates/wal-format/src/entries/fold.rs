//! The column of ends as compressed bodies have it: lengths, in four planes of bytes, of which codecs make next to
//! nothing.

use alloc::vec::Vec;
use core::ops::Range;

use super::column;

/// Where the column of ends stands in a body, if it has one that can be folded.
fn ends_at(count: u32, columns: u8, body_len: usize) -> Option<Range<usize>> {
    if count < 2 || columns & column::METADATA != 0 {
        return None;
    }
    let count = usize::try_from(count).ok()?;
    let transaction: usize = if columns & column::TRANSACTION != 0 { 16 } else { 0 };
    let start = transaction.checked_add(if columns & column::KINDS != 0 { count } else { 0 })?;
    let end = start.checked_add(count.checked_mul(4)?)?;
    (end <= body_len).then_some(start..end)
}

/// Appends to `out` what is compressed instead of the body of a frame with so many entries and these columns. It is as
/// long as the body.
pub fn fold_ends(count: u32, columns: u8, body: &[u8], out: &mut Vec<u8>) {
    let at = ends_at(count, columns, body.len()).unwrap_or(0..0);
    let (before, rest) = body.split_at(at.start);
    let (ends, after) = rest.split_at(at.len());
    let ends = ends.as_chunks::<4>().0;
    out.reserve(body.len());
    out.extend_from_slice(before);
    for shift in [0, 8, 16, 24] {
        let mut start = 0;
        out.extend(ends.iter().map(|end| {
            let end = u32::from_le_bytes(*end);
            let len = end.wrapping_sub(start);
            start = end;
            let [byte, ..] = len.wrapping_shr(shift).to_le_bytes();
            byte
        }));
    }
    out.extend_from_slice(after);
}

/// Makes of what was decompressed the body that it was folded from. Works in `scratch`, whose content is lost.
///
/// Any bytes unfold to something: whether that is a body is for [`EntriesRef::parse`](super::EntriesRef::parse) to say.
pub fn unfold_ends(count: u32, columns: u8, folded: &mut [u8], scratch: &mut Vec<u8>) {
    let Some(column) = ends_at(count, columns, folded.len()).and_then(|at| folded.get_mut(at)) else {
        return;
    };
    scratch.clear();
    scratch.extend_from_slice(column);
    let (low, high) = scratch.split_at(column.len() / 2);
    let (planes, others) = (low.split_at(low.len() / 2), high.split_at(high.len() / 2));
    let lows = planes.0.iter().zip(planes.1);
    let lens = lows.zip(others.0.iter().zip(others.1));
    let mut end = 0_u32;
    for (bytes, ((first, second), (third, fourth))) in column.as_chunks_mut::<4>().0.iter_mut().zip(lens) {
        end = end.wrapping_add(u32::from_le_bytes([*first, *second, *third, *fourth]));
        *bytes = end.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntriesBuilder, NewEntry};

    #[track_caller]
    fn there_and_back(count: u32, columns: u8, body: &[u8]) -> Vec<u8> {
        let mut folded = b"before".to_vec();
        fold_ends(count, columns, body, &mut folded);
        let folded = folded.split_off(6);
        let mut unfolded = folded.clone();
        unfold_ends(count, columns, &mut unfolded, &mut Vec::new());
        assert_eq!(unfolded, body);
        folded
    }

    #[test]
    fn every_body_comes_back() {
        let mut builder = EntriesBuilder::default();
        for columns in 0..8 {
            builder.clear();
            for len in [3, 0, 700, 3, 90_000] {
                let payload = alloc::vec![7; len];
                let kind = (columns & 1) * (len % 5) as u8;
                let term = (columns & 2 != 0).then_some(len as u64);
                builder.push(&NewEntry { payload: &payload, kind, term, timestamp: None }).unwrap();
            }
            if columns & 4 != 0 {
                builder.set_transaction([9; 16]);
            }
            let mut body = Vec::new();
            let shape = builder.finish(&mut body);
            assert_ne!(there_and_back(shape.count, shape.columns, &body), body);
        }
    }

    #[test]
    fn lengths_stand_in_planes() {
        let ends = [3, 3, 0x0103, 0x0001_0104_u32].map(u32::to_le_bytes).concat();
        let folded = there_and_back(4, 0, &ends);
        assert_eq!(folded, [3, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn what_is_no_body_comes_back_too() {
        for body in [&[][..], &[1; 7], &[0xff; 40]] {
            for count in [0, 1, 2, 10, u32::MAX] {
                for columns in 0..32 {
                    there_and_back(count, columns, body);
                }
            }
        }
    }
}
