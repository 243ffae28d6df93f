//! What `act "nomad"` notes before it acts, whom it asks and what it says: against a stand-in, and a
//! real Consul where it looks a service up.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_agent::act::Prepared;
use lictor_config::{Action, NomadHow, NomadTarget, Secret};
use lictor_core::StepName;

use crate::act_bench::{Bench, LONG, done};
use crate::nomad_rig::{BRIEF, Stage, noted, short};

const TOKEN: &str = "a6f7c5e1-3d0b-4a5e-9d3f-5b8c0a7e1d42";

#[tokio::test]
async fn what_will_be_restarted_is_noted_before_and_nothing_is_done() {
    let mut stage = Stage::new();
    let alloc = stage.media();
    let note: serde_json::Value = serde_json::from_str(&stage.note().await).unwrap();
    let task = serde_json::json!({ "restarts": 0, "started_at": "2026-11-21T00:00:00Z" });
    let target = serde_json::json!({
        "alloc": alloc, "group": "dl", "index": 11, "tasks": { "qbittorrent": task, "vpn": task },
    });
    let wanted = serde_json::json!({
        "v": 1, "job": "media", "ns": "default", "targets": [target], "method": "restart",
    });
    assert_eq!(note, wanted);
    assert_eq!(stage.restarts(), []);
}

#[tokio::test]
async fn a_task_that_there_is_not_is_told_of() {
    let mut stage = Stage::with(|action| action.how = NomadHow::Restart { tasks: vec!["vpm".to_owned()] });
    let alloc = stage.media();
    let wanted = format!("allocation {} has no task `vpm`; it has qbittorrent, vpn", short(&alloc));
    assert_eq!(stage.refusal().await, wanted);
}

#[tokio::test]
async fn why_there_is_nothing_to_restart_is_told() {
    let mut stage = Stage::new();
    let wanted = "Nomad has no job `media` in the namespace `default`";
    assert_eq!(stage.refusal().await, wanted);
    let alloc = stage.media();
    stage.nomad.set(|nomad| nomad.full = true);
    stage.nomad.fail(&alloc);
    let wanted = "nothing of job `media` runs: Nomad cannot place group `dl`: no node has enough memory";
    assert_eq!(stage.refusal().await, wanted);
    stage.nomad.set(|nomad| nomad.full = false);
    let refusal = stage.refusal().await;
    let wanted = format!(
        "nothing of job `media` runs: allocation {} has failed, and Nomad is going to place another one",
        short(&alloc)
    );
    assert_eq!(refusal, wanted);
    stage.nomad.stop_job("media");
    assert_eq!(stage.refusal().await, "job `media` is stopped: nothing of it runs");

    let group = Some("dll".to_owned());
    let mut stage = Stage::with(|action| action.target = NomadTarget::Job { job: "media".to_owned(), group });
    let _alloc = stage.media();
    assert_eq!(stage.refusal().await, "job `media` has no group `dll`; it has dl");
}

#[tokio::test]
async fn what_an_earlier_attempt_asked_for_is_not_asked_for_again_when_it_has_happened() {
    let mut stage = Stage::new();
    let alloc = stage.media();
    let first = stage.note().await;
    stage.nomad.crash(&alloc);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let Prepared::Over(outcome) = stage.bench.prepare(&noted(&first), LONG).await else { panic!("noted") };
    assert!(done(&outcome).starts_with("the attempt before had done it: job media"), "{outcome:?}");
    assert_eq!(stage.restarts(), []);
}

#[tokio::test]
async fn what_an_earlier_attempt_did_not_do_is_noted_anew() {
    let mut stage = Stage::new();
    let (first, second) = (stage.media(), stage.media());
    let before = stage.note().await;
    assert!(before.contains(&first) && before.contains(&second));
    let Prepared::Note(again) = stage.bench.prepare(&noted(&before), LONG).await else { panic!("over") };
    assert_eq!(again, before);
    // Done with one of the two: only the other one is left.
    stage.nomad.crash(&first);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let Prepared::Note(rest) = stage.bench.prepare(&noted(&before), LONG).await else { panic!("over") };
    assert!(!rest.contains(&first) && rest.contains(&second), "{rest}");
}

/// Registers a service in Consul, by Nomad or by somebody else.
async fn register(consul: &lictor_consul::Client, id: &str, by: Option<&str>) {
    let service = lictor_consul::NewService {
        id: Some(id.to_owned()),
        name: "sp".to_owned(),
        meta: by.map(|by| ("external-source".to_owned(), by.to_owned())).into_iter().collect(),
        ..Default::default()
    };
    consul.agent().register_service(&service).await.unwrap();
}

#[tokio::test]
async fn a_service_in_consul_leads_to_its_allocation() {
    let server = tokio::task::spawn_blocking(|| lictor_testkit::consul::shared().url()).await.unwrap();
    let address = server.parse().unwrap();
    let config = lictor_consul::Config { address, ..lictor_consul::Config::default() };
    let consul = lictor_consul::Client::new(config).unwrap();
    let mut stage = Stage::with(|action| action.target = NomadTarget::Service { service: "sp".to_owned() });
    let action = Action::Nomad(Box::new(stage.action.clone()));
    stage.bench = Bench::with_consul(action, consul.clone());
    let none = stage.refusal().await;
    let wanted =
        "nothing runs behind the service `sp`: Consul has no instance of `sp` that Nomad registered;";
    assert!(none.starts_with(wanted), "{none}");

    let alloc = stage.media();
    let id = format!("_nomad-task-{alloc}-group-dl-sp-http");
    let other = stage.nomad.run("other", "web", &["web"]);
    let twice = format!("_nomad-task-{alloc}-qbittorrent-sp-torrent");
    let foreign = format!("_nomad-task-{other}-group-web-sp-http");
    let copied = format!("_nomad-task-{other}-group-web-sp-copy");
    let (nomad, somebody) = (Some("nomad"), Some("somebody"));
    for (id, by) in [(&id, nomad), (&twice, nomad), (&foreign, somebody), (&copied, None)] {
        register(&consul, id, by).await;
    }
    let note = stage.note().await;
    let text =
        format!(r#"{{"v":1,"job":"media","ns":"default","service":"sp","targets":[{{"alloc":"{alloc}""#);
    assert!(note.starts_with(&text) && note.matches("alloc").count() == 1, "{note}");
    done(&stage.bench.act(&noted(&note), LONG).await);

    // In an outage it is gone: what was found before is what is meant.
    for id in [&id, &twice, &foreign, &copied] {
        consul.agent().deregister_service(id).await.unwrap();
    }
    let mut earlier = noted(&note);
    let only = earlier.notes.values().next().unwrap().clone();
    earlier.notes = Arc::new(BTreeMap::from([(StepName::new("before").unwrap(), only)]));
    let Prepared::Note(again) = stage.bench.prepare(&earlier, LONG).await else { panic!("over") };
    assert!(again.contains(&alloc), "{again}");

    // The allocation that is registered may be over already.
    register(&consul, &id, nomad).await;
    stage.nomad.replace(&alloc);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let new = stage.nomad.allocations("media").pop().unwrap();
    let note = stage.note().await;
    assert!(note.contains(&new) && !note.contains(&alloc), "{note}");
    assert_eq!(stage.restarts(), [None]);
}

#[tokio::test]
async fn token_namespace_and_region_are_named_with_every_request() {
    let mut stage = Stage::with(|action| {
        action.api.token = Some(Secret::value(TOKEN));
        action.api.namespace = Some("apps".to_owned());
        action.api.region = Some("global".to_owned());
    });
    stage.nomad.set(|nomad| nomad.token = Some(TOKEN.to_owned()));
    let _alloc = stage.nomad.run_in("apps", "media", "dl", &["vpn"]);
    let note = stage.note().await;
    assert!(note.contains(r#""ns":"apps""#), "{note}");
    done(&stage.bench.act(&noted(&note), LONG).await);
    for asked in stage.nomad.asked() {
        assert_eq!(asked.namespace.as_deref(), Some("apps"), "{asked:?}");
        assert_eq!(asked.region.as_deref(), Some("global"), "{asked:?}");
        assert_eq!(asked.token.as_deref(), Some(TOKEN), "{asked:?}");
    }
}

#[tokio::test]
async fn the_token_appears_in_nothing_that_is_told() {
    let mut stage = Stage::with(|action| action.api.token = Some(Secret::value(TOKEN)));
    let _alloc = stage.media();
    let note = stage.note().await;
    let mut told = vec![note.clone(), format!("{:?}", stage.action)];
    for (status, text) in [
        (403, format!("ACL token {TOKEN} not found")),
        (500, format!("rpc error: {TOKEN}")),
        (404, format!("no {TOKEN}")),
        (200, format!("[{TOKEN}]")),
    ] {
        stage.nomad.set(|nomad| nomad.refuses = Some((status, text)));
        let order = noted(&note);
        told.push(format!("{:?}", stage.bench.prepare(&order, BRIEF).await));
        told.push(format!("{:?}", stage.bench.act(&order, Duration::from_millis(300)).await));
        told.push(format!("{:?}", stage.bench.inspect(&order, Duration::from_millis(300)).await));
    }
    for text in told {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

#[tokio::test]
async fn a_token_that_is_none_is_a_refusal_and_a_wrong_region_is_told() {
    let mut stage = Stage::with(|action| action.api.token = Some(Secret::value("short")));
    stage.nomad.set(|nomad| nomad.token = Some(TOKEN.to_owned()));
    let _alloc = stage.media();
    assert!(stage.refusal().await.contains("it refuses us (status 500: acl token lookup failed"));
    let mut stage = Stage::with(|action| action.api.region = Some("mars".to_owned()));
    let _alloc = stage.media();
    assert!(stage.refusal().await.ends_with("status 500: No path to region"));
}
