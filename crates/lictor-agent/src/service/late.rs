//! What a service is on a machine that could not run it when it was asked first: it is asked again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::ClusterService;
use lictor_core::lease::Belief;
use lictor_core::service::member::{Local, Order};
use tokio::time::Instant;
use tracing::{debug, info};

use super::board::{Here, Machine};
use super::{Guard, Look, Units};

/// After how long the machine is asked again, at first and at most; each time after twice as long.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// The units and the guard of a service that are not there yet.
pub(super) struct Late {
    machine: Machine,
    config: Arc<ClusterService>,
    state: Mutex<State>,
}

struct State {
    here: Option<Here>,
    /// Why not.
    why: String,
    /// When the machine is asked again, and how long after that if it is in vain.
    next: (Instant, Duration),
    /// What the guard is to know, if anything was said.
    told: Option<Option<Belief>>,
}

impl Late {
    /// This machine has just said that it cannot run the service, and why.
    pub(super) fn new(machine: Machine, config: Arc<ClusterService>, why: String) -> Self {
        let next = (Instant::now() + FIRST, FIRST * 2);
        Self { machine, config, state: Mutex::new(State { here: None, why, next, told: None }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its units, or why there are none.
    fn units(&self) -> Result<Arc<dyn Units>, String> {
        let state = self.state();
        state.here.as_ref().map(|here| Arc::clone(&here.units)).ok_or_else(|| state.why.clone())
    }

    /// Asks the machine again if it is time to.
    async fn find(&self) -> Result<Arc<dyn Units>, String> {
        let known = self.units();
        if known.is_ok() || Instant::now() < self.state().next.0 {
            return known;
        }
        let found = (self.machine)(Arc::clone(&self.config)).await;
        let mut state = self.state();
        match found {
            Ok(here) => {
                info!(service = %self.config.name, "this machine can run the service now");
                if let Some(belief) = state.told {
                    here.guard.tell(belief);
                }
                state.here = Some(here);
            }
            Err(why) => {
                let (_, pause) = state.next;
                debug!(service = %self.config.name, why, ?pause, "this machine still cannot run the service");
                state.next = (Instant::now() + pause, (pause * 2).min(LONGEST));
                state.why = why;
            }
        }
        drop(state);
        self.units()
    }
}

impl Units for Late {
    fn look(&self) -> BoxFuture<'_, Look> {
        Box::pin(async move {
            match self.find().await {
                Ok(units) => units.look().await,
                Err(why) => Look { local: Local::Unknown, able: Err(why) },
            }
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match self.units() {
                Ok(units) => units.changed().await,
                // Who is not able is looked at again and again.
                Err(_why) => std::future::pending().await,
            }
        })
    }

    fn carry<'a>(
        &'a self,
        order: Order,
        believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { self.units()?.carry(order, believes).await })
    }

    fn restart<'a>(
        &'a self,
        token: u64,
        believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { self.units()?.restart(token, believes).await })
    }
}

impl Guard for Late {
    fn tell(&self, belief: Option<Belief>) {
        let mut state = self.state();
        state.told = Some(belief);
        if let Some(here) = &state.here {
            here.guard.tell(belief);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use lictor_core::lease::Stamp;
    use tokio::time::advance;

    use super::*;

    /// Units that run, and a guard that remembers.
    #[derive(Default)]
    struct Fake(Mutex<Vec<Option<Belief>>>);

    impl Units for Fake {
        fn look(&self) -> BoxFuture<'_, Look> {
            Box::pin(async { Look { local: Local::Stopped, able: Ok(()) } })
        }

        fn changed(&self) -> BoxFuture<'_, ()> {
            Box::pin(async {})
        }

        fn carry<'a>(
            &'a self,
            _order: Order,
            _believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
        ) -> BoxFuture<'a, Result<(), String>> {
            Box::pin(async { Ok(()) })
        }
    }

    impl Guard for Fake {
        fn tell(&self, belief: Option<Belief>) {
            self.0.lock().unwrap().push(belief);
        }
    }

    fn config() -> Arc<ClusterService> {
        let text = "watch \"heartbeat\" \"alive\" {\n within = \"1h\"\n}\nconsul {}\n\
                    service \"web\" {\n nodes = [\"n1\"]\n units = [\"web\"]\n}";
        let config = lictor_config::parse("x.hcl", text).unwrap().config;
        Arc::clone(config.services.values().next().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_cannot_run_it_is_asked_again_later_and_later_until_it_can() {
        let (asked, fake) = (Arc::new(AtomicU32::new(0)), Arc::new(Fake::default()));
        let (counts, there) = (Arc::clone(&asked), Arc::clone(&fake));
        let machine: Machine = Arc::new(move |_service| {
            let number = counts.fetch_add(1, Ordering::SeqCst);
            let fake = Arc::clone(&there);
            Box::pin(async move {
                match number {
                    0..=2 => Err(format!("not yet ({number})")),
                    _ => Ok(Here { units: fake.clone(), guard: fake, guarded: Duration::ZERO }),
                }
            })
        });
        let late = Late::new(machine, config(), "it is not root".to_owned());
        let belief = Some(Belief { token: 3, since: Stamp::default(), lasts: FIRST });
        late.tell(None);
        late.tell(belief);
        let mut seen = Vec::new();
        for second in 0..=40 {
            let look = late.look().await;
            let said = look.able.err().unwrap_or_else(|| format!("{:?}", look.local));
            if seen.last().is_none_or(|(_, last)| *last != said) {
                seen.push((second, said));
            }
            advance(Duration::from_secs(1)).await;
        }
        let seen: Vec<_> = seen.iter().map(|(second, said)| format!("{second} s: {said}")).collect();
        let wanted = [
            "0 s: it is not root",
            "2 s: not yet (0)",
            "6 s: not yet (1)",
            "14 s: not yet (2)",
            "30 s: Stopped",
        ];
        assert_eq!(seen, wanted);
        assert_eq!(asked.load(Ordering::SeqCst), 4);
        // It hears the newest, once.
        assert_eq!(*fake.0.lock().unwrap(), [belief]);
        assert_eq!(late.carry(Order::Stop, &|_| true).await, Ok(()));
        late.tell(None);
        assert_eq!(fake.0.lock().unwrap().last(), Some(&None));
    }
}
