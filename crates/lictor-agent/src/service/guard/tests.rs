use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A guard whose PID 1 and control group are ours.
struct Bench {
    guard: Guarding,
    first: UnixDatagram,
    agent: UnixDatagram,
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let first = UnixDatagram::bind(path("first")).unwrap();
        first.set_nonblocking(true).unwrap();
        let agent = bind(&path("agent")).unwrap();
        let to = SocketAddr::from_pathname(path("first")).unwrap();
        let told = UnixDatagram::unbound().unwrap();
        let clock = Clock::fresh();
        let guard = Guarding {
            place: Place::new("shop").unwrap(),
            slice: Slice::at(path("slice")),
            socket: bind(&path("guard")).unwrap(),
            first: First { socket: told, to },
            since: clock.stamp(),
            clock,
            belief: None,
            pinged: Stamp::default(),
        };
        Self { guard, first, agent, dir }
    }

    fn belief(&self, token: u64, millis: u64) -> Belief {
        Belief { token, since: self.guard.clock.stamp(), lasts: Duration::from_millis(millis) }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("guard")
    }

    fn says(&self, text: &str) {
        self.agent.send_to(text.as_bytes(), self.path()).unwrap();
    }

    fn hears(&mut self, said: Said) -> bool {
        let from = self.agent.local_addr().unwrap();
        matches!(self.guard.hears(said, &from).unwrap(), Next::End)
    }

    fn answer(&self) -> Option<(u64, Answer)> {
        read(&self.agent).and_then(|bytes| Answer::read(&bytes))
    }

    /// What PID 1 was told.
    fn told(&self) -> Vec<String> {
        let texts = std::iter::from_fn(|| read(&self.first));
        texts.map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }
}

fn read(socket: &UnixDatagram) -> Option<Vec<u8>> {
    let mut bytes = [0; ROOM];
    let count = socket.recv(&mut bytes).ok()?;
    Some(bytes[..count].to_vec())
}

#[test]
fn it_is_ready_when_it_was_begun_with_a_belief_that_holds() {
    let mut bench = Bench::new();
    assert!(!bench.hears(Said::Ask { number: 1 }));
    assert_eq!(bench.answer(), Some((1, Answer::Waits)));
    // Neither a renewal nor what is over begins it.
    bench.hears(Said::Until(bench.belief(7, 60_000)));
    bench.hears(Said::Begin { number: 2, belief: bench.belief(7, 0) });
    assert_eq!(bench.answer(), Some((2, Answer::Refuses)));
    assert!(bench.guard.belief.is_none() && bench.told().is_empty());

    let first = bench.belief(7, 60_000);
    bench.hears(Said::Begin { number: 3, belief: first });
    assert!(matches!(bench.answer(), Some((3, Answer::Guards { token: 7, .. }))));
    // Twice is as good as once.
    bench.hears(Said::Begin { number: 4, belief: first });
    assert!(matches!(bench.answer(), Some((4, Answer::Guards { token: 7, .. }))));
    assert_eq!(bench.told(), ["READY=1\nWATCHDOG=1"]);
}

#[test]
fn a_belief_may_become_shorter_and_one_in_another_token_is_not_heeded() {
    let mut bench = Bench::new();
    bench.hears(Said::Begin { number: 1, belief: bench.belief(7, 60_000) });
    let shorter = bench.belief(7, 1_000);
    bench.hears(Said::Until(shorter));
    assert_eq!(bench.guard.belief, Some(shorter));
    bench.hears(Said::Until(bench.belief(8, 60_000)));
    bench.hears(Said::Begin { number: 2, belief: bench.belief(8, 60_000) });
    assert_eq!(bench.guard.belief, Some(shorter));
    // One that has not begun yet would end too late.
    let mut ahead = bench.belief(7, 60_000);
    ahead.since.whole += Duration::from_secs(60);
    bench.hears(Said::Until(ahead));
    assert_eq!(bench.guard.belief, Some(shorter));
    assert!(bench.hears(Said::Over));
}

#[test]
fn it_ends_with_the_belief_and_has_told_pid_1_until_then() {
    let mut bench = Bench::new();
    bench.hears(Said::Begin { number: 1, belief: bench.belief(7, 60_000) });
    let belief = bench.belief(7, 350);
    bench.says(&Said::Until(belief).to_text());
    bench.says("lictor-guard 2 until 7 0 0 0");
    bench.guard.watch().unwrap();
    let late = bench.guard.clock.stamp().shortest_since(belief.since);
    assert!(late >= belief.lasts, "{late:?}");
    let pings = bench.told().iter().filter(|text| *text == "WATCHDOG=1").count();
    assert!((1..=4).contains(&pings), "{pings}");
}

#[test]
fn one_that_nobody_begins_ends() {
    let mut bench = Bench::new();
    bench.guard.since = Stamp::default();
    assert!(matches!(bench.guard.run(), Err(GuardError::NotBegun { .. })));
}

#[test]
fn a_socket_that_a_guard_before_left_is_replaced() {
    let bench = Bench::new();
    let again = bind(&bench.path()).unwrap();
    bench.says("hello");
    assert_eq!(read(&again).as_deref(), Some(b"hello".as_slice()));
    let mode = fs::metadata(bench.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
