//! Files in folders: a store of snapshots, and Raft's own.

use std::fs;
use std::io::Read as _;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use lictor_snapshot::archive::{self, Limits};
use lictor_snapshot::seal::{Keys, Passphrase, Recipients};
use lictor_snapshot::source::{OpenError, ReadError};
use lictor_snapshot::{LeftOut, Shape, Source, Verdict, verify, verify_dir};

use crate::fixture::{FULL, LATER};
use crate::pack::{gzip, sound, state};
use crate::seal::{IDENTITY, RECIPIENT, keys, sealed, words};

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
    put("sealed.snap.age", &sealed_to_one(FULL));
    put("sealed-damaged.snap.age", &sealed_to_one(&FULL[..4000]));
    put("sealed-cut.snap.age", &sealed_to_one(FULL)[..4000]);
    put("sealed-empty.snap.age", b"");
    put("notes.age", &sealed_to_one(b"{}"));
    let deep = "deep/".repeat(17);
    put(&format!("{deep}f.snap"), FULL);
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("link.snap")).unwrap();
    for threads in [1, 2, 64] {
        let threads = NonZero::new(threads).unwrap();
        let found = |keys: &Keys| {
            let most = AtomicUsize::new(0);
            let told = |done, all| {
                assert_eq!(all, 14);
                most.fetch_max(done, Ordering::Relaxed);
            };
            let folder = verify_dir(dir.path(), keys, &Limits::default(), threads, told).unwrap();
            assert_eq!(most.into_inner(), 14);
            assert_eq!(folder.left_out, LeftOut { links: 1, too_deep: 1 });
            let name = |path: &Path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned();
            Vec::from_iter(folder.files.iter().map(|(path, verdict)| (name(path), called(verdict))))
        };
        let with_sealed = |sealed: [&'static str; 5]| {
            let [notes, cut, damaged, empty, sound] = sealed;
            [
                ("a.snap", "sound"),
                ("b.snap", "damaged"),
                ("c.snap", "damaged"),
                ("d.snap", "damaged"),
                ("notes.age", notes),
                ("notes.txt", "other"),
                ("old.tar.gz", "other"),
                ("older/broken/state.bin", "damaged"),
                ("older/e.snap", "sound"),
                ("older/raw/state.bin", "sound"),
                ("sealed-cut.snap.age", cut),
                ("sealed-damaged.snap.age", damaged),
                ("sealed-empty.snap.age", empty),
                ("sealed.snap.age", sound),
            ]
            .map(|(name, verdict)| (name.to_owned(), verdict))
        };
        assert_eq!(found(&keys(IDENTITY)), with_sealed(["other", "damaged", "damaged", "damaged", "sound"]));
        let unseen = with_sealed(["sealed", "sealed", "sealed", "damaged", "sealed"]);
        assert_eq!(found(&Keys::default()), unseen);
        assert_eq!(found(&words("a passphrase")), unseen);
    }
}

fn called(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Sound(_) => "sound",
        Verdict::Damaged(_) => "damaged",
        Verdict::Sealed(_) => "sealed",
        Verdict::Other(_) => "other",
    }
}

fn sealed_to_one(bytes: &[u8]) -> Vec<u8> {
    sealed(&Recipients::parse([RECIPIENT]).unwrap(), bytes)
}

#[test]
fn a_sealed_file_is_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.age");
    for (bytes, shape) in [
        (FULL, Shape::Archive),
        (&state(), Shape::State),
        (&gzip(b"[]"), Shape::ConsulSnapshotV1),
        (b"v0:and more", Shape::Encrypted),
    ] {
        fs::write(&path, sealed_to_one(bytes)).unwrap();
        let source = Source::open_with(&path, &keys(IDENTITY)).unwrap();
        assert_eq!((source.shape(), source.was_sealed()), (shape, true));
        let mut plain = Vec::new();
        source.bytes().unwrap().read_to_end(&mut plain).unwrap();
        assert!(plain == bytes);
        assert!(matches!(Source::open(&path), Err(OpenError::Sealed(_))));
    }
    // Keys do nothing to what is not sealed.
    fs::write(&path, FULL).unwrap();
    let source = Source::open_with(&path, &keys(IDENTITY)).unwrap();
    assert_eq!((source.shape(), source.was_sealed()), (Shape::Archive, false));
}

#[test]
fn a_sealed_snapshot_is_read_as_often_as_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.snap.age");
    for (file, keys) in [
        (sealed_to_one(FULL), keys(IDENTITY)),
        (sealed(&Recipients::passphrase(Passphrase::new("p").unwrap()), FULL), words("p")),
    ] {
        fs::write(&path, file).unwrap();
        let source = Source::open_with(&path, &keys).unwrap();
        let plain = verify(&Source::from_bytes(FULL).unwrap(), &Limits::default(), None).unwrap();
        for _ in 0..2 {
            let report = verify(&source, &Limits::default(), None).unwrap();
            assert_eq!(report.shape, Shape::Archive);
            assert_eq!(report.whole.records, plain.whole.records);
        }
    }
}

#[test]
fn a_sealed_file_that_cannot_be_opened_says_what_it_wants() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.age");
    fs::write(&path, sealed_to_one(FULL)).unwrap();
    let error = check(&path).unwrap_err().to_string();
    assert_eq!(
        error,
        "it is sealed to recipients: an identity file of one of them opens it, and none was given"
    );
    let error = Source::open_with(&path, &words("p")).unwrap_err().to_string();
    assert_eq!(
        error,
        "it is sealed to recipients: an identity file of one of them opens it, and none was given"
    );
    let sealed = fs::read(&path).unwrap();
    assert!(matches!(Source::from_bytes(sealed), Err(OpenError::Sealed(_))));

    fs::write(&path, sealed_to_one(&sealed_to_one(FULL))).unwrap();
    let error = Source::open_with(&path, &keys(IDENTITY)).unwrap_err().to_string();
    assert_eq!(error, "it is no snapshot: it is sealed twice: open it first");
    fs::write(&path, sealed_to_one(b"<html>")).unwrap();
    let error = Source::open_with(&path, &keys(IDENTITY)).unwrap_err().to_string();
    assert_eq!(error, "it is no snapshot: it looks like a web page");
}

#[test]
fn damage_that_the_seal_sees_is_told_where_the_archive_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.snap.age");
    let whole = sealed_to_one(LATER);
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let source = Source::open_with(&path, &keys(IDENTITY))?;
        verify(&source, &Limits::default(), None).map(|report| report.whole.records)
    };
    assert!(read(&whole).is_ok());
    for length in (0..whole.len()).step_by(101).chain([whole.len() - 1]) {
        assert!(read(&whole[..length]).is_err(), "{length} of {}", whole.len());
        let mut damaged = whole.clone();
        damaged[length] ^= 0x10;
        assert!(read(&damaged).is_err(), "byte {length} of {}", whole.len());
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
