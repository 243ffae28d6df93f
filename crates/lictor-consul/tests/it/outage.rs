//! One server that is killed, restarted, frozen.

use std::time::Duration;

use lictor_consul::{Cause, Error, Query, Retry};
use lictor_testkit::consul::{Options, Server};
use tokio::time::{Instant, timeout};

use crate::watch::list;
use crate::{SOON, client, hasty};

#[tokio::test]
async fn a_watch_tells_of_a_killed_server_and_goes_on_with_the_restarted_one() {
    let mut server = Server::start();
    let client = client(&server);
    client.kv().put("w/a", "1").await.unwrap();
    let mut watch = list(&client, "w/", SOON);
    assert_eq!(watch.next().await.unwrap().cause, Cause::First);

    server.kill();
    let error = timeout(SOON, watch.next()).await.unwrap().unwrap_err();
    assert_eq!(error.retry(), Retry::Later, "{error}");

    server.restart();
    let recovered = timeout(SOON, async {
        loop {
            if let Ok(change) = watch.next().await {
                return change;
            }
        }
    });
    let change = recovered.await.unwrap();
    assert_eq!(change.cause, Cause::Recovered);
    assert_eq!(change.value[0].value, "1");

    client.kv().put("w/a", "2").await.unwrap();
    let change = timeout(SOON, watch.next()).await.unwrap().unwrap();
    assert_eq!((change.cause, &change.value[0].value[..]), (Cause::Changed, &b"2"[..]));
}

#[tokio::test]
async fn a_frozen_server_is_given_up_at_the_clients_own_deadline() {
    let mut server = Server::with(Options { in_memory: true, ..Options::default() });
    let limit = Duration::from_secs(1);
    let client = hasty(&server.url(), limit);
    client.kv().put("k", "v").await.unwrap();
    let wait = Duration::from_millis(320);
    let mut watch = list(&client, "k", wait);
    watch.next().await.unwrap();

    server.pause();
    let begun = Instant::now();
    let error = client.kv().get("k", &Query::new()).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(begun.elapsed() >= limit && begun.elapsed() < SOON);
    assert_eq!(error.retry(), Retry::Later);

    let error = client.kv().put("k", "w").await.unwrap_err();
    assert!(error.may_have_happened());
    assert_eq!(error.retry(), Retry::Reread);

    // 320 ms of waiting, 20 ms that the server may add, 1 s of the client's own.
    let error = watch.next().await.unwrap_err();
    assert_eq!(error.to_string(), "GET /v1/kv/k: no whole answer within 1.34s");
    server.resume();
    let change = timeout(SOON, async {
        loop {
            if let Ok(change) = watch.next().await {
                return change;
            }
        }
    });
    assert_eq!(change.await.unwrap().cause, Cause::Recovered);
}

#[tokio::test]
async fn a_server_that_is_not_there_was_not_written_to() {
    let address = format!("http://127.0.0.1:{}", lictor_testkit::ports::free());
    let client = hasty(&address, SOON);
    let error = client.kv().put("k", "v").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("PUT /v1/kv/k: cannot connect to {address}: Connection refused (os error 111)")
    );
    assert_eq!((error.retry(), error.may_have_happened()), (Retry::Later, false));
}
