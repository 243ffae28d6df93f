//! The key/value store.

use lictor_consul::{Error, Guard, Index, Kv, Pair, Put, Query, Retry};

use crate::shared;

async fn pair(kv: Kv<'_>, key: &str) -> Option<Pair> {
    kv.get(key, &Query::new()).await.unwrap().value
}

#[tokio::test]
async fn a_value_is_any_bytes() {
    let (client, prefix) = shared("bytes");
    let all: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for (name, value) in [("all", all), ("none", Vec::new()), ("zeros", vec![0; 64])] {
        let key = prefix.clone() + name;
        client.kv().put(&key, value.clone()).await.unwrap();
        assert_eq!(pair(client.kv(), &key).await.unwrap().value, value);
        let raw = client.kv().get_raw(&key, &Query::new()).await.unwrap();
        assert_eq!(raw.value.unwrap(), value);
    }
}

#[tokio::test]
async fn a_missing_key_is_an_answer_with_an_index() {
    let (client, prefix) = shared("missing");
    let key = prefix.clone() + "none";
    let answer = client.kv().get(&key, &Query::new()).await.unwrap();
    assert_eq!(answer.value, None);
    assert!(answer.meta.index.unwrap() > Index::ZERO);
    assert_eq!(answer.meta.known_leader, Some(true));

    let raw = client.kv().get_raw(&key, &Query::new()).await.unwrap();
    assert!(raw.value.is_none() && raw.meta.index.is_some());
    let list = client.kv().list(&prefix, &Query::new()).await.unwrap();
    assert!(list.value.is_empty() && list.meta.index.is_some());
    let keys = client.kv().keys(&prefix, None, &Query::new()).await.unwrap();
    assert!(keys.value.is_empty() && keys.meta.index.is_some());
}

#[tokio::test]
async fn a_prefix_lists_its_keys_in_order() {
    let (client, prefix) = shared("list");
    for name in ["b", "a/2", "a/1", "c"] {
        client.kv().put(&(prefix.clone() + name), name).await.unwrap();
    }
    let list = client.kv().list(&prefix, &Query::new().consistent()).await.unwrap();
    let values: Vec<_> = list.value.iter().map(|pair| pair.value.clone()).collect();
    assert_eq!(values, ["a/1", "a/2", "b", "c"]);

    let names = async |separator| {
        let keys = client.kv().keys(&prefix, separator, &Query::new()).await.unwrap();
        let names = keys.value.iter().map(|key| key.replace(&prefix, ""));
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(None).await, "a/1 a/2 b c");
    assert_eq!(names(Some("/")).await, "a/ b c");

    client.kv().delete(&(prefix.clone() + "b")).await.unwrap();
    assert_eq!(names(None).await, "a/1 a/2 c");
    client.kv().delete_tree(&(prefix.clone() + "a/")).await.unwrap();
    assert_eq!(names(None).await, "c");
}

#[tokio::test]
async fn odd_keys_come_back_as_they_went() {
    let (client, prefix) = shared("odd");
    let odd = [
        "with space",
        "100%",
        "a%2Fb",
        "plus+plus",
        "question?mark",
        "hash#",
        "semi;colon",
        "amp&=",
        "back\\slash",
        "quote\"'",
        "ünïcödé",
        "日本語",
        "trailing/",
        "a:b@c",
        "[x]{y}|z^`",
        // No path leads to these.
        "a//b",
        "/",
        "./x",
        "../x",
        "x/..",
        "new\nline",
        "nul\0",
        "😀",
        "zero\u{200b}width",
        "\u{a0}",
    ];
    for (number, name) in odd.iter().enumerate() {
        let key = prefix.clone() + name;
        let value = number.to_string();
        let put = Put { flags: number as u64, guard: Guard::None };
        assert!(client.kv().put_with(&key, value.clone(), &put).await.unwrap());
        let pair = pair(client.kv(), &key).await.unwrap();
        assert_eq!((pair.key, pair.flags), (key, number as u64));
        assert_eq!(pair.value, value);
    }
    let list = client.kv().list(&prefix, &Query::new()).await.unwrap();
    let mut listed: Vec<&str> =
        list.value.iter().map(|pair| pair.key.strip_prefix(&prefix).unwrap()).collect();
    let mut expected = odd;
    listed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    for name in odd {
        client.kv().delete(&(prefix.clone() + name)).await.unwrap();
    }
    let list = client.kv().list(&prefix, &Query::new()).await.unwrap();
    assert_eq!(list.value, []);
}

#[tokio::test]
async fn a_leading_slash_is_part_of_the_key() {
    let (client, prefix) = shared("slash");
    let (with, without) = (format!("/{prefix}k"), format!("{prefix}k"));
    client.kv().put(&with, "with").await.unwrap();
    client.kv().put(&without, "without").await.unwrap();
    assert_eq!(pair(client.kv(), &with).await.unwrap().value, "with");
    assert_eq!(pair(client.kv(), &without).await.unwrap().value, "without");
    let list = client.kv().list(&format!("/{prefix}"), &Query::new()).await.unwrap();
    assert_eq!(list.value.len(), 1);
    client.kv().delete_tree(&format!("/{prefix}")).await.unwrap();
    assert_eq!(pair(client.kv(), &with).await, None);
    assert!(pair(client.kv(), &without).await.is_some());
}

/// What a guarded write does is the same on the path's way and on the transaction's.
async fn guards_of(key: &str) {
    let (client, _) = shared("guards");
    let kv = client.kv();
    assert!(kv.cas(key, "1", Index::ZERO).await.unwrap());
    assert!(!kv.cas(key, "2", Index::ZERO).await.unwrap());
    let first = pair(kv, key).await.unwrap();
    assert!(!kv.cas(key, "2", Index(first.modify_index.0 + 1)).await.unwrap());
    assert!(kv.cas(key, "2", first.modify_index).await.unwrap());
    let second = pair(kv, key).await.unwrap();
    assert_eq!(second.value, "2");
    assert!(second.modify_index > first.modify_index);
    assert_eq!(second.create_index, first.create_index);

    assert!(!kv.delete_cas(key, first.modify_index).await.unwrap());
    assert!(kv.delete_cas(key, second.modify_index).await.unwrap());
    assert_eq!(pair(kv, key).await, None);
    kv.delete(key).await.unwrap();
}

#[tokio::test]
async fn a_guarded_write_happens_only_if_nobody_wrote_in_between() {
    let (_, prefix) = shared("cas");
    guards_of(&(prefix.clone() + "plain")).await;
    guards_of(&(prefix + "no//path")).await;
}

#[tokio::test]
async fn the_same_value_does_not_move_the_index() {
    let (client, prefix) = shared("same");
    let key = prefix + "k";
    client.kv().put(&key, "v").await.unwrap();
    let before = pair(client.kv(), &key).await.unwrap();
    client.kv().put(&key, "v").await.unwrap();
    assert!(client.kv().cas(&key, "v", before.modify_index).await.unwrap());
    assert_eq!(pair(client.kv(), &key).await.unwrap(), before);

    let put = Put { flags: 1, guard: Guard::Index(before.modify_index) };
    assert!(client.kv().put_with(&key, "v", &put).await.unwrap());
    let after = pair(client.kv(), &key).await.unwrap();
    assert!(after.modify_index > before.modify_index);
}

#[tokio::test]
async fn what_is_too_large_or_has_no_name_is_not_sent() {
    let (client, prefix) = shared("refused");
    let key = prefix + "k";
    let limit = client.limits().value_bytes;
    client.kv().put(&key, vec![b'x'; limit]).await.unwrap();

    let error = client.kv().put(&key, vec![b'x'; limit + 1]).await.unwrap_err();
    assert_eq!(error.to_string(), format!("PUT /v1/kv/{key}: the value has 524289 bytes, more than 524288"));
    assert!(!error.may_have_happened());
    for error in [
        client.kv().put("", "v").await.unwrap_err(),
        client.kv().delete("").await.unwrap_err(),
        client.kv().delete_tree("").await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert_eq!(error.retry(), Retry::Never);
    }
    let wait = Query::new().index(Index(1));
    let error = client.kv().get("a//b", &wait).await.unwrap_err();
    assert!(error.to_string().contains("has no path"), "{error}");
}

#[tokio::test]
async fn an_answer_larger_than_the_limit_is_not_read() {
    let (client, prefix) = shared("limit");
    let small = crate::hasty(&lictor_testkit::consul::shared().url(), crate::SOON);
    for number in 0..3 {
        let key = format!("{prefix}{number}");
        client.kv().put(&key, vec![0; 400_000]).await.unwrap();
    }
    let error = small.kv().list(&prefix, &Query::new()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 1_048_576, .. }), "{error}");
    client.kv().delete_tree(&prefix).await.unwrap();
}

#[tokio::test]
async fn an_unknown_datacenter_is_an_error_that_stays() {
    let (client, prefix) = shared("datacenter");
    let elsewhere = client.in_datacenter("nowhere");
    let error = elsewhere.kv().get(&prefix, &Query::new()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("GET /v1/kv/{prefix}: 500: No path to datacenter"));
    assert_eq!(error.retry(), Retry::Never);
    let here = Query::new().datacenter("dc1");
    assert!(elsewhere.kv().get(&prefix, &here).await.is_ok());
    // A write goes there too, and not to a key whose name ends with the parameter.
    let error = elsewhere.kv().put(&prefix, "v").await.unwrap_err();
    assert!(error.to_string().contains("No path to datacenter"), "{error}");
}
