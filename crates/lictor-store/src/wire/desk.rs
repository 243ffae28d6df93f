//! What nodes that share one desk of alerts say to each other in records.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lictor_core::DeliveryId;
use lictor_core::alert as core;
use serde::{Deserialize, Serialize};

use super::alert::{Item, Silence, Told};
use super::row::Status;
use super::{WireError, millis, name};

/// Who tells now: the record that each commit of the desk rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// The node.
    pub holder: String,
    /// The token of its lease.
    pub token: u64,
    /// Another number for each term: writing what is there already would change nothing, and fence
    /// nobody.
    pub number: u64,
}

/// The marker of a node that shares a desk: it lived then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// When it was written, by the clock of that node: milliseconds since 1970.
    pub unix_ms: i64,
}

/// What a node says of a subject of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    source: String,
    key: String,
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    tags: BTreeSet<String>,
    status: Status,
    output: String,
    notes: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    maintenance: bool,
    judged: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    news: Option<u64>,
    /// What the node told its receivers while it was cut off.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    told: BTreeMap<String, Told>,
}

impl Said {
    /// What a source says.
    pub fn new(source: &core::Source, report: &core::Report) -> Self {
        Self {
            source: source.to_string(),
            key: report.subject.key.to_string(),
            labels: report.subject.labels.clone(),
            tags: report.subject.tags.clone(),
            status: report.status.into(),
            output: report.output.clone(),
            notes: report.notes.clone(),
            maintenance: report.maintenance,
            judged: report.judged,
            news: report.news,
            told: report.told.iter().map(|(name, told)| (name.to_string(), told.into())).collect(),
        }
    }

    /// The source, and what it says.
    ///
    /// # Errors
    /// When it names something that cannot have such a name.
    pub fn into_report(self) -> Result<(core::Source, core::Report), WireError> {
        let told = self.told.into_iter().map(|(notifier, told)| Ok((name(&notifier)?, told.into())));
        let key = core::SubjectKey::stored(&self.key);
        let report = core::Report {
            subject: core::Subject { key, labels: self.labels, tags: self.tags },
            status: self.status.into(),
            output: self.output,
            notes: self.notes,
            maintenance: self.maintenance,
            judged: self.judged,
            news: self.news,
            told: told.collect::<Result<_, WireError>>()?,
        };
        Ok((core::Source::new(&self.source), report))
    }
}

/// What a node asks of the one that tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ask {
    /// A silence; it begins when it is taken up.
    Silence {
        /// What is silenced.
        silence: Silence,
        /// Whether it has an id already.
        named: bool,
    },
    /// The end of one.
    Unsilence {
        /// Its id.
        id: String,
        /// Who wants it.
        by: String,
    },
    /// Somebody looks after a subject.
    Acknowledge {
        /// Which.
        subject: String,
        /// Who.
        by: String,
        /// What they say.
        comment: String,
        /// So long at most.
        lasting_ms: Option<u64>,
    },
    /// Nobody does any more.
    Unacknowledge {
        /// Which.
        subject: String,
        /// Who says so.
        #[serde(default)]
        by: String,
    },
    /// Waiting messages are tried at once.
    Retry {
        /// Which.
        which: Which,
        /// Who wants it.
        by: String,
    },
    /// Waiting messages are given up.
    Drop {
        /// Which.
        which: Which,
        /// Who wants it.
        by: String,
    },
    /// What another program reports.
    Posted {
        /// As it came.
        alerts: Vec<serde_json::Value>,
        /// How long each holds still, by the clock of the node that it came to; 0 when it is over.
        /// Without these, what they say themselves is judged by the clock of the one that tells.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_ms: Vec<u64>,
    },
    /// A message was sent by a node that was no longer the one that tells.
    Late {
        /// By this notifier.
        notifier: String,
        /// This was in it.
        items: Vec<Item>,
    },
}

/// Some messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// That one.
    One(u64),
    /// All of a notifier.
    Of(String),
    /// All.
    All,
}

/// What became of what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub done: bool,
    /// In words.
    pub said: String,
    /// When, for whoever tidies up: milliseconds since 1970.
    pub unix_ms: i64,
}

impl Ask {
    /// What a person asks for; `None` for what only the calendar of the node that tells does.
    pub fn of(command: &core::Command, now: lictor_core::Now) -> Option<Self> {
        Some(match command {
            core::Command::Silence { id, when, lasting, by, comment } => {
                let silence = core::Silence {
                    id: id.clone().unwrap_or_default(),
                    when: when.clone(),
                    from: now,
                    lasting: *lasting,
                    by: by.clone(),
                    comment: comment.clone(),
                };
                Self::Silence { silence: (&silence).into(), named: id.is_some() }
            }
            core::Command::Unsilence { id, by } => Self::Unsilence { id: id.clone(), by: by.clone() },
            core::Command::Acknowledge { subject, by, comment, lasting } => Self::Acknowledge {
                subject: subject.to_string(),
                by: by.clone(),
                comment: comment.clone(),
                lasting_ms: lasting.map(millis),
            },
            core::Command::Unacknowledge { subject, by } => {
                Self::Unacknowledge { subject: subject.to_string(), by: by.clone() }
            }
            core::Command::Retry { which, by } => Self::Retry { which: which.into(), by: by.clone() },
            core::Command::Drop { which, by } => Self::Drop { which: which.into(), by: by.clone() },
            core::Command::Digest { .. } => return None,
        })
    }

    /// What is to be done, when a person asked.
    ///
    /// # Errors
    /// When it is nothing that such a record can hold.
    pub fn into_command(self) -> Result<core::Command, WireError> {
        Ok(match self {
            Self::Silence { silence, named } => {
                let core::Silence { id, when, lasting, by, comment, .. } = silence.try_into()?;
                core::Command::Silence { id: named.then_some(id), when, lasting, by, comment }
            }
            Self::Unsilence { id, by } => core::Command::Unsilence { id, by },
            Self::Acknowledge { subject, by, comment, lasting_ms } => core::Command::Acknowledge {
                subject: core::SubjectKey::stored(&subject),
                by,
                comment,
                lasting: lasting_ms.map(Duration::from_millis),
            },
            Self::Unacknowledge { subject, by } => {
                core::Command::Unacknowledge { subject: core::SubjectKey::stored(&subject), by }
            }
            Self::Retry { which, by } => core::Command::Retry { which: which.try_into()?, by },
            Self::Drop { which, by } => core::Command::Drop { which: which.try_into()?, by },
            Self::Posted { .. } | Self::Late { .. } => {
                return Err(WireError::damaged("nobody asks for that"));
            }
        })
    }
}

impl From<&core::Deliveries> for Which {
    fn from(which: &core::Deliveries) -> Self {
        match which {
            core::Deliveries::One(id) => Self::One(id.0),
            core::Deliveries::Of(notifier) => Self::Of(notifier.to_string()),
            core::Deliveries::All => Self::All,
        }
    }
}

impl TryFrom<Which> for core::Deliveries {
    type Error = WireError;
    fn try_from(which: Which) -> Result<Self, WireError> {
        Ok(match which {
            Which::One(id) => Self::One(DeliveryId(id)),
            Which::Of(notifier) => Self::Of(name(&notifier)?),
            Which::All => Self::All,
        })
    }
}
