//! `SOURCE@DATACENTER[:DESTINATION]`.

use std::fmt;
use std::str::FromStr;

/// A prefix of the keys of one datacenter, and what stands there instead in another one.
///
/// Both are text, not folders: nothing is added to them, and `global` means `globalization` too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// What the keys begin with at the source; empty: all of them.
    pub source: String,
    /// The datacenter of the source.
    pub datacenter: String,
    /// What stands there instead at the destination.
    pub destination: String,
}

/// Why a text is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixError {
    /// It is empty.
    Empty,
    /// There is no `@` and datacenter behind the prefix.
    NoDatacenter,
    /// It is something else.
    Format,
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the prefix is missing",
            Self::NoDatacenter => "the datacenter of the source is missing",
            Self::Format => "this is no prefix",
        })
    }
}

impl std::error::Error for PrefixError {}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (from, destination) = match text.split_once(':') {
            Some((from, destination)) => (from, Some(destination).filter(|text| !text.is_empty())),
            None => (text, None),
        };
        if from.is_empty() {
            return Err(PrefixError::Empty);
        }
        let (source, datacenter) = from.split_once('@').ok_or(PrefixError::NoDatacenter)?;
        let letter = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if source.is_empty() || datacenter.is_empty() || !datacenter.chars().all(letter) {
            return Err(PrefixError::Format);
        }
        let source = source.strip_prefix('/').unwrap_or(source);
        Ok(Self {
            source: source.to_owned(),
            datacenter: datacenter.to_owned(),
            destination: destination.unwrap_or(source).to_owned(),
        })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, datacenter, destination } = self;
        // A source of no text has no other way to be written.
        let source = if source.is_empty() { "/" } else { source };
        write!(f, "{source}@{datacenter}:{destination}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, String, String), PrefixError> {
        let Prefix { source, datacenter, destination } = text.parse()?;
        Ok((source, datacenter, destination))
    }

    #[test]
    fn a_prefix_has_a_datacenter_and_may_have_a_destination() {
        let is = |text, source: &str, datacenter: &str, destination: &str| {
            assert_eq!(read(text).unwrap(), (source.into(), datacenter.into(), destination.into()), "{text}");
        };
        is("global@dc1", "global", "dc1", "global");
        is("global@dc1:backup", "global", "dc1", "backup");
        is("/global/@dc-1.x_y:a:b", "global/", "dc-1.x_y", "a:b");
        is("global@dc1:", "global", "dc1", "global");
        is("//global@dc1", "/global", "dc1", "/global");
        is("/@dc1:all/", "", "dc1", "all/");
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(read(""), Err(PrefixError::Empty));
        assert_eq!(read(":backup"), Err(PrefixError::Empty));
        assert_eq!(read("global"), Err(PrefixError::NoDatacenter));
        assert_eq!(read("global:backup"), Err(PrefixError::NoDatacenter));
        for odd in ["@dc1", "global@", "global@d c", "a@b@c"] {
            assert_eq!(read(odd), Err(PrefixError::Format), "{odd}");
        }
    }
}
