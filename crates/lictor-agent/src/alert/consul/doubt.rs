//! Lists that may have less in them than there is.

use std::fmt;

/// Why a list is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// There is nothing in it. Every server of Consul's is a node with a check of its own, so that
    /// this only says that the token may see nothing.
    Empty,
    /// Consul says that it left something out, and had not before.
    Hidden,
    /// It has less than half of what there was.
    Shrunk {
        /// So many there were.
        from: usize,
        /// So many there are.
        to: usize,
    },
}

/// What is known of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List {
    /// How many rows it has.
    pub(super) rows: usize,
    /// Whether Consul says that it left something out for the token's sake.
    pub(super) filtered: bool,
}

/// The doubt about a list after the one that was last believed. `sure`: it was read to see whether one
/// that had shrunk is right, and from a leader that made sure that it leads.
pub(super) fn doubt(before: Option<List>, now: List, sure: bool) -> Option<Doubt> {
    if now.rows == 0 {
        return Some(Doubt::Empty);
    }
    let before = before?;
    if now.filtered && !before.filtered {
        return Some(Doubt::Hidden);
    }
    let shrunk = now.rows < before.rows.div_ceil(2);
    (shrunk && !sure).then_some(Doubt::Shrunk { from: before.rows, to: now.rows })
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Consul shows no check at all"),
            Self::Hidden => f.write_str("Consul no longer shows the token everything"),
            Self::Shrunk { from, to } => {
                write!(f, "Consul shows {to} checks after {from}; asking again before they count as gone")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(before: Option<usize>, now: usize, sure: bool) -> Option<Doubt> {
        let list = |rows| List { rows, filtered: false };
        doubt(before.map(list), list(now), sure)
    }

    #[test]
    fn an_empty_list_is_never_believed() {
        for (before, sure) in [(None, false), (None, true), (Some(1), false), (Some(100), true)] {
            assert_eq!(of(before, 0, sure), Some(Doubt::Empty));
        }
    }

    #[test]
    fn a_list_of_less_than_half_is_believed_when_it_was_read_twice() {
        assert_eq!(of(Some(100), 49, false), Some(Doubt::Shrunk { from: 100, to: 49 }));
        assert_eq!(of(Some(100), 49, true), None);
        for (before, now) in [(100, 50), (3, 2), (2, 1), (1, 1), (5, 500)] {
            assert_eq!(of(Some(before), now, false), None, "{before} to {now}");
        }
        assert_eq!(of(Some(3), 1, false), Some(Doubt::Shrunk { from: 3, to: 1 }));
        assert_eq!(of(None, 1, false), None, "there is nothing to compare the first one with");
    }

    #[test]
    fn a_list_that_begins_to_hide_something_is_not_believed_until_it_stops() {
        let list = |rows, filtered| List { rows, filtered };
        let seen = Some(list(10, false));
        assert_eq!(doubt(seen, list(9, true), false), Some(Doubt::Hidden));
        assert_eq!(doubt(seen, list(9, true), true), Some(Doubt::Hidden));
        assert_eq!(doubt(seen, list(9, false), false), None);
        assert_eq!(doubt(Some(list(10, true)), list(9, true), false), None, "a token that sees a part");
        assert_eq!(doubt(None, list(9, true), false), None);
    }
}
