//! Every route of the API, asked over a socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lictor_core::{Command, RunId, Status, What};
use serde_json::json;

use crate::web_client::{PATIENCE, serve, serve_world};
use crate::web_world::{World, before, empty, name, noon};

#[tokio::test]
async fn the_status_counts_everything() {
    let server = serve().await;
    let status = server.get("/v1/status").await.json();
    assert_eq!(
        status,
        json!({
            "node": "node1", "datacenter": "dc1", "version": "0.1.0", "at": "2026-11-21T03:04:05.000Z",
            "ready": true, "mode": "act",
            "checks": {"total": 14, "passing": 9, "warning": 1, "unknown": 1, "critical": 3},
            "incidents": {"open": 3, "escalated": 1},
            "runs": {"active": 1, "parked": 1},
        })
    );
}

#[tokio::test]
async fn all_that_is_remembered_is_given_away_as_one_file() {
    let server = serve().await;
    let all = server.post("/v1/backup", "").await;
    assert_eq!((all.status, all.header("content-length")), (200, Some("200000")));
    assert_eq!(all.header("content-type"), Some("application/octet-stream"));
    assert!(all.body.len() == 200_000 && all.body.bytes().all(|byte| byte == 7));
    assert_eq!(server.get("/v1/backup").await.status, 405);
    server.world.unreadable.store(true, Ordering::Relaxed);
    let failed = server.post("/v1/backup", "").await;
    assert_eq!((failed.status, failed.error().as_str()), (503, "unavailable"));
}

#[tokio::test]
async fn a_node_that_cannot_record_says_so() {
    let mut view = empty(noon());
    view.cannot_record = Some(("no space left on device".into(), before(noon(), 60)));
    let server = serve_world(World::new(view, Vec::new()), None, &[], Default::default()).await;
    let status = server.get("/v1/status").await.json();
    let said =
        json!({"why": "no space left on device", "since": "2026-11-21T03:03:05.000Z", "lasts_ms": 60_000});
    assert_eq!(status["cannot_record"], said);
    assert!(server.get("/metrics").await.body.contains("\nlictor_cannot_record 1\n"));
}

#[tokio::test]
async fn checks_are_listed_filtered_and_shown_one_by_one() {
    let server = serve().await;
    let all = server.get("/v1/checks").await.json();
    assert_eq!(all["checks"].as_array().unwrap().len(), 14);
    let bad = server.get("/v1/checks?status=critical").await.json();
    let names: Vec<_> = bad["checks"].as_array().unwrap().iter().map(|check| check["name"].clone()).collect();
    assert_eq!(names, ["db-replica", "shop", "storefront"]);
    assert_eq!(server.get("/v1/checks?status=fine").await.error(), "bad_request");
    assert_eq!(server.get("/v1/checks?stats=critical").await.status, 400);

    let disk = server.get("/v1/checks/disk.//data").await;
    assert_eq!(disk.status, 404, "a name is taken as it is");
    let disk = server.get("/v1/checks/disk./data").await.json();
    assert_eq!(disk["status"], "warning");
    assert_eq!(disk["lasts_ms"], 5_400_000);
    assert_eq!(disk["last"]["values"], json!({"used_percent": 88.4}));
    assert_eq!(disk["recent"].as_array().unwrap().len(), 5);
    assert_eq!(disk["judged_by"]["fail_after"], 3);
    assert_eq!(server.get("/v1/checks/disk.%2Fdata").await.json()["name"], "disk./data");

    let composed = server.get("/v1/checks/storefront").await.json();
    assert_eq!(composed["source"], "checks");
    let of = json!([{"check": "shop", "status": "critical"}, {"check": "cache", "status": "passing"}]);
    assert_eq!(composed["judged_by"]["members"], json!({"at_least": 2, "of": of}));
    assert_eq!(server.get("/v1/checks/shop").await.json()["incident"], "i7");
    let streak = &server.get("/v1/checks/worker").await.json()["streak"];
    assert_eq!(
        (&streak["to"], &streak["count"], &streak["needed"]),
        (&json!("warning"), &json!(1), &json!(3))
    );
    assert_eq!(server.get("/v1/checks/nothing").await.error(), "not_found");
    assert_eq!(server.get("/v1/checks/no%20name").await.error(), "not_found");
}

#[tokio::test]
async fn incidents_are_listed_and_shown_with_their_timeline() {
    let server = serve().await;
    let numbers = |json: serde_json::Value| -> Vec<String> {
        let list = json["incidents"].as_array().unwrap();
        list.iter().map(|incident| incident["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(numbers(server.get("/v1/incidents").await.json()), ["i8", "i7", "i6", "i5", "i4"]);
    assert_eq!(numbers(server.get("/v1/incidents?open=true").await.json()), ["i8", "i7", "i6"]);
    assert_eq!(numbers(server.get("/v1/incidents?open=false").await.json()), ["i5", "i4"]);
    assert_eq!(server.get("/v1/incidents?open=maybe").await.error(), "bad_request");

    let shop = server.get("/v1/incidents/i7").await.json();
    assert_eq!(server.get("/v1/incidents/7").await.json(), shop);
    assert_eq!(
        (&shop["open"], &shop["check"], &shop["lasts_ms"]),
        (&json!(true), &json!("shop"), &json!(194_000))
    );
    let timeline = shop["timeline"].as_array().unwrap();
    assert_eq!(timeline.len(), 11);
    assert_eq!(timeline[0]["kind"], "transition");
    assert_eq!(timeline[0]["evidence"][0]["status"], "critical");
    assert_eq!(timeline[5]["result"], "failed");
    assert_eq!(timeline[5]["text"], "step restart: failed: exit status 1: Job for shop.service failed");
    assert_eq!(server.get("/v1/incidents/i5").await.json()["closed"], "2026-11-21T02:52:25.000Z");
    assert_eq!(server.get("/v1/incidents/i99").await.error(), "not_found");
    assert_eq!(server.get("/v1/incidents/x").await.error(), "not_found");
}

#[tokio::test]
async fn events_are_found_by_number_kind_incident_run_and_check() {
    let server = serve().await;
    let ask = async |query: &str| {
        let json = server.get(&format!("/v1/events{query}")).await.json();
        let events = json["events"].as_array().unwrap();
        let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        (numbers, json["last"].as_u64().unwrap(), json["more"].as_bool().unwrap())
    };
    assert_eq!(ask("").await, ((1..=26).collect(), 26, false));
    assert_eq!(ask("?limit=3").await, (vec![24, 25, 26], 26, true));
    assert_eq!(ask("?after=0&limit=2").await, (vec![1, 2], 2, true));
    assert_eq!(ask("?after=24").await, (vec![25, 26], 26, false));
    assert_eq!(ask("?after=26").await, (vec![], 26, false));
    assert_eq!(ask("?before=3").await, (vec![1, 2], 2, false));
    assert_eq!(ask("?kind=transition,incident_closed&limit=2").await, (vec![14, 25], 25, true));
    assert_eq!(ask("?incident=i8").await.0, [25, 26]);
    assert_eq!(ask("?run=17&kind=intent").await.0, [18, 21]);
    assert_eq!(ask("?check=vpn").await.0, [12, 13]);
    for odd in ["?limit=-1", "?after=x", "?colour=red", "?kind=transition,nothing"] {
        let refused = server.get(&format!("/v1/events{odd}")).await;
        assert_eq!((refused.status, refused.error().as_str()), (400, "bad_request"), "{odd}");
        assert!(!refused.body.contains("deserialize"), "{}", refused.body);
    }
    for absent in ["?incident=r7", "?incident=i99", "?run=x", "?run=99", "?check=a%20b", "?check=nothing"] {
        let refused = server.get(&format!("/v1/events{absent}")).await;
        assert_eq!((refused.status, refused.error().as_str()), (404, "not_found"), "{absent}");
    }
}

#[tokio::test]
async fn remedies_say_where_they_stand() {
    let server = serve().await;
    let all = server.get("/v1/remedies").await.json();
    let states: Vec<_> = all["remedies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|remedy| {
            (remedy["name"].as_str().unwrap().to_owned(), remedy["state"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [
        ("prune-logs", "waiting"),
        ("reconnect-vpn", "gave_up"),
        ("reload-nginx", "idle"),
        ("restart-shop", "running"),
        ("resync-replica", "parked"),
    ];
    assert_eq!(states, expected.map(|(remedy, state)| (remedy.to_owned(), state.to_owned())));

    let prune = server.get("/v1/remedies/prune-logs").await.json();
    assert_eq!(prune["on"], json!(["value.disk./data.used_percent > 85"]));
    assert_eq!(prune["guard"], "check.backup == \"passing\"");
    assert_eq!(prune["cooling_for_ms"], 180_000);
    assert_eq!(prune["budget"], json!({"runs": 3, "per_ms": 3_600_000}));
    let shop = server.get("/v1/remedies/restart-shop").await.json();
    assert_eq!(shop["run"], "r17");
    assert_eq!(shop["steps"][1]["condition"], "check.shop == \"passing\"");
    assert_eq!(shop["steps"][0]["on_failure"], "park");
    assert_eq!(server.get("/v1/remedies/nothing").await.error(), "not_found");
}

#[tokio::test]
async fn runs_are_listed_and_shown_with_their_timeline() {
    let server = serve().await;
    let numbers = async |query: &str| -> Vec<String> {
        let json = server.get(&format!("/v1/runs{query}")).await.json();
        json["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(numbers("").await, ["r17", "r16", "r15", "r14", "r13"]);
    assert_eq!(numbers("?active=true").await, ["r17", "r16"]);
    assert_eq!(numbers("?active=false&remedy=restart-shop").await, ["r13"]);

    let run = server.get("/v1/runs/r17").await.json();
    assert_eq!(
        (&run["state"], &run["step"], &run["attempt"]),
        (&json!("waiting"), &json!("settle"), &json!(1))
    );
    assert_eq!(run["deadline_in_ms"], 1_630_000);
    assert_eq!(run["timeline"].as_array().unwrap().len(), 8);
    let failed = server.get("/v1/runs/14").await.json();
    assert_eq!((&failed["state"], &failed["lasts_ms"]), (&json!("failed"), &json!(60_000)));
    assert!(failed.get("deadline_in_ms").is_none());
    assert_eq!(server.get("/v1/runs/r99").await.error(), "not_found");
    assert_eq!(server.get("/v1/runs/i17").await.error(), "not_found");
}

#[tokio::test]
async fn commands_reach_the_loop_and_its_answer_comes_back() {
    let server = serve().await;
    let retried = server.post("/v1/runs/r16/retry", "").await;
    assert_eq!((retried.status, retried.json()), (200, json!({"message": "retry r16"})));
    assert_eq!(server.post("/v1/runs/17/cancel", "").await.status, 200);
    assert_eq!(server.post("/v1/remedies/prune-logs/start", "").await.json()["message"], "start prune-logs");
    let ended = server.post("/v1/runs/r15/retry", "").await;
    assert_eq!((ended.status, ended.error().as_str()), (409, "conflict"));
    assert_eq!(server.post("/v1/runs/r99/cancel", "").await.status, 404);
    assert_eq!(server.post("/v1/remedies/nothing/start", "").await.status, 404);
    assert_eq!(server.post("/v1/runs/x/cancel", "").await.status, 404);
    assert_eq!(server.post("/v1/remedies/prune-logs", "").await.status, 404);
    let asked = [
        Command::Retry(RunId(16)),
        Command::Cancel(RunId(17)),
        Command::Start(name("prune-logs")),
        Command::Retry(RunId(15)),
        Command::Cancel(RunId(99)),
        Command::Start(name("nothing")),
    ];
    assert_eq!(server.world.commands(), asked);
}

#[tokio::test]
async fn a_heartbeat_is_handed_on() {
    let server = serve().await;
    assert_eq!(
        server.post("/v1/heartbeat/backup", "").await.json(),
        json!({"check": "backup", "status": "passing"})
    );
    let body = r#"{"status": "warning", "message": "slow"}"#;
    assert_eq!(server.ask("PUT", "/v1/heartbeat/backup", &[], body).await.status, 200);
    assert_eq!(server.post("/v1/heartbeat/backup?status=critical&message=disk%20full", "").await.status, 200);
    let beats = server.world.beats();
    let said: Vec<_> = beats.iter().map(|(_, sample)| (sample.status, sample.summary.as_str())).collect();
    let expected =
        [(Status::Passing, "called in"), (Status::Warning, "slow"), (Status::Critical, "disk full")];
    assert_eq!(said, expected);
    assert_eq!(server.post("/v1/heartbeat/shop", "").await.error(), "not_found");
    assert_eq!(server.post("/v1/heartbeat/backup", "{").await.error(), "bad_request");
    assert_eq!(server.get("/v1/heartbeat/backup").await.error(), "method_not_allowed");
    assert_eq!(server.world.beats().len(), 3);
}

#[tokio::test]
async fn a_check_and_an_incident_are_explained() {
    let server = serve().await;
    let shop = server.get("/v1/explain/shop").await.json();
    assert_eq!(shop["incident"]["id"], "i7");
    let remedy = &shop["remedies"][0];
    assert_eq!(remedy["remedy"], "restart-shop");
    assert_eq!(remedy["triggers"], json!([{"condition": "check.shop == \"critical\"", "now": "holds"}]));
    assert_eq!(remedy["held_by"], json!(["run r17 has the target shop.service"]));
    assert!(remedy["decisions"][0]["text"].as_str().unwrap().contains("held back"), "{remedy}");
    assert_eq!(server.get("/v1/explain/i7").await.json()["check"]["name"], "shop");

    let disk = server.get("/v1/explain/disk./data").await.json();
    let text = disk["text"].as_str().unwrap();
    for line in [
        "disk./data is warning for 1h 30m\n",
        "  it fails after 3 bad results in a row; passes after 1 good result; is unknown without a result for 1m\n",
        "remedy prune-logs: waiting\n",
        "  starts on value.disk./data.used_percent > 85; now it holds\n",
        "  only while check.backup == \"passing\"; now it holds\n",
        "  a start would be held back: it is cooling down for 3m\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    let calm = server.get("/v1/explain/worker").await.json();
    assert!(calm["text"].as_str().unwrap().contains("no remedy looks at it"));
    assert_eq!(server.get("/v1/explain/nothing").await.error(), "not_found");
    assert_eq!(server.get("/v1/explain/i99").await.error(), "not_found");
}

#[tokio::test]
async fn a_reload_is_asked_for_and_answered() {
    let server = serve().await;
    let mut reloads = server.world.reloads();
    let answers = async {
        reloads.recv().await.unwrap().send(Ok("1 check added".into())).unwrap();
        reloads.recv().await.unwrap().send(Err("lictor.hcl:3:7: unknown block `wacht`".into())).unwrap();
        drop(reloads.recv().await.unwrap());
    };
    let asks = async {
        let done = server.post("/-/reload", "").await;
        assert_eq!((done.status, done.json()), (200, json!({"message": "1 check added"})));
        let refused = server.ask("PUT", "/-/reload", &[], "").await;
        assert_eq!((refused.status, refused.error().as_str()), (422, "reload_refused"));
        assert!(refused.body.contains("unknown block"));
        assert_eq!(server.post("/-/reload", "").await.status, 503, "nobody answered");
        assert_eq!(server.get("/-/reload").await.status, 405);
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(answers, asks) }).await.unwrap();
}

#[tokio::test]
async fn health_is_the_loops_and_readiness_the_agents() {
    let server = serve().await;
    let healthy = server.get("/-/healthy").await;
    assert_eq!((healthy.status, healthy.body.as_str()), (200, "ok\n"));
    assert_eq!(server.get("/-/ready").await.status, 200);
    server.world.ready.store(false, Ordering::Relaxed);
    assert_eq!(server.get("/-/ready").await.body, "starting\n");
    assert_eq!(server.get("/-/healthy").await.status, 200);
    server.world.ready.store(true, Ordering::Relaxed);
    server.world.stuck.store(true, Ordering::Relaxed);
    assert_eq!(server.get("/-/healthy").await.status, 503);
    assert_eq!(server.get("/-/ready").await.status, 503);
    assert!(server.get("/metrics").await.body.contains("\nlictor_up 0\n"));
}

#[tokio::test]
async fn a_command_that_is_not_answered_in_time_was_taken() {
    let server = serve().await;
    server.world.slow.store(true, Ordering::Relaxed);
    let taken = server.post("/v1/runs/r16/retry", "").await;
    assert_eq!(taken.status, 202);
    assert!(taken.body.contains("taken, not answered yet"), "{}", taken.body);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_said() {
    let server = serve().await;
    server.world.unreadable.store(true, Ordering::Relaxed);
    for path in ["/v1/events", "/v1/incidents/i7", "/v1/runs/r17", "/v1/explain/shop", "/v1/events/stream"] {
        let failed = server.get(path).await;
        assert_eq!((failed.status, failed.error().as_str()), (503, "history_unavailable"), "{path}");
    }
    assert_eq!(server.get("/v1/checks").await.status, 200);
    let page = server.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("cannot read the ledger: the disk is gone"));
}

#[tokio::test]
async fn every_route_that_can_be_read_answers_head() {
    let server = serve().await;
    for path in [
        "/",
        "/fragment",
        "/incidents/i7",
        "/checks/shop",
        "/metrics",
        "/-/healthy",
        "/-/ready",
        "/v1/status",
        "/v1/checks",
        "/v1/checks/shop",
        "/v1/incidents",
        "/v1/incidents/i7",
        "/v1/events",
        "/v1/remedies",
        "/v1/remedies/prune-logs",
        "/v1/runs",
        "/v1/runs/r17",
        "/v1/explain/shop",
    ] {
        let head = server.ask("HEAD", path, &[], "").await;
        let get = server.get(path).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_in_json() {
    let server = serve().await;
    for path in
        ["/nothing", "/v1", "/v1/", "/v1/nothing", "/v1/checks/", "/assets/x.js", "/-/nothing", "/%00"]
    {
        let missing = server.get(path).await;
        assert_eq!((missing.status, missing.error().as_str()), (404, "not_found"), "{path}");
    }
    let wrong = server.ask("DELETE", "/v1/checks", &[], "").await;
    assert_eq!((wrong.status, wrong.error().as_str()), (405, "method_not_allowed"));
    assert_eq!(wrong.header("allow"), Some("GET,HEAD"));
    assert_eq!(server.get("/v1/runs/r16/retry").await.status, 405);
}

#[tokio::test]
async fn every_event_is_counted_once() {
    let server = serve().await;
    let closed =
        What::IncidentClosed { check: name("shop"), after: std::time::Duration::from_secs(5), why: None };
    let world = Arc::clone(&server.world);
    // The counter has begun to follow when it has counted this one.
    let first = What::Commanded { command: "begin".into() };
    let event = |what| lictor_core::Event { at: noon(), incident: None, run: None, what };
    crate::web_client::until(
        || async {
            world.append(event(first.clone()));
            server.get("/metrics").await.body
        },
        |page| page.contains("lictor_events_total{kind=\"commanded\"}"),
    )
    .await;
    // More than the publisher keeps: the counter falls behind and reads the ledger.
    for _ in 0..500 {
        world.append(event(closed.clone()));
    }
    crate::web_client::until(
        || async { server.get("/metrics").await.body },
        |page| page.contains("lictor_events_total{kind=\"incident_closed\"} 500\n"),
    )
    .await;
}

#[tokio::test]
async fn metrics_come_in_both_formats() {
    let server = serve().await;
    let plain = server.get("/metrics").await;
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "lictor_up 1\n",
        "lictor_build_info{version=\"0.1.0\",node=\"node1\"} 1\n",
        "lictor_checks{status=\"critical\"} 3\n",
        "lictor_check_status{check=\"shop\",status=\"critical\"} 1\n",
        "lictor_check_status{check=\"shop\",status=\"passing\"} 0\n",
        "lictor_check_flapping{check=\"vpn\"} 1\n",
        "lictor_incidents_open 3\n",
        "lictor_runs{state=\"parked\"} 1\n",
        "lictor_config_last_reload_successful 1\n",
        "# TYPE lictor_actions_total counter\n",
        "lictor_actions_total{result=\"done\"} 0\n",
        "process_resident_memory_bytes ",
    ] {
        assert!(plain.body.contains(line), "{line}{}", plain.body);
    }
    assert!(!plain.body.contains("# EOF"));
    let accept = ("Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5");
    let open = server.ask("GET", "/metrics", &[accept], "").await;
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(open.body.ends_with("# EOF\n"));
    assert!(open.body.contains("# TYPE lictor_actions counter\n"));
}
