use lictor_config::{IpRange, QbittorrentApi, Tls};
use lictor_core::Value;

use super::super::ask::Others;
use super::*;

fn settings() -> Qbittorrent {
    let api = QbittorrentApi {
        url: "http://127.0.0.1:8080".parse().unwrap(),
        user: "admin".into(),
        password: None,
        api_key: None,
        host: None,
        tls: Tls::default(),
    };
    Qbittorrent {
        api,
        tracker: Some("tracker.example".into()),
        tracker_critical: false,
        strict: false,
        grace: Duration::from_secs(60),
        forbidden: vec![IpRange::parse("203.0.113.0/24").unwrap()],
    }
}

fn seen(connection: Connection) -> Seen {
    Seen {
        connection,
        version: "v4.5.2".into(),
        torrents: 5,
        running: 3,
        dht_nodes: Some(7),
        external: vec!["198.51.100.1".parse().unwrap()],
        tracker: None,
    }
}

fn told(settings: &Qbittorrent, seen: &Seen, firewalled: u64) -> String {
    let sample = judge(settings, seen, Some(Duration::from_secs(firewalled)));
    let stable = sample.value(&"stable".parse().unwrap()).cloned();
    let Some(Value::Number(stable)) = stable else { panic!("{sample:?}") };
    format!("{}, stable {stable}: {}", sample.status, sample.summary)
}

fn tracker(working: usize, failing: usize, others: (usize, usize)) -> Seen {
    let others = Others { working: others.0, failing: others.1 };
    let name = "tracker.example".into();
    Seen {
        tracker: Some(TrackerSeen { name, torrents: 2, working, failing, others }),
        ..seen(Connection::Connected)
    }
}

#[test]
fn connected_is_fine_and_disconnected_is_critical() {
    assert_eq!(
        told(&settings(), &seen(Connection::Connected), 0),
        "passing, stable 1: connected, 3 of 5 torrents run"
    );
    assert_eq!(
        told(&settings(), &seen(Connection::Disconnected), 0),
        "critical, stable 0: disconnected: it has no open port (is its network interface there?)"
    );
}

#[test]
fn firewalled_is_fine_unless_strict_and_then_critical_after_a_grace() {
    let seen = seen(Connection::Firewalled);
    assert_eq!(told(&settings(), &seen, 9_999), "passing, stable 1: firewalled, 3 of 5 torrents run");
    let strict = Qbittorrent { strict: true, ..settings() };
    let text = "nobody from outside has reached its port, 3 of 5 torrents run";
    assert_eq!(told(&strict, &seen, 59), format!("unknown, stable 1: firewalled for 59s: {text}"));
    assert_eq!(told(&strict, &seen, 60), format!("critical, stable 1: firewalled for 1m: {text}"));
}

#[test]
fn one_tracker_that_works_is_enough() {
    assert_eq!(
        told(&settings(), &tracker(1, 2, (0, 0)), 0),
        "passing, stable 1: connected, 3 of 5 torrents run; tracker.example works"
    );
}

#[test]
fn the_outage_of_one_tracker_is_a_warning_unless_it_is_said_to_be_critical() {
    let tail = "connected, 3 of 5 torrents run";
    let warns = "warning, stable 1: tracker.example does not work";
    assert_eq!(told(&settings(), &tracker(0, 2, (0, 0)), 0), format!("{warns}; {tail}"));
    assert_eq!(told(&settings(), &tracker(0, 2, (1, 3)), 0), format!("{warns}, others do; {tail}"));
    let critical = Qbittorrent { tracker_critical: true, ..settings() };
    let wanted = "critical, stable 1: tracker.example does not work";
    assert_eq!(told(&critical, &tracker(0, 2, (1, 0)), 0), format!("{wanted}, others do; {tail}"));
}

#[test]
fn that_no_tracker_works_at_all_is_critical() {
    assert_eq!(
        told(&settings(), &tracker(0, 2, (0, 3)), 0),
        "critical, stable 1: no tracker of any torrent works, tracker.example and 3 others; \
         connected, 3 of 5 torrents run"
    );
}

#[test]
fn what_is_not_known_of_a_tracker_is_said_and_no_more() {
    let tail = "passing, stable 1: connected, 3 of 5 torrents run; ";
    let seen = tracker(0, 0, (0, 0));
    assert_eq!(told(&settings(), &seen, 0), format!("{tail}tracker.example has not answered yet"));
    let none = TrackerSeen { torrents: 0, ..seen.tracker.clone().unwrap() };
    let seen = Seen { tracker: Some(none), ..seen };
    let text = "no torrent of tracker.example runs, so it is not looked at";
    assert_eq!(told(&settings(), &seen, 0), format!("{tail}{text}"));
}

#[test]
fn an_address_that_others_must_not_see_is_a_leak() {
    let external = vec!["2001:db8::1".parse().unwrap(), "::ffff:203.0.113.9".parse().unwrap()];
    let seen = Seen { external, ..seen(Connection::Connected) };
    let sample = judge(&settings(), &seen, None);
    assert_eq!(sample.status, Status::Critical);
    assert!(sample.summary.starts_with("others see it as ::ffff:203.0.113.9, which"), "{}", sample.summary);
    let value = |name: &str| sample.value(&name.parse().unwrap()).cloned();
    assert_eq!((value("leak"), value("stable")), (Some(Value::Number(1.0)), Some(Value::Number(0.0))));
}

#[test]
fn all_that_is_measured_is_told() {
    let sample = judge(&settings(), &tracker(0, 2, (0, 3)), None);
    let mut told: Vec<String> = sample.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    told.sort();
    assert_eq!(
        told.join(" "),
        "connected=1 connection=connected dht_nodes=7 firewalled=0 leak=0 listening=1 running=3 stable=1 torrents=5 \
         tracker_failing=2 tracker_torrents=2 tracker_working=0 trackers_failing=4 version=v4.5.2"
    );
    // And one for the time that the look took.
    assert_eq!(sample.values.capacity(), sample.values.len() + 1);
}
