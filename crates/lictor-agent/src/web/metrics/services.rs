//! Gauges of clustered services.

use lictor_core::Wall;

use super::Gauges;
use crate::LeaseState;
use crate::service::{Pause, ServiceView};
use crate::web::api::runs_here;

/// What is known of a lease, as labels.
const STATES: [&str; 4] = ["held", "other", "free", "unknown"];

/// Nothing where there are no services.
pub(super) fn render(gauges: &mut Gauges<'_>, services: &[ServiceView], now: Option<Wall>) {
    if services.is_empty() {
        return;
    }
    gauges.family(
        "lictor_service_active",
        "Whether this node runs a service under a lease that it believes in",
    );
    for view in services {
        let labels = [("service", view.config.name.as_str())];
        gauges.line("lictor_service_active", &labels, u8::from(runs_here(view)));
    }
    gauges.family("lictor_service_token", "The token under which a service runs, or ran last");
    for view in services {
        if let Some(record) = &view.state.record {
            gauges.line("lictor_service_token", &[("service", view.config.name.as_str())], record.token);
        }
    }
    gauges.family("lictor_service_lease", "1 for how the lease of a service stands, 0 for the others");
    for view in services {
        let is = match &view.state.lease {
            LeaseState::Held { .. } => "held",
            LeaseState::Other { .. } => "other",
            free if free.is_free() => "free",
            LeaseState::Unknown { .. } => "unknown",
        };
        for state in STATES {
            let labels = [("service", view.config.name.as_str()), ("state", state)];
            gauges.line("lictor_service_lease", &labels, u8::from(state == is));
        }
    }
    gauges.family("lictor_service_able", "Whether this node could run a service");
    for view in services {
        if let Some(able) = &view.state.able {
            let labels = [("service", view.config.name.as_str())];
            gauges.line("lictor_service_able", &labels, u8::from(able.is_ok()));
        }
    }
    gauges.family(
        "lictor_service_blind",
        "Whether this node cannot tell how a service stands on it, and so neither holds nor takes its lease",
    );
    for view in services {
        let labels = [("service", view.config.name.as_str())];
        gauges.line("lictor_service_blind", &labels, u8::from(view.state.blind));
    }
    gauges.family(
        "lictor_service_paused",
        "Whether somebody wants that no node takes a service over by itself",
    );
    // One that is over stays in the records.
    let lasts = |pause: &Pause| now.is_none_or(|now| !pause.left(now).is_zero());
    let paused = |view: &ServiceView| view.state.pause.as_ref().is_some_and(lasts);
    for view in services {
        let labels = [("service", view.config.name.as_str())];
        gauges.line("lictor_service_paused", &labels, u8::from(paused(view)));
    }
}
