//! What Lictor tells of checks of Consul's: each that fails is told, and its end is told once.
//!
//! Actors have checks of a node that nobody looks after fail in the catalog, wait until that was told, and have them pass again, while the agents
//! share one desk and one of them tells. Whom they tell is the harness itself: what it got is what counts. A message that comes
//! again under the same id is the same message.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lictor_consul::{Client, Error, RegisteredCheck, Registration, Status};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Actor, Call, Hand, Outcome, Workload};
use crate::live::hook::{FIRING, Heard, Hook, RESOLVED};
use crate::live::scene::{Scene, SceneError};
use crate::live::witness::Deed;
use crate::live::world::agent::{Agent, Home};
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
    hook: Hook,
}

impl Alerts {
    /// Listens for what agents tell.
    #[must_use]
    pub fn listen() -> Self {
        // Others are of Consul's own nodes, some of which are killed.
        let key = |_: &str, item: &Value| {
            let labels = &item["labels"];
            (labels["node"] == NODE).then(|| labels["check_id"].as_str().unwrap_or_default().to_owned())
        };
        Self { hook: Hook::listen(key) }
    }
}

/// Waits until that was told of a check; not for ever.
async fn until(heard: &Heard, check: &str, what: &'static str) {
    let deadline = Instant::now() + TOLD;
    while heard.count(check, what) == 0 && Instant::now() < deadline {
        sleep(POLL).await;
    }
}

#[async_trait]
impl Workload for Alerts {
    async fn prepare(&self, _: &Client) -> Result<(), Error> {
        Ok(())
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        let heard = self.hook.heard();
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
        format!("alerts {{\n  consul {{}}\n}}\n{}", self.hook.blocks(host, ""))
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
        self.hook.heard().last()
    }

    fn deeds(&self) -> Result<Vec<Deed>, SceneError> {
        self.hook.heard().deeds()
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
            if self.heard.count(check, FIRING) == 0 {
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
            until(&self.heard, check, FIRING).await;
        } else if self.next > 0 && self.tries < LAST {
            for check in &self.ended {
                until(&self.heard, check, RESOLVED).await;
            }
            return None;
        }
        self.tries = self.tries.checked_sub(1)?;
        Some(self.call())
    }
}
