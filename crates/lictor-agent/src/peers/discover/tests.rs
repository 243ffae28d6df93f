use std::fs;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lictor_config::{Announce, DnsPrograms, Tls, WhoTells};
use lictor_testkit::dns::NameServer;
use tempfile::TempDir;

use super::*;
use crate::{Clock, Tasks};

/// Peers that are found so; looks have 2 s.
pub(crate) fn peers(discovery: Discovery) -> Peers {
    Peers {
        discovery,
        https: false,
        own: vec!["10.255.255.1".parse().unwrap()],
        every: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
        token: None,
        tls: Tls { ca_file: None, cert_file: None, key_file: None, server_name: None, insecure: false },
        fail_after: NonZeroU32::MIN,
        pass_after: NonZeroU32::MIN,
        confirm: NonZeroU32::MIN,
        tell: WhoTells::Each,
        watchers: None,
        announce: Announce::No,
        vanished: true,
    }
}

pub(crate) fn world() -> Arc<World> {
    World::new(Tasks::new(), Clock::fresh())
}

fn finder(discovery: Discovery) -> Finder {
    Finder::new("here", &peers(discovery), None, world())
}

fn srv(server: SocketAddr) -> Discovery {
    Discovery::Srv { name: "_s._tcp.test".to_owned(), server: Some(server), programs: None }
}

fn named(name: &str, server: SocketAddr) -> Discovery {
    Discovery::Addresses { name: name.to_owned(), port: 5988, server: Some(server), programs: None }
}

/// Each peer on a line: its id and where it is.
fn shown(round: &Result<Round, String>) -> Vec<String> {
    let round = match round {
        Ok(round) => round,
        Err(why) => return vec![format!("error: {why}")],
    };
    let line = |found: &Found| {
        let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
        format!("{} at {}", found.id, addresses.join(" "))
    };
    let mut lines: Vec<String> = round.peers.iter().map(line).collect();
    if !round.own.is_empty() {
        lines.push(format!("{} own", round.own.len()));
    }
    lines
}

async fn find(finder: &mut Finder) -> Vec<String> {
    shown(&finder.find().await)
}

const TWO: &str = "local-ttl=0\nsrv-host=_s._tcp.test,B.test,5989,0,10\nsrv-host=_s._tcp.test,a.test,5988,7,1\n\
                   host-record=a.test,192.0.2.1,2001:db8::1\nhost-record=b.test,192.0.2.2\n";

#[tokio::test]
async fn an_srv_record_names_hosts_and_ports_with_all_their_addresses() {
    let server = NameServer::start(TWO);
    let mut finder = finder(srv(server.address()));
    let found = find(&mut finder).await;
    let sorted = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.sort_unstable();
        words.join(" ")
    };
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(sorted(&found[0]), "192.0.2.1:5988 [2001:db8::1]:5988 a.test:5988 at");
    assert_eq!(found[1], "b.test:5989 at 192.0.2.2:5989");
}

#[tokio::test]
async fn records_that_change_are_seen_in_the_next_round() {
    let mut server = NameServer::start(TWO);
    let mut finder = finder(srv(server.address()));
    assert_eq!(find(&mut finder).await.len(), 2);
    server.change("local-ttl=0\nsrv-host=_s._tcp.test,c.test,1\nhost-record=c.test,192.0.2.3\n");
    assert_eq!(find(&mut finder).await, ["c.test:1 at 192.0.2.3:1"]);
    server.change("");
    let gone = find(&mut finder).await;
    assert_eq!(
        gone,
        ["error: cannot find out about _s._tcp.test (SRV): _s._tcp.test. does not exist (NXDOMAIN)"]
    );
    server.change("host-record=_s._tcp.test,192.0.2.9\n");
    assert_eq!(find(&mut finder).await, Vec::<String>::new(), "the name is there and names nobody");
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_unless_its_answer_still_holds() {
    let mut server = NameServer::start(TWO);
    let mut finder = finder(srv(server.address()));
    assert_eq!(find(&mut finder).await.len(), 2);
    server.kill();
    let away = find(&mut finder).await;
    assert!(away[0].starts_with("error: cannot find out about _s._tcp.test (SRV): "), "{away:?}");
    server.change(&TWO.replace("local-ttl=0", "local-ttl=3600"));
    assert_eq!(find(&mut finder).await.len(), 2);
    server.pause();
    assert_eq!(find(&mut finder).await.len(), 2, "its TTL has not run out");
    server.resume();
}

#[tokio::test]
async fn an_answer_that_does_not_fit_into_a_datagram_comes_over_tcp() {
    let many: String = (0..60)
        .map(|n| {
            format!("srv-host=_s._tcp.test,node-{n:02}.test,5988\nhost-record=node-{n:02}.test,192.0.2.{n}\n")
        })
        .collect();
    let server = NameServer::start(&many);
    let mut finder = finder(srv(server.address()));
    let found = find(&mut finder).await;
    assert_eq!(found.len(), 60, "{found:?}");
    assert_eq!(found[7], "node-07.test:5988 at 192.0.2.7:5988");
}

#[tokio::test]
async fn a_name_with_several_addresses_is_a_peer_for_each() {
    let server = NameServer::start(
        "host-record=p.test,192.0.2.2\nhost-record=p.test,192.0.2.1,2001:db8::1\ncname=alias.test,p.test\n",
    );
    let mut finder = finder(named("p.test", server.address()));
    let wanted = [
        "192.0.2.1:5988 at 192.0.2.1:5988",
        "192.0.2.2:5988 at 192.0.2.2:5988",
        "[2001:db8::1]:5988 at [2001:db8::1]:5988",
    ];
    assert_eq!(find(&mut finder).await, wanted);
    let mut aliased = super::tests::finder(named("alias.test", server.address()));
    assert_eq!(find(&mut aliased).await, wanted);
    let mut nobody = super::tests::finder(named("none.test", server.address()));
    let said = find(&mut nobody).await;
    assert_eq!(
        said,
        ["error: cannot find out about none.test (A, AAAA): none.test. does not exist (NXDOMAIN)"]
    );
}

#[tokio::test]
async fn a_target_that_does_not_resolve_stays_and_is_looked_for_where_it_was() {
    let mut server = NameServer::start(TWO);
    let mut finder = finder(srv(server.address()));
    assert_eq!(find(&mut finder).await[1], "b.test:5989 at 192.0.2.2:5989");
    server.change(&format!(
        "{}srv-host=_s._tcp.test,new.test,1\n",
        TWO.replace("host-record=b.test,192.0.2.2", "")
    ));
    let found = find(&mut finder).await;
    assert_eq!(found[1], "b.test:5989 at 192.0.2.2:5989", "where it was last");
    assert_eq!(found[2], "new.test:1 at ");
    assert_eq!(finder.lost.iter().map(String::as_str).collect::<Vec<_>>(), ["b.test", "new.test"]);
    server.change(&format!("{TWO}srv-host=_s._tcp.test,new.test,1\nhost-record=new.test,192.0.2.3\n"));
    assert_eq!(find(&mut finder).await[2], "new.test:1 at 192.0.2.3:1");
    assert!(finder.lost.is_empty());
}

#[tokio::test]
async fn this_node_is_left_out_and_counted() {
    let server = NameServer::start(TWO);
    let mut settings = peers(srv(server.address()));
    settings.own = vec!["2001:db8::1".parse().unwrap()];
    let mut finder = Finder::new("here", &settings, None, world());
    assert_eq!(find(&mut finder).await, ["b.test:5989 at 192.0.2.2:5989", "1 own"]);
    settings.own = vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
    let mut finder = Finder::new("here", &settings, None, world());
    assert_eq!(find(&mut finder).await, ["2 own"]);
}

#[tokio::test]
async fn a_host_of_our_name_that_does_not_resolve_yet_is_no_peer() {
    let two = "local-ttl=0\nsrv-host=_s._tcp.test,Here.test,5988\nsrv-host=_s._tcp.test,there.test,5988\n";
    let mut server = NameServer::start(two);
    let mut finder = finder(srv(server.address()));
    assert_eq!(find(&mut finder).await, ["there.test:5988 at ", "1 own"]);
    // Where it is says more than how it is called.
    server.change(&format!("{two}host-record=here.test,192.0.2.1\n"));
    assert_eq!(find(&mut finder).await, ["here.test:5988 at 192.0.2.1:5988", "there.test:5988 at "]);
    server
        .change("local-ttl=0\nsrv-host=_s._tcp.test,here.test,5988\nsrv-host=_s._tcp.test,here.other,5988\n");
    let two = super::tests::finder(srv(server.address())).find().await;
    assert_eq!(shown(&two).len(), 2, "which of them it is cannot be told");
}

#[tokio::test]
async fn own_addresses_are_found_when_none_are_set() {
    let mine = own::addresses().unwrap();
    let listed: Vec<(String, u16)> = mine.iter().map(|address| (address.to_string(), 1)).collect();
    let more =
        [("127.9.9.9".to_owned(), 1), ("::ffff:127.0.0.1".to_owned(), 2), ("192.0.2.200".to_owned(), 1)];
    let mut settings = peers(Discovery::Static([listed, more.to_vec()].concat()));
    settings.own.clear();
    let found = Finder::new("here", &settings, None, world()).find().await.unwrap();
    let ids: Vec<&str> = found.peers.iter().map(|found| found.id.as_str()).collect();
    assert_eq!(ids, ["192.0.2.200:1"]);
    assert_eq!(found.own.len(), mine.len() + 2);
}

#[tokio::test]
async fn a_list_is_taken_as_it_is_and_each_peer_once() {
    let listed = [("127.0.0.2", 2), ("LOCALHOST", 1), ("127.0.0.2", 2), ("::1", 3), ("no.invalid", 4)];
    let listed = listed.map(|(host, port)| (host.to_owned(), port)).to_vec();
    let mut finder = finder(Discovery::Static(listed));
    let found = find(&mut finder).await;
    assert_eq!(found[0], "127.0.0.2:2 at 127.0.0.2:2");
    assert_eq!(found[1], "[::1]:3 at [::1]:3");
    assert!(found[2].starts_with("localhost:1 at ") && found[2].contains("127.0.0.1:1"), "{found:?}");
    assert_eq!(found[3], "no.invalid:4 at ");
    assert_eq!(found.len(), 4);
}

/// A program of a test.
fn program(dir: &TempDir, name: &str, script: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn by_programs(dig: &Path, getent: &Path) -> Discovery {
    let programs = DnsPrograms { dig: Some(dig.to_owned()), getent: Some(getent.to_owned()) };
    Discovery::Srv { name: "_s._tcp.test".to_owned(), server: None, programs: Some(programs) }
}

#[tokio::test]
async fn programs_are_asked_in_place_of_name_servers() {
    let dir = tempfile::tempdir().unwrap();
    let dig = program(
        &dir,
        "dig",
        "[ \"$*\" = '+short +time=3 +tries=2 SRV _s._tcp.test' ] || exit 9\n\
         echo '0 10 15990 Node-A.test.'; echo 'alias.test.'; echo '0 10 15991 node-b.test.'",
    );
    let getent = program(
        &dir,
        "getent",
        "[ \"$1\" = hosts ] || exit 9\n[ \"$2\" = node-a.test ] || exit 2\n\
         echo '192.0.2.1  node-a.test'; echo '2001:db8::1  node-a.test'",
    );
    let mut asked = finder(by_programs(&dig, &getent));
    let found = find(&mut asked).await;
    assert_eq!(found, ["node-a.test:15990 at 192.0.2.1:15990 [2001:db8::1]:15990", "node-b.test:15991 at "]);
    let name = Discovery::Addresses {
        name: "node-a.test".to_owned(),
        port: 1,
        server: None,
        programs: Some(DnsPrograms { dig: None, getent: Some(getent) }),
    };
    let found = find(&mut finder(name)).await;
    assert_eq!(found, ["192.0.2.1:1 at 192.0.2.1:1", "[2001:db8::1]:1 at [2001:db8::1]:1"]);
}

#[tokio::test]
async fn a_program_that_fails_is_told_with_what_it_said() {
    let dir = tempfile::tempdir().unwrap();
    let said = async |script: &str| {
        let dig = program(&dir, "dig", script);
        find(&mut finder(by_programs(&dig, Path::new("/nonexistent")))).await
    };
    let failed = said("echo ';; no servers could be reached' >&2; exit 9").await;
    assert_eq!(failed, ["error: dig SRV _s._tcp.test failed: ;; no servers could be reached"]);
    let odd = said("echo 'what is this'").await;
    assert_eq!(odd, ["error: no SRV records parsed; raw output: what is this"]);
    let nothing = said("exit 0").await;
    assert_eq!(
        nothing,
        ["error: no SRV records parsed; raw output: "],
        "a server that refuses is no empty record"
    );
    let missing = find(&mut finder(by_programs(Path::new("/nonexistent/dig"), Path::new("/x")))).await;
    assert!(missing[0].contains("/nonexistent/dig"), "{missing:?}");
}

#[tokio::test]
async fn instances_of_a_service_are_found_in_consul() {
    let consul = lictor_testkit::consul::Server::start();
    let register = |node: &str, address: &str, service: &str, port: u16| {
        let body = format!(
            r#"{{"Node":"{node}","Address":"192.0.2.1","Service":{{"Service":"probe","ID":"p-{port}","Address":"{service}","Port":{port}}}}}"#
        );
        let body = body.replace("192.0.2.1", address);
        assert!(consul.put("/v1/catalog/register", &body).is_some());
    };
    register("one", "192.0.2.1", "", 5988);
    register("two", "192.0.2.2", "2001:db8::2", 5989);
    register("three", "192.0.2.3", "", 0);
    let config = lictor_consul::Config { address: consul.url().parse().unwrap(), ..Default::default() };
    let client = Client::new(config).unwrap();
    let discovery = Discovery::Consul { service: "probe".to_owned() };
    let mut finder = Finder::new("here", &peers(discovery.clone()), Some(client), world());
    let found = find(&mut finder).await;
    assert_eq!(found, ["192.0.2.1:5988 at 192.0.2.1:5988", "[2001:db8::2]:5989 at [2001:db8::2]:5989"]);
    drop(consul);
    let away = find(&mut finder).await;
    assert!(away[0].starts_with("error: ") && away[0].contains("`probe`"), "{away:?}");
    let nobody = find(&mut super::tests::finder(discovery)).await;
    assert_eq!(nobody, ["error: cannot find the instances of `probe`: no Consul is named"]);
}

#[test]
fn what_can_be_no_host_is_known() {
    for host in ["a", "node-a.test", "_x.y", "192.0.2.1", "::1"] {
        assert!(is_host(host), "{host}");
    }
    for text in ["", "a b", "a/b", "a\r\nX: y", "a\\032b", "ä", "a:1", &"x".repeat(254)] {
        assert!(!is_host(text), "{text:?}");
    }
}
