//! Changes for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Aspects, Change, How, What};

/// How many of which things changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary(BTreeMap<What, Totals>);

/// How many things of one sort changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// New.
    pub added: u64,
    /// Gone.
    pub removed: u64,
    /// Not as they were.
    pub changed: u64,
    /// As they were.
    pub same: u64,
}

impl Summary {
    /// How many of these.
    #[must_use]
    pub fn of(&self, what: What) -> Totals {
        self.0.get(&what).copied().unwrap_or_default()
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.0.values().all(|totals| totals.added + totals.removed + totals.changed == 0)
    }

    pub(super) fn of_mut(&mut self, what: What) -> &mut Totals {
        self.0.entry(what).or_default()
    }

    /// The numbers, by the names of things.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.0
            .iter()
            .map(|(what, Totals { added, removed, changed, same })| {
                let totals = json!({"added": added, "removed": removed, "changed": changed, "same": same});
                (what.name().to_owned(), totals)
            })
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

impl fmt::Display for Summary {
    /// A line for each sort of thing of which something changed; `no difference` if nothing did.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_same() {
            return f.write_str("no difference\n");
        }
        for (what, Totals { added, removed, changed, same }) in &self.0 {
            if added + removed + changed > 0 {
                let name = what.name();
                writeln!(f, "{name}: {added} added, {removed} removed, {changed} changed, {same} the same")?;
            }
        }
        Ok(())
    }
}

impl Change {
    /// The change as an object: `change`, `what`, `name` (or `name_base64` if it is not UTF-8), and
    /// `aspects` of what changed.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = json!({"change": self.how.name(), "what": self.what.name()});
        match std::str::from_utf8(&self.name) {
            Ok(name) => object["name"] = name.into(),
            Err(_) => object["name_base64"] = STANDARD.encode(&self.name).into(),
        }
        if let How::Changed(aspects) = self.how {
            object["aspects"] = aspects.names(self.what).into();
        }
        object
    }
}

impl fmt::Display for Change {
    /// `+ key app/port`, `- node web1`, `~ key app/port (value, flags)`. Control characters are made visible.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.how {
            How::Added => '+',
            How::Removed => '-',
            How::Changed(_) => '~',
        };
        write!(f, "{sign} {} ", self.what.name())?;
        for letter in String::from_utf8_lossy(&self.name).chars() {
            if letter.is_control() {
                write!(f, "{}", letter.escape_default())?;
            } else {
                write!(f, "{letter}")?;
            }
        }
        match self.how {
            How::Changed(aspects) if self.what == What::Key => {
                write!(f, " ({})", aspects.names(self.what).join(", "))
            }
            How::Added | How::Removed | How::Changed(_) => Ok(()),
        }
    }
}

impl How {
    fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed(_) => "changed",
        }
    }
}

impl Aspects {
    fn names(self, what: What) -> Vec<&'static str> {
        let content = if what == What::Key { "value" } else { "content" };
        [(self.content, content), (self.flags, "flags"), (self.session, "session")]
            .into_iter()
            .filter_map(|(differs, name)| differs.then_some(name))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_line_and_an_object() {
        let how = How::Changed(Aspects { content: true, session: true, flags: false });
        let change = Change { what: What::Key, name: b"a\nb".to_vec(), how };
        assert_eq!(change.to_string(), "~ key a\\nb (value, session)");
        assert_eq!(
            change.to_json().to_string(),
            r#"{"aspects":["value","session"],"change":"changed","name":"a\nb","what":"key"}"#
        );
        let change = Change { what: What::Node, name: b"\xff".to_vec(), how: How::Removed };
        assert_eq!(
            change.to_json().to_string(),
            r#"{"change":"removed","name_base64":"/w==","what":"node"}"#
        );
    }

    #[test]
    fn a_summary_names_what_changed() {
        let mut summary = Summary::default();
        summary.of_mut(What::Node).same = 3;
        assert_eq!(summary.to_string(), "no difference\n");
        *summary.of_mut(What::Key) = Totals { added: 1, removed: 2, changed: 3, same: 4 };
        assert_eq!(summary.to_string(), "key: 1 added, 2 removed, 3 changed, 4 the same\n");
        assert!(!summary.is_same());
    }
}
