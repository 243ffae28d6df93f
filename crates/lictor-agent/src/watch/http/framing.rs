//! Where the body of an answer ends (RFC 9112, sections 6 and 7).

/// Bytes that sizes, extensions and trailers of a chunked body may take in a row.
const OVERHEAD: usize = 16 * 1024;

/// How the end of a body is found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes more.
    Length(u64),
    /// With the last chunk.
    Chunked(Chunks),
    /// When the connection ends.
    UntilClose,
}

/// What is not a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Garbled {
    /// A size that is no number, or none that can be.
    #[error("a chunk has no size")]
    Size,
    /// Something else where a chunk's line should end.
    #[error("a chunk does not end where it should")]
    End,
    /// Extensions or trailers without end.
    #[error("extensions or trailers go on without end")]
    Overhead,
}

impl Framing {
    /// Nothing follows the head.
    pub(super) const fn none() -> Self {
        Self::Length(0)
    }

    /// Whether only the end of the connection ends the body.
    pub(super) const fn is_until_close(&self) -> bool {
        matches!(self, Self::UntilClose)
    }

    /// Whether the body has ended.
    pub(super) const fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => matches!(chunks.state, State::Done),
            Self::UntilClose => false,
        }
    }

    /// Takes bytes of the body in, hands its content to `sink`, and says how many of them belong
    /// to it. Stops early when `sink` wants no more.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(&[u8]) -> bool,
    ) -> Result<usize, Garbled> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                sink(bytes.get(..taken).unwrap_or_default());
                Ok(taken)
            }
            Self::Chunked(chunks) => chunks.feed(bytes, sink),
            Self::UntilClose => {
                sink(bytes);
                Ok(bytes.len())
            }
        }
    }
}

/// A body in chunks, as far as it was read. Lines may end without a carriage return.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    state: State,
    /// Bytes since the last content.
    overhead: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the size of a chunk.
    Size {
        size: u64,
        digits: u8,
    },
    /// After it, up to the end of its line.
    Extension {
        size: u64,
    },
    /// In the content of a chunk.
    Content {
        left: u64,
    },
    /// At the line end after it.
    AfterContent,
    /// At the start of a trailer line, or of the empty one that ends the body.
    TrailerStart,
    /// Within a trailer line.
    Trailer,
    Done,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

impl Chunks {
    fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8]) -> bool) -> Result<usize, Garbled> {
        let mut rest = bytes;
        while self.state != State::Done {
            if let State::Content { left } = self.state {
                if rest.is_empty() {
                    break;
                }
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let (content, after) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
                rest = after;
                self.overhead = 0;
                let left = left - taken as u64;
                self.state = if left == 0 { State::AfterContent } else { State::Content { left } };
                if !sink(content) {
                    break;
                }
                continue;
            }
            let Some((byte, after)) = rest.split_first() else { break };
            rest = after;
            self.overhead += 1;
            if self.overhead > OVERHEAD {
                return Err(Garbled::Overhead);
            }
            self.state = self.state.next(*byte)?;
        }
        Ok(bytes.len() - rest.len())
    }
}

impl State {
    /// What one byte that is not content leads to.
    fn next(self, byte: u8) -> Result<Self, Garbled> {
        let begins = |size| if size == 0 { Self::TrailerStart } else { Self::Content { left: size } };
        Ok(match (self, byte) {
            (Self::Size { size, digits }, byte) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                if digits == 16 {
                    return Err(Garbled::Size);
                }
                Self::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(Garbled::Size),
            (Self::Size { size, .. } | Self::Extension { size }, b'\n') => begins(size),
            (Self::Size { size, .. }, b';' | b' ' | b'\t' | b'\r') | (Self::Extension { size }, _) => {
                Self::Extension { size }
            }
            (Self::Size { .. }, _) => return Err(Garbled::Size),
            (Self::AfterContent, b'\r') => Self::AfterContent,
            (Self::AfterContent, b'\n') => Self::default(),
            (Self::AfterContent, _) => return Err(Garbled::End),
            (Self::TrailerStart, b'\r') => Self::TrailerStart,
            (Self::TrailerStart, b'\n') => Self::Done,
            (Self::Trailer, b'\n') => Self::TrailerStart,
            (Self::TrailerStart | Self::Trailer, _) => Self::Trailer,
            (Self::Content { .. } | Self::Done, _) => self,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a chunked body given in pieces: its content, and what was left over.
    fn read(pieces: &[&[u8]]) -> Result<(String, String), Garbled> {
        let mut framing = Framing::Chunked(Chunks::default());
        let (mut content, mut left) = (Vec::new(), Vec::new());
        for piece in pieces {
            let used = framing.feed(piece, |bytes| {
                content.extend_from_slice(bytes);
                true
            })?;
            left.extend_from_slice(&piece[used..]);
        }
        assert!(framing.is_done(), "the end was not found");
        Ok((String::from_utf8(content).unwrap(), String::from_utf8(left).unwrap()))
    }

    const BODY: &[u8] =
        b"5\r\nhello\r\n00A;name=\"v\"\r\n, 10 bytes\r\n1\nx\n0\r\nTrailer: t\r\nOther: u\r\n\r\nNEXT";

    #[test]
    fn a_chunked_body_is_the_same_wherever_it_is_cut() {
        let whole = ("hello, 10 bytesx".to_owned(), "NEXT".to_owned());
        assert_eq!(read(&[BODY]).unwrap(), whole);
        for at in 0..BODY.len() {
            let (start, end) = BODY.split_at(at);
            assert_eq!(read(&[start, end]).unwrap(), whole, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = BODY.chunks(1).collect();
        assert_eq!(read(&bytes).unwrap(), whole);
    }

    #[test]
    fn what_is_not_chunked_is_refused() {
        for (text, wanted) in [
            ("hello", Garbled::Size),
            ("\r\n", Garbled::Size),
            ("-1\r\n", Garbled::Size),
            ("5x\r\nhello", Garbled::Size),
            ("11111111111111111\r\n", Garbled::Size),
            ("5\r\nhello!\r\n", Garbled::End),
        ] {
            let mut framing = Framing::Chunked(Chunks::default());
            assert_eq!(framing.feed(text.as_bytes(), |_| true), Err(wanted), "{text}");
        }
        let mut endless = Framing::Chunked(Chunks::default());
        let text = format!("5;{}", "x".repeat(OVERHEAD));
        assert_eq!(endless.feed(text.as_bytes(), |_| true), Err(Garbled::Overhead));
    }

    #[test]
    fn a_length_ends_after_its_bytes() {
        let mut framing = Framing::Length(5);
        let mut content = Vec::new();
        let mut keep = |bytes: &[u8]| {
            content.extend_from_slice(bytes);
            true
        };
        assert_eq!(framing.feed(b"hel", &mut keep), Ok(3));
        assert!(!framing.is_done());
        assert_eq!(framing.feed(b"lo, and more", &mut keep), Ok(2));
        assert!(framing.is_done() && content == b"hello");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let mut length = 0;
            let mut framing = Framing::Chunked(Chunks::default());
            if let Ok(used) = framing.feed(&bytes, |content| { length += content.len(); true }) {
                assert!(used <= bytes.len() && length <= used);
            }
        }
    }
}
