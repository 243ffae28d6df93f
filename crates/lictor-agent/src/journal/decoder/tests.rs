use proptest::prelude::*;

use super::*;

const HEAD: &str = "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=7000\n__MONOTONIC_TIMESTAMP=5\n_BOOT_ID=b\n";

/// The messages of a stream, as it comes in pieces of this size.
fn in_pieces(stream: &[u8], size: usize) -> Result<Vec<Record>, Garbage> {
    let (mut decoder, mut found) = (Decoder::new(), Vec::new());
    for piece in stream.chunks(size.max(1)) {
        decoder.read(piece, &mut |record| found.push(record.clone()))?;
    }
    Ok(found)
}

fn messages(stream: &[u8]) -> Vec<String> {
    let found = in_pieces(stream, usize::MAX).unwrap();
    found.iter().map(|record| String::from_utf8_lossy(&record.message).into_owned()).collect()
}

fn binary(field: &str, value: &[u8]) -> Vec<u8> {
    let length = u64::try_from(value.len()).unwrap().to_le_bytes();
    [field.as_bytes(), b"\n", &length, value, b"\n"].concat()
}

fn record(fields: &[u8]) -> Vec<u8> {
    [HEAD.as_bytes(), fields, b"\n"].concat()
}

#[test]
fn a_record_is_its_place_its_time_and_its_message() {
    let found = in_pieces(&record(b"MESSAGE=a=b c\nODD_1=x\n_TRANSPORT=stdout\n"), 1_000).unwrap();
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((found.cursor.as_str(), found.realtime, found.boot.as_str()), ("s=1;i=2", 7_000, "b"));
    assert_eq!((found.message.as_slice(), found.transport.as_slice()), (&b"a=b c"[..], &b"stdout"[..]));
    assert_eq!(found.field("ODD_1"), None);
}

#[test]
fn a_message_of_odd_bytes_comes_with_its_length() {
    let stream = record(&binary("MESSAGE", b"two\n\nlines \xff\0"));
    assert_eq!(messages(&stream), ["two\n\nlines \u{fffd}\0"]);
    assert_eq!(messages(&record(&binary("MESSAGE", b""))), [""]);
}

#[test]
fn repeated_messages_are_one_of_several_lines() {
    assert_eq!(messages(&record(b"MESSAGE=one\nMESSAGE=\nMESSAGE=three\n")), ["one\n\nthree"]);
}

#[test]
fn a_record_without_a_message_counts_too() {
    assert_eq!(messages(&record(b"")), [""]);
}

#[test]
fn of_a_huge_message_the_beginning_is_kept_and_what_follows_is_read() {
    let huge = "x".repeat(3 * LINE);
    let text = record(format!("MESSAGE={huge}\n").as_bytes());
    let stream = [text, record(&binary("MESSAGE", huge.as_bytes())), record(b"MESSAGE=after\n")].concat();
    let found = in_pieces(&stream, 5_000).unwrap();
    let seen: Vec<(usize, bool)> = found.iter().map(|record| (record.message.len(), record.cut)).collect();
    assert_eq!(seen, [(LINE, true), (LINE, true), (5, false)]);
}

#[test]
fn only_journald_says_what_it_dropped() {
    let of = |fields: &[u8]| in_pieces(&record(fields), 1_000).unwrap()[0].dropped;
    assert_eq!(of(b"N_DROPPED=12\n_TRANSPORT=driver\n"), 12);
    assert_eq!(of(b"N_DROPPED=12\n_TRANSPORT=journal\n"), 0);
}

#[test]
fn a_little_garbage_spoils_one_record_and_much_of_it_ends_the_stream() {
    let good = record(b"MESSAGE=good\n");
    let spoilt = record(b"hello there\nMESSAGE=bad\n");
    let no_place = b"MESSAGE=x\n\n".to_vec();
    let stream = [good.clone(), spoilt.clone(), no_place, good.clone()].concat();
    assert_eq!(messages(&stream), ["good", "good"]);

    let text = "some words\n".repeat(9);
    assert_eq!(messages(&[text.as_bytes(), b"\n", &good].concat()), ["good"]);
    let garbage = in_pieces("some words\n".repeat(10).as_bytes(), 7).unwrap_err();
    assert_eq!(garbage.to_string(), "what it writes are no records of a journal: `some words`");
}

#[test]
fn a_length_that_cannot_be_ends_the_stream() {
    assert!(in_pieces(b"HELLO\nthere are no records here", 1_000).is_err());
    let short = [HEAD.as_bytes(), b"MESSAGE\n\x02\0\0\0\0\0\0\0abc\n\n"].concat();
    assert!(in_pieces(&short, 1_000).is_err());
}

#[test]
fn endless_garbage_is_not_kept() {
    let mut decoder = Decoder::new();
    let mut pieces = 0;
    while decoder.read(&[b'x'; 10_000], &mut |_| {}).is_ok() {
        pieces += 1;
    }
    assert_eq!(pieces, 105);
    assert!(decoder.held.capacity() + decoder.first.capacity() < 1_000);
}

#[test]
fn fields_that_are_asked_for_are_kept() {
    let fields =
        b"PRIORITY=3\nTAG=a\nMESSAGE=m\nTAG=b\nSYSLOG_IDENTIFIER=x\nOTHER=y\n_SYSTEMD_UNIT=u.service\n";
    let stream = [record(fields), record(b"TAG=c\n")].concat();
    let mut decoder = Decoder::keeping([
        "TAG",
        "MESSAGE",
        "PRIORITY",
        "SYSLOG_IDENTIFIER",
        "_SYSTEMD_UNIT",
        "_SYSTEMD_USER_UNIT",
    ]);
    let mut found = Vec::new();
    for byte in stream {
        decoder.read(&[byte], &mut |record| found.push(record.clone())).unwrap();
    }
    let [first, second] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((first.priority(), first.identifier(), first.unit()), (Some(3), Some("x"), Some("u.service")));
    assert_eq!(first.fields("TAG").collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!((first.field("MESSAGE"), first.field("OTHER")), (Some(&b"m"[..]), None));
    assert_eq!((second.field("TAG"), second.priority()), (Some(&b"c"[..]), None));
}

#[test]
fn of_a_huge_field_the_beginning_is_kept_and_of_many_fields_the_first() {
    let huge = format!("A={}\n", "x".repeat(2 * VALUE));
    let stream = record((huge + &"A=y\n".repeat(100)).as_bytes());
    let mut lengths = Vec::new();
    let each = &mut |record: &Record| lengths = record.fields("A").map(<[u8]>::len).collect();
    Decoder::keeping(["A"]).read(&stream, each).unwrap();
    assert_eq!((lengths.len(), lengths[0], lengths[1], lengths[63]), (64, VALUE, 1, 1));
}

/// A record as `-o json` writes it.
fn json(fields: &str) -> String {
    format!(
        r#"{{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"7000","__MONOTONIC_TIMESTAMP":"5","_BOOT_ID":"b",{fields}}}"#
    ) + "\n"
}

#[test]
fn json_says_the_same_as_the_export_format() {
    let text = json(
        r#""MESSAGE":"a=b \u00e9","N":null,"TAG":["a",[98,255],"c"],"_TRANSPORT":"driver","N_DROPPED":"3""#,
    );
    let mut export = "MESSAGE=a=b \u{e9}\nTAG=a\n".as_bytes().to_vec();
    export.extend(binary("TAG", b"b\xff"));
    export.extend(b"TAG=c\n_TRANSPORT=driver\nN_DROPPED=3\n");
    let read = |stream: &[u8], size: usize| {
        let (mut decoder, mut found) = (Decoder::keeping(["TAG"]), Vec::new());
        for piece in stream.chunks(size) {
            decoder.read(piece, &mut |record| found.push(record.clone())).unwrap();
        }
        found
    };
    let wanted = read(&record(&export), 1_000);
    assert_eq!(wanted[0].fields("TAG").collect::<Vec<_>>(), [&b"a"[..], b"b\xff", b"c"]);
    for size in [1, 7, 1_000] {
        assert_eq!(read(text.as_bytes(), size), wanted);
    }
}

#[test]
fn json_tells_odd_bytes_from_several_messages() {
    let stream = [
        json(r#""MESSAGE":[111,110,101,10,255]"#),
        json(r#""MESSAGE":["one","two"]"#),
        json(r#""MESSAGE":[]"#),
        json(r#""_PID":"1""#),
    ];
    assert_eq!(messages(stream.concat().as_bytes()), ["one\n\u{fffd}", "one\ntwo", "", ""]);
    // Journalctl leaves out what is too large, unless it is asked for with `--all`.
    let cut = in_pieces(json(r#""MESSAGE":null"#).as_bytes(), 1_000).unwrap();
    assert!(cut[0].cut);
}

#[test]
fn a_broken_line_of_json_spoils_one_record() {
    let good = json(r#""MESSAGE":"good""#);
    let broken = ["{\n", "{\"MESSAGE\":\"x\"}\n", "{\"a b\":1}\n"];
    let stream = [good.as_str(), broken[0], broken[1], broken[2], &good].concat();
    let (mut decoder, mut count) = (Decoder::new(), 0);
    decoder.read(stream.as_bytes(), &mut |_| count += 1).unwrap();
    assert_eq!((count, decoder.spoilt()), (2, 3));
    assert!(in_pieces("{}\n".repeat(20).as_bytes(), 1_000).is_err());
}

#[test]
fn the_last_record_needs_no_end() {
    let whole = record(b"MESSAGE=last\n");
    for stream in [
        &whole[..],
        &whole[..whole.len() - 1],
        &whole[..whole.len() - 2],
        json(r#""MESSAGE":"last""#).trim().as_bytes(),
    ] {
        let (mut decoder, mut found) = (Decoder::new(), Vec::new());
        decoder.read(stream, &mut |record| found.push(record.message.clone())).unwrap();
        decoder.end(&mut |record| found.push(record.message.clone())).unwrap();
        assert_eq!(found, [b"last"]);
    }
    let half = [HEAD.as_bytes(), b"MESSAGE\n\x09\0\0\0\0\0\0\0abc"].concat();
    let mut decoder = Decoder::new();
    decoder.read(&half, &mut |_| panic!()).unwrap();
    decoder.end(&mut |_| panic!()).unwrap();
    assert_eq!(decoder.spoilt(), 1);
}

proptest! {
    #[test]
    fn how_the_stream_is_cut_into_pieces_makes_no_difference(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8),
        size in 1_usize..50,
    ) {
        let stream: Vec<u8> = values.iter().flat_map(|value| record(&binary("MESSAGE", value))).collect();
        let found = in_pieces(&stream, size).unwrap();
        let seen: Vec<Vec<u8>> = found.into_iter().map(|record| record.message).collect();
        prop_assert_eq!(seen, values);
    }

    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..2_000), size in 1_usize..300) {
        in_pieces(&bytes, size).ok();
    }
}
