//! Snapshots of Consul: whatever is in the file, one gets records or an error that can be shown, never a
//! panic, and never much memory.

use std::ops::ControlFlow;

use lictor_snapshot::archive::Limits;
use lictor_snapshot::decode::{Redact, write_record};
use lictor_snapshot::inspect::{Format, Inspection, KvDetails};
use lictor_snapshot::pshima::{self, Password};
use lictor_snapshot::state::RecordReader;
use lictor_snapshot::{Meta, Shape, Source, diff, verify, write};

use super::Target;

/// Archives and states.
pub(super) const TARGET: Target = Target {
    name: "snapshot",
    about: "snapshots of Consul and backups of consul-snapshot",
    dictionary: WORDS,
    run,
};

const WORDS: &[&str] = &[
    "\u{1}",
    "\u{2}",
    "\u{3}",
    "\u{11}",
    "\u{16}",
    "\u{1d}",
    "LastIndex",
    "Key",
    "Value",
    "Flags",
    "Session",
    "ModifyIndex",
    "SecretID",
    "Entry",
    "Service",
    "Check",
    "Definition",
    "service-defaults",
    "01234567-0123-0123-0123-0123456789ab",
    "meta.json",
    "state.bin",
    "SHA256SUMS",
    "ustar",
    "{\"Size\":",
    "[{\"Key\":\"a\",\"Value\":\"MQ==\"}]",
    "v0:",
];

/// What is allowed here: so little that a bomb is over soon.
const LIMITS: Limits = Limits { state: 8 << 20, record: 1 << 20, unread: 1 << 20 };

fn run(bytes: &[u8]) {
    file(bytes);
    state(bytes);
    // As a state in a sound archive: sums keep nothing out there.
    let size = bytes.len() as u64;
    if let Ok(archive) = write(Vec::new(), &Meta { size, ..Meta::default() }, bytes, 0) {
        file(&archive);
    }
}

/// Bytes as a file of any shape.
fn file(bytes: &[u8]) {
    let Ok(source) = Source::from_bytes(bytes) else { return };
    match source.shape() {
        Shape::Archive | Shape::State => {
            if let Err(error) = verify(&source, &LIMITS, Some(KvDetails::default())) {
                drop(error.to_string());
                return;
            }
            let summary = diff::compare(&source, &source, &LIMITS, |change| {
                drop((change.to_string(), change.to_json()));
                ControlFlow::Continue(())
            });
            assert!(summary.is_ok_and(|summary| summary.is_same()), "a snapshot differs from itself");
        }
        // A key takes 50 ms to make, so the password is tried where there is none to be made.
        Shape::Encrypted if bytes.len() > 46 => {}
        Shape::Encrypted | Shape::ConsulSnapshot | Shape::ConsulSnapshotV1 => {
            let password = Password::new("password");
            if let Err(error) = pshima::read(&source, Some(&password), &LIMITS, |pair| drop(pair)) {
                drop(error.to_string());
            }
        }
    }
}

/// Bytes as a state.
fn state(bytes: &[u8]) {
    let mut inspection = Inspection::new(Some(KvDetails::default()));
    let Ok(mut reader) = RecordReader::with_limit(bytes, LIMITS.record) else { return };
    let mut line = Vec::new();
    while let Ok(Some(record)) = reader.next() {
        inspection.add(&record);
        line.clear();
        write_record(&mut line, &record, &Redact::default());
        assert_eq!(line.last(), Some(&b'\n'), "a record is not a line");
    }
    assert_eq!(inspection.total().count, reader.records(), "a record was not counted");
    for format in [Format::Pretty, Format::Json, Format::Consul18] {
        drop(inspection.render(&Meta::default(), format));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A corpus that is refused at its first byte tries nothing.
    #[test]
    fn every_file_of_the_corpus_is_sound() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/snapshot");
        let mut records = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let path = entry.unwrap().path();
            let source = Source::open(&path).unwrap();
            let report = verify(&source, &Limits::default(), None);
            assert!(report.is_ok(), "{}: {report:?}", path.display());
            records += report.map_or(0, |report| report.whole.records);
        }
        assert!(records > 50);
    }
}
