//! Many alerts through a webhook that fails in every way, while the program is killed again and again:
//! none is lost, none is told in the wrong order, and what is told twice has a reason.
//!
//! `LICTOR_LONG=1` plays 10,000 alerts, otherwise there are 600; `LICTOR_SEED` is another history:
//!
//! ```text
//! LICTOR_LONG=1 cargo test -p lictor --test it alerts_long -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use lictor_testkit::wait;
use serde_json::Value;

use crate::flaky::{Delivery, Dice, Hook, PARALLEL, Reason, report};
use crate::node::Node;

/// One alert in so many is silenced.
const QUIET: usize = 20;

/// How long a report may take to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

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
    hook: Hook,
    size: Size,
    dice: Dice,
    /// What was said of each alert in this life of the program; the last one.
    said: BTreeMap<usize, bool>,
}

impl Play {
    fn start(seed: u64) -> Self {
        let hook = Hook::start(seed);
        let mut node = Node::new(&hook.blocks("test"));
        node.start();
        Self { node, hook, size: Size::wanted(), dice: Dice(seed), said: BTreeMap::new() }
    }

    fn kill(&mut self) {
        self.node.kill();
        self.hook.heard().died("test");
        self.node.start();
        // What may not have been recorded is said again, as Prometheus does.
        self.said.clear();
    }

    /// Says of some alerts that they fire, or are over.
    fn say(&mut self, alerts: &[usize], fire: bool) {
        let team = |number: &usize| if number.is_multiple_of(QUIET) { "quiet" } else { "loud" };
        let named: Vec<_> = alerts.iter().map(|number| (*number, team(number).to_owned())).collect();
        if report(self.node.port, &named, fire, PATIENCE) {
            self.said.extend(alerts.iter().map(|number| (*number, fire)));
        }
    }

    /// The next alerts of these that have to be said. One that was told is over some time later.
    fn next(&self, these: &[usize], fire: bool) -> Vec<usize> {
        let heard = self.hook.heard();
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
                let heard = self.hook.heard();
                these.iter().all(|number| heard.has(*number, false)).then_some(())
            });
            if over.is_some() {
                return;
            }
            let kills = self.hook.heard().kills();
            assert!(
                kills < self.size.kills,
                "it does not come to an end\n{}\n{}",
                self.hook.heard(),
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
        assert!(!play.hook.heard().alerts.contains_key(number), "{number} was told although it is silenced");
    }
    assert_eq!(play.node.says(&["silence", "end", "s1"]).0, 0);
    play.through(&quiet);

    play.node.until("the queue is empty", |node| {
        let queue = node.ask(&["alerts", "queue", "--format", "json"]).ok()?;
        queue["queue"].as_array()?.is_empty().then_some(())
    });
    let heard = play.hook.heard();
    println!("{heard}");
    let kills = heard.kills();
    assert_eq!(heard.alerts.keys().copied().collect::<Vec<_>>(), (1..=play.size.alerts).collect::<Vec<_>>());
    for (alert, told) in &heard.alerts {
        let over = told.iter().position(|fires| !fires).unwrap();
        assert!(over > 0 && told[over..].iter().all(|fires| !fires), "alert {alert} was told {told:?}");
    }
    for (id, delivery) in &heard.deliveries {
        assert!(delivery.repeats() <= delivery.unclear() + kills, "{id} was told {delivery:?}");
    }
    assert!(heard.sum(Delivery::repeats) <= heard.sum(Delivery::unclear) + kills * PARALLEL);
    // On a busy machine an answer may come too late, for all that are under way at once.
    assert!(heard.because(Reason::Nothing) <= PARALLEL + heard.deliveries.len() / 1_000);
}
