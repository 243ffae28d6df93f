//! The units of a service that a check of this node judges as well.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_core::service::member::{Local, Order};
use lictor_core::{CheckName, Status, What};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{Look, Units};
use tokio::time::sleep;

use crate::decide::Recorded;
use crate::inbox::Inbox;

/// After so long what is asked of the agent shows a change.
const VIEW: Duration = Duration::from_millis(50);

/// Units of which a check says whether they serve.
///
/// While it is critical the service does not come here. Where the service runs, a check that was passing under
/// its token and is critical now is as if a unit had ended.
pub(super) struct Checked {
    units: Arc<dyn Units>,
    check: CheckName,
    inbox: Inbox,
    live: tokio::sync::Mutex<broadcast::Receiver<Recorded>>,
    /// It has changed, and nobody was told yet.
    turned: AtomicBool,
    /// Under which token it was seen to pass.
    passed: Mutex<Option<u64>>,
}

impl Checked {
    pub(super) fn new(
        units: Arc<dyn Units>,
        check: CheckName,
        inbox: Inbox,
        live: broadcast::Receiver<Recorded>,
    ) -> Self {
        Self {
            units,
            check,
            inbox,
            live: tokio::sync::Mutex::new(live),
            turned: AtomicBool::new(false),
            passed: Mutex::default(),
        }
    }

    async fn status(&self) -> Option<Status> {
        let view = self.inbox.view().await.ok()?;
        view.checks.get(&self.check).map(|check| check.status)
    }

    /// Ends when the check changes.
    async fn judged(&self) {
        let mut live = self.live.lock().await;
        while !self.turned.load(Ordering::Acquire) {
            match live.recv().await {
                Ok(recorded) => match &recorded.1.what {
                    What::Transition { check, .. } if *check == self.check => {
                        self.turned.store(true, Ordering::Release);
                    }
                    _ => {}
                },
                // Something was missed: it may have been this.
                Err(RecvError::Lagged(_)) => self.turned.store(true, Ordering::Release),
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
        // This may be given up and asked for again at any await.
        sleep(VIEW).await;
        self.turned.store(false, Ordering::Release);
    }
}

impl Units for Checked {
    fn look(&self) -> BoxFuture<'_, Look> {
        Box::pin(async move {
            let (look, status) = tokio::join!(self.units.look(), self.status());
            let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
            judge(look, &self.check, status, &mut passed)
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            tokio::select! {
                () = self.units.changed() => {}
                () = self.judged() => {}
            }
        })
    }

    fn carry<'a>(
        &'a self,
        order: Order,
        believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), String>> {
        // It is to pass again before it counts.
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.units.carry(order, believes)
    }

    fn restart<'a>(
        &'a self,
        token: u64,
        believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), String>> {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.units.restart(token, believes)
    }
}

fn judge(look: Look, check: &CheckName, status: Option<Status>, passed: &mut Option<u64>) -> Look {
    let Look { local, able } = look;
    let critical = status == Some(Status::Critical);
    let local = match local {
        Local::Running { token: Some(token) } if status == Some(Status::Passing) => {
            *passed = Some(token);
            local
        }
        Local::Running { token } if critical && passed.is_some() && *passed == token => Local::Partly,
        _ => local,
    };
    let able = match able {
        Ok(()) if critical && !matches!(local, Local::Running { .. }) => {
            Err(format!("check.{check} is critical here"))
        }
        _ => able,
    };
    Look { local, able }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(local: Local, status: Option<Status>, passed: &mut Option<u64>) -> (Local, Result<(), String>) {
        let Look { local, able } =
            judge(Look { local, able: Ok(()) }, &"db".parse().unwrap(), status, passed);
        (local, able)
    }

    const RUNS: Local = Local::Running { token: Some(7) };

    #[test]
    fn a_service_does_not_come_to_a_node_on_which_its_check_is_critical() {
        let mut passed = None;
        let critical = seen(Local::Stopped, Some(Status::Critical), &mut passed);
        assert_eq!(critical, (Local::Stopped, Err("check.db is critical here".to_owned())));
        for status in [None, Some(Status::Passing), Some(Status::Warning), Some(Status::Unknown)] {
            assert_eq!(seen(Local::Stopped, status, &mut passed), (Local::Stopped, Ok(())), "{status:?}");
        }
    }

    #[test]
    fn a_service_whose_check_turns_critical_has_failed_and_one_that_has_just_started_has_not() {
        let mut passed = None;
        assert_eq!(seen(RUNS, Some(Status::Critical), &mut passed), (RUNS, Ok(())), "as before its start");
        assert_eq!(seen(RUNS, Some(Status::Unknown), &mut passed), (RUNS, Ok(())));
        assert_eq!(seen(RUNS, Some(Status::Passing), &mut passed), (RUNS, Ok(())));
        assert_eq!(seen(RUNS, Some(Status::Unknown), &mut passed), (RUNS, Ok(())), "no data is no fault");
        assert_eq!(seen(RUNS, Some(Status::Critical), &mut passed).0, Local::Partly);
        let anew = Local::Running { token: Some(8) };
        assert_eq!(seen(anew, Some(Status::Critical), &mut passed), (anew, Ok(())), "started anew");
    }
}
