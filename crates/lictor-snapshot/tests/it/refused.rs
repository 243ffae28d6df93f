//! What somebody makes on purpose: members with strange names, bombs, states that kill a server.

use std::time::{Duration, Instant};

use lictor_snapshot::Kind;
use lictor_snapshot::archive::{Error, Limits, Part};
use lictor_snapshot::build::{Data, StateBuilder, kv};
use lictor_snapshot::{Meta, state, write};

use crate::pack::{gzip, header, members, meta, pack, read, read_with, sums, tar};

fn with_state(state: &[u8]) -> Vec<u8> {
    write(Vec::new(), &meta(state), state, 0).unwrap()
}

#[test]
fn names_that_do_not_belong_there_are_refused_wherever_they_lead() {
    let long = "a".repeat(99);
    for name in
        ["x.txt", "../x", "/meta.json", "./meta.json", "meta.json/", "META.JSON", "", "\u{1b}[2J", &long]
    {
        for place in 0..=3 {
            let mut members = members();
            members.insert(place, (name, b"x".to_vec()));
            let error = read(&pack(&members)).unwrap_err();
            assert!(matches!(&error, Error::Unexpected { name: found } if found == name), "{error}");
            // What is shown of it cannot write to a terminal.
            assert!(!error.to_string().contains('\u{1b}'));
        }
    }
}

#[test]
fn a_member_that_is_no_file_is_refused() {
    for flag in [b'1', b'2', b'3', b'5', b'S'] {
        let mut bytes = header("state.bin", 0, flag);
        bytes.extend(tar(&members()[..1], 1024));
        assert!(matches!(read(&gzip(&bytes)), Err(Error::NotAFile { part: Part::State })), "{flag}");
    }
}

#[test]
fn attributes_and_long_names_of_other_programs_are_understood() {
    let attributes = b"30 mtime=1600000000.123456789\n".to_vec();
    let mut bytes = Vec::new();
    for (name, content) in members() {
        bytes.extend(header("PaxHeaders/x", attributes.len() as u64, b'x'));
        bytes.extend_from_slice(&attributes);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend(tar(&[(name, content)], 0));
    }
    bytes.resize(bytes.len() + 1024, 0);
    assert_eq!(read(&gzip(&bytes)).unwrap().state.len(), 3);
}

#[test]
fn a_length_that_is_a_lie_is_refused_before_anything_is_read() {
    let huge = 1 << 50;
    let meta = serde_json::to_vec(&Meta { size: huge, ..Meta::default() }).unwrap();
    let mut bytes = tar(&[("meta.json", meta)], 0);
    bytes.extend(header("state.bin", huge, b'0'));
    assert!(matches!(read(&gzip(&bytes)), Err(Error::TooLarge { part: Part::State, .. })));
    for (name, part) in [("meta.json", Part::Meta), ("SHA256SUMS", Part::Sums)] {
        let error = read(&gzip(&header(name, 1 << 40, b'0'))).unwrap_err();
        assert!(matches!(error, Error::TooLarge { part: found, .. } if found == part), "{error}");
    }
    // A name as long as that would be held whole.
    assert!(matches!(read(&gzip(&header("././@LongLink", 1 << 40, b'L'))), Err(Error::Header)));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "that it ends soon is what is tested")]
fn a_bomb_ends_early() {
    // A state of 64 MiB of zeros in 64 KiB.
    let state = vec![0; 64 << 20];
    let mut small = header("state.bin", state.len() as u64, b'0');
    small.extend_from_slice(&state);
    let bomb = gzip(&small);
    assert!(bomb.len() < 100_000);
    let begin = Instant::now();
    let limits = Limits { unread: 1 << 20, ..Limits::default() };
    let error = read_with(&bomb, &limits).unwrap_err();
    assert!(matches!(error, Error::State { sums_known: false, .. }), "{error}");
    let limits = Limits { state: 1 << 20, ..Limits::default() };
    assert!(matches!(read_with(&bomb, &limits), Err(Error::TooLarge { part: Part::State, .. })));
    // Behind the tar it is counted no further than need be.
    let behind = [crate::pack::sound(), gzip(&state)].concat();
    assert!(matches!(read(&behind), Err(Error::Unread { counted: false, .. })));
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn a_state_that_would_kill_a_server_is_told_although_its_sums_are_right() {
    let header = StateBuilder::new(1).finish();
    let after = |bytes: &[u8]| [&header[..], bytes].concat();
    let states: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\xc1".to_vec(),
        b"\x01".to_vec(),
        b"\x81\x05\x05".to_vec(),
        after(b"\x02"),
        after(b"\x02\x81"),
        after(b"\x02\xc1"),
        after(b"\x02\xc0"),
        StateBuilder::new(1).kv("a", b"1").record(Kind::KVS, &Data::text("x")).finish(),
        StateBuilder::new(1).record(Kind::KVS, &kv("", b"1", 0, "")).finish(),
        StateBuilder::new(1).record(Kind::SESSION, &Data::map([("ID", Data::text("x"))])).finish(),
        [&StateBuilder::new(1).kv("a", b"1").finish()[..], b"\x02\xdf\xff\xff\xff\xff"].concat(),
        [&header[..], b"\x63", &[0x91; 5000]].concat(),
    ];
    for state in states {
        let error = read(&with_state(&state)).unwrap_err();
        assert!(matches!(error, Error::State { sums_known: true, .. }), "{state:x?}: {error}");
        assert!(error.to_string().contains("the sums are right"), "{error}");
        assert_eq!(error.consul_text(), None, "Consul's inspect takes it");
    }
}

#[test]
fn a_record_is_no_larger_than_is_allowed() {
    let state = StateBuilder::new(1).kv("a", &[b'x'; 5000]).finish();
    let limits = Limits { record: 5000, ..Limits::default() };
    let error = read_with(&with_state(&state), &limits).unwrap_err();
    assert!(
        matches!(error, Error::State { error: state::Error::TooLarge { limit: 5000, .. }, .. }),
        "{error}"
    );
    assert!(read(&with_state(&state)).is_ok());
}

#[test]
fn a_meta_that_is_none_or_of_another_format_is_refused() {
    for text in [&b""[..], b"[]", b"{\"Size\":-1}", b"{\"Index\":\"x\"}", b"{", b"null"] {
        let mut members = members();
        members[0].1 = text.to_vec();
        members[2].1 = sums(&[("meta.json", text), ("state.bin", &members[1].1)]);
        assert!(matches!(read(&pack(&members)), Err(Error::Meta(_))), "{text:?}");
    }
    let mut members = members();
    members[0].1 = b"{\"Version\":2}".to_vec();
    assert!(matches!(read(&pack(&members)), Err(Error::Version { version: 2 })));
}
