use std::sync::atomic::{AtomicU32, Ordering};

use lictor_agent::{OnEnd, Tasks};
use lictor_compat::consul_alerts::cli::Options;
use lictor_testkit::consul::{self, Server};
use tokio::sync::mpsc;

use super::*;

fn live(keys: &[(&str, &str)]) -> Live {
    let start = Start::new(&Options::default(), None, |_| None);
    let place = Place {
        node: "n".to_owned(),
        state_dir: "/s".to_owned(),
        listen: "127.0.0.1:1".to_owned(),
        prefix: "consul-alerts/lictor/".to_owned(),
    };
    let live = Live::new(start, place);
    live.put(keys);
    live
}

fn told(keys: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let live = live(keys);
    let config = live.load().unwrap();
    let names = config.notifiers.keys().map(ToString::to_string).collect();
    let said = live.state().said.iter().map(ToString::to_string).collect();
    (names, said)
}

/// What is needed to switch a notifier on, and its name.
fn on(name: &'static str, values: &[(&'static str, &'static str)]) -> Vec<(String, &'static str)> {
    let mut keys = vec![(format!("notifiers/{name}/enabled"), "true")];
    keys.extend(values.iter().map(|(key, value)| (format!("notifiers/{name}/{key}"), *value)));
    keys
}

#[test]
fn every_notifier_that_exists_is_told() {
    let all = [
        on(
            "email",
            &[
                ("url", "smtp"),
                ("sender-email", "a@example.com"),
                ("receivers", r#"["b@example.com"]"#),
                ("template", "/t"),
            ],
        ),
        on("log", &[("path", "/tmp/x.log")]),
        on("slack", &[("url", "http://s/x")]),
        on(
            "mattermost",
            &[("url", "http://m"), ("username", "u"), ("password", "p"), ("team", "t"), ("channel", "c")],
        ),
        on("mattermost-webhook", &[("url", "http://m/x")]),
        on("pagerduty", &[("service-key", "k")]),
        on("opsgenie", &[("api-key", "k")]),
        on("awssns", &[("topic-arn", "arn:aws:sns:eu-west-1:000000000000:ops"), ("region", "eu-west-1")]),
        on("victorops", &[("api-key", "k"), ("routing-key", "r")]),
        on("http-endpoint", &[("base-url", "http://h"), ("payload", r#"{"a": "{{.ClusterName}}"}"#)]),
        on("ilert", &[("api-key", "k")]),
        on("prometheus", &[("base-urls", r#"["http://a"]"#)]),
        on("alerta", &[("url", "http://a")]),
        on("elasticsearch", &[("host", "e:9200"), ("index-name", "i")]),
        on("jsm", &[("api-key", "k")]),
        vec![("notifiers/custom/mine".to_owned(), "/bin/mine")],
    ];
    for keys in &all {
        let keys: Vec<_> = keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let (names, said) = told(&keys);
        assert!(said.is_empty(), "{said:?}");
        let name = keys[0].0.split('/').nth(1).unwrap();
        let name = if name == "custom" { "mine" } else { name };
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
}

#[test]
fn what_cannot_be_used_is_told_with_its_key_and_the_rest_counts() {
    let (names, said) = told(&[
        ("notifiers/slack/enabled", "true"),
        ("notifiers/slack/url", "not an address"),
        ("notifiers/opsgenie/enabled", "true"),
        ("notifiers/hipchat/enabled", "true"),
        ("checks/change-threshold", "soon"),
    ]);
    assert_eq!(names, ["log"]);
    let keys: Vec<_> = said.iter().map(|said| said.split(' ').next().unwrap()).collect();
    let expected = [
        "consul-alerts/config/checks/change-threshold",
        "consul-alerts/config/notifiers/hipchat/enabled",
        "consul-alerts/config/notifiers/opsgenie",
        "consul-alerts/config/notifiers/slack",
    ];
    assert_eq!(keys, expected, "{said:?}");
    assert!(!said.join("\n").contains("not an address"), "it may be a secret: {said:?}");
}

#[test]
fn services_are_reached_by_the_proxy_of_the_environment_also_with_a_password() {
    let live = live(&[
        ("notifiers/slack/enabled", "true"),
        ("notifiers/slack/url", "https://hooks.example/x"),
        ("notifiers/http-endpoint/enabled", "true"),
        ("notifiers/http-endpoint/base-url", "http://intern.example"),
    ]);
    let mut config = live.load().unwrap();
    by_proxy(&mut config, |name| (name == "HTTPS_PROXY").then(|| "http://u:p@proxy:3128".to_owned()));
    let proxies: Vec<_> = config
        .notifiers
        .values()
        .filter_map(|notifier| match &notifier.kind {
            NotifierKind::Service(service) => {
                Some((service.kind, service.proxy.as_ref().map(ToString::to_string)))
            }
            _ => None,
        })
        .collect();
    let proxy = Some("http://u:p@proxy:3128/".to_owned());
    assert_eq!(proxies, [("http", None), ("slack", proxy)]);
}

#[test]
fn checks_are_paused_and_what_counts_is_what_was_put_in_force() {
    let live = live(&[("checks/enabled", "false"), ("checks/change-threshold", "999999999999")]);
    let config = live.load().unwrap();
    assert!(config.alerts.consul.as_ref().is_some_and(|checks| checks.paused));
    assert!(live.current().settings.checks_enabled, "it may still be refused");
    assert!(!live.put_in_force().settings.checks_enabled);
    let said = live.state().said.iter().map(ToString::to_string).collect::<Vec<_>>();
    let expected = "consul-alerts/config/checks/change-threshold is more than ten years; it is 315360000";
    assert_eq!(said, [expected]);
    live.put(&[("checks/enabled", "true"), ("checks/change-threshold", "0")]);
    assert!(!live.load().unwrap().alerts.consul.as_ref().unwrap().paused);
}

#[test]
fn a_start_goes_without_a_blacklist_that_makes_all_unusable() {
    // No block of a configuration may have so many.
    let keys: Vec<_> = (0..=10_000).map(|number| format!("checks/blacklist/single/n/_/c{number}")).collect();
    let live = live(&keys.iter().map(|key| (key.as_str(), "")).collect::<Vec<_>>());
    assert!(live.load().is_err());
    assert!(live.load_at_start().is_ok());
    assert!(live.put_in_force().settings.blacklist.single.is_empty());
}

#[test]
fn a_token_is_read_anew_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let file = path.display().to_string();
    let start = Start::new(&Options::default(), None, |name| {
        (name == "CONSUL_HTTP_TOKEN_FILE").then(|| file.clone())
    });
    std::fs::write(&path, "first").unwrap();
    let client = reach::client(&start).unwrap();
    let live = Live { start, ..live(&[]) };
    live.renew(&client);
    assert!(!live.renew(&client), "it is the same");
    std::fs::write(&path, "second\n").unwrap();
    assert!(live.renew(&client) && !live.renew(&client));
    std::fs::remove_file(path).unwrap();
    assert!(!live.renew(&client));
}

#[test]
fn keys_that_all_vanish_at_once_are_not_believed() {
    let live = live(&[("a", "1"), ("b", "2")]);
    assert!(!live.put(&[]), "the token may have lost its rights");
    assert!(live.put(&[("a", "1")]) && live.put(&[]) && !live.put(&[]));
}

#[tokio::test]
async fn a_reload_that_fails_is_tried_again_without_another_change_of_the_keys() {
    let server = Server::with(consul::Options { in_memory: true, ..consul::Options::default() });
    let config = lictor_consul::Config { address: server.url().parse().unwrap(), ..Default::default() };
    let client = Client::new(config).unwrap();
    let put = |key: &str, value: &str| {
        let put = server.put(&format!("/v1/kv/{PREFIX}{CONFIG}{key}"), value);
        assert_eq!(put.map(|(status, _)| status), Some(200));
    };
    put("checks/change-threshold", "1");
    let live = Arc::new(live(&[]));
    let watch = live.first(&client).await;
    let (asked, mut asks) = mpsc::channel(8);
    let (of_agent, times) = (Arc::clone(&live), Arc::<AtomicU32>::default());
    let reload = move || {
        let (asked, live, times) = (asked.clone(), Arc::clone(&of_agent), Arc::clone(&times));
        async move {
            live.load()?;
            asked.send(live.put_in_force().settings.thresholds.global).await.unwrap();
            let first = times.fetch_add(1, Ordering::Relaxed) == 0;
            if first { Err("it has too much to do".to_owned()) } else { Ok("1 route changed".to_owned()) }
        }
    };
    let tasks = Tasks::new();
    let following = tasks.spawn("settings", OnEnd::Fine, live.follow(client, watch, reload));
    put("checks/change-threshold", "2");
    let mut next = async || timeout(OWED * 12, asks.recv()).await.unwrap().unwrap();
    assert_eq!(next().await, Duration::from_secs(2));
    assert_eq!(next().await, Duration::from_secs(2), "nothing has changed since");
    put("checks/change-threshold", "3");
    assert_eq!(next().await, Duration::from_secs(3));
    let more = timeout(OWED * 3 / 2, asks.recv()).await;
    assert!(more.is_err(), "what is in force needs no other reload: {more:?}");
    following.abort();
}
