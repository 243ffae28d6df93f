//! The public page over real connections.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::StatusPage;
use lictor_core::{
    Boot, Check, CheckName, Command, Event, Incident, IncidentId, Now, Plan, Refusal, Sample, Status, Wall,
    What, alert,
};
use lictor_store::{Grain, Slot, Stood};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::*;
use crate::alert::AlertView;
use crate::inbox::Gone;
use crate::web::{End, EventQuery, Limits};
use crate::{NoAnswer, Tasks, View};

/// 2026-11-21T03:04:05Z.
const NOON: i64 = 1_795_230_245_000;

fn at(before_seconds: u64) -> Now {
    let millis = before_seconds * 1_000;
    let wall = Wall::from_unix_millis(NOON - i64::try_from(millis).unwrap());
    Now { boot: Boot::from_millis(100_000_000_000 - millis), wall }
}

fn name(text: &str) -> CheckName {
    CheckName::new(text).unwrap()
}

/// A node whose state is in the test's hands.
struct Node {
    view: Mutex<Option<Arc<View>>>,
    ledger: Mutex<Vec<Event>>,
    /// What the ledger was asked.
    asked: Mutex<Vec<EventQuery>>,
    /// How often it was asked how things stand.
    looks: AtomicUsize,
    /// How long that takes.
    waits: Duration,
}

impl Source for Node {
    fn view(&self) -> BoxFuture<'_, Result<Arc<View>, NoAnswer>> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let (view, waits) = (self.view.lock().unwrap().clone(), self.waits);
        Box::pin(async move {
            tokio::time::sleep(waits).await;
            view.ok_or(NoAnswer::Late)
        })
    }

    fn command(
        &self,
        _command: Command,
        _act: Option<lictor_store::Act>,
    ) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>> {
        unreachable!("the public page asks for nothing")
    }
}

impl Alerts for Node {
    fn view(&self) -> BoxFuture<'_, Result<Arc<AlertView>, NoAnswer>> {
        Box::pin(async { Err(NoAnswer::Gone) })
    }

    fn command(&self, _command: alert::Command) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>> {
        unreachable!("the public page asks for nothing")
    }

    fn forget(&self, _node: String, _by: String) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>> {
        unreachable!("the public page asks for nothing")
    }

    fn input(&self, _input: alert::Input) -> BoxFuture<'_, Result<(), Gone>> {
        unreachable!("the public page says nothing")
    }
}

impl History for Node {
    fn events(&self, query: &EventQuery) -> Result<Vec<(u64, Event)>, String> {
        self.asked.lock().unwrap().push(query.clone());
        let ledger = self.ledger.lock().unwrap();
        let all = (1..).zip(ledger.iter().cloned()).filter(|(seq, event)| query.matches(*seq, event));
        let mut found: Vec<_> = all.collect();
        match query.end {
            End::Oldest => found.truncate(query.limit),
            End::Newest => drop(found.drain(..found.len().saturating_sub(query.limit))),
        }
        Ok(found)
    }

    fn copy(&self) -> Result<File, String> {
        Err("there is nothing to copy".to_owned())
    }
}

fn check(status: Status, summary: &str) -> Arc<Check> {
    let mut check = Check::new(at(600));
    check.status = status;
    check.last = Some((at(3), Sample::new(status, summary)));
    Arc::new(check)
}

const SECRET: &str = "cannot reach http://10.0.0.7:8080/health as admin:hunter2";

/// A node with three checks, one of them critical, of which two are shown.
fn node() -> Arc<Node> {
    Arc::new(made_up())
}

fn made_up() -> Node {
    let checks: BTreeMap<_, _> = [
        ("web1-nginx", check(Status::Critical, SECRET)),
        ("db7-disk", check(Status::Passing, "41 % used of /dev/sda1")),
        ("payroll", check(Status::Critical, "nobody is paid")),
    ]
    .map(|(check, state)| (name(check), state))
    .into();
    let open = |id, check: &str, ago| Incident {
        id: IncidentId(id),
        check: name(check),
        opened: at(ago),
        closed: None,
        status: Status::Critical,
        worst: Status::Critical,
        summary: SECRET.to_owned(),
        escalated: false,
    };
    let incidents = [open(77, "web1-nginx", 600), open(78, "payroll", 60)];
    let view = View {
        at: at(0),
        plan: Arc::new(Plan::default()),
        checks,
        floods: BTreeMap::new(),
        runs: BTreeMap::new(),
        incidents: incidents.map(|incident| (incident.id, incident)).into(),
        cannot_record: None,
        withheld: false,
        leases: BTreeMap::new(),
        copies: None,
    };
    let ledger = vec![closed(69, "payroll", 9_000, 60), closed(70, "db7-disk", 7_200, 600)];
    Node {
        view: Mutex::new(Some(Arc::new(view))),
        ledger: Mutex::new(ledger),
        asked: Mutex::default(),
        looks: AtomicUsize::new(0),
        waits: Duration::ZERO,
    }
}

/// The end of an incident, so many seconds ago, after so many.
fn closed(id: u64, check: &str, ago: u64, lasted: u64) -> Event {
    Event {
        at: at(ago),
        incident: Some(IncidentId(id)),
        run: None,
        what: What::IncidentClosed {
            check: name(check),
            after: Duration::from_secs(lasted),
            why: Some(SECRET.to_owned()),
        },
    }
}

fn page(address: &str, lines: &str) -> Arc<StatusPage> {
    let watches: String = ["web1-nginx", "db7-disk", "payroll"]
        .iter()
        .map(|check| format!("watch \"heartbeat\" \"{check}\" {{\n within = \"1h\"\n}}\n"))
        .collect();
    let text = format!("{watches}status_page {{\n address = \"{address}\"\n{lines}\n}}\n");
    lictor_config::parse("x.hcl", &text).unwrap().config.status_page.unwrap()
}

const SHOP: &str = r#"
  title = "Shop & Co"
  url   = "https://status.shop.example"
  group "Shop" {
    description = "All that <customers> see"
    checks      = [check.web1-nginx]
    part "Data" {
      checks = [check.db7-disk]
    }
  }
  group "Data" {
    checks = [check.db7-disk]
  }
  announcement "A <new> house" {
    text  = "On Sunday & Monday"
    from  = "2026-11-20T00:00:00Z"
    until = "2026-11-30T00:00:00Z"
  }
  announcement "Next year" {
    text = "not yet"
    from = "2027-01-01T00:00:00Z"
  }
  announcement "Last year" {
    text  = "long ago"
    until = "2026-01-01T00:00:00Z"
  }"#;

fn sources(node: &Arc<Node>) -> Sources {
    let past = Past::default();
    let today = u32::try_from(NOON / 86_400_000).unwrap();
    let stood = Stood { passing: 80_000_000, critical: 6_400_000, ..Stood::default() };
    let checks = [(name("web1-nginx"), stood), (name("payroll"), stood)].into();
    past.take_up(at(0).wall, &[Slot { grain: Grain::Day, number: today, checks }], &[], &[]);
    let (source, history) = (Arc::<Node>::clone(node), Arc::<Node>::clone(node));
    Sources { source, history, alerts: Arc::<Node>::clone(node), past, node: "web1.internal".to_owned() }
}

async fn shown(node: &Arc<Node>, limits: Limits) -> (Keeper, SocketAddr, Tasks) {
    let tasks = Tasks::new();
    let mut keeper = Keeper::new(sources(node), limits, tasks.clone());
    keeper.apply(Some(&page("127.0.0.1:0", SHOP))).await.unwrap();
    let address = keeper.address().await.unwrap();
    (keeper, address, tasks)
}

async fn ask(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{request}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut text)).await??;
    Ok(text)
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: status.shop.example")).await.unwrap()
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

const EVERYTHING: [&str; 5] = ["/", "/status.json", "/feed.xml", "/badge/shop.svg", "/badge/data.svg"];

#[tokio::test]
async fn only_what_has_a_public_name_is_shown() {
    let node = node();
    let (_keeper, address, _tasks) = shown(&node, Limits::default()).await;
    for path in EVERYTHING {
        let answer = get(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        let inside = [
            "nginx",
            "db7",
            "payroll",
            "web1",
            "internal",
            "10.0.0.7",
            "hunter2",
            "cannot reach",
            "sda1",
            "paid",
            "i77",
            "i78",
            "i70",
            "lictor",
            "Lictor",
            "127.0.0.1",
        ];
        for secret in inside {
            assert!(!answer.contains(secret), "{secret} is told at {path}:\n{answer}");
        }
    }
}

#[tokio::test]
async fn the_page_says_how_each_group_stands_and_what_was() {
    let node = node();
    let (_keeper, address, _tasks) = shown(&node, Limits::default()).await;
    let front = get(address, "/").await;
    for part in [
        "<title>Shop is down · Shop &#38; Co</title>",
        "Shop has trouble since 2026-11-21 02:54 UTC.",
        "All that &#60;customers&#62; see",
        "A &#60;new&#62; house",
        "On Sunday &#38; Monday",
        "from 2026-11-20 00:00 UTC to 2026-11-30 00:00 UTC",
        "90 d&nbsp;<b>92.5 %</b>",
        "from 2026-11-21 00:54 UTC to 2026-11-21 01:04 UTC, 10m",
        "<path class=\"critical\" d=\"M356 8h4\"/>",
        "Nothing is kept of it yet.",
    ] {
        assert!(front.contains(part), "not shown: {part}\n{front}");
    }
    for hidden in ["Next year", "Last year", "<script", "<form"] {
        assert!(!front.contains(hidden), "{hidden}\n{front}");
    }
    let json = get(address, "/status.json").await;
    let json: serde_json::Value = serde_json::from_str(json.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((json["state"].as_str(), json["groups"][1]["state"].as_str()), (Some("down"), Some("up")));
    assert_eq!(json["groups"][0]["parts"][0]["name"], "Data");
    assert_eq!(json["groups"][0]["days"][0]["worst"], "critical");
    // That of the group it is a part of, and its own.
    assert_eq!(json["troubles"].as_array().unwrap().len(), 3);
    assert_eq!(json["announcements"].as_array().unwrap().len(), 1);
    let feed = get(address, "/feed.xml").await;
    for part in [
        "application/rss+xml",
        "<link>https://status.shop.example/</link>",
        "<title>A &#60;new&#62; house</title>",
        "<pubDate>Fri, 20 Nov 2026 00:00:00 GMT</pubDate>",
        "Shop has trouble since 2026-11-21 02:54 UTC.",
        "<title>Data: trouble, over</title>",
    ] {
        assert!(feed.contains(part), "not told: {part}\n{feed}");
    }
    let badge = get(address, "/badge/shop.svg").await;
    assert!(badge.contains("aria-label=\"Shop: down, 92.5 % in 90 d\""), "{badge}");
    assert_eq!(header(&badge, "cross-origin-resource-policy"), Some("cross-origin"));
    assert!(get(address, "/badge/payroll.svg").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn what_is_under_maintenance_is_no_trouble_while_that_lasts() {
    let node = node();
    let view = node.view.lock().unwrap().clone().unwrap();
    let window = alert::Silence {
        id: "move".to_owned(),
        when: alert::Matchers::default(),
        from: at(600),
        lasting: Duration::from_secs(3_600),
        by: alert::Silence::CONFIGURATION.to_owned(),
        comment: String::new(),
    };
    let (sources, closed) = (sources(&node), closed::Closed::default());
    let page = page("127.0.0.1:0", SHOP);
    let states = |windows: &[alert::Silence]| {
        let shown = shown::Shown::gather(&page, &view, windows, &sources, &closed, false);
        let open = shown.troubles.iter().filter(|trouble| trouble.until.is_none()).count();
        (shown.groups.iter().map(|group| group.state.word()).collect::<Vec<_>>(), open)
    };
    assert_eq!(states(&[]), (vec!["down", "up"], 1));
    assert_eq!(states(std::slice::from_ref(&window)), (vec!["maintenance", "up"], 0));
    let other = vec![alert::Pattern::Exactly("other".to_owned())];
    let other = alert::Matcher { label: "node".to_owned(), any: other, not: false };
    let elsewhere = alert::Silence { when: alert::Matchers(vec![other]), ..window };
    assert_eq!(states(&[elsewhere]), (vec!["down", "up"], 1));
}

#[tokio::test]
async fn planned_maintenance_is_shown_also_when_the_alerts_cannot_tell() {
    let node = node();
    // Its desk does not answer.
    let sources = sources(&node);
    sources.past.plan(&[crate::past::consul_in_maintenance()]);
    let site = Arc::new(Site::new(page("127.0.0.1:0", SHOP), sources, Tasks::new()));
    let json = site.papers().await.unwrap().json().body();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["groups"][0]["state"], "maintenance");
}

#[tokio::test]
async fn it_is_only_read_and_may_be_kept_by_who_has_it() {
    let node = node();
    let (_keeper, address, _tasks) = shown(&node, Limits::default()).await;
    for path in EVERYTHING {
        let first = get(address, path).await;
        assert_eq!(header(&first, "cache-control"), Some("public, max-age=15"), "{first}");
        assert_eq!(header(&first, "set-cookie"), None);
        assert_eq!(header(&first, "x-content-type-options"), Some("nosniff"));
        let policy = header(&first, "content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; img-src 'self';"), "{policy}");
        let tag = header(&first, "etag").unwrap();
        let again = format!("GET {path} HTTP/1.1\r\nHost: x\r\nIf-None-Match: W/{tag}, \"other\"");
        let again = ask(address, &again).await.unwrap();
        assert!(again.starts_with("HTTP/1.1 304"), "{again}");
        assert_eq!(again.split_once("\r\n\r\n").unwrap().1, "");
        let head = ask(address, &format!("HEAD {path} HTTP/1.1\r\nHost: x")).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
        for method in ["POST", "PUT", "DELETE"] {
            let answer =
                ask(address, &format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0")).await;
            assert!(answer.as_ref().unwrap().starts_with("HTTP/1.1 405"), "{answer:?}");
        }
    }
    for inside in ["/v1/status", "/metrics", "/-/healthy", "/checks/payroll", "/incidents/i77"] {
        assert!(get(address, inside).await.starts_with("HTTP/1.1 404"), "{inside}");
    }
    let style = crate::web::asset::ASSETS.style.clone();
    assert!(get(address, &style).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn names_and_words_of_the_configuration_are_text_in_all_that_is_given_out() {
    let evil = "<script>alert(1)</script>\"'&amp;\u{1b}[31m\u{202e}exe";
    let named = |what: &str| format!("{what} {evil}");
    let mut page = (*page("127.0.0.1:0", SHOP)).clone();
    page.title = named("title");
    page.description = Some(named("description"));
    for group in &mut page.groups {
        group.name = named(&group.name);
        group.description = Some(named("description"));
        group.parts.iter_mut().for_each(|part| part.name = named(&part.name));
    }
    for told in &mut page.announcements {
        (told.title, told.text) = (named("title"), named("text"));
    }
    let slug = page.groups[0].slug();
    assert_eq!(slug, "shop-script-alert-1-script-amp-31m-exe");
    let mut keeper = Keeper::new(sources(&node()), Limits::default(), Tasks::new());
    keeper.apply(Some(&Arc::new(page))).await.unwrap();
    let address = keeper.address().await.unwrap();
    for path in ["/", "/feed.xml", "/status.json", &format!("/badge/{slug}.svg")] {
        let answer = get(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r"\u{1b}[31m"), "{path}: {answer}");
        for raw in ["\u{1b}", "\u{202e}"] {
            assert!(!answer.contains(raw), "{path}: {raw:?}");
        }
        let json = path.ends_with("json");
        assert!(json || !answer.contains("<script"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn silent_clients_shut_nobody_out() {
    let node = node();
    let limits = Limits { connections: 3, ..Limits::default() };
    let (_keeper, address, _tasks) = shown(&node, limits).await;
    let mut silent = Vec::new();
    for _ in 0..12 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(get(address, "/").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_agent_that_does_not_say_how_it_is_is_no_reason_to_say_that_all_is_well() {
    let node = node();
    *node.view.lock().unwrap() = None;
    let (_keeper, address, _tasks) = shown(&node, Limits::default()).await;
    let answer = get(address, "/").await;
    assert!(answer.starts_with("HTTP/1.1 503") && header(&answer, "retry-after") == Some("30"), "{answer}");
}

#[tokio::test]
async fn a_page_whose_address_is_taken_is_shown_once_it_is_free() {
    let node = node();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let keeper = Keeper::new(sources(&node), Limits::default(), Tasks::new());
    let mut keeper = keeper.trying_each(Duration::from_millis(10));
    let refused = keeper.apply(Some(&page(&address.to_string(), SHOP))).await.unwrap_err();
    assert!(refused.ends_with("none is shown, and it is tried again every 10ms"), "{refused}");
    drop(taken);
    let shown = async {
        while keeper.address().await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), shown).await.unwrap();
    assert!(get(address, "/").await.contains("Shop is down"));
}

#[tokio::test]
async fn a_page_that_is_not_wanted_any_more_is_not_tried_again() {
    let node = node();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let keeper = Keeper::new(sources(&node), Limits::default(), Tasks::new());
    let mut keeper = keeper.trying_each(Duration::from_millis(10));
    keeper.apply(Some(&page(&address.to_string(), SHOP))).await.unwrap_err();
    keeper.apply(None).await.unwrap();
    drop(taken);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(keeper.address().await, None);
}

/// Asks on a connection that stays open; what comes back, nothing when it was closed.
async fn ask_on(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return String::new();
    }
    let (mut text, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut piece)).await.unwrap();
        let count = read.unwrap_or(0);
        text.extend_from_slice(&piece[..count]);
        let said = String::from_utf8_lossy(&text).into_owned();
        let length = header(&said, "content-length").and_then(|length| length.parse::<usize>().ok());
        let body = said.split_once("\r\n\r\n").map(|(_, body)| body.len());
        if count == 0 || length.zip(body).is_some_and(|(length, body)| body >= length) {
            return said;
        }
    }
}

#[tokio::test]
async fn a_page_that_was_taken_away_is_not_told_on_connections_that_stayed_open() {
    let node = node();
    let (mut keeper, address, _tasks) = shown(&node, Limits::default()).await;
    let mut kept = TcpStream::connect(address).await.unwrap();
    assert!(ask_on(&mut kept, "/status.json").await.contains("Shop"));
    keeper.apply(None).await.unwrap();
    assert_eq!(ask_on(&mut kept, "/status.json").await, "");
}

fn site(node: &Arc<Node>) -> Arc<Site> {
    Arc::new(Site::new(page("127.0.0.1:0", SHOP), sources(node), Tasks::new()))
}

/// The troubles of the page, each with when it was over.
async fn troubles(site: &Arc<Site>) -> Vec<(String, String)> {
    let json = site.papers().await.unwrap().json().body();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("open").to_owned();
    let troubles = json["troubles"].as_array().unwrap();
    troubles.iter().map(|one| (text(&one["group"]), text(&one["until"]))).collect()
}

#[tokio::test(start_paused = true)]
async fn the_ledger_is_read_once_and_then_only_what_is_new() {
    let node = node();
    let site = site(&node);
    assert_eq!(troubles(&site).await.len(), 3);
    node.ledger.lock().unwrap().push(closed(71, "db7-disk", 3_600, 60));
    node.asked.lock().unwrap().clear();
    tokio::time::advance(Duration::from_secs(6)).await;
    let found = troubles(&site).await;
    let over = found.iter().filter(|(group, until)| group == "Data" && until == "2026-11-21T02:04:05.000Z");
    assert_eq!(over.count(), 1, "{found:?}");
    let asked = node.asked.lock().unwrap();
    let read = asked.iter().filter(|query| query.limit > 1).map(|query| (query.after, query.before));
    assert_eq!(read.collect::<Vec<_>>(), [(Some(2), Some(4))]);
}

/// The id of what the feed says of a group, and whether it is over.
async fn in_feed(site: &Arc<Site>, group: &str) -> Vec<(String, bool)> {
    let feed = String::from_utf8(site.papers().await.unwrap().feed().body().to_vec()).unwrap();
    let items = feed.split("<item>").skip(1).filter(|item| item.contains(&format!("{group}: trouble")));
    let id = |item: &str| item.split_once("<guid").unwrap().1.split('<').next().unwrap().to_owned();
    items.map(|item| (id(item), item.contains("trouble, over"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_trouble_keeps_its_id_when_it_is_over() {
    let node = node();
    let site = site(&node);
    let open = in_feed(&site, "Shop").await.into_iter().find(|(_, over)| !over).unwrap().0;
    let mut view = (*node.view.lock().unwrap().clone().unwrap()).clone();
    view.incidents.remove(&IncidentId(77));
    *node.view.lock().unwrap() = Some(Arc::new(view));
    // The two clocks do not agree to the second on when it began.
    node.ledger.lock().unwrap().push(closed(77, "web1-nginx", 0, 599));
    tokio::time::advance(Duration::from_secs(6)).await;
    let found = in_feed(&site, "Shop").await;
    assert!(found.contains(&(open.clone(), true)), "{open} is not in {found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_slow_is_made_all_the_same() {
    let node = Arc::new(Node { waits: Duration::from_secs(40), ..made_up() });
    let site = site(&node);
    // Two that wait and one that leaves at once: none has it in time, and it is made once.
    let leaves = tokio::time::timeout(Duration::from_secs(1), site.papers());
    let (one, other, left) = tokio::join!(site.papers(), site.papers(), leaves);
    assert!(one.is_none() && other.is_none() && left.is_err());
    tokio::time::sleep(Duration::from_secs(26)).await;
    assert!(site.papers().await.is_some());
    assert_eq!(node.looks.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_not_asked_by_everybody_and_holds_up_no_reload() {
    let node = Arc::new(Node { waits: Duration::from_secs(14), ..made_up() });
    *node.view.lock().unwrap() = None;
    let site = site(&node);
    let begun = Instant::now();
    let all = futures::future::join_all((0..50).map(|_| site.papers()));
    let reload = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        site.change(page("127.0.0.1:0", SHOP));
        begun.elapsed()
    };
    let (all, changed) = tokio::join!(all, reload);
    assert!(all.iter().all(Option::is_none) && begun.elapsed() < Duration::from_secs(15));
    assert!(changed < Duration::from_secs(2), "{changed:?}");
    assert!(site.papers().await.is_none() && site.papers().await.is_none());
    assert_eq!(node.looks.load(Ordering::Relaxed), 2, "once for each page");
}

#[tokio::test]
async fn a_reload_changes_what_is_shown_and_where() {
    let node = node();
    let (mut keeper, first, _tasks) = shown(&node, Limits::default()).await;
    assert!(get(first, "/").await.contains("Shop is down"));
    let other = "group \"Office\" {\n checks = [check.db7-disk]\n }";
    keeper.apply(Some(&page("127.0.0.1:0", other))).await.unwrap();
    let front = get(first, "/").await;
    assert!(front.contains("All is well") && front.contains("Office") && !front.contains("Shop"), "{front}");
    // Another address, which is taken: it stays where it is.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = keeper.apply(Some(&page(&taken.local_addr().unwrap().to_string(), SHOP))).await;
    assert!(refused.unwrap_err().starts_with("cannot listen at 127.0.0.1:"));
    assert!(get(first, "/").await.contains("Office"));
    let free = SocketAddr::from(([127, 0, 0, 1], lictor_testkit::ports::free()));
    keeper.apply(Some(&page(&free.to_string(), SHOP))).await.unwrap();
    assert!(get(free, "/").await.contains("Shop is down"));
    assert!(TcpStream::connect(first).await.is_err(), "the first one is still there");
    // The same port, of all addresses: the old one is in the way.
    keeper.apply(Some(&page(&format!("0.0.0.0:{}", free.port()), SHOP))).await.unwrap();
    assert!(get(free, "/").await.contains("Shop is down"));
    keeper.apply(None).await.unwrap();
    assert!(TcpStream::connect(free).await.is_err(), "it is still there");
}
