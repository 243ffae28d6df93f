//! Small things that many tests need.

use std::path::Path;

use lictor_consul::{Client, Config};
use lictor_core::{
    Boot, CheckName, Event, Incident, IncidentId, Now, Row, Run, RunId, RunState, Status, Wall, What,
};
use lictor_store::{Anchor, NodeStore, Opened, Options};

/// The instant `seconds` after the origin of the axis.
pub(crate) fn at(seconds: u64) -> Now {
    let millis = seconds * 1_000;
    let wall = 1_700_000_000_000 + i64::try_from(millis).unwrap();
    Now { boot: Boot::from_millis(millis), wall: Wall::from_unix_millis(wall) }
}

/// Where the clocks stand at that instant.
pub(crate) fn anchor(seconds: u64) -> Anchor {
    let now = at(seconds);
    Anchor { boot_id: "boot-1".into(), boot_millis: now.boot.as_millis(), axis: now.boot, wall: now.wall }
}

/// A directory in memory where there is one, for tests that are not about the disk.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A store in a directory, with no space kept back.
pub(crate) fn open(dir: &Path) -> Opened {
    NodeStore::open(options(dir)).unwrap()
}

/// Options for a store in a directory, with no space kept back.
pub(crate) fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir, "node1");
    options.reserve = 0;
    options
}

/// A check's name.
pub(crate) fn check(name: &str) -> CheckName {
    name.parse().unwrap()
}

/// The row of a passing check.
pub(crate) fn check_row(name: &str, seconds: u64) -> Row {
    let mut stands = lictor_core::Check::new(at(seconds));
    stands.status = Status::Passing;
    stands.watched_since = Boot::default();
    Row::Check(check(name), stands)
}

/// An incident that is open, or closed.
pub(crate) fn incident(id: u64, open: bool) -> Row {
    Row::Incident(Incident {
        id: IncidentId(id),
        check: check("web"),
        opened: at(1),
        closed: (!open).then(|| at(2)),
        status: Status::Critical,
        worst: Status::Critical,
        summary: "it is down".into(),
        escalated: false,
    })
}

/// A run in some state.
pub(crate) fn run(id: u64, state: RunState) -> Run {
    Run {
        id: RunId(id),
        remedy: "restart-web".parse().unwrap(),
        definition: "d1".into(),
        target: "web".parse().unwrap(),
        cause: "web is critical".into(),
        captures: Default::default(),
        change: None,
        incident: None,
        started: at(1),
        deadline: Boot::from_millis(9_000_000),
        mode: lictor_core::Mode::Act,
        step: "restart".parse().unwrap(),
        cancelled: None,
        cleaning: false,
        visits: Default::default(),
        tally: Default::default(),
        notes: Default::default(),
        state,
    }
}

/// A run that has begun to act.
pub(crate) fn acting(id: u64) -> Run {
    run(id, RunState::Acting { attempt: 1, since: Boot::from_millis(1_000) })
}

/// An event without incident or run.
pub(crate) fn event(seconds: u64, text: &str) -> Event {
    Event { at: at(seconds), incident: None, run: None, what: What::Commanded { command: text.into() } }
}

/// An event of an incident.
pub(crate) fn event_of(seconds: u64, id: u64, text: &str) -> Event {
    Event { incident: Some(IncidentId(id)), ..event(seconds, text) }
}

/// A client of a Consul server, patient enough for a busy machine.
pub(crate) fn client(url: &str) -> Client {
    let config = Config { address: url.parse().unwrap(), ..Config::default() };
    Client::new(config).unwrap()
}

/// A prefix of keys that no other test uses.
pub(crate) fn prefix() -> String {
    format!("lictor-test-{:016x}/", rand::random::<u64>())
}

/// The number that a record says.
pub(crate) fn text(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}
