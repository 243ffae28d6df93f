//! News: what is worth telling anew while the status stays, also of what is well.

use super::*;

fn web() -> Subject {
    consul("n1", "web", "alive")
}

fn report(status: Status, news: u64) -> Report {
    Report { news: Some(news), ..Report::new(web(), status, format!("news {news}")) }
}

/// What is told when this is reported.
fn told(stage: &mut Stage, status: Status, news: u64) -> Vec<String> {
    stage.reports(false, vec![report(status, news)]);
    stage.accept()
}

fn silence(lasting: u64) -> Command {
    let (when, by) = (is("node", "n1"), "me".to_owned());
    Command::Silence { id: None, when, lasting: secs(lasting), by, comment: String::new() }
}

fn none() -> Vec<String> {
    vec![]
}

const WELL: [&str; 1] = ["ops: resolved web: alive on n1 passing"];
const WRONG: [&str; 1] = ["ops: firing web: alive on n1 critical"];

#[test]
fn news_of_what_is_well_are_told_once_also_over_a_restart() {
    let mut stage = Stage::new(simple());
    assert_eq!(told(&mut stage, Passing, 1), WELL);
    assert_eq!(told(&mut stage, Passing, 1), none());
    stage.crash();
    stage.pass(secs(3_600));
    stage.reports(true, vec![report(Passing, 1)]);
    assert_eq!(stage.accept(), none());
    stage.reports(true, vec![report(Passing, 2)]);
    stage.crash();
    assert_eq!(stage.accept(), WELL);
    assert_eq!(told(&mut stage, Passing, 2), none());
    assert_eq!(
        stage.accepted.iter().map(|one| one.items[0].output.as_str()).collect::<Vec<_>>(),
        ["news 1", "news 2"]
    );
}

#[test]
fn news_of_what_is_wrong_are_told_as_such_and_its_end_once() {
    let mut stage = Stage::new(simple());
    for news in [1, 2] {
        assert_eq!(told(&mut stage, Critical, news), WRONG);
        assert_eq!(told(&mut stage, Critical, news), none());
    }
    assert_eq!(told(&mut stage, Passing, 3), WELL);
    assert_eq!(told(&mut stage, Passing, 3), none());
}

#[test]
fn a_case_with_news_stays_while_its_source_has_them() {
    for gone in [false, true] {
        let mut stage = Stage::new(simple());
        assert_eq!(told(&mut stage, Passing, 1), WELL);
        stage.pass(secs(86_400));
        assert!(stage.desk.cases().contains_key(&web().key));
        if gone {
            stage.reports(true, vec![]);
        } else {
            stage.report(&web(), Passing);
        }
        assert_eq!(stage.accept(), none(), "nobody was told that it is wrong");
        assert!(stage.desk.cases().is_empty());
        assert!(!stage.rows.contains_key(&RowKey::Case(web().key)));
    }
}

#[test]
fn news_of_what_is_muted_are_told_when_that_is_over() {
    let mut stage = Stage::new(simple());
    stage.command(silence(60));
    assert_eq!(told(&mut stage, Passing, 1), none());
    assert_eq!(told(&mut stage, Passing, 2), none());
    stage.pass(secs(60));
    assert_eq!(stage.accept(), WELL);
    // Those that wait to be sent too.
    stage.reports(false, vec![report(Passing, 3)]);
    stage.answer(&refused("no"));
    stage.command(silence(60));
    stage.pass(secs(59));
    assert!(stage.under_way.is_empty());
    stage.pass(SECOND);
    assert_eq!(stage.accept(), WELL);
}

#[test]
fn a_status_that_somebody_does_not_hear_of_makes_no_news_of_old_ones() {
    let mut plan = simple();
    plan.routes[0].status = [Critical].into();
    let mut stage = Stage::new(plan);
    assert_eq!(told(&mut stage, Passing, 1), WELL);
    assert_eq!(told(&mut stage, Warning, 1), none());
    assert_eq!(told(&mut stage, Passing, 1), none());
    assert_eq!(told(&mut stage, Critical, 1), WRONG);
}

#[test]
fn a_word_that_was_given_up_does_not_hide_that_it_is_wrong_again() {
    let mut stage = Stage::new(simple());
    stage.reports(false, vec![report(Critical, 1)]);
    stage.answer(&refused("no"));
    stage.command(Command::Drop { which: Deliveries::All, by: "me".into() });
    assert_eq!(told(&mut stage, Passing, 1), none());
    assert_eq!(told(&mut stage, Critical, 1), WRONG);
}

/// `ops`, who gives a message up after a minute, perhaps hears the second of these and not for two minutes
/// anything else. What is told when all is then as the first report has it?
fn told_after(first: &Report, second: Report) -> Vec<String> {
    let mut plan = simple();
    plan.notifiers.get_mut(&notifier("ops")).unwrap().expire = secs(60);
    let mut stage = Stage::new(plan);
    stage.reports(false, vec![first.clone()]);
    stage.accept();
    stage.reports(false, vec![second]);
    stage.answer(&Verdict::Unclear { why: "no answer".to_owned(), retry_after: Some(secs(120)) });
    stage.reports(false, vec![first.clone()]);
    stage.pass(secs(120));
    stage.accept()
}

#[test]
fn who_perhaps_heard_news_that_expired_is_told_anew_without_them() {
    let without = Report { news: None, ..report(Critical, 0) };
    assert_eq!(told_after(&without, report(Critical, 1)), WRONG);
    // What they heard was of another status besides.
    assert_eq!(told_after(&without, report(Unknown, 1)), WRONG);
}

#[test]
fn who_perhaps_heard_news_that_expired_is_told_those_of_before_when_they_are_so_again() {
    assert_eq!(told_after(&report(Passing, 1), report(Passing, 2)), WELL);
    assert_eq!(told_after(&report(Critical, 1), report(Critical, 2)), WRONG);
}

#[test]
fn who_perhaps_heard_news_that_are_withheld_is_told_those_of_before_when_they_are_so_again() {
    for (status, wanted) in [(Passing, WELL), (Critical, WRONG)] {
        let mut stage = Stage::new(simple());
        assert_eq!(told(&mut stage, status, 1), wanted);
        stage.reports(false, vec![report(status, 2)]);
        stage.answer(&unclear());
        stage.command(silence(60));
        stage.pass(secs(30));
        assert_eq!(told(&mut stage, status, 1), none());
        stage.pass(secs(30));
        assert_eq!(stage.accept(), wanted);
    }
}

#[test]
fn who_knows_the_news_of_what_is_well_still_hears_of_its_parent_first() {
    let mut plan = simple();
    let (source, target) = (is("check", "ping"), is("check", "alive"));
    plan.inhibitions = vec![Inhibition { source, target, equal: vec![], wait: secs(5) }];
    let mut stage = Stage::new(plan);
    assert_eq!(told(&mut stage, Passing, 1), WELL);
    assert_eq!(told(&mut stage, Critical, 1), none());
    stage.pass(secs(4));
    stage.report(&consul("n1", "", "ping"), Critical);
    stage.pass(secs(60));
    assert_eq!(stage.accept(), ["ops: firing ping on n1 critical"]);
}
