//! Conditions over the present state of checks: one language for `on`, `guard`,
//! `wait_for`, `verify` and `cancel`.

use std::collections::BTreeSet;
use std::fmt;

use crate::check::Status;
use crate::name::{CheckName, ValueName};
use crate::time::Boot;

/// A condition that holds, does not hold, or cannot be told: a check nobody has looked
/// at, a value nobody reported.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A check has this status.
    Is {
        /// The check.
        check: CheckName,
        /// The status it must have.
        status: Status,
    },
    /// A value of a check compares so with a number.
    Value {
        /// The check.
        check: CheckName,
        /// Its value.
        value: ValueName,
        /// The comparison.
        op: Compare,
        /// The number on its right side.
        number: f64,
    },
    /// A value of a check is this text; a number is compared as it is written.
    Text {
        /// The check.
        check: CheckName,
        /// Its value.
        value: ValueName,
        /// The text.
        text: String,
    },
    /// All of them hold.
    All(Vec<Self>),
    /// At least one of them holds.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
}

/// How two numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compare {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
}

/// What conditions are asked of.
pub trait Facts {
    /// The judged status; `Unknown` for a check that nobody has seen.
    fn status(&self, check: &CheckName) -> Status;
    /// Whether that is a judgement; `false` before anybody has looked.
    fn judged(&self, _check: &CheckName) -> bool {
        true
    }
    /// The last reported number, unless the last result was no data.
    fn value(&self, check: &CheckName, value: &ValueName) -> Option<f64>;
    /// The same in words, be it a number or a text.
    fn text(&self, check: &CheckName, value: &ValueName) -> Option<String>;
    /// When the look began that gave the check its last result.
    fn seen(&self, check: &CheckName) -> Option<Boot>;
}

impl Condition {
    /// Whether it holds; `None` when what it needs is not known. *All* and *any*
    /// decide as soon as the known part decides (Kleene's logic).
    pub fn holds(&self, facts: &dyn Facts) -> Option<bool> {
        self.decide(&|leaf| leaf.alone(facts))
    }

    /// As `holds`, by results of `since` or later only: what has none is not known.
    pub fn holds_since(&self, facts: &dyn Facts, since: Boot) -> Option<bool> {
        self.decide(&|leaf| leaf.fresh(facts, since))
    }

    /// As `holds_since`, for proof: a check without data says nothing about any other
    /// status, neither for nor against.
    pub fn proven_since(&self, facts: &dyn Facts, since: Boot) -> Option<bool> {
        self.decide(&|leaf| match leaf {
            Self::Is { check, status }
                if *status != Status::Unknown && facts.status(check) == Status::Unknown =>
            {
                None
            }
            _ => leaf.fresh(facts, since),
        })
    }

    fn decide(&self, leaf: &dyn Fn(&Self) -> Option<bool>) -> Option<bool> {
        let until = |parts: &[Self], deciding: bool| {
            let mut unsure = false;
            for part in parts {
                match part.decide(leaf) {
                    Some(held) if held == deciding => return Some(deciding),
                    Some(_) => {}
                    None => unsure = true,
                }
            }
            if unsure { None } else { Some(!deciding) }
        };
        match self {
            Self::Is { .. } | Self::Value { .. } | Self::Text { .. } => leaf(self),
            Self::All(parts) => until(parts, false),
            Self::Any(parts) => until(parts, true),
            Self::Not(inner) => inner.decide(leaf).map(|held| !held),
        }
    }

    /// What a condition without parts says.
    fn alone(&self, facts: &dyn Facts) -> Option<bool> {
        match self {
            Self::Is { check, status } => facts.judged(check).then(|| facts.status(check) == *status),
            Self::Value { check, value, op, number } => {
                facts.value(check, value).map(|found| op.compare(found, *number))
            }
            Self::Text { check, value, text } => facts.text(check, value).map(|found| found == *text),
            Self::All(_) | Self::Any(_) | Self::Not(_) => None,
        }
    }

    fn fresh(&self, facts: &dyn Facts, since: Boot) -> Option<bool> {
        let (Self::Is { check, .. } | Self::Value { check, .. } | Self::Text { check, .. }) = self else {
            return None;
        };
        if facts.seen(check).is_some_and(|at| at >= since) { self.alone(facts) } else { None }
    }

    /// The checks it names.
    pub fn checks(&self) -> BTreeSet<CheckName> {
        let mut names = BTreeSet::new();
        self.collect(&mut names);
        names
    }

    fn collect(&self, into: &mut BTreeSet<CheckName>) {
        match self {
            Self::Is { check, .. } | Self::Value { check, .. } | Self::Text { check, .. } => {
                into.insert(check.clone());
            }
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.collect(into)),
            Self::Not(inner) => inner.collect(into),
        }
    }
}

impl Compare {
    #[expect(clippy::float_cmp, reason = "`==` is what the user wrote")]
    fn compare(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::GreaterOrEqual => left >= right,
            Self::Greater => left > right,
        }
    }

    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">",
        }
    }
}

impl fmt::Display for Condition {
    /// As the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            f.write_str("(")?;
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    write!(f, " {word} ")?;
                }
                write!(f, "{part}")?;
            }
            f.write_str(")")
        };
        match self {
            Self::Is { check, status } => write!(f, "check.{check} == \"{status}\""),
            Self::Value { check, value, op, number } => {
                write!(f, "value.{check}.{value} {} {number}", op.as_str())
            }
            Self::Text { check, value, text } => write!(f, "value.{check}.{value} == {text:?}"),
            Self::All(parts) => joined(f, parts, "&&"),
            Self::Any(parts) => joined(f, parts, "||"),
            Self::Not(inner) => match &**inner {
                Self::Is { check, status } => write!(f, "check.{check} != \"{status}\""),
                Self::Text { check, value, text } => write!(f, "value.{check}.{value} != {text:?}"),
                other @ Self::Value { .. } => write!(f, "!({other})"),
                other => write!(f, "!{other}"),
            },
        }
    }
}
