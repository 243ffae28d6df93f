//! Sessions and the keys they hold.

use std::time::Duration;

use lictor_consul::{Behavior, Error, NewSession, Query, Retry, SessionId};

use crate::shared;

#[tokio::test]
async fn a_session_is_what_was_asked_for() {
    let (client, _) = shared("session");
    let sessions = client.session();
    let id = sessions
        .create(&NewSession {
            name: Some("a test".to_owned()),
            ttl: Some(Duration::from_secs(90)),
            lock_delay: Some(Duration::ZERO),
            behavior: Behavior::Delete,
            node_checks: Some(Vec::new()),
            node: None,
        })
        .await
        .unwrap();
    let session = sessions.info(&id, &Query::new()).await.unwrap().value.unwrap();
    assert_eq!(session.name, "a test");
    assert_eq!(session.ttl, Some(Duration::from_secs(90)));
    assert_eq!(session.lock_delay, Duration::ZERO);
    assert_eq!(session.behavior, Behavior::Delete);
    assert_eq!(session.node_checks, Vec::<String>::new());
    assert_eq!(session.node, "n1");

    assert_eq!(sessions.renew(&id).await.unwrap(), Some(session.clone()));
    let all = sessions.list(&Query::new()).await.unwrap();
    assert!(all.value.contains(&session));
    let of_node = sessions.node("n1", &Query::new()).await.unwrap();
    assert!(of_node.value.contains(&session));
    sessions.destroy(&id).await.unwrap();
    assert_eq!(sessions.info(&id, &Query::new()).await.unwrap().value, None);
}

#[tokio::test]
async fn a_session_without_wishes_is_consuls_default() {
    let (client, _) = shared("session-default");
    let sessions = client.session();
    let id = sessions.create(&NewSession::default()).await.unwrap();
    let session = sessions.info(&id, &Query::new()).await.unwrap().value.unwrap();
    assert_eq!(session.ttl, None);
    assert_eq!(session.lock_delay, Duration::from_secs(15));
    assert_eq!(session.behavior, Behavior::Release);
    assert_eq!(session.node_checks, ["serfHealth"]);
    sessions.destroy(&id).await.unwrap();
}

#[tokio::test]
async fn a_session_is_bound_to_the_checks_it_names() {
    let (client, _) = shared("session-checks");
    let bound =
        |check: &str| NewSession { node_checks: Some(vec![check.to_owned()]), ..NewSession::default() };
    let id = client.session().create(&bound("serfHealth")).await.unwrap();
    let session = client.session().info(&id, &Query::new()).await.unwrap().value.unwrap();
    assert_eq!(session.node_checks, ["serfHealth"]);
    client.session().destroy(&id).await.unwrap();
    let error = client.session().create(&bound("no-such-check")).await.unwrap_err();
    assert!(error.to_string().contains("no-such-check"), "{error}");
}

#[tokio::test]
async fn a_session_that_is_gone_cannot_be_renewed() {
    let (client, _) = shared("session-gone");
    let id = SessionId::from("11111111-2222-3333-4444-555555555555");
    assert_eq!(client.session().renew(&id).await.unwrap(), None);
    assert_eq!(client.session().info(&id, &Query::new()).await.unwrap().value, None);
    client.session().destroy(&id).await.unwrap();
}

#[tokio::test]
async fn what_consul_refuses_is_not_tried_again() {
    let (client, _) = shared("session-refused");
    let short = NewSession { ttl: Some(Duration::from_secs(5)), ..NewSession::default() };
    let error = client.session().create(&short).await.unwrap_err();
    assert!(error.to_string().contains("Invalid Session TTL"), "{error}");
    assert_eq!(error.retry(), Retry::Never);
    let error = client.session().renew(&SessionId::default()).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
}

/// One session at a time holds a key, on the path's way and on the transaction's.
async fn holding(key: &str) {
    let (client, _) = shared("holding");
    let undelayed = NewSession { lock_delay: Some(Duration::ZERO), ..NewSession::default() };
    let first = client.session().create(&undelayed).await.unwrap();
    let second = client.session().create(&undelayed).await.unwrap();
    let kv = client.kv();
    assert!(kv.acquire(key, "1", &first).await.unwrap());
    assert!(!kv.acquire(key, "2", &second).await.unwrap());
    assert!(!kv.release(key, "2", &second).await.unwrap());
    let held = kv.get(key, &Query::new()).await.unwrap().value.unwrap();
    assert_eq!((held.session, held.lock_index), (Some(first.clone()), 1));
    assert_eq!(held.value, "1");

    assert!(kv.release(key, "free", &first).await.unwrap());
    assert!(kv.acquire(key, "2", &second).await.unwrap());
    client.session().destroy(&second).await.unwrap();
    let free = kv.get(key, &Query::new()).await.unwrap().value.unwrap();
    assert_eq!((free.session, free.lock_index), (None, 2));
    let error = kv.acquire(key, "3", &second).await.unwrap_err();
    assert!(error.to_string().contains("invalid session"), "{error}");
    client.session().destroy(&first).await.unwrap();
}

#[tokio::test]
async fn one_session_at_a_time_holds_a_key() {
    let (_, prefix) = shared("lock");
    holding(&(prefix.clone() + "plain")).await;
    holding(&(prefix + "no//path")).await;
}

#[tokio::test]
async fn a_key_of_a_deleting_session_goes_with_it() {
    let (client, prefix) = shared("session-delete");
    let deleting = NewSession { behavior: Behavior::Delete, ..NewSession::default() };
    let id = client.session().create(&deleting).await.unwrap();
    assert!(client.kv().acquire(&prefix, "v", &id).await.unwrap());
    client.session().destroy(&id).await.unwrap();
    let answer = client.kv().get(&prefix, &Query::new()).await.unwrap();
    assert_eq!(answer.value, None);
}
