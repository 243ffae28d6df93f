use lictor_compat::powerconsul::Conf;
use lictor_consul::{Client, Config};
use lictor_core::service::Expected;
use lictor_testkit::consul::{Datacenters, Options, Server};

use super::*;

const OURS: &str = r#"{"active_nodes": ["a"], "standby_nodes": ["b"]}"#;
const EXCHANGED: &str = r#"{"active_nodes": ["b"], "standby_nodes": ["a"]}"#;
const THEIRS: &str = r#"{"active_nodes": ["a"], "standby_nodes": ["b"], "lock": true}"#;
const OTHERS: &str = r#"{"active_nodes": ["c"], "standby_nodes": ["b", "a"]}"#;

/// The node `b`, with the agent of this server.
fn place(server: &Server) -> Place {
    let conf = Conf { cluster_key: Some("cluster".to_owned()), ..Conf::default() };
    let mut place = Place::new(conf).unwrap();
    let config = Config { address: server.url().parse().unwrap(), ..Config::default() };
    place.client = Client::new(config).unwrap();
    "b".clone_into(&mut place.host);
    place
}

/// The service on the node that the server itself is: it stands by too, and has nothing to say.
fn register(server: &Server) {
    assert_eq!(server.put("/v1/agent/service/register", r#"{"Name": "web"}"#).unwrap().0, 200);
    let seen = lictor_testkit::wait::until(std::time::Duration::from_secs(30), || {
        server.get("/v1/health/service/web")?.1.contains("web").then_some(())
    });
    assert!(seen.is_some());
}

fn put(server: &Server, text: &str) {
    assert_eq!(server.put("/v1/kv/cluster/web", text).unwrap().0, 200);
}

fn now(server: &Server) -> String {
    let (status, text) = server.get("/v1/kv/cluster/web?raw").unwrap();
    if status == 404 { "nothing".to_owned() } else { text }
}

/// What comes of an exchange, where nobody active passes.
async fn exchange(place: &Place, between: impl FnOnce()) -> Result<(), String> {
    let view = View::of(place, "web").await.unwrap();
    assert_eq!(view.expected, Expected::Running);
    between();
    carry_out(place, &view, Change::Exchange).await
}

#[tokio::test]
async fn bug_7_a_write_is_bound_to_what_the_decision_was_read_from() {
    let server = Server::with(Options { in_memory: true, ..Options::default() });
    let place = place(&server);
    register(&server);
    put(&server, OURS);
    let refused = exchange(&place, || put(&server, THEIRS)).await;
    assert_eq!(refused.unwrap_err(), "`cluster/web` was changed since it was read");
    assert_eq!(now(&server), THEIRS);
    put(&server, OURS);
    assert_eq!(exchange(&place, || ()).await, Ok(()));
    assert_eq!(now(&server), EXCHANGED);
}

#[tokio::test]
async fn who_sees_nothing_at_all_cannot_tell_that_nobody_passes() {
    let server = Server::with(Options { in_memory: true, ..Options::default() });
    let place = place(&server);
    put(&server, OURS);
    let view = View::of(&place, "web").await.unwrap();
    assert_eq!(view.expected, Expected::Unknown);
    assert!(view.remarks[0].starts_with("No instance of [web] can be seen: "), "{:?}", view.remarks);
}

#[tokio::test]
async fn bug_7_datacenters_are_changed_all_or_none() {
    let both = Datacenters::start(&["dc1", "dc2"]);
    let (here, there) = (both.server(0), both.server(1));
    let place = place(here);
    register(here);
    put(here, OURS);
    // Nothing lies there yet: it is written, and taken back when this one was changed in between.
    let refused = exchange(&place, || put(here, THEIRS)).await;
    assert_eq!(refused.unwrap_err(), "`cluster/web` was changed since it was read");
    assert_eq!((now(here).as_str(), now(there).as_str()), (THEIRS, "nothing"));
    put(here, OURS);
    put(there, THEIRS);
    assert!(exchange(&place, || put(here, OTHERS)).await.is_err());
    assert_eq!((now(here).as_str(), now(there).as_str()), (OTHERS, THEIRS));
    // One that says something else is told, and nothing is changed.
    put(here, OURS);
    put(there, OTHERS);
    let refused = exchange(&place, || ()).await.unwrap_err();
    assert!(refused.ends_with("dc2: the cluster data there says something else"), "{refused}");
    assert_eq!((now(here).as_str(), now(there).as_str()), (OURS, OTHERS));
    put(there, OURS);
    assert_eq!(exchange(&place, || ()).await, Ok(()));
    assert_eq!((now(here).as_str(), now(there).as_str()), (EXCHANGED, EXCHANGED));
}

#[tokio::test]
async fn an_exchange_that_was_cut_off_in_the_middle_is_brought_to_its_end() {
    let both = Datacenters::start(&["dc1", "dc2"]);
    let (here, there) = (both.server(0), both.server(1));
    let place = place(here);
    register(here);
    put(here, OURS);
    put(there, EXCHANGED);
    let view = View::of(&place, "web").await.unwrap();
    assert_eq!(view.remarks, ["dc2: an exchange of the roles was not finished"]);
    // What an exchange of before has written is not taken back by one that fails.
    let refused = exchange(&place, || put(here, THEIRS)).await;
    assert_eq!(refused.unwrap_err(), "`cluster/web` was changed since it was read");
    assert_eq!((now(here).as_str(), now(there).as_str()), (THEIRS, EXCHANGED));
    put(here, OURS);
    assert_eq!(exchange(&place, || ()).await, Ok(()));
    assert_eq!((now(here).as_str(), now(there).as_str()), (EXCHANGED, EXCHANGED));
}
