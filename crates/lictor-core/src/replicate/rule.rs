//! What is copied, and what is left alone.

use regex::Regex;

/// Flags by which Consul's clients mark the key of a lock.
pub(super) const LOCK: u64 = 0x2ddc_cbc0_58a5_0c18;

/// The same for a semaphore.
pub(super) const SEMAPHORE: u64 = 0xe0f6_9a2b_aa41_4de0;

/// What is copied.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What the keys begin with at the source.
    pub source: String,
    /// The datacenter of the destination.
    pub to: String,
    /// What stands there instead at the destination.
    pub destination: String,
    /// Keys of the source that are left alone, and their copies with them.
    pub excludes: Vec<Exclude>,
    /// What keys of the destination begin with that are left alone.
    pub protected: Vec<String>,
    /// Whether a key that only the destination has is deleted.
    pub delete: bool,
    /// Whether a copy that somebody else has changed is put right, also when the source has not changed since.
    pub repair: bool,
    /// What becomes of locks and semaphores.
    pub locks: Locks,
    /// How many keys may be deleted at a time without a person.
    pub limit: Limit,
}

/// Keys that are left alone.
#[derive(Clone, Debug)]
pub enum Exclude {
    /// Those that begin so.
    Prefix(String),
    /// Those in which this stands.
    Contains(String),
    /// Those that fit.
    Matches(Regex),
}

/// What becomes of keys that a session holds, or that are marked as a lock or a semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locks {
    /// They are not copied: who holds a lock in one place holds none in the other.
    Skip,
    /// Their values are copied, without the session.
    Copy,
}

/// How many keys may be deleted at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many.
    Keys(u64),
    /// So many of a hundred, and ten in any case.
    Percent(u8),
}

/// Deletes that no share of the whole stops.
const FEW: u64 = 10;

impl PartialEq for Exclude {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Prefix(one), Self::Prefix(two)) | (Self::Contains(one), Self::Contains(two)) => one == two,
            (Self::Matches(one), Self::Matches(two)) => one.as_str() == two.as_str(),
            (Self::Prefix(_) | Self::Contains(_) | Self::Matches(_), _) => false,
        }
    }
}

impl Eq for Exclude {}

impl Exclude {
    /// Whether a key of the source is left alone.
    fn fits(&self, key: &str) -> bool {
        match self {
            Self::Prefix(prefix) => key.starts_with(prefix.as_str()),
            Self::Contains(text) => key.contains(text.as_str()),
            Self::Matches(regex) => regex.is_match(key),
        }
    }
}

impl Limit {
    /// Whether so many deletes of so many keys are too many.
    pub(super) const fn is_exceeded(self, deletes: u64, of: u64) -> bool {
        match self {
            Self::Keys(most) => deletes > most,
            Self::Percent(share) => {
                deletes > FEW && deletes.saturating_mul(100) > of.saturating_mul(share as u64)
            }
        }
    }
}

impl Rule {
    /// The copy's key for what follows the prefix.
    pub fn copy_of(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.destination)
    }

    /// The key of the source for what follows the prefix.
    pub fn origin_of(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.source)
    }

    /// Whether keys with this after the prefix are none of the rule's business.
    pub(super) fn leaves(&self, suffix: &str) -> bool {
        if suffix.is_empty() && self.destination.is_empty() {
            // It would have no name.
            return true;
        }
        let excluded = !self.excludes.is_empty() && {
            let origin = self.origin_of(suffix);
            self.excludes.iter().any(|exclude| exclude.fits(&origin))
        };
        excluded || self.protected.iter().any(|prefix| begins_with(&self.destination, suffix, prefix))
    }

    /// Whether a key of the source is a lock or a semaphore that stays where it is.
    pub(super) const fn is_lock(&self, flags: u64, session: bool) -> bool {
        matches!(self.locks, Locks::Skip) && (session || flags == LOCK || flags == SEMAPHORE)
    }
}

/// Whether two texts, one after the other, begin so.
fn begins_with(first: &str, second: &str, prefix: &str) -> bool {
    match prefix.strip_prefix(first) {
        Some(rest) => second.starts_with(rest),
        None => first.starts_with(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(source: &str, destination: &str) -> Rule {
        Rule {
            source: source.into(),
            to: "dc2".into(),
            destination: destination.into(),
            excludes: Vec::new(),
            protected: Vec::new(),
            delete: true,
            repair: true,
            locks: Locks::Skip,
            limit: Limit::Percent(10),
        }
    }

    #[test]
    fn a_prefix_is_text_and_not_a_folder() {
        let rule = rule("global", "backup");
        assert_eq!(rule.copy_of("ization"), "backupization");
        assert_eq!(rule.copy_of("/a//b"), "backup/a//b");
        assert_eq!(rule.origin_of("/a"), "global/a");
    }

    #[test]
    fn what_is_excluded_is_meant_by_its_name_at_the_source() {
        let mut rule = rule("global/", "backup/");
        rule.excludes = vec![
            Exclude::Prefix("global/secret".into()),
            Exclude::Contains("_dc1_only_".into()),
            Exclude::Matches(Regex::new(r"\.tmp$").unwrap()),
        ];
        for left in ["secret", "secrets/a", "x/_dc1_only_/y", "a.tmp"] {
            assert!(rule.leaves(left), "{left}");
        }
        for copied in ["", "a", "sec", "backup/secret", "a.tmp/b"] {
            assert!(!rule.leaves(copied), "{copied}");
        }
    }

    #[test]
    fn what_is_protected_is_meant_by_its_name_at_the_destination() {
        let mut rule = rule("global/", "backup/");
        rule.protected = vec!["backup/own/".into(), "service/".into()];
        assert!(rule.leaves("own/a"));
        assert!(!rule.leaves("own"));
        assert!(!rule.leaves("service/a"));
        rule.protected = vec!["back".into()];
        assert!(rule.leaves("anything"));
    }

    #[test]
    fn no_key_without_a_name_comes_about() {
        assert!(rule("a", "").leaves(""));
        assert!(!rule("a", "").leaves("b"));
    }

    #[test]
    fn a_few_deletes_are_no_shrinking() {
        assert!(!Limit::Percent(10).is_exceeded(10, 10));
        assert!(Limit::Percent(10).is_exceeded(11, 100));
        assert!(!Limit::Percent(10).is_exceeded(11, 110));
        assert!(Limit::Percent(0).is_exceeded(11, 1_000_000));
        assert!(Limit::Keys(0).is_exceeded(1, 100));
        assert!(!Limit::Keys(5).is_exceeded(5, 5));
    }
}
