//! Files in folders: a store of snapshots, and Raft's own.

use std::fs;
use std::num::NonZero;
use std::path::Path;

use lictor_snapshot::archive::{self, Limits};
use lictor_snapshot::source::{OpenError, ReadError};
use lictor_snapshot::{Shape, Source, Verdict, verify, verify_dir};

use crate::fixture::{FULL, LATER};
use crate::pack::{gzip, sound, state};

/// Raft's folder of the snapshot, whose state is the same.
fn raft(dir: &Path) {
    let mut state = Vec::new();
    archive::read(LATER, &Limits::default(), |_, input| {
        std::io::Read::read_to_end(input, &mut state)?;
        Ok(())
    })
    .unwrap();
    fs::write(dir.join("state.bin"), state).unwrap();
    fs::write(dir.join("meta.json"), include_bytes!("../fixtures/later.raft-meta.json")).unwrap();
}

fn check(path: &Path) -> Result<u64, ReadError> {
    let source = Source::open(path)?;
    verify(&source, &Limits::default(), None).map(|report| report.whole.records)
}

#[test]
fn a_state_in_rafts_folder_is_read_and_checked_by_what_lies_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    raft(dir.path());
    let path = dir.path().join("state.bin");
    assert_eq!(Source::open(&path).unwrap().shape(), Shape::State);
    let records = check(&path).unwrap();
    assert!(records > 50);

    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    // Within the large value: nothing but the sum sees it.
    let place = whole.windows(9).position(|part| part == b"xxxxxxxxx").unwrap();
    damaged[place] = b'y';
    fs::write(&path, &damaged).unwrap();
    let error = check(&path).unwrap_err();
    assert!(matches!(&error, ReadError::Meta(what) if what == "its CRC is another one"), "{error}");

    fs::write(&path, &whole[..whole.len() - 12]).unwrap();
    assert!(matches!(check(&path), Err(ReadError::Meta(_))));

    fs::write(&path, &whole).unwrap();
    fs::remove_file(dir.path().join("meta.json")).unwrap();
    assert_eq!(check(&path).unwrap(), records);
    fs::write(dir.path().join("meta.json"), "x").unwrap();
    assert!(matches!(check(&path), Err(ReadError::Open(OpenError::Meta { .. }))));
}

#[test]
fn a_whole_store_is_checked_and_each_file_has_its_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put("a.snap", FULL);
    put("b.snap", &FULL[..4000]);
    put("c.snap", b"");
    put("d.snap", b"<html>");
    put("older/e.snap", &sound());
    put("older/raw/state.bin", &state());
    put("older/broken/state.bin", b"x");
    put("old.tar.gz", &gzip(b"[]"));
    put("notes.txt", b"{}");
    put(".hidden.snap", b"");
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("link.snap")).unwrap();
    for threads in [1, 2, 64] {
        let verdicts = verify_dir(dir.path(), &Limits::default(), NonZero::new(threads).unwrap()).unwrap();
        let found: Vec<_> = verdicts
            .iter()
            .map(|(path, verdict)| {
                let verdict = match verdict {
                    Verdict::Sound(_) => "sound",
                    Verdict::Damaged(_) => "damaged",
                    Verdict::Other(_) => "other",
                };
                (path.strip_prefix(dir.path()).unwrap().to_str().unwrap(), verdict)
            })
            .collect();
        assert_eq!(
            found,
            [
                ("a.snap", "sound"),
                ("b.snap", "damaged"),
                ("c.snap", "damaged"),
                ("d.snap", "damaged"),
                ("notes.txt", "other"),
                ("old.tar.gz", "other"),
                ("older/broken/state.bin", "damaged"),
                ("older/e.snap", "sound"),
                ("older/raw/state.bin", "sound"),
            ]
        );
    }
}

#[test]
fn what_a_file_is_instead_is_said() {
    for (bytes, expected) in [
        (&b""[..], "it is empty"),
        (b"{\"x\":1}", "it looks like JSON"),
        (b"<!doctype html>", "it looks like a web page"),
        (&crate::pack::tar(&crate::pack::members(), 1024), "it is a tar that is not in gzip"),
        (b"PK\x03\x04", "it is neither an archive of Consul nor a backup of consul-snapshot"),
    ] {
        let error = Source::from_bytes(bytes).unwrap_err();
        assert_eq!(error.to_string(), format!("it is no snapshot: {expected}"));
    }
    assert!(matches!(Source::open("/nonexistent"), Err(OpenError::Open { .. })));
    assert!(matches!(Source::open("/"), Err(OpenError::Open { .. })));
}
