//! Alerts over HTTP and on the page, with the real desk behind them and nobody who tells.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lictor_core::Status;
use lictor_core::alert::{Command, Deliveries, Input};
use serde_json::{Value, json};

use crate::web_client::{Answer, Server, serve_world, until};
use crate::web_desk::DeskStandin;
use crate::web_world::{World, empty, noon};

async fn serve_desk(desk: &Arc<DeskStandin>, token: Option<&str>) -> Server {
    let world = World::with_desk(empty(noon()), Vec::new(), Arc::clone(desk));
    serve_world(world, token, &[], Default::default()).await
}

async fn busy() -> (Arc<DeskStandin>, Server) {
    let desk = DeskStandin::busy();
    let server = serve_desk(&desk, None).await;
    (desk, server)
}

fn texts(list: &Value, member: &str) -> Vec<String> {
    let list = list.as_array().unwrap();
    list.iter().map(|one| one[member].as_str().unwrap_or_default().to_owned()).collect()
}

const DISK: &str = "own/node1/disk";
const SHOP: &str = "consul/dc1/web1/shop-1/http";

#[tokio::test]
async fn what_is_wrong_is_listed_with_who_was_told_and_who_was_not() {
    let (_desk, server) = busy().await;
    let all = server.get("/v1/alerts").await.json();
    assert_eq!(texts(&all["alerts"], "subject"), [SHOP, DISK, "own/node1/swap"]);
    assert_eq!(all["lost"], json!([{"source": "consul/dc2", "why": "no leader"}]));
    assert_eq!(all.get("cannot_record"), None);

    let disk = &all["alerts"][1];
    assert_eq!(disk["title"], "disk on node1");
    assert_eq!(disk["labels"], json!({"check": "disk", "node": "node1", "source": "own"}));
    assert_eq!(
        (&disk["state"], &disk["status"], &disk["reported"], &disk["reported_by"]),
        (&json!("firing"), &json!("critical"), &json!("critical"), &json!("own"))
    );
    assert_eq!((&disk["since"], &disk["lasts_ms"]), (&json!("2026-11-21T02:59:05.000Z"), &json!(300_000)));
    assert_eq!((&disk["opened"], &disk["output"]), (&json!("2026-11-21T02:59:05.000Z"), &json!("95 % used")));
    let told = json!([{"notifier": "ops", "status": "critical", "firing": true, "at": "2026-11-21T02:59:05.000Z", "reminders": 0}]);
    assert_eq!(disk["told"], told, "the chat has not accepted anything");
    let acknowledged = json!({
        "by": "ada", "comment": "ordering disks", "at": "2026-11-21T02:59:07.000Z", "until": "2026-11-21T04:59:07.000Z",
    });
    assert_eq!((&disk["acknowledged"], disk.get("muted")), (&acknowledged, None));

    let shop = &all["alerts"][0];
    assert_eq!((&shop["tags"], &shop["notes"]), (&json!(["prod"]), &json!("https://run.example/shop")));
    let swap = &all["alerts"][2];
    assert_eq!(swap["muted"], json!({"kind": "silence", "by": "s1", "text": "silence s1"}));
}

#[tokio::test]
async fn alerts_are_found_by_status_and_by_labels() {
    let (_desk, server) = busy().await;
    let found = async |query: &str| {
        texts(&server.get(&format!("/v1/alerts?{query}")).await.json()["alerts"], "subject")
    };
    assert_eq!(found("status=critical").await, [DISK]);
    assert_eq!(found("status=passing").await, [""; 0]);
    assert_eq!(found("match=node%3Dnode1&match=check%21%3Dswap").await, [DISK]);
    assert_eq!(found("match=service%3D%2F%5Esh%2F").await, [SHOP]);
    assert_eq!(found("match=tag%3Dprod").await, [SHOP]);
    assert_eq!(found("match=check%3Ddisk%2Cswap&status=warning").await, ["own/node1/swap"]);
    for (odd, says) in [
        ("status=bad", "bad"),
        ("match=shop", "write LABEL=VALUE"),
        ("match=a%3D~b", "`a=/PATTERN/`"),
        ("statu=critical", "unknown parameter `statu`; known are status and match"),
    ] {
        let refused = server.get(&format!("/v1/alerts?{odd}")).await;
        assert_eq!((refused.status, refused.error().as_str()), (400, "bad_request"), "{odd}");
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains(says), "{}", refused.body);
    }
}

#[tokio::test]
async fn what_waits_is_listed_with_its_attempts() {
    let (_desk, server) = busy().await;
    let queue = server.get("/v1/alerts/queue").await.json();
    let queue = queue["queue"].as_array().unwrap();
    assert!(!queue.is_empty());
    let first = &queue[0];
    assert_eq!(
        (&first["notifier"], &first["route"], &first["occasion"]),
        (&json!("chat"), &json!("all"), &json!("change"))
    );
    assert!(first["tells"].as_array().unwrap().iter().any(|one| {
        one["tells"] == "firing" && one["title"].as_str().is_some_and(|title| !title.is_empty())
    }));
    assert!(first["attempts"].as_u64().unwrap() >= 2, "{first}");
    assert!(["waiting", "sending"].contains(&first["state"].as_str().unwrap()));
    assert_eq!((&first["error"], &first["unclear"]), (&json!("no answer within 10s"), &json!(true)));
}

#[tokio::test]
async fn what_waits_is_tried_again_or_given_up() {
    let desk = DeskStandin::busy();
    let server = serve_desk(&desk, None).await;
    let post = async |path: &str, body: Value| {
        server.post(&format!("/v1/alerts/queue/{path}"), &body.to_string()).await
    };
    let retried = post("retry", json!({"notifier": "chat"})).await;
    assert_eq!(retried.status, 200, "{}", retried.body);
    assert!(retried.json()["message"].as_str().unwrap().ends_with("tried again"));
    assert_eq!(post("retry", json!({"all": true})).await.status, 200);
    assert_eq!(post("drop", json!({"all": true, "by": "ada"})).await.status, 200);
    let commands = desk.commands();
    assert_eq!(
        commands,
        [
            Command::Retry { which: Deliveries::Of("chat".parse().unwrap()), by: "api".to_owned() },
            Command::Retry { which: Deliveries::All, by: "api".to_owned() },
            Command::Drop { which: Deliveries::All, by: "ada".to_owned() },
        ]
    );
    for (body, status, says) in [
        (json!({}), 400, "say which messages"),
        (json!({"all": false}), 400, "say which messages"),
        (json!({"all": true, "notifier": "chat"}), 400, "say which messages"),
        (json!({"delivery": "d999"}), 404, "no delivery d999"),
        (json!({"delivery": "seven"}), 404, "no message of the queue has the number `seven`"),
        (json!({"notifier": "nobody"}), 404, "no notifier is called `nobody`"),
        (json!({"notifer": "chat"}), 400, "unknown field `notifer`"),
    ] {
        let refused = post("drop", body.clone()).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.body);
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains(says), "{}", refused.body);
    }
    let help = post("drop", json!({"notifier": "nobody"})).await.json();
    assert_eq!(help["error"]["help"], "there are chat, ops");
}

#[tokio::test]
async fn a_node_is_forgotten_when_it_is_gone() {
    let (_desk, server) = busy().await;
    let forget = async |body: Value| server.post("/v1/alerts/forget", &body.to_string()).await;
    let done = forget(json!({"node": "gone", "by": "ada"})).await;
    assert_eq!((done.status, done.json()), (200, json!({"message": "gone is forgotten, says ada"})));
    for (body, status, says) in [
        (json!({"node": "n2"}), 409, "n2 is alive"),
        (json!({"node": ""}), 400, "`node` says which"),
        (json!({"nod": "n2"}), 400, "unknown field `nod`"),
    ] {
        let refused = forget(body).await;
        assert_eq!(refused.status, status, "{}", refused.body);
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains(says), "{}", refused.body);
    }
}

#[tokio::test]
async fn a_silence_is_made_shown_and_ended() {
    let (desk, server) = busy().await;
    let body =
        json!({"matchers": ["node=node1", "check=/^d/,x"], "for": "2h 30m", "comment": "moving house"});
    let made = server.post("/v1/alerts/silences", &body.to_string()).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let made = made.json();
    assert!(made["message"].as_str().unwrap().starts_with("silence s2: "), "{made}");
    let silence = json!({
        "id": "s2", "matchers": ["node=node1", "check=/^d/,x"], "from": "2026-11-21T03:04:05.000Z",
        "until": "2026-11-21T05:34:05.000Z", "ends_in_ms": 9_000_000, "by": "api", "comment": "moving house", "alerts": 1,
    });
    assert_eq!(made["silence"], silence);
    let all = server.get("/v1/alerts/silences").await.json();
    assert_eq!(texts(&all["silences"], "id"), ["s1", "s2"], "what ends first comes first");
    assert_eq!(all["silences"][1], silence);
    let muted = server.get("/v1/alerts?match=check%3Ddisk").await.json();
    assert_eq!(muted["alerts"][0]["muted"]["by"], "s2");

    let ended = server.ask("DELETE", "/v1/alerts/silences/s2", &[], "").await;
    assert_eq!(ended.json(), json!({"message": "silence s2 is over"}));
    assert_eq!(server.ask("DELETE", "/v1/alerts/silences/s2", &[], "").await.error(), "not_found");
    let over = server.get("/v1/alerts?match=check%3Ddisk").await.json();
    assert_eq!(over["alerts"][0].get("muted"), None);
    // Those that the calendar makes have a blank in their names.
    let window = Command::Silence {
        id: Some("maintenance backups".to_owned()),
        when: Default::default(),
        lasting: Duration::from_secs(60),
        by: "the configuration".to_owned(),
        comment: String::new(),
    };
    assert!(desk.step(Input::Command(window)).unwrap().is_ok());
    assert_eq!(server.ask("DELETE", "/v1/alerts/silences/maintenance%20backups", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_silence_may_have_an_end_in_the_place_of_a_length() {
    let (_desk, server) = busy().await;
    let body = json!({"matchers": ["node=a"], "until": "2026-11-23T09:00:00+01:00"});
    let made = server.post("/v1/alerts/silences", &body.to_string()).await.json();
    assert_eq!(made["silence"]["until"], "2026-11-23T08:00:00.000Z", "{made}");
    // The alert that somebody would be told of has a form with its labels; one that is silenced has none.
    let page = server.get("/").await.body;
    let form = "<input type=\"hidden\" name=\"matchers\" value=\"check=disk\nnode=node1\nsource=own\">";
    assert!(page.contains(form) && page.contains(" name=\"for\" value=\"1h\">for 1 h</button>"), "{page}");
    assert!(!page.contains("value=\"check=swap\n"), "{page}");
}

#[tokio::test]
async fn a_silence_that_is_not_understood_is_refused() {
    let (desk, server) = busy().await;
    let long = "x".repeat(1_001);
    for (body, says) in [
        (json!({"matchers": [], "for": "1h"}), "at least one matcher"),
        (json!({"matchers": ["node"], "for": "1h"}), "write LABEL=VALUE"),
        (json!({"matchers": ["node=/(/"], "for": "1h"}), "unclosed group"),
        (json!({"matchers": ["node=a"]}), "either `for` or `until`"),
        (json!({"matchers": ["node=a"], "for": "1h", "until": "2026-11-30T08:00:00Z"}), "either `for` or"),
        (json!({"matchers": ["node=a"], "until": "Monday"}), "no instant such as 2026-11-30T08:00:00Z"),
        (json!({"matchers": ["node=a"], "until": "2026-11-21T03:04:05Z"}), "`until` is to come"),
        (json!({"matchers": ["node=a"], "until": "2028-01-01T00:00:00Z"}), "at most 366d from now"),
        (json!({"matchers": ["node=a"], "for": "soon"}), "which is not a duration such as 90m"),
        (json!({"matchers": ["node=a"], "for": "0s"}), "longer than 0s"),
        (json!({"matchers": ["node=a"], "for": "367d"}), "at most 366d"),
        (json!({"matchers": ["node=a"], "for": "1h", "id": "s1"}), "unknown field `id`"),
        (json!({"matchers": ["node=a"], "for": "1h", "comment": long}), "`comment` has more than 1000 bytes"),
        (json!({"matchers": ["node=a"], "for": "1h", "by": long}), "`by` has more than 100 bytes"),
        (json!({"matchers": vec!["node=a"; 21], "for": "1h"}), "at most 20 matchers"),
    ] {
        let refused = server.post("/v1/alerts/silences", &body.to_string()).await;
        assert_eq!((refused.status, refused.error().as_str()), (400, "bad_request"), "{body}");
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains(says), "{}", refused.body);
    }
    assert!(desk.commands().is_empty());
}

#[tokio::test]
async fn an_alert_is_acknowledged_by_its_subject_or_by_a_name_that_only_one_has() {
    let (desk, server) = busy().await;
    let post =
        async |path: &str, body: Value| server.post(&format!("/v1/alerts/{path}"), &body.to_string()).await;
    let done =
        post("acknowledge", json!({"subject": SHOP, "by": "eve", "for": "2h", "comment": "on it"})).await;
    assert_eq!(done.json()["message"], "shop: http <b> on web1: eve looks after it");
    let shop = server.get("/v1/alerts?match=service%3Dshop").await.json();
    assert_eq!(shop["alerts"][0]["acknowledged"]["until"], "2026-11-21T05:04:05.000Z");
    let title = "shop: http <b> on web1";
    assert_eq!(post("unacknowledge", json!({"subject": title, "by": "ada"})).await.status, 200);
    let by_ada = |command: &Command| matches!(command, Command::Unacknowledge { by, .. } if by == "ada");
    assert!(desk.commands().iter().any(by_ada), "{:?}", desk.commands());
    assert_eq!(post("acknowledge", json!({"subject": "swap"})).await.status, 200);
    let swap = server.get("/v1/alerts?match=check%3Dswap").await.json();
    assert_eq!(swap["alerts"][0]["acknowledged"], json!({"by": "api", "at": "2026-11-21T03:04:05.000Z"}));

    let missing = post("acknowledge", json!({"subject": "own/node1/nothing"})).await;
    assert_eq!((missing.status, missing.error().as_str()), (404, "not_found"));
    desk.report(
        "own",
        vec![lictor_core::alert::Report::new(
            lictor_core::alert::Subject::own("node2", "disk"),
            Status::Critical,
            "full",
        )],
    );
    let odd = post("unacknowledge", json!({"subject": SHOP, "for": "2h"})).await;
    assert_eq!(odd.error(), "bad_request");
}

#[tokio::test]
async fn a_name_that_several_alerts_have_is_not_guessed() {
    let desk = DeskStandin::idle();
    let disk = |node: &str| {
        lictor_core::alert::Report::new(
            lictor_core::alert::Subject::own(node, "disk"),
            Status::Critical,
            "full",
        )
    };
    desk.report("own", vec![disk("n1"), disk("n2")]);
    let server = serve_desk(&desk, None).await;
    let refused = server.post("/v1/alerts/acknowledge", r#"{"subject": "disk"}"#).await;
    assert_eq!((refused.status, refused.error().as_str()), (409, "conflict"));
    let error = &refused.json()["error"];
    assert_eq!(error["message"], "2 alerts are called `disk`");
    assert_eq!(error["help"], "name its subject: `own/n1/disk`, `own/n2/disk`");
    assert!(desk.commands().is_empty());
}

#[tokio::test]
async fn who_asks_is_who_is_named_or_who_shows_the_token() {
    let desk = DeskStandin::busy();
    let server = serve_desk(&desk, Some("secret-token")).await;
    let body = format!(r#"{{"subject": "{DISK}"}}"#);
    let refused = server.post("/v1/alerts/acknowledge", &body).await;
    assert_eq!((refused.status, refused.error().as_str()), (401, "unauthorized"));
    assert_eq!(server.get("/v1/alerts").await.status, 401);
    assert_eq!(server.post("/api/v2/alerts", "[]").await.status, 401);
    // grace:secret-token
    let basic = [("Authorization", "Basic Z3JhY2U6c2VjcmV0LXRva2Vu")];
    let bearer = [("Authorization", "Bearer secret-token")];
    assert_eq!(server.ask("POST", "/v1/alerts/acknowledge", &basic, &body).await.status, 200);
    assert_eq!(server.ask("POST", "/v1/alerts/acknowledge", &bearer, &body).await.status, 200);
    let by: Vec<_> = desk
        .commands()
        .into_iter()
        .map(|command| match command {
            Command::Acknowledge { by, .. } => by,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(by, ["grace", "api"]);
}

#[tokio::test]
async fn what_cannot_be_recorded_yet_is_taken_and_what_nobody_answers_is_not() {
    let desk = DeskStandin::busy();
    let server = serve_desk(&desk, None).await;
    desk.slow.store(true, Ordering::Relaxed);
    let taken = server.post("/v1/alerts/queue/retry", r#"{"all": true}"#).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    assert!(taken.json()["message"].as_str().unwrap().contains("takes effect"));
    desk.cannot_record("no space left on device");
    assert_eq!(server.get("/v1/alerts").await.json()["cannot_record"], "no space left on device");
    desk.gone.store(true, Ordering::Relaxed);
    for path in ["/v1/alerts", "/v1/alerts/queue", "/v1/alerts/silences"] {
        assert_eq!(server.get(path).await.error(), "unavailable", "{path}");
    }
    let page = server.get("/").await;
    assert_eq!(page.status, 200, "the rest is shown");
    assert!(page.body.contains("The alerts cannot be shown: the agent is stopping"));
}

#[tokio::test]
async fn the_page_says_what_is_wrong_who_knows_and_what_waits() {
    let (_desk, server) = busy().await;
    let page = server.get("/").await;
    assert_eq!(page.status, 200);
    let order: Vec<_> = ["<b>disk on node1</b>", "<b>shop: http", "<b>swap on node1</b>"]
        .map(|part| page.body.find(part).unwrap_or_else(|| panic!("{part} in {}", page.body)))
        .into();
    assert!(order.is_sorted(), "the worst first, what is muted last");
    for part in [
        "<b>consul/dc2 cannot be asked</b>, so nobody knows how its checks stand: no leader",
        "Told ops: critical 5m ago",
        "ada looks after it, since 4m 58s ago (ordering disks)",
        "Nobody is told: silence s1",
        "; the last attempt: no answer within 10s",
        "name=\"subject\" value=\"own/node1/disk\"",
        "action=\"/v1/alerts/queue/drop\"",
        "<b>check=swap</b> for another",
        "by &#60;i&#62;bob&#60;/i&#62;: known &#38; harmless; fits 1 alert",
        "action=\"/v1/alerts/unsilence\"",
        "action=\"/v1/alerts/silences\"",
    ] {
        assert!(page.body.contains(part), "not shown: {part}\n{}", page.body);
    }
    for harm in ["<script>alert", "<img src=x", "http <b>", "\u{202e}", "\u{1b}", "<i>bob", "<Bad"] {
        assert!(!page.body.contains(harm), "{harm}");
    }
}

#[tokio::test]
async fn without_notifiers_and_alerts_the_page_says_nothing_of_them() {
    let server = serve_desk(&DeskStandin::idle(), None).await;
    assert!(!server.get("/").await.body.contains("h-alerts"));
}

#[tokio::test]
async fn a_form_of_the_page_is_answered_with_the_page() {
    let (desk, server) = busy().await;
    let html = [("Accept", "text/html"), ("Content-Type", "application/x-www-form-urlencoded")];
    let send = async |path: &str, body: &str| -> Answer { server.ask("POST", path, &html, body).await };
    let done = send("/v1/alerts/acknowledge", "subject=consul%2Fdc1%2Fweb1%2Fshop-1%2Fhttp").await;
    assert_eq!((done.status, done.header("location")), (303, Some("/")));
    assert!(server.get("/").await.body.contains("page looks after it, since now"));
    let new = "matchers=node%3Dweb1%0D%0Acheck%3Dhttp&for=2h&comment=new+disks";
    assert_eq!(send("/v1/alerts/silences", new).await.status, 303);
    let all = server.get("/v1/alerts/silences").await.json();
    assert_eq!(
        (&all["silences"][1]["comment"], &all["silences"][1]["by"]),
        (&json!("new disks"), &json!("page"))
    );
    let none = send("/v1/alerts/silences", "matchers=&for=2h&comment=").await;
    assert!(none.status == 400 && none.body.contains("needs at least one matcher"), "{}", none.body);
    for id in ["s1", "s2"] {
        assert_eq!(send("/v1/alerts/unsilence", &format!("silence={id}")).await.status, 303);
    }
    assert!(!server.get("/").await.body.contains("h3>Silences"));
    let refused = send("/v1/alerts/unsilence", "silence=s1").await;
    assert_eq!(refused.status, 404);
    assert!(refused.body.contains("there is no silence `s1`"), "{}", refused.body);
    assert_eq!(send("/v1/alerts/queue/retry", "notifier=chat").await.status, 303);
    assert_eq!(desk.commands().len(), 6);
    let foreign = [("Accept", "text/html"), ("Sec-Fetch-Site", "cross-site")];
    let refused = server.ask("POST", "/v1/alerts/queue/drop", &foreign, "all=true").await;
    assert_eq!(refused.status, 403);
    assert_eq!(desk.commands().len(), 6);
}

#[tokio::test]
async fn the_metrics_count_alerts_and_messages() {
    let (_desk, server) = busy().await;
    let page = server.get("/metrics").await.body;
    for line in [
        "lictor_alerts{status=\"warning\"} 2",
        "lictor_alerts{status=\"unknown\"} 0",
        "lictor_alerts{status=\"critical\"} 1",
        "lictor_alerts_muted 1",
        "lictor_alert_deliveries_waiting{notifier=\"ops\"} 0",
        "lictor_alert_silences 1",
        "lictor_alert_sources_lost 1",
        "lictor_alerts_cannot_record 0",
    ] {
        assert!(page.contains(&format!("\n{line}\n")), "{line}\n{page}");
    }
    assert!(!page.contains("lictor_alert_deliveries_waiting{notifier=\"chat\"} 0"));
    let told = |what| lictor_core::Event { at: noon(), incident: None, run: None, what };
    let not = |next: &str| lictor_core::What::NotTold {
        notifier: "chat".parse().unwrap(),
        delivery: lictor_core::DeliveryId(7),
        why: "no".to_owned(),
        next: next.to_owned(),
    };
    // It counts from when it has begun to, which may be after the first of them.
    let seen = async || {
        server.world.append(told(not("tried again after 1s")));
        server.world.append(told(not("given up: it expired")));
        server.get("/metrics").await.body
    };
    let wanted = [
        "lictor_alert_deliveries_total{notifier=\"chat\",result=\"retried\"} ",
        "lictor_alert_deliveries_total{notifier=\"chat\",result=\"given_up\"} ",
    ];
    until(seen, |body| wanted.iter().all(|line| body.contains(line))).await;
}

#[tokio::test]
async fn alerts_are_taken_as_an_alertmanager_takes_them() {
    let desk = DeskStandin::idle();
    let server = serve_desk(&desk, None).await;
    let soon = jiff::Timestamp::now() + Duration::from_secs(240);
    let firing = json!([
        {"labels": {"alertname": "DiskFull", "instance": "web1:9100", "severity": "warning"},
         "annotations": {"summary": "95 % used"}, "startsAt": "2026-11-21T03:00:00Z", "endsAt": soon.to_string(),
         "generatorURL": "http://prom.example/graph", "someday": "more"},
        {"labels": {"alertname": "Down"}},
    ]);
    let taken = server.post("/api/v2/alerts", &firing.to_string()).await;
    assert_eq!((taken.status, taken.body.as_str()), (200, ""));
    assert_eq!(
        desk.wrong(),
        [("DiskFull on web1".to_owned(), Status::Warning), ("Down".to_owned(), Status::Critical)]
    );
    let first = desk.inputs.lock().unwrap()[0].clone();
    let Input::Reports { source, complete, reports, .. } = first else { panic!("{first:?}") };
    assert_eq!(
        (source.as_str(), complete, reports.len()),
        ("alertmanager", true, 0),
        "first it says what it has"
    );
    let over = json!([{"labels": {"alertname": "Down"}, "endsAt": "2026-01-01T00:00:00Z"}, {"labels": {}}]);
    let partly = server.post("/api/v2/alerts", &over.to_string()).await;
    assert_eq!((partly.status, partly.error().as_str()), (400, "bad_request"));
    assert_eq!(partly.json()["error"]["message"], "1 of 2 alerts are not taken: it has no label");
    assert_eq!(desk.wrong(), [("DiskFull on web1".to_owned(), Status::Warning)], "the other one is");
    assert_eq!(server.post("/api/v2/alerts", "{}").await.error(), "bad_request");
    let large =
        json!([{"labels": {"alertname": "A"}, "annotations": {"summary": "x".repeat(600_000)}}]).to_string();
    assert_eq!(server.post("/api/v2/alerts", &large).await.status, 200, "up to 1 MiB");
    assert_eq!(server.post("/v1/alerts/silences", &large).await.error(), "too_large");
    assert_eq!(
        server.post("/api/v2/alerts", &format!("{large}{}", " ".repeat(600_000))).await.error(),
        "too_large"
    );
}
