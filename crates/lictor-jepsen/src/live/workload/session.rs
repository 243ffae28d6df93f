//! How long things take that Consul promises about sessions: that one lives for its time, and that nobody gets its locks
//! for a while after it was ended.
//!
//! Each call has a key of its own, so that nobody disturbs it. Half of the actors do the one, half the other:
//!
//! - `expiry`: an actor makes a session that lives for 10 s, acquires its key, and looks when the session is gone. The call lasts from before
//!   the session was made until it was seen to be gone;
//! - `lock-delay`: an actor acquires its key, ends the session, and tries to acquire the key by another one. The call lasts from before the
//!   end until the key was acquired.

use std::time::Duration;

use async_trait::async_trait;
use lictor_consul::{Client, Error, NewSession, Query, SessionId};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Actor, Call, Hand, Outcome, Wishes, Workload};

/// How long a session lives that is not renewed: the shortest time that Consul allows.
const TTL: Duration = Duration::from_secs(10);

/// How long nobody is to get the locks of a session that was ended.
const DELAY: Duration = Duration::from_secs(3);

/// How long an actor rests on average before it makes a session that is to end by itself.
const APART: Duration = Duration::from_secs(3);

/// How often it is looked, or tried.
const POLL: Duration = Duration::from_millis(100);

/// How long that goes on. Each new leader gives sessions their time anew.
const PATIENCE: Duration = Duration::from_secs(90);

/// The workload.
#[derive(Debug)]
pub struct Sessions {
    faults: bool,
}

impl Sessions {
    /// Sessions that nobody else touches.
    #[must_use]
    pub fn new(wishes: Wishes) -> Self {
        Self { faults: wishes.faults }
    }
}

#[async_trait]
impl Workload for Sessions {
    async fn prepare(&self, _: &Client) -> Result<(), Error> {
        Ok(())
    }

    fn checks(&self) -> Vec<String> {
        // Consul ends a session after twice its time, and a new leader counts anew.
        let latest = |usual: Duration| if self.faults { PATIENCE } else { usual };
        let lasts = |f: &str, least: Duration, most: Duration| {
            format!("lasts:f={f},least={},most={}", least.as_secs(), latest(most).as_secs())
        };
        vec![
            lasts("expiry", TTL, 2 * TTL + Duration::from_secs(3)),
            lasts("lock-delay", DELAY, DELAY + Duration::from_secs(2)),
        ]
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        let expiry = hand.number.is_multiple_of(2);
        Box::new(Watcher { hand, expiry, keys: 0, ended: None, done: false })
    }
}

/// An actor of this workload.
struct Watcher {
    hand: Hand,
    /// Whether it looks at expiries; at lock delays otherwise.
    expiry: bool,
    /// How many keys it has had.
    keys: u32,
    /// The session that holds the key and is to be ended.
    ended: Option<SessionId>,
    /// Whether it has looked for the last time.
    done: bool,
}

#[async_trait]
impl Actor for Watcher {
    async fn next(&mut self) -> Option<Call> {
        self.keys += 1;
        if self.expiry {
            // Not all at the same time.
            sleep(self.hand.dice.around(APART)).await;
            return Some(Call::new("expiry", json!({ "ttl_ms": TTL.as_millis() })).on(self.key()));
        }
        self.ended = self.acquired(&NewSession { lock_delay: Some(DELAY), ..NewSession::default() }).await;
        self.ended.as_ref()?;
        Some(Call::new("lock-delay", json!({ "delay_ms": DELAY.as_millis() })).on(self.key()))
    }

    async fn perform(&mut self, call: &Call) -> Outcome {
        let done = match self.ended.take() {
            Some(session) => self.lock_delay(&session).await,
            None => self.expiry().await,
        };
        match done {
            Ok(()) => Outcome::ok(call.value.clone()),
            // Whatever was written is forgotten with the session: nothing is left that may still happen.
            Err(why) => Outcome::Fail(why),
        }
    }

    async fn last(&mut self) -> Option<Call> {
        if std::mem::replace(&mut self.done, true) {
            return None;
        }
        // The shorter one of the two.
        self.expiry = false;
        self.next().await
    }
}

impl Watcher {
    async fn expiry(&self) -> Result<(), String> {
        let new = NewSession {
            ttl: Some(TTL),
            node_checks: Some(Vec::new()),
            lock_delay: Some(Duration::ZERO),
            ..NewSession::default()
        };
        let session = self.acquired(&new).await.ok_or("the key was not acquired")?;
        let mut patience = Patience::new();
        while !self.lost(&session).await {
            patience.rest().await.ok_or_else(|| format!("session {session} lives after {PATIENCE:?}"))?;
        }
        Ok(())
    }

    /// Whether the key is certainly not held by this session.
    async fn lost(&self, session: &SessionId) -> bool {
        let found = self.hand.client.kv().get(&self.path(), &Query::new().consistent()).await;
        // Who cannot tell has not seen it.
        found.is_ok_and(|found| found.value.is_none_or(|pair| pair.session.as_ref() != Some(session)))
    }

    async fn lock_delay(&self, session: &SessionId) -> Result<(), String> {
        let client = &self.hand.client;
        // One that may have been ended or not says nothing about what follows.
        client.session().destroy(session).await.map_err(|error| error.to_string())?;
        let new = NewSession { lock_delay: Some(Duration::ZERO), ..NewSession::default() };
        let mut other = self.session(&new).await.ok_or("no other session was made")?;
        let mut patience = Patience::new();
        let mut done = Some(());
        while done.is_some() {
            match client.kv().acquire(&self.path(), "other", &other).await {
                Ok(true) => break,
                Ok(false) => {}
                // It may be gone itself.
                Err(_) => other = self.session(&new).await.unwrap_or(other),
            }
            done = patience.rest().await;
        }
        self.end(&other).await;
        done.ok_or_else(|| format!("the key cannot be acquired after {PATIENCE:?}"))
    }

    /// A session that holds the key, if one could be made that does.
    async fn acquired(&self, new: &NewSession) -> Option<SessionId> {
        let session = self.session(new).await?;
        match self.hand.client.kv().acquire(&self.path(), "mine", &session).await {
            Ok(true) => Some(session),
            Ok(false) | Err(_) => {
                self.end(&session).await;
                None
            }
        }
    }

    async fn session(&self, new: &NewSession) -> Option<SessionId> {
        self.hand.client.session().create(new).await.ok()
    }

    async fn end(&self, session: &SessionId) {
        if let Err(error) = self.hand.client.session().destroy(session).await {
            // It ends with its node, or its time.
            tracing::debug!(%session, %error, "a session is left over");
        }
    }

    fn key(&self) -> String {
        format!("s{}-{}", self.hand.number, self.keys)
    }

    fn path(&self) -> String {
        format!("jepsen/session/{}", self.key())
    }
}

/// How long something is tried.
struct Patience {
    until: Instant,
}

impl Patience {
    fn new() -> Self {
        Self { until: Instant::now() + PATIENCE }
    }

    /// Rests before the next try; none if it was tried long enough.
    async fn rest(&mut self) -> Option<()> {
        if Instant::now() >= self.until {
            return None;
        }
        sleep(POLL).await;
        Some(())
    }
}
