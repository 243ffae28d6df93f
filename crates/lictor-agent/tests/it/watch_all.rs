//! All watchers together, as the agent runs them.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lictor_agent::watch::{HeartbeatError, Positions, Watchers};
use lictor_agent::{Clock, Inbox, Inputs, OnEnd, Tasks};
use lictor_config::{Command, Family, Heartbeat, Pattern, Tcp, Watch, WatchKind};
use lictor_core::{CheckName, Input, Match, Sample, Status};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::watch_rig::{LONG, name, watch};

struct Agent {
    tasks: Tasks,
    watchers: Watchers,
    inputs: Inputs,
    registry: Registry,
}

impl Agent {
    fn start(watches: &BTreeMap<CheckName, Arc<Watch>>) -> Self {
        let tasks = Tasks::new();
        let (inbox, inputs) = Inbox::detached();
        let mut registry = Registry::default();
        let watchers = {
            let sessions = lictor_agent::qbittorrent::Sessions::new(None);
            Watchers::start(
                watches,
                &tasks,
                inbox,
                Clock::fresh(),
                &mut registry,
                sessions,
                Positions::default(),
            )
        };
        Self { tasks, watchers, inputs, registry }
    }

    async fn next(&mut self) -> Input {
        tokio::time::timeout(LONG, self.inputs.next()).await.expect("nothing comes").unwrap()
    }

    /// The next result of a check.
    async fn result(&mut self, wanted: &str) -> Sample {
        loop {
            if let Input::Observed { check, sample } = self.next().await
                && check.as_str() == wanted
            {
                return sample;
            }
        }
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

fn shell(script: &str) -> Arc<Watch> {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).into();
    let kind = WatchKind::Exec(Command { argv, captured: Vec::new(), env: Vec::new(), cwd: None });
    Arc::new(Watch { every: Duration::from_millis(200), ..watch(kind, LONG) })
}

fn tcp(port: u16, expect: Option<&str>) -> Arc<Watch> {
    let kind = WatchKind::Tcp(Tcp {
        host: "127.0.0.1".into(),
        port,
        family: Family::Any,
        send: None,
        expect: expect.map(|text| regex::Regex::new(text).unwrap()),
        warn_slower: None,
        tls: None,
    });
    Arc::new(Watch { every: Duration::from_millis(200), ..watch(kind, LONG) })
}

/// A port that accepts and says nothing.
async fn silent(tasks: &Tasks) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn("silent", OnEnd::Fine, async move {
        let mut held = Vec::new();
        while let Ok((stream, _peer)) = listener.accept().await {
            held.push(stream);
        }
    });
    port
}

#[tokio::test]
async fn every_watcher_hands_in_results_and_is_counted() {
    let servers = Tasks::new();
    let port = silent(&servers).await;
    let pattern = Pattern { name: "seen".parse().unwrap(), regex: regex::Regex::new("^a line").unwrap() };
    let script = shell("echo fine; echo a line; exit 1");
    let watches = BTreeMap::from([
        (name("port"), tcp(port, None)),
        (name("script"), Arc::new(Watch { patterns: vec![pattern], ..Arc::unwrap_or_clone(script) })),
    ]);
    let mut agent = Agent::start(&watches);
    let (mut passing, mut warning, mut matched) = (0, 0, 0);
    while passing < 3 || warning < 3 || matched < 3 {
        match agent.next().await {
            Input::Observed { check, sample } if check.as_str() == "port" => {
                assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
                passing += 1;
            }
            Input::Observed { sample, .. } => {
                assert_eq!((sample.status, sample.summary.as_str()), (Status::Warning, "fine"));
                warning += 1;
            }
            Input::Read { source, matches, position: None } => {
                assert_eq!(source.as_str(), "script");
                assert_eq!(matches, [Match::new("seen".parse().unwrap(), "a line")]);
                matched += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(agent.watchers.stats().probes >= 6);
    assert_eq!(agent.watchers.stats().watchers, 2);
    let metrics = agent.metrics();
    let count = |line: &str| -> u64 {
        let found = metrics.lines().find_map(|found| found.strip_prefix(line)).unwrap_or("0");
        found.trim().parse().unwrap()
    };
    assert!(count("lictor_probes_total{kind=\"tcp\",status=\"passing\"}") >= 3, "{metrics}");
    assert!(count("lictor_probes_total{kind=\"exec\",status=\"warning\"}") >= 3, "{metrics}");
    assert!(count("lictor_probe_lateness_seconds_count") >= 6, "{metrics}");
    assert!(agent.tasks.drain(LONG).await);
}

#[tokio::test]
async fn hundreds_of_targets_that_never_answer_hold_up_none_that_does() {
    let servers = Tasks::new();
    let port = silent(&servers).await;
    let mut watches: BTreeMap<CheckName, Arc<Watch>> =
        (0..300).map(|n| (name(&format!("hangs-{n}")), tcp(port, Some("never")))).collect();
    watches.insert(name("fine"), tcp(port, None));
    let mut agent = Agent::start(&watches);
    // All that hang do so at the same time, and go on to.
    while agent.watchers.stats().in_flight < 300 {
        agent.result("fine").await;
    }
    for _ in 0..10 {
        assert_eq!(agent.result("fine").await.status, Status::Passing);
    }
    assert!(agent.tasks.drain(LONG).await, "looks that hang keep the agent from stopping");
}

#[tokio::test]
async fn a_reload_replaces_only_what_changed() {
    let servers = Tasks::new();
    let port = silent(&servers).await;
    let mut watches = BTreeMap::from([
        (name("kept"), tcp(port, None)),
        (name("changed"), shell("echo old")),
        (name("gone"), shell("echo gone")),
    ]);
    let mut agent = Agent::start(&watches);
    let mut seen = BTreeSet::new();
    while seen.len() < 3 {
        if let Input::Observed { check, .. } = agent.next().await {
            seen.insert(check);
        }
    }
    watches.remove(&name("gone"));
    watches.insert(name("changed"), shell("echo new"));
    watches.insert(name("added"), tcp(port, None));
    let difference = agent.watchers.apply(&watches).await.unwrap();
    assert_eq!((difference.started, difference.changed), (1, 1));
    assert_eq!((difference.stopped, difference.kept), (1, 1));
    let mut old = 0;
    loop {
        match agent.result("changed").await.summary.as_str() {
            "new" => break,
            // Handed in before the reload.
            "old" if old < 3 => old += 1,
            other => panic!("{other}"),
        }
    }
    agent.result("added").await;
    agent.result("kept").await;
    for _ in 0..20 {
        if let Input::Observed { check, .. } = agent.next().await {
            assert_ne!(check.as_str(), "gone");
        }
    }
}

#[tokio::test]
async fn a_heartbeat_is_taken_for_its_check_alone() {
    let kind = WatchKind::Heartbeat(Heartbeat { within: Duration::from_secs(3_600), token: None });
    let mut agent = Agent::start(&BTreeMap::from([(name("job"), Arc::new(watch(kind, LONG)))]));
    let missing = agent.watchers.heartbeat(&name("other"), Status::Passing, "").await;
    assert!(matches!(missing, Err(HeartbeatError::NotFound(_))), "{missing:?}");
    agent.watchers.heartbeat(&name("job"), Status::Warning, "disk is old").await.unwrap();
    let sample = agent.result("job").await;
    assert_eq!((sample.status, sample.summary.as_str()), (Status::Warning, "disk is old"));

    agent.watchers.apply(&BTreeMap::new()).await.unwrap();
    let gone = agent.watchers.heartbeat(&name("job"), Status::Passing, "").await;
    assert!(matches!(gone, Err(HeartbeatError::NotFound(_))), "{gone:?}");
}
