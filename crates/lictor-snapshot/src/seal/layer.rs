//! The bytes of a sealed file, without the armor of text that they may come in.

use std::io::{self, BufRead, BufReader, Chain, Cursor, ErrorKind, Read};

use age::armor::ArmoredReader;

/// How a sealed file begins.
const BEGIN: &[u8] = b"age-encryption.org/";

/// How one in text begins.
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// What a line of text may have in bytes; real ones have 64. So that nobody has to hold a line without an end.
const LINE: usize = 256;

/// What a file has read of it to know what it is, and then the rest.
type Whole<R> = Chain<Cursor<Vec<u8>>, Below<R>>;

/// See the module.
pub(super) enum Layer<R> {
    Plain(BufReader<Whole<R>>),
    Armored(Box<ArmoredReader<BufReader<Whole<R>>>>),
}

/// Whether something that begins so is sealed, in bytes or in text; 40 bytes of it are enough.
#[must_use]
pub fn is_sealed(begin: &[u8]) -> bool {
    begin.starts_with(BEGIN) || begin.starts_with(ARMOR)
}

impl<R: Read> Layer<R> {
    pub(super) fn new(input: R) -> io::Result<Self> {
        let mut below = Below { input, longest: None, line: 0 };
        let mut begin = Vec::new();
        (&mut below).take(ARMOR.len() as u64).read_to_end(&mut begin)?;
        let armored = begin == ARMOR;
        if armored {
            (below.longest, below.line) = (Some(LINE), begin.len());
        }
        let whole = Cursor::new(begin).chain(below);
        Ok(match armored {
            true => Self::Armored(Box::new(ArmoredReader::new(whole))),
            false => Self::Plain(BufReader::with_capacity(super::PIECE, whole)),
        })
    }
}

impl<R: Read> Read for Layer<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(room),
            Self::Armored(input) => input.read(room),
        }
    }
}

impl<R: Read> BufRead for Layer<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Plain(input) => input.fill_buf(),
            Self::Armored(input) => input.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match self {
            Self::Plain(input) => input.consume(amount),
            Self::Armored(input) => input.consume(amount),
        }
    }
}

/// What is sealed, as it comes. Its own errors are told from what is found wrong above by their kind.
pub(super) struct Below<R> {
    input: R,
    /// What a line may have in bytes, if there are lines.
    longest: Option<usize>,
    /// What the present one has.
    line: usize,
}

impl<R: Read> Read for Below<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(room).map_err(|error| match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => io::Error::other(error),
            _ => error,
        })?;
        if let Some(longest) = self.longest {
            for byte in room.iter().take(read) {
                self.line = if *byte == b'\n' { 0 } else { self.line + 1 };
                if self.line > longest {
                    return Err(io::Error::new(ErrorKind::InvalidData, "a line is too long"));
                }
            }
        }
        Ok(read)
    }
}
