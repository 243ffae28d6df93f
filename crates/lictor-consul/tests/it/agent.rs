//! The agent, its services and checks, and events.

use std::time::Duration;

use lictor_consul::{Audience, CheckKind, Client, Index, Maintenance, NewCheck, NewService, Query, Status};
use lictor_testkit::consul::{Options, Server};

use crate::{SOON, client, shared};

fn ttl(name: &str) -> NewCheck {
    NewCheck::new(name, CheckKind::Ttl(Duration::from_mins(1)))
}

async fn status(client: &Client, check: &str) -> (Status, String) {
    let checks = client.agent().checks(&Query::new()).await.unwrap();
    let check = &checks[check];
    (check.status.clone(), check.output.clone())
}

#[tokio::test]
async fn the_agent_says_who_it_is() {
    let (client, _) = shared("self");
    let info = client.agent().info().await.unwrap();
    assert_eq!(info.config.node_name, "n1");
    assert_eq!(info.config.datacenter, "dc1");
    assert!(info.config.server && !info.config.version.is_empty());
    assert!(info.debug_config["ConsulRaftElectionTimeout"].is_string());
    let members = client.agent().members().await.unwrap();
    assert_eq!(members.len(), 1);
    assert!(members[0].is_alive() && members[0].tags["dc"] == "dc1");
}

#[tokio::test]
async fn a_service_with_a_ttl_check_says_what_it_is_told_to() {
    let (client, _) = shared("service");
    let service = NewService {
        id: Some("ttl-web/1".to_owned()),
        name: "ttl-web".to_owned(),
        port: Some(80),
        tags: vec!["blue".to_owned()],
        checks: vec![NewCheck { id: Some("ttl-web-alive".to_owned()), ..ttl("alive") }],
        ..NewService::default()
    };
    let agent = client.agent();
    agent.register_service(&service).await.unwrap();
    let services = agent.services(&Query::new()).await.unwrap();
    assert_eq!(services["ttl-web/1"].tags, ["blue"]);

    let check = "ttl-web-alive";
    assert_eq!(status(&client, check).await.0, Status::Critical);
    agent.pass(check, "all well").await.unwrap();
    assert_eq!(status(&client, check).await, (Status::Passing, "all well".to_owned()));
    agent.warn(check, "hm").await.unwrap();
    assert_eq!(status(&client, check).await, (Status::Warning, "hm".to_owned()));
    agent.fail(check, "ouch & more?").await.unwrap();
    assert_eq!(status(&client, check).await, (Status::Critical, "ouch & more?".to_owned()));

    // A check that is not named again is taken out.
    let without = NewService { checks: Vec::new(), ..service };
    agent.register_service(&without).await.unwrap();
    assert!(!agent.checks(&Query::new()).await.unwrap().contains_key(check));
    agent.deregister_service("ttl-web/1").await.unwrap();
    let services = agent.services(&Query::new()).await.unwrap();
    assert!(!services.contains_key("ttl-web/1"));
}

#[tokio::test]
async fn a_check_of_the_node_is_registered_and_taken_out() {
    let (client, _) = shared("check");
    let agent = client.agent();
    let check = NewCheck {
        id: Some("disk".to_owned()),
        notes: "of the root".to_owned(),
        status: Some(Status::Passing),
        ..ttl("Disk space")
    };
    agent.register_check(&check).await.unwrap();
    let listed = &agent.checks(&Query::new()).await.unwrap()["disk"];
    assert_eq!((&*listed.name, &*listed.notes), ("Disk space", "of the root"));
    assert_eq!(listed.status, Status::Passing);
    let only = Query::new().filter(r#"CheckID == "none""#);
    assert!(agent.checks(&only).await.unwrap().is_empty());
    agent.deregister_check("disk").await.unwrap();
    assert!(!agent.checks(&Query::new()).await.unwrap().contains_key("disk"));
}

#[tokio::test]
async fn a_check_the_agent_makes_itself_sees_what_is_there() {
    let (client, _) = shared("tcp");
    let url = lictor_testkit::consul::shared().url();
    let tcp = NewCheck {
        id: Some("tcp-self".to_owned()),
        ..NewCheck::new(
            "tcp",
            CheckKind::Tcp {
                address: url.replace("http://", ""),
                interval: Duration::from_millis(100),
                timeout: Duration::from_secs(1),
            },
        )
    };
    let http = NewCheck {
        id: Some("http-self".to_owned()),
        ..NewCheck::new(
            "http",
            CheckKind::Http {
                url: url + "/v1/no-such-path",
                interval: Duration::from_millis(100),
                timeout: Duration::from_secs(1),
            },
        )
    };
    client.agent().register_check(&tcp).await.unwrap();
    client.agent().register_check(&http).await.unwrap();
    let settled = async {
        while status(&client, "tcp-self").await.0 != Status::Passing
            || !status(&client, "http-self").await.1.contains("404")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, settled).await.unwrap();
    client.agent().deregister_check("tcp-self").await.unwrap();
    client.agent().deregister_check("http-self").await.unwrap();
}

#[tokio::test]
async fn what_the_agent_does_not_have_is_an_error() {
    let (client, _) = shared("unknown");
    let agent = client.agent();
    for error in [
        agent.pass("no-such-check", "").await.unwrap_err(),
        agent.maintain_service("no-such-service", Maintenance::Off).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("no-such-"), "{error}");
        assert_eq!(error.retry(), lictor_consul::Retry::Never);
    }
}

#[tokio::test]
async fn maintenance_is_a_critical_check_with_its_reason() {
    let server = Server::with(Options { in_memory: true, ..Options::default() });
    let client = client(&server);
    let agent = client.agent();
    let service = NewService { name: "web".to_owned(), ..NewService::default() };
    agent.register_service(&service).await.unwrap();
    agent.maintain_service("web", Maintenance::On("new disk, 10 %")).await.unwrap();
    agent.maintain_node(Maintenance::On("new kernel")).await.unwrap();
    let checks = agent.checks(&Query::new()).await.unwrap();
    let of_service = &checks["_service_maintenance:web"];
    assert_eq!(of_service.status, Status::Critical);
    assert_eq!(of_service.notes, "new disk, 10 %");
    assert_eq!(checks["_node_maintenance"].notes, "new kernel");
    agent.maintain_service("web", Maintenance::Off).await.unwrap();
    agent.maintain_node(Maintenance::Off).await.unwrap();
    assert!(agent.checks(&Query::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_event_arrives_with_its_bytes_and_its_index_is_a_hash() {
    let (client, _) = shared("event");
    let audience = Audience { node: Some("n1|n2".to_owned()), ..Audience::default() };
    let payload = vec![0, 200, 255];
    let fired = client.event().fire("it-event", payload.clone(), &audience).await.unwrap();
    assert_eq!((&*fired.name, fired.ltime), ("it-event", 0));

    let arrived = async {
        let mut index = Index::ZERO;
        loop {
            let query = Query::new().index(index).wait(Duration::from_secs(5));
            let events = client.event().list(Some("it-event"), &query).await.unwrap();
            index = events.meta.index.unwrap();
            let found = events.value.into_iter().find(|event| event.id == fired.id);
            if let Some(event) = found {
                return (event, index);
            }
        }
    };
    let (event, index) = tokio::time::timeout(SOON, arrived).await.unwrap();
    assert_eq!((&event.payload[..], &*event.node_filter), (&payload[..], "n1|n2"));
    assert!(event.ltime > 0);
    assert!(index.0 > 1 << 32, "not a hash: {index}");
    let other = client.event().list(Some("other"), &Query::new()).await.unwrap();
    assert!(other.value.is_empty());
}
