//! What a transaction and a value may be, asked for.

use lictor_consul::{Error, Operation};
use lictor_testkit::consul::{Options, Server};

use crate::standin::{Act, StandIn};
use crate::{SOON, client, hasty, shared};

#[tokio::test]
async fn what_consul_takes_by_itself_is_found_to_be_what_is_known_of_it() {
    let (client, _) = shared("limits");
    assert_eq!(client.find_limits().await.unwrap(), *client.limits());
}

#[tokio::test]
async fn a_server_that_is_set_to_take_more_is_given_more() {
    let config = "limits { kv_max_value_size = 700000 txn_max_req_len = 3000000 }".to_owned();
    let server = Server::with(Options { in_memory: true, config, ..Options::default() });
    let client = client(&server);
    let found = client.find_limits().await.unwrap();
    assert_eq!((found.value_bytes, found.transaction_bytes), (700_000, 3_000_000));
    assert_eq!(found.transaction_operations, 64);

    let able = client.with_limits(found);
    able.kv().put("value", vec![0; 700_000]).await.unwrap();
    assert!(matches!(able.kv().put("value", vec![0; 700_001]).await, Err(Error::Invalid { .. })));
    let sets: Vec<_> = (0..5).map(|number| Operation::set(number.to_string(), vec![0; 440_000])).collect();
    assert!(sets.iter().map(Operation::encoded_len).sum::<usize>() > 2_900_000);
    able.txn().run(&sets).await.unwrap();
    assert!(matches!(client.txn().run(&sets).await, Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn the_larger_of_the_two_sizes_counts_for_transactions() {
    let config = "limits { kv_max_value_size = 900000 }".to_owned();
    let server = Server::with(Options { in_memory: true, config, ..Options::default() });
    let client = client(&server);
    let found = client.find_limits().await.unwrap();
    assert_eq!((found.value_bytes, found.transaction_bytes), (900_000, 900_000));
    let set = [Operation::set("k", vec![0; 670_000])];
    client.with_limits(found).txn().run(&set).await.unwrap();
}

#[tokio::test]
async fn what_the_token_may_not_see_stays_as_it_is_thought_to_be() {
    let config = "limits { kv_max_value_size = 700000 }".to_owned();
    let server = Server::with(Options { in_memory: true, acl: true, config, ..Options::default() });
    let anonymous = client(&server).with_token(None).unwrap();
    assert_eq!(anonymous.find_limits().await.unwrap(), *anonymous.limits());
    assert_eq!(client(&server).find_limits().await.unwrap().value_bytes, 700_000);
}

/// How many operations are found to be allowed when the agent says nothing of itself.
async fn operations(answer: Act) -> Result<usize, Error> {
    let server = StandIn::start(vec![Act::answer(200, "", "{}"), answer]).await;
    let client = hasty(&server.url, SOON);
    let found = client.find_limits().await?;
    assert_eq!(server.requests(), ["GET /v1/agent/self HTTP/1.1", "PUT /v1/txn?stale HTTP/1.1"]);
    assert_eq!(found.value_bytes, client.limits().value_bytes);
    assert_eq!(found.transaction_bytes, client.limits().transaction_bytes);
    Ok(found.transaction_operations)
}

#[tokio::test]
async fn another_consuls_number_is_taken_and_nonsense_is_not() {
    let too_many = |numbers: &str| {
        Act::answer(413, "", &format!("Transaction contains too many operations ({numbers})"))
    };
    assert_eq!(operations(too_many("1024 > 128")).await.unwrap(), 128);
    assert_eq!(operations(too_many("1024 > many")).await.unwrap(), 64);
    let absent = r#"{"Results":null,"Errors":[{"OpIndex":0,"What":"key \"no-such-key\" doesn't exist"}]}"#;
    assert_eq!(operations(Act::answer(409, "", absent)).await.unwrap(), 1024);
    assert!(operations(Act::answer(500, "", "No cluster leader")).await.is_err());
}
