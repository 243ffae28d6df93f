//! The settings as configuration of Lictor's.
//!
//! What is printed does the same as far as Lictor has the same; where it has not, a comment says
//! so. Secrets are printed, since they are the operator's own, and each is pointed out.

mod notify;
mod routes;
pub mod run;

use std::collections::BTreeMap;

use super::checks::{Blacklist, Expression, Listed, Thresholds};
use super::kv::Settings;
use super::notifiers::Notifier;
use super::profiles::Receiver;
use super::start::Start;
use crate::hcl::{Writer, list, pattern, quoted, selector};

/// The configuration that does what these settings did; `start` adds how Consul is reached.
pub fn import(settings: &Settings, start: Option<&Start>) -> String {
    let mut out = Writer::default();
    out.comment(
        "Made from the settings of consul-alerts. Read it before it is used: what is marked with TODO",
    );
    out.comment(
        "needs a decision, and what is marked with SECRET is better kept in a file (`NAME_file = \"…\"`).",
    );
    for remark in &settings.remarks {
        out.comment(&format!("Was wrong: {remark}."));
    }
    out.blank();
    consul(start, &mut out);
    alerts(settings, settings.checks_enabled, &mut out);
    let names = notify::blocks(settings, &mut out);
    routes::blocks(settings, &names, &mut out);
    if !settings.handlers.is_empty() {
        out.comment(
            "TODO: programs that were called for events of Consul. They are called only under the old name:",
        );
        for handler in &settings.handlers {
            out.comment(&format!("  {handler}"));
        }
    }
    out.end()
}

/// The names of the blocks of notifiers, by what they tell.
type Names = BTreeMap<Receiver, String>;

fn consul(start: Option<&Start>, out: &mut Writer) {
    let Some(start) = start else {
        return out.block("consul", |_| {});
    };
    out.block("consul", |out| {
        consul_settings(start, out);
        if !start.consul.verify {
            out.comment("TODO: CONSUL_HTTP_SSL_VERIFY was false: name the authority with `ca_file` instead.");
        }
        if start.consul.login.is_some() {
            out.comment("TODO: CONSUL_HTTP_AUTH was set; Lictor shows Consul a token.");
        }
    });
}

fn consul_settings(start: &Start, out: &mut Writer) {
    let consul = &start.consul;
    out.set("address", &quoted(&consul.address));
    if let Some(datacenter) = &start.datacenter {
        out.set("datacenter", &quoted(datacenter));
    }
    if let Some(token) = &consul.token {
        out.secret("token", token.expose());
    } else if let Some(file) = &consul.token_file {
        out.set("token_file", &quoted(file));
    }
    let files = [
        ("ca_file", &consul.ca_file),
        ("cert_file", &consul.cert_file),
        ("key_file", &consul.key_file),
        ("server_name", &consul.server_name),
    ];
    for (name, value) in files {
        if let Some(value) = value {
            out.set(name, &quoted(value));
        }
    }
}

/// `watched`: whether Consul's checks are.
fn alerts(settings: &Settings, watched: bool, out: &mut Writer) {
    out.block("alerts", |out| {
        if let Some(cluster) = cluster(settings) {
            out.set("cluster", &quoted(cluster));
        }
        if watched {
            out.block("consul", |_| {});
        } else {
            out.comment("checks/enabled is false: with `consul {}` here the checks would be watched.");
        }
        thresholds(&settings.thresholds, out);
        blacklist(&settings.blacklist, out);
    });
}

/// The first name that is not the usual one.
fn cluster(settings: &Settings) -> Option<&str> {
    let on = settings.notifiers.values().filter(|notifier| notifier.enabled);
    on.map(Notifier::cluster).find(|cluster| !cluster.is_empty() && *cluster != super::notifiers::CLUSTER)
}

fn thresholds(thresholds: &Thresholds, out: &mut Writer) {
    let usual = thresholds.global.as_secs();
    let seconds = |found: i64| u64::try_from(found).unwrap_or(usual);
    let mut one = |selectors: &[(&str, String)], labels: &[(&str, String)], seconds: u64| {
        out.block("threshold", |out| {
            for (name, value) in selectors {
                out.set(name, value);
            }
            out.labels(labels);
            out.set("for", &quoted(&format!("{seconds}s")));
            out.set("recover_for", &quoted(&format!("{seconds}s")));
        });
    };
    for (path, found) in &thresholds.single {
        let mut parts = path.splitn(3, '/');
        if let (Some(node), Some(service), Some(check)) = (parts.next(), parts.next(), parts.next()) {
            let labels = [("service_id", selector(service_of(service))), ("check_id", selector(check))];
            one(&[("node", selector(node))], &labels, seconds(*found));
        }
    }
    for (check, found) in &thresholds.check {
        one(&[], &[("check_id", selector(check))], seconds(*found));
    }
    for (service, found) in &thresholds.service {
        one(&[], &[("service_id", selector(service_of(service)))], seconds(*found));
    }
    for (node, found) in &thresholds.node {
        one(&[("node", selector(node))], &[], seconds(*found));
    }
    one(&[], &[], usual);
}

/// `_` stands for no service.
fn service_of(text: &str) -> &str {
    if text == "_" { "" } else { text }
}

fn listed(listed: &Listed) -> Vec<String> {
    let exact = listed.exact.iter().map(|name| selector(name));
    exact.chain(listed.patterns.iter().map(Expression::as_str).map(pattern)).collect()
}

fn blacklist(blacklist: &Blacklist, out: &mut Writer) {
    let nodes = listed(&blacklist.nodes);
    if !nodes.is_empty() {
        out.block("ignore", |out| out.set("node", &list(&nodes)));
    }
    let services = listed(&blacklist.services);
    if !services.is_empty() {
        out.block("ignore", |out| {
            out.labels(&[("service_id", list(&services))]);
            if !blacklist.services.patterns.is_empty() {
                out.comment("Checks of nodes have no service.");
                out.block("not", |out| out.labels(&[("service_id", quoted(""))]));
            }
        });
    }
    let checks = listed(&blacklist.checks);
    if !checks.is_empty() {
        out.block("ignore", |out| out.labels(&[("check_id", list(&checks))]));
    }
    for path in &blacklist.single {
        let mut parts = path.splitn(3, '/');
        if let (Some(node), Some(service), Some(check)) = (parts.next(), parts.next(), parts.next()) {
            out.block("ignore", |out| {
                out.set("node", &selector(node));
                out.labels(&[("service_id", selector(service_of(service))), ("check_id", selector(check))]);
            });
        }
    }
    if blacklist.status != Listed::default() {
        out.comment("checks/blacklist/status: see `status` and `resolved` of the routes.");
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
