//! What the agent and a guard say to each other: one line in one datagram.
//!
//! ```text
//! lictor-guard 1 begin NUMBER TOKEN AWAKE WHOLE LASTS    a start: the guard's first belief
//! lictor-guard 1 until TOKEN AWAKE WHOLE LASTS           its belief from now on, longer or shorter
//! lictor-guard 1 over                                    nothing may run any more
//! lictor-guard 1 ask NUMBER                              how it stands
//!
//! lictor-guard 1 waits NUMBER                            it has not been begun
//! lictor-guard 1 guards NUMBER TOKEN LEFT
//! lictor-guard 1 refuses NUMBER                          this begin: it guards another token, or there is no time
//! ```
//!
//! Times are nanoseconds; a belief is told as it is, and both sides read the same clocks. An agent of a later
//! version finds guards of this one, and they go on for as long as the service does: version 1 stays.

use std::time::Duration;

use lictor_core::lease::{Belief, LONGEST, Stamp};

/// Longer than any of them.
pub(in crate::service) const ROOM: usize = 256;

const HEAD: [&str; 2] = ["lictor-guard", "1"];

/// What the agent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::service) enum Said {
    /// The service is being started: this is the guard's first belief. It answers.
    Begin { number: u64, belief: Belief },
    /// What is believed now. A guard that was not begun under this token does not heed it.
    Until(Belief),
    /// Nothing of the service may run any more.
    Over,
    /// How does it stand? It answers.
    Ask { number: u64 },
}

/// What a guard answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::service) enum Answer {
    /// It has no belief yet.
    Waits,
    /// It lets the service run.
    Guards {
        /// The token under which it runs.
        token: u64,
        /// For how long from now.
        left: Duration,
    },
    /// It was begun before, under another token; or the belief is over.
    Refuses,
}

impl Said {
    /// As it is sent.
    pub(in crate::service) fn to_text(self) -> String {
        let [name, version] = HEAD;
        let belief = |belief: Belief| {
            let Belief { token, since, lasts } = belief;
            format!("{token} {} {} {}", since.awake.as_nanos(), since.whole.as_nanos(), lasts.as_nanos())
        };
        match self {
            Self::Begin { number, belief: first } => {
                format!("{name} {version} begin {number} {}", belief(first))
            }
            Self::Until(now) => format!("{name} {version} until {}", belief(now)),
            Self::Over => format!("{name} {version} over"),
            Self::Ask { number } => format!("{name} {version} ask {number}"),
        }
    }

    /// What was said; `None` for everything that is not exactly one of ours.
    pub(in crate::service) fn read(bytes: &[u8]) -> Option<Self> {
        let (word, numbers) = read(bytes)?;
        let belief = |numbers: &[u64]| {
            let &[token, awake, whole, lasts] = numbers else { return None };
            let [awake, whole, lasts] = [awake, whole, lasts].map(Duration::from_nanos);
            (lasts <= LONGEST).then_some(Belief { token, since: Stamp { awake, whole }, lasts })
        };
        match (word, numbers.as_slice()) {
            ("begin", [number, rest @ ..]) => Some(Self::Begin { number: *number, belief: belief(rest)? }),
            ("until", numbers) => Some(Self::Until(belief(numbers)?)),
            ("over", []) => Some(Self::Over),
            ("ask", [number]) => Some(Self::Ask { number: *number }),
            _ => None,
        }
    }
}

impl Answer {
    /// As it is sent, to the question with that number.
    pub(in crate::service) fn to_text(self, number: u64) -> String {
        let [name, version] = HEAD;
        match self {
            Self::Waits => format!("{name} {version} waits {number}"),
            Self::Guards { token, left } => {
                format!("{name} {version} guards {number} {token} {}", left.as_nanos())
            }
            Self::Refuses => format!("{name} {version} refuses {number}"),
        }
    }

    /// What was answered, and to which question.
    pub(in crate::service) fn read(bytes: &[u8]) -> Option<(u64, Self)> {
        let (word, numbers) = read(bytes)?;
        match (word, numbers.as_slice()) {
            ("waits", [number]) => Some((*number, Self::Waits)),
            ("guards", [number, token, left]) => {
                Some((*number, Self::Guards { token: *token, left: Duration::from_nanos(*left) }))
            }
            ("refuses", [number]) => Some((*number, Self::Refuses)),
            _ => None,
        }
    }
}

/// The word and the numbers of a line of ours.
fn read(bytes: &[u8]) -> Option<(&str, Vec<u64>)> {
    let mut parts = str::from_utf8(bytes).ok()?.split(' ');
    if [parts.next()?, parts.next()?] != HEAD {
        return None;
    }
    let word = parts.next()?;
    let numbers: Option<Vec<u64>> = parts.map(number).collect();
    Some((word, numbers?))
}

/// Digits only: no sign, no blanks.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn belief() -> Belief {
        let since = Stamp { awake: Duration::from_nanos(5), whole: Duration::from_secs(7) };
        Belief { token: 3, since, lasts: Duration::from_millis(2_500) }
    }

    #[test]
    fn what_is_said_is_read_as_it_was_meant() {
        let said = [
            Said::Begin { number: 9, belief: belief() },
            Said::Until(belief()),
            Said::Over,
            Said::Ask { number: u64::MAX },
        ];
        for said in said {
            let text = said.to_text();
            assert!(text.len() < ROOM, "{text}");
            assert_eq!(Said::read(text.as_bytes()), Some(said), "{text}");
        }
        let left = Duration::from_millis(1);
        for answer in [Answer::Waits, Answer::Guards { token: 3, left }, Answer::Refuses] {
            assert_eq!(Answer::read(answer.to_text(4).as_bytes()), Some((4, answer)));
        }
        assert_eq!(Said::Until(belief()).to_text(), "lictor-guard 1 until 3 5 7000000000 2500000000");
    }

    #[test]
    fn what_is_not_exactly_so_is_not_heeded() {
        for odd in [
            "",
            "lictor-guard 1",
            "lictor-guard 2 over",
            "lictor-guard 1 over ",
            "lictor-guard 1  over",
            "lictor-guard 1 over 1",
            "lictor-guard 1 over\n",
            "lictor-guard 1 until 3 5 7",
            "lictor-guard 1 until 3 5 7 8 9",
            "lictor-guard 1 until 3 5 7 +8",
            "lictor-guard 1 until 3 5 7 -8",
            "lictor-guard 1 until 3 5 7 ",
            // Longer than any lease.
            "lictor-guard 1 until 3 5 7 3600000000001",
            "lictor-guard 1 until 3 5 7 18446744073709551616",
            "lictor-guard 1 begin 1 3 5 7",
            "lictor-guard 1 ask",
            "\u{e4}",
        ] {
            assert_eq!(Said::read(odd.as_bytes()), None, "{odd:?}");
        }
        assert_eq!(Said::read(&[0xff, 0xfe]), None);
        assert_eq!(Answer::read(b"lictor-guard 1 guards 1 2"), None);
    }
}
