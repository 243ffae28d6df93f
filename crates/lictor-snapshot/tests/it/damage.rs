//! What happens to files: cut off, bits that flip, what other programs make of them.

use lictor_snapshot::archive::{Error, Part, SumsError};

use crate::pack::{gzip, members, pack, read, sound, tar};

#[test]
fn what_we_write_is_what_we_read() {
    let found = read(&sound()).unwrap();
    assert_eq!(found.state.len(), 3);
    assert_eq!(found.meta.id, "2-9-1600000000000");
    assert_eq!(read(&pack(&members())).unwrap().state, found.state);
}

#[test]
fn an_archive_that_is_cut_at_any_byte_is_refused() {
    let archive = sound();
    for length in 0..archive.len() {
        let error = read(&archive[..length]).unwrap_err();
        assert!(matches!(error, Error::Empty | Error::Cut { .. }), "cut at {length}: {error}");
        assert!(error.consul_text().is_some());
    }
}

#[test]
fn a_flipped_bit_is_seen_or_changes_nothing() {
    let archive = sound();
    let expected = read(&archive).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut refused, mut same) = (0, 0);
    for _ in 0..10_000 {
        // xorshift: the same places in each run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let bits = archive.len() as u64 * 8;
        let bit = usize::try_from(random % bits).unwrap();
        let mut damaged = archive.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match read(&damaged) {
            Err(_) => refused += 1,
            // No sum is over gzip's time, system and hints; and zeros are the same zeros wherever the
            // compressed bytes say they are copied from.
            Ok(found) => {
                assert_eq!((found.state, found.meta), (expected.state.clone(), expected.meta.clone()));
                same += 1;
            }
        }
    }
    assert!(refused > 9_000 && same > 0, "{refused} refused, {same} the same");
}

#[test]
fn what_stands_behind_the_tar_is_what_consul_takes_and_nothing_else() {
    for blocks in 0..=20 {
        let result = read(&gzip(&tar(&members(), blocks * 512)));
        if blocks <= 2 {
            assert!(result.is_ok(), "{blocks} blocks");
            continue;
        }
        let error = result.unwrap_err();
        let bytes = blocks as u64 * 512 - 1024;
        assert!(matches!(error, Error::Unread { bytes: found, counted: true } if found == bytes), "{error}");
        assert!(error.to_string().contains("Consul would refuse it"));
        assert_eq!(error.consul_text(), Some(format!("{bytes} unread uncompressed bytes remain")));
    }
    for zeros in [1, 100, 511, 513, 1023] {
        let error = read(&gzip(&tar(&members(), zeros))).unwrap_err();
        assert!(matches!(error, Error::Cut { part: Part::Header, .. }), "{zeros}: {error}");
    }
}

#[test]
fn what_stands_behind_gzip_is_refused() {
    for behind in [&b"x"[..], b"garbage", &[0], &[0; 512], b"\x1f", b"\x1f\x8b\x08"] {
        let archive = [&sound(), behind].concat();
        let error = read(&archive).unwrap_err();
        let expected =
            matches!(error, Error::Damaged { part: Part::End, .. } | Error::Cut { part: Part::End, .. });
        assert!(expected, "{behind:?}: {error}");
    }
    // More of gzip is gzip, for Consul too.
    let more = [&sound()[..], &gzip(b"more")].concat();
    assert!(matches!(read(&more), Err(Error::Unread { bytes: 4, .. })));
    let nothing_more = [&sound()[..], &gzip(b"")].concat();
    assert!(read(&nothing_more).is_ok());
}

#[test]
fn the_order_of_the_members_does_not_matter() {
    let [meta, state, sums] = [0, 1, 2];
    for order in [
        [meta, state, sums],
        [meta, sums, state],
        [state, meta, sums],
        [state, sums, meta],
        [sums, meta, state],
        [sums, state, meta],
    ] {
        let members = members();
        let members = order.map(|place: usize| members[place].clone());
        assert_eq!(read(&pack(&members)).unwrap().state.len(), 3, "{order:?}");
    }
}

#[test]
fn a_missing_member_is_told_by_its_name() {
    for (place, part) in [(0, Part::Meta), (1, Part::State), (2, Part::Sums)] {
        let mut members = members();
        members.remove(place);
        let error = read(&pack(&members)).unwrap_err();
        assert!(matches!(error, Error::Missing { part: found } if found == part), "{error}");
    }
    assert!(matches!(read(&gzip(b"")), Err(Error::Missing { .. })));
}

#[test]
fn a_member_that_comes_twice_is_refused() {
    for place in 0..3 {
        let mut members = members();
        members.push(members[place].clone());
        assert!(matches!(read(&pack(&members)), Err(Error::Twice { .. })));
    }
}

#[test]
fn sums_that_are_wrong_are_told_before_what_they_are_of() {
    let mut members = members();
    // Not even a header: but first of all it is not what was saved.
    let length = members[1].1.len();
    members[1].1 = vec![0xc1; length];
    let error = read(&pack(&members)).unwrap_err();
    assert!(matches!(&error, Error::Sums(SumsError::Wrong { name: "state.bin" })), "{error}");
    assert_eq!(
        error.consul_text().unwrap(),
        "failed to read snapshot file: failed checking integrity of snapshot: hash check failed for \"state.bin\""
    );
}

#[test]
fn the_length_that_was_promised_must_be_the_one_there_is() {
    for order in [[0, 1, 2], [1, 0, 2]] {
        let mut members = members();
        let text = String::from_utf8(members[0].1.clone()).unwrap();
        members[0].1 = text.replace("\"Size\":", "\"Size\":1").into_bytes();
        members[2].1 = crate::pack::sums(&[("meta.json", &members[0].1), ("state.bin", &members[1].1)]);
        let members = order.map(|place: usize| members[place].clone());
        assert!(matches!(read(&pack(&members)), Err(Error::Size { .. })));
    }
}

#[test]
fn what_is_no_gzip_is_told_at_once() {
    for bytes in [&b"PK\x03\x04"[..], b"v0:", b"{}", &[0; 20]] {
        let error = read(bytes).unwrap_err();
        assert!(matches!(error, Error::NotGzip { seen } if seen == bytes.len()));
        let what = if bytes.len() < 10 { "unexpected EOF" } else { "gzip: invalid header" };
        assert_eq!(error.consul_text().unwrap(), format!("failed to decompress snapshot: {what}"));
    }
    assert!(matches!(read(&gzip(&[1; 600])), Err(Error::Header)));
}
