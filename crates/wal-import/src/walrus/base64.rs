//! Base64 as of RFC 4648, with padding and nothing else between.

/// The bytes that the text stands for, if it is exactly what an encoder writes.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (last, chunks) = match text.split_last_chunk::<4>() {
        Some((before, last)) => (Some(last), before),
        None => (None, text),
    };
    for chunk in chunks.chunks_exact(4) {
        bytes.extend_from_slice(&group(chunk)?);
    }
    let Some(last) = last else { return Some(bytes) };
    let padding = last.iter().rev().take_while(|byte| **byte == b'=').count();
    let mut digits = *last;
    digits.iter_mut().rev().take(padding).for_each(|digit| *digit = b'A');
    let group = group(&digits)?;
    let (kept, rest) = group.split_at_checked(3_usize.checked_sub(padding)?)?;
    // Bits that stand for nothing are zero, else two texts would be the same bytes.
    if padding == 3 || rest.iter().any(|byte| *byte != 0) {
        return None;
    }
    bytes.extend_from_slice(kept);
    Some(bytes)
}

fn group(digits: &[u8]) -> Option<[u8; 3]> {
    let mut bits = 0_u32;
    for digit in digits {
        bits = bits << 6 | u32::from(value(*digit)?);
    }
    let [_, first, second, third] = bits.to_be_bytes();
    Some([first, second, third])
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_hold() {
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (len, text) in vectors.iter().enumerate() {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(&b"foobar"[..len]));
        }
        assert_eq!(decode(b"//79"), Some(vec![0xff, 0xfe, 0xfd]));
    }

    #[test]
    fn what_no_encoder_writes_is_refused() {
        for text in ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "=g==", "Zg==Zg==", "Zm 9", "Zm9v\n"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
