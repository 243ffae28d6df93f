//! Catalog and health, written and read through the catalog.

use std::collections::BTreeMap;

use lictor_consul::{
    Client, Consistency, Deregistration, Query, RegisteredCheck, RegisteredService, Registration, Status,
};

use crate::shared;

/// Registers a node of this test with a service and a check of it, and gives the node's name and the
/// service's.
async fn register(client: &Client, test: &str, status: Status) -> (String, String) {
    let node = format!("node-{test}");
    let service = format!("svc-{test}");
    let registration = Registration {
        node: node.clone(),
        address: "127.0.0.9".to_owned(),
        node_meta: BTreeMap::from([("external".to_owned(), "true".to_owned())]),
        service: Some(RegisteredService {
            id: format!("{service}/1"),
            name: service.clone(),
            tags: vec!["blue".to_owned(), "v2".to_owned()],
            address: "127.0.0.10".to_owned(),
            port: 8080,
            meta: BTreeMap::from([("rack".to_owned(), "7".to_owned())]),
        }),
        check: Some(RegisteredCheck {
            id: format!("check-{test}"),
            name: "A check".to_owned(),
            status,
            output: "because".to_owned(),
            service_id: format!("{service}/1"),
        }),
        skip_node_update: false,
    };
    client.catalog().register(&registration).await.unwrap();
    (node, service)
}

async fn forget(client: &Client, node: String) {
    let node = Deregistration { node, ..Deregistration::default() };
    client.catalog().deregister(&node).await.unwrap();
}

#[tokio::test]
async fn what_was_registered_is_in_the_catalog() {
    let (client, _) = shared("catalog");
    let (node, service) = register(&client, "catalog", Status::Passing).await;
    let catalog = client.catalog();
    let query = Query::new();

    assert_eq!(catalog.datacenters().await.unwrap(), ["dc1"]);
    let nodes = catalog.nodes(&query).await.unwrap();
    let found = nodes.value.iter().find(|found| found.name == node).unwrap();
    assert_eq!(found.address, "127.0.0.9");
    assert_eq!(found.meta["external"], "true");

    let services = catalog.services(&query).await.unwrap();
    let tags: Vec<&String> = services.value[&service].iter().collect();
    assert_eq!(tags, ["blue", "v2"]);

    let places = catalog.service(&service, &query).await.unwrap();
    let [place] = &places.value[..] else {
        panic!("one place expected");
    };
    assert_eq!((&place.node, place.service_port), (&node, 8080));
    assert_eq!(place.service_address, "127.0.0.10");
    assert_eq!(place.service_meta["rack"], "7");

    let whole = catalog.node(&node, &query).await.unwrap().value.unwrap();
    assert_eq!(whole.node.name, node);
    assert_eq!(whole.services[&format!("{service}/1")].port, 8080);
    let none = catalog.node("nobody", &query).await.unwrap();
    assert!(none.value.is_none() && none.meta.index.is_some());

    forget(&client, node.clone()).await;
    assert!(catalog.node(&node, &query).await.unwrap().value.is_none());
}

#[tokio::test]
async fn health_says_what_the_checks_say() {
    let (client, _) = shared("health");
    let (node, service) = register(&client, "health", Status::Warning).await;
    let health = client.health();
    let query = Query::new().consistent();

    let of_node = health.node(&node, &query).await.unwrap();
    let of_service = health.checks(&service, &query).await.unwrap();
    assert_eq!(of_node.value, of_service.value);
    let [check] = &of_node.value[..] else {
        panic!("one check expected");
    };
    assert_eq!((check.status.clone(), &*check.output), (Status::Warning, "because"));
    assert_eq!(check.service_tags, ["blue", "v2"]);

    let places = health.service(&service, &query).await.unwrap();
    assert_eq!(places.value[0].service.name, service);
    assert_eq!(places.value[0].checks, of_node.value);
    assert!(health.passing(&service, &query).await.unwrap().value.is_empty());
    assert!(health.service("nothing", &query).await.unwrap().value.is_empty());

    let warning = health.state(Some(&Status::Warning), &query).await.unwrap();
    assert!(warning.value.contains(check));
    let critical = health.state(Some(&Status::Critical), &query).await.unwrap();
    assert!(!critical.value.contains(check));
    let any = health.state(None, &query).await.unwrap();
    assert!(any.value.contains(check));
    assert!(any.value.iter().any(|check| check.id == "serfHealth"));

    let check_only =
        Deregistration { node: node.clone(), check_id: Some(check.id.clone()), service_id: None };
    client.catalog().deregister(&check_only).await.unwrap();
    assert!(health.node(&node, &query).await.unwrap().value.is_empty());
    assert_eq!(health.passing(&service, &query).await.unwrap().value.len(), 1);
    forget(&client, node).await;
}

#[tokio::test]
async fn a_filter_selects_and_a_wrong_one_is_refused() {
    let (client, _) = shared("filter");
    let (node, service) = register(&client, "filter", Status::Passing).await;
    let filtered = async |filter: &str| {
        let query = Query::new().filter(filter).near("_agent");
        client.health().service(&service, &query).await
    };
    assert_eq!(filtered(r#""blue" in Service.Tags"#).await.unwrap().value.len(), 1);
    assert_eq!(filtered(r#""green" in Service.Tags"#).await.unwrap().value.len(), 0);
    let error = filtered("nonsense ==").await.unwrap_err();
    assert!(error.to_string().contains("expression"), "{error}");
    assert_eq!(error.retry(), lictor_consul::Retry::Never);
    forget(&client, node).await;
}

#[tokio::test]
async fn an_answer_from_the_cache_says_so() {
    let (client, _) = shared("cache");
    let query = Query::new().consistency(Consistency::Cached);
    let first = client.health().service("consul", &query).await.unwrap();
    assert_eq!(first.meta.cache_hit, Some(false));
    let second = client.health().service("consul", &query).await.unwrap();
    assert_eq!(second.meta.cache_hit, Some(true));
    assert!(second.meta.cache_age.is_some());
}

#[tokio::test]
async fn names_of_any_kind_are_asked_for_as_they_are() {
    let (client, _) = shared("names");
    let query = Query::new();
    for name in ["with space", "a/b", "100%", "ü"] {
        let places = client.health().service(name, &query).await.unwrap();
        assert!(places.value.is_empty());
    }
    for name in ["", "..", "a//b"] {
        let error = client.health().service(name, &query).await.unwrap_err();
        assert!(matches!(error, lictor_consul::Error::Invalid { .. }), "{error}");
    }
}
