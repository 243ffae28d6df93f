//! What a comparison finds, with snapshots that differ in one thing each.

use lictor_snapshot::build::{Data, StateBuilder, kv};
use lictor_snapshot::{Kind, Meta, Source, write};

use super::compared::{Comparison, compare};
use super::original::Original;

const OWN: &[u8] = b"0d9f5b1e-5a8e-4c4f-9a41-3d7c2b6e8f10";

const SESSION: &str = "adf4238a-882b-9ddc-4a9d-5b6758e4159e";

/// Records of a snapshot.
type Records = Vec<(Kind, Data)>;

fn source(records: &Records) -> Source {
    let mut state = StateBuilder::new(7);
    for (kind, data) in records {
        state.push(*kind, data);
    }
    let state = state.finish();
    let meta = Meta { version: 1, index: 9, size: state.len() as u64, ..Meta::default() };
    Source::from_bytes(write(Vec::new(), &meta, &state[..], 0).unwrap()).unwrap()
}

fn compared(before: &Records, after: &Records, version: (u16, u16)) -> Comparison {
    let before = source(before);
    let original = Original::read(&before).unwrap();
    assert_eq!(original.index, 9);
    compare(&before, &original, &source(after), OWN, version).unwrap()
}

/// The differences, in words.
fn found(before: &Records, after: &Records) -> Vec<String> {
    let comparison = compared(before, after, (1, 8));
    assert_eq!(comparison.differing, comparison.first.len() as u64);
    comparison.first.iter().map(ToString::to_string).collect()
}

fn key(name: &str, value: &str) -> (Kind, Data) {
    (Kind::KVS, kv(name, value.as_bytes(), 0, ""))
}

fn id(last: u8) -> Data {
    Data::text(format!("6d1c3a52-7f1e-4e0b-9b57-0000000000{last:02x}"))
}

fn token(accessor: &str, secret: &str, description: &str, expires: Data) -> (Kind, Data) {
    let fields = [
        ("AccessorID", Data::text(accessor)),
        ("SecretID", Data::text(secret)),
        ("Description", Data::text(description)),
        ("ExpirationTime", expires),
    ];
    (Kind::ACL_TOKEN, Data::map(fields))
}

fn policy(id: &str, name: &str, rules: &str) -> (Kind, Data) {
    let fields = [("ID", Data::text(id)), ("Name", Data::text(name)), ("Rules", Data::text(rules))];
    (Kind::ACL_POLICY, Data::map(fields))
}

fn named(kind: Kind, name: &str, text: &str) -> (Kind, Data) {
    let (name, text) = (Data::text(name), Data::text(text));
    let fields = [("ID", id(1)), ("Name", name), ("Type", Data::text("t")), ("Description", text)];
    (kind, Data::map(fields))
}

fn rule(text: &str) -> (Kind, Data) {
    let fields = [("ID", id(2)), ("AuthMethod", Data::text("kube")), ("BindName", Data::text(text))];
    (Kind::ACL_BINDING_RULE, Data::map(fields))
}

fn intention(action: &str) -> (Kind, Data) {
    let fields = [
        ("ID", id(3)),
        ("SourceName", Data::text("web")),
        ("DestinationName", Data::text("db")),
        ("Action", Data::text(action)),
    ];
    (Kind::INTENTION, Data::map(fields))
}

fn query(session: &str, token: &str) -> (Kind, Data) {
    let fields = [
        ("ID", id(4)),
        ("Name", Data::text("near")),
        ("Session", Data::text(session)),
        ("Token", Data::text(token)),
    ];
    (Kind::PREPARED_QUERY, Data::map(fields))
}

fn entry(kind: &str, name: &str, protocol: &str) -> (Kind, Data) {
    let (mut bytes, entry) = (Vec::new(), [("Name", Data::text(name)), ("Protocol", Data::text(protocol))]);
    Data::text(kind).write(&mut bytes);
    Data::map([("Entry", Data::map(entry))]).write(&mut bytes);
    (Kind::CONFIG_ENTRY, Data::Bytes(bytes))
}

fn node(name: &str) -> (Kind, Data) {
    let fields = [
        ("Node", Data::text(name)),
        ("Address", Data::text("10.0.0.1")),
        ("Datacenter", Data::text("East-2")),
    ];
    (Kind::REGISTER, Data::map(fields))
}

const READER: &str = "6d1c3a52-7f1e-4e0b-9b57-0000000000aa";

/// One of each that is compared, in two forms.
fn pairs() -> Vec<[(Kind, Data); 2]> {
    vec![
        ["80", "81"].map(|value| key("config/port", value)),
        [1, 2].map(|flags| (Kind::KVS, kv("flags", b"x", flags, ""))),
        ["a", "b"].map(|secret| token("acce5500-0000-4000-8000-0000000000aa", secret, "of web", Data::Nil)),
        ["read", "write"].map(|rules| policy(READER, "reader", rules)),
        ["a", "b"].map(|text| named(Kind::ACL_ROLE, "on-call", text)),
        ["a", "b"].map(|text| named(Kind::ACL_AUTH_METHOD, "kube", text)),
        ["a", "b"].map(rule),
        ["allow", "deny"].map(intention),
        ["a", "b"].map(|token| query("", token)),
        ["http", "tcp"].map(|protocol| entry("service-defaults", "web", protocol)),
    ]
}

#[test]
fn what_is_the_same_is_fine() {
    let all: Records = pairs().into_iter().map(|[one, _]| one).chain([node("a")]).collect();
    assert_eq!(found(&all, &all), [""; 0]);
    let comparison = compared(&all, &all, (1, 8));
    let compared: u64 = comparison.counted.iter().map(|counted| counted.compared).sum();
    assert_eq!(compared, pairs().len() as u64, "{:?}", comparison.counted);
}

#[test]
fn whatever_is_lost_changed_or_added_is_named_and_nothing_of_its_content_is() {
    let names = [
        "key `config/port`",
        "key `flags`",
        "token `acce5500-0000-4000-8000-0000000000aa`",
        "policy `reader`",
        "role `on-call`",
        "auth-method `kube`",
        "binding-rule `6d1c3a52-7f1e-4e0b-9b57-000000000002`",
        "intention `web => db`",
        "query `near`",
        "config-entry `service-defaults/web`",
    ];
    for ([one, other], name) in pairs().into_iter().zip(names) {
        let rest = key("other", "x");
        let with = |it: &(Kind, Data)| vec![rest.clone(), it.clone()];
        assert_eq!(found(&with(&one), &with(&other)), [format!("{name} (changed)")]);
        assert_eq!(found(&with(&one), &vec![rest.clone()]), [format!("{name} (lost)")]);
        assert_eq!(found(&vec![rest.clone()], &with(&one)), [format!("{name} (added)")]);
    }
}

#[test]
fn what_ends_with_its_nodes_and_sessions_may() {
    let held = (Kind::KVS, kv("lock", b"me", 0, SESSION));
    let released = (Kind::KVS, kv("lock", b"me", 0, ""));
    let expires = |secret| token(READER, secret, "for a while", Data::text("soon"));
    let session = (Kind::SESSION, Data::map([("ID", Data::text(SESSION)), ("Node", Data::text("a"))]));
    let before = vec![node("a"), session, held.clone(), query(SESSION, "a"), expires("s"), key("k", "v")];
    assert_eq!(found(&before, &vec![key("k", "v")]), [""; 0]);
    assert_eq!(found(&before, &vec![released.clone(), key("k", "v"), node("lictor-drill")]), [""; 0]);
    let comparison = compared(&before, &vec![key("k", "v")], (1, 8));
    let compared: u64 = comparison.counted.iter().map(|counted| counted.compared).sum();
    assert_eq!(compared, 1);
    let keys = comparison.counted.iter().find(|counted| counted.what == "key").unwrap();
    assert_eq!((keys.in_snapshot, keys.compared, keys.afterwards), (2, 1, 1));
    // What nobody held is nobody's to take.
    assert_eq!(found(&vec![released], &vec![held]), ["key `lock` (changed)"]);
}

#[test]
fn what_a_server_makes_itself_is_no_difference() {
    const MANAGEMENT: &str = "00000000-0000-0000-0000-000000000001";
    let own = std::str::from_utf8(OWN).unwrap();
    let mut after = vec![
        key("k", "v"),
        token(READER, own, "Master Token", Data::Nil),
        token("00000000-0000-0000-0000-000000000002", "anonymous", "Anonymous Token", Data::Nil),
        policy(MANAGEMENT, "global-management", "all"),
    ];
    assert_eq!(found(&vec![key("k", "v")], &after), [""; 0]);
    let older = vec![key("k", "v"), policy(MANAGEMENT, "global-management", "all that there was then")];
    assert_eq!(found(&older, &after), [""; 0]);
    // But what the snapshot has of it must not be lost.
    let before = after.clone();
    after.remove(2);
    let lost = found(&before, &after);
    assert_eq!(lost, ["token `00000000-0000-0000-0000-000000000002` (lost)"]);
    // Nor is somebody else's token fine because ours is.
    after.push(token("acce5500-0000-4000-8000-0000000000bb", "x", "Master Token", Data::Nil));
    assert_eq!(found(&vec![key("k", "v")], &after).len(), 1);
}

#[test]
fn a_token_of_old_may_get_a_name() {
    let before = vec![token("", "secret", "of old", Data::Nil)];
    assert_eq!(found(&before, &vec![token(READER, "secret", "of old", Data::Nil)]), [""; 0]);
    let other = found(&before, &vec![token(READER, "another", "of old", Data::Nil)]);
    assert_eq!(other, [format!("token `{READER}` (added)")]);
}

#[test]
fn a_newer_server_makes_config_entries_of_intentions() {
    let (before, after) = (vec![intention("allow")], vec![entry("service-intentions", "db", "")]);
    assert_eq!(compared(&before, &after, (1, 9)).differing, 0);
    assert_eq!(compared(&before, &after, (1, 8)).differing, 2);
    let other = vec![entry("service-defaults", "db", "")];
    assert_eq!(compared(&before, &other, (1, 9)).differing, 1);
    assert_eq!(compared(&vec![], &after, (1, 9)).differing, 1);
}

#[test]
fn only_the_first_differences_are_named_and_fit_a_line() {
    let before: Records = (0..25).map(|number| key(&format!("a\n\u{1b}[2J{number:02}"), "x")).collect();
    let comparison = compared(&before, &vec![], (1, 8));
    assert_eq!((comparison.differing, comparison.first.len()), (25, 10));
    assert_eq!(comparison.first[0].to_string(), r"key `a \u{1b}[2J00` (lost)");
}

#[test]
fn the_datacenter_is_that_of_the_nodes() {
    let of = |records: &Records| Original::read(&source(records)).unwrap().datacenter;
    assert_eq!(of(&vec![key("a", ""), node("a")]).as_deref(), Some("East-2"));
    assert_eq!(of(&vec![key("a", "")]), None);
    let wrong = Data::map([("Node", Data::text("a")), ("Datacenter", Data::text("a\"b"))]);
    assert_eq!(of(&vec![(Kind::REGISTER, wrong)]), None);
}

#[test]
fn a_real_snapshot_is_like_itself() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../lictor-snapshot/tests/fixtures/full.snap");
    let source = Source::open(path).unwrap();
    let original = Original::read(&source).unwrap();
    assert_eq!(original.datacenter.as_deref(), Some("dc1"));
    let comparison = compare(&source, &original, &source, OWN, (1, 8)).unwrap();
    assert_eq!(comparison.differing, 0);
    let of = |what: &str| {
        let found = comparison.counted.iter().find(|counted| counted.what == what).unwrap();
        (found.in_snapshot, found.compared, found.afterwards)
    };
    // One is held by a session; one token expires; one policy is the server's own.
    assert_eq!((of("key"), of("token"), of("policy")), ((12, 11, 12), (4, 3, 4), (2, 1, 2)));
    assert_eq!((of("session"), of("FederationState")), ((2, 0, 2), (1, 0, 1)));
}
