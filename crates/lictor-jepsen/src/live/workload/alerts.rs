//! What Lictor tells of checks of Consul's: each that fails is told, and its end is told once.
//!
//! Actors have checks of a node that nobody looks after fail in the catalog, wait until that was told, and have them pass again, while the agents
//! share one desk and one of them tells. Whom they tell is the harness itself: what it got is what counts. A message that comes
//! again under the same id is the same message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lictor_consul::{Client, Error, RegisteredCheck, Registration, Status};
use lictor_testkit::service::{Answer, Call as Request, Service};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Actor, Call, Hand, Outcome, Wishes, Workload};
use crate::live::scene::{Scene, SceneError};
use crate::live::witness::{self, Deed};
use crate::live::world::agent::{Agent, HARNESS, Home};
use crate::live::world::net;
use crate::live::world::process::ProcessError;

/// The node of the checks. No agent of Consul has it, so that nobody but the actors changes them.
const NODE: &str = "outside";

/// How long something may take to be told at the end, when all are well.
const TOLD: Duration = Duration::from_secs(60);

/// How long to rest between two looks whether it was.
const POLL: Duration = Duration::from_millis(100);

/// How long a check fails on average after that was told.
const FAILS: Duration = Duration::from_secs(1);

/// How many times at the end something is tried that nobody answers.
const LAST: u32 = 5;

/// The workload.
#[derive(Debug)]
pub struct Alerts {
    hook: Service,
    heard: Arc<Heard>,
}

/// What the harness was told.
#[derive(Debug, Default)]
struct Heard(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// Message and check of what was counted.
    seen: BTreeSet<(String, String, &'static str)>,
    deeds: Vec<Deed>,
    /// How often each was told of each check.
    counts: BTreeMap<(String, &'static str), u32>,
    last: Option<usize>,
    /// What came and is no message.
    garbage: Vec<String>,
}

impl Alerts {
    /// Listens for what agents tell.
    ///
    /// # Panics
    /// If there is no port for it, which a network of its own has.
    #[must_use]
    pub fn new(_: &Wishes) -> Self {
        let heard = Arc::<Heard>::default();
        let keeps = Arc::clone(&heard);
        let hook = Service::start_on(std::net::Ipv4Addr::UNSPECIFIED, move |request| {
            keeps.hears(request);
            Answer::new(200, "{}")
        });
        Self { hook, heard }
    }
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            // Others are of Consul's own nodes, some of which are killed.
            if item["labels"]["node"] != NODE {
                continue;
            }
            let check = item["labels"]["check_id"].as_str().unwrap_or_default().to_owned();
            let what = if item["tells"] == "resolved" { "resolved" } else { "firing" };
            if told.seen.insert((id.to_owned(), check.clone(), what)) {
                let (key, value) = (json!(check), json!(what));
                let deed = Deed { f: "told", key, value, node: sender.clone(), from: at, to: Some(at) };
                told.deeds.push(deed);
                *told.counts.entry((check, what)).or_default() += 1;
            }
        }
    }

    fn has(&self, check: &str, what: &'static str) -> bool {
        self.lock().counts.contains_key(&(check.to_owned(), what))
    }

    /// Waits until that was told of a check; not for ever.
    async fn until(&self, check: &str, what: &'static str) {
        let deadline = Instant::now() + TOLD;
        while !self.has(check, what) && Instant::now() < deadline {
            sleep(POLL).await;
        }
    }
}

#[async_trait]
impl Workload for Alerts {
    async fn prepare(&self, _: &Client) -> Result<(), Error> {
        Ok(())
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        let heard = Arc::clone(&self.heard);
        Box::new(Breaking { hand, heard, next: 0, part: Part::Well, ended: Vec::new(), tries: LAST })
    }

    fn checks(&self) -> Vec<String> {
        vec!["alerts".to_owned()]
    }

    fn scene(&self) -> Option<&dyn Scene> {
        Some(self)
    }

    fn rest(&self) -> Duration {
        Duration::from_millis(200)
    }
}

#[async_trait]
impl Scene for Alerts {
    fn home(&self) -> Home {
        Home::Bare
    }

    fn blocks(&self, host: usize) -> String {
        let url = self.hook.url().replace("0.0.0.0", HARNESS);
        format!(
            "notify \"http\" \"harness\" {{\n  url = \"{url}/{}\"\n  parallel = 4\n  backoff = \"100ms\"\n  backoff_max = \"1s\"\n  \
             timeout = \"2s\"\n  batch = \"alert\"\n}}\nalerts {{\n  consul {{}}\n}}\nroute {{\n  to = [\"harness\"]\n  \
             group_wait = \"0s\"\n  group_interval = \"0s\"\n}}\n",
            net::name(host)
        )
    }

    async fn obstacle(&self, agents: &mut [Agent]) -> Result<Option<String>, ProcessError> {
        for agent in agents {
            let (_, said) = agent.says(&["alerts", "--format", "json"]).await?;
            let said: Value = serde_json::from_str(&said).unwrap_or_default();
            if said["teller"]["who"] == "this" {
                return Ok(None);
            }
        }
        Ok(Some("no agent tells alerts".to_owned()))
    }

    fn active(&self) -> Option<usize> {
        self.heard.lock().last
    }

    fn deeds(&self) -> Result<Vec<Deed>, SceneError> {
        let told = self.heard.lock();
        match told.garbage.first() {
            Some(line) => Err(SceneError::Line { path: "what was told".into(), line: line.clone() }),
            None => Ok(told.deeds.clone()),
        }
    }
}

/// An actor of this workload, which has one check fail at a time.
struct Breaking {
    hand: Hand,
    heard: Arc<Heard>,
    next: u32,
    part: Part,
    /// Checks that pass again for certain.
    ended: Vec<String>,
    /// How many things more it tries at the end.
    tries: u32,
}

/// Where an actor stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Nothing of its fails.
    Well,
    /// This check fails.
    Failing(String),
}

impl Breaking {
    fn call(&mut self) -> Call {
        match &self.part {
            Part::Well => {
                self.next += 1;
                let check = format!("a{}-{}", self.hand.number, self.next);
                Call::new("raise", Value::Null).on(check)
            }
            Part::Failing(check) => Call::new("resolve", Value::Null).on(check.clone()),
        }
    }

    async fn set(&self, check: &str, status: Status) -> Result<(), Error> {
        let check = RegisteredCheck {
            id: check.to_owned(),
            name: check.to_owned(),
            status,
            output: String::new(),
            service_id: String::new(),
        };
        let (node, address) = (NODE.to_owned(), "192.0.2.1".to_owned());
        let registration = Registration { node, address, check: Some(check), ..Registration::default() };
        self.hand.client.catalog().register(&registration).await
    }
}

#[async_trait]
impl Actor for Breaking {
    async fn next(&mut self) -> Option<Call> {
        if let Part::Failing(check) = &self.part {
            // What is over before anybody was told need not be told.
            if !self.heard.has(check, "firing") {
                return None;
            }
            sleep(self.hand.dice.around(FAILS)).await;
        }
        Some(self.call())
    }

    async fn perform(&mut self, call: &Call) -> Outcome {
        let check = call.key.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let raises = call.f == "raise";
        let done = self.set(&check, if raises { Status::Critical } else { Status::Passing }).await;
        let outcome = match &done {
            Ok(()) => Outcome::ok(Value::Null),
            Err(error) => Outcome::of(error),
        };
        self.part = match &outcome {
            Outcome::Ok { .. } if raises => Part::Failing(check),
            Outcome::Ok { .. } => {
                self.ended.push(check);
                Part::Well
            }
            // It is as it was.
            Outcome::Fail(_) if !raises => Part::Failing(check),
            // Of that one nobody can say any more what has to be told.
            Outcome::Fail(_) | Outcome::Info(_) => Part::Well,
        };
        outcome
    }

    async fn last(&mut self) -> Option<Call> {
        if let Part::Failing(check) = &self.part {
            self.heard.until(check, "firing").await;
        } else if self.next > 0 && self.tries < LAST {
            for check in &self.ended {
                self.heard.until(check, "resolved").await;
            }
            return None;
        }
        self.tries = self.tries.checked_sub(1)?;
        Some(self.call())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, id: &str, check: &str, tells: &str) -> Request {
        let item = json!({ "tells": tells, "labels": { "node": NODE, "check_id": check } });
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
        let heard = Heard::default();
        let all = [
            told("/n2", "m1", "a0-1", "firing"),
            told("/n2", "m1", "a0-1", "firing"),
            told("/n3", "m2", "a0-1", "resolved"),
        ];
        all.iter().for_each(|one| heard.hears(one));
        let deeds = heard.lock().deeds.clone();
        let seen: Vec<_> = deeds.iter().map(|deed| (deed.node.as_str(), deed.value.as_str())).collect();
        assert_eq!(seen, [("n2", Some("firing")), ("n3", Some("resolved"))]);
        assert_eq!(heard.lock().last, Some(2));
        assert!(heard.has("a0-1", "resolved") && !heard.has("a0-2", "firing"));
    }

    #[test]
    fn what_is_told_of_consuls_own_nodes_does_not_count_and_what_is_no_message_does() {
        let heard = Heard::default();
        let mut other = told("/n1", "m1", "serfHealth", "firing");
        other.body = other.body.replace(NODE, "n1");
        heard.hears(&other);
        assert!(heard.lock().deeds.is_empty() && heard.lock().garbage.is_empty());
        heard.hears(&Request { body: "hello".to_owned(), ..other });
        assert_eq!(heard.lock().garbage, ["hello"]);
    }
}
