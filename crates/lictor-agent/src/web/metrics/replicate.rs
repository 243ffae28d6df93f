//! Gauges and counters of what is copied between datacenters.

use lictor_core::Now;

use super::Gauges;
use crate::replicate::{CopyView, Phase};

/// How a copy may stand.
const PHASES: [&str; 6] = ["following", "copying", "loading", "failing", "refused", "standby"];

/// Nothing where nothing is copied.
pub(super) fn render(gauges: &mut Gauges<'_>, copies: &[CopyView], now: Option<Now>) {
    if copies.is_empty() {
        return;
    }
    gauges.family("lictor_replicate_phase", "1 for how a copy stands on this node, 0 for the others");
    for view in copies {
        for phase in PHASES {
            let is = u8::from(view.state.phase.word() == phase);
            gauges.of(view, "lictor_replicate_phase", &[("phase", phase)], is);
        }
    }
    // A node that does not copy knows nothing of the rest.
    let here: Vec<&CopyView> =
        copies.iter().filter(|view| !matches!(view.state.phase, Phase::Standby(_))).collect();
    if let Some(now) = now {
        gauges.family(
            "lictor_replicate_lag_seconds",
            "For how long a destination has not been as it should be; 0: it is",
        );
        for view in &here {
            let lag = view.state.behind.map_or(0.0, |since| now.boot.since(since).as_secs_f64());
            gauges.of(view, "lictor_replicate_lag_seconds", &[], lag);
        }
    }
    gauges.family("lictor_replicate_lag_entries", "Keys that wait to be written");
    for view in &here {
        gauges.of(view, "lictor_replicate_lag_entries", &[], view.state.pending);
    }
    gauges.family("lictor_replicate_keys", "Keys of the source");
    for view in &here {
        gauges.of(view, "lictor_replicate_keys", &[], view.state.tally.rows);
    }
    gauges.family("lictor_replicate_refused_keys", "Keys that could not be copied and are tried again");
    for view in &here {
        gauges.of(view, "lictor_replicate_refused_keys", &[], view.state.refused.0);
    }
    gauges.family("lictor_replicate_held_deletes", "Deletes that wait for a person");
    for view in &here {
        let held = view.state.held.as_ref().map_or(0, |held| held.keys);
        gauges.of(view, "lictor_replicate_held_deletes", &[], held);
    }
    gauges.family(
        "lictor_replicate_last_success_timestamp_seconds",
        "When everything of a copy was last as it should be",
    );
    for view in &here {
        if let Some(latest) = view.state.latest {
            let seconds = latest.as_unix_millis().div_euclid(1_000);
            gauges.of(view, "lictor_replicate_last_success_timestamp_seconds", &[], seconds);
        }
    }
    gauges.typed("lictor_replicate_written_total", "Keys that this node has written", "counter");
    for view in &here {
        gauges.of(view, "lictor_replicate_written_total", &[], view.state.tally.written);
    }
    gauges.typed("lictor_replicate_deleted_total", "Keys that this node has deleted", "counter");
    for view in &here {
        gauges.of(view, "lictor_replicate_deleted_total", &[], view.state.tally.deleted);
    }
}

impl Gauges<'_> {
    fn of(&mut self, view: &CopyView, name: &str, more: &[(&str, &str)], value: impl std::fmt::Display) {
        let prefix = view.prefix.to_string();
        let own = [("replicate", view.config.name.as_str()), ("prefix", &prefix), ("to", &view.to)];
        let labels: Vec<(&str, &str)> = own.into_iter().chain(more.iter().copied()).collect();
        self.line(name, &labels, value);
    }
}
