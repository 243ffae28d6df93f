//! What the tests of clustered services share: units that only say whether they run, and guards that outlive the agents.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_agent::Clock;
use lictor_agent::service::{Guard, Heard, Look, Units};
use lictor_core::lease::Belief;
use lictor_core::service::member::{Local, Order};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that the nodes share beside Consul.
#[derive(Default)]
pub(crate) struct World {
    /// Where it runs, and under which token.
    pub(crate) running: Mutex<BTreeMap<String, u64>>,
    /// All starts.
    pub(crate) starts: Mutex<Vec<(String, u64)>>,
    /// How long a start takes. It goes on without who has ordered it.
    pub(crate) slow: Mutex<Duration>,
    /// Where it is being started, under which token, and until when.
    pub(crate) starting: Mutex<BTreeMap<String, (u64, Instant)>>,
    /// The nodes whose agents cannot see how it stands.
    pub(crate) hidden: Mutex<BTreeSet<String>>,
    /// The nodes whose next look finds nothing out, although nothing else is wrong.
    pub(crate) missed: Mutex<BTreeSet<String>>,
    /// What the guards go by.
    pub(crate) beliefs: Mutex<BTreeMap<String, Belief>>,
    pub(crate) changed: Notify,
    pub(crate) heard: Mutex<BTreeMap<String, mpsc::Sender<Heard>>>,
    pub(crate) silent: Mutex<BTreeSet<String>>,
}

impl World {
    fn starts(&self, node: &str, token: u64) {
        let mut running = lock(&self.running);
        assert!(running.is_empty(), "it starts on {node} although {running:?}");
        let mut starts = lock(&self.starts);
        let fine = starts.last().is_none_or(|(at, last)| token > *last || (token == *last && at == node));
        assert!(fine, "token {token} on {node} after {starts:?}");
        starts.push((node.to_owned(), token));
        running.insert(node.to_owned(), token);
        drop((running, starts));
        self.changed.notify_waiters();
    }

    fn stops(&self, node: &str) {
        lock(&self.starting).remove(node);
        if lock(&self.running).remove(node).is_some() {
            self.changed.notify_waiters();
        }
    }

    /// What began long enough ago is done.
    fn goes_on(&self) {
        let now = Instant::now();
        let done: Vec<(String, u64)> = lock(&self.starting)
            .iter()
            .filter(|(_, (_, until))| *until <= now)
            .map(|(node, (token, _))| (node.clone(), *token))
            .collect();
        for (node, token) in done {
            lock(&self.starting).remove(&node);
            self.starts(&node, token);
        }
    }

    /// Starts it there, or goes on with that; as long as that takes.
    async fn starts_slowly(&self, node: &str, token: u64, slow: Duration) -> Result<(), String> {
        let begins = || (token, Instant::now() + slow);
        let begun = lock(&self.starting).entry(node.to_owned()).or_insert_with(begins).0;
        assert_eq!(begun, token, "one start goes on with another");
        while lock(&self.starting).contains_key(node) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if self.runs_on(node) { Ok(()) } else { Err("it was killed".to_owned()) }
    }

    pub(crate) fn runs_on(&self, node: &str) -> bool {
        lock(&self.running).contains_key(node)
    }
}

pub(crate) struct Here {
    pub(crate) node: String,
    pub(crate) world: Arc<World>,
    pub(crate) broken: Arc<AtomicBool>,
}

impl Units for Here {
    fn look(&self) -> BoxFuture<'_, Look> {
        let running = lock(&self.world.running).get(&self.node).copied();
        let starting = lock(&self.world.starting).get(&self.node).map(|(token, _)| *token);
        let hidden = lock(&self.world.hidden).contains(&self.node);
        let missed = lock(&self.world.missed).remove(&self.node);
        let (local, able) = match (running, starting) {
            _ if hidden => (Local::Unknown, Err("it cannot be seen".to_owned())),
            _ if missed => (Local::Unknown, Ok(())),
            (Some(token), _) => (Local::Running { token: Some(token) }, Ok(())),
            (None, Some(token)) => (Local::Starting { token }, Ok(())),
            (None, None) => (Local::Stopped, Ok(())),
        };
        Box::pin(async move { Look { local, able } })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.world.changed.notified())
    }

    fn carry<'a>(
        &'a self,
        order: Order,
        believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let slow = *lock(&self.world.slow);
            match order {
                _ if lock(&self.world.hidden).contains(&self.node) => Err("it cannot be seen".to_owned()),
                Order::Start { .. } if self.broken.load(Ordering::SeqCst) => Err("it is broken".to_owned()),
                Order::Start { token } if !believes(token) => Err("the lease is over".to_owned()),
                Order::Start { token } if !slow.is_zero() => {
                    self.world.starts_slowly(&self.node, token, slow).await
                }
                Order::Start { token } => {
                    self.world.starts(&self.node, token);
                    Ok(())
                }
                Order::Stop | Order::Kill => {
                    self.world.stops(&self.node);
                    Ok(())
                }
            }
        })
    }

    fn restart<'a>(
        &'a self,
        token: u64,
        believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.carry(Order::Stop, believes).await?;
            self.carry(Order::Start { token }, believes).await
        })
    }
}

impl Guard for Here {
    fn tell(&self, belief: Option<Belief>) {
        match belief {
            Some(belief) => drop(lock(&self.world.beliefs).insert(self.node.clone(), belief)),
            None => {
                lock(&self.world.beliefs).remove(&self.node);
                self.world.stops(&self.node);
            }
        }
    }
}

/// Kills what runs on nodes whose belief has ended, whatever became of their agents.
pub(crate) struct Guards(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Guards {
    pub(crate) fn over(world: &Arc<World>) -> Self {
        let (over, world) = (Arc::new(AtomicBool::new(false)), Arc::clone(world));
        let ends = Arc::clone(&over);
        let clock = Clock::fresh();
        #[expect(clippy::disallowed_methods, reason = "a guard looks at the clock")]
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                let now = clock.stamp();
                let ended: Vec<String> = lock(&world.beliefs)
                    .iter()
                    .filter(|(_, belief)| !belief.holds(now))
                    .map(|(node, _)| node.clone())
                    .collect();
                ended.iter().for_each(|node| world.stops(node));
                world.goes_on();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self(over, Some(thread))
    }
}

impl Drop for Guards {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        if let Some(thread) = self.1.take() {
            thread.join().unwrap();
        }
    }
}
