//! Notifiers against services that answer, refuse and fail.

use std::fs;
use std::time::Duration;

use lictor_agent::Clock;
use lictor_agent::alert::notify::{Notifiers, sample};
use lictor_config::{Config, parse};
use lictor_core::NotifierName;
use lictor_core::alert::{Message, Tells, Verdict};
use lictor_testkit::alertmanager::Alertmanager;
use lictor_testkit::influxdb::Influxdb;
use lictor_testkit::service::{Answer, Fault, Service, faulty};
use tempfile::TempDir;

/// One notifier, called `n`.
pub(crate) struct Rig {
    notifiers: Notifiers,
    config: Config,
}

impl Rig {
    pub(crate) fn new(kind: &str, lines: &str) -> Self {
        let text = format!("notify \"{kind}\" \"n\" {{\n{lines}\n}}");
        let config = match parse("x.hcl", &text) {
            Ok(loaded) => loaded.config,
            Err(failure) => panic!("{:?}", failure.lines().collect::<Vec<_>>()),
        };
        Self { notifiers: Notifiers::new(&config, Clock::fresh()), config }
    }

    pub(crate) fn message(&self, resolved: bool) -> Message {
        sample(&self.config, &name(), &Clock::fresh(), resolved)
    }

    pub(crate) async fn send(&self, message: &Message) -> Verdict {
        self.notifiers.send(&name(), message).await
    }

    pub(crate) async fn try_it(&self) -> Verdict {
        self.send(&self.message(false)).await
    }
}

fn name() -> NotifierName {
    NotifierName::new("n").unwrap()
}

#[track_caller]
pub(crate) fn refused(verdict: &Verdict) -> (String, bool, Option<Duration>) {
    match verdict {
        Verdict::Refused { why, retry_after, for_good } => (why.clone(), *for_good, *retry_after),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn unclear(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Unclear { why, .. } => why.clone(),
        other => panic!("{other:?}"),
    }
}

fn http(service: &str) -> Rig {
    Rig::new("http", &format!("url = \"{service}/hook\"\ntimeout = \"2s\""))
}

#[tokio::test]
async fn what_is_accepted_arrived_once_and_under_its_id() {
    let service = Service::start(|_call| Answer::new(200, ""));
    let rig = http(&service.url());
    let message = rig.message(false);
    assert_eq!(rig.send(&message).await, Verdict::Accepted);
    let calls = service.calls();
    assert_eq!((calls.len(), calls[0].method.as_str(), calls[0].path.as_str()), (1, "POST", "/hook"));
    assert_eq!(calls[0].headers["idempotency-key"], message.id);
    let body: serde_json::Value = serde_json::from_str(&calls[0].body).unwrap();
    assert_eq!(body["title"], "CRITICAL: test of this notifier");
}

#[tokio::test]
async fn a_service_under_load_says_when_to_come_again() {
    let service = Service::start(|_call| Answer::new(429, "{\"ok\":false}").with("Retry-After", 7));
    let (why, for_good, after) = refused(&http(&service.url()).try_it().await);
    assert_eq!((for_good, after), (false, Some(Duration::from_secs(7))), "{why}");
    let service = Service::start(|_call| {
        Answer::new(429, r#"{"ok":false,"error_code":429,"parameters":{"retry_after":35}}"#)
    });
    let rig = Rig::new(
        "telegram",
        &format!("url = \"{}\"\ntoken = \"123:secret-token\"\nchat_id = \"5\"", service.url()),
    );
    let (why, for_good, after) = refused(&rig.try_it().await);
    assert_eq!((for_good, after), (false, Some(Duration::from_secs(35))), "{why}");
    assert_eq!(service.calls()[0].path, "/bot123:secret-token/sendMessage");
}

#[tokio::test]
async fn an_error_of_the_server_leaves_it_unclear() {
    let service = Service::start(|_call| Answer::new(500, "oops\n"));
    assert_eq!(unclear(&http(&service.url()).try_it().await), "status 500: oops");
}

#[tokio::test]
async fn a_connection_refused_is_a_refusal() {
    let service = Service::start(|_call| Answer::new(200, ""));
    let rig = http(&service.url());
    assert_eq!(rig.try_it().await, Verdict::Accepted);
    service.stop();
    let (why, for_good, _) = refused(&rig.try_it().await);
    assert!(!for_good && why.starts_with("never sent: ") && why.contains("efused"), "{why}");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_refusal() {
    let (why, for_good, _) = refused(&http("http://nobody.invalid").try_it().await);
    assert!(!for_good && why.starts_with("never sent: "), "{why}");
}

#[tokio::test]
async fn what_speaks_no_tls_is_a_refusal() {
    let service = Service::start(|_call| Answer::new(200, ""));
    let rig = http(&service.url().replace("http://", "https://"));
    let (why, for_good, _) = refused(&rig.try_it().await);
    assert!(!for_good && why.starts_with("never sent: "), "{why}");
    assert!(service.calls().is_empty());
}

#[tokio::test]
async fn an_answer_that_says_nothing_leaves_it_unclear() {
    for fault in [Fault::Hangs, Fault::Closes, Fault::Crawls, Fault::BreaksOff, Fault::Babbles] {
        let rig = http(&format!("http://{}", faulty(fault)));
        let why = unclear(&rig.try_it().await);
        assert!(!why.is_empty(), "{fault:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let url = format!("http://{}", faulty(Fault::Floods));
    assert_eq!(http(&url).try_it().await, Verdict::Accepted);
    // Where its words count, those are not the ones.
    let rig =
        Rig::new("telegram", &format!("url = \"{url}\"\ntoken = \"123:secret-token\"\nchat_id = \"5\""));
    unclear(&rig.try_it().await);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Service::start(|_call| Answer::new(200, ""));
    let to = other.url();
    let service = Service::start(move |_call| Answer::new(307, "").with("Location", &to));
    let (why, for_good, _) = refused(&http(&service.url()).try_it().await);
    assert!(!for_good && why.contains("307"), "{why}");
    assert!(other.calls().is_empty(), "a secret would have gone there");
}

#[tokio::test]
async fn a_secret_that_has_changed_is_read_once_more() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, "old-token\n").unwrap();
    let path = file.clone();
    // It is renewed while the first request is under way.
    let service = Service::start(move |call| {
        fs::write(&path, "new-token\n").unwrap();
        let known = call.headers.get("x-gotify-key").is_some_and(|token| token == "new-token");
        if known { Answer::new(200, "{}") } else { Answer::new(401, "bad token old-token") }
    });
    let rig =
        Rig::new("gotify", &format!("url = \"{}\"\ntoken_file = \"{}\"", service.url(), file.display()));
    assert_eq!(rig.try_it().await, Verdict::Accepted);
    assert_eq!(service.calls().len(), 2);
}

#[tokio::test]
async fn a_secret_that_stays_wrong_is_tried_once_and_not_shown() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, "old-token\n").unwrap();
    let service = Service::start(|_call| Answer::new(401, "bad token old-token"));
    let rig =
        Rig::new("gotify", &format!("url = \"{}\"\ntoken_file = \"{}\"", service.url(), file.display()));
    let (why, for_good, _) = refused(&rig.try_it().await);
    assert_eq!((why.as_str(), for_good), ("status 401: bad token ***", true));
    assert_eq!(service.calls().len(), 1);
    fs::remove_file(&file).unwrap();
    let (why, for_good, _) = refused(&rig.try_it().await);
    assert!(!for_good && why.contains("cannot read the secret"), "{why}");
}

#[tokio::test]
async fn only_a_proxy_that_is_configured_is_used() {
    let proxy = Service::start(|_call| Answer::new(200, "through"));
    let rig = Rig::new("http", &format!("url = \"http://nobody.invalid/x\"\nproxy = \"{}\"", proxy.url()));
    assert_eq!(rig.try_it().await, Verdict::Accepted);
    assert_eq!(proxy.calls()[0].headers["host"], "nobody.invalid");
}

#[tokio::test]
async fn one_that_hangs_holds_up_no_other() {
    let service = Service::start(|_call| Answer::new(200, ""));
    let text = format!(
        "notify \"http\" \"bad\" {{\n url = \"http://{}\"\n timeout = \"10m\"\n}}\nnotify \"http\" \"n\" {{\n url = \"{}\"\n}}",
        faulty(Fault::Hangs),
        service.url()
    );
    let config = parse("x.hcl", &text).unwrap().config;
    let notifiers = Notifiers::new(&config, Clock::fresh());
    let (bad, good) = (NotifierName::new("bad").unwrap(), name());
    let message = sample(&config, &name(), &Clock::fresh(), false);
    tokio::select! {
        verdict = notifiers.send(&bad, &message) => panic!("{verdict:?}"),
        verdict = notifiers.send(&good, &message) => assert_eq!(verdict, Verdict::Accepted),
    }
}

#[tokio::test]
async fn a_file_that_is_moved_away_is_made_anew() {
    let dir = TempDir::new().unwrap();
    let (path, aside) = (dir.path().join("alerts.log"), dir.path().join("alerts.log.1"));
    let rig = Rig::new("log", &format!("path = \"{}\"", path.display()));
    assert_eq!(rig.try_it().await, Verdict::Accepted);
    fs::rename(&path, &aside).unwrap();
    assert_eq!(rig.try_it().await, Verdict::Accepted);
    assert_eq!(rig.try_it().await, Verdict::Accepted);
    let lines = |path| fs::read_to_string(path).unwrap().lines().count();
    assert_eq!((lines(&aside), lines(&path)), (1, 2));
    let nowhere = Rig::new("log", &format!("path = \"{}/no/alerts.log\"", dir.path().display()));
    let (why, for_good, _) = refused(&nowhere.try_it().await);
    assert!(!for_good && why.contains("/no/alerts.log"), "{why}");
}

#[tokio::test]
async fn a_program_is_given_the_message() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("out");
    let program = |script: &str, more: &str| {
        let command = format!(
            "command = [\"/bin/sh\", \"-c\", {:?}]\n{more}",
            script.replace("OUT", &out.display().to_string())
        );
        Rig::new("exec", &command)
    };
    assert_eq!(program("cat > OUT", "").try_it().await, Verdict::Accepted);
    let told: serde_json::Value = serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(told["items"][0]["status"], "critical");
    // One that does not want to know.
    assert_eq!(program("exit 0", "").try_it().await, Verdict::Accepted);
    let (why, for_good, _) = refused(&program("echo no room >&2; exit 3", "").try_it().await);
    assert!(!for_good && why.ends_with("exit status: 3: no room"), "{why}");
    unclear(&program("kill -9 $$", "").try_it().await);
    let late = unclear(&program("sleep 600", "timeout = \"300ms\"").try_it().await);
    assert!(late.contains("did not end within 300ms"), "{late}");
    let (why, _, _) = refused(&Rig::new("exec", "command = [\"/nowhere/x\"]").try_it().await);
    assert!(why.contains("/nowhere/x"), "{why}");
}

#[tokio::test]
async fn a_real_alertmanager_fires_and_is_told_that_it_is_over() {
    let (one, other) =
        (Alertmanager::start("http://127.0.0.1:9/", ""), Alertmanager::start("http://127.0.0.1:9/", ""));
    let urls = format!("urls = [\"http://{}\", \"http://{}\"]", one.address(), other.address());
    let rig = Rig::new("alertmanager", &urls);
    let message = rig.message(false);
    assert_eq!(rig.send(&message).await, Verdict::Accepted, "{}", one.output());
    for server in [&one, &other] {
        let alerts = server.alerts();
        assert_eq!(alerts.as_array().unwrap().len(), 1, "{alerts}");
        assert_eq!(alerts[0]["labels"]["alertname"], "test");
        assert_eq!(alerts[0]["labels"]["severity"], "critical");
        assert_eq!(alerts[0]["status"]["state"], "active");
    }
    // The same again is the same alert.
    assert_eq!(rig.send(&message).await, Verdict::Accepted);
    assert_eq!(one.alerts().as_array().unwrap().len(), 1);
    let mut over = rig.message(true);
    over.items[0].incident.clone_from(&message.items[0].incident);
    assert_eq!(rig.send(&over).await, Verdict::Accepted);
    for server in [&one, &other] {
        assert_eq!(server.alerts().as_array().map(Vec::len), Some(0), "{}", server.alerts());
    }
}

#[tokio::test]
async fn all_alertmanagers_must_take_it() {
    let one = Alertmanager::start("http://127.0.0.1:9/", "");
    let gone = Service::start(|_call| Answer::new(200, ""));
    let urls = format!("urls = [\"{}\", \"http://{}\"]", gone.url(), one.address());
    gone.stop();
    let (why, for_good, _) = refused(&Rig::new("alertmanager", &urls).try_it().await);
    assert!(!for_good, "{why}");
    assert_eq!(one.alerts().as_array().unwrap().len(), 1, "the other has it all the same");
}

#[tokio::test]
async fn a_real_influxdb_has_a_point_for_each_alert() {
    let server = Influxdb::start("alerts", Some(("me", "hunter2")));
    let lines = |password: &str, database: &str| {
        let url = format!("http://{}", server.address());
        Rig::new(
            "influxdb",
            &format!("url = \"{url}\"\ndatabase = \"{database}\"\nuser = \"me\"\npassword = \"{password}\""),
        )
    };
    let rig = lines("hunter2", "alerts");
    let mut message = rig.message(false);
    let mut second = message.items[0].clone();
    second.tells = Tells::Reminder;
    second.key = lictor_core::alert::SubjectKey::own("two", "x,y =z");
    second.labels.insert("node".to_owned(), "a, b=c\\".to_owned());
    second.output = "a \"quoted\"\nline \\".to_owned();
    message.items.push(second);
    assert_eq!(rig.send(&message).await, Verdict::Accepted);
    // Twice is once.
    assert_eq!(rig.send(&message).await, Verdict::Accepted);
    let found = server.ask("SELECT node, status, level, output FROM alerts..lictor ORDER BY time");
    let rows = found["results"][0]["series"][0]["values"].as_array().unwrap_or_else(|| panic!("{found}"));
    assert_eq!(rows.len(), 2, "{found}");
    let row = rows.iter().find(|row| row[1] == "a, b=c").unwrap_or_else(|| panic!("{found}"));
    assert_eq!((&row[2], &row[3], &row[4]), (&"critical".into(), &2.into(), &"a \"quoted\"\nline \\".into()));
    let (why, for_good, _) = refused(&lines("wrong-password", "alerts").try_it().await);
    assert!(for_good && why.contains("401") && !why.contains("wrong-password"), "{why}");
    let (why, for_good, _) = refused(&lines("hunter2", "nowhere").try_it().await);
    assert!(for_good && why.contains("404"), "{why}");
}
