//! What agents tell the harness: it listens, and keeps what comes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lictor_testkit::service::{Answer, Call as Request, Service};
use serde_json::{Value, json};

use super::scene::SceneError;
use super::witness::{self, Deed};
use super::world::agent::HARNESS;
use super::world::net;

/// Something is wrong.
pub const FIRING: &str = "firing";

/// It is over.
pub const RESOLVED: &str = "resolved";

/// Listens for what agents tell. A message that comes again under the same id is the same message.
#[derive(Debug)]
pub struct Hook {
    service: Service,
    heard: Arc<Heard>,
}

/// What the harness was told.
#[derive(Debug)]
pub struct Heard {
    /// The key of an item in a message from this sender; none if it does not count.
    key: fn(&str, &Value) -> Option<String>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// Message, key and word of what was counted.
    seen: BTreeSet<(String, String, &'static str)>,
    deeds: Vec<Deed>,
    /// How often each word was told of each key.
    counts: BTreeMap<(String, &'static str), u32>,
    last: Option<usize>,
    /// What came and is no message.
    garbage: Vec<String>,
}

impl Hook {
    /// Listens on all addresses.
    ///
    /// # Panics
    /// If there is no port for it, which a network of its own has.
    #[must_use]
    pub fn listen(key: fn(&str, &Value) -> Option<String>) -> Self {
        let heard = Arc::new(Heard { key, told: Mutex::default() });
        let keeps = Arc::clone(&heard);
        let service = Service::start_on(Ipv4Addr::UNSPECIFIED, move |request| {
            keeps.hears(request);
            Answer::new(200, "{}")
        });
        Self { service, heard }
    }

    /// What was heard, and will be.
    #[must_use]
    pub fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.heard)
    }

    /// The blocks by which the agent of a host tells it at once of each alert of this selection.
    #[must_use]
    pub fn blocks(&self, host: usize, selection: &str) -> String {
        let url = self.service.url().replace("0.0.0.0", HARNESS);
        format!(
            "notify \"http\" \"harness\" {{\n  url = \"{url}/{}\"\n  parallel = 4\n  backoff = \"100ms\"\n  backoff_max = \"1s\"\n  \
             timeout = \"2s\"\n  batch = \"alert\"\n}}\nroute {{\n  {selection}\n  to = [\"harness\"]\n  group_wait = \"0s\"\n  \
             group_interval = \"0s\"\n}}\n",
            net::name(host)
        )
    }
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hears(&self, request: &Request) {
        let (at, mut told) = (witness::now(), self.lock());
        let sender = request.path.trim_start_matches('/').to_owned();
        let message = serde_json::from_str::<Value>(&request.body).unwrap_or_default();
        let (Some(id), Some(items)) = (message["id"].as_str(), message["items"].as_array()) else {
            told.garbage.push(request.body.clone());
            return;
        };
        told.last = sender.strip_prefix('n').and_then(|number| number.parse::<usize>().ok()?.checked_sub(1));
        for item in items {
            let Some(key) = (self.key)(&sender, item) else { continue };
            let what = if item["tells"] == RESOLVED { RESOLVED } else { FIRING };
            if told.seen.insert((id.to_owned(), key.clone(), what)) {
                let (node, value) = (sender.clone(), json!(what));
                told.deeds.push(Deed { f: "told", key: json!(key), value, node, from: at, to: Some(at) });
                *told.counts.entry((key, what)).or_default() += 1;
            }
        }
    }

    /// How often this was told of a key.
    #[must_use]
    pub fn count(&self, key: &str, what: &'static str) -> u32 {
        self.lock().counts.get(&(key.to_owned(), what)).copied().unwrap_or_default()
    }

    /// How often a fault was told, and how often an end, of all keys of which this is true.
    #[must_use]
    pub fn sums(&self, of: impl Fn(&str) -> bool) -> (u32, u32) {
        let told = self.lock();
        let sum = |word| {
            told.counts
                .iter()
                .filter(|((key, what), _)| *what == word && of(key))
                .map(|(_, count)| *count)
                .sum()
        };
        (sum(FIRING), sum(RESOLVED))
    }

    /// The host whose agent told something last.
    #[must_use]
    pub fn last(&self) -> Option<usize> {
        self.lock().last
    }

    /// All that was told.
    ///
    /// # Errors
    /// If something came that is no message.
    pub fn deeds(&self) -> Result<Vec<Deed>, SceneError> {
        let told = self.lock();
        match told.garbage.first() {
            Some(line) => Err(SceneError::Line { path: "what was told".into(), line: line.clone() }),
            None => Ok(told.deeds.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard() -> Heard {
        let key = |_: &str, item: &Value| {
            (item["labels"]["node"] == "outside").then(|| item["labels"]["check_id"].to_string())
        };
        Heard { key, told: Mutex::default() }
    }

    fn told(path: &str, id: &str, node: &str, tells: &str) -> Request {
        let item = json!({ "tells": tells, "labels": { "node": node, "check_id": 1 } });
        Request {
            method: "POST".to_owned(),
            path: path.to_owned(),
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            body: json!({ "id": id, "items": [item] }).to_string(),
        }
    }

    #[test]
    fn a_message_that_comes_again_under_its_id_is_the_same() {
        let heard = heard();
        let all = [("/n2", "m1", "firing"), ("/n2", "m1", "firing"), ("/n3", "m2", "resolved")];
        all.iter().for_each(|(path, id, tells)| heard.hears(&told(path, id, "outside", tells)));
        let deeds = heard.deeds().unwrap();
        let seen: Vec<_> = deeds.iter().map(|deed| (deed.node.as_str(), deed.value.as_str())).collect();
        assert_eq!(seen, [("n2", Some("firing")), ("n3", Some("resolved"))]);
        assert_eq!((heard.last(), heard.count("1", RESOLVED), heard.sums(|_| true)), (Some(2), 1, (1, 1)));
    }

    #[test]
    fn what_does_not_count_is_left_out_and_what_is_no_message_is_told() {
        let heard = heard();
        let other = told("/n1", "m1", "n1", "firing");
        heard.hears(&other);
        assert_eq!(heard.deeds().unwrap(), []);
        heard.hears(&Request { body: "hello".to_owned(), ..other });
        assert!(heard.deeds().unwrap_err().to_string().contains("`hello`"));
    }
}
