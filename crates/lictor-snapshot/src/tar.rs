//! Tar, as far as archives of snapshots need it, with its end told exactly.
//!
//! Written here because what counts is where the archive ends: Consul refuses one with more than two
//! blocks of zeros at its end, which a library for tar reads over.

use std::io::{self, Read};

/// Everything in a tar is a multiple of it, in bytes.
pub(crate) const BLOCK: usize = 512;

/// A long name or a list of attributes may have as many bytes; Go's reader takes no more either.
const EXTENDED_LIMIT: u64 = 1024 * 1024;

/// A member's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) size: u64,
    /// Whether it is a file with content, and not a folder, a link or the like.
    pub(crate) is_file: bool,
}

/// Why a tar cannot be read.
#[derive(Debug)]
pub(crate) enum TarError {
    /// A header makes no sense.
    Header,
    /// The bytes did not come, or too few of them.
    Read(io::Error),
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Goes from member to member.
#[derive(Debug)]
pub(crate) struct Tar<R> {
    input: R,
    /// Content of the member that was not read yet.
    left: u64,
    /// Zeros after it, up to the next block.
    padding: u64,
    over: bool,
}

impl<R: Read> Tar<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0, over: false }
    }

    /// What it reads from; after the end, what follows the tar.
    pub(crate) fn into_input(self) -> R {
        self.input
    }

    /// The next member, after what is left of this one; nothing at the end, which is two blocks of zeros,
    /// one, or none.
    pub(crate) fn next(&mut self) -> Result<Option<Header>, TarError> {
        if self.over {
            return Ok(None);
        }
        let mut extended = Extended::default();
        loop {
            self.skip()?;
            let Some(block) = self.block()? else {
                self.over = true;
                return Ok(None);
            };
            if block.iter().all(|byte| *byte == 0) {
                self.over = true;
                return match self.block()? {
                    Some(block) if block.iter().any(|byte| *byte != 0) => Err(TarError::Header),
                    _ => Ok(None),
                };
            }
            let raw = Raw::read(&block).ok_or(TarError::Header)?;
            match raw.flag {
                b'x' => extended.read_attributes(&self.content(raw.size)?).ok_or(TarError::Header)?,
                b'L' => {
                    let name = self.content(raw.size)?;
                    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                    extended.name = name.get(..end).map(<[u8]>::to_vec);
                }
                b'K' => drop(self.content(raw.size)?),
                _ => {
                    let is_file = matches!(raw.flag, b'0' | 0 | b'7');
                    let size = extended.size.unwrap_or(raw.size);
                    // Links, devices and folders have no content, whatever they say.
                    let content = if matches!(raw.flag, b'1'..=b'6') { 0 } else { size };
                    self.left = content;
                    self.padding = content.next_multiple_of(BLOCK as u64) - content;
                    return Ok(Some(Header { name: extended.name.unwrap_or(raw.name), size, is_file }));
                }
            }
        }
    }

    /// Passes what is left of the member.
    fn skip(&mut self) -> Result<(), TarError> {
        let left = self.left + std::mem::take(&mut self.padding);
        self.left = 0;
        let passed = io::copy(&mut (&mut self.input).take(left), &mut io::sink())?;
        if passed < left { Err(cut().into()) } else { Ok(()) }
    }

    /// The content of a member that belongs to the next one.
    fn content(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > EXTENDED_LIMIT {
            return Err(TarError::Header);
        }
        let mut content = Vec::new();
        (&mut self.input).take(size).read_to_end(&mut content)?;
        if (content.len() as u64) < size {
            return Err(cut().into());
        }
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(content)
    }

    /// A block; nothing if there are no more bytes at all.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, io::Error> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(block.get_mut(filled..).unwrap_or_default()) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(cut()),
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(block))
    }
}

impl<R: Read> Read for Tar<R> {
    /// Reads the member's content; that it ends too early is an error here.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(room.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.input.read(room.get_mut(..most).unwrap_or_default())?;
        if read == 0 {
            return Err(cut());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected end")
}

/// A header as it stands in its block.
struct Raw {
    name: Vec<u8>,
    size: u64,
    flag: u8,
}

impl Raw {
    fn read(block: &[u8; BLOCK]) -> Option<Self> {
        let sum = number(block.get(148..156)?)?;
        // The sum is taken with its own field as blanks; some old programs took the bytes as signed.
        let rest = || block.get(..148).into_iter().chain(block.get(156..)).flatten();
        let unsigned: u64 = rest().map(|byte| u64::from(*byte)).sum::<u64>() + 8 * u64::from(b' ');
        let signed: i64 = rest().map(|byte| i64::from(byte.cast_signed())).sum::<i64>() + 8 * i64::from(b' ');
        if sum != unsigned && i64::try_from(sum) != Ok(signed) {
            return None;
        }
        // Mode, owners and time are not used; Go refuses a header in which they are no numbers.
        for field in [100..108, 108..116, 116..124, 136..148] {
            number(block.get(field)?)?;
        }
        let size = number(block.get(124..136)?)?;
        let text = |from: usize, to: usize| {
            let field = block.get(from..to).unwrap_or_default();
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            field.get(..end).unwrap_or_default().to_vec()
        };
        let mut name = text(0, 100);
        if block.get(257..263)? == b"ustar\0" {
            let prefix = text(345, 500);
            if !prefix.is_empty() {
                name = [&prefix[..], b"/", &name].concat();
            }
        }
        Some(Self { name, size, flag: *block.get(156)? })
    }
}

/// A number in octal digits, or in the binary form for those that need more than eleven.
fn number(field: &[u8]) -> Option<u64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // Below zero, or more than 64 bits: nothing a snapshot has.
        let start = rest.len().checked_sub(8)?;
        let (high, low) = rest.split_at(start);
        return (first & 0x7f == 0 && high.iter().all(|byte| *byte == 0))
            .then(|| low.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
    }
    let field = field.trim_ascii_start();
    let end = field.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(field.len());
    let digits = field.get(..end)?;
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// What the members before a member say of it.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extended {
    /// Reads lines of the form `27 path=a name\n`, whose number counts the whole line.
    fn read_attributes(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let blank = bytes.iter().position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(bytes.get(..blank)?).ok()?.parse().ok()?;
            let line = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
            let equals = line.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (line.get(..equals)?, line.get(equals + 1..)?);
            match name {
                b"path" => self.name = Some(value.to_vec()),
                b"size" => self.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                _ => {}
            }
            bytes = bytes.get(length..)?;
        }
        Some(())
    }
}

/// Writes the header of a file: mode 0600, owned by nobody in particular.
pub(crate) fn header(name: &str, size: u64, modified: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(field) = block.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if size < 1 << 33 {
        put(124, format!("{size:011o}\0").as_bytes());
    } else {
        put(124, &[0x80, 0, 0, 0]);
        put(128, &size.to_be_bytes());
    }
    put(136, format!("{:011o}\0", modified & ((1 << 33) - 1)).as_bytes());
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    if let Some(field) = block.get_mut(148..156) {
        field.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tar of one file, with something after it.
    fn tar(after: &[u8]) -> Vec<u8> {
        [&header("a", 3, 0)[..], b"abc", &[0; 509], after].concat()
    }

    fn names(bytes: &[u8]) -> Result<Vec<Vec<u8>>, TarError> {
        let mut tar = Tar::new(bytes);
        let mut names = Vec::new();
        while let Some(header) = tar.next()? {
            names.push(header.name);
        }
        Ok(names)
    }

    #[test]
    fn it_ends_with_two_blocks_of_zeros_or_one_or_none() {
        for blocks in 0..=2 {
            assert_eq!(names(&tar(&vec![0; blocks * BLOCK])).unwrap(), [b"a"]);
        }
    }

    #[test]
    fn a_block_of_zeros_within_it_and_a_part_of_a_block_are_no_end() {
        assert!(matches!(names(&tar(&[&[0; BLOCK][..], &[1; BLOCK]].concat())), Err(TarError::Header)));
        assert!(matches!(names(&tar(&[0; 100])), Err(TarError::Read(_))));
    }

    #[test]
    fn what_follows_the_end_is_left_for_who_asks() {
        let bytes = tar(&[&[0; 2 * BLOCK][..], b"more"].concat());
        let mut tar = Tar::new(&bytes[..]);
        while tar.next().unwrap().is_some() {}
        assert_eq!(tar.into_input(), b"more");
    }

    #[test]
    fn sizes_beyond_eleven_digits_are_written_and_read() {
        let block = header("a", 1 << 40, 0);
        assert_eq!(Raw::read(&block).unwrap().size, 1 << 40);
    }

    #[test]
    fn attributes_of_a_member_count_and_a_lie_about_their_length_does_not() {
        let mut extended = Extended::default();
        assert_eq!(extended.read_attributes(b"9 path=b\n10 size=7\n"), Some(()));
        assert_eq!((extended.name, extended.size), (Some(b"b".to_vec()), Some(7)));
        assert_eq!(Extended::default().read_attributes(b"99 path=b\n"), None);
        assert_eq!(Extended::default().read_attributes(b"1 path=b\n"), None);
    }
}
