//! What holds for any state, and for any bytes.

use std::ops::ControlFlow;

use proptest::collection::vec;
use proptest::prelude::*;

use lictor_snapshot::archive::Limits;
use lictor_snapshot::build::{Data, StateBuilder};
use lictor_snapshot::decode::{Redact, write_record};
use lictor_snapshot::inspect::{Format, Inspection, KvDetails};
use lictor_snapshot::state::RecordReader;
use lictor_snapshot::{Kind, Source, diff, write};

use crate::pack::{gzip, meta, read, sound};

fn data() -> impl Strategy<Value = Data> {
    let leaf = prop_oneof![
        Just(Data::Nil),
        any::<bool>().prop_map(Data::Bool),
        any::<u64>().prop_map(Data::Unsigned),
        (i64::MIN..0).prop_map(Data::Negative),
        any::<f64>().prop_map(Data::Float),
        vec(any::<u8>(), 0..40).prop_map(Data::Bytes),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Data::List),
            vec((vec(any::<u8>(), 0..10), inner), 0..20).prop_map(Data::Map),
        ]
    })
}

/// Kinds of which nothing is known take anything.
fn unknown_kind() -> impl Strategy<Value = u8> {
    64_u8..=255
}

/// Everything that looks into bytes, on bytes that may be anything. None of it may panic.
fn look_into(bytes: &[u8]) {
    let mut line = Vec::new();
    let mut inspection = Inspection::new(Some(KvDetails::default()));
    if let Ok(mut reader) = RecordReader::new(bytes) {
        while let Ok(Some(record)) = reader.next() {
            inspection.add(&record);
            line.clear();
            write_record(&mut line, &record, &Redact::default());
            assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok(), "a line that is no JSON");
        }
    }
    for format in [Format::Pretty, Format::Json, Format::Consul18] {
        assert!(!inspection.render(&meta(bytes), format).is_empty());
    }
    drop(read(bytes));
    drop(read(&gzip(bytes)));
}

proptest! {
    #[test]
    fn what_was_built_and_written_is_read_again(records in vec((unknown_kind(), data()), 0..20)) {
        let mut state = StateBuilder::new(7);
        let mut expected = Vec::new();
        for (kind, data) in &records {
            state.push(Kind::new(*kind), data);
            let mut bytes = Vec::new();
            data.write(&mut bytes);
            expected.push((*kind, bytes));
        }
        let state = state.finish();
        let archive = write(Vec::new(), &meta(&state), &state[..], 0).unwrap();
        let found = read(&archive).unwrap();
        prop_assert_eq!(found.state, expected);
        look_into(&state);
        // And it does not differ from itself.
        let source = Source::from_bytes(archive).unwrap();
        let summary = diff::compare(&source, &source, &Limits::default(), |_| ControlFlow::Continue(())).unwrap();
        prop_assert!(summary.is_same());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..2000)) {
        look_into(&bytes);
        look_into(&[b"\x81\xa9LastIndex\x07".as_slice(), &bytes].concat());
    }

    #[test]
    fn no_change_of_an_archive_makes_it_panic(at in 0_usize..600, with in vec(any::<u8>(), 0..8)) {
        let mut archive = sound();
        let at = at.min(archive.len());
        let end = (at + with.len()).min(archive.len());
        archive.splice(at..end, with);
        drop(read(&archive));
    }

    #[test]
    fn any_record_is_json_with_and_without_its_secrets(kind in any::<u8>(), data in data()) {
        let state = StateBuilder::new(1).record(Kind::new(kind), &data).finish();
        let mut reader = RecordReader::new(&state[..]).unwrap();
        // Most are not what their kind is.
        if let Ok(Some(record)) = reader.next() {
            for reveal in [false, true] {
                let mut line = Vec::new();
                write_record(&mut line, &record, &Redact { reveal, ..Redact::default() });
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
            }
        }
    }
}
