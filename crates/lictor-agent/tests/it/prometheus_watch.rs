//! The Prometheus watcher against a real Prometheus that scrapes a real exporter.
#![cfg(test)]

use lictor_core::{Sample, Value};
use lictor_testkit::prometheus::{Exporter, Guard, Prometheus};

use crate::watch_rig::{Rig, number, told};
use crate::whole_rig::{Whole, certificates, watch_of};

fn watch(prometheus: &Prometheus, query: &str, more: &str) -> lictor_config::Watch {
    watch_of(&block(&format!("http://{}", prometheus.address()), query, more))
}

fn block(url: &str, query: &str, more: &str) -> String {
    let query = query.replace('\\', "\\\\").replace('"', "\\\"");
    format!("watch \"prometheus\" \"x\" {{\n  url = \"{url}\"\n  query = \"{query}\"\n{more}\n}}\n")
}

fn text(sample: &Sample, name: &str) -> Option<String> {
    match sample.value(&name.parse().unwrap()) {
        Some(Value::Text(text)) => Some(text.clone()),
        Some(Value::Number(_)) | None => None,
    }
}

/// A sync that is under way, as the exporter of a node tells of it.
fn node(ibd: &str, blocks: u32) -> String {
    format!(
        "bitcoin_ibd {ibd}\nbitcoin_blocks {blocks}\ndisk_used{{disk=\"a b\"}} 20\ndisk_used{{disk=\"c\"}} 95\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_result_says_what_it_says_and_no_number_is_no_data() {
    let exporter = Exporter::start(&node("1", 500_000));
    let prometheus = Prometheus::start(&[exporter.address()]);
    prometheus.until("bitcoin_ibd", r#""1"]"#);
    let rig = Rig::new();
    let see = async |query: &str, more: &str| rig.sample(&watch(&prometheus, query, more)).await;

    let one = see("bitcoin_ibd", "").await;
    assert_eq!((told(&one).as_str(), number(&one, "value")), ("passing: bitcoin_ibd is 1", Some(1.0)));
    assert_eq!(
        told(&see("scalar(bitcoin_blocks) / 2", "").await),
        "passing: scalar(bitcoin_blocks) / 2 is 250000"
    );
    let string = see("\"a word\"", "").await;
    assert_eq!(
        (told(&string).as_str(), text(&string, "value").as_deref()),
        ("passing: \"a word\" is `a word`", Some("a word"))
    );
    // What has to be escaped on the way arrives as it is.
    let escaped = see("disk_used{disk=\"a b\"} + 0 * 100 % 7 > 0 != 5", "").await;
    assert_eq!(number(&escaped, "value"), Some(20.0), "{}", escaped.summary);
    let long = format!("bitcoin_ibd{}", " + 0".repeat(2_000));
    assert_eq!(number(&see(&long, "").await, "value"), Some(1.0), "a long query");

    let many = see("disk_used", "label = \"disk\"\nwarning = \"> 80\"\ncritical = \"> 99\"").await;
    let summary = "warning: 1 of 2 series of disk_used: disk_used{disk=\"c\"";
    assert!(
        told(&many).starts_with(summary) && told(&many).ends_with("is 95, which is > 80"),
        "{}",
        told(&many)
    );
    assert_eq!((number(&many, "value:a_b"), number(&many, "value:c")), (Some(20.0), Some(95.0)));
    assert_eq!(
        (number(&many, "lowest"), number(&many, "highest"), number(&many, "series")),
        (Some(20.0), Some(95.0), Some(2.0))
    );

    let none = see("no_such_metric", "critical = \"== 0\"").await;
    assert_eq!(
        (told(&none).as_str(), number(&none, "value")),
        ("unknown: no_such_metric has no result", None)
    );
    assert!(told(&see("no_such_metric", "empty = \"passing\"").await).starts_with("passing: "));
    let nan = see("bitcoin_ibd * NaN", "critical = \"== 0\"").await;
    assert_eq!(
        (told(&nan).as_str(), number(&nan, "value")),
        ("unknown: bitcoin_ibd * NaN is no number (`NaN`)", None)
    );
    assert!(told(&see("bitcoin_ibd / 0", "critical = \"> 90\"").await).starts_with("critical: "));
    let range = see("bitcoin_ibd[5m]", "").await;
    assert!(told(&range).contains("gives the values of a whole range"), "{}", told(&range));
    // Refused with status 400, and the server's own words.
    let wrong = told(&see("sum(", "").await);
    assert!(
        wrong.starts_with("unknown: ")
            && wrong.contains("refuses the query (bad_data)")
            && wrong.contains("unclosed left parenthesis"),
        "{wrong}"
    );

    // The exporter is gone: Prometheus has no series any more, which is not a 0.
    exporter.stop();
    prometheus.until("bitcoin_ibd", r#""result":[]"#);
    assert_eq!(told(&see("bitcoin_ibd", "critical = \"< 1\"").await), "unknown: bitcoin_ibd has no result");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_hangs_or_comes_back_is_never_a_value() {
    let exporter = Exporter::start("m 7\n");
    let mut prometheus = Prometheus::start(&[exporter.address()]);
    prometheus.until("m", r#""7"]"#);
    let rig = Rig::new();
    let wanted = watch(&prometheus, "m", "timeout = \"500ms\"\ncritical = \"== 0\"");
    let at = format!("the Prometheus at http://{}", prometheus.address());
    assert_eq!(rig.see(&wanted).await, "passing: m is 7");
    prometheus.pause();
    let hung = rig.see(&wanted).await;
    assert!(hung.starts_with(&format!("unknown: {at} ")), "{hung}");
    prometheus.resume();
    prometheus.kill();
    let away = rig.see(&wanted).await;
    assert!(away.starts_with(&format!("unknown: {at} is not reached: ")), "{away}");
    prometheus.restart();
    prometheus.until("m", r#""7"]"#);
    assert_eq!(rig.see(&wanted).await, "passing: m is 7");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_its_password_over_tls_and_nowhere_else() {
    let (authority, certificate, key) = certificates("prometheus.test");
    // The bcrypt hash of `of-the-tests`.
    let hash = "$2b$04$abcdefghijklmnopqrstuu8m01/OKKeqe.KVCwALriSagTRDKwHHe";
    let users = vec![("watcher".to_owned(), hash.to_owned())];
    let guard = Guard { tls: Some((certificate, key)), users, ..Guard::default() };
    let prometheus = Prometheus::guarded(&[], &guard);
    let dir = tempfile::tempdir().unwrap();
    let (ca, password) = (dir.path().join("ca.pem"), dir.path().join("password"));
    std::fs::write(&ca, authority).unwrap();
    std::fs::write(&password, "of-the-tests\n").unwrap();
    let url = format!("https://{}", prometheus.address());
    let tls = format!("ca_file = \"{}\"\nserver_name = \"prometheus.test\"", ca.display());
    let login = format!("basic_auth = {{ user = \"watcher\", password_file = \"{}\" }}", password.display());
    let rig = Rig::new();
    let see = async |more: &str| rig.see(&watch_of(&block(&url, "vector(3)", more))).await;
    assert_eq!(see(&format!("{tls}\n{login}")).await, "passing: vector(3) is 3");
    let refused =
        format!("unknown: the Prometheus at {url} refuses us (status 401): see basic_auth and bearer");
    assert_eq!(see(&tls).await, refused);
    std::fs::write(&password, "another-one\n").unwrap();
    assert_eq!(see(&format!("{tls}\n{login}")).await, refused);
    let untrusted = see(&login).await;
    assert!(
        untrusted.starts_with(&format!("unknown: the Prometheus at {url} is not reached: ")),
        "{untrusted}"
    );
    assert!(!untrusted.contains("another-one"), "{untrusted}");
}

/// The sync of the replaced supervisor: when it ends, the clearnet is switched off, but only when the
/// height shows that it has really ended; and the state is enforced on the first sample.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_starts_a_remedy_once_and_the_first_sample_enforces_the_state() {
    let exporter = Exporter::start(&node("1", 600_000));
    let prometheus = Prometheus::start(&[exporter.address()]);
    prometheus.until("bitcoin_ibd", r#""1"]"#);
    let url = format!("http://{}", prometheus.address());
    let rules = r#"
watch "prometheus" "height" {
  url   = "URL"
  query = "bitcoin_blocks"
  every = "200ms"
}
rule "working" {
  on       = value.x.value == 1
  cooldown = "0s"
  defer    = false
  act "exec" {
    command = ["/bin/true", "working"]
  }
}
rule "finished" {
  on       = changed(value.x.value, 1, 0)
  guard    = value.height.value >= 596000
  cooldown = "0s"
  defer    = false
  act "exec" {
    command = ["/bin/true", "finished"]
  }
}
"#;
    let blocks = format!("{}{}", block(&url, "bitcoin_ibd", "every = \"200ms\""), rules.replace("URL", &url));
    let mut agent = Whole::start(&blocks).await;
    let started = async |node: &Whole, rule: &str| {
        node.events("run_started").await.iter().filter(|text| text.contains(rule)).count()
    };
    // On the first sample; a second one of the same does nothing.
    agent.until_events("run_ended", 1).await;
    assert_eq!((started(&agent, "working").await, started(&agent, "finished").await), (1, 0));

    // What holds is known after a restart, and is not done again.
    agent.stop().await;
    agent.again().await;
    let looks = agent.get("/v1/checks/x").await["last"]["at"].clone();
    agent.until(async |agent| agent.get("/v1/checks/x").await["last"]["at"] != looks).await;
    assert_eq!(started(&agent, "working").await, 1);

    // Neither NaN nor no series is a 0, and the value before them is known when they are over.
    exporter.set(&node("NaN", 600_000));
    agent.until_check("x", |said| said.contains("no number")).await;
    exporter.set("bitcoin_blocks 600000\n");
    agent.until_check("x", |said| said.contains("no result")).await;
    assert_eq!(started(&agent, "finished").await, 0);
    exporter.set(&node("0", 600_000));
    agent.until_events("run_ended", 2).await;
    assert_eq!((started(&agent, "working").await, started(&agent, "finished").await), (1, 1));
    exporter.set(&node("1", 600_000));
    agent.until_events("run_ended", 3).await;
    // Back from the sync, but the height says that it cannot be true.
    exporter.set(&node("1", 500_000));
    agent.until_check("height", |said| said.ends_with("is 500000")).await;
    exporter.set(&node("0", 500_000));
    agent.until_events("suppressed", 1).await;
    agent.until_check("x", |said| said.ends_with("is 0")).await;
    assert_eq!((started(&agent, "working").await, started(&agent, "finished").await), (2, 1));
    agent.stop().await;
}
