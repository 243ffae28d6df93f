use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::*;

fn settings() -> Settings {
    Settings {
        targets: Vec::new(),
        looking: Looking::OnDemand(Duration::ZERO),
        timeout: Duration::from_secs(5),
        volumes: Some(vec!["/".into()]),
        checks: Vec::new(),
        auth_file: None,
        tls: None,
        manner: Manner::Usual,
    }
}

async fn once(settings: Settings, sources: Sources, head: &str) -> String {
    let site = Site::new(settings, sources, &Tasks::new()).unwrap();
    String::from_utf8(site.once(head.as_bytes()).await).unwrap()
}

fn json(answer: &str) -> Value {
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"), "{answer}");
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

#[tokio::test]
async fn each_page_shows_its_part() {
    let get = |path: &'static str| async move {
        json(&once(settings(), Sources::none(), &format!("GET {path} HTTP/1.1\r\n\r\n")).await)
    };
    assert_eq!(get("/status").await, serde_json::json!({"checks": [], "summary": {"total": 0, "ok": 0}}));
    assert_eq!(get("/disk").await["volumes"][0]["mount"], "/");
    let all = get("/").await;
    assert_eq!(all["status"]["summary"]["total"], 0);
    assert_eq!(all["disk"]["volumes"][0]["mount"], "/");
}

#[tokio::test]
async fn nobody_is_told_what_there_is_without_a_password() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("users");
    fs::write(&file, "ann:secret\n").unwrap();
    for manner in [Manner::Usual, Manner::Literal] {
        let settings = || Settings { auth_file: Some(file.clone()), manner, ..settings() };
        let shown = STANDARD.encode("ann:secret");
        for path in ["/", "/status", "/nothing"] {
            let refused = once(settings(), Sources::none(), &format!("GET {path} HTTP/1.1\r\n\r\n")).await;
            assert!(refused.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{path}: {refused}");
        }
        let head = format!("GET /status HTTP/1.1\r\nauthorization: bAsIc {shown}\r\n\r\n");
        assert_eq!(json(&once(settings(), Sources::none(), &head).await)["summary"]["total"], 0);
        let gone = Settings { auth_file: Some(dir.path().join("gone")), ..settings() };
        let refused = once(gone, Sources::none(), &head).await;
        assert!(refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{refused}");
    }
}

#[tokio::test]
async fn the_mesh_is_shown_to_those_who_ask_for_it() {
    let sources =
        |mesh: Option<MeshAnswer>| Sources { mesh: Arc::new(move || mesh.clone()), ..Sources::none() };
    let mesh = MeshAnswer { node: "node1".into(), sees: Vec::new() };
    let plain = "GET /status HTTP/1.1\r\n\r\n";
    let asks = "GET /status HTTP/1.1\r\nAccept: application/vnd.lictor.mesh+json, application/json\r\n\r\n";
    let answer = json(&once(settings(), sources(Some(mesh.clone())), asks).await);
    assert_eq!(answer["mesh"], serde_json::json!({"version": 1, "node": "node1", "sees": []}));
    assert_eq!(answer["summary"]["total"], 0);
    assert_eq!(json(&once(settings(), sources(Some(mesh)), plain).await).get("mesh"), None);
    assert_eq!(json(&once(settings(), sources(None), asks).await).get("mesh"), None);
}

#[tokio::test]
async fn checks_stand_beside_the_urls() {
    use crate::View;
    use crate::inbox::Message;

    let (sender, mut messages) = tokio::sync::mpsc::channel(4);
    let inbox = Inbox(sender);
    let clock = crate::Clock::fresh();
    let statuses =
        [("p", Status::Passing), ("w", Status::Warning), ("c", Status::Critical), ("u", Status::Unknown)];
    let plan: Arc<lictor_core::Plan> = Arc::default();
    let mut checks = BTreeMap::new();
    for (name, status) in statuses {
        let mut check = lictor_core::Check::new(clock.now());
        check.status = status;
        checks.insert(name.parse().unwrap(), Arc::new(check));
    }
    let view = Arc::new(View {
        at: clock.now(),
        plan,
        checks,
        floods: BTreeMap::new(),
        runs: BTreeMap::new(),
        incidents: BTreeMap::new(),
        cannot_record: None,
        withheld: false,
        leases: BTreeMap::new(),
        copies: None,
    });
    let engine = async {
        while let Some(message) = messages.recv().await {
            if let Message::View(reader) = message {
                reader.send(Arc::clone(&view)).unwrap();
            }
        }
    };
    let names = ["p", "w", "c", "u", "gone"].map(|name| name.parse().unwrap()).to_vec();
    let settings = Settings { checks: names, targets: vec![Target::written("ftp://x")], ..settings() };
    let sources = Sources { inbox: Some(inbox), ..Sources::none() };
    let answer = tokio::select! {
        answer = once(settings, sources, "GET /status HTTP/1.1\r\n\r\n") => json(&answer),
        () = engine => panic!("nobody asks any more"),
    };
    let shown: Vec<String> = answer["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {} {}", one["url"], one["code"], one["ok"]))
        .collect();
    assert_eq!(
        shown,
        [
            "\"ftp://x\" 0 false",
            "\"check:p\" 200 true",
            "\"check:w\" 200 true",
            "\"check:c\" 0 false",
            "\"check:u\" 0 false",
            "\"check:gone\" 0 false"
        ]
    );
    assert_eq!(answer["summary"], serde_json::json!({"total": 6, "ok": 2}));
}
