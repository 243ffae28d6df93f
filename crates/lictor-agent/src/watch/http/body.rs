//! The body of an answer, as far as it is read and wanted.

use std::borrow::Cow;

/// What was read of a body.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// Empty when nobody wants to see it.
    bytes: Vec<u8>,
    length: u64,
    cut: bool,
}

impl Body {
    /// Takes a piece in; `false` when no more is to be read. Never keeps more than `limit` bytes.
    pub(super) fn push(&mut self, piece: &[u8], limit: usize, keep: bool) -> bool {
        let room = limit.saturating_sub(usize::try_from(self.length).unwrap_or(usize::MAX));
        let taken = piece.get(..piece.len().min(room)).unwrap_or_default();
        if keep {
            self.bytes.extend_from_slice(taken);
        }
        self.length += taken.len() as u64;
        self.cut = piece.len() > room;
        !self.cut
    }

    /// Bytes that were read.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Whether there was more than was read.
    pub(super) const fn is_cut(&self) -> bool {
        self.cut
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub(super) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beyond_the_limit_is_kept() {
        let mut body = Body::default();
        assert!(body.push(b"abc", 5, true));
        assert!(!body.push(b"defgh", 5, true));
        assert_eq!(body.text(), "abcde");
        assert_eq!((body.length(), body.is_cut()), (5, true));
    }

    #[test]
    fn a_body_of_exactly_the_limit_is_whole() {
        let mut body = Body::default();
        assert!(body.push(b"abcde", 5, false));
        assert_eq!((body.length(), body.is_cut()), (5, false));
        assert_eq!(body.text(), "");
    }
}
