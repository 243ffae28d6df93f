//! Lists of keys, row by row.

use std::time::Duration;

use lictor_consul::{
    Client, Cursor, Encoded, Error, Guard, Index, KeyRows, Kv, NewSession, Operation, Pair, PairRow,
    PairRows, Put, Query,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::standin::{Act, StandIn};
use crate::{SOON, hasty, shared};

const LIMIT: Duration = Duration::from_millis(300);

const INDEX: &str = "X-Consul-Index: 7\r\n";

/// A row as a pair that is held.
fn held(row: PairRow<'_>) -> Pair {
    Pair {
        value: Encoded::new(&row.value).unwrap().decode(),
        flags: row.flags,
        session: row.session.as_deref().map(Into::into),
        lock_index: row.lock_index,
        create_index: row.create_index,
        modify_index: row.modify_index,
        key: row.key.into_owned(),
    }
}

/// All rows, and in how many pieces they came.
async fn all(rows: &mut PairRows) -> Result<(Vec<Pair>, usize), Error> {
    let (mut pairs, mut pieces) = (Vec::new(), 0);
    while rows.next(|row| pairs.push(held(row))).await? {
        pieces += 1;
    }
    Ok((pairs, pieces))
}

async fn names(mut rows: KeyRows) -> Result<Vec<String>, Error> {
    let mut keys = Vec::new();
    while rows.next(|key| keys.push(key.to_owned())).await? {}
    Ok(keys)
}

async fn listed(client: &Client, prefix: &str) -> Vec<Pair> {
    let mut rows = client.kv().rows(prefix, &Query::new().consistent()).await.unwrap();
    all(&mut rows).await.unwrap().0
}

/// What a server answers, read to its end: the number of rows, or what is wrong.
async fn read(act: Act, limit: Duration) -> (usize, Result<(), Error>) {
    let server = StandIn::start(vec![act]).await;
    let client = hasty(&server.url, limit);
    let mut rows = match client.kv().rows("k", &Query::new()).await {
        Ok(rows) => rows,
        Err(error) => return (0, Err(error)),
    };
    let mut count = 0;
    loop {
        match rows.next(|_| count += 1).await {
            Ok(true) => {}
            Ok(false) => {
                assert!(!rows.next(|_| count += 1).await.unwrap(), "the end stays the end");
                return (count, Ok(()));
            }
            Err(error) => {
                // It is not taken for a shorter list by who asks again.
                rows.next(|_| count += 1).await.unwrap_err();
                return (count, Err(error));
            }
        }
    }
}

#[tokio::test]
async fn twenty_thousand_keys_come_in_order_and_in_pieces() {
    const KEYS: usize = 20_000;
    let (client, prefix) = shared("rows-many");
    let key = |number: usize| format!("{prefix}{number:05}");
    let numbers: Vec<usize> = (0..KEYS).collect();
    for some in numbers.chunks(64) {
        let set = |&number: &usize| Operation::set(key(number), number.to_string()).flags(number as u64);
        let sets: Vec<_> = some.iter().map(set).collect();
        client.txn().run(&sets).await.unwrap();
    }
    let mut rows = client.kv().rows(&prefix, &Query::new().consistent()).await.unwrap();
    let meta = rows.meta().clone();
    assert!(meta.index.unwrap() > Index::ZERO && meta.attempts == 1);
    // A task of another thread may read it.
    let mut reading = JoinSet::new();
    reading.spawn(async move { all(&mut rows).await.unwrap() });
    let (pairs, pieces) = reading.join_next().await.unwrap().unwrap();
    assert_eq!(pairs.len(), KEYS);
    for (number, pair) in pairs.iter().enumerate() {
        assert_eq!((&pair.key, pair.flags), (&key(number), number as u64));
        assert_eq!(pair.value, number.to_string());
    }
    assert!(pieces > 3, "{pieces} pieces");
    assert_eq!(pairs, client.kv().list(&prefix, &Query::new()).await.unwrap().value);

    let keys = names(client.kv().key_rows(&prefix, &Query::new()).await.unwrap()).await.unwrap();
    assert_eq!(keys.len(), KEYS);
    assert!(keys.iter().zip(0..).all(|(name, number)| *name == key(number)));
    client.kv().delete_tree(&prefix).await.unwrap();
}

#[tokio::test]
async fn what_is_read_can_be_written_elsewhere_without_being_decoded() {
    let (client, prefix) = shared("rows-copy");
    let (from, to) = (format!("{prefix}from/"), format!("{prefix}to/"));
    let every_byte: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let values =
        [("all", every_byte), ("empty", vec![]), ("zeros", vec![0; 64]), ("large", vec![7; 300_000])];
    for (number, (name, value)) in (0_u64..).zip(&values) {
        let put = Put { flags: u64::MAX - number, guard: Guard::None };
        client.kv().put_with(&format!("{from}{name}"), value.clone(), &put).await.unwrap();
    }
    let session = client.session().create(&NewSession::default()).await.unwrap();
    assert!(client.kv().acquire(&format!("{from}held"), "by me", &session).await.unwrap());

    let mut copies = Vec::new();
    let mut rows = client.kv().rows(&from, &Query::new()).await.unwrap();
    let mut copy = |row: PairRow<'_>| {
        let key = row.key.replace(&from, &to);
        let value = Encoded::new(&row.value).unwrap();
        copies.push([Operation::cas_encoded(key, value, Index::ZERO).flags(row.flags)]);
        assert_eq!(row.session.as_deref(), row.key.ends_with("held").then(|| session.as_str()));
    };
    while rows.next(&mut copy).await.unwrap() {}
    assert_eq!(copies.len(), 5);
    for copy in copies {
        client.txn().run(&copy).await.unwrap();
        let error = client.txn().run(&copy).await.unwrap_err();
        assert!(matches!(error, Error::RolledBack { .. }), "it was only to be made: {error}");
    }
    let content = |pairs: Vec<Pair>| -> Vec<_> {
        pairs.into_iter().map(|pair| (pair.key.replace(&from, &to), pair.value, pair.flags)).collect()
    };
    let copied = content(listed(&client, &to).await);
    assert_eq!(copied, content(listed(&client, &from).await));
    assert!(values.iter().all(|(_, value)| copied.iter().any(|copy| copy.1 == *value)));
    client.session().destroy(&session).await.unwrap();
    client.kv().delete_tree(&prefix).await.unwrap();
}

#[tokio::test]
async fn odd_keys_come_as_they_are() {
    let (client, prefix) = shared("rows-odd");
    let mut odd = [
        "quote\"'",
        "back\\slash",
        "less<than>&",
        "日本語/😀",
        "a//b",
        "/",
        "../x",
        "new\nline",
        "nul\0",
        "zero\u{200b}width",
        "\u{2028}",
        "[x],{y}",
    ];
    odd.sort_unstable();
    for name in odd {
        client.kv().put(&(prefix.clone() + name), name).await.unwrap();
    }
    let expected: Vec<String> = odd.iter().map(|name| prefix.clone() + name).collect();
    let pairs = listed(&client, &prefix).await;
    assert_eq!(pairs.iter().map(|pair| &*pair.key).collect::<Vec<_>>(), expected);
    assert!(pairs.iter().zip(odd).all(|(pair, name)| pair.value == name));
    let keys = client.kv().key_rows(&prefix, &Query::new()).await.unwrap();
    assert_eq!(names(keys).await.unwrap(), expected);
    // A prefix is no folder, and may be empty.
    assert_eq!(listed(&client, &(prefix.clone() + "quot")).await.len(), 1);
    let everything = listed(&client, "").await;
    assert!(expected.iter().all(|key| everything.iter().any(|pair| pair.key == *key)));
    client.kv().delete_tree(&prefix).await.unwrap();
}

#[tokio::test]
async fn nothing_is_an_empty_list_with_an_index() {
    let (client, prefix) = shared("rows-none");
    let mut rows = client.kv().rows(&prefix, &Query::new()).await.unwrap();
    assert!(rows.meta().index.unwrap() > Index::ZERO);
    assert_eq!(all(&mut rows).await.unwrap(), (vec![], 0));
    let keys = client.kv().key_rows(&prefix, &Query::new()).await.unwrap();
    assert!(keys.meta().index.is_some());
    assert!(names(keys).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_prefix_without_a_path_is_refused() {
    let (client, _) = shared("rows-path");
    for prefix in ["/a", "a//b", "a/../b", "😀"] {
        let error = client.kv().rows(prefix, &Query::new()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("GET /v1/kv/{prefix}: {prefix:?} cannot stand in a path"));
        assert!(matches!(error, Error::Invalid { .. }) && !Kv::has_path(prefix));
        client.kv().key_rows(prefix, &Query::new()).await.unwrap_err();
    }
    assert!(Kv::has_path("") && Kv::has_path("a/b") && Kv::has_path("a/"));
}

#[tokio::test]
async fn a_loop_of_its_own_sees_each_change() {
    let (client, prefix) = shared("rows-loop");
    let key = prefix.clone() + "k";
    client.kv().put(&key, "0").await.unwrap();
    let mut cursor = Cursor::new();
    let mut seen = Vec::new();
    let following = async {
        while seen.last() != Some(&"3".to_owned()) {
            let query = Query::new().index(cursor.index()).wait(SOON);
            let mut rows = client.kv().rows(&prefix, &query).await.unwrap();
            if cursor.answered(rows.meta().index).is_none() {
                continue;
            }
            let (pairs, _) = all(&mut rows).await.unwrap();
            cursor.finished();
            let value = String::from_utf8(pairs[0].value.to_vec()).unwrap();
            client.kv().put(&key, format!("{}", value.parse::<u8>().unwrap() + 1)).await.unwrap();
            seen.push(value);
        }
    };
    timeout(SOON, following).await.unwrap();
    assert_eq!(seen, ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn the_limit_of_an_answer_is_for_each_row_and_not_for_the_list() {
    let (client, prefix) = shared("rows-limit");
    for number in 0..3 {
        client.kv().put(&format!("{prefix}{number}"), vec![0; 400_000]).await.unwrap();
    }
    let small = hasty(&lictor_testkit::consul::shared().url(), SOON);
    assert!(matches!(small.kv().list(&prefix, &Query::new()).await, Err(Error::TooLarge { .. })));
    assert_eq!(listed(&small, &prefix).await.len(), 3);
    client.kv().delete_tree(&prefix).await.unwrap();

    let endless = Act::Flood(b"HTTP/1.1 200 OK\r\n\r\n[{\"Key\":\"".to_vec(), 10_000_000_000);
    let (rows, outcome) = read(endless, SOON).await;
    assert!(matches!(outcome, Err(Error::TooLarge { limit: 1_048_576, .. })), "{outcome:?}");
    assert_eq!(rows, 0);
}

const TWO: &str = r#"[{"Key":"a","Value":"YQ==","ModifyIndex":1},{"Key":"b","Value":null,"ModifyIndex":2}"#;

#[tokio::test]
async fn a_list_that_breaks_off_is_never_taken_for_a_short_one() {
    let length =
        |more: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{TWO}", TWO.len() + more);
    let chunk = format!("{:x}\r\n{TWO}\r\n", TWO.len());
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
    for cut in [length(100), chunked.clone()] {
        let (rows, outcome) = read(Act::Send(cut.clone().into()), SOON).await;
        assert!(matches!(outcome, Err(Error::Broken { .. })), "{outcome:?}");
        assert_eq!(rows, 2);
        let (_, outcome) = read(Act::SendAndHang(cut.into()), LIMIT).await;
        assert_eq!(outcome.unwrap_err().to_string(), "GET /v1/kv/k: no whole answer within 300ms");
    }
    // HTTP finds nothing wrong with these.
    for whole in [length(0), chunked + "0\r\n\r\n", format!("HTTP/1.1 200 OK\r\n\r\n{TWO}")] {
        let (rows, outcome) = read(Act::Send(whole.into()), SOON).await;
        let said = outcome.unwrap_err().to_string();
        assert_eq!(said, "GET /v1/kv/k: the answer makes no sense: the list is cut off");
        assert_eq!(rows, 2);
    }
    assert!(matches!(read(Act::Reset, SOON).await, (0, Err(Error::Broken { .. }))));
}

#[tokio::test]
async fn what_is_not_consuls_makes_no_sense() {
    for body in [
        "",
        "<html>",
        "{}",
        "[7]",
        "[{}]",
        "[] []",
        r#"["a"]"#,
        r#"[{"Key":"k"}]"#,
        r#"[{"Key":7,"ModifyIndex":1}]"#,
        r#"[{"Key":"k","ModifyIndex":1]]"#,
    ] {
        let (_, outcome) = read(Act::answer(200, INDEX, body), SOON).await;
        assert!(matches!(outcome, Err(Error::Malformed { .. })), "{body}: {outcome:?}");
    }
    let not_text = b"HTTP/1.1 200 OK\r\n\r\n[{\"Key\":\"\xff\",\"ModifyIndex\":1}]".to_vec();
    assert!(matches!(read(Act::Send(not_text), SOON).await.1, Err(Error::Malformed { .. })));
    let (_, outcome) = read(Act::answer(404, "", "404 page not found"), SOON).await;
    assert!(outcome.unwrap_err().to_string().ends_with("404 without an index: this is not Consul's"));
    assert!(matches!(read(Act::answer(404, INDEX, ""), SOON).await, (0, Ok(()))));
    let (_, outcome) = read(Act::answer(403, "", "Permission denied"), SOON).await;
    assert!(outcome.unwrap_err().is_denied());

    let server = StandIn::start(vec![Act::answer(200, INDEX, r#"["a",{}]"#)]).await;
    let keys = hasty(&server.url, SOON).kv().key_rows("k", &Query::new()).await.unwrap();
    assert!(matches!(names(keys).await, Err(Error::Malformed { .. })));
}

#[tokio::test]
async fn a_list_may_take_longer_than_each_of_its_pieces_and_its_reader_may_go_away_in_between() {
    let body = [TWO, &" ".repeat(150), "]"].concat();
    let Act::Send(answer) = Act::answer(200, INDEX, &body) else {
        panic!("an answer is sent");
    };
    let server = StandIn::start(vec![Act::Drip(answer, Duration::from_millis(8))]).await;
    let limit = Duration::from_millis(1500);
    let begun = Instant::now();
    let mut rows = hasty(&server.url, limit).kv().rows("k", &Query::new()).await.unwrap();
    let mut keys = Vec::new();
    loop {
        let next = rows.next(|row| keys.push(row.key.into_owned()));
        match timeout(Duration::from_millis(3), next).await {
            Ok(Ok(true)) | Err(_) => {}
            Ok(Ok(false)) => break,
            Ok(Err(error)) => panic!("{error}"),
        }
    }
    assert_eq!(keys, ["a", "b"]);
    assert!(begun.elapsed() > limit, "the test is too quick to show anything");
}

#[tokio::test]
async fn a_list_that_did_not_begin_is_asked_for_again() {
    let busy = Act::answer(500, "", "No cluster leader");
    let list = Act::answer(200, INDEX, &[TWO, "]"].concat());
    let server = StandIn::start(vec![busy.clone(), Act::Reset, list]).await;
    let client = hasty(&server.url, SOON).with_attempts(3);
    let query = Query::new().index(Index(6)).wait(SOON).stale();
    let mut rows = client.kv().rows("k", &query).await.unwrap();
    assert_eq!((rows.meta().attempts, rows.meta().index), (3, Some(Index(7))));
    assert_eq!(all(&mut rows).await.unwrap().0.len(), 2);
    let line = "GET /v1/kv/k?index=6&wait=20000ms&stale&recurse HTTP/1.1";
    assert_eq!(server.requests(), [line; 3]);

    let server = StandIn::start(vec![busy]).await;
    hasty(&server.url, SOON).kv().rows("k", &Query::new()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
}
