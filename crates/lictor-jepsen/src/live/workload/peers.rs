//! Agents that watch each other: each tells each fault of another one once, and its end once.
//!
//! Each has a check of its own that fails when its actor says so, and shows it to the others, which tell the harness of it; and so they
//! tell when it does not answer, whatever the reason is. Between them nothing is agreed: each tells what it sees. What was wrong when is
//! not judged, since each way between two hosts has faults of its own; what was told has to turn from fault to end and back, and
//! when all are well everything is over.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lictor_consul::{Client, Error};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Actor, Call, Hand, Outcome, Wishes, Workload};
use crate::live::hook::{Heard, Hook};
use crate::live::scene::{Scene, SceneError};
use crate::live::witness::Deed;
use crate::live::world::agent::{Agent, DIR, Home};
use crate::live::world::net;
use crate::live::world::process::ProcessError;

/// Where agents answer each other.
const PORT: u16 = 5988;

/// What is there while the check of a host is to fail, in its directory.
const BROKEN: &str = "broken";

/// How long it may take until somebody was told, and until the end was, when all are well.
const TOLD: Duration = Duration::from_secs(15);

/// How long to rest between two looks whether it was.
const POLL: Duration = Duration::from_millis(50);

/// The workload.
#[derive(Debug)]
pub struct Peers {
    hook: Hook,
    left: PathBuf,
    nodes: usize,
}

impl Peers {
    /// Agents on the hosts that are wished for.
    #[must_use]
    pub fn new(wishes: Wishes) -> Self {
        Self { hook: Hook::listen(key), left: wishes.left, nodes: wishes.nodes }
    }
}

/// Who tells of whom: `n1 of n2`. What an agent tells of itself has no peer.
fn key(sender: &str, item: &Value) -> Option<String> {
    let peer: std::net::SocketAddrV4 = item["labels"]["peer"].as_str()?.parse().ok()?;
    let host = (0..net::MOST).find(|&host| net::address(host) == *peer.ip())?;
    Some(format!("{sender} of {}", net::name(host)))
}

#[async_trait]
impl Workload for Peers {
    async fn prepare(&self, _: &Client) -> Result<(), Error> {
        Ok(())
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        let broken = self.left.join(net::name(hand.host)).join(BROKEN);
        Box::new(Breaking { heard: self.hook.heard(), hand, broken, last: 1 })
    }

    fn checks(&self) -> Vec<String> {
        vec!["turns".to_owned()]
    }

    fn scene(&self) -> Option<&dyn Scene> {
        Some(self)
    }

    fn rest(&self) -> Duration {
        Duration::from_secs(2)
    }
}

#[async_trait]
impl Scene for Peers {
    fn home(&self) -> Home {
        Home::Bare
    }

    fn blocks(&self, host: usize) -> String {
        let address = |host| format!("{}:{PORT}", net::address(host));
        let others: Vec<String> = (0..self.nodes).filter(|&other| other != host).map(address).collect();
        format!(
            "watch \"exec\" \"own\" {{\n  command = [\"/bin/sh\", \"-c\", \"test ! -e {DIR}/{BROKEN} || exit 2\"]\n  every = \"1s\"\n  \
             timeout = \"1s\"\n}}\nprobe {{\n  address = \"{}\"\n  open = true\n  volumes = []\n  checks = [check.own]\n}}\n\
             peers {{\n  static = {others:?}\n  every = \"500ms\"\n  timeout = \"500ms\"\n  fail_after = 2\n  pass_after = 2\n}}\n{}",
            address(host),
            self.hook.blocks(host, "source = \"peers\"")
        )
    }

    async fn obstacle(&self, agents: &mut [Agent]) -> Result<Option<String>, ProcessError> {
        for agent in agents {
            let (_, said) = agent.says(&["peers", "status", "--format", "json"]).await?;
            let said: Value = serde_json::from_str(&said).unwrap_or_default();
            let peers = said["peers"].as_array().map_or(&[][..], Vec::as_slice);
            let well = peers.iter().filter(|peer| peer["status"] == "passing").count();
            if well + 1 != self.nodes {
                return Ok(Some(format!("{} sees {well} of its peers well", agent.name())));
            }
        }
        let (faults, ends) = self.hook.heard().sums(|_| true);
        Ok((faults != ends).then(|| format!("{faults} faults were told, and {ends} ends")))
    }

    fn active(&self) -> Option<usize> {
        self.hook.heard().last()
    }

    fn deeds(&self) -> Result<Vec<Deed>, SceneError> {
        self.hook.heard().deeds()
    }
}

/// An actor of this workload.
struct Breaking {
    heard: Arc<Heard>,
    hand: Hand,
    broken: PathBuf,
    last: u32,
}

impl Breaking {
    /// How often others told a fault of this host, and an end of one.
    fn told(&self) -> (u32, u32) {
        let own = format!(" of {}", net::name(self.hand.host));
        self.heard.sums(|key| key.ends_with(&own))
    }

    /// Waits until this is true of what was told; false if it takes too long.
    async fn until(&self, is: impl Fn((u32, u32)) -> bool) -> bool {
        let deadline = Instant::now() + TOLD;
        while !is(self.told()) {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(POLL).await;
        }
        true
    }
}

#[async_trait]
impl Actor for Breaking {
    async fn next(&mut self) -> Option<Call> {
        // Of something that is wrong already nobody tells anything new.
        let (faults, ends) = self.told();
        (faults == ends).then(|| Call::new("break", Value::Null).on(net::name(self.hand.host)))
    }

    /// Breaks something until somebody was told.
    async fn perform(&mut self, _: &Call) -> Outcome {
        let (before, _) = self.told();
        if let Err(error) = fs::write(&self.broken, "") {
            return Outcome::Fail(error.to_string());
        }
        let told = self.until(|(faults, _)| faults > before).await;
        if let Err(error) = fs::remove_file(&self.broken) {
            return Outcome::Info(error.to_string());
        }
        if told {
            Outcome::ok(Value::Null)
        } else {
            Outcome::Info(format!("nobody was told within {TOLD:?}"))
        }
    }

    async fn last(&mut self) -> Option<Call> {
        // The next one would be in the middle of this one's end otherwise; what is never over is found later.
        self.until(|(faults, ends)| faults == ends).await;
        self.last = self.last.checked_sub(1)?;
        Some(Call::new("break", Value::Null).on(net::name(self.hand.host)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_tells_of_whom_is_what_is_judged() {
        let of = |peer: &str| key("n1", &json!({ "labels": { "peer": peer } }));
        assert_eq!(of("10.77.3.2:5988").as_deref(), Some("n1 of n3"));
        assert_eq!(of("192.0.2.1:5988"), None);
        assert_eq!(key("n1", &json!({ "labels": {} })), None);
    }
}
