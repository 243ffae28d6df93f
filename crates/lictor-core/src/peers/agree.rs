//! What the nodes that can be asked agree on.

use std::time::Duration;

use super::view::Opinion;
use crate::time::Now;

/// Names of nodes that a message has at most.
const NAMED: usize = 5;

/// Whether a peer that this node sees down is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreed {
    /// Enough nodes see it down.
    Down,
    /// Too few could be asked: it is told, and said.
    Unconfirmed,
    /// Others have not looked since.
    Wait,
    /// Others see it.
    Disputed,
}

/// What is agreed on, when this node sees it down since `begun`. What another saw before then is no answer.
pub(super) fn agree(opinions: &[&Opinion], begun: Now, confirm: u32, patience: Duration, now: Now) -> Agreed {
    let confirm = confirm as usize;
    let down = 1 + opinions.iter().filter(|opinion| !opinion.up).count();
    if down >= confirm {
        return Agreed::Down;
    }
    let heard = heard(opinions, begun);
    let late = now.boot.since(begun.boot) > patience;
    if heard < opinions.len() + 1 && !late {
        Agreed::Wait
    } else if heard < confirm {
        Agreed::Unconfirmed
    } else {
        Agreed::Disputed
    }
}

/// How many nodes have looked since, this one among them. One that does not see it needs not look again.
pub(super) fn heard(opinions: &[&Opinion], begun: Now) -> usize {
    1 + opinions.iter().filter(|opinion| !opinion.up || opinion.at.boot >= begun.boot).count()
}

/// Who sees it and who does not, in words; none when nobody can be asked.
pub(super) fn words(opinions: &[&Opinion]) -> Option<String> {
    let names = |up: bool| -> Vec<&str> {
        opinions.iter().filter(|opinion| opinion.up == up).map(|opinion| opinion.node.as_str()).collect()
    };
    match (list(&names(true)), list(&names(false))) {
        (None, None) => None,
        (Some(up), None) => Some(format!("seen by {up}: the way from here to it is cut")),
        (None, Some(down)) => Some(format!("not seen by {down} either")),
        (Some(up), Some(down)) => Some(format!("seen by {up}, but not by {down}")),
    }
}

/// `n1`, `n1 and n2`, `n1, n2 and 3 more`.
pub(super) fn list(names: &[&str]) -> Option<String> {
    let (last, before) = names.split_last()?;
    if before.is_empty() {
        return Some((*last).to_owned());
    }
    if names.len() > NAMED {
        return Some(format!("{} and {} more", names[..NAMED].join(", "), names.len() - NAMED));
    }
    Some(format!("{} and {last}", before.join(", ")))
}
