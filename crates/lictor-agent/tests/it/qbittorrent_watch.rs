//! The qBittorrent watcher on a real qBittorrent, with trackers that do what they are told.
#![cfg(test)]

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lictor_agent::qbittorrent::Sessions;
use lictor_agent::watch::{Memory, World, look};
use lictor_agent::{Clock, Tasks};
use lictor_config::{IpRange, Qbittorrent, QbittorrentApi, Secret, Tls, Watch, WatchKind};
use lictor_core::{Sample, Value};
use lictor_testkit::qbittorrent::{Modern, Options, PASSWORD, Server, USER};
use lictor_testkit::tracker::{Mode, Tracker};

use crate::watch_rig::{LONG, name, number, told, watch};

/// One agent that watches one qBittorrent.
struct Watcher {
    settings: Qbittorrent,
    world: Arc<World>,
    memory: Memory,
    limit: Duration,
}

impl Watcher {
    fn new(settings: Qbittorrent) -> Self {
        Self::keeping(None, settings)
    }

    /// Keeps in a directory what survives a restart.
    fn keeping(dir: Option<&Path>, settings: Qbittorrent) -> Self {
        let sessions = Sessions::new(dir.map(Path::to_owned));
        let world = World::sharing(Tasks::new(), Clock::fresh(), sessions);
        Self { settings, world, memory: Memory::default(), limit: LONG }
    }

    fn of_tracker(server: &Server, tracker: &str) -> Self {
        Self::new(Qbittorrent { tracker: Some(tracker.to_owned()), ..settings(&server.url()) })
    }

    async fn sample(&mut self) -> Sample {
        let watch: Watch = watch(WatchKind::Qbittorrent(Box::new(self.settings.clone())), self.limit);
        look(&name("test"), &watch, &mut self.memory, &self.world).await.sample.unwrap()
    }

    /// Looks once: `status: summary`.
    async fn see(&mut self) -> String {
        told(&self.sample().await)
    }
}

fn settings(url: &str) -> Qbittorrent {
    let api = QbittorrentApi {
        url: url.parse().unwrap(),
        user: USER.into(),
        password: Some(Secret::value(PASSWORD)),
        api_key: None,
        host: None,
        tls: Tls::default(),
    };
    Qbittorrent {
        api,
        tracker: None,
        tracker_critical: false,
        strict: false,
        grace: Duration::from_secs(60),
        forbidden: Vec::new(),
    }
}

fn with_password(server: &Server, password: &str) -> Qbittorrent {
    let settings = settings(&server.url());
    let api = QbittorrentApi { password: Some(Secret::value(password)), ..settings.api };
    Qbittorrent { api, ..settings }
}

#[tokio::test]
async fn one_that_listens_is_fine_also_after_its_restart() {
    let mut server = Server::start();
    let mut watcher = Watcher::new(settings(&server.url()));
    assert_eq!(watcher.see().await, "passing: firewalled, 0 of 0 torrents run");
    // Our session is gone with it.
    server.restart();
    let sample = watcher.sample().await;
    assert_eq!(told(&sample), "passing: firewalled, 0 of 0 torrents run");
    assert_eq!((number(&sample, "stable"), number(&sample, "listening")), (Some(1.0), Some(1.0)));
    assert_eq!((number(&sample, "connected"), number(&sample, "firewalled")), (Some(0.0), Some(1.0)));
    let version = sample.value(&"version".parse().unwrap()).cloned();
    assert!(matches!(version, Some(Value::Text(version)) if version.starts_with("v4.")), "{sample:?}");
    assert_eq!(server.wrong_logins(), 0);
}

#[tokio::test]
async fn one_that_is_away_or_silent_is_critical() {
    let mut server = Server::start();
    let mut watcher = Watcher::new(settings(&server.url()));
    watcher.see().await;
    server.pause();
    watcher.limit = Duration::from_millis(500);
    let silent = watcher.sample().await;
    assert!(
        told(&silent).starts_with("critical: qBittorrent cannot be reached: no answer within"),
        "{silent:?}"
    );
    assert_eq!(number(&silent, "stable"), Some(0.0));
    server.resume();
    watcher.limit = LONG;
    assert_eq!(watcher.see().await, "passing: firewalled, 0 of 0 torrents run");
    server.kill();
    assert_eq!(watcher.see().await, "critical: qBittorrent cannot be reached: connection refused");
}

#[tokio::test]
async fn a_wrong_password_is_unknown_and_tried_twice_at_most() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    for agent in 0..3 {
        let mut watcher = Watcher::keeping(Some(dir.path()), with_password(&server, "wrong"));
        for _ in 0..10 {
            let sample = watcher.sample().await;
            assert!(
                told(&sample).starts_with("unknown: qBittorrent refuses user and password"),
                "{sample:?}"
            );
            assert_eq!(number(&sample, "stable"), None);
        }
        assert_eq!(server.wrong_logins(), 2, "after agent {agent}");
    }
    // Another one is tried at once, and we are not banned.
    let mut watcher = Watcher::keeping(Some(dir.path()), with_password(&server, PASSWORD));
    assert_eq!(watcher.see().await, "passing: firewalled, 0 of 0 torrents run");
}

#[tokio::test]
async fn who_was_banned_by_others_is_told_so_and_waits() {
    let server = Server::start();
    assert_eq!(server.wrong_logins(), 0);
    for number in 0..3 {
        let mut watcher = Watcher::new(with_password(&server, &format!("wrong-{number}")));
        watcher.see().await;
        watcher.see().await;
    }
    // The fifth got us banned; the sixth was refused for that.
    assert_eq!(server.wrong_logins(), 6);
    let mut watcher = Watcher::new(with_password(&server, PASSWORD));
    for _ in 0..5 {
        let told = watcher.see().await;
        assert!(told.starts_with("unknown: qBittorrent has banned our address"), "{told}");
    }
    assert_eq!(server.wrong_logins(), 7);
}

#[tokio::test]
async fn where_no_login_is_wanted_none_is_made() {
    let server = Server::with(Options { login: false, ..Options::default() });
    let api = QbittorrentApi { password: None, ..settings(&server.url()).api };
    let mut watcher = Watcher::new(Qbittorrent { api, ..settings(&server.url()) });
    assert_eq!(watcher.see().await, "passing: firewalled, 0 of 0 torrents run");
    let mut watcher = Watcher::new(with_password(&server, "any"));
    assert_eq!(watcher.see().await, "passing: firewalled, 0 of 0 torrents run");
    assert_eq!(server.wrong_logins(), 0);
}

#[tokio::test]
async fn a_foreign_host_name_is_unknown_and_says_what_to_do() {
    let server = Server::start();
    let api = QbittorrentApi { host: Some("qbt.example:1".into()), ..settings(&server.url()).api };
    let told = Watcher::new(Qbittorrent { api, ..settings(&server.url()) }).see().await;
    assert!(told.starts_with("unknown: qBittorrent refuses the host name `qbt.example:1`"), "{told}");
    assert_eq!(server.wrong_logins(), 0);
}

#[tokio::test]
async fn one_whose_interface_is_gone_is_critical() {
    let server = Server::with(Options { interface: "tun-none".into(), ..Options::default() });
    let sample = Watcher::new(settings(&server.url())).sample().await;
    assert!(told(&sample).starts_with("critical: disconnected: it has no open port"), "{sample:?}");
    assert_eq!((number(&sample, "listening"), number(&sample, "stable")), (Some(0.0), Some(0.0)));
}

/// Has a tracker behave, and waits until a torrent of it shows that.
fn announce(server: &Server, tracker: &Tracker, mode: Mode, hash: &str, statuses: &[u64]) {
    tracker.set(mode);
    server.post("torrents/reannounce", &[("hashes", hash)]);
    server.wait_for_tracker(hash, statuses);
}

#[tokio::test]
async fn the_outage_of_one_tracker_is_a_warning_and_of_all_is_critical() {
    let (server, ours, other) = (Server::start(), Tracker::start(), Tracker::start());
    let first = server.add_one("first", &[&ours.url()]);
    let second = server.add_one("second", &[&other.url()]);
    server.wait_for_tracker(&first, &[2]);
    server.wait_for_tracker(&second, &[2]);
    let mut watcher = Watcher::of_tracker(&server, &ours.host());
    let (host, run) = (ours.host(), "firewalled, 2 of 2 torrents run");
    assert_eq!(watcher.see().await, format!("passing: {run}; {host} works"));

    let outages = [
        Mode::Failure("unregistered torrent".into()),
        Mode::Broken,
        Mode::Closed,
        Mode::Failure("again".into()),
    ];
    for mode in outages {
        // What it shows is of this outage, and of none before.
        announce(&server, &ours, Mode::Ok, &first, &[2]);
        announce(&server, &ours, mode.clone(), &first, &[4]);
        let sample = watcher.sample().await;
        assert_eq!(told(&sample), format!("warning: {host} does not work, others do; {run}"), "{mode:?}");
        let values = ["tracker_torrents", "tracker_working", "tracker_failing", "trackers_failing", "stable"];
        assert_eq!(values.map(|value| number(&sample, value)), [1.0, 0.0, 1.0, 1.0, 1.0].map(Some));
    }
    announce(&server, &other, Mode::Closed, &second, &[4]);
    let critical = format!("critical: no tracker of any torrent works, {host} and 1 others; {run}");
    assert_eq!(watcher.see().await, critical);

    announce(&server, &ours, Mode::Warning("it will be down".into()), &first, &[2]);
    assert_eq!(watcher.see().await, format!("passing: {run}; {host} works"));
    announce(&server, &ours, Mode::Hang, &first, &[3]);
    assert_eq!(watcher.see().await, format!("passing: {run}; {host} has not answered yet"));
}

#[tokio::test]
async fn only_running_torrents_tell_of_a_tracker() {
    let (server, tracker) = (Server::start(), Tracker::start());
    let hash = server.add_one("first", &[&tracker.url()]);
    announce(&server, &tracker, Mode::Closed, &hash, &[4]);
    let mut watcher = Watcher::of_tracker(&server, &tracker.host());
    let host = tracker.host();
    assert_eq!(
        watcher.see().await,
        format!("warning: {host} does not work; firewalled, 1 of 1 torrents run")
    );
    // Its last word was that it does not work, and stays so.
    server.post("torrents/pause", &[("hashes", &hash)]);
    server.wait_for_state(&hash, "pausedDL");
    assert_eq!(
        watcher.see().await,
        format!(
            "passing: firewalled, 0 of 1 torrents run; no torrent of {host} runs, so it is not looked at"
        )
    );
}

#[tokio::test]
async fn one_working_torrent_of_a_tracker_is_enough_and_a_critical_tracker_is_critical() {
    let (server, tracker) = (Server::start(), Tracker::start_on(Ipv4Addr::LOCALHOST));
    let by_name = tracker.url_as("localhost");
    let first = server.add_one("first", &[&by_name]);
    server.wait_for_tracker(&first, &[2]);
    tracker.set(Mode::Failure("unregistered torrent".into()));
    let second = server.add_one("second", &[&by_name, "http://127.0.0.1:1/announce"]);
    server.wait_for_tracker(&second, &[4]);
    // By the end of its host's name, not by what else is in the URL.
    let mut watcher = Watcher::of_tracker(&server, "localhost");
    assert_eq!(watcher.see().await, "passing: firewalled, 2 of 2 torrents run; localhost works");
    server.post("torrents/delete", &[("hashes", &first), ("deleteFiles", "false")]);
    watcher.settings.tracker_critical = true;
    assert!(watcher.see().await.starts_with("critical: no tracker of any torrent works"));
    let mut watcher = Watcher::of_tracker(&server, "announce");
    assert!(watcher.see().await.ends_with("no torrent of announce runs, so it is not looked at"));
}

/// All that is logged on this thread, at every level.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<String>>);

impl Heard {
    /// Listens until what is given back is dropped.
    pub(crate) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(self.clone())
    }

    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl tracing::Subscriber for Heard {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

impl tracing::field::Visit for Heard {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        writeln!(self.0.lock().unwrap(), "{field}={value:?}").unwrap();
    }
}

#[tokio::test]
async fn neither_passkey_nor_password_is_in_what_is_seen_and_logged() {
    let heard = Heard::default();
    let _listening = heard.listen();
    tracing::info!("this is heard");
    let (server, tracker) = (Server::start(), Tracker::start());
    let hash = server.add_one("first", &[&tracker.url()]);
    let mut watcher = Watcher::of_tracker(&server, &tracker.host());
    let mut shown = Vec::new();
    for (mode, status) in [(Mode::Ok, 2), (Mode::Failure(tracker.url()), 4), (Mode::Closed, 4)] {
        announce(&server, &tracker, mode, &hash, &[status]);
        shown.push(format!("{:?}", watcher.sample().await));
    }
    // A password that is refused, and a file that cannot be written.
    watcher.settings = with_password(&server, "a-wrong-password");
    watcher.world = World::sharing(Tasks::new(), Clock::fresh(), Sessions::new(Some("/proc/none".into())));
    shown.push(format!("{:?}", watcher.sample().await));
    shown.push(format!("{:?} {:?}", watcher.memory, watcher.world));
    shown.push(heard.text());
    let shown = shown.join(" ");
    assert!(shown.contains("this is heard") && shown.contains("cannot be recorded"), "{shown}");
    assert!(shown.contains(&tracker.host()), "{shown}");
    for secret in [tracker.passkey(), PASSWORD, "a-wrong-password", "/announce"] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
}

#[tokio::test]
async fn a_version_that_cannot_be_had_here_is_watched_in_the_same_way() {
    let server = Modern::start();
    let hash = |digit: &str| digit.repeat(40);
    server.with(|told| {
        told.states.insert(hash("1"), "stalledUP".into());
        told.states.insert(hash("2"), "stoppedUP".into());
        told.trackers.insert("http://a.tracker.example/x/announce".into(), vec![hash("1"), hash("2")]);
        told.tracker_status = 2;
    });
    let mut watcher = Watcher::new(Qbittorrent {
        tracker: Some("tracker.example".into()),
        forbidden: vec![IpRange::parse("203.0.113.0/24").unwrap()],
        ..settings(&server.url())
    });
    assert_eq!(watcher.see().await, "passing: connected, 1 of 2 torrents run; tracker.example works");
    for (status, told) in [
        (5, "warning: tracker.example does not work; connected"),
        (6, "warning: tracker.example does not work; connected"),
        (1, "passing: connected"),
    ] {
        server.with(|modern| modern.tracker_status = status);
        let seen = watcher.see().await;
        assert!(seen.starts_with(told), "{status}: {seen}");
    }
    let external = [("last_external_address_v4".to_owned(), serde_json::json!("203.0.113.7"))];
    server.with(|told| told.server_state.extend(external));
    let sample = watcher.sample().await;
    assert!(told(&sample).starts_with("critical: others see it as 203.0.113.7"), "{sample:?}");
    assert_eq!((number(&sample, "leak"), number(&sample, "stable")), (Some(1.0), Some(0.0)));
}

/// Names the test in a network of its own.
const INSIDE: &str = "LICTOR_TEST_INSIDE_NETWORK";

/// Addresses of two machines, of which there is one.
const HERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);
const PEER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

/// Runs a test of this module again in a network of its own, where nothing of the machine's is
/// reached and addresses can be made up.
fn in_own_network(test: &str) {
    let test = format!("qbittorrent_watch::{test}");
    let script = format!(
        r#"ip link set lo up && ip addr add {HERE}/32 dev lo && ip addr add {PEER}/32 dev lo && exec "$0" --exact "$1" --nocapture"#
    );
    let mut inside = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        inside.arg("--map-root-user");
    }
    let this = std::env::current_exe().unwrap();
    inside.args(["--net", "--", "/bin/sh", "-c", &script]).arg(this).arg(&test).env(INSIDE, &test);
    let ended = inside.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_connection_from_outside_makes_it_connected_and_strictness_wants_one() {
    if std::env::var_os(INSIDE).is_none() {
        return in_own_network("a_connection_from_outside_makes_it_connected_and_strictness_wants_one");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::with(Options { address: HERE, ..Options::default() });
        let grace = Duration::from_secs(3);
        let mut watcher = Watcher::new(Qbittorrent { strict: true, grace, ..settings(&server.url()) });
        let first = watcher.sample().await;
        assert!(told(&first).starts_with("unknown: firewalled for "), "{first:?}");
        assert_eq!(number(&first, "stable"), Some(1.0));
        tokio::time::sleep(grace).await;
        let late = watcher.see().await;
        assert!(late.starts_with("critical: firewalled for "), "{late}");
        let _peer = server.connect_from(PEER).unwrap();
        let connected = async {
            while watcher.see().await != "passing: connected, 0 of 0 torrents run" {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(LONG, connected).await.expect("it never says that it is connected");
    });
}
