//! The settings in Consul, as they are now, as a configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lictor_compat::consul_alerts::run::{Named, Place, configuration, receivers, unusable};
use lictor_compat::consul_alerts::{
    Blacklist, CONFIG, Consul, PREFIX, Receiver, Remark, Settings, Start, THRESHOLD, Thresholds,
};
use lictor_config::{Config, Endpoint, Env as _, Notifier, NotifierKind, ProcessEnv, Service, parse_in};
use lictor_consul::{Client, Pair, Query, Secret, Watch};
use lictor_core::NotifierName;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::{changed, reach, words};

/// What mistakes in the configuration that is made are said to be in.
const FILE: &str = "consul-alerts.hcl";

/// Changes that come within this time are put in force together.
const GAP: Duration = Duration::from_millis(400);

/// So long a query is held without news. Consul does not always wake one when a whole folder of keys
/// is deleted: then this is how late it is seen.
const HELD: Duration = Duration::from_secs(10);

/// A reload that failed is tried again after so long.
const OWED: Duration = Duration::from_secs(5);

/// Keys with their values.
pub(super) type Keys = BTreeMap<String, Vec<u8>>;

/// The settings in Consul and what is made of them.
pub(super) struct Live {
    start: Start,
    place: Place,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Keys,
    /// What was made of the keys last.
    loaded: Arc<Current>,
    current: Arc<Current>,
    /// The token that was read last.
    token: Option<Secret>,
    /// What was remarked already.
    said: BTreeSet<Remark>,
}

/// What is in force.
#[derive(Debug, Default)]
pub(super) struct Current {
    pub(super) settings: Settings,
    /// Who tells, by the name that the configuration has for them.
    pub(super) receivers: BTreeMap<NotifierName, Receiver>,
}

impl Live {
    pub(super) fn new(start: Start, place: Place) -> Self {
        Self { start, place, state: Mutex::default() }
    }

    /// What is in force.
    pub(super) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.state().current)
    }

    /// What was loaded last is what is in force from now on.
    pub(super) fn put_in_force(&self) -> Arc<Current> {
        let mut state = self.state();
        state.current = Arc::clone(&state.loaded);
        Arc::clone(&state.current)
    }

    /// The configuration that the keys give.
    ///
    /// # Errors
    /// In words, why there is none.
    pub(super) fn load(&self) -> Result<Config, String> {
        self.taken(self.settings())
    }

    /// The same for a start, where there is none of before: one value that makes the configuration
    /// unusable must not have it end again and again.
    ///
    /// # Errors
    /// In words, why there is none even without thresholds and blacklist.
    pub(super) fn load_at_start(&self) -> Result<Config, String> {
        self.load().or_else(|why| {
            let settings = Settings {
                thresholds: Thresholds::default(),
                blacklist: Blacklist::default(),
                ..self.settings()
            };
            let config = self.taken(settings).map_err(|_same| why.clone())?;
            error!(
                "{why}; until they can, it runs WITHOUT BLACKLIST AND THRESHOLDS: every check is told of, and each \
                 change counts after {} s",
                THRESHOLD.as_secs()
            );
            Ok(config)
        })
    }

    fn settings(&self) -> Settings {
        let keys = self.state().keys.clone();
        Settings::read(PREFIX, keys.iter().map(|(key, value)| (key.as_str(), value.as_slice())))
    }

    fn taken(&self, settings: Settings) -> Result<Config, String> {
        let (config, loaded) = self.made(settings)?;
        self.state().loaded = Arc::new(loaded);
        Ok(config)
    }

    fn made(&self, settings: Settings) -> Result<(Config, Current), String> {
        let (mut named, mut remarks) = receivers(&settings);
        named.retain(|one| match flaw(one) {
            None => true,
            Some(why) => {
                remarks.push(unusable(one, &why));
                false
            }
        });
        let on = settings.notifiers.values().filter(|notifier| notifier.enabled);
        remarks.extend(on.flat_map(|notifier| words::mistakes(&format!("{PREFIX}{CONFIG}"), notifier)));
        remarks.extend(settings.remarks.iter().cloned());
        self.say(&remarks);
        let text = configuration(&settings, &self.start, &self.place, &named);
        let mut config = parse_in(FILE, &text, &ProcessEnv)
            .map_err(|failure| {
                let lines: Vec<_> = failure.lines().collect();
                format!("the keys below {PREFIX}{CONFIG} cannot be used: {}", lines.join("; "))
            })?
            .config;
        by_proxy(&mut config, |name| ProcessEnv.var(name));
        if let Some(checks) = &mut Arc::make_mut(&mut config.alerts).consul {
            checks.paused = !settings.checks_enabled;
        }
        let name = |one: Named| Some((NotifierName::new(&one.name).ok()?, one.receiver));
        let receivers = named.into_iter().filter_map(name).collect();
        Ok((config, Current { settings, receivers }))
    }

    /// Has the client use the token that its file has now; says whether that is another one.
    pub(super) fn renew(&self, client: &Client) -> bool {
        let Consul { token: None, token_file: Some(file), .. } = &self.start.consul else { return false };
        let token = match reach::token(&self.start) {
            Ok(token) => token,
            Err(why) => {
                warn!(file, why, "the token for Consul stays the one of before");
                return false;
            }
        };
        let mut state = self.state();
        if state.token == token {
            return false;
        }
        if let Err(why) = client.set_token(token.as_ref()) {
            warn!(file, %why, "the token for Consul stays the one of before");
            return false;
        }
        state.token = token;
        true
    }

    /// Reads the keys for the first time; as long as they cannot be read, it waits.
    pub(super) async fn first(&self, client: &Client) -> Watch<Vec<Pair>> {
        let query = Query::new().consistent().wait(HELD);
        let mut watch = Watch::list(client.clone(), format!("{PREFIX}{CONFIG}"), query).at_most_every(GAP);
        let mut told = String::new();
        loop {
            match watch.next().await {
                Ok(change) => {
                    if change.value.is_empty() {
                        warn!(
                            "Consul shows no key below {PREFIX}{CONFIG}, or the token may read none: the log \
                             file alone is told"
                        );
                    }
                    self.take(change.value);
                    return watch;
                }
                Err(why) => {
                    if why.is_denied() {
                        self.renew(client);
                    }
                    let why = why.to_string();
                    if why != told {
                        error!("the keys below {PREFIX}{CONFIG} cannot be read, trying again: {why}");
                        told = why;
                    }
                }
            }
        }
    }

    /// Puts each change in force by `reload`, which says what it changed.
    pub(super) async fn follow<R>(
        self: Arc<Self>,
        client: Client,
        mut watch: Watch<Vec<Pair>>,
        reload: impl Fn() -> R + Send,
    ) where
        R: Future<Output = Result<String, String>> + Send,
    {
        let mut lost = false;
        let mut before = self.state().keys.clone();
        // Why the last reload failed, if another one may not.
        let mut owed: Option<String> = None;
        loop {
            let next = match &owed {
                None => Some(watch.next().await),
                Some(_) => timeout(OWED, watch.next()).await.ok(),
            };
            let due = match next {
                None => true,
                Some(Ok(change)) => {
                    if std::mem::take(&mut lost) {
                        info!("the keys below {PREFIX}{CONFIG} can be read again");
                    }
                    self.take(change.value)
                }
                Some(Err(why)) => {
                    if !std::mem::replace(&mut lost, true) {
                        warn!("the keys below {PREFIX}{CONFIG} cannot be read, those of before count: {why}");
                    }
                    // The agent reads it anew as well, at a reload.
                    why.is_denied() && self.renew(&client)
                }
            };
            if !due {
                continue;
            }
            match reload().await {
                Ok(difference) => {
                    owed = None;
                    let keys = self.state().keys.clone();
                    let difference = changed::in_words(&before, &keys, difference);
                    before = keys;
                    info!(difference, "the changed settings are in force");
                }
                Err(why) => {
                    if owed.as_ref() != Some(&why) {
                        error!("the changed settings are not in force, those of before are: {why}");
                    }
                    // What cannot be used has to change first.
                    owed = self.made(self.settings()).is_ok().then_some(why);
                }
            }
        }
    }

    /// Takes keys in, and says whether they are others than before.
    fn take(&self, pairs: Vec<Pair>) -> bool {
        let keys: Keys = pairs.into_iter().map(|pair| (pair.key, pair.value.to_vec())).collect();
        let mut state = self.state();
        if keys.is_empty() && state.keys.len() > 1 {
            // So it looks as well when the token may not read them any more.
            drop(state);
            warn!(
                "Consul shows no key below {PREFIX}{CONFIG} any more; those of before count until there are \
                 some, or a restart"
            );
            return false;
        }
        let others = state.keys != keys;
        state.keys = keys;
        others
    }

    /// Says what cannot be used, each thing once.
    fn say(&self, remarks: &[Remark]) {
        let mut state = self.state();
        state.said.retain(|said| remarks.contains(said));
        for remark in remarks {
            if state.said.insert(remark.clone()) {
                warn!("{remark}");
            }
        }
    }

    /// Takes in what a test says.
    #[cfg(test)]
    pub(super) fn put(&self, keys: &[(&str, &str)]) -> bool {
        let zero = lictor_consul::Index::ZERO;
        let pair = |(key, value): &(&str, &str)| Pair {
            key: format!("{PREFIX}{CONFIG}{key}"),
            value: value.as_bytes().to_vec().into(),
            flags: 0,
            session: None,
            lock_index: 0,
            create_index: zero,
            modify_index: zero,
        };
        self.take(keys.iter().map(pair).collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Goes by the proxies that the environment names, as the old program went. Their addresses may hold
/// a password, which no configuration may.
fn by_proxy(config: &mut Config, environment: impl Fn(&str) -> Option<String>) {
    for notifier in config.notifiers.values_mut() {
        let NotifierKind::Service(service) = &notifier.kind else { continue };
        let place = match service.endpoints.first() {
            Some(Endpoint::Plain(url)) => url.to_string(),
            Some(Endpoint::Secret(secret)) => secret.reveal().unwrap_or_default(),
            None => continue,
        };
        let proxy = reach::proxy(&place, &environment).and_then(|proxy| proxy.parse().ok());
        if proxy.is_some() {
            let service = Service { proxy, ..Service::clone(service) };
            let kind = NotifierKind::Service(Box::new(service));
            *notifier = Arc::new(Notifier { kind, ..Notifier::clone(notifier) });
        }
    }
}

/// What is wrong with the block of a receiver.
fn flaw(named: &Named) -> Option<String> {
    let failure = parse_in(FILE, &named.block, &ProcessEnv).err()?;
    Some(failure.errors.first().map_or_else(|| failure.to_string(), ToString::to_string))
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
