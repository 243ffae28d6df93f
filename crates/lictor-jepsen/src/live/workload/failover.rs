//! A service that runs on one of the hosts, and on another one when that is gone.
//!
//! Each host is a booted machine with a unit that writes under which token it runs and when, fifty times a second. Agents decide on
//! which of them it runs. From its first line to its last an incarnation was *active*, whatever the agents believe; what
//! it writes carries its token, which only grows. Actors ask the agents how the service stands, and now and then have it moved.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use lictor_consul::{Client, Error};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Actor, Call, Hand, Outcome, Wishes, Workload};
use crate::live::scene::{Scene, SceneError};
use crate::live::witness::{self, Deed};
use crate::live::world::agent::{Agent, Home, LEFT};
use crate::live::world::net;
use crate::live::world::process::ProcessError;

/// The service.
const SERVICE: &str = "web";

/// How long nobody may run it while most hosts are left alone: the lease of 4.2 s has to run out, Consul may have to elect a
/// leader meanwhile, which its followers notice late, and the unit has to start on a machine that does other things too.
const GAP: Duration = Duration::from_secs(20);

/// How long it may take to set the service up on a host.
const INSTALL: Duration = Duration::from_secs(60);

/// It runs while its last line is not older than this.
const FRESH: Duration = Duration::from_secs(1);

/// How long an agent may take to say how the service stands.
const ASK: Duration = Duration::from_secs(5);

/// How long a switchover may take; the program waits for a part of it.
const MOVE: Duration = Duration::from_secs(20);

/// How many calls in a hundred have the service moved.
const MOVES: u64 = 4;

/// Writes a line with its token, when it began, and the time.
const WRITER: &str = "use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);\n\
    open(my $log, '>>', $ARGV[0]) or die; select($log); $| = 1;\n\
    my $began = clock_gettime(CLOCK_MONOTONIC);\n\
    while (1) { printf(\"%s %.6f %.6f\\n\", $ENV{LICTOR_TOKEN}, $began, clock_gettime(CLOCK_MONOTONIC)); sleep(0.02) }\n";

/// The workload.
#[derive(Debug)]
pub struct Failover {
    nodes: usize,
    spared: bool,
    lines: Lines,
}

/// What the service wrote, on all hosts.
#[derive(Clone, Debug)]
struct Lines {
    left: PathBuf,
    nodes: usize,
}

/// A line of the service.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    token: u64,
    /// When the incarnation began, in its own words; no two of a host have the same.
    began: u64,
    at: Duration,
}

impl Failover {
    /// A service on the hosts that are wished for.
    #[must_use]
    pub fn new(wishes: Wishes) -> Self {
        let lines = Lines { left: wishes.left, nodes: wishes.nodes };
        Self { nodes: wishes.nodes, spared: wishes.spared, lines }
    }
}

#[async_trait]
impl Workload for Failover {
    async fn prepare(&self, _: &Client) -> Result<(), Error> {
        Ok(())
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        Box::new(Asking { hand, nodes: self.nodes, last: 3 })
    }

    fn checks(&self) -> Vec<String> {
        let single = if self.spared { format!("single:gap={}", GAP.as_secs()) } else { "single".to_owned() };
        vec![single, "fencing".to_owned()]
    }

    fn never_ok(&self) -> &'static [&'static str] {
        // While nobody leads Consul nothing is moved, and in a short run nobody may ask for it.
        &["switchover"]
    }

    fn scene(&self) -> Option<&dyn Scene> {
        Some(self)
    }

    fn rest(&self) -> Duration {
        Duration::from_millis(500)
    }
}

#[async_trait]
impl Scene for Failover {
    fn home(&self) -> Home {
        Home::Booted
    }

    fn blocks(&self, host: usize) -> String {
        let nodes: Vec<String> = (0..self.nodes).map(net::name).collect();
        format!(
            "cluster {{\n  address = \"{}\"\n  key_file = \"/etc/cluster-key\"\n}}\n\
             service \"{SERVICE}\" {{\n  nodes = {nodes:?}\n  units = [\"{SERVICE}.service\"]\n  failover = \"automatic\"\n  \
             rest = \"5s\"\n}}\n",
            net::address(host)
        )
    }

    fn files(&self, _: usize) -> Vec<(String, String)> {
        let unit = format!("[Service]\nExecStart=/usr/bin/perl /etc/writer.pl {LEFT}/{SERVICE}\n");
        vec![
            ("/etc/cluster-key".to_owned(), "a key that the hosts share\n".to_owned()),
            ("/etc/writer.pl".to_owned(), WRITER.to_owned()),
            (format!("/etc/systemd/system/{SERVICE}.service"), unit),
        ]
    }

    async fn install(&self, agents: &mut [Agent]) -> Result<(), ProcessError> {
        let deadline = Instant::now() + INSTALL;
        for agent in agents {
            loop {
                let (code, said) = agent.says(&["service", "init", SERVICE]).await?;
                if code == 0 {
                    break;
                }
                if Instant::now() >= deadline {
                    return Err(ProcessError::refused("set the service up with", agent.name(), &said));
                }
                sleep(FRESH).await;
            }
        }
        Ok(())
    }

    async fn obstacle(&self, _: &mut [Agent]) -> Result<Option<String>, ProcessError> {
        let now = witness::now();
        let fresh = self.lines.last().is_some_and(|(_, line)| line.at + FRESH > now);
        Ok((!fresh).then(|| format!("nobody runs the service {SERVICE}")))
    }

    fn active(&self) -> Option<usize> {
        self.lines.last().map(|(host, _)| host)
    }

    fn deeds(&self) -> Result<Vec<Deed>, SceneError> {
        let mut deeds = Vec::new();
        for host in 0..self.nodes {
            deeds.extend(incarnations(&self.lines.all(host)?).into_iter().flat_map(|one| one.deeds(host)));
        }
        Ok(deeds)
    }
}

/// From its first line to its last.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Incarnation {
    token: u64,
    first: Duration,
    last: Duration,
}

impl Incarnation {
    fn deeds(self, host: usize) -> [Deed; 3] {
        let (key, node) = (json!(SERVICE), net::name(host));
        let stored = |at| Deed {
            f: "store",
            key: key.clone(),
            value: json!(self.token),
            node: node.clone(),
            from: at,
            to: Some(at),
        };
        let active = Deed {
            f: "active",
            value: json!({ "token": self.token }),
            to: Some(self.last),
            ..stored(self.first)
        };
        [active, stored(self.first), stored(self.last)]
    }
}

fn incarnations(lines: &[Line]) -> Vec<Incarnation> {
    let mut all: BTreeMap<(u64, u64), Incarnation> = BTreeMap::new();
    for line in lines {
        let new = Incarnation { token: line.token, first: line.at, last: line.at };
        let one = all.entry((line.began, line.token)).or_insert(new);
        (one.first, one.last) = (one.first.min(line.at), one.last.max(line.at));
    }
    all.into_values().collect()
}

impl Lines {
    fn path(&self, host: usize) -> PathBuf {
        self.left.join(net::name(host)).join(SERVICE)
    }

    /// All of a host; none if the service never ran there.
    fn all(&self, host: usize) -> Result<Vec<Line>, SceneError> {
        let path = self.path(host);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(SceneError::Read { path, source }),
        };
        // The last one may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let line = |line: &str| {
            Line::read(line).ok_or_else(|| SceneError::Line { path: path.clone(), line: line.to_owned() })
        };
        whole.lines().map(line).collect()
    }

    /// The last one of all, and on which host.
    fn last(&self) -> Option<(usize, Line)> {
        let of = |host| Some((host, tail(&self.path(host)).ok()??));
        (0..self.nodes).filter_map(of).max_by_key(|(_, line)| line.at)
    }
}

/// The last whole line of a file.
fn tail(path: &Path) -> io::Result<Option<Line>> {
    const LONGEST: u64 = 256;
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(end.saturating_sub(LONGEST)))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    Ok(whole.lines().last().and_then(Line::read))
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let token = words.next()?.parse().ok()?;
        let mut time =
            || words.next()?.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let (began, at) = (time()?, time()?);
        Some(Self { token, began: u64::try_from(began.as_micros()).ok()?, at })
    }
}

/// An actor of this workload.
struct Asking {
    hand: Hand,
    nodes: usize,
    last: u32,
}

#[async_trait]
impl Actor for Asking {
    async fn next(&mut self) -> Option<Call> {
        if self.hand.dice.chance(MOVES) {
            let to = net::name(self.hand.dice.index(self.nodes));
            return Some(Call::new("switchover", json!({ "to": to })).on(SERVICE));
        }
        Some(Call::new("status", Value::Null).on(SERVICE))
    }

    async fn perform(&mut self, call: &Call) -> Outcome {
        let Some(agent) = &self.hand.agent else { return Outcome::Info("there is no agent".to_owned()) };
        if call.f == "switchover" {
            let to = call.value["to"].as_str().unwrap_or_default();
            let words = ["service", "switchover", SERVICE, "--to", to, "--timeout", "8s"];
            return match agent.ask(&words, MOVE).await {
                Ok((status, _)) if status.success() => Outcome::ok(call.value.clone()),
                Ok((_, said)) => Outcome::Info(first_line(&said)),
                Err(error) => Outcome::Info(error.to_string()),
            };
        }
        match agent.ask(&["service", "status", SERVICE, "--format", "json"], ASK).await {
            Ok((_, said)) => match active(&said) {
                Some(Some(node)) => Outcome::ok(json!({ "active": node })),
                Some(None) => Outcome::Fail("nobody can say where it runs".to_owned()),
                None => Outcome::Info(first_line(&said)),
            },
            Err(error) => Outcome::Info(error.to_string()),
        }
    }

    async fn last(&mut self) -> Option<Call> {
        self.last = self.last.checked_sub(1)?;
        Some(Call::new("status", Value::Null).on(SERVICE))
    }
}

/// The node on which the service runs, as an agent says; none if it gave no answer.
fn active(said: &str) -> Option<Option<String>> {
    let said: Value = serde_json::from_str(said).ok()?;
    let service = said["services"].as_array().map_or(&said, |services| services.first().unwrap_or(&said));
    Some(service["active"].as_str().map(str::to_owned))
}

fn first_line(said: &str) -> String {
    said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_lasts_from_its_first_line_to_its_last() {
        let lines =
            ["7 1.0 1.0", "7 1.0 1.5", "8 2.0 2.25", "7 1.0 1.75"].map(|line| Line::read(line).unwrap());
        let at = Duration::from_millis;
        let expected = [
            Incarnation { token: 7, first: at(1_000), last: at(1_750) },
            Incarnation { token: 8, first: at(2_250), last: at(2_250) },
        ];
        assert_eq!(incarnations(&lines), expected);
        assert_eq!(Line::read("7 1.0"), None);
    }

    #[test]
    fn who_wrote_last_is_active() {
        let dir = tempfile::tempdir().unwrap();
        let lines = Lines { left: dir.path().to_owned(), nodes: 3 };
        assert_eq!(lines.last(), None);
        for (host, text) in [(0, "7 1.0 1.5\n7 1.0 1."), (2, "8 2.0 2.5\n8 2.0 2.75\n")] {
            fs::create_dir(dir.path().join(net::name(host))).unwrap();
            fs::write(lines.path(host), text).unwrap();
        }
        assert_eq!(lines.last().map(|(host, line)| (host, line.token)), Some((2, 8)));
        assert_eq!(lines.all(0).unwrap().len(), 1, "half a line is none");
        assert_eq!(lines.all(1).unwrap(), []);
        fs::write(lines.path(0), "hello\n").unwrap();
        assert!(
            lines
                .all(0)
                .unwrap_err()
                .to_string()
                .ends_with("`hello` is not what the programs of this workload write")
        );
    }

    #[test]
    fn what_an_agent_says_is_where_it_runs() {
        assert_eq!(active(r#"{"services":[{"name":"web","active":"n2"}]}"#), Some(Some("n2".to_owned())));
        assert_eq!(active(r#"{"name":"web","active":null}"#), Some(None));
        assert_eq!(active("error: no answer"), None);
    }
}
