//! Base64 as of RFC 4648, with padding: how JSON carries bytes that are no text.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for at in 0..4 {
            let digit = (group >> (18 - 6 * at)) & 63;
            // A chunk of n bytes fills n + 1 digits.
            let padding = at > chunk.len();
            text.push(if padding { '=' } else { char::from(ALPHABET[digit as usize]) });
        }
    }
    text
}

/// The bytes of a text, if it is the one that [`encode`] makes of them.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.as_bytes().chunks(4) {
        let mut group = 0;
        for at in 0..4 {
            let digit = match chunk.get(at) {
                Some(digit) => ALPHABET.iter().position(|known| known == digit)?,
                None => 0,
            };
            group = (group << 6) | u32::try_from(digit).ok()?;
        }
        let [_, whole @ ..] = group.to_be_bytes();
        bytes.extend_from_slice(whole.get(..chunk.len().checked_sub(1)?)?);
    }
    // Anything else in the padding or in the bits that are not used would be lost.
    (encode(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_hold() {
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (len, want) in vectors.iter().enumerate() {
            assert_eq!(encode(&b"foobar"[..len]), *want);
            assert_eq!(decode(want).as_deref(), Some(&b"foobar"[..len]));
        }
        for bad in ["Z", "Zg", "Zg=", "Zh==", "Zg==Zg==", "Z g=", "====", "Zm9\u{e9}"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(encode(&[0xff, 0xfe, 0xfd]), "//79");
    }
}
