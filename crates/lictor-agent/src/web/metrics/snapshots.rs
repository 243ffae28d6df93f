//! Gauges and counters of snapshots of Consul.

use jiff::Timestamp;

use super::Gauges;
use crate::snapshot::{PlaceState, SnapshotPhase, SnapshotView};

/// How they may stand.
const PHASES: [&str; 8] =
    ["waiting", "taking", "sending", "drilling", "looking", "failing", "refused", "standby"];

/// Nothing where none are taken.
pub(super) fn render(gauges: &mut Gauges<'_>, snapshots: &[SnapshotView]) {
    if snapshots.is_empty() {
        return;
    }
    gauges.family("lictor_snapshot_phase", "1 for how snapshots stand on this node, 0 for the others");
    for view in snapshots {
        for phase in PHASES {
            let is = u8::from(view.state.phase.word() == phase);
            gauges.snapshot(view, "lictor_snapshot_phase", &[("phase", phase)], is);
        }
    }
    // A node that does not take them knows nothing of the rest.
    let here: Vec<&SnapshotView> = snapshots
        .iter()
        .filter(|view| view.state.known && !matches!(view.state.phase, SnapshotPhase::Standby(_)))
        .collect();
    gauges.family(
        "lictor_snapshot_last_success_timestamp_seconds",
        "When the newest snapshot in a place was begun; those that could not be sent do not count",
    );
    each_place(&here, |view, place| {
        if let Some(newest) = place.newest {
            let labels = [("place", place.name.as_str())];
            gauges.snapshot(view, "lictor_snapshot_last_success_timestamp_seconds", &labels, seconds(newest));
        }
    });
    gauges.family("lictor_snapshot_place_healthy", "Whether snapshots can be sent to a place");
    each_place(&here, |view, place| {
        let healthy = u8::from(place.trouble.is_none());
        gauges.snapshot(view, "lictor_snapshot_place_healthy", &[("place", &place.name)], healthy);
    });
    gauges.family("lictor_snapshot_stored", "Snapshots in a place");
    each_place(&here, |view, place| {
        if let Some(count) = place.count {
            gauges.snapshot(view, "lictor_snapshot_stored", &[("place", &place.name)], count);
        }
    });
    gauges.family("lictor_snapshot_stored_bytes", "Bytes of them");
    each_place(&here, |view, place| {
        if place.count.is_some() {
            gauges.snapshot(view, "lictor_snapshot_stored_bytes", &[("place", &place.name)], place.bytes);
        }
    });
    gauges.family("lictor_snapshot_size_bytes", "Bytes of the latest snapshot, before encryption");
    for view in &here {
        if let Some(latest) = &view.state.latest {
            gauges.snapshot(view, "lictor_snapshot_size_bytes", &[], latest.bytes);
        }
    }
    gauges.family("lictor_snapshot_index", "The index of the state in the latest snapshot");
    for view in &here {
        if let Some(latest) = &view.state.latest {
            gauges.snapshot(view, "lictor_snapshot_index", &[], latest.index);
        }
    }
    gauges.family(
        "lictor_snapshot_duration_seconds",
        "How long the latest snapshot took to be taken and checked",
    );
    for view in &here {
        let millis = u32::try_from(view.state.tally.took_ms).unwrap_or(u32::MAX);
        gauges.snapshot(view, "lictor_snapshot_duration_seconds", &[], f64::from(millis) / 1_000.0);
    }
    gauges.family(
        "lictor_snapshot_drill_success",
        "Whether the latest drill could restore the newest snapshot",
    );
    for view in &here {
        if let Some(drill) = view.state.drill.as_ref().filter(|drill| drill.at.is_some()) {
            gauges.snapshot(view, "lictor_snapshot_drill_success", &[], u8::from(drill.failed.is_none()));
        }
    }
    gauges.family(
        "lictor_snapshot_drill_last_success_timestamp_seconds",
        "When a drill could last restore a snapshot",
    );
    for view in &here {
        if let Some(sound) = view.state.drill.as_ref().and_then(|drill| drill.sound) {
            let name = "lictor_snapshot_drill_last_success_timestamp_seconds";
            gauges.snapshot(view, name, &[], seconds(sound));
        }
    }
    gauges.typed(
        "lictor_snapshot_taken_total",
        "Snapshots that this node has taken and found sound",
        "counter",
    );
    for view in snapshots {
        gauges.snapshot(view, "lictor_snapshot_taken_total", &[], view.state.tally.taken);
    }
    gauges.typed("lictor_snapshot_failures_total", "Attempts of this node that failed", "counter");
    for view in snapshots {
        gauges.snapshot(view, "lictor_snapshot_failures_total", &[], view.state.tally.failed);
    }
    gauges.typed(
        "lictor_snapshot_removed_total",
        "Snapshots that this node has removed because newer ones are there",
        "counter",
    );
    for view in snapshots {
        gauges.snapshot(view, "lictor_snapshot_removed_total", &[], view.state.tally.removed);
    }
}

fn each_place(views: &[&SnapshotView], mut each: impl FnMut(&SnapshotView, &PlaceState)) {
    for view in views {
        for place in &view.state.places {
            each(view, place);
        }
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.as_second()
}

impl Gauges<'_> {
    fn snapshot(
        &mut self,
        view: &SnapshotView,
        name: &str,
        more: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) {
        let own = [("snapshot", view.config.name.as_str())];
        let labels: Vec<(&str, &str)> = own.into_iter().chain(more.iter().copied()).collect();
        self.line(name, &labels, value);
    }
}
