//! MessagePack as Consul writes it, read without copying.
//!
//! Consul's encoder knows the first version of the format only, in which text and bytes are the same
//! thing ("raw"). The later types are read as well.

mod scan;

pub(crate) use scan::{Progress, Scan};

use std::fmt;

/// How deeply values may be nested. Consul's own go some ten deep; what users put into a proxy's
/// configuration may go deeper, and whoever walks a value must not run out of stack.
pub const DEPTH: usize = 96;

/// Why bytes are not MessagePack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The byte `c1`, which begins no value.
    #[error("a value begins with the byte c1, which begins none")]
    Reserved,
    /// Nested more deeply than [`DEPTH`].
    #[error("values are nested more than {DEPTH} deep")]
    TooDeep,
    /// The bytes end within a value.
    #[error("the bytes end within a value")]
    Cut,
    /// There are bytes after the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
}

/// One value. What is borrowed lies in the bytes it was read from.
#[derive(Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number that is not negative, whatever it was written as.
    Unsigned(u64),
    /// A negative number.
    Negative(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text or bytes: which of them it is meant to be is not said.
    Bytes(&'a [u8]),
    /// Several values.
    List(List<'a>),
    /// Pairs of values; in Consul's records, names and values.
    Map(Map<'a>),
    /// A type of somebody's own.
    Extension(i8, &'a [u8]),
}

/// The values of a list.
#[derive(Clone, Copy, PartialEq)]
pub struct List<'a> {
    left: u32,
    bytes: &'a [u8],
}

/// The pairs of a map, in the order they were written.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Map<'a> {
    left: u32,
    bytes: &'a [u8],
}

/// What the first bytes of a value say.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Head {
    form: Form,
    /// Bytes of the head itself.
    length: usize,
    /// Bytes of content after it.
    content: u64,
    /// Values that belong to it and follow.
    values: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Float32,
    Float64,
    Bytes,
    List(u32),
    Map(u32),
    /// The type's number is the first byte of the content.
    Extension,
}

impl<'a> Value<'a> {
    /// Reads bytes that are one value and nothing else.
    ///
    /// # Errors
    /// If they are not.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Flaw> {
        let (value, rest) = Self::read_first(bytes)?;
        if rest.is_empty() { Ok(value) } else { Err(Flaw::Trailing(rest.len())) }
    }

    /// Reads the value at the beginning, and gives what follows it.
    ///
    /// # Errors
    /// If there is none.
    pub fn read_first(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Flaw> {
        let length = match Scan::new().feed(bytes)? {
            Progress::Done(length) => length,
            Progress::More(_) => return Err(Flaw::Cut),
        };
        let (value, rest) = bytes.split_at_checked(length).ok_or(Flaw::Cut)?;
        Ok((Self::of_whole(value).ok_or(Flaw::Cut)?, rest))
    }

    /// A value whose bytes were looked through before.
    pub(crate) fn of_whole(bytes: &'a [u8]) -> Option<Self> {
        let head = Head::read(bytes).ok()??;
        Self::of_parts(head.form, bytes.get(head.length..)?)
    }

    #[inline]
    fn of_parts(form: Form, content: &'a [u8]) -> Option<Self> {
        Some(match form {
            Form::Nil => Self::Nil,
            Form::Bool(value) => Self::Bool(value),
            Form::Unsigned(value) => Self::Unsigned(value),
            Form::Negative(value) => Self::Negative(value),
            Form::Float32 => Self::Float(f32::from_be_bytes(content.try_into().ok()?).into()),
            Form::Float64 => Self::Float(f64::from_be_bytes(content.try_into().ok()?)),
            Form::Bytes => Self::Bytes(content),
            Form::List(left) => Self::List(List { left, bytes: content }),
            Form::Map(left) => Self::Map(Map { left, bytes: content }),
            Form::Extension => {
                let (&number, content) = content.split_first()?;
                Self::Extension(i8::from_be_bytes([number]), content)
            }
        })
    }

    /// The bytes of a text; none for nothing.
    #[must_use]
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Nil => Some(&[]),
            _ => None,
        }
    }

    /// A whole number that is not negative; nothing counts as zero.
    #[must_use]
    pub fn unsigned(self) -> Option<u64> {
        match self {
            Self::Unsigned(value) => Some(value),
            Self::Nil => Some(0),
            _ => None,
        }
    }

    /// A map; nothing counts as an empty one.
    #[must_use]
    pub fn map(self) -> Option<Map<'a>> {
        match self {
            Self::Map(map) => Some(map),
            Self::Nil => Some(Map::default()),
            _ => None,
        }
    }

    /// Whether it says nothing: nil, false, zero, no text, no values.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        match self {
            Self::Nil | Self::Bool(false) | Self::Unsigned(0) => true,
            Self::Bool(true) | Self::Unsigned(_) | Self::Negative(_) | Self::Extension(..) => false,
            Self::Float(value) => value == 0.0,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::List(list) => list.left == 0,
            Self::Map(map) => map.left == 0,
        }
    }
}

impl<'a> Map<'a> {
    /// How many pairs are left.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    /// Whether no pair is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The values of these names, in one pass; nil for one that is not there. If a name comes more than
    /// once, the last counts, as in Consul.
    #[must_use]
    pub fn pick<const N: usize>(self, names: [&str; N]) -> [Value<'a>; N] {
        let mut found = [Value::Nil; N];
        for (name, value) in self {
            let Value::Bytes(name) = name else { continue };
            if let Some(place) = names.iter().position(|wanted| wanted.as_bytes() == name)
                && let Some(found) = found.get_mut(place)
            {
                *found = value;
            }
        }
        found
    }

    /// The value of this name; nil if it is not there.
    #[must_use]
    pub fn get(self, name: &str) -> Value<'a> {
        let [value] = self.pick([name]);
        value
    }
}

impl<'a> List<'a> {
    /// How many values are left.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    /// Whether no value is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl<'a> Iterator for List<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        take(&mut self.bytes)
    }
}

impl<'a> Iterator for Map<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some((take(&mut self.bytes)?, take(&mut self.bytes)?))
    }
}

/// Takes the first value off bytes that were looked through before.
#[inline]
fn take<'a>(bytes: &mut &'a [u8]) -> Option<Value<'a>> {
    let head = Head::read(bytes).ok()??;
    let after = bytes.get(head.length..)?;
    let length = if head.values == 0 {
        usize::try_from(head.content).ok()?
    } else {
        match Scan::new().feed(bytes) {
            Ok(Progress::Done(length)) => length.checked_sub(head.length)?,
            Ok(Progress::More(_)) | Err(_) => return None,
        }
    };
    let (content, rest) = after.split_at_checked(length)?;
    *bytes = rest;
    Value::of_parts(head.form, content)
}

impl Head {
    /// Reads a head; nothing if the bytes end within it.
    #[inline]
    fn read(bytes: &[u8]) -> Result<Option<Self>, Flaw> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        // What nearly all of Consul's bytes are comes without a number after the first byte.
        let (form, content, values) = match first {
            0x00..=0x7f => (Form::Unsigned(first.into()), 0, 0),
            0x80..=0x8f => (Form::Map(u32::from(first & 0x0f)), 0, 2 * u64::from(first & 0x0f)),
            0x90..=0x9f => (Form::List(u32::from(first & 0x0f)), 0, u64::from(first & 0x0f)),
            0xa0..=0xbf => (Form::Bytes, u64::from(first & 0x1f), 0),
            0xc0 => (Form::Nil, 0, 0),
            0xc2 => (Form::Bool(false), 0, 0),
            0xc3 => (Form::Bool(true), 0, 0),
            0xca => (Form::Float32, 4, 0),
            0xcb => (Form::Float64, 8, 0),
            0xd4..=0xd8 => (Form::Extension, 1 + (1 << (first - 0xd4)), 0),
            0xe0..=0xff => (Form::Negative(i64::from(first.cast_signed())), 0, 0),
            0xc1 => return Err(Flaw::Reserved),
            0xc4..=0xc9 | 0xcc..=0xd3 | 0xd9..=0xdf => return Ok(Self::read_wide(first, rest)),
        };
        Ok(Some(Self { form, length: 1, content, values }))
    }

    /// Reads a head whose first byte is followed by a number of 1, 2, 4 or 8 bytes.
    fn read_wide(first: u8, rest: &[u8]) -> Option<Self> {
        let size = match first {
            0xc4 | 0xc7 | 0xcc | 0xd0 | 0xd9 => 1,
            0xc5 | 0xc8 | 0xcd | 0xd1 | 0xda | 0xdc | 0xde => 2,
            0xcf | 0xd3 => 8,
            _ => 4,
        };
        let number = big_endian(rest.get(..size)?);
        let (form, content, values) = match first {
            0xcc..=0xcf => (Form::Unsigned(number), 0, 0),
            0xd0..=0xd3 => {
                // Moved up and down again, so that the sign is that of 64 bits.
                let unused = 64 - 8 * u32::try_from(size).unwrap_or(8);
                let number = (number << unused).cast_signed() >> unused;
                (u64::try_from(number).map_or(Form::Negative(number), Form::Unsigned), 0, 0)
            }
            0xc7..=0xc9 => (Form::Extension, number + 1, 0),
            0xdc | 0xdd => (Form::List(narrow(number)), 0, number),
            0xde | 0xdf => (Form::Map(narrow(number)), 0, 2 * number),
            _ => (Form::Bytes, number, 0),
        };
        Some(Self { form, length: 1 + size, content, values })
    }
}

/// At most eight bytes as a number.
fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// A count of at most four bytes.
fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl fmt::Debug for Value<'_> {
    /// Says of what type it is: the content may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

impl fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({})", self.left)
    }
}

impl fmt::Debug for Map<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({})", self.left)
    }
}

impl Value<'_> {
    /// Its type in a word, for messages.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "a truth value",
            Self::Unsigned(_) => "a number",
            Self::Negative(_) => "a negative number",
            Self::Float(_) => "a number with a fraction",
            Self::Bytes(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Extension(..) => "an extension",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_old_and_the_new_format_is_the_same() {
        let long = |head: &[u8]| [head, b"abc"].concat();
        for head in [
            &[0xa3][..],
            &[0xd9, 3],
            &[0xda, 0, 3],
            &[0xdb, 0, 0, 0, 3],
            &[0xc4, 3],
            &[0xc5, 0, 3],
            &[0xc6, 0, 0, 0, 3],
        ] {
            assert_eq!(Value::read(&long(head)), Ok(Value::Bytes(b"abc")), "{head:x?}");
        }
    }

    #[test]
    fn numbers_are_the_same_however_wide_they_were_written() {
        for bytes in [&[7][..], &[0xcc, 7], &[0xcd, 0, 7], &[0xce, 0, 0, 0, 7], &[0xd0, 7], &[0xd1, 0, 7]] {
            assert_eq!(Value::read(bytes), Ok(Value::Unsigned(7)), "{bytes:x?}");
        }
        for bytes in [&[0xff][..], &[0xd0, 0xff], &[0xd1, 0xff, 0xff], &[0xd2, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(Value::read(bytes), Ok(Value::Negative(-1)), "{bytes:x?}");
        }
        let least = [&[0xd3, 0x80][..], &[0; 7]].concat();
        assert_eq!(Value::read(&least), Ok(Value::Negative(i64::MIN)));
        assert_eq!(Value::read(&[[0xcf].as_slice(), &[0xff; 8]].concat()), Ok(Value::Unsigned(u64::MAX)));
    }

    #[test]
    fn fractions_and_extensions_are_read() {
        let half = [&[0xcb][..], &0.5_f64.to_be_bytes()].concat();
        assert_eq!(Value::read(&half), Ok(Value::Float(0.5)));
        let half = [&[0xca][..], &0.5_f32.to_be_bytes()].concat();
        assert_eq!(Value::read(&half), Ok(Value::Float(0.5)));
        assert_eq!(Value::read(&[0xd5, 0xff, 1, 2]), Ok(Value::Extension(-1, &[1, 2])));
        assert_eq!(Value::read(&[0xc7, 3, 5, 1, 2, 3]), Ok(Value::Extension(5, &[1, 2, 3])));
    }

    #[test]
    fn a_map_gives_the_values_that_are_asked_for_and_the_last_of_a_name() {
        // {a: 1, n: {x: [2]}, b: "t", a: 3}
        let bytes = b"\x84\xa1a\x01\xa1n\x81\xa1x\x91\x02\xa1b\xa1t\xa1a\x03";
        let map = Value::read(bytes).unwrap().map().unwrap();
        let [a, b, c] = map.pick(["a", "b", "c"]);
        assert_eq!((a, b, c), (Value::Unsigned(3), Value::Bytes(b"t"), Value::Nil));
        let Value::List(mut list) = map.get("n").map().unwrap().get("x") else { panic!("no list") };
        assert_eq!((list.next(), list.next()), (Some(Value::Unsigned(2)), None));
    }

    #[test]
    fn what_is_no_value_is_told_from_what_is_cut_off() {
        assert_eq!(Value::read(&[0xc1]), Err(Flaw::Reserved));
        assert_eq!(Value::read(&[0x92, 1]), Err(Flaw::Cut));
        assert_eq!(Value::read(&[0xdb, 0xff, 0xff, 0xff, 0xff]), Err(Flaw::Cut));
        assert_eq!(Value::read(&[]), Err(Flaw::Cut));
        assert_eq!(Value::read(&[1, 1]), Err(Flaw::Trailing(1)));
        assert_eq!(Value::read(&[0x91; 200]), Err(Flaw::TooDeep));
    }

    #[test]
    fn a_value_shows_nothing_of_itself_to_a_log() {
        assert_eq!(format!("{:?}", Value::Bytes(b"hunter2")), "text");
    }
}
