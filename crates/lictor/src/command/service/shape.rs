//! What these commands read of the agent's answers.

use serde::Deserialize;

/// What `GET /v1/services` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Services {
    pub(super) services: Vec<Service>,
}

/// A service, as the node that was asked sees it.
#[derive(Debug, Deserialize)]
pub(super) struct Service {
    pub(super) name: String,
    /// The node that was asked.
    pub(super) node: String,
    pub(super) nodes: Vec<String>,
    pub(super) units: Vec<String>,
    /// A program and its arguments, in the place of units.
    pub(super) command: Option<Vec<String>>,
    /// Under whose name that runs.
    pub(super) user: Option<String>,
    /// The key of powerconsul's cluster data, if that is kept right.
    pub(super) roles: Option<String>,
    /// Where its lease lies, if it says so.
    pub(super) datacenter: Option<String>,
    pub(super) failover: String,
    pub(super) lease: Lease,
    pub(super) here: Here,
    pub(super) active: Option<String>,
    pub(super) operation: Option<Operation>,
    pub(super) paused: Option<Paused>,
    /// Why nobody takes it over by itself although that is wanted.
    pub(super) barred: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Lease {
    pub(super) state: String,
    pub(super) holder: Option<String>,
    pub(super) token: Option<u64>,
    pub(super) why: Option<String>,
    pub(super) length_ms: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Here {
    pub(super) state: String,
    pub(super) token: Option<u64>,
    /// Whether it could run here.
    pub(super) able: Option<bool>,
    /// Why it could not.
    pub(super) why: Option<String>,
    /// It cannot be told how it stands, and so this node neither holds nor takes its lease.
    #[serde(default)]
    pub(super) blind: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) what: String,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) by: String,
    pub(super) deadline_ms: u64,
    pub(super) phase: String,
    pub(super) why: Option<String>,
    pub(super) over: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Paused {
    pub(super) until: String,
    pub(super) by: String,
    pub(super) why: String,
}

/// What became of something that was asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Taken {
    pub(super) message: String,
    /// What the nodes do now; none where there is nothing to do.
    pub(super) operation: Option<Operation>,
    /// Said where it is under way still.
    pub(super) over: Option<bool>,
}

impl Service {
    /// Whether it runs on one node, for all that the asked one can tell.
    pub(super) fn is_well(&self) -> bool {
        self.active.is_some()
    }

    /// Whether something that was asked for is not over.
    pub(super) fn busy(&self) -> Option<&Operation> {
        self.operation.as_ref().filter(|operation| !operation.over)
    }
}

impl Operation {
    /// `a switchover to node2`.
    pub(super) fn text(&self) -> String {
        match (self.what.as_str(), &self.to) {
            ("take", Some(to)) => format!("a start on {to}"),
            ("stop", _) => "a stop".to_owned(),
            (what, Some(to)) => format!("a {what} to {to}"),
            (what, None) => format!("a {what}"),
        }
    }

    /// How far it is, for people.
    pub(super) fn phase_text(&self) -> String {
        let from = self.from.as_deref().unwrap_or("the node that runs it");
        let to = self.to.as_deref().unwrap_or("the node that is to run it");
        match (self.phase.as_str(), &self.why) {
            ("asked", _) => "asked for".to_owned(),
            ("ready", _) => format!("{to} can run it"),
            ("stopping", _) => format!("it is being stopped on {from}"),
            ("handed", _) => format!("it is being started on {to}"),
            ("failed", Some(why)) => format!("failed: {why}"),
            (other, _) => other.to_owned(),
        }
    }
}
