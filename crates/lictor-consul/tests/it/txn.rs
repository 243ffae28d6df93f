//! Transactions.

use lictor_consul::{
    Error, Index, NewSession, Operation, OperationErrorKind as Kind, Query, Retry, SessionId,
};

use crate::shared;
use crate::standin::{Act, StandIn};

/// The places and kinds of the mistakes of a transaction that was rolled back.
fn mistakes(error: Error) -> Vec<(usize, Kind)> {
    let Error::RolledBack { errors, .. } = error else {
        panic!("not rolled back: {error}");
    };
    errors.iter().map(|error| (error.operation, error.kind)).collect()
}

#[tokio::test]
async fn all_operations_are_done_at_one_index() {
    let (client, prefix) = shared("txn-all");
    let key = |name: &str| prefix.clone() + name;
    client.kv().put(&key("old"), "x").await.unwrap();
    let answer = client
        .txn()
        .run(&[
            Operation::set(key("a"), vec![0, 255]).flags(9),
            Operation::cas(key("b"), "2", Index::ZERO),
            Operation::check_not_exists(key("c")),
            Operation::delete(key("old")),
            Operation::get(key("a")),
        ])
        .await
        .unwrap();
    // Two writes and one read; the check and the deletion leave nothing.
    let keys: Vec<_> = answer.value.iter().map(|pair| &pair.key).collect();
    assert_eq!(keys, [&key("a"), &key("b"), &key("a")]);
    let [a, b, read] = &answer.value[..] else {
        panic!("three results expected");
    };
    assert_eq!(a.modify_index, b.modify_index);
    assert_eq!((&read.value[..], read.flags), (&[0, 255][..], 9));
    let left = client.kv().keys(&prefix, None, &Query::new()).await.unwrap();
    assert_eq!(left.value, [key("a"), key("b")]);
}

#[tokio::test]
async fn one_mistake_rolls_everything_back_and_each_is_named() {
    let (client, prefix) = shared("txn-rollback");
    let key = |name: &str| prefix.clone() + name;
    client.kv().put(&key("is"), "x").await.unwrap();
    let nobody = SessionId::from("11111111-2222-3333-4444-555555555555");
    let error = client
        .txn()
        .run(&[
            Operation::set(key("new"), "v"),
            Operation::cas(key("is"), "v", Index(1)),
            Operation::check_not_exists(key("is")),
            Operation::get(key("none")),
            Operation::check_index(key("is"), Index(1)),
            Operation::delete_cas(key("is"), Index(1)),
            Operation::check_session(key("is"), nobody.clone()),
            Operation::unlock(key("is"), "v", nobody.clone()),
        ])
        .await
        .unwrap_err();
    assert_eq!(error.retry(), Retry::Reread);
    assert!(!error.may_have_happened());
    assert_eq!(
        mistakes(error),
        [
            (1, Kind::IndexIsStale),
            (2, Kind::Exists),
            (3, Kind::Absent),
            (4, Kind::IndexIsStale),
            (5, Kind::IndexIsStale),
            (6, Kind::OtherHolder),
            (7, Kind::OtherHolder),
        ]
    );
    let keys = client.kv().keys(&prefix, None, &Query::new()).await.unwrap();
    assert_eq!(keys.value, [key("is")]);

    let locks = [Operation::lock(key("is"), "v", nobody)];
    let error = client.txn().run(&locks).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Never);
    assert_eq!(mistakes(error), [(0, Kind::NoSession)]);
}

#[tokio::test]
async fn a_lock_is_taken_and_given_back() {
    let (client, prefix) = shared("txn-lock");
    let key = prefix + "lock";
    let session = client.session().create(&NewSession::default()).await.unwrap();
    let other = client.session().create(&NewSession::default()).await.unwrap();
    let lock = |session: &SessionId| [Operation::lock(&*key, "held", session.clone())];
    let answer = client.txn().run(&lock(&session)).await.unwrap();
    assert_eq!(answer.value[0].session, Some(session.clone()));
    let error = client.txn().run(&lock(&other)).await.unwrap_err();
    assert_eq!(mistakes(error), [(0, Kind::OtherHolder)]);
    let give =
        [Operation::check_session(&*key, session.clone()), Operation::unlock(&*key, "free", session.clone())];
    client.txn().run(&give).await.unwrap();
    client.txn().run(&lock(&other)).await.unwrap();
    for session in [session, other] {
        client.session().destroy(&session).await.unwrap();
    }
}

#[tokio::test]
async fn a_transaction_that_only_reads_is_a_read() {
    let (client, prefix) = shared("txn-read");
    client.kv().put(&(prefix.clone() + "a"), "1").await.unwrap();
    client.kv().put(&(prefix.clone() + "b"), "2").await.unwrap();
    let reads = [Operation::get_tree(&*prefix), Operation::get_tree("none/")];
    let query = Query::new().consistent();
    let answer = client.txn().run_with(&reads, &query).await.unwrap();
    assert_eq!(answer.value.len(), 2);
    assert_eq!(answer.meta.known_leader, Some(true));

    let missing = [Operation::get("none")];
    let error = client.txn().run(&missing).await.unwrap_err();
    assert!(!error.call().writes());
    assert_eq!(mistakes(error), [(0, Kind::Absent)]);
}

#[tokio::test]
async fn the_limits_are_checked_before_sending_and_are_consuls() {
    let (client, prefix) = shared("txn-limits");
    let set = |number: usize| Operation::set(format!("{prefix}{number}"), "v");
    let many: Vec<_> = (0..65).map(set).collect();
    client.txn().run(&many[..64]).await.unwrap();
    let error = client.txn().run(&many).await.unwrap_err();
    assert_eq!(error.to_string(), "PUT /v1/txn: 65 operations are more than 64");

    // 524,288 bytes of JSON and no more: find the largest value that fits.
    let frame = Operation::set(&*prefix, "").encoded_len() + 1;
    let fits = (client.limits().transaction_bytes - frame) / 4 * 3;
    let large = [Operation::set(&*prefix, vec![0; fits])];
    client.txn().run(&large).await.unwrap();
    let larger = [Operation::set(&*prefix, vec![0; fits + 3])];
    let error = client.txn().run(&larger).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    client.kv().delete_tree(&prefix).await.unwrap();
}

#[tokio::test]
async fn an_empty_transaction_is_done() {
    let (client, _) = shared("txn-empty");
    assert_eq!(client.txn().run(&[]).await.unwrap().value, []);
}

#[tokio::test]
async fn a_key_is_absent_only_if_consul_says_so_of_it() {
    let (client, prefix) = shared("txn-absent");
    let names = ["is", "a//b", "quote\"", "日本語", "plain", "new\nline", "also"];
    let keys: Vec<String> = names.iter().map(|name| prefix.clone() + name).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let absent = async |keys: &[&str]| client.txn().absent(keys, &Query::new().consistent()).await;
    assert_eq!(absent(&keys).await.unwrap(), [true; 7]);
    for name in ["is", "also"] {
        client.kv().put(&(prefix.clone() + name), "v").await.unwrap();
    }
    assert_eq!(absent(&keys).await.unwrap(), [false, true, true, true, true, true, false]);
    assert_eq!(absent(&[keys[0], keys[6]]).await.unwrap(), [false, false]);
    assert_eq!(absent(&[keys[1], keys[1]]).await.unwrap(), [true, true]);
    assert!(absent(&[]).await.unwrap().is_empty());

    let error = absent(&["k"; 65]).await.unwrap_err();
    assert_eq!(error.to_string(), "PUT /v1/txn: 65 operations are more than 64");
    client.kv().delete_tree(&prefix).await.unwrap();
}

#[tokio::test]
async fn an_absence_that_is_not_quite_one_is_an_error() {
    let about = |errors: &str| Act::answer(409, "", &format!(r#"{{"Results":null,"Errors":[{errors}]}}"#));
    let said = async |act: Act| {
        let server = StandIn::start(vec![act]).await;
        let client = crate::hasty(&server.url, crate::SOON);
        let answer = client.txn().absent(&["a", "b"], &Query::new().consistent()).await;
        assert_eq!(server.requests(), ["PUT /v1/txn?consistent HTTP/1.1"]);
        answer
    };
    let b = r#"{"OpIndex":1,"What":"key \"b\" doesn't exist"}"#;
    assert_eq!(said(about(b)).await.unwrap(), [false, true]);
    for wrong in [
        r#"{"OpIndex":0,"What":"key \"b\" doesn't exist"}"#,
        r#"{"OpIndex":2,"What":"key \"c\" doesn't exist"}"#,
        r#"{"OpIndex":0,"What":"Permission denied"}"#,
        r#"{"What":"key \"a\" doesn't exist"}"#,
        "{}",
    ] {
        assert!(said(about(wrong)).await.is_err() && said(about(&format!("{b},{wrong}"))).await.is_err());
    }
    assert!(said(Act::answer(404, "", "")).await.is_err());
}
