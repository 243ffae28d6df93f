//! One test of rules, played: what was expected and what came.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use lictor_config::{Config, Expected, Given, Happening, RuleTest, RuleTests};
use lictor_core::{ActionName, CheckName, Ending, Event, Hold, Plan, RemedyName, RunId, Wall, What};

use super::plan::Played;
use super::play::{Acting, Play};
use crate::lines::Matcher;

/// When a test begins: some time that is easy to read.
const BEGIN: Wall = Wall::from_unix_millis(946_684_800_000);

/// Of what happened, events that are shown.
const SHOWN: usize = 40;

/// What came of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What was not as expected; nothing: it is good.
    pub differences: Vec<Difference>,
    /// The latest of what happened: how long after the beginning, and what in words.
    pub events: Vec<(Duration, String)>,
}

/// One thing that was not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// When, after the beginning.
    pub at: Duration,
    /// The line of the file that expects it.
    pub line: usize,
    /// What was looked at, such as `ran`.
    pub what: String,
    /// What was expected of it.
    pub expected: Vec<String>,
    /// What came.
    pub got: Vec<String>,
}

/// What happened since the last expectation.
#[derive(Debug, Default)]
struct Heard {
    ran: Vec<RemedyName>,
    did: Vec<String>,
    held_back: BTreeMap<RemedyName, Hold>,
    failed: Vec<RemedyName>,
    parked: Vec<RemedyName>,
    escalated: Vec<RemedyName>,
}

/// All that a test hears.
#[derive(Debug, Default)]
struct Ears {
    heard: Heard,
    runs: BTreeMap<RunId, RemedyName>,
    events: Vec<(Duration, String)>,
}

/// Plays a test through its configuration.
pub fn judge(config: &Config, test: &RuleTest) -> Verdict {
    let plan = Played::of_a_test(&config.plan, &mentioned(test));
    let matchers: BTreeMap<&CheckName, Matcher> = config
        .watches
        .iter()
        .filter(|(_, watch)| !watch.patterns.is_empty())
        .map(|(check, watch)| (check, Matcher::new(&watch.patterns)))
        .collect();
    let acting = Acting { takes: test.takes, fail: test.fail.iter().cloned().collect() };
    let ears = Rc::new(RefCell::new(Ears::default()));
    let listening = Rc::clone(&ears);
    let rules = plan.clone();
    let on_event = Box::new(move |event: &Event| listening.borrow_mut().hear(event, &rules));
    let mut play = Play::new(plan, acting, BEGIN, on_event);
    let mut differences = Vec::new();
    for moment in &test.moments {
        play.until_after(moment.at);
        match &moment.what {
            Happening::Given(given) => {
                for one in given {
                    give(config, &matchers, one, &mut play);
                }
            }
            Happening::Expected(expected) => {
                let heard = std::mem::take(&mut ears.borrow_mut().heard);
                let differs = |what: &str, expected: Vec<String>, got: Vec<String>| Difference {
                    at: moment.at,
                    line: moment.line,
                    what: what.to_owned(),
                    expected,
                    got,
                };
                differences.extend(compare(expected, heard, &play, differs));
            }
        }
    }
    drop(play);
    let mut ears = ears.borrow_mut();
    let events = std::mem::take(&mut ears.events);
    let later = events.len().saturating_sub(SHOWN);
    Verdict { differences, events: events.into_iter().skip(later).collect() }
}

/// The watchers that a test speaks of.
fn mentioned(test: &RuleTest) -> BTreeSet<CheckName> {
    let given = test.moments.iter().flat_map(|moment| match &moment.what {
        Happening::Given(given) => given.as_slice(),
        Happening::Expected(_) => &[],
    });
    let check = |given: &Given| match given {
        // What only reads lines is looked at otherwise.
        Given::Lines(..) => None,
        Given::Result { check, .. } | Given::Silent(check) => Some(check.clone()),
    };
    given.filter_map(check).collect()
}

fn give(config: &Config, matchers: &BTreeMap<&CheckName, Matcher>, given: &Given, play: &mut Play<'_>) {
    match given {
        Given::Lines(check, lines) => {
            let Some(matcher) = matchers.get(check) else { return };
            for line in lines {
                let matches = matcher.message(line.as_bytes());
                if !matches.is_empty() {
                    play.read(check, matches);
                }
            }
        }
        Given::Result { check, sample, once: true } => play.observed(check, sample.clone()),
        Given::Result { check, sample, once: false } => {
            let every = config.watches.get(check).map_or(Duration::from_secs(10), |watch| watch.every);
            play.keeps(check, sample.clone(), every);
        }
        Given::Silent(check) => play.silent(check),
    }
}

impl Ears {
    fn hear(&mut self, event: &Event, plan: &Plan) {
        let passed = event.at.wall.as_unix_millis().saturating_sub(BEGIN.as_unix_millis());
        let passed = Duration::from_millis(u64::try_from(passed).unwrap_or(0));
        if self.events.len() > 4 * SHOWN {
            self.events.drain(..2 * SHOWN);
        }
        self.events.push((passed, event.what.to_string()));
        let heard = &mut self.heard;
        match &event.what {
            What::RunStarted { remedy, .. } => {
                if let Some(run) = event.run {
                    self.runs.insert(run, remedy.clone());
                }
                heard.ran.push(remedy.clone());
            }
            What::Intent { action, .. } => {
                let remedy = event.run.and_then(|run| self.runs.get(&run));
                heard.did.push(shown(action, remedy, plan));
            }
            What::Suppressed { remedy, by, .. } => {
                heard.held_back.insert(remedy.clone(), *by);
            }
            What::RunEnded { remedy, ending: Ending::Failed { .. } | Ending::Cancelled { .. }, .. } => {
                heard.failed.push(remedy.clone());
            }
            What::Parked { remedy, .. } => heard.parked.push(remedy.clone()),
            What::Escalated { remedy, .. } => heard.escalated.push(remedy.clone()),
            _ => {}
        }
    }
}

/// What a test calls an action: of a rule, the rule.
fn shown(action: &ActionName, remedy: Option<&RemedyName>, plan: &Plan) -> String {
    let is_rule = |remedy: &&RemedyName| {
        let steps = plan.remedies.get(*remedy).map(|remedy| remedy.steps.as_slice());
        matches!(steps, Some([only]) if only.name.as_str() == "act")
    };
    remedy.filter(is_rule).map_or_else(|| action.to_string(), ToString::to_string)
}

fn compare(
    expected: &Expected,
    heard: Heard,
    play: &Play<'_>,
    differs: impl Fn(&str, Vec<String>, Vec<String>) -> Difference,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut lists = |what: &str, expected: Option<Vec<String>>, got: Vec<String>| {
        if let Some(expected) = expected.filter(|expected| *expected != got) {
            found.push(differs(what, expected, got));
        }
    };
    let texts = |names: &Vec<RemedyName>| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    lists("ran", expected.ran.as_ref().map(texts), texts(&heard.ran));
    // A rule may be called by its step, too.
    let short = |name: &String| {
        let rule = name.strip_suffix("/act").and_then(|rule| RemedyName::new(rule).ok());
        match rule
            .filter(|rule| !heard.did.contains(name) && play.engine().plan().remedies.contains_key(rule))
        {
            Some(rule) => rule.to_string(),
            None => name.clone(),
        }
    };
    lists("did", expected.did.as_ref().map(|did| did.iter().map(short).collect()), heard.did.clone());
    let held = |(name, by): (&RemedyName, &str)| format!("{name} by {by}");
    let wanted = expected.held_back.as_ref();
    lists(
        "held_back",
        wanted.map(|wanted| wanted.iter().map(|(name, by)| held((name, by))).collect()),
        heard.held_back.iter().map(|(name, by)| held((name, word(*by)))).collect(),
    );
    lists("failed", expected.failed.as_ref().map(texts), texts(&heard.failed));
    lists("parked", expected.parked.as_ref().map(texts), texts(&heard.parked));
    lists("escalated", expected.escalated.as_ref().map(texts), texts(&heard.escalated));
    for (check, status) in &expected.checks {
        let known = play.engine().checks().get(check);
        let got = known.map_or_else(String::new, |check| check.status.to_string());
        lists(&format!("check {check}"), Some(vec![status.to_string()]), vec![got]);
    }
    found
}

/// The word of a test for what holds back.
pub fn word(hold: Hold) -> &'static str {
    let [guard, cooldown, budget, busy, gave_up, fleet, lease, unconfirmed] = RuleTests::HOLDS;
    match hold {
        Hold::Guard => guard,
        Hold::Cooldown => cooldown,
        Hold::Budget => budget,
        Hold::Busy => busy,
        Hold::GaveUp => gave_up,
        Hold::Fleet => fleet,
        Hold::Lease => lease,
        Hold::Unconfirmed => unconfirmed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CONFIG: &str = r#"watch "journal" "log" {
  unit = "a"
  match "bad" {
    contains = "bad"
  }
}
watch "http" "web" {
  url        = "http://127.0.0.1/"
  fail_after = 3
}
rule "restart" {
  on       = match.log.bad
  cooldown = "30s"
  act "exec" {
    command = ["x"]
  }
}
rule "web" {
  on = check.web == "critical"
  act "exec" {
    command = ["x"]
  }
  verify        = check.web == "passing"
  verify_within = "20s"
  attempts      = 2
  backoff       = "1s"
}
"#;

    fn play(test: &str) -> Vec<Verdict> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.hcl"), CONFIG).unwrap();
        let path = dir.path().join("x.test.hcl");
        fs::write(&path, format!("config = \"x.hcl\"\n{test}")).unwrap();
        let tests = RuleTests::load(&path, &BTreeMap::<String, String>::new());
        let tests = tests.unwrap_or_else(|failure| panic!("{:?}", failure.lines().collect::<Vec<_>>()));
        tests.tests.iter().map(|test| judge(&tests.loaded.config, test)).collect()
    }

    #[track_caller]
    fn good(test: &str) {
        for verdict in play(test) {
            assert!(verdict.differences.is_empty(), "{verdict:#?}");
        }
    }

    #[test]
    fn lines_start_rules_and_the_cooldown_holds_them_back() {
        good(
            r#"test "x" {
  at "0s" {
    read "log" {
      lines = ["fine", "it is bad"]
    }
  }
  at "29s" {
    read "log" {
      lines = ["bad"]
    }
  }
  expect "29s" {
    ran       = ["restart"]
    did       = ["restart"]
    held_back = { restart = "cooldown" }
    failed    = []
  }
  at "30s" {
    read "log" {
      lines = ["bad"]
    }
  }
  expect "30s" {
    ran       = ["restart"]
    held_back = {}
  }
}"#,
        );
    }

    #[test]
    fn a_watcher_says_the_same_at_each_look_until_it_says_something_else() {
        good(
            r#"test "x" {
  at "0s" {
    observe "web" {}
  }
  at "5m" {
    observe "web" {
      status = "critical"
    }
  }
  expect "5m 19s" {
    ran    = []
    checks = { web = "passing" }
  }
  expect "5m 20s" {
    ran = ["web"]
  }
  at "5m 25s" {
    observe "web" {}
  }
  expect "10m" {
    ran    = []
    failed = []
    checks = { web = "passing" }
  }
}
test "silence is no data" {
  at "0s" {
    observe "web" {}
  }
  at "10s" {
    silent = ["web"]
  }
  expect "1m" {
    checks = { web = "unknown" }
  }
}
test "what is not mentioned says nothing" {
  expect "1d" {
    ran = []
    checks = { web = "unknown" }
  }
}"#,
        );
    }

    #[test]
    fn actions_fail_when_they_are_to() {
        good(
            r#"test "x" {
  fail = ["web"]
  at "0s" {
    observe "web" {
      status = "critical"
    }
  }
  expect "59s" {
    ran    = ["web"]
    did    = ["web", "web/act"]
    failed = ["web"]
  }
}"#,
        );
    }

    #[test]
    fn a_difference_says_where_and_what() {
        let found = play(
            r#"test "x" {
  at "1s" {
    read "log" {
      lines = ["bad"]
    }
  }
  expect "2s" {
    ran       = []
    held_back = { web = "guard" }
    checks    = { log = "critical" }
  }
}"#,
        );
        let [ran, held_back, check] = found[0].differences.as_slice() else { panic!("{found:?}") };
        assert_eq!((ran.what.as_str(), ran.line, ran.at.as_secs()), ("ran", 8, 2));
        assert_eq!((ran.expected.len(), ran.got.as_slice()), (0, &["restart".to_owned()][..]));
        assert_eq!(
            (held_back.expected.as_slice(), held_back.got.len()),
            (&["web by guard".to_owned()][..], 0)
        );
        assert_eq!((check.what.as_str(), check.got[0].as_str()), ("check log", "unknown"));
        assert!(found[0].events.iter().any(|(at, what)| at.as_secs() == 1 && what.contains("matched bad")));
    }
}
