//! One record as `journalctl -o json` writes it: a line with one object.
//!
//! Odd bytes come as an array of numbers, a field that is there several times as an array of its
//! values, and one that is too large as `null`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::decoder::{Decoder, Slot};

/// Hands the fields of a record to a decoder.
pub(super) fn read(line: &[u8], decoder: &mut Decoder) -> Result<(), serde_json::Error> {
    let mut from = serde_json::Deserializer::from_slice(line);
    from.deserialize_map(Fields(decoder))?;
    from.end()
}

struct Fields<'a>(&'a mut Decoder);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record of a journal")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let slot = self.0.slot(name.as_bytes());
            let slot = slot.ok_or_else(|| A::Error::custom("not the name of a field"))?;
            if slot.wanted() {
                let name = name.as_bytes();
                map.next_value_seed(Field { decoder: self.0, name, slot, within: false, again: false })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The value of a field, or one of several.
struct Field<'a> {
    decoder: &'a mut Decoder,
    name: &'a [u8],
    slot: Slot,
    /// Whether it stands in an array.
    within: bool,
    /// Whether it is not the first there.
    again: bool,
}

/// What a part of an array was.
enum Part {
    Byte(u8),
    Whole,
}

impl Field<'_> {
    fn text(self, text: &[u8]) -> Part {
        self.decoder.keep(self.slot, text);
        self.decoder.finish(self.slot);
        Part::Whole
    }
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Part;

    fn deserialize<D: serde::Deserializer<'de>>(mut self, from: D) -> Result<Part, D::Error> {
        if self.again {
            self.slot = self.decoder.slot(self.name).unwrap_or(self.slot);
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a journal")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Part, E> {
        Ok(self.text(text.as_bytes()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Part, E> {
        match u8::try_from(number) {
            Ok(byte) if self.within => Ok(Part::Byte(byte)),
            _ => Ok(self.text(number.to_string().as_bytes())),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Part, E> {
        self.decoder.cut(self.slot);
        Ok(Part::Whole)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Part, A::Error> {
        let Self { decoder, name, slot, .. } = self;
        let (mut again, mut bytes) = (false, false);
        loop {
            let part = Field { decoder, name, slot, within: true, again: again && !bytes };
            let Some(part) = parts.next_element_seed(part)? else { break };
            if let Part::Byte(byte) = part {
                decoder.keep(slot, &[byte]);
                bytes = true;
            }
            again = true;
        }
        if bytes {
            decoder.finish(slot);
        }
        Ok(Part::Whole)
    }
}
