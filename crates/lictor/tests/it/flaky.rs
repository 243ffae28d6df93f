//! A webhook that fails in every way, and what it heard: for tests that kill whoever tells it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use lictor_testkit::service::{Answer, Call, Service};
use serde_json::{Value, json};

/// Messages that may be under way at once.
pub(crate) const PARALLEL: usize = 16;

/// Longer than the notifier waits.
const HANGS: Duration = Duration::from_millis(1_400);

const BLOCKS: &str = r#"
notify "http" "hook" {
  url         = "@HOOK@/told/@NODE@"
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
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
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

/// One time that a delivery was taken: by which node, in which of its lives, and whether it was said.
#[derive(Clone, Debug)]
struct Taken {
    node: String,
    life: u32,
    fate: Fate,
}

/// Why something was told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// Nobody could know that it was taken.
    Unclear,
    /// Whoever told it was killed since.
    Killed,
    /// Whoever told it lives, and another node tells now.
    Replaced,
    /// It was said to be taken, to one that lived on and told it again.
    Nothing,
}

/// One delivery as the webhook saw it.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    attempts: u32,
    taken: Vec<Taken>,
}

impl Delivery {
    pub(crate) fn repeats(&self) -> usize {
        self.taken.len().saturating_sub(1)
    }

    pub(crate) fn unclear(&self) -> usize {
        self.taken.iter().filter(|taken| taken.fate != Fate::Accepted).count()
    }

    fn was_taken(&self) -> usize {
        usize::from(!self.taken.is_empty())
    }
}

/// What the webhook heard.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) deliveries: BTreeMap<String, Delivery>,
    /// What was told of each alert, in order: whether it fires.
    pub(crate) alerts: BTreeMap<usize, Vec<bool>>,
    /// What was told more than once, by the reason for it.
    pub(crate) again: BTreeMap<Reason, usize>,
    fates: BTreeMap<Fate, usize>,
    requests: usize,
    /// How often each node was killed.
    lives: BTreeMap<String, u32>,
}

impl Heard {
    /// Whether that was told of an alert.
    pub(crate) fn has(&self, alert: usize, fires: bool) -> bool {
        self.alerts.get(&alert).is_some_and(|told| told.contains(&fires))
    }

    /// The sum of something over all deliveries.
    pub(crate) fn sum(&self, of: fn(&Delivery) -> usize) -> usize {
        self.deliveries.values().map(of).sum()
    }

    /// What was told again for this reason.
    pub(crate) fn because(&self, reason: Reason) -> usize {
        self.again.get(&reason).copied().unwrap_or_default()
    }

    /// How often a node was killed, in all.
    pub(crate) fn kills(&self) -> usize {
        self.lives.values().map(|lives| *lives as usize).sum()
    }

    /// A node was killed.
    pub(crate) fn died(&mut self, node: &str) {
        *self.lives.entry(node.to_owned()).or_default() += 1;
    }

    fn hear(&mut self, seed: u64, call: &Call) -> Fate {
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        let id = body["id"].as_str().unwrap_or_default();
        self.requests += 1;
        let delivery = self.deliveries.entry(id.to_owned()).or_default();
        delivery.attempts += 1;
        let fate = Fate::of(seed, id, delivery.attempts);
        *self.fates.entry(fate).or_default() += 1;
        if !fate.takes() {
            return fate;
        }
        let node = call.path.trim_start_matches("/told/").to_owned();
        let life = |node: &str| self.lives.get(node).copied().unwrap_or_default();
        let taken = Taken { life: life(&node), node, fate };
        if let Some(before) = delivery.taken.last() {
            let reason = match before {
                Taken { fate: Fate::TakenError | Fate::TakenHangs, .. } => Reason::Unclear,
                Taken { node, life, .. } if (node, *life) == (&taken.node, taken.life) => Reason::Nothing,
                Taken { node, life: before, .. } if life(node) > *before => Reason::Killed,
                _ => Reason::Replaced,
            };
            *self.again.entry(reason).or_default() += 1;
        }
        delivery.taken.push(taken);
        for alert in body["alerts"].as_array().into_iter().flatten() {
            let number = alert["number"].as_str().and_then(|number| number.parse().ok());
            // An alert without a number is told as number 0.
            self.alerts.entry(number.unwrap_or_default()).or_default().push(alert["tells"] != "resolved");
        }
        fate
    }
}

/// The figures.
impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |fires| self.alerts.values().filter(|told| told.contains(&fires)).count();
        writeln!(f, "{} alerts told as firing, {} as over", told(true), told(false))?;
        writeln!(
            f,
            "{} kills, {} deliveries ({} taken), {} requests",
            self.kills(),
            self.deliveries.len(),
            self.sum(Delivery::was_taken),
            self.requests
        )?;
        writeln!(f, "answers: {:?}", self.fates)?;
        write!(
            f,
            "{} repeats: {:?}; {} unclear answers to what was taken",
            self.sum(Delivery::repeats),
            self.again,
            self.sum(Delivery::unclear)
        )
    }
}

/// The webhook.
pub(crate) struct Hook {
    service: Service,
    heard: Arc<Mutex<Heard>>,
}

impl Hook {
    pub(crate) fn start(seed: u64) -> Self {
        let heard = Arc::<Mutex<Heard>>::default();
        let hears = Arc::clone(&heard);
        let service = Service::start(move |call| {
            let fate = lock(&hears).hear(seed, call);
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
        Self { service, heard }
    }

    /// The blocks by which a node of this name tells it.
    pub(crate) fn blocks(&self, node: &str) -> String {
        BLOCKS.replace("@HOOK@", &self.service.url()).replace("@NODE@", node)
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }
}

/// Reports of these alerts that they fire, or are over, as Prometheus does; whether it was taken. Each
/// has a number and a team.
pub(crate) fn report(port: u16, alerts: &[(usize, String)], fire: bool, patience: Duration) -> bool {
    let until = if fire { "2999-01-01T00:00:00Z" } else { "2020-01-01T00:00:00Z" };
    let one = |(number, team): &(usize, String)| json!({"labels": {"alertname": "Long", "number": number.to_string(), "team": team}, "endsAt": until});
    let body = Value::from(alerts.iter().map(one).collect::<Vec<_>>()).to_string();
    post(port, &body, patience).is_some_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

/// The answer, if there is one.
fn post(port: u16, body: &str, patience: Duration) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
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
