//! Finding the end of a value that arrives in pieces.

use super::{DEPTH, Flaw, Head};

/// Looks through one value, piece by piece: that it is well formed, and where it ends. Content is
/// stepped over, so that a large value costs no more than a small one.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Values that are still to come, for each list or map that is open; at the bottom the value itself.
    open: [u64; DEPTH + 1],
    depth: usize,
    /// Bytes of content that are still to be stepped over.
    content: u64,
}

/// How far a [`Scan`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The value ends after so many bytes of the piece.
    Done(usize),
    /// So many bytes of the piece belong to the value and need not be shown again; more has to come.
    More(usize),
}

impl Scan {
    pub(crate) fn new() -> Self {
        let mut open = [0; DEPTH + 1];
        open[0] = 1;
        Self { open, depth: 0, content: 0 }
    }

    /// Begins with another value.
    pub(crate) fn reset(&mut self) {
        self.open[0] = 1;
        self.depth = 0;
        self.content = 0;
    }

    /// How many bytes must follow at least, as far as is known.
    pub(crate) fn announced(&self) -> u64 {
        self.content
    }

    /// Looks at the next piece, which begins where the last one was done with.
    #[inline]
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Flaw> {
        let mut at = 0;
        loop {
            if self.content > 0 {
                let here = bytes.len() - at;
                let Some(content) = usize::try_from(self.content).ok().filter(|content| *content <= here)
                else {
                    self.content -= here as u64;
                    return Ok(Progress::More(bytes.len()));
                };
                at += content;
                self.content = 0;
                if self.close() {
                    return Ok(Progress::Done(at));
                }
            }
            let Some(head) = Head::read(bytes.get(at..).unwrap_or_default())? else {
                return Ok(Progress::More(at));
            };
            at += head.length;
            if head.values > 0 {
                self.depth += 1;
                *self.open.get_mut(self.depth).ok_or(Flaw::TooDeep)? = head.values;
            } else if head.content > 0 {
                self.content = head.content;
            } else if self.close() {
                return Ok(Progress::Done(at));
            }
        }
    }

    /// A value has ended, and with it perhaps what it is in. Whether that was all.
    #[inline]
    fn close(&mut self) -> bool {
        while let Some(left) = self.open.get_mut(self.depth) {
            *left = left.saturating_sub(1);
            if *left > 0 {
                return false;
            }
            if self.depth == 0 {
                return true;
            }
            self.depth -= 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map with everything nested in it.
    const BYTES: &[u8] = b"\x83\xa1a\x92\x01\xda\x00\x03xyz\xa1b\x80\xa1c\xcb\0\0\0\0\0\0\0\0";

    #[test]
    fn the_end_is_found_whatever_the_pieces_are() {
        for size in 1..=BYTES.len() {
            let mut scan = Scan::new();
            let mut from = 0;
            let mut to = 0;
            let end = loop {
                to = (to + size).min(BYTES.len());
                match scan.feed(&BYTES[from..to]).unwrap() {
                    Progress::Done(length) => break from + length,
                    Progress::More(length) => from += length,
                }
                assert!(to < BYTES.len(), "the end was not seen with pieces of {size}");
            };
            assert_eq!(end, BYTES.len());
        }
    }

    #[test]
    fn what_follows_is_left_alone() {
        assert_eq!(Scan::new().feed(&[0x80, 0xc1]), Ok(Progress::Done(1)));
    }

    #[test]
    fn a_length_is_known_before_the_bytes_are_there() {
        let mut scan = Scan::new();
        assert_eq!(scan.feed(&[0xdb, 0xff, 0xff, 0xff, 0xff, 1]), Ok(Progress::More(6)));
        assert_eq!(scan.announced(), u64::from(u32::MAX) - 1);
    }
}
