//! What is noted before a request: which allocations are meant, and how the counters of their
//! tasks stood.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is to be restarted or replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Aim {
    /// The version of this form.
    v: u32,
    /// The job that the allocations are of.
    pub(super) job: String,
    /// Its namespace.
    pub(super) ns: String,
    /// The service in Consul by which they were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<String>,
    pub(super) targets: Vec<Target>,
    pub(super) method: Method,
}

/// An allocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) alloc: String,
    pub(super) group: String,
    /// When it was made, by the index of Nomad: one that takes its place is younger.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) index: u64,
    /// The tasks that must restart.
    pub(super) tasks: BTreeMap<String, Counters>,
}

/// How a task stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) restarts: u64,
    pub(super) started_at: Option<String>,
}

/// What is done with the allocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Method {
    Restart,
    Replace,
}

const VERSION: u32 = 1;

const fn is_zero(index: &u64) -> bool {
    *index == 0
}

impl Aim {
    pub(super) fn new(
        job: String,
        ns: String,
        service: Option<String>,
        targets: Vec<Target>,
        method: Method,
    ) -> Self {
        Self { v: VERSION, job, ns, service, targets, method }
    }

    /// As it is recorded.
    pub(super) fn to_text(&self) -> String {
        // Maps with texts as keys, and no number that JSON has not: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None` for what is no such note, or one of a later version.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|aim: &Self| aim.v == VERSION && !aim.targets.is_empty())
    }
}

impl Target {
    /// The beginning of the allocation's id, as Nomad's own program shows it.
    pub(super) fn short(&self) -> &str {
        short(&self.alloc)
    }
}

/// The beginning of an allocation's id.
pub(super) fn short(alloc: &str) -> &str {
    alloc.get(..8).unwrap_or(alloc)
}

impl Counters {
    /// Whether the task has been restarted since it stood so, by whomever.
    pub(super) fn moved(&self, now: &Self) -> bool {
        let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        let started = match (time(&self.started_at), time(&now.started_at)) {
            (Some(then), Some(now)) => now > then,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        now.restarts > self.restarts || started
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"v":1,"job":"media","ns":"default","targets":[{"alloc":"b9ac8b7b-0e4f-533f-1e3e-40313eb10d08","group":"dl","index":98,"tasks":{"qbittorrent":{"restarts":3,"started_at":"2026-11-21T00:17:00.266442879Z"}}}],"method":"restart"}"#;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let aim = Aim::from_text(TEXT).unwrap();
        assert_eq!(aim.to_text(), TEXT);
        assert_eq!(aim.targets[0].short(), "b9ac8b7b");
    }

    #[test]
    fn a_note_without_an_index_is_one_too() {
        let aim = Aim::from_text(&TEXT.replace(r#""index":98,"#, "")).unwrap();
        assert_eq!(aim.targets[0].index, 0);
        assert!(!aim.to_text().contains("index"));
    }

    #[test]
    fn other_notes_are_none() {
        for text in ["", "{}", r#"{"v":1,"torrents":[]}"#, &TEXT.replace(r#""v":1"#, r#""v":2"#)] {
            assert_eq!(Aim::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_task_has_been_restarted_when_it_counts_more_or_began_later() {
        let at = |restarts, started: &str| Counters {
            restarts,
            started_at: (!started.is_empty()).then(|| format!("2026-11-21T00:16:{started}Z")),
        };
        let then = at(3, "46.77945968");
        assert!(!then.moved(&then.clone()));
        assert!(then.moved(&at(4, "46.77945968")), "another count");
        assert!(then.moved(&at(3, "46.9")), "a later start");
        // As texts the other way round.
        assert!(then.moved(&at(3, "46.779459681")));
        assert!(!then.moved(&at(3, "46.77945967")), "a read that lags behind");
        assert!(!then.moved(&at(3, "")), "it does not run");
        assert!(at(0, "").moved(&at(0, "46")), "it had never run");
    }
}
