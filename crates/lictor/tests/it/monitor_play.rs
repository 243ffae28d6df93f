//! A connection monitor in virtual time: random histories of what its watchers see, with kills in
//! between, and what must be true of every one of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::{
    Boot, CheckName, Effect, Engine, Input, Now, Order, Outcome, Output, Plan, Row, RowKey, Sample, Status,
    Value, Wall, What,
};

/// The defaults: 30 s, three bad looks, an hour of stability, five minutes from run to run.
const MONITOR: &str = r#"
connection_monitor "sp" {
  tracker = "tracker.example"
  qbittorrent {
    url = "http://127.0.0.1:8080"
  }
  nomad {
    url = "http://127.0.0.1:4646"
    job = "media"
  }
  vpn {
    url = "http://127.0.0.1:8000"
  }
}
"#;

const EVERY: u64 = 30;
const HOUR: Duration = Duration::from_secs(3_600);
const COOLDOWN: Duration = Duration::from_secs(300);

/// SplitMix64: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What a watcher sees for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    Good,
    Bad,
    Nothing,
}

struct Play {
    dice: Dice,
    plan: Arc<Plan>,
    engine: Engine,
    rows: BTreeMap<RowKey, Row>,
    now: Now,
    /// What each watcher sees, and how much longer.
    seen: [(Seen, u64); 3],
    /// Answers that are under way, by when they come; lost with a kill.
    answers: Vec<(Boot, Input)>,
    /// When all was good last without a break, by each look of each watcher.
    good_since: Option<Boot>,
    /// Bad looks in a row of each watcher: those without data in between do not count.
    faults: [u32; 3],
    critical_since_wait: bool,
    restarts: Vec<Boot>,
    starts: u32,
    log: Vec<String>,
}

const WATCHERS: [&str; 3] = ["sp-qbittorrent", "sp-vpn", "sp-ip"];

impl Play {
    fn new(seed: u64) -> Self {
        let plan = lictor_config::parse("x.hcl", MONITOR).unwrap().config.plan;
        let now = Now { boot: Boot::from_millis(1_000_000), wall: Wall::from_unix_millis(1_700_000_000_000) };
        let (engine, output) = Engine::restore(Arc::clone(&plan), Vec::new(), now);
        let mut play = Self {
            dice: Dice(seed),
            plan,
            engine,
            rows: BTreeMap::new(),
            now,
            seen: [(Seen::Good, 10); 3],
            answers: Vec::new(),
            good_since: None,
            faults: [0; 3],
            critical_since_wait: false,
            restarts: Vec::new(),
            starts: 0,
            log: Vec::new(),
        };
        play.take(output);
        play
    }

    fn step(&mut self, input: Input) {
        let output = self.engine.step(input, self.now);
        self.take(output);
    }

    fn take(&mut self, output: Output) {
        for row in output.rows {
            self.rows.insert(row.key(), row);
        }
        for key in output.gone {
            self.rows.remove(&key);
        }
        let at = self.now.boot.as_millis() / 1_000;
        self.log.extend(output.events.iter().map(|event| format!("{at} {}", event.what)));
        for event in &output.events {
            if let What::StepDone { step } = &event.what
                && ["waiting_for_stability", "given_up"].contains(&step.as_str())
            {
                let good = self.good_since.map(|since| self.now.boot.since(since));
                assert!(
                    good.is_some_and(|good| good >= HOUR),
                    "{step} is over after {good:?} without a break\n{}",
                    self.told()
                );
            }
        }
        for effect in output.effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let (order, looks) = match effect {
            Effect::Prepare(order) => (order, true),
            Effect::Act(order) => (order, false),
            Effect::Inspect(order) => return self.inspect(&order),
            Effect::Abort(_) => return,
        };
        if !self.engine.wants(&order) {
            return;
        }
        let Order { run, step, attempt, .. } = order.clone();
        self.step(Input::HandedOver { run });
        let after = Duration::from_secs(self.dice.below(20));
        let detail = "said".to_owned();
        let failed = self.dice.chance(15);
        if !looks && !failed {
            self.acted(&order);
        }
        let outcome = match failed {
            true => Outcome::Failed { detail },
            false => Outcome::Done { detail },
        };
        let said = if looks && !failed {
            Input::Prepared { run, step, attempt, note: "{}".to_owned() }
        } else {
            Input::Outcome { run, step, attempt, outcome }
        };
        self.answers.push((self.now.boot.after(after), said));
    }

    /// What was ordered before a kill is looked at: it was carried out, or not.
    fn inspect(&mut self, order: &Order) {
        let Order { run, step, attempt, .. } = order.clone();
        self.step(Input::HandedOver { run });
        let detail = "looked".to_owned();
        let outcome = match self.dice.below(3) {
            0 => Outcome::NotStarted { detail },
            1 => Outcome::Unknown { detail },
            _ => Outcome::Done { detail },
        };
        self.answers.push((
            self.now.boot.after(Duration::from_secs(2)),
            Input::Outcome { run, step, attempt, outcome },
        ));
    }

    /// Something was done to the world.
    fn acted(&mut self, order: &Order) {
        match (order.remedy.as_str(), order.step.as_str()) {
            ("sp", "restarting_nomad") => {
                if let Some(last) = self.restarts.last() {
                    let passed = self.now.boot.since(*last);
                    assert!(passed >= COOLDOWN, "restarted again after {passed:?}\n{}", self.told());
                }
                assert!(
                    self.critical_since_wait,
                    "restarted although no watcher saw a fault three times\n{}",
                    self.told()
                );
                self.critical_since_wait = false;
                self.restarts.push(self.now.boot);
            }
            (_, "restarting_torrents") => self.starts += 1,
            _ => {}
        }
    }

    fn told(&self) -> String {
        self.log.join("\n")
    }

    /// Each watcher looks.
    fn look(&mut self) {
        let mut all_good = true;
        for (index, watcher) in WATCHERS.into_iter().enumerate() {
            let (seen, left) = self.seen[index];
            let seen = if left == 0 { self.regime(index) } else { seen };
            self.seen[index].1 = self.seen[index].1.saturating_sub(1);
            let sample = match seen {
                Seen::Good => Sample::new(Status::Passing, "fine"),
                Seen::Bad => Sample::new(Status::Critical, "bad"),
                Seen::Nothing => Sample::new(Status::Unknown, "nobody knows"),
            };
            let values = match watcher {
                "sp-qbittorrent" => "stable",
                "sp-vpn" => "up",
                _ => "ok",
            };
            let sample = match seen {
                Seen::Good => with(sample, values, 1.0),
                Seen::Bad => with(sample, values, 0.0),
                Seen::Nothing => sample,
            };
            let sample =
                if seen == Seen::Nothing || watcher == "sp-vpn" { sample } else { with(sample, "leak", 0.0) };
            match seen {
                Seen::Good => self.faults[index] = 0,
                Seen::Bad => self.faults[index] += 1,
                Seen::Nothing => {}
            }
            self.critical_since_wait |= self.faults[index] >= 3;
            if seen != Seen::Good {
                all_good = false;
                self.good_since = None;
            }
            self.step(Input::Observed { check: CheckName::new(watcher).unwrap(), sample });
        }
        if all_good {
            self.good_since.get_or_insert(self.now.boot);
        }
    }

    /// Another while, mostly good: long ones, so that hours of stability happen.
    fn regime(&mut self, index: usize) -> Seen {
        let (seen, looks) = match self.dice.below(10) {
            0..5 => (Seen::Good, 60 + self.dice.below(240)),
            5 => (Seen::Good, 1 + self.dice.below(10)),
            6 | 7 => (Seen::Bad, 1 + self.dice.below(20)),
            _ => (Seen::Nothing, 1 + self.dice.below(200)),
        };
        self.seen[index] = (seen, looks);
        seen
    }

    /// Lets time pass to the next look, with all that is due before it.
    fn pass(&mut self) {
        let end = self.now.boot.after(Duration::from_secs(EVERY));
        loop {
            let answer = self.answers.iter().map(|(at, _)| *at).min();
            let wake = self.engine.next_wake();
            let Some(next) = answer.into_iter().chain(wake).min().filter(|at| *at <= end) else { break };
            self.now.boot = self.now.boot.max(next);
            match self.answers.iter().position(|(at, _)| *at <= self.now.boot) {
                Some(index) => {
                    let (_, said) = self.answers.remove(index);
                    self.step(said);
                }
                None => self.step(Input::Tick),
            }
        }
        self.now.boot = end;
    }

    fn kill(&mut self) {
        self.answers.clear();
        self.log.push("killed".to_owned());
        // The hour has to be seen by one agent without a break.
        self.good_since = None;
        let rows = self.rows.values().cloned().collect();
        let (engine, output) = Engine::restore(Arc::clone(&self.plan), rows, self.now);
        self.engine = engine;
        self.take(output);
    }
}

fn with(sample: Sample, name: &str, number: f64) -> Sample {
    sample.with(name.parse().unwrap(), Value::Number(number))
}

#[test]
fn no_two_restarts_within_the_cooldown_none_on_unknown_and_the_hour_is_unbroken() {
    let (mut restarts, mut starts) = (0, 0);
    for seed in 0..60 {
        let mut play = Play::new(seed);
        // Two days of looks.
        for _ in 0..(2 * 24 * 3_600 / EVERY) {
            play.look();
            play.pass();
            if play.dice.chance(1) && play.dice.chance(20) {
                play.kill();
            }
        }
        restarts += play.restarts.len();
        starts += play.starts;
    }
    assert!(restarts > 60 && starts > 60, "a play in which little happens says little: {restarts}, {starts}");
}
