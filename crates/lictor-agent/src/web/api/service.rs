//! Clustered services as JSON.

use lictor_core::Wall;
use lictor_core::lease::Next;
use lictor_core::service::member::Local;
use lictor_core::service::operation::{Operation as Asked, Phase, What};
use serde::Serialize;

use crate::LeaseState;
use crate::service::ServiceView;
use crate::web::text::{millis, rfc3339, visible};

/// `GET /v1/services`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Services {
    /// By name.
    pub(in crate::web) services: Vec<Service>,
}

/// `GET /v1/services/NAME`: a service, as this node sees it.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Service {
    pub(in crate::web) name: String,
    /// The node whose view it is.
    pub(in crate::web) node: String,
    /// The nodes between which it passes, the preferred one first.
    pub(in crate::web) nodes: Vec<String>,
    /// Its units, in the order in which they are started.
    pub(in crate::web) units: Vec<String>,
    /// The program of which its only unit is made, and its arguments, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) command: Option<Vec<String>>,
    /// Under whose name that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) user: Option<String>,
    /// The key of powerconsul's cluster data, where it is kept right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) roles: Option<String>,
    /// The datacenter of Consul in which its lease lies, where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) datacenter: Option<String>,
    /// `automatic` or `manual`.
    pub(in crate::web) failover: &'static str,
    pub(in crate::web) lease: Lease,
    pub(in crate::web) here: Here,
    /// The node that runs it, or renews its lease, for all that this one has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) active: Option<String>,
    /// What was asked for last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) operation: Option<Operation>,
    /// Nobody takes it over by itself for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) paused: Option<Paused>,
    /// Why nobody takes it over by itself although that is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) barred: Option<String>,
}

/// Who holds the lease.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Lease {
    /// `held` by this node, by an`other` one, `free`, or `unknown`.
    pub(in crate::web) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) holder: Option<String>,
    /// Grows each time a node takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) token: Option<u64>,
    /// Why it is free, or nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) why: Option<String>,
    /// Whether it is free because somebody wants it so.
    #[serde(skip)]
    pub(in crate::web) stopped: bool,
    /// How long others wait when it is not renewed.
    pub(in crate::web) length_ms: u64,
}

/// How the service stands on this node.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Here {
    /// `running`, `stopped`, `starting`, `stopping`, `partly` or `unknown`.
    pub(in crate::web) state: &'static str,
    /// The token under which it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) token: Option<u64>,
    /// Whether it could run here; none before anybody has looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) able: Option<bool>,
    /// Why it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) why: Option<String>,
    /// It could not be told for too long how it stands: this node neither holds nor takes its lease.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::web) blind: bool,
}

/// Something asked for.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Operation {
    pub(in crate::web) id: String,
    /// `switchover`, `take` or `stop`.
    pub(in crate::web) what: &'static str,
    /// The node that held the lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) from: Option<String>,
    /// The node that is to run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) to: Option<String>,
    /// Who asked.
    pub(in crate::web) by: String,
    /// How long it may take until something irreversible is done for it.
    pub(in crate::web) deadline_ms: u64,
    /// `asked`, `ready`, `stopping`, `handed`, `done` or `failed`.
    pub(in crate::web) phase: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) why: Option<String>,
    /// Whether nothing will be done for it any more.
    pub(in crate::web) over: bool,
}

/// A pause.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Paused {
    pub(in crate::web) until: String,
    pub(in crate::web) by: String,
    pub(in crate::web) why: String,
}

/// Longest text, characters.
const TEXT: usize = 1_000;

/// Longest name, characters.
const NAME: usize = 130;

impl Service {
    pub(in crate::web) fn new(view: &ServiceView, node: &str, now: Wall) -> Self {
        let ServiceView { config, state, .. } = view;
        let pause = state.pause.as_ref().filter(|pause| !pause.left(now).is_zero());
        Self {
            name: config.name.to_string(),
            node: node.to_owned(),
            nodes: config.nodes.clone(),
            units: config.units.iter().map(ToString::to_string).collect(),
            roles: config.roles.clone(),
            datacenter: config.datacenter.clone(),
            command: config.command.as_ref().map(|command| command.argv.clone()),
            user: config.command.as_ref().and_then(|command| command.user.clone()),
            failover: if config.automatic { "automatic" } else { "manual" },
            lease: Lease::new(view, node),
            here: Here::new(view),
            active: active(view, node),
            operation: state.operation.as_ref().map(Operation::new),
            barred: state.barred.as_ref().map(|why| visible(why, TEXT)),
            paused: pause.map(|pause| Paused {
                until: rfc3339(pause.until),
                by: visible(&pause.by, NAME),
                why: visible(&pause.why, TEXT),
            }),
        }
    }
}

/// Whether this node runs it now, under a belief in its lease that holds.
pub(in crate::web) fn runs_here(view: &ServiceView) -> bool {
    matches!((view.state.local, view.believes), (Local::Running { token }, Some(believes)) if token == Some(believes))
}

/// The node that runs it, for all that this one has seen.
pub(in crate::web) fn active(view: &ServiceView, node: &str) -> Option<String> {
    match &view.state.lease {
        LeaseState::Other { holder } => Some(visible(holder, NAME)),
        LeaseState::Held { .. } | LeaseState::Unknown { .. } => runs_here(view).then(|| node.to_owned()),
    }
}

impl Lease {
    fn new(view: &ServiceView, node: &str) -> Self {
        let ServiceView { config, state, .. } = view;
        let length = state.record.as_ref().map_or_else(|| config.times.0.length(), |record| record.length);
        let (why, length_ms) = (None, millis(length));
        let none = Self { state: "unknown", holder: None, token: None, why, stopped: false, length_ms };
        match &state.lease {
            LeaseState::Held { token } => {
                Self { state: "held", holder: Some(node.to_owned()), token: Some(*token), ..none }
            }
            LeaseState::Other { holder } => {
                let record = state.record.as_ref().filter(|record| record.holder == *holder);
                let token = record.map(|record| record.token);
                Self { state: "other", holder: Some(visible(holder, NAME)), token, ..none }
            }
            free if free.is_free() => {
                let released = state.record.as_ref().map(|record| &record.released);
                let why = match released {
                    None => "there is no record of it yet: `lictor service init` makes it".to_owned(),
                    Some(Some(Next::Nobody)) => "the service was stopped on purpose".to_owned(),
                    Some(Some(Next::Node(next))) => format!("it was given back for {}", visible(next, NAME)),
                    Some(Some(Next::Anyone)) => "it was given back".to_owned(),
                    Some(None) => "whoever held it is gone".to_owned(),
                };
                let stopped = matches!(released, Some(Some(Next::Nobody)));
                Self { state: "free", why: Some(why), stopped, ..none }
            }
            LeaseState::Unknown { why } => Self { why: Some(visible(why, TEXT)), ..none },
        }
    }
}

impl Here {
    fn new(view: &ServiceView) -> Self {
        let (state, token) = match view.state.local {
            Local::Unknown | Local::Foreign => ("unknown", None),
            Local::Starting { token } => ("starting", Some(token)),
            Local::Stopping => ("stopping", None),
            Local::Stopped => ("stopped", None),
            Local::Partly => ("partly", None),
            Local::Running { token } => ("running", token),
        };
        let able = view.state.able.as_ref();
        let why = able.and_then(|able| able.as_ref().err()).map(|why| visible(why, TEXT));
        Self { state, token, able: able.map(Result::is_ok), why, blind: view.state.blind }
    }
}

impl Operation {
    pub(in crate::web) fn new(asked: &Asked) -> Self {
        let (phase, why) = match &asked.phase {
            Phase::Asked => ("asked", None),
            Phase::Ready => ("ready", None),
            Phase::Stopping { .. } => ("stopping", None),
            Phase::Handed => ("handed", None),
            Phase::Done => ("done", None),
            Phase::Failed { why } => ("failed", Some(visible(why, TEXT))),
        };
        Self {
            id: visible(&asked.id, NAME),
            what: match asked.what {
                What::Switchover { .. } => "switchover",
                What::Take { .. } => "take",
                What::Stop => "stop",
            },
            from: asked.from.as_deref().map(|from| visible(from, NAME)),
            to: asked.to().map(|to| visible(to, NAME)),
            by: visible(&asked.by, NAME),
            deadline_ms: millis(asked.deadline),
            phase,
            why,
            over: asked.is_over(),
        }
    }
}
