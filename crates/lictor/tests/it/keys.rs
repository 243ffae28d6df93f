//! Keys of a real Consul server, for tests of what copies them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lictor_testkit::consul::Server;
use lictor_testkit::process::Child;
use lictor_testkit::wait;
use serde_json::{Value, json};

use crate::node::LONG;

/// An identity of age that nobody uses for anything else, and its recipient.
pub(crate) fn pair() -> (&'static str, &'static str) {
    (
        "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33",
        "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa",
    )
}

/// The keys of a datacenter.
pub(crate) struct Keys<'a>(pub(crate) &'a Server);

impl Keys<'_> {
    pub(crate) fn put(&self, key: &str, value: &str) {
        self.all(&[("set", key, value)]);
    }

    pub(crate) fn delete(&self, key: &str) {
        self.all(&[("delete", key, "")]);
    }

    pub(crate) fn delete_below(&self, prefix: &str) {
        self.all(&[("delete-tree", prefix, "")]);
    }

    pub(crate) fn put_many(&self, prefix: &str, count: usize) {
        let names: Vec<String> = (0..count).map(|number| format!("{prefix}{number:03}")).collect();
        for some in names.chunks(64) {
            let some: Vec<_> = some.iter().map(|name| ("set", name.as_str(), "x")).collect();
            self.all(&some);
        }
    }

    pub(crate) fn all(&self, verbs: &[(&str, &str, &str)]) {
        let operation = |(verb, key, value): &(&str, &str, &str)| json!({ "KV": { "Verb": verb, "Key": key, "Value": STANDARD.encode(value) } });
        let operations: Vec<Value> = verbs.iter().map(operation).collect();
        let (status, body) = self.0.put("/v1/txn", &Value::from(operations).to_string()).unwrap();
        assert_eq!(status, 200, "{body}");
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let (status, body) = self.0.get(&format!("/v1/kv/{key}?raw&consistent")).unwrap();
        (status == 200).then_some(body)
    }

    /// The names below a prefix, without it.
    pub(crate) fn below(&self, prefix: &str) -> Vec<String> {
        let (status, body) = self.0.get(&format!("/v1/kv/{prefix}?keys&consistent")).unwrap();
        if status == 404 {
            return Vec::new();
        }
        let names: Vec<String> = serde_json::from_str(&body).unwrap();
        names.iter().map(|name| name.strip_prefix(prefix).unwrap().to_owned()).collect()
    }

    pub(crate) fn index(&self, key: &str) -> u64 {
        let (_, body) = self.0.get(&format!("/v1/kv/{key}?consistent")).unwrap();
        let rows: Value = serde_json::from_str(&body).unwrap();
        rows[0]["ModifyIndex"].as_u64().unwrap()
    }

    #[track_caller]
    pub(crate) fn until(&self, key: &str, value: Option<&str>, child: &Child) {
        let found = wait::until(LONG, || (self.get(key).as_deref() == value).then_some(()));
        assert!(found.is_some(), "{key} is {:?}, not {value:?}\n{}", self.get(key), child.log_tail());
    }
}
