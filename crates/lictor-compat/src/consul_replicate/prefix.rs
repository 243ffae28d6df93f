//! What a prefix looks like, and what is wrong with one that is none.

use lictor_core::replicate::{Exclude, Prefix, PrefixError};
use thiserror::Error;

/// A text that is no prefix. The words are those of the old program.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum NoPrefix {
    #[error("missing prefix")]
    Missing,
    #[error("missing datacenter")]
    NoDatacenter,
    #[error("invalid source format: {0:?}")]
    Format(String),
    #[error("{0:?} asks for a namespace or a partition; keys of those cannot be copied under this name")]
    Namespace(String),
}

/// Reads `SOURCE@DATACENTER[:DESTINATION]`.
pub(super) fn prefix(text: &str) -> Result<Prefix, NoPrefix> {
    if text.trim().is_empty() {
        return Err(NoPrefix::Missing);
    }
    let source = text.split_once(':').map_or(text, |(source, _)| source);
    // Later versions split there; in a key it has no business.
    if source.contains("?ns=") || source.contains("?partition=") {
        return Err(NoPrefix::Namespace(source.to_owned()));
    }
    text.parse().map_err(|error| match error {
        PrefixError::NoDatacenter => NoPrefix::NoDatacenter,
        PrefixError::Empty | PrefixError::Format => NoPrefix::Format(source.to_owned()),
    })
}

/// How the old program wrote the source: it had no word for all keys.
pub(super) fn old_source(prefix: &Prefix) -> &str {
    if prefix.source.is_empty() { "/" } else { &prefix.source }
}

/// Keys that begin so.
pub(super) fn exclude(text: &str) -> Result<Exclude, &'static str> {
    if text.trim().is_empty() { Err("missing exclude") } else { Ok(Exclude::Prefix(text.to_owned())) }
}

/// Keys in which this stands.
pub(super) fn exclude_match(text: &str) -> Result<Exclude, &'static str> {
    if text.trim().is_empty() { Err("missing excludematch") } else { Ok(Exclude::Contains(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_read_as_it_was() {
        for (text, shown) in [
            ("global@dc1", "global@dc1:global"),
            ("/global/@dc1:backup/", "global/@dc1:backup/"),
            ("global@dc1:", "global@dc1:global"),
            ("global@dc1:a:b", "global@dc1:a:b"),
            ("/@dc1:all/", "/@dc1:all/"),
            (" global@dc1", " global@dc1: global"),
        ] {
            assert_eq!(prefix(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_in_the_old_words() {
        for (text, why) in [
            ("", "missing prefix"),
            ("  ", "missing prefix"),
            ("global", "missing datacenter"),
            ("/", "missing datacenter"),
            ("global:backup@dc1", "missing datacenter"),
            (":backup", "invalid source format: \"\""),
            ("@dc1", "invalid source format: \"@dc1\""),
            ("global@:x", "invalid source format: \"global@\""),
            ("a@b@c", "invalid source format: \"a@b@c\""),
        ] {
            assert_eq!(prefix(text).unwrap_err().to_string(), why, "{text}");
        }
        assert!(matches!(prefix("global?ns=x@dc1"), Err(NoPrefix::Namespace(_))));
    }

    #[test]
    fn nothing_is_excluded_by_nothing() {
        assert_eq!(exclude(" "), Err("missing exclude"));
        assert_eq!(exclude_match(""), Err("missing excludematch"));
        assert_eq!(exclude("a"), Ok(Exclude::Prefix("a".to_owned())));
    }
}
