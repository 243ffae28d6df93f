//! Lines: what is counted, what is missed, what is captured; and values that change.

use super::*;

fn pattern() -> PatternName {
    PatternName::new("oom").unwrap()
}

fn on_match() -> Remedy {
    let on = vec![Trigger::Match { source: check("web"), pattern: pattern() }];
    Remedy { on, cooldown: secs(0), defer: false, ..cure(vec![act("restart")]) }
}

/// A plan in which the pattern is an event under this condition.
fn counting(counting: Counting) -> Plan {
    let mut plan = plan(vec![("cure", on_match())]);
    plan.checks.get_mut(&check("web")).unwrap().patterns.insert(pattern(), counting);
    plan
}

fn at_least(lines: u32, seconds: u64) -> Plan {
    counting(Counting::AtLeast { lines: n(lines), within: secs(seconds) })
}

impl Play {
    fn reads(&mut self, found: Match, position: Option<&str>) -> &mut Self {
        let position = position.map(str::to_owned);
        self.step(Input::Read { source: check("web"), matches: vec![found], position })
    }

    fn line(&mut self) -> &mut Self {
        self.reads(Match::new(pattern(), "out of memory"), None)
    }

    fn reports(&mut self, number: f64) -> &mut Self {
        let value = ValueName::new("mode").unwrap();
        let sample = Sample::new(Status::Passing, "").with(value, Value::Number(number));
        self.step(Input::Observed { check: check("web"), sample })
    }
}

#[test]
fn enough_lines_in_a_time_are_one_event_and_counting_begins_anew() {
    let mut play = Play::with(at_least(3, 60));
    play.line().later(50).line().later(20).line();
    assert!(play.acts().is_empty(), "the first one is too old");
    play.line();
    assert_eq!(play.acts().len(), 1);
    play.done().line().line();
    assert_eq!(play.acts().len(), 1);
    play.line();
    assert_eq!(play.acts().len(), 2);
}

#[test]
fn what_was_counted_is_known_after_a_crash() {
    let mut play = Play::with(at_least(3, 60));
    play.line().line().killed(5).line();
    assert_eq!(play.acts().len(), 1, "{:#?}", play.told);
}

#[test]
fn lines_of_long_ago_that_come_together_do_not_count_as_many_at_once() {
    let mut play = Play::with(at_least(3, 60));
    for age in [900, 600, 300] {
        play.reads(Match { age: secs(age), ..Match::new(pattern(), "out of memory") }, None);
    }
    assert!(play.acts().is_empty());
    play.reads(Match { age: secs(300), count: 2, ..Match::new(pattern(), "out of memory") }, None);
    assert_eq!(play.acts().len(), 1, "three within a minute, five minutes ago");
}

#[test]
fn a_line_that_does_not_come_is_an_event_once_until_one_comes_again() {
    let mut play = Play::with(counting(Counting::AbsentFor(secs(60))));
    play.later(50).line().later(59);
    assert!(play.acts().is_empty());
    play.later(1);
    assert_eq!(play.acts().len(), 1);
    play.done().later(600);
    assert_eq!(play.acts().len(), 1, "it was told");
    play.line().later(60);
    assert_eq!(play.acts().len(), 2);
    assert!(play.told.contains(&"web matched oom: no line for 1m".to_owned()), "{:#?}", play.told);
}

#[test]
fn the_silence_of_the_agent_is_not_that_of_what_it_reads() {
    let mut play = Play::with(counting(Counting::AbsentFor(secs(60))));
    play.line().later(30).killed(600);
    assert!(play.acts().is_empty(), "{:#?}", play.told);
    play.later(59);
    assert!(play.acts().is_empty());
    play.later(1);
    assert_eq!(play.acts().len(), 1);
}

#[test]
fn silence_while_the_watcher_cannot_look_is_no_silence() {
    let mut play = Play::with(counting(Counting::AbsentFor(secs(60))));
    play.line().later(50).sees("web", Status::Unknown).later(15).sees("web", Status::Unknown).later(100);
    assert!(play.acts().is_empty(), "{:#?}", play.told);
    play.sees("web", Status::Passing).later(59);
    assert!(play.acts().is_empty(), "{:#?}", play.told);
    play.later(60);
    assert_eq!(play.acts().len(), 1);
}

#[test]
fn a_line_that_is_read_late_does_not_make_the_silence_longer() {
    let late = |play: &mut Play| {
        let age = secs(3_000);
        play.reads(Match { age, ..Match::new(pattern(), "alive") }, None).later(1);
    };
    let mut play = Play::with(counting(Counting::AbsentFor(secs(600))));
    play.later(10);
    late(&mut play);
    assert_eq!(play.acts().len(), 0, "it was written before the agent began to look");
    play.later(600);
    assert_eq!(play.acts().len(), 1);
    late(&mut play);
    assert_eq!(play.acts().len(), 1, "others may follow it");
}

#[test]
fn a_position_is_recorded_with_what_its_lines_cause_and_goes_with_its_watcher() {
    let mut play = Play::new(vec![("cure", on_match())]);
    let matches = vec![Match::new(pattern(), "out of memory")];
    let input = Input::Read { source: check("web"), matches, position: Some("line 7".into()) };
    let output = play.engine.step(input, play.now);
    let position =
        |row: &Row| matches!(row, Row::Reading(_, reading) if reading.position.as_deref() == Some("line 7"));
    assert!(output.rows.iter().any(position) && output.rows.iter().any(|row| matches!(row, Row::Run(_))));
    play.take(output);
    play.killed(1);
    assert_eq!(play.engine.readings()[&check("web")].position.as_deref(), Some("line 7"));
    play.reloads(Plan::default());
    assert!(play.engine.readings().is_empty() && !play.rows.contains_key(&RowKey::Reading(check("web"))));
}

#[test]
fn what_a_line_was_taken_apart_into_reaches_the_act_also_when_it_waited() {
    let mut definition = on_match();
    (definition.defer, definition.cooldown) = (true, secs(60));
    let mut play = Play::new(vec![("cure", definition)]);
    let captured = |address: &str| Match {
        captures: Arc::new(BTreeMap::from([("address".to_owned(), address.to_owned())])),
        ..Match::new(pattern(), "refused")
    };
    play.reads(captured("192.0.2.1"), None);
    assert_eq!(play.order().captures["address"], "192.0.2.1");
    play.done().reads(captured("192.0.2.2"), None).reads(captured("192.0.2.3"), None).killed(1).later(60);
    assert_eq!(play.order().captures["address"], "192.0.2.2", "the first that had to wait");
}

#[test]
fn a_threshold_to_start_at_and_another_to_be_content_with() {
    let value = |op, number| Condition::Value {
        check: check("web"),
        value: ValueName::new("mode").unwrap(),
        op,
        number,
    };
    let on = vec![Trigger::When(value(Compare::Greater, 90.0))];
    let until = Some(value(Compare::Less, 80.0));
    let definition = Remedy { on, until, cooldown: secs(0), ..cure(vec![act("cool")]) };
    let mut play = Play::new(vec![("cure", definition)]);
    play.reports(95.0).done().later(1).reports(85.0).reports(95.0);
    assert_eq!(play.acts().len(), 2, "what did not help is tried again: {:#?}", play.told);
    play.done().later(1).reports(85.0).later(100).reports(89.0);
    assert_eq!(play.acts().len(), 2, "between the two nothing is started");
    assert!(play.engine.floods()[&remedy("cure")].held);
    play.reports(79.0);
    assert!(!play.engine.floods()[&remedy("cure")].held);
    play.reports(95.0);
    assert_eq!(play.acts().len(), 3);
}

#[test]
fn a_state_is_enforced_from_the_first_value_on_and_not_again_because_there_was_no_data() {
    let value = ValueName::new("mode").unwrap();
    let one = Condition::Value { check: check("web"), value, op: Compare::Equal, number: 1.0 };
    let on = vec![Trigger::When(one)];
    let mut play =
        Play::new(vec![("cure", Remedy { on, defer: false, cooldown: secs(0), ..cure(vec![act("x")]) })]);
    play.reports(1.0);
    assert_eq!(play.acts().len(), 1);
    play.done()
        .later(10)
        .reports(f64::NAN)
        .sees("web", Status::Unknown)
        .later(10)
        .reports(1.0)
        .killed(10)
        .reports(1.0);
    assert_eq!(play.acts().len(), 1, "{:#?}", play.told);
    play.reports(0.0).reports(1.0);
    assert_eq!(play.acts().len(), 2);
}

#[test]
fn a_value_can_be_wanted_to_change_from_one_to_another() {
    let on = |from, to| {
        let number = |number: Option<f64>| number.map(Value::Number);
        let value = ValueName::new("mode").unwrap();
        vec![Trigger::Changed { check: check("web"), value, from: number(from), to: number(to) }]
    };
    let starts = |on| {
        let mut play = Play::new(vec![("cure", Remedy { on, cooldown: secs(0), ..cure(vec![act("x")]) })]);
        let mut count = Vec::new();
        for number in [0.0, 1.0, 2.0, 1.0, 0.0] {
            play.reports(number);
            if play.acts().len() > count.len() {
                count.push(number);
                play.done();
            }
        }
        count
    };
    assert_eq!(starts(on(None, None)), [1.0, 2.0, 1.0, 0.0]);
    assert_eq!(starts(on(None, Some(1.0))), [1.0, 1.0]);
    assert_eq!(starts(on(Some(0.0), Some(1.0))), [1.0]);
}

#[test]
fn a_rate_is_a_value_that_conditions_can_look_at() {
    let name = |text: &str| ValueName::new(text).unwrap();
    let rate = Condition::Value {
        check: check("web"),
        value: name("mode.per_second.60s"),
        op: Compare::Greater,
        number: 0.5,
    };
    let definition = Remedy { on: vec![Trigger::When(rate)], ..cure(vec![act("x")]) };
    let mut plan = plan(vec![("cure", definition)]);
    let rate = Rate { name: name("mode.per_second.60s"), of: name("mode"), within: secs(60) };
    plan.checks.get_mut(&check("web")).unwrap().rates.push(rate);
    let mut play = Play::with(plan);
    play.reports(100.0).later(10).reports(103.0);
    assert!(play.acts().is_empty());
    play.later(10).reports(120.0);
    assert_eq!(play.acts().len(), 1, "20 in 20 s");
}

#[test]
fn a_text_is_compared_as_it_is() {
    let value = ValueName::new("state").unwrap();
    let is = Condition::Text { check: check("web"), value: value.clone(), text: "failed".into() };
    let definition = Remedy { on: vec![Trigger::When(is)], ..cure(vec![act("x")]) };
    let mut play = Play::new(vec![("cure", definition)]);
    let mut says = |text: &str| {
        let sample = Sample::new(Status::Passing, "").with(value.clone(), Value::Text(text.into()));
        play.step(Input::Observed { check: check("web"), sample }).acts().len()
    };
    assert_eq!((says("active"), says("failed")), (0, 1));
}
