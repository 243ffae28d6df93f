//! Snapshots that a Consul 1.8.7 made, with everything it can hold, and what that Consul says of them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use lictor_snapshot::archive::Limits;
use lictor_snapshot::decode::{HIDDEN, Redact, write_record};
use lictor_snapshot::diff::{self, What};
use lictor_snapshot::inspect::{Format, KvDetails};
use lictor_snapshot::{Kind, Source, get, verify, write};

pub(crate) const FULL: &[u8] = include_bytes!("../fixtures/full.snap");
pub(crate) const LATER: &[u8] = include_bytes!("../fixtures/later.snap");

fn source(bytes: &[u8]) -> Source {
    Source::from_bytes(bytes).unwrap()
}

/// The lines of a snapshot, by their kinds.
fn lines(bytes: &[u8], redact: &Redact) -> BTreeMap<String, Vec<String>> {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    source(bytes)
        .read(&Limits::default(), |record| {
            let mut line = Vec::new();
            write_record(&mut line, record, redact);
            let line = String::from_utf8(line).unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
            lines.entry(record.kind.to_string()).or_default().push(line);
            ControlFlow::Continue(())
        })
        .unwrap();
    lines
}

#[test]
fn the_five_lines_are_those_of_consul() {
    for (bytes, expected) in [
        (FULL, include_str!("../fixtures/full.inspect.txt")),
        (LATER, include_str!("../fixtures/later.inspect.txt")),
    ] {
        let report = verify(&source(bytes), &Limits::default(), None).unwrap();
        let meta = report.whole.meta.unwrap();
        let found = report.inspection.render(&meta, Format::Consul18);
        assert_eq!(String::from_utf8(found).unwrap(), expected);
    }
}

#[test]
fn every_byte_of_the_state_belongs_to_a_record() {
    for bytes in [FULL, LATER] {
        let report = verify(&source(bytes), &Limits::default(), None).unwrap();
        let size = report.whole.meta.unwrap().size;
        assert_eq!((report.inspection.total().bytes, report.whole.state_bytes), (size, size));
        // What these take is documented by Consul's makers.
        assert_eq!(report.inspection.of(Kind::AUTOPILOT).bytes, 199);
        assert_eq!(report.inspection.of(Kind::FEDERATION_STATE).bytes, 139);
        assert_eq!(report.inspection.of(Kind::CHUNKING_STATE).bytes, 12);
    }
}

#[test]
fn everything_that_the_cluster_held_is_in_it() {
    let report = verify(&source(FULL), &Limits::default(), Some(KvDetails::default())).unwrap();
    let count = |kind| report.inspection.of(kind).count;
    assert_eq!(count(Kind::KVS), 12);
    assert_eq!(count(Kind::TOMBSTONE), 2);
    assert_eq!(count(Kind::SESSION), 2);
    assert_eq!(count(Kind::ACL_TOKEN), 4);
    for kind in [
        Kind::REGISTER,
        Kind::COORDINATES,
        Kind::PREPARED_QUERY,
        Kind::INTENTION,
        Kind::CA_ROOT,
        Kind::CA_PROVIDER_STATE,
        Kind::CA_CONFIG,
        Kind::INDEX,
        Kind::ACL_POLICY,
        Kind::ACL_ROLE,
        Kind::ACL_BINDING_RULE,
        Kind::ACL_AUTH_METHOD,
        Kind::CONFIG_ENTRY,
    ] {
        assert!(count(kind) > 0, "no {kind}");
    }
    assert_eq!(report.inspection.refused_by((1, 8)), []);
    assert!(report.inspection.groups().iter().any(|(group, _)| group == b"app/config"));
}

#[test]
fn a_key_is_given_byte_for_byte() {
    let get = |key: &[u8]| get(&source(FULL), &Limits::default(), key).unwrap();
    assert_eq!(get(b"app/binary").unwrap(), (0..=255).collect::<Vec<u8>>());
    assert_eq!(get(b"app/large").unwrap(), vec![b'x'; 70_000]);
    assert_eq!(get("app/café".as_bytes()).unwrap(), "café".as_bytes());
    assert_eq!(get(b"app/\xff\xfe").unwrap(), b"bad key");
    assert_eq!(get(b"app/config/empty").unwrap(), b"");
    assert_eq!(get(b"gone/one"), None);
    assert_eq!(get(b"app"), None);
}

#[test]
fn a_real_snapshot_shows_no_secret() {
    let redact = Redact { reveal: false, key_prefixes: vec![b"secret/".to_vec()] };
    let hidden = lines(FULL, &redact).into_values().flatten().collect::<String>();
    let shown = lines(FULL, &Redact { reveal: true, ..redact }).into_values().flatten().collect::<String>();
    for secret in [
        "5e1f7c1e-0000-4000-8000-00000000c0de",
        "5ec2e700-0000-4000-8000-0000000000aa",
        "PRIVATE KEY",
        "check-secret",
        "body-secret",
        "meta-secret",
        "config-secret",
        "aHVudGVyMg==",
    ] {
        assert!(shown.contains(secret), "{secret}");
        assert!(!hidden.contains(secret), "{secret}");
    }
    assert!(hidden.contains(HIDDEN) && !shown.contains(HIDDEN));
    assert!(hidden.contains("acce5500-0000-4000-8000-0000000000aa"), "an accessor is public");
}

#[test]
fn records_are_readable() {
    let lines = lines(FULL, &Redact::default());
    let of = |kind: &str, part: &str| {
        let found = lines.get(kind).into_iter().flatten().find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("no {kind} with {part}")).clone()
    };
    of("KVS", r#""Flags":18446744073709551615,"Key":"flags""#);
    of("KVS", r#""Key":{"$base64":"YXBwL//+"}"#);
    of("KVS", r#""Key":"html/<a>&","#);
    of("Session", r#""TTL":"3600s""#);
    let proxy = of("ConfigEntry", r#""Kind":"proxy-defaults""#);
    // Maps of users are written in any order.
    for part in [r#""api_token":"(hidden)""#, r#""deep":[1.0,2.5,true]"#] {
        assert!(proxy.contains(part), "{proxy}");
    }
    of("ConfigEntry", r#""Kind":"service-router""#);
    of("CoordinateBatchUpdate", r#""Vec":[0.1,-0.2,"#);
    let token = of("ACLToken", r#""Description":"of the app""#);
    let token: serde_json::Value = serde_json::from_str(&token).unwrap();
    let created = token["Data"]["CreateTime"].as_str().unwrap();
    assert!(created.starts_with("2026-") && created.ends_with('Z'), "{created}");
    assert_eq!(token["Data"]["Hash"].as_str().unwrap().len(), 44, "base64 of 32 bytes");
}

#[test]
fn what_changed_between_two_snapshots_is_found() {
    let mut changes = Vec::new();
    let summary = diff::compare(&source(FULL), &source(LATER), &Limits::default(), |change| {
        changes.push(change.to_string());
        ControlFlow::Continue(())
    })
    .unwrap();
    let session = changes.iter().position(|change| change.starts_with("- session ")).unwrap();
    changes.remove(session);
    changes.sort();
    assert_eq!(
        changes,
        [
            "+ key new/key",
            "+ policy more",
            "- check one/service:db",
            "- key html/<a>&",
            "- service one/db",
            "~ check elsewhere/smtp",
            "~ config-entry service-resolver/web",
            "~ key a (value)",
            "~ key app/config/port (flags)",
            "~ key lock/leader (session)",
        ]
        .into_iter()
        .filter(|change| *change != "- check one/service:db")
        .collect::<Vec<_>>()
    );
    let keys = summary.of(What::Key);
    assert_eq!((keys.added, keys.removed, keys.changed, keys.same), (1, 1, 3, 8));
    assert_eq!(summary.of(What::Token).same, 4);
}

#[test]
fn a_snapshot_written_again_is_the_same() {
    let mut state = Vec::new();
    let found = lictor_snapshot::archive::read(FULL, &Limits::default(), |_, input| {
        std::io::Read::read_to_end(input, &mut state)?;
        Ok(())
    })
    .unwrap();
    let again = write(Vec::new(), &found.meta, &state[..], 0).unwrap();
    let limits = Limits::default();
    let summary =
        diff::compare(&source(FULL), &source(&again), &limits, |_| ControlFlow::Continue(())).unwrap();
    assert!(summary.is_same());
    let report = verify(&source(&again), &limits, None).unwrap();
    assert_eq!(report.whole.meta.unwrap(), found.meta);
}

#[test]
fn a_thing_that_is_there_twice_is_compared_as_one() {
    use lictor_snapshot::build::StateBuilder;
    let state = |values: &[&[u8]]| {
        let state = values.iter().fold(StateBuilder::new(1), |state, value| state.kv("a", value));
        source(&state.finish())
    };
    let compare = |before: &[&[u8]], after: &[&[u8]]| {
        let mut changes = Vec::new();
        let limits = Limits::default();
        let summary = diff::compare(&state(before), &state(after), &limits, |change| {
            changes.push(change.to_string());
            ControlFlow::Continue(())
        });
        let removed = summary.unwrap().of(What::Key).removed;
        assert_eq!(removed, changes.iter().filter(|change| change.starts_with('-')).count() as u64);
        changes
    };
    assert!(compare(&[b"1", b"2"], &[b"1", b"2"]).is_empty());
    assert!(compare(&[b"1", b"2"], &[b"2"]).is_empty());
    assert_eq!(compare(&[b"1", b"2"], &[b"3"]), ["~ key a (value)"]);
    assert_eq!(compare(&[b"1", b"2"], &[]), ["- key a"]);
}
