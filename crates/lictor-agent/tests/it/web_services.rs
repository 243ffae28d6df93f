//! Clustered services over HTTP: how they stand, what is asked of them, and where each is found.

use std::sync::Arc;
use std::time::Duration;

use lictor_agent::LeaseState;
use lictor_agent::service::{AskError, Pause, Recorded, ServiceState, ServiceView};
use lictor_agent::web::Limits;
use lictor_config::{ClusterService, UnitName};
use lictor_core::lease::{Next, Params};
use lictor_core::service::member::Local;
use lictor_core::service::operation::{Operation, Phase, What};
use lictor_core::{Change, Hooks, Role, Wall};
use serde_json::{Value, json};

use crate::web_client::{Server, serve_world};
use crate::web_copies::top;
use crate::web_copying::{copy, holding};
use crate::web_world::{HOSTILE, World, bad_day, empty, noon};

/// What the commands are tried with as well.
const ANSWER: &str = include_str!("../data/service.json");

fn operation(phase: Phase) -> Operation {
    Operation {
        id: "7f3a".to_owned(),
        what: What::Switchover { to: "node1".to_owned() },
        from: Some("node2".to_owned()),
        by: "alice".to_owned(),
        deadline: Duration::from_secs(30),
        phase,
    }
}

fn record(holder: &str, released: Option<Next>) -> Recorded {
    let nodes = ["node1", "node2"].map(str::to_owned).into();
    Recorded { holder: holder.to_owned(), token: 7, length: Duration::from_millis(4_200), released, nodes }
}

/// It runs on this node, where a switchover has brought it; for an hour nobody is to take it over.
fn held() -> ServiceView {
    let config = ClusterService {
        name: "web".parse().unwrap(),
        nodes: ["node1", "node2"].map(str::to_owned).to_vec(),
        units: ["apache2.service", "mysql.service"].map(|unit| UnitName::new(unit).unwrap()).to_vec(),
        command: None,
        datacenter: None,
        automatic: true,
        times: (Params::BRISK, Params::STEADY),
        stagger: Duration::from_secs(1),
        attempts: 3,
        rest: Duration::from_secs(60),
        start_limit: Duration::from_secs(60),
        stop_limit: Duration::from_secs(1),
        check: None,
        roles: None,
    };
    let until = Wall::from_unix_millis(noon().wall.as_unix_millis() + 3_600_000);
    let state = ServiceState {
        lease: LeaseState::Held { token: 7 },
        local: Local::Running { token: Some(7) },
        able: Some(Ok(())),
        record: Some(record("node1", None)),
        operation: Some(operation(Phase::Done)),
        pause: Some(Pause { until, by: "bob".to_owned(), why: "new disks".to_owned() }),
        barred: None,
        blind: false,
    };
    ServiceView { config: Arc::new(config), state, believes: Some(7) }
}

/// It runs on the other node, as far as this one has seen.
fn standby() -> ServiceView {
    let view = held();
    let state = ServiceState {
        lease: LeaseState::Other { holder: "node2".to_owned() },
        local: Local::Stopped,
        record: Some(record("node2", None)),
        operation: None,
        pause: None,
        ..view.state
    };
    ServiceView { state, believes: None, ..view }
}

/// Nobody runs it.
fn free(next: Next) -> ServiceView {
    let view = standby();
    let record = Some(record("node2", Some(next)));
    ServiceView { state: ServiceState { lease: LeaseState::free(), record, ..view.state }, ..view }
}

async fn serve(view: ServiceView) -> Server {
    let world = World::new(empty(noon()), Vec::new());
    *world.services.views.lock().unwrap() = vec![view];
    serve_world(world, None, &[], Limits::default()).await
}

fn asked(server: &Server) -> Vec<(What, Option<String>, String)> {
    let asked = server.world.services.asked.lock().unwrap();
    asked.iter().map(|asking| (asking.what.clone(), asking.from.clone(), asking.by.clone())).collect()
}

#[tokio::test]
async fn a_service_is_told_with_its_lease_its_operation_and_its_pause() {
    let server = serve(held()).await;
    let known: Value = serde_json::from_str(ANSWER).unwrap();
    let told = server.get("/v1/services/web").await.json();
    assert_eq!(told, known, "{told:#}");
    assert_eq!(server.get("/v1/services").await.json(), json!({ "services": [known] }));
}

#[tokio::test]
async fn who_holds_a_lease_is_said_only_where_it_is_known() {
    let told = serve(standby()).await.get("/v1/services/web").await.json();
    let other = json!({"state": "other", "holder": "node2", "token": 7, "length_ms": 4_200});
    assert_eq!((&told["lease"], &told["active"]), (&other, &json!("node2")), "{told}");
    let told = serve(free(Next::Nobody)).await.get("/v1/services/web").await.json();
    let stopped = json!({"state": "free", "why": "the service was stopped on purpose", "length_ms": 4_200});
    assert_eq!((&told["lease"], told.get("active")), (&stopped, None), "{told}");
    let mut blind = standby();
    blind.state.lease = LeaseState::Unknown { why: HOSTILE.to_owned() };
    blind.state.able = Some(Err(HOSTILE.to_owned()));
    let told = serve(blind).await.get("/v1/services/web").await;
    assert_eq!(told.json()["lease"]["state"], "unknown");
    assert!(!told.body.contains('\u{1b}') && !told.body.contains("\\u001b"), "{}", told.body);
}

#[tokio::test]
async fn a_pause_that_is_over_is_not_told() {
    let mut view = held();
    view.state.pause.as_mut().unwrap().until = noon().wall;
    let server = serve(view).await;
    assert_eq!(server.get("/v1/services/web").await.json().get("paused"), None);
    assert!(server.get("/metrics").await.body.contains("lictor_service_paused{service=\"web\"} 0\n"));
}

#[tokio::test]
async fn a_load_balancer_finds_the_one_node_that_runs_it_now() {
    let token = Some("a-token-of-the-listener");
    let mut outdated = held();
    // It runs, but the belief under which it did is over.
    outdated.believes = None;
    let mut older = held();
    older.believes = Some(8);
    let mut starting = held();
    starting.state.local = Local::Partly;
    for (view, status, word) in [
        (held(), 200, "active\n"),
        (standby(), 503, "standby\n"),
        (outdated, 503, "standby\n"),
        (older, 503, "standby\n"),
        (starting, 503, "standby\n"),
    ] {
        let world = World::new(empty(noon()), Vec::new());
        *world.services.views.lock().unwrap() = vec![view];
        let server = serve_world(world, token, &[], Limits::default()).await;
        for path in ["/v1/service/web/active", "/v1/services/web/active"] {
            let answer = server.ask("GET", path, &[("Host", "balancer.example")], "").await;
            assert_eq!((answer.status, answer.body.as_str()), (status, word), "{path}");
            let head = server.ask("HEAD", path, &[], "").await;
            assert_eq!((head.status, head.body.as_str()), (status, ""));
            assert_eq!(server.ask("OPTIONS", path, &[], "").await.status, status);
        }
        assert_eq!(server.get("/v1/service/other/active").await.status, 404);
        assert_eq!(server.get("/v1/services/web").await.status, 401, "all the rest needs the token");
        assert_eq!(server.post("/v1/services/web/active", "").await.status, 405);
        assert_eq!(server.world.acts(), [""; 0], "a load balancer fills the record");
    }
}

#[tokio::test]
async fn a_switchover_goes_from_who_holds_it_to_the_next_node_of_the_list() {
    let server = serve(held()).await;
    let told = server.post("/v1/services/web/switchover", "").await;
    let (status, told) = (told.status, told.json());
    let operation = &told["operation"];
    assert_eq!((status, &operation["phase"], &operation["over"]), (202, &json!("asked"), &json!(false)));
    assert_eq!((&operation["from"], &operation["to"]), (&json!("node1"), &json!("node2")), "{told}");
    let to = || What::Switchover { to: "node2".to_owned() };
    assert_eq!(asked(&server), [(to(), Some("node1".to_owned()), "api".to_owned())]);
    let body = r#"{"to": "node2", "by": "ann", "deadline_ms": 1500}"#;
    assert_eq!(server.post("/v1/services/web/switchover", body).await.status, 202);
    assert_eq!(asked(&server)[1], (to(), Some("node1".to_owned()), "ann".to_owned()));
    let deadline = server.world.services.asked.lock().unwrap()[1].deadline;
    assert_eq!(deadline, Duration::from_millis(1_500));
}

#[tokio::test]
async fn a_node_that_is_known_to_be_away_is_not_chosen() {
    use lictor_core::peers::{PeerView, Seen};
    let mut view = held();
    let mut config = (*view.config).clone();
    config.nodes.push("node3".to_owned());
    view.config = Arc::new(config);
    let server = serve(view).await;
    server.world.mesh.send_modify(|mesh| {
        let peer = PeerView {
            id: "node2.example.com:5988".to_owned(),
            address: None,
            node: Some("node2".to_owned()),
            status: None,
            since: None,
            seen: Some((Seen::Silent { why: "connection refused".to_owned() }, noon())),
            vanished: None,
            watched: true,
            opinions: Vec::new(),
        };
        Arc::make_mut(mesh).peers = vec![peer];
    });
    let told = server.post("/v1/services/web/switchover", "").await.json();
    assert_eq!(told["operation"]["to"], "node3");
}

#[tokio::test]
async fn what_is_so_already_is_no_failure_and_asks_nobody() {
    let server = serve(held()).await;
    for (verb, body) in [("switchover", r#"{"to": "node1"}"#), ("failover", ""), ("start", "")] {
        let told = server.post(&format!("/v1/services/web/{verb}"), body).await;
        assert_eq!(
            (told.status, told.json()),
            (200, json!({"message": "web runs on node1 already"})),
            "{verb}"
        );
    }
    let server = serve(free(Next::Nobody)).await;
    let told = server.post("/v1/services/web/stop", "").await;
    assert_eq!((told.status, told.json()), (200, json!({"message": "web is stopped already"})));
    assert!(asked(&server).is_empty());
}

#[tokio::test]
async fn a_start_goes_to_this_node_and_a_stop_to_all() {
    let server = serve(free(Next::Anyone)).await;
    let told = server.post("/v1/services/web/start", "").await;
    assert_eq!((told.status, &told.json()["operation"]["what"]), (202, &json!("take")));
    assert_eq!(server.post("/v1/services/web/stop", "").await.status, 202);
    let server_of_standby = serve(standby()).await;
    assert_eq!(server_of_standby.post("/v1/services/web/failover", "").await.status, 202);
    let here = || What::Take { to: "node1".to_owned() };
    let what: Vec<_> = asked(&server).into_iter().map(|(what, from, _)| (what, from)).collect();
    assert_eq!(what, [(here(), None), (What::Stop, None)]);
    assert_eq!(asked(&server_of_standby)[0].0, here());
    assert_eq!(asked(&server_of_standby)[0].1.as_deref(), Some("node2"));
    let deadline = server_of_standby.world.services.asked.lock().unwrap()[0].deadline;
    assert_eq!(deadline, Duration::from_millis(34_200), "the lease must run out meanwhile");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_reason() {
    let mut blind = standby();
    blind.state.lease = LeaseState::Unknown { why: "no answer within 1s".to_owned() };
    for (view, verb, body, status, words) in [
        (
            held(),
            "switchover",
            r#"{"to": "node9"}"#,
            400,
            "`node9` is no node of `web`, which has node1, node2",
        ),
        (held(), "switchover", r#"{"two": "node2"}"#, 400, "unknown field `two`"),
        (held(), "switchover", r#"{"deadline_ms": 0}"#, 400, "`deadline_ms`"),
        (held(), "stop", r#"{"to": "node2"}"#, 400, "takes no `to`"),
        (held(), "pause", r#"{"for_ms": 0}"#, 400, "`for_ms`"),
        (held(), "pause", "{}", 400, "missing field `for_ms`"),
        (held(), "start", r#"{"to": "node2"}"#, 409, "`web` runs on node1"),
        (standby(), "restart", "", 409, "`web` runs on node2, not on node1"),
        (free(Next::Anyone), "switchover", "", 409, "nobody runs `web`"),
        (blind, "switchover", "", 503, "no answer within 1s"),
    ] {
        let server = serve(view).await;
        let told = server.post(&format!("/v1/services/web/{verb}"), body).await;
        let said = told.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(told.status == status && said.contains(words), "{verb} {body}: {} {said}", told.status);
        assert!(asked(&server).is_empty() && server.world.services.did.lock().unwrap().is_empty());
    }
    let server = serve(held()).await;
    for verb in ["switchover", "failover", "start", "stop", "restart", "pause", "resume", "init"] {
        let told = server.post(&format!("/v1/services/other/{verb}"), r#"{"for_ms": 1}"#).await;
        assert_eq!((told.status, told.error().as_str()), (404, "not_found"), "{verb}");
    }
    assert_eq!(server.get("/v1/services/other").await.status, 404);
}

#[tokio::test]
async fn the_second_one_who_asks_is_told_who_was_first_and_how_far_that_is() {
    let mut view = held();
    view.state.operation = Some(operation(Phase::Stopping { token: 6 }));
    let server = serve(view).await;
    *server.world.services.refuses.lock().unwrap() = Some(AskError::Busy { by: "alice".to_owned() });
    let told = server.post("/v1/services/web/switchover", "").await;
    assert_eq!((told.status, told.error().as_str()), (409, "busy"));
    let said = &told.json()["error"]["message"];
    assert_eq!(said, "alice was first and has asked for a switchover to node1, which is `stopping`");
}

#[tokio::test]
async fn consul_out_of_reach_is_told_with_its_reason() {
    let server = serve(held()).await;
    let why = "connection refused".to_owned();
    *server.world.services.refuses.lock().unwrap() = Some(AskError::Records { why });
    for (verb, body) in [("switchover", ""), ("pause", r#"{"for_ms": 1}"#), ("resume", ""), ("init", "")] {
        let told = server.post(&format!("/v1/services/web/{verb}"), body).await;
        assert_eq!((told.status, told.error().as_str()), (503, "unavailable"), "{verb}");
        assert_eq!(told.json()["error"]["message"], "connection refused");
    }
}

#[tokio::test]
async fn pauses_restarts_and_first_records_are_handed_on() {
    let server = serve(held()).await;
    for (verb, body) in [
        ("pause", r#"{"for_ms": 60000, "by": "bob", "why": " new disks "}"#),
        ("resume", r#"{"by": "bob"}"#),
        ("restart", ""),
        ("init", ""),
    ] {
        assert_eq!(server.post(&format!("/v1/services/web/{verb}"), body).await.status, 200, "{verb}");
    }
    let until = noon().wall.as_unix_millis() + 60_000;
    let pause = format!("pause web until {until} by bob: new disks");
    let did = server.world.services.did.lock().unwrap().clone();
    assert_eq!(did, [pause.as_str(), "resume web", "restart web", "init web"]);
}

#[tokio::test]
async fn each_service_has_its_gauges() {
    let page = serve(standby()).await.get("/metrics").await.body;
    let told: Vec<_> = page.lines().filter(|line| line.starts_with("lictor_service")).collect();
    assert_eq!(
        told,
        [
            "lictor_service_active{service=\"web\"} 0",
            "lictor_service_token{service=\"web\"} 7",
            "lictor_service_lease{service=\"web\",state=\"held\"} 0",
            "lictor_service_lease{service=\"web\",state=\"other\"} 1",
            "lictor_service_lease{service=\"web\",state=\"free\"} 0",
            "lictor_service_lease{service=\"web\",state=\"unknown\"} 0",
            "lictor_service_able{service=\"web\"} 1",
            "lictor_service_blind{service=\"web\"} 0",
            "lictor_service_paused{service=\"web\"} 0",
        ]
    );
}

#[tokio::test]
async fn what_follows_a_service_says_so() {
    let (mut view, past) = bad_day(noon());
    let (id, run) = view.runs.iter_mut().next_back().unwrap();
    let (id, remedy) = (*id, run.remedy.clone());
    let change = Change { service: "web".parse().unwrap(), role: Role::Active { token: 7 }, token: 7 };
    run.change = Some(change.clone());
    let hooks = Hooks { promote: Some(remedy.clone()), demote: Some(remedy.clone()) };
    Arc::make_mut(&mut view.plan).services.insert(change.service, hooks);
    let server = serve_world(World::new(view, past), None, &[], Limits::default()).await;
    let told = server.get(&format!("/v1/remedies/{remedy}")).await.json();
    assert_eq!(told["follows"], json!(["on_promote of web", "on_demote of web"]));
    let told = server.get(&format!("/v1/runs/{id}")).await.json();
    assert_eq!(told["follows"], json!({"service": "web", "role": "active", "token": 7}));
}

/// The section of the services on the page.
async fn section(view: ServiceView) -> String {
    let page = serve(view).await.get("/").await.body;
    let (_, rest) = page.split_once("<section class=\"services\"").expect("the page has no services");
    rest.split_once("</section>").unwrap().0.to_owned()
}

fn shows(shown: &str, parts: &[&str]) {
    for part in parts {
        assert!(shown.contains(part), "not shown: {part}\n{shown}");
    }
}

#[tokio::test]
async fn the_page_shows_where_a_service_runs_and_what_this_node_could_do() {
    let here = section(held()).await;
    shows(
        &here,
        &["runs on this node, token 7", "Here: runs, token 7", "It passes by itself between node1, node2."],
    );
    shows(
        &here,
        &[
            "paused</span> no node takes it over by itself until <time",
            "(for 1h), as bob wants it: new disks",
        ],
    );
    assert!(!here.contains("switchover from"), "what is done is not under way: {here}");
    let there = section(standby()).await;
    shows(
        &there,
        &["<li class=\"passing\">", "node2 has it, token 7", "Here: stopped; this node can run it"],
    );
    assert!(!there.contains("paused"), "{there}");
    let mut unable = standby();
    unable.state.able = Some(Err("web.service is masked".to_owned()));
    shows(
        &section(unable).await,
        &["<li class=\"warning\">", "stopped; this node cannot run it: web.service is masked"],
    );
    let stopped = section(free(Next::Nobody)).await;
    shows(&stopped, &["<li class=\"unknown\">", "nobody runs it: the service was stopped on purpose"]);
    shows(
        &section(free(Next::Anyone)).await,
        &["<li class=\"critical\">", "nobody runs it: it was given back"],
    );
    let mut starting = held();
    (starting.state.local, starting.believes) = (Local::Stopped, Some(7));
    shows(
        &section(starting).await,
        &["<li class=\"warning\">", "this node has it, token 7, and it does not run"],
    );
}

#[tokio::test]
async fn the_page_says_why_nobody_takes_it_over_and_what_cannot_be_seen() {
    let mut view = held();
    view.state.barred = Some("cluster/web names n9".to_owned());
    view.state.local = Local::Starting { token: 7 };
    shows(
        &section(view.clone()).await,
        &["but not by itself for now: cluster/web names n9.", "Here: is being started; this node can run it"],
    );
    (view.state.local, view.state.blind) = (Local::Unknown, true);
    shows(&section(view).await, &["this node neither keeps nor takes its lease"]);
}

#[tokio::test]
async fn the_page_shows_what_is_under_way_and_how_far_it_is() {
    for (phase, words) in [
        (Phase::Asked, "alice has asked for it"),
        (Phase::Ready, "node1 is ready; alice has asked for it"),
        (Phase::Stopping { token: 6 }, "it is being stopped where it runs; alice has asked for it"),
        (Phase::Handed, "it is stopped, and node1 is to start it; alice has asked for it"),
        (Phase::Failed { why: "no disk".to_owned() }, "has failed: no disk; alice had asked for it"),
    ] {
        let mut view = standby();
        view.state.operation = Some(operation(phase));
        shows(&section(view).await, &["\">switchover from node2 to node1</span>", words]);
    }
}

#[tokio::test]
async fn a_button_switches_a_service_over_and_is_there_only_when_that_can_be_asked_for() {
    let button = "<input type=\"hidden\" name=\"to\" value=\"node2\"><button id=\"move:web:node2\">Switch over to node2";
    let server = serve(held()).await;
    let page = server.get("/").await.body;
    shows(&page, &["action=\"/v1/services/web/switchover\"", button, "It is stopped on node1"]);
    assert!(!page.contains("value=\"node1\""), "it runs there already: {page}");
    let form = [("Accept", "text/html"), ("Content-Type", "application/x-www-form-urlencoded")];
    let press = || server.ask("POST", "/v1/services/web/switchover", &form, "to=node2");
    let done = press().await;
    assert_eq!((done.status, done.header("location")), (303, Some("/")));
    let to = What::Switchover { to: "node2".to_owned() };
    assert_eq!(asked(&server), [(to, Some("node1".to_owned()), "page".to_owned())]);
    *server.world.services.refuses.lock().unwrap() = Some(AskError::Busy { by: "alice".to_owned() });
    let refused = press().await;
    assert!(refused.status == 409 && refused.body.contains("<html"), "{refused:?}");
    shows(&refused.body, &["That is not possible now", "alice was first"]);
    assert!(!refused.body.contains("data-src=\"/"), "what went wrong is not renewed away");

    let mut under_way = held();
    under_way.state.operation = Some(operation(Phase::Asked));
    for view in [under_way, free(Next::Nobody), free(Next::Anyone)] {
        let shown = section(view).await;
        assert!(!shown.contains("/switchover"), "{shown}");
    }
}

#[tokio::test]
async fn what_people_write_is_shown_on_the_page_and_not_run() {
    let mut view = held();
    let Some(pause) = &mut view.state.pause else { panic!("it is not paused") };
    (pause.by, pause.why) = (HOSTILE.to_owned(), HOSTILE.to_owned());
    let asked = operation(Phase::Failed { why: HOSTILE.to_owned() });
    view.state.operation =
        Some(Operation { by: HOSTILE.to_owned(), from: Some(HOSTILE.to_owned()), ..asked });
    view.state.lease = LeaseState::Other { holder: HOSTILE.to_owned() };
    view.state.able = Some(Err(HOSTILE.to_owned()));
    let server = serve(view).await;
    for path in ["/", "/fragment"] {
        let page = server.get(path).await.body;
        assert_eq!(page.matches("&#60;script&#62;alert(1)").count(), 8, "{path}: {page}");
        for raw in ["<script>alert", "<img", "\u{1b}", "\u{202e}", "\0", " onerror=alert(2)>"] {
            assert!(!page.contains(raw), "{path}: {raw:?} is not escaped");
        }
    }
}

#[tokio::test]
async fn a_node_without_checks_says_how_its_services_are() {
    let headline = async |view: ServiceView| {
        let page = serve(view).await.get("/").await.body;
        let (_, rest) = page.split_once("<section class=\"hero ").unwrap();
        let tone = rest.split_once('"').unwrap().0.to_owned();
        let (_, rest) = rest.split_once("<h1 id=\"headline\">").unwrap();
        format!("{tone}: {}", rest.split_once("</h1>").unwrap().0)
    };
    assert_eq!(headline(standby()).await, "good: The service is well");
    assert_eq!(headline(free(Next::Nobody)).await, "good: The service is well");
    assert_eq!(headline(free(Next::Anyone)).await, "bad: The service is not well");
}

#[tokio::test]
async fn the_top_says_also_what_is_wrong_besides_services_that_are_well() {
    let world = World::new(empty(noon()), Vec::new());
    *world.services.views.lock().unwrap() = vec![standby()];
    world.copies.set(vec![copy(holding())]);
    let (tone, headline, besides) = top(serve_world(world, None, &[], Limits::default()).await).await;
    assert_eq!((tone.as_str(), headline.as_str()), ("warn", "The service is well"));
    assert_eq!(besides, "The configuration has no checks. Not all is well with the copies.");
}
