//! What a connection monitor watches and cures, as real as it can be had: a qBittorrent with
//! torrents of two trackers, a Consul, and stand-ins for Nomad and gluetun that hang together as
//! in one allocation: when it is restarted, qBittorrent is, and the tunnel is up again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lictor_testkit::consul::Server as Consul;
use lictor_testkit::gluetun::Gluetun;
use lictor_testkit::nomad::Nomad;
use lictor_testkit::qbittorrent::{Options, PASSWORD, Server as Qbittorrent, USER};
use lictor_testkit::tracker::Tracker;
use serde_json::Value;

use crate::node::{LONG, Node};

/// An address of the user, which others must never see.
pub(crate) const HOME: &str = "198.51.100.9";

/// The key that gluetun wants.
pub(crate) const KEY: &str = "gluetun-key-of-the-tests";

/// The token that Nomad wants.
pub(crate) const TOKEN: &str = "a7b3c1d2-0000-4444-8888-9999aaaabbbb";

pub(crate) struct Site {
    pub(crate) qbittorrent: Arc<Mutex<Qbittorrent>>,
    pub(crate) ours: Tracker,
    pub(crate) other: Tracker,
    pub(crate) nomad: Nomad,
    pub(crate) gluetun: Arc<Gluetun>,
    pub(crate) consul: Consul,
    /// Of our tracker: two that run, one of them forced.
    pub(crate) plain: String,
    pub(crate) forced: String,
    /// Of our tracker, stopped by hand.
    pub(crate) resting: String,
    /// Of another tracker.
    pub(crate) foreign: String,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let mut qbittorrent = Qbittorrent::with(options);
        let (ours, other) = (Tracker::start_on(std::net::Ipv4Addr::LOCALHOST), Tracker::start());
        let mine = ours.url_as("localhost");
        let plain = qbittorrent.add_one("plain", &[&mine]);
        let forced = qbittorrent.add_one("forced", &[&mine]);
        let resting = qbittorrent.add_one("resting", &[&mine]);
        let foreign = qbittorrent.add_one("foreign", &[&other.url()]);
        qbittorrent.post("torrents/pause", &[("hashes", &resting)]);
        qbittorrent.wait_for_state(&resting, "paused");
        force_for_good(&mut qbittorrent, &forced);
        let gluetun = Arc::new(Gluetun::start());
        gluetun.set(|settings| settings.auth = lictor_testkit::gluetun::Auth::ApiKey(KEY.into()));
        let nomad = Nomad::start();
        nomad.set(|settings| {
            settings.token = Some(TOKEN.into());
            settings.late = Duration::from_millis(300);
            settings.down = Duration::from_millis(500);
        });
        drop(nomad.run("media", "dl", &["qbittorrent", "gluetun"]));
        let qbittorrent = Arc::new(Mutex::new(qbittorrent));
        let (restarted, tunnel) = (Arc::clone(&qbittorrent), Arc::clone(&gluetun));
        nomad.on_restart(move |_alloc, _task| {
            restarted.lock().unwrap_or_else(PoisonError::into_inner).restart();
            tunnel.set(|settings| settings.status = "running".into());
        });
        let consul = Consul::start();
        Self { qbittorrent, ours, other, nomad, gluetun, consul, plain, forced, resting, foreign }
    }

    pub(crate) fn qbittorrent(&self) -> std::sync::MutexGuard<'_, Qbittorrent> {
        self.qbittorrent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blocks of a monitor of this site; quick, so that a test ends.
    pub(crate) fn blocks(&self, more: &str) -> String {
        format!(
            r#"
consul {{
  address = "{consul}"
}}
connection_monitor "sp" {{
  tracker   = "localhost"
  forbidden = ["{HOME}"]
  qbittorrent {{
    url      = "{qbittorrent}"
    user     = "{USER}"
    password = "{PASSWORD}"
  }}
  nomad {{
    url   = "{nomad}"
    token = "{TOKEN}"
    job   = "media"
    hold  = "300ms"
  }}
  vpn {{
    url     = "{gluetun}"
    api_key = "{KEY}"
  }}
  every              = "1s"
  timeout            = "1s"
  fail_after         = 2
  pass_after         = 2
  startup_grace      = "0s"
  stability_required = "3s"
  stability_timeout  = "60s"
  stop_timeout       = "15s"
  restart_timeout    = "40s"
  start_timeout      = "20s"
  backoff            = "1s"
  cooldown           = "0s"
{more}
}}
"#,
            consul = self.consul.url(),
            qbittorrent = self.qbittorrent().url(),
            nomad = self.nomad.url(),
            gluetun = self.gluetun.url(),
        )
    }

    pub(crate) fn node(&self, more: &str) -> Node {
        Node::new(&self.blocks(more))
    }

    /// The tunnel dies.
    pub(crate) fn cut(&self) {
        self.gluetun.set(|settings| settings.status = "crashed".into());
    }

    /// A key of the monitor's record; empty when there is none.
    pub(crate) fn key(&self, name: &str) -> String {
        let path = format!("/v1/kv/qbitcheck/connection_monitor/{name}?raw");
        self.consul
            .get(&path)
            .filter(|(status, _)| *status == 200)
            .map(|(_, value)| value)
            .unwrap_or_default()
    }

    /// Sets keys of the record, as another program does.
    pub(crate) fn set(&self, keys: &[(&str, &str)]) {
        for (name, value) in keys {
            let path = format!("/v1/kv/qbitcheck/connection_monitor/{name}");
            assert!(self.consul.put(&path, value).is_some(), "{name} is not written");
        }
    }

    /// The phase as the record says it.
    pub(crate) fn phase(&self) -> String {
        self.key("remediation/state")
    }

    /// Whether all torrents are as they were at first.
    pub(crate) fn is_as_before(&self) -> Result<(), String> {
        let qbittorrent = self.qbittorrent();
        let state = |hash: &str| qbittorrent.state(hash).unwrap_or_default();
        let stopped = |hash: &str| state(hash).starts_with("paused");
        let tags = |hash: &str| qbittorrent.torrent(hash).map(|one| one["tags"].clone());
        let all = [&self.plain, &self.forced, &self.foreign];
        if let Some(hash) = all.into_iter().find(|hash| stopped(hash)) {
            return Err(format!("{hash} is stopped"));
        }
        if !state(&self.forced).starts_with("forced") {
            return Err(format!("the forced one is {}", state(&self.forced)));
        }
        if !stopped(&self.resting) {
            return Err("the one that was stopped by hand runs".to_owned());
        }
        let tagged = [&self.plain, &self.forced, &self.resting, &self.foreign];
        match tagged.into_iter().find(|hash| tags(hash) != Some(Value::from(""))) {
            Some(hash) => Err(format!("{hash} has the tag")),
            None => Ok(()),
        }
    }

    /// Waits until all torrents are as they were at first.
    pub(crate) fn comes_back(&self, node: &Node) {
        let mut is = Ok(());
        let back = lictor_testkit::wait::until(LONG, || {
            is = self.is_as_before();
            is.is_ok().then_some(())
        });
        assert!(back.is_some(), "not within {LONG:?}: {is:?}\n{}\n{}", node.events(), node.log());
    }

    /// How often a restart was asked for.
    pub(crate) fn restarts(&self) -> usize {
        self.nomad.restarts().len()
    }
}

/// Forces a torrent so that qBittorrent still knows of it after it was killed: it saves that only
/// when it ends by itself, and on a busy machine now and then not even then.
fn force_for_good(qbittorrent: &mut Qbittorrent, hash: &str) {
    for _ in 0..5 {
        qbittorrent.post("torrents/setForceStart", &[("hashes", hash), ("value", "true")]);
        qbittorrent.wait_for_state(hash, "forced");
        qbittorrent.stop();
        qbittorrent.restart();
        let known = lictor_testkit::wait::until(Duration::from_secs(30), || {
            match qbittorrent.state(hash)?.as_str() {
                "checkingResumeData" => None,
                state => Some(state.starts_with("forced")),
            }
        });
        if known == Some(true) {
            return;
        }
    }
    panic!("qbittorrent-nox does not save that {hash} is forced");
}

impl Node {
    /// The state of the newest run of a remedy.
    pub(crate) fn run_of(&self, remedy: &str) -> Option<(String, String)> {
        let runs = self.runs();
        let run = runs.iter().rev().find(|run| run["remedy"] == remedy)?;
        Some((run["state"].as_str()?.to_owned(), run["step"].as_str().unwrap_or_default().to_owned()))
    }

    /// Waits until the newest run of the monitor's remedy is over, and gives how it ended.
    pub(crate) fn ended(&mut self, remedy: &str) -> String {
        let over = ["done", "failed", "cancelled", "parked"];
        self.until("the run is over", |node| {
            let (state, _) = node.run_of(remedy)?;
            over.contains(&state.as_str()).then_some(state)
        })
    }

    /// Waits until the monitored connection passes.
    pub(crate) fn stable(&mut self) {
        self.until("stable", |node| (node.status("sp") == "passing").then_some(()));
    }
}
