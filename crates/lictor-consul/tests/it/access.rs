//! Tokens.

use lictor_consul::{Config, Operation, Query, Retry, Secret};
use lictor_testkit::consul::{MANAGEMENT_TOKEN, Options, Server};

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
    let client = lictor_consul::Client::new(config).unwrap().with_attempts(1);
    let error = client.kv().get("k", &Query::new()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("t0ken"));
}
