//! Whatever is written, lost, restored and restarted: in the end the destination is as the rule says, no key outside its prefix
//! was touched, and none was deleted that the source had.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::time::Boot;

const PAUSE: Duration = Duration::from_secs(3);

/// A value stands for its own checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Value {
    content: u64,
    index: u64,
    session: bool,
}

/// The keys of a datacenter.
#[derive(Clone, Debug, Default)]
struct Keys {
    keys: BTreeMap<String, Value>,
    /// What a listing says; it goes back when a snapshot is restored.
    index: u64,
    /// Writes so far: it does not.
    writes: u64,
}

impl Keys {
    fn set(&mut self, key: &str, content: u64) {
        if self.keys.get(key).is_none_or(|value| value.content != content) {
            self.next();
            let session = self.keys.get(key).is_some_and(|value| value.session);
            self.keys.insert(key.to_owned(), Value { content, index: self.index, session });
        }
    }

    fn delete(&mut self, key: &str) {
        if self.keys.remove(key).is_some() {
            self.next();
        }
    }

    fn next(&mut self) {
        self.writes += 1;
        self.index = self.writes;
    }

    fn restore(&mut self, saved: Self) {
        *self = Self { writes: self.writes + 1, ..saved };
    }

    fn cas(&mut self, key: &str, content: u64, guard: u64) -> bool {
        let fits = self.keys.get(key).map_or(0, |value| value.index) == guard;
        if fits {
            self.set(key, content);
        }
        fits
    }
}

/// What happens to the answer of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Comes,
    /// Nobody knows whether it was written; it was.
    LostDone,
    /// The same; it was not.
    LostNot,
    /// The server does not take it.
    Refused,
}

/// What a listing shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    All,
    /// The source as it was so many changes ago: its servers are starting.
    Past(usize),
    /// Only so many rows: the token may not read the rest.
    Few(usize),
}

#[derive(Clone, Debug)]
enum Step {
    Set(String, u64),
    Delete(String),
    /// Somebody writes at the destination.
    Other(String, u64),
    OtherDelete(String),
    /// Somebody takes a lock at the destination, or gives it back.
    Lock(String, bool),
    /// The copier goes through the source; meanwhile this happens.
    Pass(Vec<Self>, Sight, Answer),
    /// A snapshot is made of the source, or comes back.
    Save,
    Restore,
    /// The source's keys are gone, all at once.
    Empty,
    Restart,
    Wait,
}

fn key() -> impl Strategy<Value = String> {
    // Around the prefixes, too.
    (select(vec!["g/", "g/", "g/", "g", "h/", "f"]), select(vec!["", "a", "b", "c", "d/e", "x-only"]))
        .prop_map(|(prefix, rest)| format!("{prefix}{rest}"))
        .prop_filter("a key has a name", |key| !key.is_empty())
}

fn copy() -> impl Strategy<Value = String> {
    key().prop_map(|key| match key.strip_prefix("g/") {
        Some(rest) => format!("copy/{rest}"),
        None => format!("cop{key}"),
    })
}

fn step() -> impl Strategy<Value = Step> {
    let plain = prop_oneof![
        8 => (key(), 0_u64..4).prop_map(|(key, content)| Step::Set(key, content)),
        4 => key().prop_map(Step::Delete),
        3 => (copy(), 0_u64..6).prop_map(|(key, content)| Step::Other(key, content)),
        2 => copy().prop_map(Step::OtherDelete),
        1 => (copy(), any::<bool>()).prop_map(|(key, held)| Step::Lock(key, held)),
        1 => Just(Step::Save),
        1 => Just(Step::Restore),
        1 => Just(Step::Empty),
        1 => Just(Step::Restart),
        2 => Just(Step::Wait),
    ];
    let answer =
        || select(vec![Answer::Comes, Answer::Comes, Answer::LostDone, Answer::LostNot, Answer::Refused]);
    let sight = prop_oneof![
        5 => Just(Sight::All),
        2 => (1_usize..6).prop_map(Sight::Past),
        1 => (0_usize..4).prop_map(Sight::Few),
    ];
    let pass = (proptest::collection::vec(plain.clone(), 0..3), sight, answer())
        .prop_map(|(meanwhile, sight, answer)| Step::Pass(meanwhile, sight, answer));
    prop_oneof![3 => plain, 2 => pass]
}

struct World {
    rule: Rule,
    source: Keys,
    saved: Option<Keys>,
    /// As the source was, the latest last.
    past: Vec<Keys>,
    there: Keys,
    copier: Copier,
    /// The destination is to be read before anything is written.
    doubt: bool,
    /// The index of the source that was written down.
    noted: Option<u64>,
    now: u64,
    /// Whether a person says yes to what is held back.
    person: bool,
}

impl World {
    fn new(rule: Rule) -> Self {
        let copier = Copier::new(rule.clone(), None);
        let (source, there) = (Keys::default(), Keys::default());
        Self {
            rule,
            source,
            saved: None,
            past: Vec::new(),
            there,
            copier,
            doubt: true,
            noted: None,
            now: 1,
            person: false,
        }
    }

    fn now(&self) -> Boot {
        Boot::from_millis(self.now * 1_000)
    }

    fn play(&mut self, step: Step) -> Result<(), TestCaseError> {
        if self.past.last().is_none_or(|past| past.index != self.source.index) {
            self.past.push(self.source.clone());
        }
        match step {
            Step::Set(key, content) => self.source.set(&key, content),
            Step::Delete(key) => self.source.delete(&key),
            Step::Other(key, content) => self.there.set(&key, content),
            Step::OtherDelete(key) => self.there.delete(&key),
            Step::Lock(key, held) => {
                if let Some(value) = self.there.keys.get_mut(&key) {
                    value.session = held;
                    self.there.writes += 1;
                    self.there.index = self.there.writes;
                    value.index = self.there.index;
                }
            }
            Step::Save => self.saved = Some(self.source.clone()),
            Step::Restore => self.source.restore(self.saved.clone().unwrap_or_default()),
            Step::Empty => {
                let keys: Vec<String> = self.source.keys.keys().cloned().collect();
                keys.iter().for_each(|key| self.source.delete(key));
            }
            Step::Restart => {
                let (kept, back): (Vec<u64>, bool) = (self.copier.kept().collect(), self.copier.is_back());
                self.copier = Copier::new(self.rule.clone(), self.noted);
                self.copier.keep(kept);
                if back {
                    self.copier.went_back();
                }
                self.doubt = true;
            }
            Step::Wait => self.now += 60,
            Step::Pass(meanwhile, sight, answer) => self.pass(meanwhile, sight, answer)?,
        }
        Ok(())
    }

    fn pass(&mut self, meanwhile: Vec<Step>, sight: Sight, answer: Answer) -> Result<(), TestCaseError> {
        self.now += 1;
        if self.doubt || self.rule.repair {
            self.copier.begin_destination();
            for (key, value) in &self.there.keys {
                self.copier.destination(&row(key, value), value.content);
            }
            self.copier.end_destination();
            self.doubt = false;
        }
        let (shown, most) = match sight {
            Sight::All => (self.source.clone(), usize::MAX),
            Sight::Past(ago) => (self.past.iter().rev().nth(ago).cloned().unwrap_or_default(), usize::MAX),
            Sight::Few(rows) => (self.source.clone(), rows),
        };
        let heading = Heading { index: shown.index, anew: false };
        self.copier.begin_source(heading);
        // Before anything older is written.
        self.noted = self.noted.filter(|_| self.copier.copied().is_some());
        let mut writes = Vec::new();
        let rows = shown.keys.iter().filter(|(key, _)| key.starts_with(&self.rule.source));
        for (key, value) in rows.take(most) {
            let now = Boot::from_millis(self.now * 1_000);
            if let Verdict::Write(write) = self.copier.source(&row(key, value), || value.content, now) {
                prop_assert_eq!(write.content, value.content);
                writes.push(write);
            }
        }
        let ends = meanwhile.iter().any(|step| matches!(step, Step::Restart));
        for step in meanwhile {
            self.play(step)?;
        }
        if ends {
            return Ok(());
        }
        let mut complete = true;
        for write in writes {
            complete &= self.write(write, answer);
        }
        self.copier.end_source(heading, complete, Boot::from_millis(self.now * 1_000));
        if self.copier.copied() == Some(heading.index) && !matches!(sight, Sight::Few(_)) {
            self.noted = self.copier.copied();
        }
        if !complete {
            self.doubt = true;
            return Ok(());
        }
        self.delete()
    }

    fn write(&mut self, mut write: Write, answer: Answer) -> bool {
        for _tries in 0..3 {
            let key = self.rule.copy_of(&write.suffix);
            match answer {
                Answer::Comes if self.there.cas(&key, write.content, write.guard) => {
                    let index = self.there.keys.get(&key).map_or(0, |value| value.index);
                    self.copier.written(&write, index);
                    return true;
                }
                Answer::Comes => {
                    let found = self.there.keys.get(&key).map(|value| Found {
                        content: value.content,
                        index: value.index,
                        session: value.session,
                    });
                    self.copier.found(&write.suffix, found);
                    match self.copier.again(&write, self.now()) {
                        Verdict::Write(next) => write = next,
                        Verdict::Same | Verdict::Left => return true,
                    }
                }
                Answer::LostDone => {
                    self.there.cas(&key, write.content, write.guard);
                    return false;
                }
                Answer::LostNot => return false,
                Answer::Refused => {
                    self.copier.refuse(&write, "no room", Boot::from_millis(self.now * 1_000));
                    return true;
                }
            }
        }
        false
    }

    fn delete(&mut self) -> Result<(), TestCaseError> {
        for _rounds in 0..3 {
            match self.copier.deletes(PAUSE) {
                Deletes::Nothing => return Ok(()),
                Deletes::List(at) => {
                    self.now = self.now.max(at.as_millis() / 1_000 + 1);
                    self.copier.begin_listing();
                    for key in self.source.keys.keys().filter(|key| key.starts_with(&self.rule.source)) {
                        self.copier.listed(key);
                    }
                    self.copier.end_listing(&Listing::default(), self.now());
                    if let Some(held) = self.copier.held().cloned().filter(|_| self.person) {
                        prop_assert!(self.copier.approve(&held.id));
                    }
                }
                Deletes::Prove(at) => {
                    self.now = self.now.max(at.as_millis() / 1_000 + 1);
                    for suffix in self.copier.to_prove(Boot::from_millis(self.now * 1_000)) {
                        let absent = !self.source.keys.contains_key(&self.rule.origin_of(&suffix));
                        let Some(delete) = self.copier.proven(&suffix, absent) else { continue };
                        prop_assert!(absent, "{suffix} is deleted, and the source has it");
                        let key = self.rule.copy_of(&suffix);
                        let value = self.there.keys.get(&key).copied();
                        if value.is_none_or(|value| value.index == delete.guard) {
                            prop_assert!(value.is_none_or(|value| !value.session), "{key} is held");
                            self.there.delete(&key);
                            self.copier.deleted(&delete);
                        }
                    }
                    self.copier.end_proof(true);
                }
            }
        }
        Ok(())
    }

    /// What there must be in the end.
    fn wanted(&self, before: &Keys) -> BTreeMap<String, u64> {
        let excluded = |suffix: &str| suffix.contains("only");
        let copies = self.source.keys.iter().filter_map(|(key, value)| {
            let suffix = key.strip_prefix(&self.rule.source).filter(|suffix| !excluded(suffix))?;
            Some((self.rule.copy_of(suffix), value.content))
        });
        let others = before.keys.iter().filter(|(key, _)| {
            let suffix = key.strip_prefix(&self.rule.destination);
            suffix.is_none_or(|suffix| !self.rule.delete || excluded(suffix))
        });
        others.map(|(key, value)| (key.clone(), value.content)).chain(copies).collect()
    }
}

fn row<'a>(key: &'a str, value: &Value) -> Row<'a> {
    Row { key, flags: 0, session: value.session, index: value.index }
}

fn rule(source: &str, destination: &str, delete: bool, repair: bool) -> Rule {
    Rule {
        source: source.into(),
        to: "dc2".into(),
        destination: destination.into(),
        excludes: vec![Exclude::Contains("only".into())],
        protected: Vec::new(),
        delete,
        repair,
        locks: Locks::Skip,
        limit: Limit::Keys(1),
    }
}

fn outcome(world: &mut World, steps: Vec<Step>) -> Result<(), TestCaseError> {
    for step in steps {
        let outside = |keys: &Keys| -> Vec<(String, Value)> {
            let keys = keys.keys.iter().filter(|(key, _)| !key.starts_with("copy/"));
            keys.map(|(key, value)| (key.clone(), *value)).collect()
        };
        let (before, passes) =
            (outside(&world.there), matches!(&step, Step::Pass(meanwhile, ..) if meanwhile.is_empty()));
        world.play(step)?;
        prop_assert!(!passes || before == outside(&world.there), "a key outside the prefix was touched");
    }
    // Nothing stands in the way any more, and a person says yes.
    world.there.keys.values_mut().for_each(|value| value.session = false);
    world.person = true;
    let before = world.there.clone();
    for _passes in 0..4 {
        world.doubt = true;
        world.now += 3_600;
        world.pass(Vec::new(), Sight::All, Answer::Comes)?;
    }
    let there: BTreeMap<String, u64> =
        world.there.keys.iter().map(|(key, value)| (key.clone(), value.content)).collect();
    prop_assert_eq!(there, world.wanted(&before));
    prop_assert!(world.copier.refused().is_empty());
    prop_assert!(world.copier.held().is_none());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_the_end_the_destination_is_as_the_rule_says(
        steps in proptest::collection::vec(step(), 1..40),
        delete in any::<bool>(),
    ) {
        outcome(&mut World::new(rule("g/", "copy/", delete, true)), steps)?;
    }

    #[test]
    fn without_repair_too_if_nobody_else_writes_there(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        // It goes by indexes: what was hidden for a while, or came back with a snapshot while nobody looked, is copied
        // when it changes.
        let seen = |sight: Sight| if matches!(sight, Sight::Few(_)) { Sight::All } else { sight };
        let alone = |step: &Step| {
            !matches!(step, Step::Other(..) | Step::OtherDelete(..) | Step::Lock(..) | Step::Restore)
        };
        let steps = steps.into_iter().filter(alone).map(|step| match step {
            Step::Pass(meanwhile, sight, answer) => {
                Step::Pass(meanwhile.into_iter().filter(alone).collect(), seen(sight), answer)
            }
            step => step,
        });
        outcome(&mut World::new(rule("g/", "copy/", true, false)), steps.collect())?;
    }
}

#[test]
fn without_repair_too_what_comes_back_with_a_snapshot_is_copied() {
    let mut world = World::new(rule("g/", "copy/", true, false));
    let pass = || Step::Pass(Vec::new(), Sight::All, Answer::Comes);
    let set = |key: &str| Step::Set(key.to_owned(), 0);
    for step in [set("g/a"), set("g/b"), pass(), Step::OtherDelete("copy/b".into()), Step::Save] {
        world.play(step).unwrap();
    }
    for step in [Step::Delete("g/a".into()), pass(), Step::Restore, set("g/c"), Step::Wait, pass(), pass()] {
        world.play(step).unwrap();
    }
    let there: Vec<&String> = world.there.keys.keys().collect();
    assert_eq!(there, ["copy/a", "copy/c"], "what somebody deleted stays deleted");
}

#[test]
fn a_delete_that_is_refused_is_tried_again_later_and_keeps_none_of_the_others() {
    let mut world = World::new(rule("g/", "copy/", true, true));
    world.there.set("copy/a", 0);
    let pass = || Step::Pass(Vec::new(), Sight::All, Answer::Comes);
    world.play(Step::Set("g/b".into(), 0)).unwrap();
    world.copier.begin_destination();
    for (key, value) in &world.there.keys {
        world.copier.destination(&row(key, value), value.content);
    }
    world.copier.end_destination();
    world.doubt = false;
    let heading = Heading { index: world.source.index, anew: false };
    world.copier.begin_source(heading);
    assert_eq!(world.copier.end_source(heading, true, Boot::from_millis(1)), 1);
    world.copier.begin_listing();
    world.copier.listed("g/b");
    world.copier.end_listing(&Listing::default(), world.now());
    assert_eq!(world.copier.to_prove(world.now()), ["a"]);
    let delete = world.copier.proven("a", true).unwrap();
    world.copier.refuse_delete(&delete, "it may not be deleted", world.now());
    world.copier.end_proof(true);
    assert_eq!(world.copier.to_prove(world.now()), Vec::<String>::new());
    assert_eq!(world.copier.refused()["a"].attempts, 1);
    world.now += 60;
    world.play(pass()).unwrap();
    world.play(pass()).unwrap();
    assert!(world.copier.refused().is_empty());
    assert_eq!(world.there.keys.keys().collect::<Vec<_>>(), ["copy/b"]);
}

#[test]
fn without_repair_what_somebody_deleted_stays_deleted_also_when_the_destination_is_read_again() {
    let mut world = World::new(rule("g/", "copy/", true, false));
    let pass = || Step::Pass(Vec::new(), Sight::All, Answer::Comes);
    for step in
        [Step::Set("g/a".into(), 0), Step::Set("g/b".into(), 0), pass(), Step::OtherDelete("copy/b".into())]
    {
        world.play(step).unwrap();
    }
    world.doubt = true;
    for step in [pass(), Step::Set("g/c".into(), 0), pass(), pass()] {
        world.play(step).unwrap();
    }
    assert_eq!(world.there.keys.keys().collect::<Vec<_>>(), ["copy/a", "copy/c"]);
    // What they make in its place stays as well.
    for step in [Step::Other("copy/b".into(), 7), pass()] {
        world.doubt = true;
        world.play(step).unwrap();
    }
    world.play(pass()).unwrap();
    assert_eq!(world.there.keys["copy/b"].content, 7);
}

#[test]
fn a_source_that_went_back_is_remembered_until_a_person_has_said_that_it_is_the_source() {
    let mut world = World::new(rule("g/", "copy/", true, true));
    let pass = || Step::Pass(Vec::new(), Sight::All, Answer::Comes);
    for step in
        [Step::Set("g/a".into(), 0), Step::Save, Step::Set("g/b".into(), 0), pass(), Step::Restore, pass()]
    {
        world.play(step).unwrap();
    }
    assert_eq!(world.copier.held().map(|held| &held.why), Some(&Hold::WentBack));
    for step in [Step::Restart, Step::Set("g/c".into(), 0), pass(), pass()] {
        world.play(step).unwrap();
    }
    assert_eq!(world.copier.held().map(|held| &held.why), Some(&Hold::WentBack));
    assert!(world.there.keys.contains_key("copy/b"));
}
