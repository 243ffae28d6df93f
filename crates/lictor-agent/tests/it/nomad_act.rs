//! `act "nomad"` against a stand-in that does what the real one does wrong.
#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use lictor_agent::act::Prepared;
use lictor_config::{Action, NomadHow, NomadTarget};
use lictor_testkit::nomad::OnRestart;
use tokio::time::Instant;

use crate::act_bench::{LONG, done, failed, not_started, order, unknown};
use crate::nomad_rig::{BRIEF, Stage, just, noted, short};

#[tokio::test]
async fn a_restart_is_done_when_the_counters_say_so() {
    let mut stage = Stage::new();
    let alloc = stage.media();
    let outcome = stage.act(LONG).await;
    let wanted = format!(
        "job media, allocation {} (group dl): qbittorrent, vpn restarted; running for 100ms",
        short(&alloc)
    );
    assert_eq!(done(&outcome), wanted);
    assert_eq!(stage.restarts(), [None]);
    assert!(stage.nomad.asked().iter().any(|asked| asked.blocking), "it waits for news");
}

#[tokio::test]
async fn reads_that_lag_behind_are_waited_for() {
    let mut stage = Stage::new();
    let _alloc = stage.media();
    stage.nomad.set(|nomad| (nomad.late, nomad.down) = (Duration::from_secs(1), Duration::from_secs(1)));
    let begun = Instant::now();
    done(&stage.act(LONG).await);
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(stage.restarts(), [None]);
}

#[tokio::test]
async fn a_call_that_blocks_is_waited_for_and_one_that_blocks_too_long_is_looked_at() {
    let mut stage = Stage::new();
    let _alloc = stage.media();
    stage.nomad.set(|nomad| nomad.blocks = Duration::from_secs(1));
    done(&stage.act(LONG).await);
    stage.nomad.set(|nomad| nomad.blocks = Duration::from_secs(3));
    let note = stage.note().await;
    let outcome = stage.bench.act(&noted(&note), BRIEF).await;
    let detail = unknown(&outcome);
    assert!(detail.contains("is being restarted") && detail.contains("the request: "), "{detail}");
    let outcome = stage.bench.inspect(&noted(&note), Duration::from_millis(300)).await;
    assert!(unknown(&outcome).contains("is being restarted"), "{outcome:?}");
    let outcome = stage.bench.inspect(&just(&note), LONG).await;
    assert!(done(&outcome).contains("qbittorrent, vpn restarted"), "{outcome:?}");
    assert_eq!(stage.restarts(), [None, None]);
}

#[tokio::test]
async fn a_500_for_a_restart_that_was_made_is_not_believed() {
    let mut stage = Stage::new();
    let alloc = stage.media();
    // As before 1.3.4, with a task that is over.
    stage.nomad.add_finished_task(&alloc, "init");
    done(&stage.act(LONG).await);
    stage.nomad.set(|nomad| {
        nomad.modern = true;
        nomad.restart = OnRestart::WorksButSays(504, "rpc error: deadline".to_owned());
    });
    done(&stage.act(LONG).await);
    assert_eq!(stage.restarts(), [None, None]);
}

#[tokio::test]
async fn a_restart_that_was_not_made_stays_unknown_and_then_was_not_begun() {
    for comes in
        [OnRestart::Refused(500, "1 error occurred:\n\t* Task not running\n".into()), OnRestart::Ignored]
    {
        let mut stage = Stage::new();
        let _alloc = stage.media();
        stage.nomad.set(|nomad| nomad.restart = comes.clone());
        let note = stage.note().await;
        let outcome = stage.bench.act(&noted(&note), BRIEF).await;
        let detail = unknown(&outcome);
        assert!(detail.contains("task qbittorrent of allocation"), "{detail}");
        let said = detail.contains("status 500: 1 error occurred: * Task not running");
        assert_eq!(said, comes != OnRestart::Ignored, "{detail}");
        // It may still come.
        unknown(&stage.bench.inspect(&just(&note), BRIEF).await);
        let outcome = stage.bench.inspect(&noted(&note), LONG).await;
        assert!(not_started(&outcome).starts_with("nothing was restarted: "), "{outcome:?}");
        assert_eq!(stage.restarts(), [None]);
    }
}

#[tokio::test]
async fn an_allocation_that_was_replaced_is_followed() {
    let mut stage = Stage::new();
    let alloc = stage.media();
    stage.nomad.set(|nomad| {
        nomad.restart = OnRestart::Replaced;
        (nomad.placing, nomad.starting) = (Duration::from_millis(500), Duration::from_millis(500));
    });
    let outcome = stage.act(LONG).await;
    let new = stage.nomad.allocations("media").pop().unwrap();
    let wanted = format!("allocation {} (group dl): replaced by {};", short(&alloc), short(&new));
    assert!(done(&outcome).contains(&wanted), "{outcome:?}");
    assert_eq!(stage.restarts(), [None]);
}

#[tokio::test]
async fn a_failed_allocation_is_waited_for_until_another_one_runs() {
    let mut stage = Stage::new();
    let _alloc = stage.media();
    stage.nomad.set(|nomad| {
        nomad.restart = OnRestart::Fails;
        nomad.placing = Duration::from_secs(1);
    });
    let outcome = stage.act(LONG).await;
    assert!(done(&outcome).contains("replaced by"), "{outcome:?}");
}

#[tokio::test]
async fn one_that_was_replaced_and_forgotten_before_the_request_is_followed_too() {
    let mut stage = Stage::new();
    let alloc = stage.media();
    let note = stage.note().await;
    stage.nomad.replace(&alloc);
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage.nomad.forget(&alloc);
    let outcome = stage.bench.act(&noted(&note), LONG).await;
    assert!(done(&outcome).contains("replaced by"), "{outcome:?}");
    let restarted: Vec<String> = stage.nomad.restarts().into_iter().map(|restart| restart.alloc).collect();
    assert!(
        restarted.iter().all(|restarted| *restarted == alloc),
        "the new one is left alone: {restarted:?}"
    );
}

#[tokio::test]
async fn an_older_one_of_the_group_is_not_taken_for_the_replacement() {
    let mut stage = Stage::new();
    let older = stage.media();
    let alloc = stage.media();
    let all = stage.note().await;
    // The older one is finished: only the other one is left to do.
    stage.nomad.crash(&older);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let Prepared::Note(note) = stage.bench.prepare(&noted(&all), LONG).await else { panic!("over") };
    assert!(note.contains(&alloc) && !note.contains(&older), "{note}");
    stage.nomad.set(|nomad| nomad.full = true);
    stage.nomad.fail(&alloc);
    let none = format!("allocation {} is failed, and none has taken its place", short(&alloc));
    let outcome = stage.bench.act(&noted(&note), BRIEF).await;
    assert!(failed(&outcome).starts_with(&none), "{outcome:?}");
    stage.nomad.forget(&alloc);
    let outcome = stage.bench.act(&noted(&note), BRIEF).await;
    let none = format!("Nomad has no allocation {}, and none has taken its place", short(&alloc));
    assert!(unknown(&outcome).starts_with(&none), "{outcome:?}");
}

#[tokio::test]
async fn two_that_were_replaced_and_forgotten_have_two_in_their_places() {
    let mut stage = Stage::new();
    let (first, second) = (stage.media(), stage.media());
    let note = stage.note().await;
    stage.nomad.replace(&first);
    stage.nomad.replace(&second);
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage.nomad.forget(&first);
    stage.nomad.forget(&second);
    let outcome = stage.bench.act(&noted(&note), LONG).await;
    for new in stage.nomad.allocations("media") {
        assert!(done(&outcome).contains(&format!("replaced by {}", short(&new))), "{outcome:?}");
    }
}

#[tokio::test]
async fn another_restart_begins_the_hold_anew() {
    let mut stage = Stage::with(|action| action.hold = Duration::from_millis(900));
    let _alloc = stage.media();
    stage.nomad.set(|nomad| nomad.restart = OnRestart::Again(Duration::from_millis(700)));
    let begun = Instant::now();
    done(&stage.act(LONG).await);
    assert!(begun.elapsed() >= Duration::from_millis(1_600), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn tasks_that_do_not_come_up_are_a_failure_with_their_state() {
    let mut stage = Stage::new();
    let _alloc = stage.media();
    stage.nomad.set(|nomad| nomad.down = LONG);
    let outcome = stage.act(BRIEF).await;
    assert!(failed(&outcome).starts_with("task qbittorrent of allocation"), "{outcome:?}");
    assert!(failed(&outcome).contains("is pending"), "{outcome:?}");
}

#[tokio::test]
async fn a_refusal_is_a_failure_at_once_that_names_what_is_missing() {
    for (status, text) in [(403, "Permission denied"), (401, "Unauthorized")] {
        let mut stage = Stage::new();
        let _alloc = stage.media();
        let note = stage.note().await;
        stage.nomad.set(|nomad| nomad.refuses = Some((status, text.to_owned())));
        let refusal = stage.refusal().await;
        let outcome = stage.bench.act(&noted(&note), LONG).await;
        for detail in [refusal.as_str(), failed(&outcome)] {
            assert!(detail.contains(&format!("it refuses us (status {status}: {text})")), "{detail}");
            let policy = r#"namespace "default" { capabilities = ["read-job", "alloc-lifecycle"] }"#;
            assert!(detail.contains(policy), "{detail}");
        }
        unknown(&stage.bench.inspect(&noted(&note), BRIEF).await);
    }
}

#[tokio::test]
async fn without_leader_or_server_it_fails_and_nobody_knows() {
    let mut stage = Stage::new();
    let _alloc = stage.media();
    let note = noted(&stage.note().await);
    stage.nomad.set(|nomad| nomad.leaderless = true);
    assert!(stage.refusal().await.ends_with("its servers have no leader"));
    assert!(failed(&stage.bench.act(&note, LONG).await).contains("its servers have no leader"));
    assert!(unknown(&stage.bench.inspect(&note, BRIEF).await).contains("its servers have no leader"));
    stage.nomad.set(|nomad| nomad.leaderless = false);
    stage.nomad.stop();
    assert!(stage.refusal().await.contains("cannot be reached"));
    assert!(failed(&stage.bench.act(&note, LONG).await).contains("cannot be reached"));
    let outcome = stage.bench.inspect(&note, BRIEF).await;
    assert!(unknown(&outcome).starts_with("nobody can tell whether it was restarted: "), "{outcome:?}");
    stage.nomad.resume();
    not_started(&stage.bench.inspect(&note, LONG).await);
    assert_eq!(stage.restarts(), []);
}

#[tokio::test]
async fn a_server_that_goes_away_after_the_restart_is_asked_until_it_is_back() {
    let mut stage = Stage::new();
    let _alloc = stage.media();
    let note = noted(&stage.note().await);
    let nomad = &stage.nomad;
    let away = async {
        while nomad.restarts().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        nomad.stop();
        tokio::time::sleep(Duration::from_secs(1)).await;
        nomad.resume();
    };
    let (outcome, ()) = tokio::join!(stage.bench.act(&note, LONG), away);
    done(&outcome);
    assert_eq!(stage.restarts(), [None]);
}

#[tokio::test]
async fn a_server_that_hangs_is_left_at_the_time_limit() {
    let mut stage = Stage::new();
    let _alloc = stage.media();
    let note = noted(&stage.note().await);
    stage.nomad.set(|nomad| nomad.hangs = true);
    let begun = Instant::now();
    unknown(&stage.bench.act(&note, BRIEF).await);
    unknown(&stage.bench.inspect(&note, BRIEF).await);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let Prepared::Over(outcome) = stage.bench.prepare(&order(), BRIEF).await else { panic!("noted") };
    assert!(failed(&outcome).contains("within 1.5 s"), "{outcome:?}");
}

#[tokio::test]
async fn indexes_that_go_back_are_begun_anew() {
    let mut stage = Stage::with(|action| action.hold = Duration::from_millis(800));
    let _alloc = stage.media();
    let note = noted(&stage.note().await);
    let nomad = &stage.nomad;
    let restored = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        nomad.set(|nomad| nomad.restored = true);
    };
    let (outcome, ()) = tokio::join!(stage.bench.act(&note, LONG), restored);
    done(&outcome);
    let asked = stage.nomad.asked().len();
    assert!(asked < 40, "it asks without rest: {asked} times");
}

#[tokio::test]
async fn named_tasks_are_restarted_one_by_one() {
    let tasks = vec!["vpn".to_owned(), "qbittorrent".to_owned()];
    let mut stage = Stage::with(|action| action.how = NomadHow::Restart { tasks });
    let _alloc = stage.nomad.run("media", "dl", &["index", "qbittorrent", "vpn"]);
    let outcome = stage.act(LONG).await;
    assert!(done(&outcome).contains("(group dl): qbittorrent, vpn restarted"), "{outcome:?}");
    assert_eq!(stage.restarts(), [Some("vpn".to_owned()), Some("qbittorrent".to_owned())]);
}

#[tokio::test]
async fn all_allocations_of_the_group_are_restarted_and_no_others() {
    let mut stage = Stage::with(|action| {
        action.target = NomadTarget::Job { job: "media/films".to_owned(), group: Some("dl".to_owned()) };
    });
    let run = |group: &str| stage.nomad.run("media/films", group, &["vpn"]);
    let (first, _other, second) = (run("dl"), run("web"), run("dl"));
    done(&stage.act(LONG).await);
    let restarted: Vec<String> = stage.nomad.restarts().into_iter().map(|restart| restart.alloc).collect();
    assert_eq!(restarted, [first, second]);
}

#[tokio::test]
async fn an_allocation_is_replaced_when_that_is_wanted() {
    let mut stage = Stage::with(|action| action.how = NomadHow::Replace);
    let alloc = stage.media();
    let note = stage.note().await;
    assert!(note.contains(r#""method":"replace""#), "{note}");
    let outcome = stage.bench.act(&noted(&note), LONG).await;
    assert!(done(&outcome).contains(&format!("allocation {} (group dl): replaced by", short(&alloc))));
    done(&stage.bench.inspect(&noted(&note), LONG).await);
    assert_eq!(stage.nomad.allocations("media").len(), 2);
    assert_eq!(stage.restarts(), []);
}

#[tokio::test]
async fn an_allocation_that_cannot_be_placed_again_is_a_failure_with_the_reason() {
    let mut stage = Stage::with(|action| action.how = NomadHow::Replace);
    let alloc = stage.media();
    stage.nomad.set(|nomad| nomad.full = true);
    let outcome = stage.act(BRIEF).await;
    let wanted = format!(
        "allocation {} is stopped, and none has taken its place; Nomad cannot place group `dl`: no node has \
         enough memory",
        short(&alloc)
    );
    assert_eq!(failed(&outcome), wanted);
}

#[tokio::test]
async fn an_agent_that_comes_back_finds_out_by_the_counters() {
    let mut stage = Stage::new();
    let alloc = stage.media();
    let note = stage.note().await;
    not_started(&stage.bench.inspect(&order(), LONG).await);
    not_started(&stage.bench.inspect(&noted(&note), LONG).await);
    // The request was made, and ended the agent.
    stage.nomad.crash(&alloc);
    let action = Action::Nomad(Box::new(stage.action.clone()));
    stage.bench = stage.bench.restart(action).await;
    let outcome = stage.bench.inspect(&just(&note), LONG).await;
    assert!(done(&outcome).contains("qbittorrent, vpn restarted"), "{outcome:?}");
    assert_eq!(stage.restarts(), []);
}

#[tokio::test]
async fn nothing_is_done_that_was_not_noted() {
    let mut stage = Stage::new();
    let _alloc = stage.media();
    for note in ["", "{}", r#"{"v":1,"torrents":[]}"#] {
        failed(&stage.bench.act(&noted(note), LONG).await);
    }
    failed(&stage.bench.act(&order(), LONG).await);
    assert_eq!(stage.restarts(), []);
}

#[tokio::test]
async fn a_restart_reaches_what_the_allocation_stands_for_before_it_is_answered() {
    let mut stage = Stage::new();
    let alloc = stage.media();
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    stage.nomad.on_restart(move |alloc, task| {
        tell.lock().unwrap().push((alloc.to_owned(), task.map(str::to_owned)));
    });
    done(&stage.act(LONG).await);
    assert_eq!(*told.lock().unwrap(), [(alloc, None)]);
}
