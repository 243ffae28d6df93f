//! Looks at URLs, shared by all who ask.
//!
//! A URL is looked at by at most one look at a time, and whoever wants to know waits for that one. In
//! the agent looks are made in the background; then an answer takes what the last ones found and
//! waits for nothing. On demand a look is begun when somebody asks. A look that does not end in the
//! patience of an answer goes on without it: the answer then has the last result if that is not old,
//! or else says that there was none.

use std::sync::Arc;
use std::time::Duration;

use lictor_config::{Family, Http, Tls};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tracing::debug;
use url::Url;

use super::answer::Entry;
use crate::watch::{World, request};
use crate::{Clock, OnEnd, Tasks};

/// Looks at once. More wait, within the patience of who asks.
const AT_ONCE: usize = 256;

/// What is read of the body of an answer, bytes.
const BODY: usize = 1 << 20;

/// A URL that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    shown: String,
    url: Option<Url>,
}

impl Target {
    /// One as it was written. What is no URL of http is looked at in vain; without a scheme it is http.
    pub fn written(text: &str) -> Self {
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&whole).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let shown = match &url {
            Some(url) if url.password().is_some() => without_password(url),
            Some(_) => text.to_owned(),
            None => without_what_may_be_one(text),
        };
        Self { shown, url }
    }
}

impl From<Url> for Target {
    fn from(url: Url) -> Self {
        Self { shown: without_password(&url), url: Some(url) }
    }
}

/// What everybody may see of a URL.
fn without_password(url: &Url) -> String {
    let mut shown = url.clone();
    // It cannot fail for a URL with a host.
    shown.set_password(None).ok();
    shown.to_string()
}

/// What everybody may see of what cannot be used as a URL: from the first colon after the scheme to the
/// last `@` it may be a password, whatever stands there.
fn without_what_may_be_one(text: &str) -> String {
    let Some((before, place)) = text.rsplit_once('@') else { return text.to_owned() };
    let (scheme, login) = match before.split_once("://") {
        Some((scheme, login)) if !scheme.contains(':') => (format!("{scheme}://"), login),
        Some(_) | None => (String::new(), before),
    };
    let user = login.split_once(':').map_or(login, |(user, _password)| user);
    format!("{scheme}{user}@{place}")
}

/// When URLs are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looking {
    /// So often, whether somebody asks or not.
    Every(Duration),
    /// When somebody asks and the last result is older than this.
    OnDemand(Duration),
}

/// Is told of each look: the URL, and the status of its answer or 0.
pub type Told = Arc<dyn Fn(&str, u16) + Send + Sync>;

/// The looks at the URLs of a probe.
pub(super) struct Looks {
    slots: Vec<Arc<Slot>>,
    looking: Looking,
    timeout: Duration,
    means: Arc<Means>,
    tasks: Tasks,
}

/// What every look needs.
struct Means {
    world: Arc<World>,
    room: Semaphore,
    timeout: Duration,
    told: Told,
}

/// A URL and what is known of it.
struct Slot {
    target: Target,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    running: bool,
    last: Option<Found>,
}

/// What a look found.
#[derive(Clone, Copy, Debug)]
struct Found {
    code: u16,
    took: Duration,
    ended: Instant,
}

impl Looks {
    pub(super) fn new(
        targets: Vec<Target>,
        looking: Looking,
        timeout: Duration,
        told: Told,
        tasks: Tasks,
    ) -> Self {
        let slot = |target| Arc::new(Slot { target, state: watch::Sender::default() });
        let world = World::new(tasks.clone(), Clock::fresh());
        let means = Arc::new(Means { world, room: Semaphore::new(AT_ONCE), timeout, told });
        Self { slots: targets.into_iter().map(slot).collect(), looking, timeout, means, tasks }
    }

    /// Looks so often as it is to, if it is to do so by itself; never ends then.
    pub(super) async fn keep(&self) {
        let Looking::Every(every) = self.looking else { return };
        loop {
            self.slots.iter().for_each(|slot| self.begin(slot));
            tokio::time::sleep(every).await;
        }
    }

    /// How each URL stands, in order, by `deadline`.
    pub(super) async fn entries(&self, deadline: Instant) -> Vec<Entry> {
        let asked = Instant::now();
        let fresh = |state: &State| state.last.is_some_and(|last| last.ended + self.good_for() >= asked);
        // Known from the start as somebody who waits: looks are not given up for a stop then.
        let waits: Vec<_> = self.slots.iter().map(|slot| slot.state.subscribe()).collect();
        for slot in &self.slots {
            if !fresh(&slot.state.borrow()) {
                self.begin(slot);
            }
        }
        let mut entries = Vec::with_capacity(self.slots.len());
        for (slot, mut state) in self.slots.iter().zip(waits) {
            let done = state.wait_for(|state| fresh(state) || !state.running);
            // Late or not: what is known then counts.
            let known = match timeout_at(deadline, done).await {
                Ok(Ok(state)) => *state,
                Ok(Err(_)) | Err(_) => *slot.state.borrow(),
            };
            let url = slot.target.shown.clone();
            let believed = |found: &Found| found.ended + self.believed_for() >= asked;
            entries.push(match known.last.filter(believed) {
                Some(Found { code, took, .. }) => Entry { url, code, took },
                None => Entry::failed(url),
            });
        }
        entries
    }

    /// How old a result may be that nothing newer is waited for. A look in the background that takes
    /// all its time ends so long after the one before.
    fn good_for(&self) -> Duration {
        match self.looking {
            Looking::Every(every) => every + self.timeout + Duration::from_secs(1),
            Looking::OnDemand(fresh) => fresh,
        }
    }

    /// How old a result may be that is shown when the look for a newer one does not end in time.
    fn believed_for(&self) -> Duration {
        match self.looking {
            Looking::Every(_) => self.good_for(),
            Looking::OnDemand(fresh) => fresh + self.timeout,
        }
    }

    /// Begins to look unless that is being done.
    fn begin(&self, slot: &Arc<Slot>) {
        let begins = slot.state.send_if_modified(|state| !std::mem::replace(&mut state.running, true));
        if begins {
            let running = Running { slot: Arc::clone(slot), found: None };
            let means = Arc::clone(&self.means);
            let (slot, stop) = (Arc::clone(slot), self.tasks.stopping());
            let look = async move {
                let unwanted = async {
                    stop.cancelled().await;
                    slot.state.closed().await;
                };
                tokio::select! { () = means.look(running) => {}, () = unwanted => {} }
            };
            drop(self.tasks.spawn_draining("look of the probe", OnEnd::Fine, look));
        }
    }
}

/// A look under way. When it ends, however it does, its URL can be looked at again.
struct Running {
    slot: Arc<Slot>,
    found: Option<Found>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.slot.state.send_modify(|state| {
            state.running = false;
            state.last = self.found.or(state.last);
        });
    }
}

impl Means {
    async fn look(self: Arc<Self>, mut running: Running) {
        // It is never closed.
        let _place = self.room.acquire().await;
        let shown = &running.slot.target.shown;
        let answered = match &running.slot.target.url {
            Some(url) => request(&http(url.clone()), self.timeout, &self.world).await,
            None => Err("it is no URL of http or https".to_owned()),
        };
        let (code, took) = answered.unwrap_or_else(|why| {
            debug!(url = shown, why, "no answer");
            (0, Duration::ZERO)
        });
        (self.told)(shown, code);
        running.found = Some(Found { code, took, ended: Instant::now() });
    }
}

/// A plain GET that follows no redirects.
fn http(url: Url) -> Http {
    Http {
        url,
        method: "GET".to_owned(),
        headers: Vec::new(),
        body: None,
        basic_auth: None,
        bearer: None,
        status: vec![(200, 399)],
        expect_headers: Vec::new(),
        body_matches: None,
        body_lacks: None,
        json: Vec::new(),
        warn_slower: None,
        warn_expiry: Duration::ZERO,
        critical_expiry: Duration::ZERO,
        redirects: 0,
        keep_alive: false,
        family: Family::Any,
        max_body: BODY,
        tls: Tls::default(),
    }
}

#[cfg(test)]
mod tests;
