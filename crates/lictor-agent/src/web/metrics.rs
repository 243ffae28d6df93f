//! Metrics: counters of what happened, gauges of what is, in Prometheus' text format.

mod alerts;
mod peers;
mod process;
mod replicate;
mod services;
mod snapshots;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::StatusCode;
use lictor_core::{Ending, Event, Hold, NotifierName, Outcome, RunState, Status, What};
use lictor_store::MirrorState;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::State;
use crate::View;
use crate::alert::AlertView;

/// What follows from a message that was not accepted begins so when it is not tried again.
const GIVEN_UP: &str = "given up";

/// The agent's own counters. Clones share them.
///
/// They count from the start of the agent; the ledger has the rest.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    events: Family<Kind, Counter>,
    transitions: Family<To, Counter>,
    incidents: Counter,
    actions: Family<Ended, Counter>,
    suppressed: Family<Reason, Counter>,
    runs: Family<Ended, Counter>,
    escalations: Counter,
    watcher_restarts: Counter,
    deliveries: Family<Delivered, Counter>,
    reloads: Family<Ended, Counter>,
    last_reload_successful: Gauge,
    last_reload_success: Gauge<f64, AtomicU64>,
    requests: Family<Code, Counter>,
    connections: Gauge,
    connections_refused: Counter,
    connections_evicted: Counter,
    streams: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct To {
    to: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivered {
    notifier: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: u16,
}

impl Metrics {
    /// Makes the counters and puts them in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        let Self {
            events,
            transitions,
            incidents,
            actions,
            suppressed,
            runs,
            escalations,
            watcher_restarts,
            deliveries,
            reloads,
            last_reload_successful,
            last_reload_success,
            requests,
            connections,
            connections_refused,
            connections_evicted,
            streams,
        } = new.clone();
        let registry = registry.sub_registry_with_prefix("lictor");
        registry.register("events", "Entries of the ledger", events);
        registry.register("transitions", "Changes of a check's status", transitions);
        registry.register("incidents", "Incidents opened", incidents);
        registry.register("actions", "Outcomes of actions", actions);
        registry.register("actions_suppressed", "Starts of remedies held back", suppressed);
        registry.register("runs_ended", "Runs that ended or were parked", runs);
        registry.register("escalations", "Times a remedy could do no more", escalations);
        registry.register("watcher_restarts", "Watchers that ended or went quiet", watcher_restarts);
        registry.register("alert_deliveries", "Messages of alerts by what became of them", deliveries);
        registry.register("config_reloads", "Reloads of the configuration", reloads);
        registry.register(
            "config_last_reload_successful",
            "Whether the last reload was taken up",
            last_reload_successful,
        );
        registry.register(
            "config_last_reload_success_timestamp_seconds",
            "When a configuration was last taken up",
            last_reload_success,
        );
        registry.register("http_requests", "Requests answered", requests);
        registry.register("http_connections", "Open connections", connections);
        registry.register("http_connections_refused", "Connections closed at once", connections_refused);
        registry.register("http_connections_evicted", "Connections closed for others", connections_evicted);
        registry.register("http_streams", "Clients that follow the events", streams);
        // What starts has a valid configuration; a refused reload clears it.
        new.last_reload_successful.set(1);
        for result in ["done", "failed", "not_started", "unknown"] {
            drop(new.actions.get_or_create(&Ended { result }));
        }
        new
    }

    /// Counts an entry of the ledger. [`super::serve`] has every new one counted.
    pub(super) fn count(&self, event: &Event) {
        self.events.get_or_create(&Kind { kind: event.what.kind() }).inc();
        match &event.what {
            What::Transition { to, .. } => {
                self.transitions.get_or_create(&To { to: to.as_str() }).inc();
            }
            What::IncidentOpened { .. } => {
                self.incidents.inc();
            }
            What::Outcome { outcome, .. } => {
                let result = match outcome {
                    Outcome::Done { .. } => "done",
                    Outcome::Failed { .. } => "failed",
                    Outcome::NotStarted { .. } => "not_started",
                    Outcome::Unknown { .. } => "unknown",
                };
                self.actions.get_or_create(&Ended { result }).inc();
            }
            What::Suppressed { by, .. } => {
                self.suppressed.get_or_create(&Reason { reason: hold(*by) }).inc();
            }
            What::RunEnded { ending, .. } => {
                self.runs.get_or_create(&Ended { result: ending_word(ending) }).inc();
            }
            What::Parked { .. } => {
                self.runs.get_or_create(&Ended { result: "parked" }).inc();
            }
            What::Escalated { .. } => {
                self.escalations.inc();
            }
            What::WatcherRestarted { .. } => {
                self.watcher_restarts.inc();
            }
            What::Told { notifier, .. } => self.delivered(notifier, "accepted"),
            What::NotTold { notifier, next, .. } => {
                self.delivered(notifier, if next.starts_with(GIVEN_UP) { "given_up" } else { "retried" });
            }
            What::Reloaded { .. } => {
                self.reloads.get_or_create(&Ended { result: "done" }).inc();
                self.last_reload_successful.set(1);
                self.last_reload_success.set(seconds(event.at.wall.as_unix_millis()));
            }
            What::ReloadRefused { .. } => {
                self.reloads.get_or_create(&Ended { result: "refused" }).inc();
                self.last_reload_successful.set(0);
            }
            What::AgentStarted { .. }
            | What::AgentStopped
            | What::StateSetAside { .. }
            | What::NameTaken { .. }
            | What::RecordingFailed { .. }
            | What::Adopted { .. }
            | What::RecordingResumed { .. }
            | What::Flapping { .. }
            | What::IncidentClosed { .. }
            | What::Matched { .. }
            | What::ValueChanged { .. }
            | What::RunStarted { .. }
            | What::Intent { .. }
            | What::WouldAct { .. }
            | What::Inspecting { .. }
            | What::Verified { .. }
            | What::Waiting { .. }
            | What::StepDone { .. }
            | What::StepSkipped { .. }
            | What::LeaseChanged { .. }
            | What::Service { .. }
            | What::TakenOver { .. }
            | What::SharedState { .. }
            | What::AlertSource { .. }
            | What::AlertChanged { .. }
            | What::Silenced { .. }
            | What::Acknowledged { .. }
            | What::StepFailed { .. }
            | What::Retrying { .. }
            | What::Commanded { .. } => {}
        }
    }

    fn delivered(&self, notifier: &NotifierName, result: &'static str) {
        self.deliveries.get_or_create(&Delivered { notifier: notifier.to_string(), result }).inc();
    }

    pub(super) fn answered(&self, status: StatusCode) {
        self.requests.get_or_create(&Code { code: status.as_u16() }).inc();
    }

    pub(super) fn connections(&self, open: usize) {
        self.connections.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    pub(super) fn refused(&self) {
        self.connections_refused.inc();
    }

    pub(super) fn evicted(&self) {
        self.connections_evicted.inc();
    }

    pub(super) fn streams(&self, by: i64) {
        self.streams.inc_by(by);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 are exact in an f64 for 285,000 years"
)]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

/// The label of what holds a remedy back.
pub(super) fn hold(by: Hold) -> &'static str {
    match by {
        Hold::Guard => "guard",
        Hold::Cooldown => "cooldown",
        Hold::Budget => "budget",
        Hold::Busy => "busy",
        Hold::GaveUp => "gave_up",
        Hold::Fleet => "fleet",
        Hold::Unconfirmed => "unconfirmed",
        Hold::Lease => "lease",
    }
}

fn ending_word(ending: &Ending) -> &'static str {
    match ending {
        Ending::Done => "done",
        Ending::Failed { .. } => "failed",
        Ending::Cancelled { .. } => "cancelled",
    }
}

/// The states a run can have, as labels.
const RUN_STATES: [&str; 7] =
    ["acting", "inspecting", "verifying", "backing_off", "queued", "waiting", "parked"];

/// The label of a run's state; `None` when it has ended.
fn run_state(state: &RunState) -> Option<&'static str> {
    Some(match state {
        RunState::Preparing { .. } => "preparing",
        RunState::Acting { .. } => "acting",
        RunState::Inspecting { .. } => "inspecting",
        RunState::Verifying { .. } => "verifying",
        RunState::BackingOff { .. } => "backing_off",
        RunState::Queued { .. } => "queued",
        RunState::Waiting { .. } => "waiting",
        RunState::Parked { .. } => "parked",
        RunState::Ended(..) => return None,
    })
}

/// Everything as `OpenMetrics` text, `# EOF` at its end. Without a view (the decide
/// loop does not answer) `lictor_up` is 0 and what would come from it is left out; so is what
/// would come from alerts that do not answer.
pub(super) fn render(state: &State, view: Option<&View>, desk: Option<&AlertView>) -> String {
    let mut page = String::with_capacity(16 * 1024);
    let mut gauges = Gauges(&mut page);
    gauges.family("lictor_up", "Whether the decide loop answers");
    gauges.line("lictor_up", &[], u64::from(view.is_some()));
    gauges.family("lictor_build_info", "The running version");
    gauges.line("lictor_build_info", &[("version", &state.version), ("node", &state.node)], 1);
    if let Some(view) = view {
        gauges.view(view);
    }
    if let Some(desk) = desk {
        alerts::render(&mut gauges, desk);
    }
    peers::render(&mut gauges, &Arc::clone(&state.mesh.borrow()));
    replicate::render(&mut gauges, &state.replication.all(), view.map(|view| view.at));
    services::render(&mut gauges, &state.services.all(), view.map(|view| view.at.wall));
    snapshots::render(&mut gauges, &state.snapshots.all());
    process::render(&mut gauges);
    if text::encode(&mut page, &state.registry).is_err() {
        tracing::error!("the metrics cannot be written as text");
    }
    page
}

/// Writes families of gauges.
struct Gauges<'a>(&'a mut String);

impl Gauges<'_> {
    fn family(&mut self, name: &str, help: &str) {
        self.typed(name, help, "gauge");
    }

    fn typed(&mut self, name: &str, help: &str, kind: &str) {
        self.push(format_args!("# HELP {name} {help}.\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.0.push_str(r"\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.push(format_args!(" {value}\n"));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        self.0.write_fmt(text).ok();
    }

    fn view(&mut self, view: &View) {
        self.family("lictor_checks", "Checks by status");
        for status in Status::ALL {
            let count = view.checks.values().filter(|check| check.status == status).count();
            self.line("lictor_checks", &[("status", status.as_str())], count);
        }
        self.family("lictor_check_status", "1 for the status a check has, 0 for the others");
        for (name, check) in &view.checks {
            for status in Status::ALL {
                let labels = [("check", name.as_str()), ("status", status.as_str())];
                self.line("lictor_check_status", &labels, u8::from(check.status == status));
            }
        }
        self.family("lictor_check_flapping", "Whether a check flaps");
        for (name, check) in view.checks.iter().filter(|(_, check)| check.flapping) {
            self.line("lictor_check_flapping", &[("check", name.as_str())], u8::from(check.flapping));
        }
        self.family("lictor_incidents_open", "Open incidents");
        let open = || view.incidents.values().filter(|incident| incident.closed.is_none());
        self.line("lictor_incidents_open", &[], open().count());
        self.family("lictor_incidents_escalated", "Open incidents that need a person");
        self.line("lictor_incidents_escalated", &[], open().filter(|incident| incident.escalated).count());
        self.family("lictor_runs", "Unfinished runs of remedies by what they do");
        for state in RUN_STATES {
            let count = view.runs.values().filter(|run| run_state(&run.state) == Some(state)).count();
            self.line("lictor_runs", &[("state", state)], count);
        }
        self.family("lictor_remedies_gave_up", "Remedies that stopped because they did not help");
        self.line("lictor_remedies_gave_up", &[], view.floods.values().filter(|flood| flood.gave_up).count());
        self.family("lictor_observe_mode", "Whether nothing is done, only recorded");
        let observes = view.plan.mode == lictor_core::Mode::Observe;
        self.line("lictor_observe_mode", &[], u8::from(observes));
        self.family("lictor_withheld", "Whether nothing is done until Consul tells of an earlier store");
        self.line("lictor_withheld", &[], u8::from(view.withheld));
        if let Some(copies) = &view.copies {
            self.family("lictor_name_taken", "Whether another live machine has the name of this node");
            self.line("lictor_name_taken", &[], u8::from(matches!(copies, MirrorState::Duplicate { .. })));
        }
        self.family("lictor_cannot_record", "Whether nothing can be recorded, so nothing is done");
        self.line("lictor_cannot_record", &[], u8::from(view.cannot_record.is_some()));
    }
}

/// The text for a reader of the older format (`text/plain; version=0.0.4`): there a
/// counter's family has the name of its samples, and there is neither unit nor end.
pub(super) fn classic(open: &str) -> String {
    let mut page = String::with_capacity(open.len());
    let mut help: Option<&str> = None;
    for line in open.lines() {
        if line.starts_with("# HELP ") {
            help = Some(line);
            continue;
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let counter = kind == "counter" && !name.ends_with("_total");
            let suffix = if counter { "_total" } else { "" };
            if let Some((_, text)) = help.take().and_then(|help| help.get(7..)?.split_once(' ')) {
                page.extend(["# HELP ", name, suffix, " ", text, "\n"]);
            }
            page.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            page.extend([line, "\n"]);
        }
    }
    page
}

/// The registry of one agent and its counters.
pub fn registry() -> (Arc<Registry>, Metrics) {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    (Arc::new(registry), metrics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_core::{CheckName, Now};

    fn event(what: What) -> Event {
        Event { at: Now::default(), incident: None, run: None, what }
    }

    fn text_of(registry: &Registry) -> String {
        let mut page = String::new();
        text::encode(&mut page, registry).unwrap();
        page
    }

    #[test]
    fn events_are_counted_by_what_they_say() {
        let (registry, metrics) = registry();
        let outcome = Outcome::Failed { detail: "exit status 1".into() };
        let step = "restart".parse().unwrap();
        metrics.count(&event(What::Outcome { step, attempt: 1, outcome }));
        metrics.count(&event(What::IncidentOpened { check: CheckName::new("shop").unwrap() }));
        metrics.count(&event(What::ReloadRefused { why: "no".into() }));
        let page = text_of(&registry);
        for line in [
            "lictor_actions_total{result=\"failed\"} 1\n",
            "lictor_actions_total{result=\"done\"} 0\n",
            "lictor_incidents_total 1\n",
            "lictor_events_total{kind=\"outcome\"} 1\n",
            "lictor_config_last_reload_successful 0\n",
        ] {
            assert!(page.contains(line), "{line}{page}");
        }
        metrics.count(&event(What::Reloaded { difference: String::new() }));
        assert!(text_of(&registry).contains("lictor_config_last_reload_successful 1\n"));
    }

    #[test]
    fn the_older_format_names_counters_by_their_samples() {
        let open = "# HELP a_b Text.\n# TYPE a_b counter\na_b_total 1\n# HELP c C.\n# TYPE c gauge\n# UNIT c s\nc 2\n# EOF\n";
        let plain = "# HELP a_b_total Text.\n# TYPE a_b_total counter\na_b_total 1\n# HELP c C.\n# TYPE c gauge\nc 2\n";
        assert_eq!(classic(open), plain);
    }

    #[test]
    fn labels_are_escaped() {
        let mut page = String::new();
        Gauges(&mut page).line("x", &[("a", "q\"b\\c\nd"), ("e", "")], 1);
        assert_eq!(page, "x{a=\"q\\\"b\\\\c\\nd\",e=\"\"} 1\n");
    }
}
