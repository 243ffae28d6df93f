//! Tokens.

use lictor_consul::{Client, Config, Operation, Query, Retry, Secret};
use lictor_testkit::consul::{MANAGEMENT_TOKEN, Options, Server};
use serde_json::json;

use crate::{at, client};

#[tokio::test]
async fn a_token_decides_what_is_answered_and_is_never_shown() {
    let server = Server::with(Options { in_memory: true, acl: true, ..Options::default() });
    let able = client(&server);
    able.kv().put("secret/a", "v").await.unwrap();

    let anonymous = able.with_token(None).unwrap();
    let unknown = Secret::new("ffffffff-0000-1111-2222-333333333333");
    let unknown = able.with_token(Some(&unknown)).unwrap();
    for (client, why) in [(&anonymous, "Permission denied"), (&unknown, "ACL not found")] {
        let error = client.kv().get("secret/a", &Query::new()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("GET /v1/kv/secret/a: 403: {why}"));
        assert!(error.is_denied());
        assert_eq!(error.retry(), Retry::Never);
        let error = client.kv().put("secret/a", "w").await.unwrap_err();
        assert!(error.is_denied() && !error.may_have_happened());
    }

    // In a transaction the refusal is a mistake of the operation.
    let set = [Operation::set("secret/a", "w")];
    let error = anonymous.txn().run(&set).await.unwrap_err();
    assert!(error.is_denied(), "{error}");
    assert_eq!(error.retry(), Retry::Never);

    // What may not be read looks like what is not there.
    let list = anonymous.kv().list("secret/", &Query::new()).await.unwrap();
    assert!(list.value.is_empty() && list.meta.index.is_some());

    let value = able.kv().get("secret/a", &Query::new()).await.unwrap().value;
    assert_eq!(value.unwrap().value, "v");
    let printed = format!("{able:?} {:?}", able.kv());
    assert!(!printed.contains(MANAGEMENT_TOKEN));
}

#[tokio::test]
async fn an_error_shows_no_token_either() {
    let config = Config { token: Some("t0ken-in-a-header".into()), ..at("http://127.0.0.1:1") };
    let client = Client::new(config).unwrap().with_attempts(1);
    let error = client.kv().get("k", &Query::new()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("t0ken"));
}

/// A client whose token may do what these rules say, and the id by which that token is deleted.
async fn restricted(able: &Client, rules: &str) -> (Client, String) {
    let policy = json!({ "Name": "app", "Rules": rules });
    able.raw().put("/v1/acl/policy", &policy).await.unwrap();
    let token = json!({ "Policies": [{ "Name": "app" }] });
    let made = able.raw().put("/v1/acl/token", &token).await.unwrap().value;
    let made: serde_json::Value = serde_json::from_slice(&made).unwrap();
    let secret = Secret::new(made["SecretID"].as_str().unwrap());
    let accessor = made["AccessorID"].as_str().unwrap().to_owned();
    (able.with_token(Some(&secret)).unwrap(), accessor)
}

#[tokio::test]
async fn a_policy_made_by_hand_gives_what_it_says() {
    let server = Server::with(Options { in_memory: true, acl: true, ..Options::default() });
    let able = client(&server);
    let (app, accessor) = restricted(&able, r#"key_prefix "app/" { policy = "write" }"#).await;
    app.kv().put("app/a", "v").await.unwrap();
    assert!(app.kv().put("other/a", "v").await.unwrap_err().is_denied());

    able.raw().delete(&format!("/v1/acl/token/{accessor}")).await.unwrap();
    let gone = able.raw().get(&format!("/v1/acl/token/{accessor}"), &Query::new()).await;
    assert!(gone.unwrap_err().is_denied(), "a token that is gone is `ACL not found`");
    let error = able.raw().get("v1/acl/tokens", &Query::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "GET v1/acl/tokens: a path begins with /v1/");
}

#[tokio::test]
async fn what_may_not_be_read_is_left_out_of_a_list_and_is_not_absent() {
    let server = Server::with(Options { in_memory: true, acl: true, ..Options::default() });
    let able = client(&server);
    for key in ["app/is", "other/is"] {
        able.kv().put(key, "v").await.unwrap();
    }
    let (app, _) = restricted(&able, r#"key_prefix "app/" { policy = "read" }"#).await;
    let keys = ["app/is", "app/none", "other/is", "other/none"];
    let absent = async |client: &Client, keys: &[&str]| {
        client.txn().absent(keys, &Query::new().consistent()).await.unwrap()
    };
    assert_eq!(absent(&able, &keys).await, [false, true, false, true]);
    assert_eq!(absent(&app, &keys).await, [false, true, false, true]);
    assert_eq!(absent(&app, &["other/is"]).await, [false]);
    let nobody = able.with_token(None).unwrap();
    assert_eq!(absent(&nobody, &keys).await, [false, true, false, true]);

    let mut rows = app.kv().rows("", &Query::new()).await.unwrap();
    let mut seen = Vec::new();
    while rows.next(|row| seen.push(row.key.into_owned())).await.unwrap() {}
    assert_eq!(seen, ["app/is"]);
    // Of nothing at all, it does not even say that something was left out.
    let mut rows = nobody.kv().rows("", &Query::new()).await.unwrap();
    assert!(rows.meta().index.is_some() && rows.meta().filtered_by_acls.is_none());
    assert!(!rows.next(|row| panic!("{}", row.key)).await.unwrap());
}
