//! Gauges of the alerts.

use lictor_core::Status;

use super::Gauges;
use crate::alert::{AlertView, Seat};

pub(super) fn render(gauges: &mut Gauges<'_>, view: &AlertView) {
    gauges.family("lictor_alerts", "What is wrong by the status that counts");
    for status in Status::ALL.into_iter().filter(|status| *status != Status::Passing) {
        let count = view.cases.values().filter(|(case, _)| case.settled == status).count();
        gauges.line("lictor_alerts", &[("status", status.as_str())], count);
    }
    gauges.family("lictor_alerts_muted", "Alerts of which nobody is told");
    let wrong = view.cases.values().filter(|(case, _)| case.settled != Status::Passing);
    gauges.line("lictor_alerts_muted", &[], wrong.filter(|(_, mute)| mute.is_some()).count());
    gauges.family("lictor_alert_deliveries_waiting", "Messages that no notifier has accepted yet");
    for notifier in view.plan.notifiers.keys() {
        let count = view.deliveries.values().filter(|one| one.notifier == *notifier).count();
        gauges.line("lictor_alert_deliveries_waiting", &[("notifier", notifier.as_str())], count);
    }
    gauges.family("lictor_alert_silences", "Silences in force");
    gauges.line("lictor_alert_silences", &[], view.silences.len());
    gauges.family("lictor_alert_sources_lost", "Sources of alerts that cannot be asked");
    gauges.line("lictor_alert_sources_lost", &[], view.lost.len());
    if view.seat != Seat::Local {
        gauges.family("lictor_alerts_teller", "Whether this node tells for all that share their alerts");
        gauges.line("lictor_alerts_teller", &[], u8::from(matches!(view.seat, Seat::Ours { .. })));
    }
    gauges.family("lictor_alerts_cannot_record", "Whether alerts cannot be recorded, so nobody is told");
    gauges.line("lictor_alerts_cannot_record", &[], u8::from(view.cannot_record.is_some()));
}
