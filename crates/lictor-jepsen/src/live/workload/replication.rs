//! Keys that Lictor copies from one datacenter to another.
//!
//! The first half of the hosts is `dc1`, the others are `dc2`. In dc1 actors write and delete keys; in dc2 others change copies behind Lictor's
//! back, and add keys besides them that are none of its business. At the end both places have to have the same (`converge`), and all
//! that was added is there (`set`). Some keys stay as they are at the source all the time: no copy of them may have been made
//! anew, as one is that was deleted meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lictor_consul::{Client, Error, Query};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use super::{Actor, Call, Hand, Outcome, Wishes, Workload};
use crate::live::client::connect;
use crate::live::scene::{Scene, SceneError};
use crate::live::witness::Deed;
use crate::live::world::agent::{Agent, Home};
use crate::live::world::process::ProcessError;
use crate::live::world::server::{datacenter, datacenter_name};

/// What is copied, and where to.
const SOURCE: &str = "global/";
const COPY: &str = "copy/";

/// What is none of Lictor's business, in the second datacenter.
const BESIDES: &str = "besides/";

/// Keys that stay as they are, below both.
const STAYS: &str = "stays/";

/// How many of these there are, and how many others.
const STAYING: u32 = 50;
const KEYS: usize = 40;

/// How long a copy may take at the end, when all are well.
const SAME: Duration = Duration::from_secs(60);

/// How long to rest between two looks whether it is the same.
const POLL: Duration = Duration::from_millis(200);

/// How long a question may take that is no part of the history.
const ASK: Duration = Duration::from_secs(5);

/// How many times something is tried at the end that is not answered.
const LAST: u32 = 5;

/// The workload.
#[derive(Debug)]
pub struct Replication {
    nodes: usize,
    values: Arc<AtomicU64>,
    /// Under which index each copy was made of what stays.
    made: Arc<OnceCell<Value>>,
}

impl Replication {
    /// Two datacenters of the hosts that are wished for.
    #[must_use]
    pub fn new(wishes: &Wishes) -> Self {
        Self { nodes: wishes.nodes, values: Arc::default(), made: Arc::default() }
    }

    fn copies(&self, host: usize) -> bool {
        datacenter(host, self.nodes, 2) == 1
    }
}

#[async_trait]
impl Workload for Replication {
    async fn prepare(&self, client: &Client) -> Result<(), Error> {
        for number in 0..STAYING {
            client.kv().put(&format!("{SOURCE}{STAYS}{number:03}"), "it stays").await?;
        }
        Ok(())
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        let copies = self.copies(hand.host);
        let last = if copies { vec!["final", "made", "expected", "read"] } else { vec!["final"] };
        Box::new(Writing {
            copies,
            hand,
            values: Arc::clone(&self.values),
            made: Arc::clone(&self.made),
            last,
            tries: LAST,
        })
    }

    fn checks(&self) -> Vec<String> {
        // Those that copy are asked about each state.
        let places = (0..self.nodes).filter(|&host| self.copies(host)).count();
        vec![format!("converge:places={places}"), "set".to_owned()]
    }

    fn datacenters(&self) -> usize {
        2
    }

    fn scene(&self) -> Option<&dyn Scene> {
        Some(self)
    }

    fn rest(&self) -> Duration {
        Duration::from_millis(50)
    }
}

#[async_trait]
impl Scene for Replication {
    fn home(&self) -> Home {
        Home::Bare
    }

    fn blocks(&self, host: usize) -> String {
        if !self.copies(host) {
            return String::new();
        }
        let from = datacenter_name(0);
        format!(
            "replicate \"keys\" {{\n  prefixes = [\"{SOURCE}@{from}:{COPY}\"]\n  delete = true\n  delete_limit = \"100%\"\n  \
             confirm = \"1s\"\n}}\n"
        )
    }

    async fn obstacle(&self, agents: &mut [Agent]) -> Result<Option<String>, ProcessError> {
        let Some(agent) = agents.iter().find(|agent| self.copies(agent.host())) else {
            return Ok(Some("nobody is in the second datacenter".to_owned()));
        };
        let refused = |error: &dyn std::fmt::Display| {
            ProcessError::refused("ask the server of", agent.name(), &error.to_string())
        };
        let client = connect(agent.host(), ASK).map_err(|error| refused(&error))?;
        match made(&client).await {
            Ok(made) if made.len() == STAYING as usize => {
                self.made.get_or_init(async || json!(made)).await;
                Ok(None)
            }
            Ok(made) => Ok(Some(format!("{} of {STAYING} keys that stay are copied", made.len()))),
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    fn active(&self) -> Option<usize> {
        None
    }

    fn deeds(&self) -> Result<Vec<Deed>, SceneError> {
        Ok(Vec::new())
    }
}

/// Under which index each copy of what stays was made.
async fn made(client: &Client) -> Result<BTreeMap<String, u64>, Error> {
    let pairs = client.kv().list(&format!("{COPY}{STAYS}"), &Query::new().consistent()).await?.value;
    Ok(pairs.into_iter().map(|pair| (pair.key, pair.create_index.0)).collect())
}

/// Keys and values below a prefix, without it.
async fn state(client: &Client, prefix: &str, query: &Query) -> Result<BTreeMap<String, String>, Error> {
    let pairs = client.kv().list(prefix, query).await?.value;
    let text = |pair: &lictor_consul::Pair| String::from_utf8_lossy(&pair.value).into_owned();
    let name = |pair: &lictor_consul::Pair| pair.key.strip_prefix(prefix).unwrap_or(&pair.key).to_owned();
    Ok(pairs.iter().map(|pair| (name(pair), text(pair))).collect())
}

/// An actor of this workload.
struct Writing {
    hand: Hand,
    /// Whether it is where copies are.
    copies: bool,
    values: Arc<AtomicU64>,
    made: Arc<OnceCell<Value>>,
    /// What it does at the end, in order.
    last: Vec<&'static str>,
    tries: u32,
}

impl Writing {
    /// Once both have the same, or it has taken too long: what is where it is.
    async fn settled(&self) -> Result<BTreeMap<String, String>, Error> {
        let source = Query::new().consistent().datacenter(datacenter_name(0));
        let own = Query::new().consistent();
        if !self.copies {
            return state(&self.hand.client, SOURCE, &own).await;
        }
        let deadline = Instant::now() + SAME;
        loop {
            let copy = state(&self.hand.client, COPY, &own).await;
            let same = matches!((&copy, state(&self.hand.client, SOURCE, &source).await), (Ok(copy), Ok(source)) if *copy == source);
            if same || Instant::now() >= deadline {
                return copy;
            }
            sleep(POLL).await;
        }
    }

    async fn elements(&self) -> Result<Vec<u64>, Error> {
        let keys = self.hand.client.kv().keys(BESIDES, None, &Query::new().consistent()).await?.value;
        let number = |key: &String| key.strip_prefix(BESIDES)?.parse().ok();
        Ok(keys.iter().filter_map(number).collect())
    }
}

#[async_trait]
impl Actor for Writing {
    async fn next(&mut self) -> Option<Call> {
        let value = self.values.fetch_add(1, Ordering::Relaxed);
        if self.copies && self.hand.dice.chance(50) {
            return Some(Call::new("add", json!(value)).on("besides"));
        }
        let key = format!("k{}", self.hand.dice.index(KEYS));
        let deletes = self.hand.dice.chance(20);
        Some(match (self.copies, deletes) {
            (false, false) => Call::new("write", json!(value)).on(key),
            (false, true) => Call::new("delete", Value::Null).on(key),
            (true, false) => Call::new("drift", json!(value)).on(key),
            (true, true) => Call::new("tear", Value::Null).on(key),
        })
    }

    async fn perform(&mut self, call: &Call) -> Outcome {
        let kv = self.hand.client.kv();
        let key = |prefix: &str| {
            format!("{prefix}{}", call.key.as_ref().and_then(Value::as_str).unwrap_or_default())
        };
        let done = match call.f {
            "write" => kv.put(&key(SOURCE), call.value.to_string()).await.map(|()| call.value.clone()),
            "delete" => kv.delete(&key(SOURCE)).await.map(|()| call.value.clone()),
            "drift" => kv.put(&key(COPY), call.value.to_string()).await.map(|()| call.value.clone()),
            "tear" => kv.delete(&key(COPY)).await.map(|()| call.value.clone()),
            "add" => kv.put(&format!("{BESIDES}{}", call.value), "x").await.map(|()| call.value.clone()),
            "read" => self.elements().await.map(|elements| json!(elements)),
            "expected" => Ok(self.made.get().cloned().unwrap_or_default()),
            "final" if call.key == Some(json!("made")) => {
                made(&self.hand.client).await.map(|made| json!(made))
            }
            _ => self.settled().await.map(|state| json!(state)),
        };
        match done {
            Ok(value) => {
                self.tries = LAST;
                Outcome::ok(value)
            }
            Err(error) => {
                // What was not answered is asked once more.
                if matches!(call.f, "read" | "final") && self.tries > 0 {
                    self.last.insert(0, if call.key == Some(json!("made")) { "made" } else { call.f });
                }
                Outcome::of(&error)
            }
        }
    }

    async fn last(&mut self) -> Option<Call> {
        if self.last.is_empty() {
            return None;
        }
        self.tries = self.tries.saturating_sub(1);
        Some(match self.last.remove(0) {
            "made" => Call::new("final", Value::Null).on("made"),
            "expected" => Call::new("expected", Value::Null).on("made"),
            "read" => Call::new("read", Value::Null).on("besides"),
            _ => Call::new("final", Value::Null).on("global"),
        })
    }
}
