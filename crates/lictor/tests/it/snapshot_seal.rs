//! Snapshots that are sealed, in everything that reads and writes them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lictor_testkit::consul::Options;

use crate::keys::{Keys, pair};
use crate::snapshot::Rig;

/// A server with some keys, and the files of two keys beside its snapshots.
fn rig() -> Rig {
    let rig = Rig::new();
    Keys(&rig.server).put_many("config/", 20);
    fs::write(rig.path("identity"), pair().0).unwrap();
    fs::write(rig.path("words"), "correct horse\n").unwrap();
    rig
}

#[test]
fn a_sealed_snapshot_is_read_by_all_that_reads_one() {
    let rig = rig();
    let (code, out, said) = rig.snapshot(&["save", "--encrypt-to", pair().1, "a.snap.age"]);
    assert_eq!((code, out.as_str()), (0, ""), "{said}");
    assert!(said.starts_with("Saved, verified and sealed snapshot to index "), "{said}");
    let (code, _, said) = rig.snapshot(&["save", "--passphrase-file", "words", "b.snap.age"]);
    assert_eq!(code, 0, "{said}");
    for name in ["a.snap.age", "b.snap.age"] {
        let bytes = fs::read(rig.path(name)).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
        assert_eq!(fs::metadata(rig.path(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(rig.files(), ["a.snap.age", "b.snap.age", "identity", "words"]);
    for (name, key) in
        [("a.snap.age", ["--identity", "identity"]), ("b.snap.age", ["--passphrase-file", "words"])]
    {
        let with = |words: &[&str]| rig.snapshot(&[words, &key, &[name]].concat());
        let (code, out, said) = with(&["inspect"]);
        assert!(code == 0 && out.contains("\n KVS "), "{out} {said}");
        let (code, out, said) = with(&["decode"]);
        assert!(code == 0 && out.contains("config/"), "{out} {said}");
        let (code, out, said) = with(&["verify"]);
        assert!(code == 0 && out.contains("sound"), "{out} {said}");
        assert_eq!(
            rig.snapshot(&["get", name, "config/000", key[0], key[1]]),
            (0, "x".into(), String::new())
        );
        let (code, out, said) = rig.snapshot(&["diff", name, name, key[0], key[1]]);
        assert_eq!(code, 0, "{out} {said}");
        // Without one it is said what is missing.
        let (code, out, said) = rig.snapshot(&["inspect", name]);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(said.contains("--identity FILE or --passphrase-file FILE opens what is sealed"), "{said}");
    }
    let (code, _, said) = rig.snapshot(&["save", "--encrypt-to", pair().0, "c.snap"]);
    assert!(code == 2 && said.contains("it is a secret key") && !said.contains(pair().0), "{said}");
    let (code, _, _) =
        rig.snapshot(&["save", "--encrypt-to", pair().1, "--passphrase-file", "words", "c.snap"]);
    assert_eq!(code, 2);
}

#[test]
fn a_sealed_snapshot_is_restored_and_what_there_was_is_sealed_too() {
    let rig = rig();
    assert_eq!(rig.snapshot(&["save", "--encrypt-to", pair().1, "a.snap.age"]).0, 0);
    Keys(&rig.server).delete_below("config/");
    let restore = ["restore", "--yes", "--identity", "identity", "a.snap.age"];
    let (code, out, said) = rig.snapshot(&restore);
    assert!(code == 0 && out.contains("Restored snapshot: "), "{out} {said}");
    assert_eq!(Keys(&rig.server).below("config/").len(), 20);
    let kept: Vec<String> = rig.files().into_iter().filter(|name| name.starts_with("before-")).collect();
    assert_eq!(kept.len(), 1);
    assert!(fs::read(rig.path(&kept[0])).unwrap().starts_with(b"age-encryption.org/v1\n"));
    let (code, out, said) = rig.snapshot(&["verify", "--identity", "identity", &kept[0]]);
    assert_eq!(code, 0, "{out} {said}");

    let keys = Keys(&rig.server);
    keys.delete("config/000");
    keys.put("config/001", "another");
    let only = ["restore", "--only", "config/", "--yes", "--identity", "identity", "a.snap.age"];
    let (code, out, said) = rig.snapshot(&only);
    assert!(code == 0 && said.contains("-keys.json.age, for `age -d`"), "{out} {said}");
    assert_eq!((keys.below("config/").len(), keys.get("config/001").as_deref()), (20, Some("x")));
    let sealed: Vec<String> =
        rig.files().into_iter().filter(|name| name.ends_with("-keys.json.age")).collect();
    assert!(fs::read(rig.path(&sealed[0])).unwrap().starts_with(b"age-encryption.org/v1\n"));
}

#[test]
fn a_sealed_file_that_nobody_can_open_is_not_called_sound() {
    let rig = rig();
    assert_eq!(rig.snapshot(&["save", "--encrypt-to", pair().1, "a.snap.age"]).0, 0);
    rig.saved("b.snap");
    fs::create_dir(rig.path("all")).unwrap();
    for name in ["a.snap.age", "b.snap"] {
        fs::rename(rig.path(name), rig.path("all").join(name)).unwrap();
    }
    std::os::unix::fs::symlink("b.snap", rig.path("all/latest.snap")).unwrap();
    fs::create_dir_all(rig.path(&format!("all/{}", "d/".repeat(18)))).unwrap();
    let (code, out, said) = rig.snapshot(&["verify", "all"]);
    assert_eq!(code, 1, "{out} {said}");
    assert!(out.contains("sealed  all/a.snap.age") && out.contains("not looked into"), "{out}");
    assert!(out.contains("sound   all/b.snap"), "{out}");
    assert!(said.contains("1 file is sealed and was not looked into"), "{said}");
    assert!(
        said.contains("1 link was not followed") && said.contains("1 folder that lies too deep"),
        "{said}"
    );
    let (code, out, said) = rig.snapshot(&["verify", "--identity", "identity", "all"]);
    assert_eq!(code, 0, "{out} {said}");
    let (code, out, _) = rig.snapshot(&["verify", "--format", "json", "all/a.snap.age"]);
    assert!(code == 1 && out.contains(r#""is": "sealed""#), "{out}");
}

#[test]
fn the_environment_names_what_opens_too() {
    let rig = Rig::of(Options { in_memory: true, ..Options::default() });
    fs::write(rig.path("identity"), pair().0).unwrap();
    assert_eq!(rig.snapshot(&["save", "--encrypt-to", pair().1, "a.snap.age"]).0, 0);
    let mut command = crate::node::program();
    command.args(["snapshot", "verify", "a.snap.age"]).current_dir(rig.path(""));
    command.env("LICTOR_SNAPSHOT_IDENTITY_FILE", rig.path("identity"));
    let (code, out, said) = crate::node::run(command);
    assert_eq!(code, 0, "{out} {said}");
}
