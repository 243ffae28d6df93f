//! Many alerts through a webhook that fails in every way, while the program is killed again and again:
//! none is lost, none is told in the wrong order, and what is told twice has a reason.
//!
//! `LICTOR_LONG=1` plays 10,000 alerts, otherwise there are 600; `LICTOR_SEED` is another history:
//!
//! ```text
//! LICTOR_LONG=1 cargo test -p lictor --test it alerts_long -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use lictor_testkit::service::{Answer, Call, Service};
use lictor_testkit::wait;
use serde_json::{Value, json};

use crate::node::Node;

/// Messages that may be under way at once.
const PARALLEL: usize = 16;

/// One alert in so many is silenced.
const QUIET: usize = 20;

/// Longer than the notifier waits.
const HANGS: Duration = Duration::from_millis(1_400);

const BLOCKS: &str = r#"
notify "http" "hook" {
  url         = "@HOOK@/told"
  parallel    = 16
  batch       = "alert"
  timeout     = "1s"
  backoff     = "50ms"
  backoff_max = "500ms"
  json = {
    id     = "{{ id }}"
    alerts = [{ "$each" = "items", number = "{{ item.labels.number }}", tells = "{{ item.tells }}" }]
  }
}
route {
  to             = ["hook"]
  group_wait     = "0s"
  group_interval = "0s"
}
"#;

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

    /// One for a matter of its own.
    fn of(seed: u64, matter: &str) -> Self {
        let mix = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let mut dice = Self(matter.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, mix));
        dice.next();
        dice
    }
}

/// What becomes of a request: three in ten go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Taken, and said so.
    Accepted,
    /// An error, and it was not taken.
    Error,
    /// An error although it was taken.
    TakenError,
    /// No answer in time, and it was not taken.
    Hangs,
    /// No answer in time although it was taken.
    TakenHangs,
    /// Too much at once.
    TooMany,
}

impl Fate {
    fn of(seed: u64, id: &str, attempt: u32) -> Self {
        // Its number; what follows is the time when it was made.
        let number = id.split('-').next().unwrap_or_default();
        match Dice::of(seed, &format!("{number}/{attempt}")).below(100) {
            0..8 => Self::Error,
            8..14 => Self::TakenError,
            14..16 => Self::Hangs,
            16..19 => Self::TakenHangs,
            19..30 => Self::TooMany,
            _ => Self::Accepted,
        }
    }

    fn takes(self) -> bool {
        matches!(self, Self::Accepted | Self::TakenError | Self::TakenHangs)
    }
}

/// One delivery as the webhook saw it.
#[derive(Default)]
struct Delivery {
    attempts: u32,
    /// Each time it was taken: in which life of the program, and whether it was said.
    taken: Vec<(u32, Fate)>,
}

impl Delivery {
    fn repeats(&self) -> usize {
        self.taken.len().saturating_sub(1)
    }

    fn unclear(&self) -> usize {
        self.taken.iter().filter(|(_, fate)| *fate != Fate::Accepted).count()
    }

    /// Repeats although it was said that it was taken, to a program that lived on.
    fn without_reason(&self) -> usize {
        let again = |pair: &&[(u32, Fate)]| pair[0].1 == Fate::Accepted && pair[0].0 == pair[1].0;
        self.taken.windows(2).filter(again).count()
    }
}

#[derive(Default)]
struct Heard {
    deliveries: BTreeMap<String, Delivery>,
    /// What was told of each alert, in order: whether it fires.
    alerts: BTreeMap<usize, Vec<bool>>,
    fates: BTreeMap<Fate, usize>,
}

impl Heard {
    /// Whether that was told of an alert.
    fn has(&self, alert: usize, fires: bool) -> bool {
        self.alerts.get(&alert).is_some_and(|told| told.contains(&fires))
    }

    fn hear(&mut self, seed: u64, life: u32, call: &Call) -> Fate {
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        let id = body["id"].as_str().unwrap_or_default();
        let delivery = self.deliveries.entry(id.to_owned()).or_default();
        delivery.attempts += 1;
        let fate = Fate::of(seed, id, delivery.attempts);
        *self.fates.entry(fate).or_default() += 1;
        if fate.takes() {
            delivery.taken.push((life, fate));
            for alert in body["alerts"].as_array().into_iter().flatten() {
                let number = alert["number"].as_str().and_then(|number| number.parse().ok());
                // An alert without a number is told below as number 0.
                self.alerts.entry(number.unwrap_or_default()).or_default().push(alert["tells"] != "resolved");
            }
        }
        fate
    }
}

/// How much is played.
struct Size {
    alerts: usize,
    /// Alerts of one request.
    batch: usize,
    /// Time from one kill to the next, on the average.
    life: Duration,
    /// After so many kills it has to be through.
    kills: usize,
}

impl Size {
    fn wanted() -> Self {
        if std::env::var("LICTOR_LONG").is_ok_and(|value| value == "1") {
            Self { alerts: 10_000, batch: 200, life: Duration::from_secs(5), kills: 600 }
        } else {
            Self { alerts: 600, batch: 40, life: Duration::from_secs(2), kills: 40 }
        }
    }
}

/// The program, the webhook, and who reports the alerts.
struct Play {
    node: Node,
    heard: Arc<Mutex<Heard>>,
    life: Arc<AtomicU32>,
    hook: Service,
    size: Size,
    dice: Dice,
    /// What was said of each alert in this life of the program; the last one.
    said: BTreeMap<usize, bool>,
}

impl Play {
    fn start(seed: u64) -> Self {
        let (heard, life) = (Arc::<Mutex<Heard>>::default(), Arc::<AtomicU32>::default());
        let (hears, lives) = (Arc::clone(&heard), Arc::clone(&life));
        let hook = Service::start(move |call| {
            let fate = lock(&hears).hear(seed, lives.load(Ordering::Relaxed), call);
            match fate {
                Fate::Accepted => Answer::new(200, "{}"),
                Fate::Error => Answer::new(503, "down"),
                Fate::TakenError => Answer::new(502, "the way back is blocked"),
                Fate::Hangs | Fate::TakenHangs => {
                    #[expect(clippy::disallowed_methods, reason = "a thread of its own that hangs")]
                    thread::sleep(HANGS);
                    Answer::new(200, "{}")
                }
                Fate::TooMany => Answer::new(429, "too many").with("Retry-After", "0.05"),
            }
        });
        let mut node = Node::new(&BLOCKS.replace("@HOOK@", &hook.url()));
        node.start();
        Self { node, heard, life, hook, size: Size::wanted(), dice: Dice(seed), said: BTreeMap::new() }
    }

    fn kills(&self) -> usize {
        self.life.load(Ordering::Relaxed) as usize
    }

    fn kill(&mut self) {
        self.node.kill();
        self.life.fetch_add(1, Ordering::Relaxed);
        self.node.start();
        // What may not have been recorded is said again, as Prometheus does.
        self.said.clear();
    }

    /// Says of some alerts that they fire, or are over; whether it was taken.
    fn say(&mut self, alerts: &[usize], fire: bool) {
        let one = |number: &usize| {
            let team = if number.is_multiple_of(QUIET) { "quiet" } else { "loud" };
            let until = if fire { "2999-01-01T00:00:00Z" } else { "2020-01-01T00:00:00Z" };
            json!({"labels": {"alertname": "Long", "number": number.to_string(), "team": team}, "endsAt": until})
        };
        let body = Value::from(alerts.iter().map(one).collect::<Vec<_>>()).to_string();
        if post(self.node.port, &body).is_some_and(|answer| answer.starts_with("HTTP/1.1 200 ")) {
            self.said.extend(alerts.iter().map(|number| (*number, fire)));
        }
    }

    /// The next alerts of these that have to be said. One that was told is over some time later.
    fn next(&self, these: &[usize], fire: bool) -> Vec<usize> {
        let heard = lock(&self.heard);
        let due = |number: &&usize| {
            let told = heard.has(**number, fire) || heard.has(**number, false);
            !told && (fire || heard.has(**number, true)) && self.said.get(*number) != Some(&fire)
        };
        these.iter().filter(due).take(self.size.batch).copied().collect()
    }

    /// Lets all of these fire, be told, end, and be told; the program is killed meanwhile.
    fn through(&mut self, these: &[usize]) {
        loop {
            let half = u64::try_from(self.size.life.as_millis()).unwrap() / 2;
            let life = Duration::from_millis(half + self.dice.below(half * 2));
            let over = wait::until(life, || {
                for fire in [true, false] {
                    let next = self.next(these, fire);
                    if !next.is_empty() {
                        self.say(&next, fire);
                    }
                }
                let heard = lock(&self.heard);
                these.iter().all(|number| heard.has(*number, false)).then_some(())
            });
            if over.is_some() {
                return;
            }
            assert!(
                self.kills() < self.size.kills,
                "it does not come to an end\n{self}\n{}",
                self.node.log()
            );
            self.kill();
        }
    }

    /// The silences in force: which, since when and until when.
    fn silences(&self) -> Vec<[String; 3]> {
        let all = self.node.ask(&["silence", "list", "--format", "json"]).unwrap();
        let part = |one: &Value, name: &str| one[name].to_string();
        let one = |one: &Value| ["id", "from", "until"].map(|name| part(one, name));
        all["silences"].as_array().unwrap().iter().map(one).collect()
    }
}

/// The figures of a play.
impl fmt::Display for Play {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heard = lock(&self.heard);
        let sum = |of: fn(&Delivery) -> usize| heard.deliveries.values().map(of).sum::<usize>();
        let told = |fires| (1..=self.size.alerts).filter(|alert| heard.has(*alert, fires)).count();
        writeln!(f, "{} alerts, {} told as firing, {} as over", self.size.alerts, told(true), told(false))?;
        writeln!(
            f,
            "{} kills, {} deliveries, {} requests",
            self.kills(),
            heard.deliveries.len(),
            self.hook.calls().len()
        )?;
        writeln!(f, "answers: {:?}", heard.fates)?;
        write!(
            f,
            "{} repeats, {} of them without a reason, {} unclear answers to what was taken",
            sum(Delivery::repeats),
            sum(Delivery::without_reason),
            sum(Delivery::unclear)
        )
    }
}

/// Reports alerts; the answer, if there is one.
fn post(port: u16, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let head = format!(
        "POST /api/v2/alerts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn through_a_flaky_webhook_and_kills_no_alert_is_lost() {
    let seed = std::env::var("LICTOR_SEED").ok().map_or(1, |seed| seed.parse().unwrap());
    println!("LICTOR_SEED={seed}");
    let mut play = Play::start(seed);
    let (quiet, loud): (Vec<_>, Vec<_>) =
        (1..=play.size.alerts).partition(|number: &usize| number.is_multiple_of(QUIET));
    let (code, made, err) = play.node.says(&["silence", "add", "team=quiet", "--for", "1d", "--by", "ada"]);
    let silences = play.silences();
    assert!(code == 0 && silences.len() == 1, "{made}{err}");

    // What is silenced fires all the time and is told to nobody.
    for part in quiet.chunks(play.size.batch) {
        play.say(part, true);
    }
    play.through(&loud);
    assert_eq!(play.silences(), silences);
    for number in &quiet {
        assert!(!lock(&play.heard).alerts.contains_key(number), "{number} was told although it is silenced");
    }
    assert_eq!(play.node.says(&["silence", "end", "s1"]).0, 0);
    play.through(&quiet);

    play.node.until("the queue is empty", |node| {
        let queue = node.ask(&["alerts", "queue", "--format", "json"]).ok()?;
        queue["queue"].as_array()?.is_empty().then_some(())
    });
    println!("{play}");
    let kills = play.kills();
    let heard = lock(&play.heard);
    assert_eq!(heard.alerts.keys().copied().collect::<Vec<_>>(), (1..=play.size.alerts).collect::<Vec<_>>());
    for (alert, told) in &heard.alerts {
        let over = told.iter().position(|fires| !fires).unwrap();
        assert!(over > 0 && told[over..].iter().all(|fires| !fires), "alert {alert} was told {told:?}");
    }
    let deliveries = &heard.deliveries;
    for (id, delivery) in deliveries {
        assert!(delivery.repeats() <= delivery.unclear() + kills, "{id} was told {:?}", delivery.taken);
    }
    let sum = |of: fn(&Delivery) -> usize| deliveries.values().map(of).sum::<usize>();
    assert!(sum(Delivery::repeats) <= sum(Delivery::unclear) + kills * PARALLEL);
    // On a busy machine an answer may come too late.
    assert!(sum(Delivery::without_reason) <= deliveries.len() / 1_000);
}
