//! What follows when a service comes to a node or leaves it: whole agents on a real Consul, and programs that
//! write down what they were told.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_core::service::operation::{Phase, What};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::service_board::{Fleet, machine};
use crate::watch_rig::LONG;

/// Two nodes, and what their programs wrote down.
struct Rig {
    fleet: Fleet,
    dir: TempDir,
}

/// Writes down which node it is and what it was told, when there is no file `hold` (any more).
fn program(dir: &Path) -> String {
    let (said, hold) = (dir.join("said"), dir.join("hold"));
    format!(
        "while [ -e {} ]; do sleep 0.05; done; \
         echo \"${{LICTOR_STEP%%.*}} $LICTOR_SERVICE $LICTOR_ROLE $LICTOR_TOKEN\" >> {}",
        hold.display(),
        said.display()
    )
}

impl Rig {
    async fn new(attributes: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let remedy = |name: &str| {
            let program = format!("{:?}", program(dir.path())).replace("${", "$${");
            format!(
                "remedy \"{name}\" {{\n  step \"tell\" {{\n    act \"exec\" {{\n      \
                 command = [\"sh\", \"-c\", {program}]\n    }}\n  }}\n}}\n"
            )
        };
        let attributes = format!("  on_promote = remedy.up\n  on_demote = remedy.down\n{attributes}");
        let fleet = Fleet::with(&attributes, &(remedy("up") + &remedy("down")), machine).await;
        fleet.at(0).init("web").await.unwrap();
        Self { fleet, dir }
    }

    fn hold(&self) -> PathBuf {
        self.dir.path().join("hold")
    }

    fn said(&self) -> Vec<String> {
        let said = std::fs::read_to_string(self.dir.path().join("said")).unwrap_or_default();
        said.lines().map(str::to_owned).collect()
    }

    /// Waits until just that was written down, in any order: the nodes do not wait for each other.
    async fn until_said(&self, wanted: &[String]) {
        let (wanted, deadline) = (sorted(wanted.to_vec()), Instant::now() + LONG);
        while sorted(self.said()) != wanted {
            assert!(Instant::now() < deadline, "{:#?}, wanted {wanted:#?}", self.said());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The token under which it was started last.
    fn token(&self) -> u64 {
        self.fleet.starts().last().unwrap().1
    }

    async fn moves(&self, to: &str) {
        let asked = self.fleet.asks(0, What::Switchover { to: to.to_owned() }).await.unwrap();
        assert_eq!(self.fleet.end_of(0, &asked).await, Phase::Done);
    }

    /// Waits until the runs of both nodes have come so far.
    async fn until_runs(&self, wanted: [&[&str]; 2]) {
        let deadline = Instant::now() + LONG;
        loop {
            let runs = [self.runs(0).await, self.runs(1).await];
            if runs == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{runs:#?}, wanted {wanted:#?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What became of the runs of a node, as `remedy: state`, the first one first.
    async fn runs(&self, node: usize) -> Vec<String> {
        let runs = self.fleet.nodes[node].get("/v1/runs").await;
        let word = |run: &serde_json::Value, name: &str| run[name].as_str().unwrap().to_owned();
        let runs = runs["runs"].as_array().unwrap().iter().rev();
        runs.map(|run| format!("{}: {}", word(run, "remedy"), word(run, "state"))).collect()
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn line(node: &str, role: &str, token: u64) -> String {
    format!("{node} web {role} {token}")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_role_is_followed_once_also_over_a_restart_of_the_agent() {
    let mut rig = Rig::new("  lease = \"steady\"").await;
    rig.fleet.until("it runs", |fleet| fleet.world.runs_on("n1")).await;
    let first = rig.token();
    let mut wanted = vec![line("n1", "active", first)];
    rig.until_said(&wanted).await;
    rig.until_runs([&["up: done"], &[]]).await;
    rig.fleet.at(0).service("web").unwrap().restart().await.unwrap();
    rig.fleet.nodes[0].stop().await;
    rig.fleet.nodes[0].again().await;
    let held = |fleet: &Fleet| fleet.at(0).one("web").unwrap().believes == Some(first);
    rig.fleet.until("the agent that came back goes on with it", held).await;

    rig.moves("n2").await;
    wanted.extend([line("n1", "standby", first), line("n2", "active", rig.token())]);
    rig.until_said(&wanted).await;
    rig.until_runs([&["up: done", "down: done"], &["up: done"]]).await;
    let causes = rig.fleet.nodes[0].events("run_started").await;
    let cause = format!("up started: service web has come to run here, token {first}");
    assert!(causes.contains(&cause), "{causes:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_away_while_the_service_left_it_follows_that_when_it_is_back() {
    let mut rig = Rig::new("  failover = \"automatic\"").await;
    rig.fleet.until("it runs", |fleet| fleet.world.runs_on("n1")).await;
    let first = rig.token();
    rig.until_said(&[line("n1", "active", first)]).await;
    rig.fleet.nodes[0].stop().await;
    let deadline = Instant::now() + LONG;
    while !rig.fleet.world.runs_on("n2") {
        assert!(Instant::now() < deadline, "nobody takes it over");
        sleep(Duration::from_millis(20)).await;
    }
    let mut wanted = vec![line("n1", "active", first), line("n2", "active", rig.token())];
    rig.until_said(&wanted).await;
    rig.fleet.nodes[0].again().await;
    wanted.push(line("n1", "standby", first));
    rig.until_said(&wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flip_flop_ends_with_what_follows_the_last_role_and_never_both_at_once() {
    let rig = Rig::new("").await;
    rig.fleet.until("it runs", |fleet| fleet.world.runs_on("n1")).await;
    let first = rig.token();
    let mut wanted = vec![line("n1", "active", first)];
    rig.until_said(&wanted).await;
    rig.until_runs([&["up: done"], &[]]).await;
    std::fs::write(rig.hold(), "").unwrap();
    rig.moves("n2").await;
    rig.until_runs([&["up: done", "down: acting"], &["up: acting"]]).await;
    // What follows the first of these is not over when the second comes.
    rig.moves("n1").await;
    let last = rig.token();
    rig.until_runs([&["up: done", "down: cancelled", "up: acting"], &["up: cancelled", "down: acting"]])
        .await;
    assert_eq!(rig.said(), wanted);
    std::fs::remove_file(rig.hold()).unwrap();
    wanted.extend([line("n1", "active", last), line("n2", "standby", last - 1)]);
    rig.until_said(&wanted).await;
}
