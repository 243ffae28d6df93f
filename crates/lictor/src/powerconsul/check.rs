//! `check`: whether a resource is as it should be here.

use lictor_compat::powerconsul::{CheckRequest, Outcome, Resource, Runs, Verdict, role_name};
use lictor_core::service::{Change, Expected, Role, change};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::local::{self, named};
use super::log::Log;
use super::place::Place;
use super::roles::{Memory, carry_out};
use super::tag;
use super::view::View;

/// What a check puts out.
#[derive(Debug)]
pub(crate) struct Told {
    /// The line for the standard output.
    pub(crate) line: String,
    /// Why it cannot be told, for the standard error.
    pub(crate) trouble: Option<String>,
    pub(crate) verdict: Verdict,
}

impl Told {
    /// That it cannot be told, because of this.
    pub(crate) fn trouble(members: Map<String, Value>, clustered: bool, trouble: String) -> Self {
        let mut members = members;
        members.insert("error".to_owned(), trouble.as_str().into());
        let verdict = Verdict::Unknown;
        let line = Outcome { verdict, expects: None, clustered, members }.line();
        Self { line, trouble: Some(trouble), verdict }
    }
}

/// Makes a check, and what follows from it: roles are exchanged where that is asked for, the tag for DNS is set.
pub(crate) async fn check(place: &Place, request: &CheckRequest) -> Told {
    let service = request.consul_service.as_str();
    // A group has the log of a service.
    let kind =
        if matches!(request.resource, Resource::Group(_)) { "service" } else { request.resource.kind() };
    let log = Log::new(&place.logs, "check", &format!("{kind}.{service}"));
    let looked = async {
        let view = View::of(place, service).await?;
        Ok(in_view(place, request, &view, &log).await)
    };
    // Consul gives a check 30 s, and takes one that it has to end for critical.
    let told = timeout(place.check_limit, looked).await;
    let told = told.unwrap_or_else(|_late| Err(format!("no answer within {:?} in all", place.check_limit)));
    let told = told.unwrap_or_else(|why| {
        let clustered = place.conf.cluster_key.is_some();
        Told::trouble(named(place, &request.resource), clustered, why)
    });
    if let Some(why) = &told.trouble {
        log.error(service, "check", why);
    }
    log.info(service, "check", &told.line);
    told
}

async fn in_view(place: &Place, request: &CheckRequest, view: &View, log: &Log) -> Told {
    let service = request.consul_service.as_str();
    for remark in &view.remarks {
        log.error(service, "view", remark);
    }
    let noop = local::noop(place, request).await;
    let mut found = if noop.counts.is_some() {
        let members = named(place, &request.resource);
        local::Found { verdict: Verdict::Passing, runs: Runs::Unknown, members, trouble: None }
    } else {
        local::look(place, &request.resource, view.expected).await
    };
    let clustered = view.role != Role::Standalone;
    let trouble = found.trouble.take().or_else(|| {
        let why = if view.remarks.is_empty() {
            "a check there says so".to_owned()
        } else {
            view.remarks.join("; ")
        };
        let untold = view.expected == Expected::Unknown && found.verdict == Verdict::Unknown;
        untold.then(|| format!("Cannot tell how the active side is: {why}"))
    });
    if let Some(why) = &trouble {
        found.members.insert("error".to_owned(), why.as_str().into());
    }
    if let Some(says) = noop.counts.or(noop.expired) {
        found.members.insert("noop".to_owned(), says.into());
    }
    if !view.remarks.is_empty() {
        found.members.insert("remarks".to_owned(), view.remarks.clone().into());
    }
    if let Some(sight) = view.sight.filter(|_| view.role == Role::Standby) {
        found.members.insert("role".to_owned(), role_name(view.role).into());
        found.members.insert("activePassing".to_owned(), sight.passing.into());
    }
    follow(place, request, view, found.runs, log).await;
    let expects = match view.expected {
        Expected::Running => Some(true),
        Expected::Stopped => Some(false),
        Expected::Unknown => None,
    };
    let verdict = found.verdict;
    let line = Outcome { verdict, expects, clustered, members: found.members }.line();
    Told { line, trouble, verdict }
}

/// What follows from a look: changes of the roles, and the tag.
async fn follow(place: &Place, request: &CheckRequest, view: &View, runs: Runs, log: &Log) {
    let service = request.consul_service.as_str();
    let memory = Memory::of(place, service, request.resource.kind());
    // Where some pass, though fewer than wanted, roles stay: an exchange would take those away.
    let nobody = view.sight.is_some_and(|sight| sight.passing == 0 && sight.unknown == 0);
    let may_exchange = request.update && nobody;
    let wanted = change(view.role, view.share.as_ref(), view.expected, runs == Runs::Yes, may_exchange);
    let due = match wanted {
        Some(Change::Exchange) => memory.again(place).unwrap_or_else(|why| {
            log.error(service, "setPrimary", &why);
            false
        }),
        Some(Change::Unlock) => true,
        None => false,
    };
    if wanted != Some(Change::Exchange) && request.update {
        memory.forget();
    }
    if let Some(change) = wanted.filter(|_| due) {
        let method = if change == Change::Exchange { "setPrimary" } else { "unlock" };
        match carry_out(place, view, change).await {
            Ok(()) => log.info(service, method, "done in all datacenters"),
            Err(why) => log.error(service, method, &why),
        }
        memory.forget();
    }
    let hidden = match view.expected {
        Expected::Running => false,
        Expected::Stopped => true,
        // As it is, it stays.
        Expected::Unknown => return,
    };
    match tag::set(&place.client, service, hidden).await {
        Ok(true) => log.info(service, "setDNS", if hidden { "tag nodns added" } else { "tag nodns removed" }),
        Ok(false) => {}
        Err(why) => log.error(service, "setDNS", &format!("Failed to update DNS tag: {why}")),
    }
}
