//! What the old program noted in Consul of a prefix.

use lictor_core::replicate::Prefix;
use md5::{Digest as _, Md5};
use serde_json::Value;
use thiserror::Error;

use super::prefix::old_source;
use crate::gojson;

/// A note: how far a prefix was copied. It lies in the datacenter that was copied to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// The index of the last list of the source that was copied; 0: none was.
    pub last_replicated: u64,
    /// What the keys begin with at the source. The datacenter is not told.
    pub source: String,
    /// What stands there instead at the destination.
    pub destination: String,
}

/// A value that is no note.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("it is no status of consul-replicate: {0}")]
pub struct NoteError(String);

impl Note {
    /// The note of a prefix of which everything was copied that the source had at that index.
    pub fn new(prefix: &Prefix, last_replicated: u64) -> Self {
        Self {
            last_replicated,
            source: old_source(prefix).to_owned(),
            destination: prefix.destination.clone(),
        }
    }

    /// Reads it, also as another program might have written it. An empty value is a note of nothing.
    ///
    /// # Errors
    /// If it is no object of JSON, or its index is none.
    pub fn read(value: &[u8]) -> Result<Self, NoteError> {
        let value = value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value);
        if value.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let read: Value = serde_json::from_slice(value).map_err(|error| NoteError(error.to_string()))?;
        let object = match &read {
            Value::Null => return Ok(Self::default()),
            Value::Object(object) => object,
            _ => return Err(NoteError("it is no object".to_owned())),
        };
        let text = |name| gojson::member(object, name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let last_replicated = match gojson::member(object, "LastReplicated") {
            None | Some(Value::Null) => 0,
            Some(found) => index(found).ok_or_else(|| NoteError(format!("LastReplicated is {found}")))?,
        };
        Ok(Self { last_replicated, source: text("Source"), destination: text("Destination") })
    }

    /// What is stored.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let [source, destination] = [&self.source, &self.destination].map(gojson::to_string);
        Ok(format!(
            "{{\n  \"LastReplicated\": {},\n  \"Source\": {},\n  \"Destination\": {}\n}}",
            self.last_replicated, source?, destination?
        ))
    }
}

/// A whole number, or a text that is one.
fn index(found: &Value) -> Option<u64> {
    found.as_u64().or_else(|| found.as_str()?.trim().parse().ok())
}

/// The key of a prefix's note in a directory that ends with a slash.
pub(super) fn key(status_dir: &str, prefix: &Prefix) -> String {
    let digest = Md5::digest(format!("{}-{}", old_source(prefix), prefix.destination));
    let mut key = status_dir.to_owned();
    for byte in digest {
        crate::push(&mut key, format_args!("{byte:02x}"));
    }
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn its_key_is_a_digest_of_source_and_destination() {
        assert_eq!(key("s/", &prefix("global/@dc1:backup/")), "s/b5bd7c1285ebd5c22d36934ca6438ad8");
        assert_eq!(key("s/", &prefix("global/@dc2:backup/")), key("s/", &prefix("global/@dc1:backup/")));
        assert_ne!(key("s/", &prefix("global@dc1")), key("s/", &prefix("global@dc1:backup")));
    }

    #[test]
    fn it_is_written_as_go_writes_it() {
        let json = Note::new(&prefix("a<b/@dc1:é/"), u64::MAX).to_json().unwrap();
        insta::assert_snapshot!(json, @r#"
        {
          "LastReplicated": 18446744073709551615,
          "Source": "a\u003cb/",
          "Destination": "é/"
        }
        "#);
        assert!(!json.ends_with('\n'));
        assert_eq!(Note::new(&prefix("/@dc1:all/"), 1).source, "/");
    }

    #[test]
    fn it_is_read_also_as_others_may_have_written_it() {
        let index = |text: &str| Note::read(text.as_bytes()).map(|note| note.last_replicated);
        for text in ["", " \n", "null", "{}", r#"{"LastReplicated": null, "Source": 1}"#] {
            assert_eq!(index(text), Ok(0), "{text}");
        }
        for text in [
            r#"{"LastReplicated":7}"#,
            r#"{"lastreplicated": "7", "More": []}"#,
            "\u{feff}{\"LastReplicated\" : 7}",
        ] {
            assert_eq!(index(text), Ok(7), "{text}");
        }
        for text in ["7", "[]", "{", r#"{"LastReplicated":-1}"#, r#"{"LastReplicated":1.5}"#, "\u{1}"] {
            assert!(index(text).is_err(), "{text}");
        }
        let note = Note::read(br#"{"LastReplicated":7,"Source":"a","Destination":"b"}"#).unwrap();
        assert_eq!(note, Note { last_replicated: 7, source: "a".to_owned(), destination: "b".to_owned() });
    }

    proptest! {
        #[test]
        fn it_comes_back_as_it_was(last_replicated: u64, source: String, destination: String) {
            let note = Note { last_replicated, source, destination };
            prop_assert_eq!(Note::read(note.to_json().unwrap().as_bytes()), Ok(note));
        }

        #[test]
        fn no_value_makes_it_panic(value: Vec<u8>) {
            Note::read(&value).ok();
        }
    }
}
