//! What the commands read of the agent's answers. Members they do not show are passed
//! over, so that a newer agent can be asked too.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) node: String,
    pub(crate) datacenter: Option<String>,
    pub(crate) version: String,
    pub(crate) mode: String,
    pub(crate) checks: Counts,
    pub(crate) incidents: OpenCounts,
    pub(crate) runs: RunCounts,
    pub(crate) cannot_record: Option<CannotRecord>,
    pub(crate) withheld: Option<Withheld>,
    pub(crate) copies: Option<Copies>,
    #[serde(default)]
    pub(crate) monitors: Vec<Monitor>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Monitor {
    pub(crate) name: String,
    pub(crate) connection: Option<String>,
    pub(crate) phase: String,
    pub(crate) given_up: bool,
    pub(crate) acts: Option<String>,
    pub(crate) acts_text: Option<String>,
    pub(crate) behind: Option<String>,
    pub(crate) stopped_torrents: usize,
    pub(crate) vpn: Option<String>,
    pub(crate) public_ip: Option<String>,
    #[serde(default)]
    pub(crate) place: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Copies {
    pub(crate) state: String,
    pub(crate) why: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Withheld {
    pub(crate) why: String,
    pub(crate) help: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Counts {
    pub(crate) total: usize,
    pub(crate) passing: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OpenCounts {
    pub(crate) open: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RunCounts {
    pub(crate) active: usize,
    pub(crate) parked: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CannotRecord {
    pub(crate) why: String,
    pub(crate) lasts_ms: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Checks {
    pub(crate) checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) group: Option<String>,
    pub(crate) status: String,
    pub(crate) lasts_ms: u64,
    pub(crate) flapping: bool,
    pub(crate) last: Option<Seen>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    pub(crate) summary: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Incidents {
    pub(crate) incidents: Vec<Incident>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Incident {
    pub(crate) id: String,
    pub(crate) check: String,
    pub(crate) open: bool,
    pub(crate) opened: String,
    pub(crate) lasts_ms: u64,
    pub(crate) status: String,
    pub(crate) worst: String,
    pub(crate) summary: String,
    pub(crate) escalated: bool,
    #[serde(default)]
    pub(crate) timeline: Vec<Event>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Events {
    pub(crate) events: Vec<Event>,
    pub(crate) last: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    pub(crate) at: String,
    pub(crate) text: String,
    pub(crate) incident: Option<String>,
    pub(crate) run: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Remedies {
    pub(crate) remedies: Vec<Remedy>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Remedy {
    pub(crate) name: String,
    pub(crate) target: String,
    pub(crate) mode: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) on: Vec<String>,
    #[serde(default)]
    pub(crate) follows: Vec<String>,
    pub(crate) until: Option<String>,
    pub(crate) guard: Option<String>,
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) action: Option<String>,
    pub(crate) repeat: Option<String>,
    pub(crate) condition: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) on_failure: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Runs {
    pub(crate) runs: Vec<Run>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) remedy: String,
    pub(crate) target: String,
    pub(crate) cause: String,
    #[serde(default)]
    pub(crate) captures: std::collections::BTreeMap<String, String>,
    pub(crate) incident: Option<String>,
    pub(crate) text: String,
    pub(crate) started: String,
    pub(crate) lasts_ms: u64,
    #[serde(default)]
    pub(crate) timeline: Vec<Event>,
}

/// What the agent says when it refuses.
#[derive(Debug, Deserialize)]
pub(crate) struct Refused {
    pub(crate) error: Reason,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Reason {
    #[serde(default)]
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}
