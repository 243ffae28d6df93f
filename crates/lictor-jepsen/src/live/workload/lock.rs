//! Locks, and what is done under them.
//!
//! Several actors, each at another server, want the same lock. Who gets it is in a *section* for a while, leaves it and gives the lock
//! back. Three kinds of clients do that:
//!
//! - a *bare* one believes that it holds the lock until it gives it back. It is wrong as soon as its session ends
//!   before: then another one gets the lock, and two are in the section;
//! - a *fenced* one does the same, but what it works on is outside of Consul and takes a token with each access: the index under which
//!   the lock was acquired. It refuses one that is older than the newest it has seen, and the section counts for nothing;
//! - a *leader* renews its session, and by its own clock stops believing before another one can have got the lock: that has a delay as long
//!   as the session lives, as a session ends before its time when its node is removed.
//!
//! Sessions of the first two end with their server's node, as most do. What ends one is not seen, so that it is written down
//! beforehand as something that may happen at any time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lictor_consul::{Client, Error, NewSession, Operation, OperationErrorKind, SessionId};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{Actor, Call, Hand, Outcome, Wishes, Workload};

/// How long a section takes on average. A server is held for dead after 5 to 7 s: long enough to be in one by then.
const SECTION: Duration = Duration::from_secs(10);

/// How long a leader's session lives unless it is renewed: the shortest time that Consul allows.
const TTL: Duration = Duration::from_secs(10);

/// How often a leader renews it.
const RENEW: Duration = Duration::from_secs(2);

/// So much earlier than its session can have ended a leader stops believing.
const MARGIN: Duration = Duration::from_millis(500);

/// How many things one does at the end to get the lock once more.
const LAST: u32 = 8;

/// How a client goes about a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Bare,
    Fenced,
    Leader,
}

/// The workload.
#[derive(Debug)]
pub struct Lock {
    manner: Manner,
    wishes: Wishes,
    vault: Arc<Vault>,
}

/// What is worked on in sections: it knows the newest token it was shown for each lock.
#[derive(Debug, Default)]
struct Vault(Mutex<BTreeMap<String, u64>>);

impl Lock {
    /// Locks for clients that believe in them.
    #[must_use]
    pub fn bare(wishes: Wishes) -> Self {
        Self { manner: Manner::Bare, wishes, vault: Arc::default() }
    }

    /// Locks whose tokens are looked at.
    #[must_use]
    pub fn fenced(wishes: Wishes) -> Self {
        Self { manner: Manner::Fenced, wishes, vault: Arc::default() }
    }

    /// Elections of leaders.
    #[must_use]
    pub fn leader(wishes: Wishes) -> Self {
        Self { manner: Manner::Leader, wishes, vault: Arc::default() }
    }
}

#[async_trait]
impl Workload for Lock {
    async fn prepare(&self, _: &Client) -> Result<(), Error> {
        Ok(())
    }

    fn checks(&self) -> Vec<String> {
        vec!["reentrant-lock".to_owned(), "overlap".to_owned()]
    }

    fn never_ok(&self) -> &'static [&'static str] {
        // The end of a session is not seen.
        &["expire"]
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        // Who wants the same lock is at another server each.
        let lock = format!("l{}", hand.number / self.wishes.nodes.max(1));
        let (manner, vault) = (self.manner, Arc::clone(&self.vault));
        Box::new(Holder {
            hand,
            lock,
            manner,
            vault,
            session: None,
            given_up: Vec::new(),
            part: Part::Outside,
            tries: LAST,
        })
    }

    fn rest(&self) -> Duration {
        Duration::from_millis(200)
    }
}

/// An actor of this workload.
struct Holder {
    hand: Hand,
    lock: String,
    manner: Manner,
    vault: Arc<Vault>,
    session: Option<Live>,
    /// Sessions that may hold the lock and are not wanted any more.
    given_up: Vec<SessionId>,
    part: Part,
    /// How many things more it does at the end, to get the lock once more.
    tries: u32,
}

/// A session that may live.
#[derive(Clone, Debug)]
struct Live {
    id: SessionId,
    /// When the last request was sent that let it live on.
    renewed: Instant,
    /// Whether it was written down that it may end.
    announced: bool,
}

/// Where an actor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It does not hold the lock.
    Outside,
    /// It has acquired it under this token.
    Acquired(u64),
    /// It has been in the section.
    Left,
}

#[async_trait]
impl Actor for Holder {
    async fn next(&mut self) -> Option<Call> {
        self.discard().await;
        let session = match &mut self.session {
            Some(session) => session,
            None => self.session.insert(self.begin().await?),
        };
        if !std::mem::replace(&mut session.announced, true) {
            return self.call("expire");
        }
        match self.part {
            Part::Outside => {
                self.renew().await?;
                self.call("acquire")
            }
            Part::Acquired(_) => self.call("hold"),
            Part::Left => self.call("release"),
        }
    }

    async fn perform(&mut self, call: &Call) -> Outcome {
        let Some(session) = self.session.clone() else {
            return Outcome::Fail("there is no session".to_owned());
        };
        match (call.f, self.part) {
            ("expire", _) => Outcome::Info("its end is not seen".to_owned()),
            ("acquire", _) => self.acquire(&session, call).await,
            ("hold", Part::Acquired(token)) => self.hold(token, call).await,
            _ => self.release(&session, call).await,
        }
    }

    async fn last(&mut self) -> Option<Call> {
        // The lock is given back, so that nothing hangs on it.
        if let Part::Acquired(_) | Part::Left = self.part {
            return self.call("release");
        }
        // All get it once more, one after the other.
        self.tries = self.tries.checked_sub(1)?;
        if self.manner == Manner::Leader {
            // There may be a delay, of a session that was only ended now.
            sleep(RENEW).await;
        }
        self.next().await
    }
}

impl Holder {
    /// Something that is done by this session on this lock.
    fn call(&self, f: &'static str) -> Option<Call> {
        let session = self.session.as_ref()?;
        Some(Call::new(f, json!(session.id.as_str())).on(self.lock.as_str()))
    }

    /// Makes a session.
    async fn begin(&self) -> Option<Live> {
        let renewed = Instant::now();
        let lock_delay = Some(Duration::ZERO);
        let new = match self.manner {
            Manner::Bare | Manner::Fenced => NewSession { lock_delay, ..NewSession::default() },
            // No check of its node ends it. The node's end does all the same: dead servers are removed from the cluster, and
            // with them their sessions, before their time. What then keeps others out is the delay.
            Manner::Leader => NewSession {
                ttl: Some(TTL),
                node_checks: Some(Vec::new()),
                lock_delay: Some(TTL),
                ..NewSession::default()
            },
        };
        let id = self.hand.client.session().create(&new).await.ok()?;
        Some(Live { id, renewed, announced: false })
    }

    /// Lets a leader's session live on; none if it does not.
    async fn renew(&mut self) -> Option<()> {
        let Some(session) = self.session.as_mut().filter(|_| self.manner == Manner::Leader) else {
            return Some(());
        };
        let now = Instant::now();
        match self.hand.client.session().renew(&session.id).await {
            Ok(Some(_)) => session.renewed = now,
            Ok(None) => self.abandon(),
            Err(_) => return None,
        }
        self.session.as_ref().map(|_| ())
    }

    /// Goes on without this session.
    fn abandon(&mut self) {
        self.given_up.extend(self.session.take().map(|session| session.id));
        self.part = Part::Outside;
    }

    /// Ends sessions that may hold the lock and are not wanted any more, as far as that goes now.
    async fn discard(&mut self) {
        if let Some(session) = self.given_up.pop()
            && self.hand.client.session().destroy(&session).await.is_err()
        {
            self.given_up.push(session);
        }
    }

    async fn acquire(&mut self, session: &Live, call: &Call) -> Outcome {
        let path = path(&self.lock);
        let lock = [Operation::lock(path, session.id.as_str().to_owned(), session.id.clone())];
        match self.hand.client.txn().run(&lock).await {
            Ok(answer) => {
                let token = answer.value.first().map_or(0, |pair| pair.modify_index.0);
                self.part = Part::Acquired(token);
                Outcome::Ok { value: call.value.clone(), index: Some(token) }
            }
            Err(Error::RolledBack { errors, .. }) => {
                if errors.iter().any(|error| error.kind == OperationErrorKind::NoSession) {
                    self.abandon();
                }
                Outcome::Fail(
                    errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; "),
                )
            }
            Err(error) => {
                let outcome = Outcome::of(&error);
                // It may hold the lock, and will not use it.
                if matches!(outcome, Outcome::Info(_)) {
                    self.abandon();
                }
                outcome
            }
        }
    }

    /// Is in the section. It ends as `fail` if what was done there counts for nothing.
    async fn hold(&mut self, token: u64, call: &Call) -> Outcome {
        self.part = Part::Left;
        if self.manner == Manner::Fenced && !self.vault.accepts(&self.lock, token) {
            return Outcome::Fail(format!("token {token} is older than one that was seen"));
        }
        let end = Instant::now() + self.hand.dice.around(SECTION);
        match self.manner {
            Manner::Bare | Manner::Fenced => sleep_until(end).await,
            Manner::Leader => self.lead(end).await,
        }
        if self.manner == Manner::Fenced && !self.vault.accepts(&self.lock, token) {
            return Outcome::Fail(format!("token {token} is older than one that was seen"));
        }
        Outcome::Ok { value: call.value.clone(), index: Some(token) }
    }

    /// Leads until then, or until it cannot be sure of it any more.
    async fn lead(&mut self, end: Instant) {
        while let Some(session) = &self.session {
            let sure = session.renewed + TTL - MARGIN;
            let (until, now) = (end.min(sure), Instant::now());
            if now >= until {
                break;
            }
            // One that is not answered in time leaves it as it was.
            match timeout_at(until, self.renew()).await {
                Ok(_) if self.session.is_some() => sleep_until(until.min(now + RENEW)).await,
                Ok(_) | Err(_) => {}
            }
        }
    }

    async fn release(&mut self, session: &Live, call: &Call) -> Outcome {
        self.part = Part::Outside;
        let path = path(&self.lock);
        match self.hand.client.kv().release(&path, String::new(), &session.id).await {
            Ok(true) => Outcome::ok(call.value.clone()),
            Ok(false) => {
                self.abandon();
                Outcome::Fail("it was not held any more".to_owned())
            }
            Err(error) => {
                self.abandon();
                Outcome::of(&error)
            }
        }
    }
}

impl Vault {
    /// Whether this token is as new as the newest that was seen; if so, it is that.
    fn accepts(&self, lock: &str, token: u64) -> bool {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = newest.entry(lock.to_owned()).or_default();
        let accepts = token >= *newest;
        if accepts {
            *newest = token;
        }
        accepts
    }
}

fn path(lock: &str) -> String {
    format!("jepsen/lock/{lock}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_refuses_what_is_older_than_what_it_has_seen() {
        let vault = Vault::default();
        assert!(vault.accepts("a", 3));
        assert!(vault.accepts("a", 3), "who is in may come again");
        assert!(vault.accepts("a", 5));
        assert!(!vault.accepts("a", 3));
        assert!(vault.accepts("b", 3), "each lock has tokens of its own");
    }
}
