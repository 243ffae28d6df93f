//! What part this node has in a service, for what follows when that changes.

use lictor_core::service::member::Local;
use lictor_core::{Role, ServiceName};

use super::{Service, ServiceState};
use crate::LeaseState;
use crate::inbox::Inbox;

/// Hands each change in, until the service or the agent ends.
pub(super) async fn tell(name: ServiceName, node: String, service: Service, inbox: Inbox) {
    let mut states = service.state();
    let (mut known, mut told) = (false, None);
    loop {
        let now = {
            let state = states.borrow_and_update();
            known |= is_known(&state, &node);
            role(&state, &node, known)
        };
        if let Some(role) = now.filter(|now| told != Some(*now)) {
            if inbox.role(name.clone(), role).await.is_err() {
                return;
            }
            told = now;
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

/// The role of this node; `None`: it is neither, or nobody can say. `known`: it was known who has the lease since
/// this process began.
fn role(state: &ServiceState, node: &str, known: bool) -> Option<Role> {
    match (&state.lease, state.local) {
        (LeaseState::Held { token }, Local::Running { token: Some(under) }) if *token == under => {
            Some(Role::Active { token: under })
        }
        // It is being started, stopped, or has failed and is started again under the same token.
        (LeaseState::Held { .. }, _) => None,
        // A process of before had it, and this one goes on with that.
        (LeaseState::Other { holder }, _) if holder == node => None,
        (LeaseState::Other { .. } | LeaseState::Unknown { .. }, Local::Stopped) if known => {
            Some(Role::Standby)
        }
        (LeaseState::Other { .. } | LeaseState::Unknown { .. }, _) => None,
    }
}

/// Whether it is known who has the lease, or that nobody has.
fn is_known(state: &ServiceState, node: &str) -> bool {
    match &state.lease {
        LeaseState::Held { .. } => true,
        LeaseState::Other { holder } => holder != node,
        LeaseState::Unknown { .. } => state.lease.is_free(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The roles that one state after the other gives.
    fn roles(states: &[(LeaseState, Local)]) -> Vec<Option<Role>> {
        let mut known = false;
        let each = states.iter().map(|(lease, local)| {
            let state = ServiceState { lease: lease.clone(), local: *local, ..ServiceState::unseen() };
            known |= is_known(&state, "n1");
            role(&state, "n1", known)
        });
        each.collect()
    }

    fn held(token: u64) -> LeaseState {
        LeaseState::Held { token }
    }

    fn other(holder: &str) -> LeaseState {
        LeaseState::Other { holder: holder.to_owned() }
    }

    fn unknown() -> LeaseState {
        LeaseState::Unknown { why: "no leader".to_owned() }
    }

    fn runs(token: u64) -> Local {
        Local::Running { token: Some(token) }
    }

    const ACTIVE: Option<Role> = Some(Role::Active { token: 7 });

    const STANDBY: Option<Role> = Some(Role::Standby);

    #[test]
    fn a_service_that_comes_and_is_moved_away_is_active_only_while_it_runs_under_its_lease() {
        let found = roles(&[
            (unknown(), Local::Unknown),
            (other("n2"), Local::Stopped),
            (held(7), Local::Stopped),
            (held(7), runs(7)),
            (held(7), Local::Stopped),
            (LeaseState::free(), Local::Stopped),
        ]);
        assert_eq!(found, [None, STANDBY, None, ACTIVE, None, STANDBY]);
    }

    #[test]
    fn a_failure_under_the_same_token_is_no_change() {
        let found = roles(&[
            (held(7), runs(7)),
            (held(7), Local::Partly),
            (held(7), Local::Stopped),
            (held(7), runs(7)),
        ]);
        assert_eq!(found, [ACTIVE, None, None, ACTIVE]);
        assert_eq!(roles(&[(held(8), runs(7)), (held(8), Local::Running { token: None })]), [None, None]);
    }

    #[test]
    fn a_lost_lease_is_the_end_once_nothing_runs_any_more() {
        let found = roles(&[(held(7), runs(7)), (unknown(), runs(7)), (unknown(), Local::Stopped)]);
        assert_eq!(found, [ACTIVE, None, STANDBY]);
    }

    #[test]
    fn who_has_just_come_waits_until_it_is_known_who_has_the_lease() {
        let found = roles(&[
            (unknown(), Local::Unknown),
            (unknown(), Local::Stopped),
            (other("n1"), Local::Stopped),
            (other("n2"), Local::Stopped),
        ]);
        assert_eq!(found, [None, None, None, STANDBY]);
        assert_eq!(roles(&[(other("n1"), runs(7)), (held(7), runs(7))]), [None, ACTIVE]);
    }
}
