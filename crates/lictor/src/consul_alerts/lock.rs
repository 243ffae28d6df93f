//! The lock of the old program, held while we tell: of old and new instances one tells at a time.
//!
//! ```text
//!   not wanted ──want──▶ session ──▶ wait for the key ──▶ held ──lost──▶ let go, begin again
//!       ▲                                                  │
//!       └──── end the session, delete the key ◀── let go ◀─┘ not wanted
//! ```
//!
//! What another holds, or what is none of this kind of lock, is waited for and never broken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lictor_agent::alert::Guard;
use lictor_agent::{Clock, OnEnd, Tasks};
use lictor_compat::consul_alerts::PREFIX;
use lictor_compat::consul_alerts::state::{LEADER, LEADER_FLAGS, SESSION_NAME};
use lictor_consul::{Client, Guard as Condition, NewSession, Pair, Put, Query, SessionId, Watch};
use lictor_core::Boot;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

/// How long the session lives without being renewed; see
/// [`SESSION_TTL`](lictor_compat::consul_alerts::state::SESSION_TTL).
const TTL: Duration = Duration::from_secs(15);

/// It is renewed so often.
const EVERY: Duration = Duration::from_millis(7_500);

/// So long before the session may end, it is no longer relied on.
const MARGIN: Duration = Duration::from_secs(2);

/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Pause after a request that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Pause before a free key is tried again: one whose holder vanished is kept free for a while.
const DELAYED: Duration = Duration::from_secs(5);

/// So long a query is held without news.
const HELD: Duration = Duration::from_secs(15);

/// So long what is still to be written may take before the lock is let go.
const FLUSH: Duration = Duration::from_secs(2);

/// So long letting go may take; then the session ends by itself.
const PARTING: Duration = Duration::from_secs(4);

/// The lock. Clones are the same.
#[derive(Clone)]
pub(super) struct Lock(Arc<Shared>);

struct Shared {
    key: String,
    clock: Clock,
    wanted: watch::Sender<Wanted>,
    standing: Mutex<Standing>,
    /// Whether it is held, when that was last looked at.
    changes: watch::Sender<bool>,
    /// The session that holds it, also while it is being let go.
    session: watch::Sender<Option<SessionId>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    No,
    Yes,
    /// Nor ever again.
    Never,
}

#[derive(Debug, Default)]
struct Standing {
    held: bool,
    /// Before this the session cannot have ended.
    until: Boot,
    other: String,
}

impl Lock {
    /// Waits for being wanted. `unwritten` is what is still to be written under the lock: before it
    /// is let go, that has a moment to become nothing. Its task ends after [`Self::end`].
    pub(super) fn start(
        client: &Client,
        unwritten: watch::Receiver<usize>,
        tasks: &Tasks,
    ) -> (Self, JoinHandle<()>) {
        let shared = Arc::new(Shared {
            key: format!("{PREFIX}{LEADER}"),
            clock: Clock::fresh(),
            wanted: watch::Sender::new(Wanted::No),
            standing: Mutex::default(),
            changes: watch::Sender::new(false),
            session: watch::Sender::new(None),
        });
        // Nothing else may delay a renewal.
        let own = client.with_own_connections().unwrap_or_else(|_same_settings| client.clone());
        let client = own.with_attempts(1).with_time_limit(LIMIT);
        let keeper = Keeper { shared: Arc::clone(&shared), client, unwritten };
        let ends = tasks.spawn_draining("old leader lock", OnEnd::Fine, keeper.run());
        (Self(shared), ends)
    }

    /// The session that holds it.
    pub(super) fn session(&self) -> watch::Receiver<Option<SessionId>> {
        self.0.session.subscribe()
    }

    /// It is let go, and its task ends.
    pub(super) fn end(&self) {
        self.0.wanted.send_replace(Wanted::Never);
    }
}

impl Guard for Lock {
    fn want(&self, wanted: bool) {
        let wanted = if wanted { Wanted::Yes } else { Wanted::No };
        self.0.wanted.send_if_modified(|before| {
            let changed = *before != wanted && *before != Wanted::Never;
            if changed {
                *before = wanted;
            }
            changed
        });
    }

    fn holds(&self) -> bool {
        self.0.holds()
    }

    fn changes(&self) -> watch::Receiver<bool> {
        self.0.changes.subscribe()
    }

    fn other(&self) -> String {
        let standing = self.0.standing();
        if standing.other.is_empty() {
            format!("`{}` in Consul is not held yet", self.0.key)
        } else {
            standing.other.clone()
        }
    }
}

impl Shared {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self) -> bool {
        let standing = self.standing();
        standing.held && self.clock.boot() < standing.until
    }

    /// The session was known to live at this time.
    fn lives(&self, at: Boot) {
        self.standing().until = at.after(TTL.saturating_sub(MARGIN));
    }

    /// Notes whether it is held, and says so to who waits for it.
    fn note(&self, held: bool) {
        {
            let mut standing = self.standing();
            standing.held = held;
            if held {
                standing.other.clear();
            }
        }
        self.changes.send_replace(self.holds());
    }

    /// Says why it is not held, each thing once.
    fn say(&self, why: String, harm: bool) {
        {
            let mut standing = self.standing();
            if standing.other == why {
                return;
            }
            standing.other.clone_from(&why);
        }
        let key = &self.key;
        if harm {
            error!(key, "alerts are not told from here: {why}");
        } else {
            info!(key, "alerts are not told from here: {why}");
        }
        self.changes.send_replace(self.holds());
    }
}

struct Keeper {
    shared: Arc<Shared>,
    client: Client,
    unwritten: watch::Receiver<usize>,
}

/// How the key stands.
enum Key {
    Free,
    Ours,
    Other(SessionId),
    /// It is no lock of this kind.
    Strange(u64),
}

impl Keeper {
    async fn run(mut self) {
        let mut wanted = self.shared.wanted.subscribe();
        loop {
            match wanted.wait_for(|wanted| *wanted != Wanted::No).await.map(|found| *found) {
                Ok(Wanted::Yes) => {}
                Ok(Wanted::No | Wanted::Never) | Err(_) => return,
            }
            let session = tokio::select! {
                biased;
                () = unwanted(&mut wanted) => continue,
                session = self.begin() => session,
            };
            let lost = tokio::select! {
                biased;
                () = unwanted(&mut wanted) => None,
                () = self.expire() => Some("its session could not be renewed in time".to_owned()),
                why = self.renew(&session) => Some(why),
                why = self.hold(&session) => Some(why),
            };
            let held = std::mem::take(&mut self.shared.standing().held);
            self.shared.note(false);
            if let Some(why) = &lost {
                if held {
                    warn!(key = self.shared.key, why, "the lock of consul-alerts is lost");
                }
                self.shared.say(why.clone(), false);
            }
            if timeout(PARTING, self.let_go(&session, lost.is_none() && held)).await.is_err() {
                warn!(
                    key = self.shared.key,
                    "the lock of consul-alerts was not let go; its session ends by itself"
                );
            }
            self.shared.session.send_replace(None);
            if lost.is_some() {
                tokio::select! {
                    () = unwanted(&mut wanted) => {}
                    () = sleep(AGAIN) => {}
                }
            }
        }
    }

    /// Makes a session.
    async fn begin(&self) -> SessionId {
        let wanted =
            NewSession { name: Some(SESSION_NAME.to_owned()), ttl: Some(TTL), ..NewSession::default() };
        loop {
            let asked = self.shared.clock.boot();
            match self.client.session().create(&wanted).await {
                Ok(session) => {
                    self.shared.lives(asked);
                    return session;
                }
                Err(why) => {
                    let why = format!("no session can be made in Consul: {why}");
                    self.shared.say(why, true);
                    sleep(DELAYED).await;
                }
            }
        }
    }

    /// Until the session may have ended.
    async fn expire(&self) {
        loop {
            let until = self.shared.standing().until;
            let rest = self.shared.clock.until(until);
            if rest.is_zero() {
                return;
            }
            sleep(rest).await;
        }
    }

    /// Renews the session until there is none any more.
    async fn renew(&self, session: &SessionId) -> String {
        let mut pause = EVERY;
        loop {
            sleep(pause).await;
            let asked = self.shared.clock.boot();
            pause = match self.client.session().renew(session).await {
                Ok(Some(_lives)) => {
                    self.shared.lives(asked);
                    EVERY
                }
                Ok(None) => return "Consul has ended its session".to_owned(),
                Err(why) => {
                    debug!(%why, "the session of the lock was not renewed");
                    AGAIN
                }
            };
        }
    }

    /// Takes the key, and watches it until it is ours no more.
    async fn hold(&self, session: &SessionId) -> String {
        self.take(session).await;
        self.shared.session.send_replace(Some(session.clone()));
        self.shared.note(true);
        info!(key = self.shared.key, "the lock of consul-alerts is held");
        let mut watch = self.watch();
        loop {
            match watch.next().await {
                Ok(change) => match stands(change.value.as_ref(), session) {
                    Key::Ours => {}
                    Key::Free => return "it was taken away".to_owned(),
                    Key::Other(other) => return self.holder(&other).await,
                    Key::Strange(flags) => return strange(flags),
                },
                // The session says how long that may be so.
                Err(why) => debug!(%why, "the lock cannot be watched"),
            }
        }
    }

    /// Waits for the key, and takes it.
    async fn take(&self, session: &SessionId) {
        let mut watch = self.watch();
        let mut free = false;
        loop {
            if free {
                match self.put(Condition::Acquire(session.clone())).await {
                    Ok(true) => return,
                    Ok(false) => {
                        let why = "its last holder vanished, and Consul keeps it free for a while";
                        self.shared.say(why.to_owned(), false);
                    }
                    Err(why) => self.shared.say(format!("it cannot be taken: {why}"), true),
                }
            }
            let change = tokio::select! {
                change = watch.next() => change,
                () = sleep(DELAYED), if free => continue,
            };
            free = match change.map(|change| stands(change.value.as_ref(), session)) {
                Ok(Key::Ours) => return,
                Ok(Key::Free) => true,
                Ok(Key::Other(other)) => {
                    let holder = self.holder(&other).await;
                    self.shared.say(holder, false);
                    false
                }
                Ok(Key::Strange(flags)) => {
                    self.shared.say(strange(flags), true);
                    false
                }
                Err(why) => {
                    self.shared.say(format!("it cannot be read: {why}"), true);
                    false
                }
            };
        }
    }

    fn watch(&self) -> Watch<Option<Pair>> {
        Watch::key(self.client.clone(), self.shared.key.clone(), Query::new().consistent().wait(HELD))
    }

    async fn put(&self, guard: Condition) -> Result<bool, lictor_consul::Error> {
        let put = Put { flags: LEADER_FLAGS, guard };
        self.client.kv().put_with(&self.shared.key, "", &put).await
    }

    /// Who a session belongs to.
    async fn holder(&self, session: &SessionId) -> String {
        match self.client.session().info(session, &Query::new()).await {
            Ok(answer) => match answer.value {
                Some(found) => {
                    format!("an instance on the node `{}` holds `{}`", found.node, self.shared.key)
                }
                None => format!("`{}` was held by a session that has ended", self.shared.key),
            },
            Err(_) => format!("another instance holds `{}`", self.shared.key),
        }
    }

    /// As the old program does at its end: others need not wait.
    async fn let_go(&mut self, session: &SessionId, in_order: bool) {
        if in_order && timeout(FLUSH, self.unwritten.wait_for(|count| *count == 0)).await.is_err() {
            warn!("not all that was told could be written down for consul-alerts");
        }
        self.shared.session.send_replace(None);
        // It may have been taken although nobody said so.
        let released = self.put(Condition::Release(session.clone())).await;
        if let Err(why) = self.client.session().destroy(session).await {
            debug!(%why, "the session of the lock was not ended");
        }
        if !matches!(released, Ok(true)) {
            return;
        }
        let found = self.client.kv().get(&self.shared.key, &Query::new().consistent()).await;
        if let Ok(answer) = found
            && let Some(pair) = answer.value.filter(|pair| matches!(stands(Some(pair), session), Key::Free))
        {
            let deleted = self.client.kv().delete_cas(&self.shared.key, pair.modify_index).await;
            debug!(?deleted, "the lock of consul-alerts is let go");
        }
    }
}

fn stands(pair: Option<&Pair>, session: &SessionId) -> Key {
    match pair {
        None => Key::Free,
        Some(pair) if pair.session.as_ref() == Some(session) => Key::Ours,
        Some(pair) if pair.flags != LEADER_FLAGS => Key::Strange(pair.flags),
        Some(Pair { session: None, .. }) => Key::Free,
        Some(Pair { session: Some(other), .. }) => Key::Other(other.clone()),
    }
}

fn strange(flags: u64) -> String {
    format!("the key is no lock of consul-alerts (its flags are {flags}); delete it if nobody needs it")
}

/// Until it is not wanted.
async fn unwanted(wanted: &mut watch::Receiver<Wanted>) {
    // Without anybody who could want it, it is not.
    let _gone = wanted.wait_for(|wanted| *wanted != Wanted::Yes).await.is_err();
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
