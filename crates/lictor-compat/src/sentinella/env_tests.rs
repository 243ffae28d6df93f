use std::collections::BTreeMap;

use super::*;

fn lookup(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
    let map: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    move |name| map.get(name).cloned()
}

/// What is always needed, and this.
fn watcher(more: &[(&str, &str)]) -> Result<Watcher, EnvError> {
    let mut all = vec![("PEERS_SRV", "_s._tcp.test"), ("TG_TOKEN", "1:abc"), ("TG_CHAT_ID", "-100")];
    all.extend(more);
    Watcher::read(lookup(&all))
}

fn error(variables: &[(&str, &str)]) -> String {
    Watcher::read(lookup(variables)).unwrap_err().to_string()
}

#[test]
fn what_is_not_set_is_as_it_was() {
    let found = watcher(&[]).unwrap();
    assert_eq!(found.peers, Named::Srv("_s._tcp.test".to_owned()));
    assert_eq!((found.timeout.as_secs(), found.interval.as_secs()), (5, 3));
    assert_eq!((found.state_dir.as_str(), found.home_state_dir), ("/var/lib/sentinella", None));
    assert_eq!(found.tg_api_url, "https://api.telegram.org");
    assert!(!found.https && !found.spam && found.own.is_empty() && found.token.is_none());
    assert!(found.dig.is_none() && found.getent.is_none() && found.remarks.is_empty());
}

#[test]
fn what_is_set_counts() {
    let found = watcher(&[
        ("SELF", " 10.0.0.1  fd00::1 "),
        ("PEERS_SCHEME", "https"),
        ("PEERS_TOKEN", "dXNlcjpwYXNz"),
        ("TIMEOUT", "0.5"),
        ("POLLING_INTERVAL_SEC", "60"),
        ("STATE_DIR", "/srv/states/"),
        ("HOME", "/root"),
        ("SPAM", "1"),
        ("TG_API_URL", "http://127.0.0.1:8081/"),
        ("DIG", "/tmp/dig"),
        ("GETENT", "/tmp/getent -s files"),
    ]);
    let found = found.unwrap();
    let own: Vec<String> = found.own.iter().map(ToString::to_string).collect();
    assert_eq!(own, ["10.0.0.1", "fd00::1"]);
    assert!(found.https && found.spam);
    assert_eq!(found.token.as_ref().map(Secret::expose), Some("dXNlcjpwYXNz"));
    assert_eq!((found.timeout.as_millis(), found.interval.as_secs()), (500, 60));
    assert_eq!(found.home_state_dir.as_deref(), Some("/root/.local/states"));
    assert_eq!(found.tg_api_url, "http://127.0.0.1:8081");
    assert_eq!(found.getent.as_deref(), Some("/tmp/getent -s files"));
    let shown = format!("{found:?}");
    assert!(!shown.contains("1:abc") && !shown.contains("dXNlcjpwYXNz"), "{shown}");
}

#[test]
fn what_is_missing_is_said_in_the_old_order() {
    assert_eq!(error(&[]), "PEERS_SRV not set");
    assert_eq!(error(&[("PEERS_SRV", ""), ("PEERS_DNS", ""), ("TG_TOKEN", "t")]), "PEERS_SRV not set");
    assert_eq!(error(&[("PEERS_SRV", "x"), ("TIMEOUT", "junk")]), "TG_TOKEN not set");
    assert_eq!(error(&[("PEERS_DNS", "x"), ("TG_TOKEN", "t"), ("TG_CHAT_ID", "")]), "TG_CHAT_ID not set");
}

#[test]
fn an_srv_record_wins_over_addresses() {
    let rest = [("TG_TOKEN", "t"), ("TG_CHAT_ID", "c"), ("PEERS_DNS", "peers.test")];
    let read = |more: &[(&str, &str)]| Watcher::read(lookup(&[&rest, more].concat())).unwrap().peers;
    let dns = |port| Named::Dns { name: "peers.test".to_owned(), port };
    assert_eq!(read(&[]), dns(5988));
    assert_eq!(read(&[("PEERS_PORT", "80")]), dns(80));
    let srv = read(&[("PEERS_SRV", "s"), ("PEERS_PORT", "not looked at")]);
    assert_eq!(srv, Named::Srv("s".to_owned()));
}

#[test]
fn junk_is_named_with_its_variable() {
    let said = |name: &'static str, value: &str| watcher(&[(name, value)]).unwrap_err().to_string();
    assert_eq!(said("TIMEOUT", "5s"), "TIMEOUT is `5s`, which is not a number of seconds above 0");
    for value in ["0", "-1", "inf", "1e3", ".", "99999999999"] {
        assert!(said("TIMEOUT", value).starts_with(&format!("TIMEOUT is `{value}`")));
    }
    let interval = said("POLLING_INTERVAL_SEC", "often");
    assert_eq!(interval, "POLLING_INTERVAL_SEC is `often`, which is not a number of seconds");
    assert_eq!(said("PEERS_SCHEME", "ftp"), "PEERS_SCHEME is `ftp`, which is not http or https");
    let port = [("PEERS_DNS", "x"), ("TG_TOKEN", "t"), ("TG_CHAT_ID", "c"), ("PEERS_PORT", "70000")];
    assert_eq!(error(&port), "PEERS_PORT is `70000`, which is not a port from 1 to 65535");
}

#[test]
fn rounds_without_a_pause_have_a_short_one() {
    assert_eq!(watcher(&[("POLLING_INTERVAL_SEC", "0")]).unwrap().interval, Duration::from_millis(100));
}

#[test]
fn what_is_no_address_of_ours_is_remarked() {
    let found = watcher(&[("SELF", "10.0.0.1 node-a")]).unwrap();
    assert_eq!(found.own.len(), 1);
    assert_eq!(found.remarks, ["SELF holds `node-a`, which is no address; it is left out"]);
}

#[test]
fn the_predecessor_had_a_list_of_servers() {
    let found = Sentinel::read(lookup(&[
        ("SERVERS", "http://a:5988, https://b/,,http://c:1"),
        ("TOKENS", "dG9rZW4=,-"),
        ("TOKEN", "1:abc"),
        ("CHAT_ID", "7"),
        ("TG_TOKEN", "not this one"),
    ]));
    let found = found.unwrap();
    let servers: Vec<_> =
        found.servers.iter().map(|(url, token)| (url.as_str(), token.as_ref().map(Secret::expose))).collect();
    assert_eq!(servers, [("http://a:5988", Some("dG9rZW4=")), ("https://b/", None), ("http://c:1", None)]);
    assert_eq!((found.token.expose(), found.chat_id.as_str()), ("1:abc", "7"));
    let missing = Sentinel::read(lookup(&[("SERVERS", "http://a")])).unwrap_err();
    assert_eq!(missing.to_string(), "TOKEN not set");
}
