//! What takes a minute in earnest, in less.

use std::collections::BTreeMap;
use std::sync::Arc;

use lictor_config::{NomadApi, NomadTarget, Tls};
use lictor_core::{ActionName, Boot, Note, Now, RemedyName, RunId, StepName, Target};
use lictor_testkit::nomad::{Nomad as Standin, OnRestart};

use super::*;

const LONG: Duration = Duration::from_secs(50);

fn env() -> Env {
    Env { settle: Duration::from_secs(1), ..Env::new(None, Clock::fresh()) }
}

fn action(nomad: &Standin, target: NomadTarget) -> NomadAction {
    let url = nomad.url().parse().unwrap();
    NomadAction {
        api: NomadApi { url, token: None, namespace: None, region: None, tls: Tls::default() },
        target,
        how: NomadHow::Restart { tasks: Vec::new() },
        hold: Duration::from_millis(100),
    }
}

fn of_job(nomad: &Standin) -> NomadAction {
    action(nomad, NomadTarget::Job { job: "media".to_owned(), group: None })
}

/// An order, and what steps of its run noted at that time.
fn order(notes: &[(&str, &str)], since: Boot) -> Order {
    let at = Now { boot: since, ..Clock::fresh().now() };
    let note = |text: &str| Note { text: text.into(), done: false, at };
    let notes: BTreeMap<StepName, Note> =
        notes.iter().map(|(step, text)| (StepName::new(step).unwrap(), note(text))).collect();
    Order {
        run: RunId(1),
        step: StepName::new("restart").unwrap(),
        attempt: 1,
        action: Some(ActionName::new("act").unwrap()),
        target: Target::new("target").unwrap(),
        remedy: RemedyName::new("remedy").unwrap(),
        definition: "definition".to_owned(),
        lease: None,
        notes: Arc::new(notes),
        captures: Default::default(),
        change: None,
        since,
    }
}

async fn noted(action: &NomadAction) -> String {
    match prepare(action, &order(&[], Boot::default()), &env(), LONG).await {
        Prepared::Note(note) => note,
        Prepared::Over(outcome) => panic!("nothing was noted: {outcome:?}"),
    }
}

#[tokio::test]
async fn a_restart_that_was_answered_and_does_not_come_has_failed() {
    for comes in [OnRestart::Ignored, OnRestart::Refused(500, "Task not running".to_owned())] {
        let nomad = Standin::start();
        let _alloc = nomad.run("media", "dl", &["vpn"]);
        nomad.set(|nomad| nomad.restart = comes);
        let action = of_job(&nomad);
        let note = noted(&action).await;
        let begun = Instant::now();
        let outcome = act(&action, &order(&[("restart", &note)], Boot::default()), &env(), LONG).await;
        let Outcome::Failed { detail } = &outcome else { panic!("{outcome:?}") };
        assert!(detail.starts_with("task vpn of allocation "), "{detail}");
        assert!(detail.contains("was not restarted"), "{detail}");
        assert!((1..10).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        assert_eq!(nomad.restarts().len(), 1);
    }
}

#[tokio::test]
async fn a_restart_that_has_begun_is_waited_for_longer() {
    let nomad = Standin::start();
    let _alloc = nomad.run("media", "dl", &["vpn"]);
    nomad.set(|nomad| nomad.down = Duration::from_secs(3));
    let action = of_job(&nomad);
    let note = noted(&action).await;
    let outcome = act(&action, &order(&[("restart", &note)], Boot::default()), &env(), LONG).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
}

#[tokio::test]
async fn an_attempt_is_only_called_not_begun_after_a_while() {
    let nomad = Standin::start();
    let alloc = nomad.run("media", "dl", &["vpn"]);
    let action = of_job(&nomad);
    let note = noted(&action).await;
    let (env, begun) = (env(), Instant::now());
    let fresh = || order(&[("restart", &note)], env.clock.boot());
    let outcome = inspect(&action, &fresh(), &env, LONG).await;
    assert!(matches!(outcome, Outcome::NotStarted { .. }), "{outcome:?}");
    assert!(begun.elapsed() >= Duration::from_millis(990), "{:?}", begun.elapsed());
    // One that shows late is found.
    let late = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        nomad.crash(&alloc);
    };
    let order = fresh();
    let (outcome, ()) = tokio::join!(inspect(&action, &order, &env, LONG), late);
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
}

#[tokio::test]
async fn what_was_done_in_part_has_failed_and_is_not_called_not_begun() {
    let nomad = Standin::start();
    let (first, _second) = (nomad.run("media", "dl", &["vpn"]), nomad.run("media", "dl", &["vpn"]));
    let action = of_job(&nomad);
    let note = noted(&action).await;
    nomad.crash(&first);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let order = order(&[("restart", &note)], Boot::default());
    let outcome = inspect(&action, &order, &env(), Duration::from_secs(2)).await;
    let Outcome::Failed { detail } = &outcome else { panic!("{outcome:?}") };
    assert!(detail.contains("was not restarted"), "{detail}");
}

#[tokio::test]
async fn without_consul_a_service_is_known_by_an_earlier_note_of_the_run() {
    let nomad = Standin::start();
    let alloc = nomad.run("media", "dl", &["vpn"]);
    let service = |name: &str| action(&nomad, NomadTarget::Service { service: name.to_owned() });
    let why = async |action: &NomadAction, notes: &[(&str, &str)]| match prepare(
        action,
        &order(notes, Boot::default()),
        &env(),
        LONG,
    )
    .await
    {
        Prepared::Over(Outcome::Failed { detail }) => detail,
        other => panic!("{other:?}"),
    };
    let none = why(&service("sp"), &[]).await;
    let wanted = "nothing runs behind the service `sp`: this agent has no `consul` block to look it up with; naming \
                  the `job` in place of the service does not depend on Consul";
    assert_eq!(none, wanted);
    let note = noted(&of_job(&nomad)).await.replace(r#""ns":"#, r#""service":"sp","ns":"#);
    let order = order(&[("before", &note)], Boot::default());
    let Prepared::Note(again) = prepare(&service("sp"), &order, &env(), LONG).await else { panic!("over") };
    assert!(again.contains(&alloc) && again.contains(r#""service":"sp""#), "{again}");
    assert_eq!(why(&service("other"), &[("before", &note)]).await, none.replace("`sp`", "`other`"));
    // What has taken its place is meant now.
    nomad.replace(&alloc);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let Prepared::Note(again) = prepare(&service("sp"), &order, &env(), LONG).await else { panic!("over") };
    assert!(!again.contains(&alloc), "{again}");
}
