//! Values in base64, as Consul sends and takes them.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// A value in the base64 in which Consul sends and takes it: what was read is written without being
/// decoded and encoded again. Cloning it is cheap.
///
/// The text is the one an encoder makes: standard alphabet, padded, no bits left over. So two values
/// are the same if and only if their texts are.
///
/// ```
/// # use lictor_consul::Encoded;
/// let value = Encoded::new("aGk=").unwrap();
/// assert_eq!((value.decode(), value.decoded_len()), ("hi".into(), 2));
/// assert!(Encoded::new("aGk").is_err() && Encoded::new("aGl=").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Encoded(Arc<str>);

/// A text is not base64 as Consul writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a value in base64")]
pub struct NotEncoded;

impl Encoded {
    /// Takes a text that is base64 already.
    ///
    /// # Errors
    /// If it is not, or not the text an encoder would make.
    pub fn new(text: &str) -> Result<Self, NotEncoded> {
        if is_canonical(text.as_bytes()) { Ok(Self(text.into())) } else { Err(NotEncoded) }
    }

    /// Encodes a value.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        Self(STANDARD.encode(value).into())
    }

    /// The base64 text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value itself.
    #[must_use]
    pub fn decode(&self) -> Bytes {
        // The text was checked: it can always be decoded.
        STANDARD.decode(self.as_str()).map(Bytes::from).unwrap_or_default()
    }

    /// How many bytes the value itself has.
    #[must_use]
    pub fn decoded_len(&self) -> usize {
        let padding = self.0.bytes().rev().take_while(|&byte| byte == b'=').count();
        (self.0.len() / 4 * 3).saturating_sub(padding)
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encoded").field(&self.as_str()).finish()
    }
}

/// How long `length` bytes are in base64.
pub(crate) const fn encoded_len(length: usize) -> usize {
    length.div_ceil(3).saturating_mul(4)
}

fn is_canonical(text: &[u8]) -> bool {
    let Some((body, last)) = text.split_last_chunk::<4>() else {
        return text.is_empty();
    };
    // No early end: this way the compiler looks at many bytes at once.
    let body = body.iter().fold(body.len() % 4 == 0, |all, &byte| all & is_digit(byte));
    let last = match *last {
        [a, b, b'=', b'='] => is_digit(a) && is_digit_without(b, 4),
        [a, b, c, b'='] => is_digit(a) && is_digit(b) && is_digit_without(c, 2),
        [a, b, c, d] => is_digit(a) && is_digit(b) && is_digit(c) && is_digit(d),
    };
    body && last
}

const fn is_digit(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/')
}

/// Whether it is a digit whose lowest `bits` bits, 2 or 4, are zero: they are no part of the value.
const fn is_digit_without(byte: u8, bits: u32) -> bool {
    match byte {
        b'A' | b'Q' | b'g' | b'w' => true,
        b'E' | b'I' | b'M' | b'U' | b'Y' | b'c' | b'k' | b'o' | b's' | b'0' | b'4' | b'8' => bits == 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_encoder_makes_is_taken_and_decoded_to_what_it_was() {
        for length in 0..200 {
            let value: Vec<u8> = (0..length).map(|number: u8| number.wrapping_mul(37)).collect();
            let encoded = Encoded::of(&value);
            assert_eq!(Encoded::new(encoded.as_str()), Ok(encoded.clone()));
            assert_eq!(encoded.decode(), value);
            assert_eq!(encoded.decoded_len(), value.len());
            assert_eq!(encoded.as_str().len(), encoded_len(value.len()));
        }
    }

    #[test]
    fn exactly_what_decodes_and_encodes_to_itself_is_taken() {
        let own = |text: &str| STANDARD.decode(text).is_ok_and(|value| STANDARD.encode(value) == text);
        // Every byte in every place of the last four, before every kind of padding.
        for place in 0..4 {
            for end in ["AAAA", "AAA=", "AA==", "A===", "===="] {
                for byte in 0..=127 {
                    let mut text = end.as_bytes().to_vec();
                    text[place] = byte;
                    for before in ["", "AAAA"] {
                        let text = before.to_owned() + std::str::from_utf8(&text).unwrap();
                        assert_eq!(Encoded::new(&text).is_ok(), own(&text), "{text:?}");
                    }
                }
            }
        }
        for text in
            ["A", "AA", "AAA", "AAAAA", "AA==AAAA", "====AAAA", "AAA-AAAA", "AAA AAAA", "ÄAAAAAA", "\0"]
        {
            assert!(Encoded::new(text).is_err() && !own(text), "{text:?}");
        }
        assert!(Encoded::new("").is_ok());
    }
}
