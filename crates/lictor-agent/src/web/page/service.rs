//! Clustered services on the page: where each runs, what this node's part in it is, and what is under way.

use lictor_core::service::operation::Operation as Asked;
use lictor_core::{Now, Status};

use crate::service::ServiceView;
use crate::web::api::{Here, Lease, Operation, Service};
use crate::web::text::{span, utc};

/// The section of the services.
#[derive(Debug)]
pub(super) struct Section {
    /// By name.
    pub(super) rows: Vec<ServiceRow>,
}

/// One service.
#[derive(Debug)]
pub(super) struct ServiceRow {
    pub(super) name: String,
    /// The shape of how it stands.
    pub(super) status: Status,
    /// Whether it is as somebody wants it.
    fine: bool,
    /// Where it runs, in words.
    pub(super) word: String,
    /// How it stands here, and whether it could run here.
    pub(super) here: String,
    /// Between which nodes it passes, and whether by itself.
    pub(super) passes: String,
    /// Where it runs now, and the nodes to which it can be asked to go.
    pub(super) moves: Option<(String, Vec<String>)>,
    /// What is under way: the badge and the words; or what has failed.
    pub(super) asked: Option<(&'static str, String, String)>,
    pub(super) paused: Option<PauseRow>,
}

/// A pause.
#[derive(Debug)]
pub(super) struct PauseRow {
    /// When it ends, for programs and for people.
    pub(super) until: String,
    pub(super) utc: String,
    pub(super) left: String,
    pub(super) by: String,
    /// May be empty.
    pub(super) why: String,
}

impl Section {
    pub(super) fn new(services: &[ServiceView], node: &str, now: Now) -> Self {
        Self { rows: services.iter().map(|view| ServiceRow::new(view, node, now)).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many are as they should be.
    pub(super) fn well(&self) -> usize {
        self.rows.iter().filter(|row| row.fine).count()
    }

    /// The shape of the one that is worst; those that are as they should be pass.
    pub(super) fn worst(&self) -> Status {
        let bad = self.rows.iter().filter(|row| !row.fine);
        bad.map(|row| row.status).max().unwrap_or(Status::Passing)
    }
}

impl ServiceRow {
    fn new(view: &ServiceView, node: &str, now: Now) -> Self {
        let Service { name, nodes, lease, here, active, paused, barred, .. } =
            Service::new(view, node, now.wall);
        let moves = moves(view, active.as_deref(), &nodes);
        let pause = paused.zip(view.state.pause.as_ref());
        let status = status(&lease, &here, active.is_some());
        Self {
            name,
            status,
            fine: status == Status::Passing || lease.stopped,
            word: word(&lease, active.is_some()),
            here: local(&here),
            passes: match (view.config.automatic, barred) {
                (true, Some(why)) => {
                    format!("passes between {}, but not by itself for now: {why}", nodes.join(", "))
                }
                (true, None) => format!("passes by itself between {}", nodes.join(", ")),
                (false, _) => format!("passes between {} when somebody asks for it", nodes.join(", ")),
            },
            moves,
            asked: view.state.operation.as_ref().and_then(asked),
            paused: pause.map(|(paused, pause)| PauseRow {
                until: paused.until,
                utc: utc(pause.until),
                left: span(pause.left(now.wall)),
                by: paused.by,
                why: paused.why,
            }),
        }
    }
}

/// From which node to which others it can be switched over, while nothing is asked of it.
fn moves(view: &ServiceView, active: Option<&str>, nodes: &[String]) -> Option<(String, Vec<String>)> {
    let active = active.filter(|_| view.state.operation.as_ref().is_none_or(Asked::is_over))?;
    let others: Vec<_> = nodes.iter().filter(|node| *node != active).cloned().collect();
    (!others.is_empty()).then(|| (active.to_owned(), others))
}

fn status(lease: &Lease, here: &Here, runs: bool) -> Status {
    match lease.state {
        "unknown" => Status::Unknown,
        _ if !runs && lease.stopped => Status::Unknown,
        _ if !runs && lease.state == "held" => Status::Warning,
        _ if !runs => Status::Critical,
        _ if here.able == Some(false) => Status::Warning,
        _ => Status::Passing,
    }
}

fn word(lease: &Lease, runs: bool) -> String {
    let token = lease.token.map(|token| format!(", token {token}")).unwrap_or_default();
    let why = lease.why.as_deref().unwrap_or_default();
    match (lease.state, lease.holder.as_deref()) {
        ("held", Some(_)) if runs => format!("runs on this node{token}"),
        ("held", _) => format!("this node has it{token}, and it does not run as it should"),
        ("other", Some(holder)) => format!("{holder} has it{token}"),
        ("free", _) => format!("nobody runs it: {why}"),
        _ => format!("nobody here knows who has it: {why}"),
    }
}

fn local(here: &Here) -> String {
    let stands = match (here.state, here.token) {
        ("running", Some(token)) => format!("runs, token {token}"),
        ("running", None) => "runs".to_owned(),
        ("starting", _) => "is being started".to_owned(),
        ("stopping", _) => "is being stopped".to_owned(),
        ("stopped", _) => "stopped".to_owned(),
        ("partly", _) => "does not run as it should".to_owned(),
        _ if here.blind => "not known for too long: this node neither keeps nor takes its lease".to_owned(),
        _ => "not known".to_owned(),
    };
    match (here.able, &here.why) {
        (Some(true), _) if here.state == "running" => stands,
        (Some(true), _) => format!("{stands}; this node can run it"),
        (Some(false), why) => {
            format!("{stands}; this node cannot run it: {}", why.as_deref().unwrap_or_default())
        }
        (None, _) => format!("{stands}; nobody has looked yet whether this node can run it"),
    }
}

/// What is asked for and not over, or has failed.
fn asked(asked: &Asked) -> Option<(&'static str, String, String)> {
    let Operation { what, from, to, by, phase, why, over, .. } = Operation::new(asked);
    let what = match (what, &from, &to) {
        ("switchover", Some(from), Some(to)) => format!("switchover from {from} to {to}"),
        ("switchover", None, Some(to)) => format!("switchover to {to}"),
        ("take", _, Some(to)) => format!("start on {to}"),
        _ => what.to_owned(),
    };
    let to = to.as_deref().unwrap_or("its node");
    let phase = match phase {
        "asked" => format!("{by} has asked for it"),
        "ready" => format!("{to} is ready; {by} has asked for it"),
        "stopping" => format!("it is being stopped where it runs; {by} has asked for it"),
        "handed" => format!("it is stopped, and {to} is to start it; {by} has asked for it"),
        "failed" => format!("has failed: {}; {by} had asked for it", why.unwrap_or_default()),
        _ => return None,
    };
    Some((if over { "failed" } else { "running" }, what, phase))
}
