//! Steps that Lictor does when a check fails: each once and in order, and never two runs of a remedy at a time.
//!
//! On each host a check fails when its actor says so, and a remedy of three steps mends it. The program of a step writes down when it
//! began and when it ended, and under which identity; nothing of it may be repeated. It outlives its agent.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use lictor_consul::{Client, Error};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Actor, Call, Hand, Outcome, Wishes, Workload};
use crate::live::scene::{Scene, SceneError};
use crate::live::witness::Deed;
use crate::live::world::agent::{Agent, DIR, Home};
use crate::live::world::net;
use crate::live::world::process::ProcessError;

/// The steps of the remedy, in order; the second one mends what is broken.
const STEPS: [&str; 3] = ["one", "two", "three"];

/// What is there while a check is to fail, in the directory of its host.
const BROKEN: &str = "broken";

/// Where the programs of the steps write.
const DONE: &str = "done";

/// How long it may take until something is mended, when all are well.
const MENDED: Duration = Duration::from_secs(40);

/// Nothing is under way when no step was for so long: a check that is looked at once a second starts no run any more.
const QUIET: Duration = Duration::from_secs(3);

/// How long to rest between two looks whether it is.
const POLL: Duration = Duration::from_millis(50);

/// Writes down that it begins, takes its time, mends what is broken if that is its part, and writes down that it ends.
const STEP: &str = "use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);\n\
    my ($dir, $mends) = @ARGV;\n\
    open(my $log, '>>', \"$dir/done\") or die; select($log); $| = 1;\n\
    printf(\"%s begin %.6f\\n\", $ENV{LICTOR_STEP}, clock_gettime(CLOCK_MONOTONIC));\n\
    sleep(0.3 + rand(0.5));\n\
    unlink(\"$dir/broken\") if $mends;\n\
    printf(\"%s end %.6f\\n\", $ENV{LICTOR_STEP}, clock_gettime(CLOCK_MONOTONIC));\n";

/// The workload.
#[derive(Debug)]
pub struct Remedy {
    left: PathBuf,
    nodes: usize,
}

impl Remedy {
    /// A remedy on each of the hosts that are wished for.
    #[must_use]
    pub fn new(wishes: Wishes) -> Self {
        Self { left: wishes.left, nodes: wishes.nodes }
    }

    fn of(&self, host: usize) -> PathBuf {
        self.left.join(net::name(host))
    }

    fn lines(&self, host: usize) -> Result<Vec<Line>, SceneError> {
        lines(&self.of(host).join(DONE))
    }
}

/// What steps wrote to a file; nothing if none was ever begun.
fn lines(path: &Path) -> Result<Vec<Line>, SceneError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(SceneError::Read { path: path.to_owned(), source }),
    };
    let line = |line: &str| {
        Line::read(line).ok_or_else(|| SceneError::Line { path: path.to_owned(), line: line.to_owned() })
    };
    text.lines().map(line).collect()
}

#[async_trait]
impl Workload for Remedy {
    async fn prepare(&self, _: &Client) -> Result<(), Error> {
        Ok(())
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        // Several at one host break the same thing, one after the other.
        let dir = self.of(hand.host);
        Box::new(Breaking { hand, broken: dir.join(BROKEN), done: dir.join(DONE), last: 1 })
    }

    fn checks(&self) -> Vec<String> {
        vec![format!("remedy:steps={}", STEPS.len())]
    }

    fn scene(&self) -> Option<&dyn Scene> {
        Some(self)
    }

    fn rest(&self) -> Duration {
        Duration::from_millis(500)
    }
}

#[async_trait]
impl Scene for Remedy {
    fn home(&self) -> Home {
        Home::Bare
    }

    fn blocks(&self, host: usize) -> String {
        let program = self.of(host).join("step.pl");
        let step = |(number, name): (usize, &&str)| {
            format!(
                "  step \"{name}\" {{\n    act \"exec\" {{\n      command = [\"/usr/bin/perl\", {program:?}, \"{DIR}\", \"{}\"]\n    \
                 }}\n  }}\n",
                u8::from(number == 1)
            )
        };
        let steps: String = STEPS.iter().enumerate().map(step).collect();
        format!(
            "watch \"exec\" \"works\" {{\n  command = [\"/bin/sh\", \"-c\", \"test ! -e {DIR}/{BROKEN} || exit 2\"]\n  every = \"1s\"\n  \
             timeout = \"1s\"\n}}\nremedy \"repair\" {{\n  on = check.works == \"critical\"\n  cooldown = \"1s\"\n  give_up_after = 0\n\
             {steps}}}\n"
        )
    }

    async fn install(&self, _: &mut [Agent]) -> Result<(), ProcessError> {
        for host in 0..self.nodes {
            let path = self.of(host).join("step.pl");
            let failed = |error: io::Error| {
                ProcessError::refused("write a step of", &net::name(host), &error.to_string())
            };
            fs::write(path, STEP).map_err(failed)?;
        }
        Ok(())
    }

    async fn obstacle(&self, agents: &mut [Agent]) -> Result<Option<String>, ProcessError> {
        for agent in agents {
            let (code, said) = agent.says(&["status", "--format", "json"]).await?;
            if code > 1 || serde_json::from_str::<Value>(&said).is_err() {
                return Ok(Some(format!("{} does not say how its checks stand", agent.name())));
            }
        }
        Ok(None)
    }

    fn active(&self) -> Option<usize> {
        // Whose step has begun last, whether it is over or not.
        let last = |host| Some((host, self.lines(host).ok()?.last()?.at));
        (0..self.nodes).filter_map(last).max_by_key(|&(_, at)| at).map(|(host, _)| host)
    }

    fn deeds(&self) -> Result<Vec<Deed>, SceneError> {
        let mut deeds = Vec::new();
        for host in 0..self.nodes {
            deeds.extend(runs(host, &self.lines(host)?));
        }
        Ok(deeds)
    }
}

/// What a step wrote.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    /// `n1.3f2a9c51/r17`.
    run: String,
    /// From 1.
    step: usize,
    attempt: u32,
    begins: bool,
    at: Duration,
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut identity = words.next()?.rsplitn(3, '/');
        let (attempt, step, run) =
            (identity.next()?.parse().ok()?, identity.next()?, identity.next()?.to_owned());
        let step = STEPS.iter().position(|name| *name == step)? + 1;
        let begins = match words.next()? {
            "begin" => true,
            "end" => false,
            _ => return None,
        };
        let at = Duration::try_from_secs_f64(words.next()?.parse().ok()?).ok()?;
        Some(Self { run, step, attempt, begins, at })
    }
}

/// The runs of a host and their steps: a run lasts from the beginning of its first step to the end of its last. One whose last step
/// did not end is one of which nobody knows.
fn runs(host: usize, lines: &[Line]) -> Vec<Deed> {
    let (key, node) = (json!(format!("{}/repair", net::name(host))), net::name(host));
    let mut deeds = Vec::new();
    let mut runs: BTreeMap<&str, (Duration, Option<Duration>)> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.begins) {
        let same = |other: &&Line| {
            (other.run.as_str(), other.step, other.attempt) == (&line.run, line.step, line.attempt)
        };
        let end =
            lines.iter().filter(|other| !other.begins && other.at >= line.at).find(same).map(|end| end.at);
        let run = runs.entry(&line.run).or_insert((line.at, None));
        run.0 = run.0.min(line.at);
        if line.step == STEPS.len() {
            run.1 = run.1.max(end);
        }
        let value = json!([line.run, line.step]);
        deeds.push(Deed { f: "step", key: key.clone(), value, node: node.clone(), from: line.at, to: end });
    }
    let run = |(name, (from, to)): (&str, (Duration, Option<Duration>))| Deed {
        f: "run",
        key: key.clone(),
        value: json!(name),
        node: node.clone(),
        from,
        to,
    };
    // A run begins with its first step: before it, in the order of entries.
    let mut all: Vec<Deed> = runs.into_iter().map(run).collect();
    all.append(&mut deeds);
    all
}

/// An actor of this workload.
struct Breaking {
    hand: Hand,
    broken: PathBuf,
    done: PathBuf,
    last: u32,
}

impl Breaking {
    /// Waits until nothing is under way any more; not for ever.
    async fn quiet(&self) {
        let deadline = Instant::now() + MENDED;
        let mut since = Instant::now();
        while since.elapsed() < QUIET && Instant::now() < deadline {
            // What cannot be read is told of when all of it is.
            let under_way =
                lines(&self.done).is_ok_and(|lines| runs(0, &lines).iter().any(|deed| deed.to.is_none()));
            if under_way {
                since = Instant::now();
            }
            sleep(POLL).await;
        }
    }
}

#[async_trait]
impl Actor for Breaking {
    async fn next(&mut self) -> Option<Call> {
        Some(Call::new("break", Value::Null).on(net::name(self.hand.host)))
    }

    /// Breaks something, and waits until it is mended.
    async fn perform(&mut self, _: &Call) -> Outcome {
        if let Err(error) = fs::write(&self.broken, "") {
            return Outcome::Fail(error.to_string());
        }
        let deadline = Instant::now() + MENDED;
        while self.broken.exists() {
            if Instant::now() >= deadline {
                return Outcome::Info(format!("it is not mended after {MENDED:?}"));
            }
            sleep(POLL).await;
        }
        Outcome::ok(Value::Null)
    }

    async fn last(&mut self) -> Option<Call> {
        let Some(left) = self.last.checked_sub(1) else {
            self.quiet().await;
            return None;
        };
        self.last = left;
        self.next().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Check as _, Verdict, remedy};
    use crate::history::{History, Kind, Op, Process};

    /// What the check says of what steps wrote.
    fn judge(lines: &[&str]) -> Verdict {
        let lines: Vec<Line> = lines.iter().map(|line| Line::read(line).unwrap()).collect();
        let mut ops = Vec::new();
        for (process, deed) in (0..).zip(runs(0, &lines)) {
            let time = |at: Duration| u64::try_from(at.as_nanos()).unwrap();
            let begun = Op::invoke(
                time(deed.from),
                Process::Client(process),
                deed.f,
                Some(deed.key),
                deed.value.clone(),
            );
            let ended = deed.to.map(|to| begun.complete(time(to), Kind::Ok, deed.value));
            ops.extend([Some(begun), ended].into_iter().flatten());
        }
        ops.sort_by_key(|op| op.time);
        (0..).zip(&mut ops).for_each(|(index, op)| op.index = index);
        remedy::Remedy { steps: 3 }.check(&History::new(ops).unwrap()).verdict
    }

    const WHOLE: [&str; 6] = [
        "n1.3f/r1/one/1 begin 1.0",
        "n1.3f/r1/one/1 end 1.5",
        "n1.3f/r1/two/1 begin 2.0",
        "n1.3f/r1/two/1 end 2.5",
        "n1.3f/r1/three/1 begin 3.0",
        "n1.3f/r1/three/1 end 3.5",
    ];

    #[test]
    fn a_run_whose_steps_were_done_in_order_is_valid_and_one_with_a_step_twice_is_not() {
        assert_eq!(judge(&WHOLE), Verdict::Valid);
        let twice: Vec<&str> =
            [&WHOLE[..4], &["n1.3f/r1/two/2 begin 2.6", "n1.3f/r1/two/2 end 2.9"], &WHOLE[4..]].concat();
        assert_eq!(judge(&twice), Verdict::Invalid);
        assert_eq!(judge(&[&WHOLE[..2], &WHOLE[4..]].concat()), Verdict::Invalid, "a step was left out");
        assert_eq!(judge(&WHOLE[..3]), Verdict::Unknown, "it was broken off");
        let both = [
            &WHOLE[..],
            &["n1.3f/r2/one/1 begin 2.7", "n1.3f/r2/three/1 begin 3.2", "n1.3f/r2/three/1 end 3.3"],
        ]
        .concat();
        assert_eq!(judge(&both), Verdict::Invalid, "two at a time");
    }

    #[test]
    fn a_line_that_no_step_writes_is_none() {
        for line in ["", "n1.3f/r1/four/1 begin 1.0", "n1.3f/r1/one/1 pause 1.0", "n1.3f/r1/one/1 begin"] {
            assert_eq!(Line::read(line), None, "{line}");
        }
    }
}
