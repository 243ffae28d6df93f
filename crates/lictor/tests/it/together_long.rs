//! The long test on three nodes that share their alerts over a real Consul: one of them is killed
//! every few seconds, whether it tells or stands by, and comes back a moment later. No alert is lost,
//! silences stay, what was told last is so, and what is told twice has a reason.
//!
//! `LICTOR_LONG=1` plays 10,000 alerts, otherwise there are 500; `LICTOR_SEED` is another history:
//!
//! ```text
//! LICTOR_LONG=1 cargo test -p lictor --test it together_long -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use lictor_testkit::consul::Server;
use lictor_testkit::wait;
use serde_json::Value;
use tokio::time::Instant;

use crate::flaky::{Delivery, Dice, Hook, PARALLEL, Reason, report};
use crate::node::{LONG, Node};

const NAMES: [&str; 3] = ["n0", "n1", "n2"];

/// One alert in so many is silenced; as many fire until the end.
const PART: usize = 20;

/// One node is killed so often.
const LIFE: Duration = Duration::from_secs(5);

/// How long a report may take to be taken.
const PATIENCE: Duration = Duration::from_secs(3);

/// So many alerts are reported at most that are not told yet.
const UNDER_WAY: usize = 1_000;

/// Who reports does so this often at most.
const PAUSE: Duration = Duration::from_millis(20);

/// Who reports says so often what still fires.
const AGAIN: Duration = Duration::from_secs(60);

/// The end of a silence may seem to move so far when another node shows it.
const APART: Duration = Duration::from_secs(2);

const CONSUL: &str = r#"
consul {
  address = "@CONSUL@"
}
alerts {
  consul {}
}
"#;

/// How much is played.
struct Size {
    alerts: usize,
    /// Alerts of one request.
    batch: usize,
    /// It has to be through by then.
    within: Duration,
}

impl Size {
    fn wanted() -> Self {
        if std::env::var("LICTOR_LONG").is_ok_and(|value| value == "1") {
            Self { alerts: 10_000, batch: 200, within: Duration::from_secs(3_600) }
        } else {
            Self { alerts: 500, batch: 40, within: Duration::from_secs(100) }
        }
    }
}

/// What becomes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It fires and ends.
    Ends,
    /// It fires until the end.
    Stays,
    /// The silence of this number is over it for the first part of the play; then it fires and ends.
    Quiet(usize),
}

impl Kind {
    fn of(number: usize) -> Self {
        match number % PART {
            0 => Self::Quiet(number / PART % NAMES.len()),
            7 => Self::Stays,
            _ => Self::Ends,
        }
    }
}

/// Who reports the alerts, as Prometheus does.
struct Reporter {
    ports: Vec<u16>,
    hook: Arc<Hook>,
    /// Alerts of one request.
    batch: usize,
    dice: Mutex<Dice>,
    /// What was said of each alert, last, and when.
    said: Mutex<BTreeMap<usize, (bool, Instant)>>,
}

impl Reporter {
    /// Says of the next ones of these that they fire, or are over.
    fn report(&self, parts: &[(&[(usize, Kind)], bool)]) {
        let before = Instant::now();
        for (part, fire) in parts {
            let next = self.next(part, *fire);
            if !next.is_empty() {
                self.say(&next, *fire);
            }
        }
        // Nobody is asked all the time.
        assert_eq!(wait::until(PAUSE.saturating_sub(before.elapsed()), || None::<()>), None);
    }

    /// Says it to one of the nodes.
    fn say(&self, alerts: &[usize], fire: bool) {
        let team = |number: &usize| match Kind::of(*number) {
            Kind::Quiet(silence) => format!("quiet{silence}"),
            Kind::Ends | Kind::Stays => "loud".to_owned(),
        };
        let named: Vec<_> = alerts.iter().map(|number| (*number, team(number))).collect();
        let node = self.dice.lock().unwrap().below(NAMES.len() as u64);
        let port = self.ports[usize::try_from(node).unwrap()];
        let now = Instant::now();
        if report(port, &named, fire, PATIENCE) {
            self.said.lock().unwrap().extend(alerts.iter().map(|number| (*number, (fire, now))));
        }
    }

    /// The next alerts of these that have to be said. One that ends does so when it was told.
    fn next(&self, these: &[(usize, Kind)], fire: bool) -> Vec<usize> {
        let (heard, said) = (self.hook.heard(), self.said.lock().unwrap());
        let due = |(number, kind): &&(usize, Kind)| {
            let lately = said.get(number).is_some_and(|(what, at)| *what == fire && at.elapsed() < AGAIN);
            !lately
                && match kind {
                    Kind::Stays => fire,
                    Kind::Ends | Kind::Quiet(_) if fire => !heard.has(*number, true),
                    Kind::Ends | Kind::Quiet(_) => heard.has(*number, true) && !heard.has(*number, false),
                }
        };
        let waits = |(number, _): &&(usize, Kind)| {
            said.get(number).is_some_and(|(what, _)| *what == fire && !heard.has(*number, fire))
        };
        let room = UNDER_WAY.saturating_sub(these.iter().filter(waits).count());
        these.iter().filter(due).take(self.batch.min(room)).map(|(number, _)| *number).collect()
    }

    /// Somebody was killed: what was not told yet may not have been recorded, and is said again.
    fn forget(&self) {
        let (heard, mut said) = (self.hook.heard(), self.said.lock().unwrap());
        said.retain(|alert, (fire, _)| heard.has(*alert, *fire));
    }
}

/// The nodes, the webhook, who reports the alerts and who kills.
struct Play {
    /// Dropped first.
    nodes: Vec<Node>,
    hook: Arc<Hook>,
    reporter: Arc<Reporter>,
    _consul: Server,
    size: Size,
    dice: Dice,
    /// One that was killed, and when it comes back.
    down: Option<(usize, Instant)>,
    next_kill: Instant,
}

impl Play {
    fn start(seed: u64) -> Self {
        let (consul, hook) = (Server::start(), Arc::new(Hook::start(seed)));
        let blocks = CONSUL.replace("@CONSUL@", &consul.url());
        let node = |name: &&str| Node::named(name, &format!("{blocks}{}", hook.blocks(name)));
        let mut nodes: Vec<_> = NAMES.iter().map(node).collect();
        nodes.iter_mut().for_each(Node::start);
        let size = Size::wanted();
        let reporter = Reporter {
            ports: nodes.iter().map(|node| node.port).collect(),
            hook: Arc::clone(&hook),
            batch: size.batch,
            dice: Mutex::new(Dice(seed ^ 1)),
            said: Mutex::default(),
        };
        Self {
            nodes,
            hook,
            reporter: Arc::new(reporter),
            _consul: consul,
            size,
            dice: Dice(seed),
            down: None,
            next_kill: Instant::now() + LIFE,
        }
    }

    fn pick(&mut self) -> usize {
        usize::try_from(self.dice.below(NAMES.len() as u64)).unwrap()
    }

    /// Kills one when it is time, and has it come back some time later.
    fn fate(&mut self) {
        let now = Instant::now();
        if let Some((node, _)) = self.down.filter(|(_, back)| *back <= now) {
            self.nodes[node].start_with(None);
            self.down = None;
        }
        if self.next_kill > now || self.down.is_some() {
            return;
        }
        self.next_kill = now + LIFE;
        let node = self.pick();
        self.nodes[node].kill();
        self.hook.heard().died(NAMES[node]);
        self.reporter.forget();
        self.down = Some((node, now + Duration::from_millis(200 + self.dice.below(1_300))));
    }

    /// Lets these be told, and end, and be told again; nodes are killed meanwhile. All the others that
    /// fire are said to fire. Gives how long it took.
    fn through(&mut self, these: &[(usize, Kind)], others: &[(usize, Kind)]) -> Duration {
        let (begun, within) = (Instant::now(), self.size.within);
        let reporter = Arc::clone(&self.reporter);
        // Who kills does not wait for who reports.
        let over = thread::scope(|scope| {
            let (ended, end) = mpsc::channel::<()>();
            scope.spawn(move || {
                while end.try_recv() == Err(TryRecvError::Empty) {
                    reporter.report(&[(these, true), (these, false), (others, true)]);
                }
            });
            let over = wait::until(within, || {
                self.fate();
                let heard = self.hook.heard();
                let done = |(number, kind): &(usize, Kind)| heard.has(*number, *kind == Kind::Stays);
                these.iter().all(done).then_some(())
            });
            drop(ended);
            over
        });
        let figures = self.hook.heard().to_string();
        assert!(over.is_some(), "it does not end\n{figures}\n{}\n{}", self.missing(these), self.logs());
        begun.elapsed()
    }

    /// What was not told yet of these.
    fn missing(&self, these: &[(usize, Kind)]) -> String {
        let heard = self.hook.heard();
        let missing = these.iter().filter(|(number, kind)| !heard.has(*number, *kind == Kind::Stays));
        let said = self.reporter.said.lock().unwrap();
        let missing =
            missing.map(|(number, kind)| (number, kind, heard.alerts.get(number), said.get(number)));
        format!("{:?}", missing.take(20).collect::<Vec<_>>())
    }

    /// Asks one node after the other, while they are killed, until one gives what is wanted.
    #[track_caller]
    fn until<T>(&mut self, what: &str, mut look: impl FnMut(&Node) -> Option<T>) -> T {
        let found = wait::until(LONG, || {
            self.fate();
            let node = self.pick();
            look(&self.nodes[node])
        });
        found.unwrap_or_else(|| panic!("{what}: not within {LONG:?}\n{}", self.logs()))
    }

    /// Makes the silence of this number, at the node of this number.
    fn silence(&self, number: usize) {
        let team = format!("team=quiet{number}");
        let (code, out, err) =
            self.nodes[number].says(&["silence", "add", &team, "--for", "1d", "--by", "ada"]);
        assert_eq!(code, 0, "{out}{err}\n{}", self.logs());
    }

    /// Waits until some node shows exactly these silences.
    #[track_caller]
    fn until_silenced(&mut self, wanted: &[Silence]) {
        self.until(&format!("the silences are {wanted:?}"), |node| {
            let found = silences(node)?;
            let same = |(one, other): (&Silence, &Silence)| one.is(other);
            (found.len() == wanted.len() && found.iter().zip(wanted).all(same)).then_some(())
        });
    }

    /// Ends a silence by whichever node is there.
    fn end(&mut self, silence: &Silence) {
        let id = silence.id.clone();
        self.until("the silence ends", |node| {
            drop(node.says(&["silence", "end", &id]));
            silences(node)?.iter().all(|one| one.id != id).then_some(())
        });
    }

    fn logs(&self) -> String {
        self.nodes.iter().map(|node| format!("{}\n", node.log())).collect()
    }
}

/// A silence as a node shows it.
#[derive(Clone, Debug)]
struct Silence {
    id: String,
    from: Timestamp,
    until: Timestamp,
    when: Value,
}

impl Silence {
    /// Whether both are the same, seen by two nodes.
    fn is(&self, other: &Self) -> bool {
        let close = |one: Timestamp, other: Timestamp| one.duration_since(other).unsigned_abs() <= APART;
        (&self.id, &self.when) == (&other.id, &other.when)
            && close(self.from, other.from)
            && close(self.until, other.until)
    }
}

/// The silences in force, in order of their ids, if the node knows.
fn silences(node: &Node) -> Option<Vec<Silence>> {
    let all = node.ask(&["silence", "list", "--format", "json"]).ok()?;
    let one = |one: &Value| {
        let time = |name: &str| one[name].as_str()?.parse().ok();
        let id = one["id"].as_str()?.to_owned();
        Some(Silence { id, from: time("from")?, until: time("until")?, when: one["matchers"].clone() })
    };
    let mut all: Vec<_> = all["silences"].as_array()?.iter().map(one).collect::<Option<_>>()?;
    all.sort_by(|one, other| one.id.cmp(&other.id));
    Some(all)
}

#[test]
fn whichever_of_three_nodes_is_killed_no_alert_is_lost_and_the_last_word_is_right() {
    let seed = std::env::var("LICTOR_SEED").ok().map_or(1, |seed| seed.parse().unwrap());
    println!("LICTOR_SEED={seed}");
    let mut play = Play::start(seed);
    let begun = Instant::now();
    let told_by = |node: &Node| {
        let answer = node.ask(&["alerts", "--format", "json"]).ok()?;
        (answer["teller"]["who"] == "this").then_some(())
    };
    let somebody = wait::until(LONG, || play.nodes.iter().find_map(told_by));
    assert!(somebody.is_some(), "nobody tells\n{}", play.logs());
    (0..NAMES.len()).for_each(|number| play.silence(number));
    let made = || silences(&play.nodes[0]).filter(|made| made.len() == NAMES.len());
    let made = wait::until(LONG, made).unwrap_or_else(|| panic!("{:?}", silences(&play.nodes[0])));
    let all: Vec<_> = (1..=play.size.alerts).map(|number| (number, Kind::of(number))).collect();
    let (quiet, loud): (Vec<_>, Vec<_>) = all.iter().partition(|(_, kind)| matches!(kind, Kind::Quiet(_)));

    // What is silenced fires all the time and is told to nobody.
    play.next_kill = Instant::now() + LIFE;
    let first = play.through(&loud, &quiet);
    play.until_silenced(&made);
    for (number, _) in &quiet {
        assert!(!play.hook.heard().alerts.contains_key(number), "{number} was told although it is silenced");
    }
    for (place, silence) in made.iter().enumerate() {
        play.end(silence);
        play.until_silenced(&made[place + 1..]);
    }
    let stays: Vec<_> = loud.iter().copied().filter(|(_, kind)| *kind == Kind::Stays).collect();
    let second = play.through(&quiet, &stays);

    // From here on nobody is killed.
    if let Some((node, _)) = play.down.take() {
        play.nodes[node].start_with(None);
    }
    play.next_kill = Instant::now() + LONG * 10;
    play.until("the queue is empty", |node| {
        let queue = node.ask(&["alerts", "queue", "--format", "json"]).ok()?;
        (told_by(node).is_some() && queue["queue"].as_array()?.is_empty()).then_some(())
    });
    let log = play.logs();
    let count = |part: &str| log.matches(part).count();
    let replaced = count("this node tells of alerts no more");
    let heard = play.hook.heard();
    println!("{heard}");
    println!(
        "{:?} ({first:?} and {second:?}); {} terms, {replaced} of them lost without a kill, {} messages too late",
        begun.elapsed(),
        count("this node tells of alerts") - replaced,
        count("a message was sent too late")
    );

    assert_eq!(heard.alerts.keys().copied().collect::<Vec<_>>(), (1..=play.size.alerts).collect::<Vec<_>>());
    for (alert, told) in &heard.alerts {
        let fires = Kind::of(*alert) == Kind::Stays;
        assert!(told[0] && told.last() == Some(&fires), "alert {alert} was told {told:?}");
        let turns = told.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert_eq!(turns, usize::from(!fires), "alert {alert} was told {told:?}");
    }
    let kills = heard.kills();
    for (id, delivery) in &heard.deliveries {
        assert!(delivery.repeats() <= delivery.unclear() + kills + replaced, "{id} was told {delivery:?}");
    }
    let most = heard.sum(Delivery::unclear) + (kills + replaced) * PARALLEL;
    assert!(heard.sum(Delivery::repeats) <= most);
    assert!(heard.because(Reason::Replaced) <= replaced * PARALLEL);
    // On a busy machine an answer may come too late, for all that are under way at once.
    assert!(heard.because(Reason::Nothing) <= PARALLEL + heard.deliveries.len() / 1_000);
}
