//! What one look at a peer found.

use std::fmt;

/// What a peer answered, or that it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It says how its own checks stand.
    Report {
        /// So many are good …
        good: u32,
        /// … of so many.
        total: u32,
        /// Those that are not, with the status of their answers; 0 for none.
        failing: Vec<Failing>,
    },
    /// It answered 200 with something that is no report of a probe.
    Junk {
        /// What is wrong with it.
        why: String,
    },
    /// It answered with another status.
    Refused {
        /// The status.
        code: u16,
    },
    /// It did not answer.
    Silent {
        /// Why, as far as it is known.
        why: String,
    },
}

/// A check of a peer that is not good.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failing {
    /// What is looked at: a URL, or `check:NAME`.
    pub url: String,
    /// The status of its answer; 0 for none.
    pub code: u16,
}

impl Seen {
    /// Whether the peer is well: it reports, and all its checks are good.
    pub const fn is_well(&self) -> bool {
        matches!(self, Self::Report { good, total, .. } if *good == *total)
    }

    /// Whether the peer itself runs, whatever it says of its checks.
    pub const fn is_there(&self) -> bool {
        matches!(self, Self::Report { .. })
    }

    /// The status of its answer; 0 for none.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Report { .. } | Self::Junk { .. } => 200,
            Self::Refused { code } => *code,
            Self::Silent { .. } => 0,
        }
    }

    /// How many of its checks are good, of how many; none when it does not report.
    pub const fn counts(&self) -> (u32, u32) {
        match self {
            Self::Report { good, total, .. } => (*good, *total),
            Self::Junk { .. } | Self::Refused { .. } | Self::Silent { .. } => (0, 0),
        }
    }

    /// Its checks that are not good.
    pub fn failing(&self) -> &[Failing] {
        match self {
            Self::Report { failing, .. } => failing,
            Self::Junk { .. } | Self::Refused { .. } | Self::Silent { .. } => &[],
        }
    }
}

/// For people: `2 of 3 checks are good: https://x/ (500)`, `no answer: connection refused`.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Report { total: 0, .. } => f.write_str("it answers"),
            Self::Report { good, total, failing } => {
                write!(f, "{good} of {total} checks are good")?;
                for (place, one) in failing.iter().enumerate() {
                    let before = if place == 0 { ": " } else { ", " };
                    match one.code {
                        0 => write!(f, "{before}{} (no answer)", one.url)?,
                        code => write!(f, "{before}{} ({code})", one.url)?,
                    }
                }
                Ok(())
            }
            Self::Junk { why } => write!(f, "its answer is no report of a probe: {why}"),
            Self::Refused { code } => write!(f, "it answers with status {code}"),
            Self::Silent { why } => write!(f, "no answer: {why}"),
        }
    }
}
