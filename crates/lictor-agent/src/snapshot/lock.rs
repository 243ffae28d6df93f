//! The lock of a program that knows nothing of our lease: a key that is held by a session while this node works.

use std::time::Duration;

use lictor_consul::{Behavior, Client, Guard, NewSession, Pair, Put, Query, SessionId};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

/// The mark by which programs that use Consul's Go library know a lock.
const FLAGS: u64 = 0x2ddc_cbc0_58a5_0c18;

/// How long the session lives without being renewed, as that library has it.
const TTL: Duration = Duration::from_secs(15);

/// It is renewed so often.
const EVERY: Duration = Duration::from_secs(5);

/// So long before the session may end, it is no longer relied on.
const MARGIN: Duration = Duration::from_secs(3);

/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(5);

/// How long letting go may take; then the session ends by itself.
const PARTING: Duration = Duration::from_secs(3);

/// A key that this node holds.
pub(super) struct Lock {
    client: Client,
    key: String,
    session: SessionId,
}

/// Why a key is not held.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another program works.
    Held(String),
    /// It cannot be told, or it is no lock.
    Wrong(String),
}

impl Lock {
    /// Takes the key, if nobody has it. `name` is what the session is called.
    pub(super) async fn take(client: &Client, key: &str, name: &str) -> Result<Self, Refused> {
        let wrong = |what: &str, why: lictor_consul::Error| Refused::Wrong(format!("{what} `{key}`: {why}"));
        let client = client.with_attempts(1).with_time_limit(LIMIT);
        // Who only waits makes no session for it: each one is written by all servers.
        let seen = client.kv().get(key, &Query::new()).await;
        let seen = seen.map_err(|why| wrong("cannot read the lock", why))?.value;
        if let Some(Pair { session: Some(session), .. }) = seen {
            return Err(Refused::Held(holder(&client, key, &session).await));
        }
        let wanted = NewSession {
            name: Some(name.to_owned()),
            ttl: Some(TTL),
            behavior: Behavior::Release,
            ..NewSession::default()
        };
        let session = client.session().create(&wanted).await;
        let session = session.map_err(|why| wrong("no session can be made for the lock", why))?;
        let lock = Self { client, key: key.to_owned(), session };
        let refused = match lock.acquire().await {
            Ok(true) => return Ok(lock),
            Ok(false) => lock.who().await,
            Err(why) => wrong("cannot take the lock", why),
        };
        lock.end().await;
        Err(refused)
    }

    async fn acquire(&self) -> Result<bool, lictor_consul::Error> {
        let put = Put { flags: FLAGS, guard: Guard::Acquire(self.session.clone()) };
        match self.read().await? {
            // Who finds other flags there takes it for a mistake, and so do we.
            Some(pair) if pair.flags != FLAGS => Ok(false),
            Some(Pair { session: Some(_), .. }) => Ok(false),
            _ => self.client.kv().put_with(&self.key, "", &put).await,
        }
    }

    async fn read(&self) -> Result<Option<Pair>, lictor_consul::Error> {
        Ok(self.client.kv().get(&self.key, &Query::new().consistent()).await?.value)
    }

    async fn who(&self) -> Refused {
        let key = &self.key;
        match self.read().await {
            Ok(Some(pair)) if pair.flags != FLAGS => Refused::Wrong(format!("the key `{key}` is no lock")),
            Ok(Some(Pair { session: Some(session), .. })) => {
                Refused::Held(holder(&self.client, key, &session).await)
            }
            _ => Refused::Held(format!(
                "the last holder of the lock `{key}` vanished; it stays free for a while"
            )),
        }
    }

    /// Keeps it, until it is lost; in words, why.
    pub(super) async fn keep(&self) -> String {
        let mut until = Instant::now() + TTL.saturating_sub(MARGIN);
        loop {
            sleep(EVERY.min(until.saturating_duration_since(Instant::now()))).await;
            let asked = Instant::now();
            match self.client.session().renew(&self.session).await {
                Ok(Some(_)) => until = asked + TTL.saturating_sub(MARGIN),
                Ok(None) => return format!("Consul has ended the session of the lock `{}`", self.key),
                Err(why) => debug!(%why, key = self.key, "the session of the lock was not renewed"),
            }
            match self.read().await {
                Ok(pair) if pair.as_ref().and_then(|pair| pair.session.as_ref()) != Some(&self.session) => {
                    return format!("the lock `{}` was taken away", self.key);
                }
                Ok(_) => {}
                Err(why) => debug!(%why, key = self.key, "the lock was not looked at"),
            }
            if Instant::now() >= until {
                return format!("the session of the lock `{}` could not be renewed in time", self.key);
            }
        }
    }

    /// Lets it go, so that others need not wait.
    pub(super) async fn end(self) {
        let put = Put { flags: FLAGS, guard: Guard::Release(self.session.clone()) };
        let done = timeout(PARTING, async {
            let released = self.client.kv().put_with(&self.key, "", &put).await;
            (released, self.client.session().destroy(&self.session).await)
        });
        if !matches!(done.await, Ok((Ok(_), Ok(())))) {
            debug!(key = self.key, "the lock was not let go; its session ends by itself");
        }
    }
}

/// Who holds it, in words.
async fn holder(client: &Client, key: &str, session: &SessionId) -> String {
    let found = client.session().info(session, &Query::new()).await;
    let node = found.ok().and_then(|found| found.value).map(|found| found.node);
    match node {
        Some(node) => format!("another program on the node `{node}` holds the lock `{key}`"),
        None => format!("another program holds the lock `{key}`"),
    }
}
