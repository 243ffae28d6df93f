//! How a service stands, in the words of the ledger.

use lictor_core::service::member::Local;
use lictor_core::service::operation::{Operation, Phase, What};

use super::ServiceState;
use crate::LeaseState;

/// What can be said of a service, each on its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Says {
    lease: Option<String>,
    /// Whether it was ever known who holds the lease.
    known: bool,
    here: Option<String>,
    able: Option<String>,
    blind: bool,
    operation: Option<String>,
    pause: Option<String>,
    barred: Option<String>,
}

impl Says {
    pub(super) fn of(state: &ServiceState) -> Self {
        let released = state.record.as_ref().is_some_and(|record| record.released.is_some());
        let lease = match &state.lease {
            LeaseState::Held { token } => Some(format!("this node holds its lease, token {token}")),
            LeaseState::Other { holder } => Some(format!("{holder} holds its lease")),
            lease @ LeaseState::Unknown { .. } if released || lease.is_free() => {
                Some("nobody holds its lease".to_owned())
            }
            LeaseState::Unknown { why } => {
                Some(format!("this node does not know who holds its lease: {why}"))
            }
        };
        let here = match state.local {
            Local::Unknown | Local::Foreign => None,
            Local::Starting { token } => Some(format!("it is being started here, token {token}")),
            Local::Stopping => Some("it is being stopped here".to_owned()),
            Local::Stopped => Some("it is stopped here".to_owned()),
            Local::Partly => Some("it does not run here as it should".to_owned()),
            Local::Running { token: Some(token) } => Some(format!("it runs here, token {token}")),
            Local::Running { token: None } => Some("it runs here".to_owned()),
        };
        let able = state.able.as_ref().map(|able| match able {
            Ok(()) => "this node can run it".to_owned(),
            Err(why) => format!("this node cannot run it: {why}"),
        });
        let pause = state.pause.as_ref().map(|pause| match pause.why.as_str() {
            "" => format!("no node takes it over by itself for now, as {} wants it", pause.by),
            why => format!("no node takes it over by itself for now, as {} wants it: {why}", pause.by),
        });
        let barred = state.barred.as_ref().map(|why| format!("no node takes it over by itself: {why}"));
        let known = !matches!(state.lease, LeaseState::Unknown { .. }) || state.record.is_some();
        let operation = state.operation.as_ref().map(operation);
        Self { lease, known, here, able, blind: state.blind, operation, pause, barred }
    }

    /// What is to be recorded after what was said before.
    pub(super) fn news(&self, before: &Self) -> Vec<String> {
        let mut news = Vec::new();
        let mut say = |now: &Option<String>, before: &Option<String>| {
            if now != before {
                news.extend(now.clone());
            }
        };
        // What is not known at the start is not worth telling.
        if self.known || before.known {
            say(&self.lease, &before.lease);
        }
        say(&self.here, &before.here);
        say(&self.able, &before.able);
        if self.blind != before.blind {
            news.push(match self.blind {
                true => "this node cannot tell how it stands here: it neither keeps nor takes its lease"
                    .to_owned(),
                false => "this node can tell again how it stands here".to_owned(),
            });
        }
        let mut say = |now: &Option<String>, before: &Option<String>| {
            if now != before {
                news.extend(now.clone());
            }
        };
        say(&self.operation, &before.operation);
        say(&self.pause, &before.pause);
        say(&self.barred, &before.barred);
        let free = |says: &Self| says.pause.is_none() && says.barred.is_none();
        if free(self) && !free(before) {
            news.push("nodes take it over by themselves again".to_owned());
        }
        news
    }
}

fn operation(operation: &Operation) -> String {
    let Operation { what, from, by, phase, .. } = operation;
    let asked = match (what, from) {
        (What::Switchover { to }, Some(from)) => format!("a switchover from {from} to {to}"),
        (What::Switchover { to }, None) => format!("a switchover to {to}"),
        (What::Take { to }, _) => format!("a start on {to}"),
        (What::Stop, _) => "a stop".to_owned(),
    };
    match phase {
        Phase::Asked => format!("{by} asks for {asked}"),
        Phase::Ready => format!("{asked}: {} is ready", operation.to().unwrap_or("its node")),
        Phase::Stopping { .. } => format!("{asked}: it is being stopped where it runs"),
        Phase::Handed => format!("{asked}: it is stopped and handed over"),
        Phase::Done => format!("{asked} is done"),
        Phase::Failed { why } => format!("{asked} has failed: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lictor_core::Wall;

    use super::super::Pause;
    use super::*;

    #[test]
    fn what_happens_to_a_service_is_told_in_its_order_and_once() {
        let mut said = Says::default();
        let mut now = ServiceState::unseen();
        let mut tell = |now: &ServiceState| {
            let says = Says::of(now);
            let news = says.news(&said);
            said = says;
            news
        };
        assert_eq!(tell(&now), [""; 0]);
        (now.local, now.able) = (Local::Stopped, Some(Ok(())));
        now.lease = LeaseState::Other { holder: "n2".to_owned() };
        assert_eq!(tell(&now), ["n2 holds its lease", "it is stopped here", "this node can run it"]);
        assert_eq!(tell(&now), [""; 0]);
        let asked = Operation {
            id: "o1".to_owned(),
            what: What::Switchover { to: "n1".to_owned() },
            from: Some("n2".to_owned()),
            by: "ann".to_owned(),
            deadline: Duration::from_secs(30),
            phase: Phase::Asked,
        };
        now.operation = Some(asked.clone());
        assert_eq!(tell(&now), ["ann asks for a switchover from n2 to n1"]);
        now.operation = Some(asked.now(Phase::Stopping { token: 4 }));
        assert_eq!(tell(&now), ["a switchover from n2 to n1: it is being stopped where it runs"]);
        now.operation = Some(asked.now(Phase::Done));
        (now.lease, now.local) = (LeaseState::Held { token: 5 }, Local::Running { token: Some(5) });
        assert_eq!(
            tell(&now),
            [
                "this node holds its lease, token 5",
                "it runs here, token 5",
                "a switchover from n2 to n1 is done"
            ]
        );
        now.pause =
            Some(Pause { until: Wall::from_unix_millis(1), by: "ann".to_owned(), why: "a move".to_owned() });
        assert_eq!(tell(&now), ["no node takes it over by itself for now, as ann wants it: a move"]);
        now.pause = None;
        assert_eq!(tell(&now), ["nodes take it over by themselves again"]);
        (now.local, now.able) = (Local::Unknown, Some(Err("systemd cannot be reached".to_owned())));
        assert_eq!(tell(&now), ["this node cannot run it: systemd cannot be reached"]);
        now.blind = true;
        assert_eq!(
            tell(&now),
            ["this node cannot tell how it stands here: it neither keeps nor takes its lease"]
        );
        (now.blind, now.local, now.able) = (false, Local::Starting { token: 6 }, None);
        assert_eq!(
            tell(&now),
            ["it is being started here, token 6", "this node can tell again how it stands here"]
        );
    }
}
