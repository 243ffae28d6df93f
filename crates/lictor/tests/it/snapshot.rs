//! `lictor snapshot` beside Consul's own program, on real servers.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lictor_snapshot::build::{StateBuilder, kv};
use lictor_snapshot::{Kind, Meta};
use lictor_testkit::consul::{Options, Server, binary};
use lictor_testkit::process::Child;
use lictor_testkit::wait;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::keys::Keys;
use crate::node::{LONG, program, run};

/// A server and a folder for its snapshots.
pub(crate) struct Rig {
    pub(crate) server: Server,
    dir: TempDir,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::of(Options { in_memory: true, ..Options::default() })
    }

    pub(crate) fn of(options: Options) -> Self {
        Self { server: Server::with(options), dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What `lictor snapshot` makes of this, in the folder: exit code, stdout, stderr.
    pub(crate) fn snapshot(&self, words: &[&str]) -> (i32, String, String) {
        self.run(program().arg("snapshot"), words)
    }

    /// What `consul snapshot` makes of it.
    fn consul(&self, words: &[&str]) -> (i32, String, String) {
        self.run(Command::new(binary()).arg("snapshot"), words)
    }

    fn run(&self, command: &mut Command, words: &[&str]) -> (i32, String, String) {
        command.args(words).current_dir(self.dir.path());
        command.env("CONSUL_HTTP_ADDR", self.server.http_address().to_string());
        if let Some(token) = self.server.token() {
            command.env("CONSUL_HTTP_TOKEN", token);
        }
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    #[track_caller]
    pub(crate) fn saved(&self, name: &str) {
        let (code, out, said) = self.snapshot(&["save", name]);
        assert_eq!((code, out.as_str()), (0, ""), "{said}");
    }

    /// All files of the folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_saved_is_what_consul_takes_and_the_other_way_round() {
    let rig = Rig::new();
    Keys(&rig.server).put_many("config/", 100);
    let (code, out, said) = rig.snapshot(&["save", "ours.snap"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(said.starts_with("Saved and verified snapshot to index "), "{said}");
    assert_eq!(mode(&rig.path("ours.snap")), 0o600);
    assert_eq!(rig.files(), ["ours.snap"]);

    let (code, theirs, said) = rig.consul(&["inspect", "ours.snap"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(rig.snapshot(&["inspect", "-format", "consul-1.8", "ours.snap"]), (0, theirs, String::new()));
    assert_eq!(rig.consul(&["save", "theirs.snap"]).0, 0);
    let (code, out, _) = rig.snapshot(&["inspect", "-kvdetails", "-kvdepth=1", "theirs.snap"]);
    assert!(code == 0 && out.contains("\n KVS   ") && out.contains("\n config"), "{out}");

    Keys(&rig.server).delete_below("config/");
    assert_eq!(rig.consul(&["restore", "ours.snap"]).0, 0);
    assert_eq!(Keys(&rig.server).below("config/").len(), 100);
}

#[test]
fn a_snapshot_can_be_looked_into() {
    let rig = Rig::of(Options { in_memory: true, acl: true, ..Options::default() });
    let secret = "0d9f5b1e-5a8e-4c4f-9a41-3d7c2b6e8f10";
    let token = serde_json::json!({ "SecretID": secret, "Description": "for tests" }).to_string();
    assert_eq!(rig.server.put("/v1/acl/token", &token).unwrap().0, 200);
    Keys(&rig.server).put("config/port", "80");
    Keys(&rig.server).put("secrets/key", "hush");
    rig.saved("a.snap");
    let keys = Keys(&rig.server);
    keys.put("config/port", "8080");
    keys.put("config/new", "x");
    keys.delete("secrets/key");
    rig.saved("b.snap");

    assert_eq!(rig.snapshot(&["get", "a.snap", "config/port"]), (0, "80".into(), String::new()));
    let (code, out, said) = rig.snapshot(&["get", "b.snap", "secrets/key"]);
    assert_eq!((code, out.as_str()), (5, ""), "{said}");
    assert!(said.contains("b.snap has no key `secrets/key`"), "{said}");

    let (code, out, said) = rig.snapshot(&["diff", "a.snap", "b.snap"]);
    assert_eq!(code, 0, "{said}");
    for line in ["config/new", "config/port", "secrets/key"] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let (_, out, _) = rig.snapshot(&["diff", "a.snap", "b.snap", "--format", "json"]);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 4, "{out}");

    let (code, out, said) = rig.snapshot(&["decode", "--hide", "secrets/", "a.snap"]);
    assert_eq!(code, 0, "{said}");
    let records: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| records.iter().filter(|record| record["Type"] == kind).count();
    assert_eq!((of("SnapshotHeader"), of("KVS")), (1, 2), "{out}");
    // "hush", as values are shown.
    assert!(!out.contains(secret) && !out.contains("aHVzaA=="), "{out}");
    let (_, out, _) = rig.snapshot(&["decode", "--reveal", "a.snap"]);
    assert!(out.contains(secret) && out.contains("aHVzaA=="), "{out}");
}

#[test]
fn a_damaged_file_is_told_in_a_folder_of_sound_ones() {
    let rig = Rig::new();
    Keys(&rig.server).put_many("config/", 50);
    rig.saved("a.snap");
    // Of the same moment: servers change something by themselves.
    fs::copy(rig.path("a.snap"), rig.path("b.snap")).unwrap();
    let (code, out, said) = rig.snapshot(&["verify", "."]);
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    let mut bytes = fs::read(rig.path("b.snap")).unwrap();
    bytes.truncate(bytes.len() - 40);
    fs::write(rig.path("b.snap"), &bytes).unwrap();
    let (code, out, said) = rig.snapshot(&["verify", "."]);
    assert_eq!((code, said.as_str()), (1, "1 file is damaged\n"), "{out}");
    assert!(out.contains("sound    ./a.snap") && out.contains("damaged  ./b.snap"), "{out}");
    // In the words of Consul where its form is asked for.
    let (_, _, theirs) = rig.consul(&["inspect", "b.snap"]);
    let (code, _, ours) = rig.snapshot(&["inspect", "-format=consul-1.8", "b.snap"]);
    assert_eq!((code, ours), (1, theirs));
    for words in [&["decode", "b.snap"][..], &["get", "b.snap", "config/001"], &["diff", "a.snap", "b.snap"]]
    {
        let (code, out, said) = rig.snapshot(words);
        assert_eq!((code, out.as_str()), (1, ""), "{words:?}: {said}");
    }
    let (code, _, said) = rig.snapshot(&["inspect", "nofile"]);
    assert!(code == 1 && said.contains("nofile") && said.contains("No such file"), "{said}");
    let (code, _, said) = rig.snapshot(&["inspect", "-format", "xml", "a.snap"]);
    assert!(code == 2 && said.contains("Unknown format: xml"), "{said}");
}

#[test]
fn what_fails_leaves_no_file() {
    let rig = Rig::of(Options { in_memory: true, acl: true, ..Options::default() });
    let mut command = program();
    command.args(["snapshot", "save", "x.snap"]).current_dir(rig.dir.path());
    command.env("CONSUL_HTTP_ADDR", rig.server.http_address().to_string());
    let (code, _, said) = run(command);
    assert!(code == 1 && said.contains("Permission denied"), "{said}");
    let (code, _, said) = rig.snapshot(&["save", "-datacenter", "dc9", "x.snap"]);
    assert!(code == 1 && said.contains("dc9"), "{said}");
    let (code, _, said) = rig.snapshot(&["save", "-http-addr=127.0.0.1:1", "x.snap"]);
    assert_eq!(code, 1, "{said}");
    let (code, _, said) = rig.snapshot(&["save", "nowhere/x.snap"]);
    assert!(code == 1 && said.contains("nowhere/x.snap"), "{said}");
    assert!(rig.files().is_empty(), "{:?}", rig.files());
}

#[test]
fn a_name_has_what_is_asked_for_and_the_standard_output_only_what_is_sound() {
    let rig = Rig::new();
    Keys(&rig.server).put("a", "x");
    let (code, _, said) = rig.snapshot(&["save", "-append-filename=version,dc,status", "-stale", "x.snap"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(rig.files(), ["x-1.8.7-dc1-leader.snap"]);
    let mut command = program();
    command.args(["snapshot", "save", "-"]).env("CONSUL_HTTP_ADDR", rig.server.http_address().to_string());
    let output = command.output().unwrap();
    assert!(output.status.success());
    fs::write(rig.path("piped.snap"), &output.stdout).unwrap();
    assert_eq!(rig.consul(&["inspect", "piped.snap"]).0, 0);
}

#[test]
fn what_is_restored_is_shown_before_and_what_there_was_is_kept() {
    let rig = Rig::new();
    let keys = Keys(&rig.server);
    keys.put_many("config/", 20);
    rig.saved("a.snap");
    keys.delete_below("config/");
    keys.put("new", "x");
    // Nobody is there to be asked.
    let (code, out, said) = rig.snapshot(&["restore", "a.snap"]);
    assert!(code == 2 && said.contains("--yes goes on without asking"), "{said}");
    assert!(out.contains("replaces everything"), "{out}");
    let (code, out, said) = rig.snapshot(&["restore", "--dry-run", "a.snap"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(out.contains("would replace everything") && out.contains("20"), "{out}");
    assert_eq!((keys.below("config/").len(), rig.files()), (0, vec!["a.snap".to_owned()]));

    let (code, out, said) = rig.snapshot(&["restore", "--yes", "a.snap"]);
    assert_eq!(code, 0, "{said}");
    assert!(out.contains("Restored snapshot: "), "{out}");
    assert_eq!((keys.below("config/").len(), keys.get("new")), (20, None));
    let files = rig.files();
    let before = files.iter().find(|name| name.starts_with("before-") && name.ends_with("-a.snap")).unwrap();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(out.contains("replaced without being compared: "), "{out}");
    assert_eq!(mode(&rig.path(before)), 0o600);
    // It leads back.
    let (code, _, said) = rig.snapshot(&["restore", "--yes", "--no-backup", before]);
    assert_eq!((code, keys.get("new").as_deref()), (0, Some("x")), "{said}");
    assert_eq!(rig.files().len(), 2);
}

#[test]
fn what_would_end_the_servers_is_never_sent() {
    let rig = Rig::new();
    Keys(&rig.server).put("a", "x");
    let meta = lictor_snapshot::Meta { version: 1, ..lictor_snapshot::Meta::default() };
    let archive = |state: &[u8]| {
        let meta = lictor_snapshot::Meta { size: state.len() as u64, ..meta.clone() };
        lictor_snapshot::write(Vec::new(), &meta, state, 0).unwrap()
    };
    let whole = lictor_snapshot::build::StateBuilder::new(7).kv("b", b"y").finish();
    let (half, _) = whole.split_at(whole.len() - 3);
    fs::write(rig.path("half.snap"), archive(half)).unwrap();
    // Consul's own program finds nothing wrong with it.
    assert_eq!(rig.consul(&["inspect", "half.snap"]).0, 0);
    let (code, _, said) = rig.snapshot(&["restore", "--yes", "half.snap"]);
    assert!(code == 1 && said.contains("half.snap: "), "{said}");
    // One that only a newer Consul knows.
    let newer = lictor_snapshot::build::StateBuilder::new(7)
        .record(lictor_snapshot::Kind::new(42), &lictor_snapshot::build::Data::text("of a newer one"));
    fs::write(rig.path("newer.snap"), archive(&newer.finish())).unwrap();
    let (code, _, said) = rig.snapshot(&["restore", "--yes", "newer.snap"]);
    assert!(
        code == 1
            && said.contains("is of version 1.8, does not know records of the kind Resource, and would end"),
        "{said}"
    );
    assert_eq!(Keys(&rig.server).get("a").as_deref(), Some("x"));
    assert_eq!(rig.files(), ["half.snap", "newer.snap"]);
}

#[test]
fn a_folder_that_was_deleted_is_put_back_alone() {
    let rig = Rig::new();
    let keys = Keys(&rig.server);
    keys.put_many("config/web/", 150);
    keys.put("config/db", "as it was");
    rig.saved("a.snap");
    keys.delete_below("config/web/");
    keys.put("config/web/007", "another");
    keys.put("config/web/mine", "stays");
    keys.put("config/db", "as it is");
    let only = ["restore", "--only", "config/web/", "a.snap"];
    let (code, out, said) = rig.snapshot(&[&only[..], &["--dry-run"]].concat());
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    for part in [
        "149 keys would be added:",
        "1 key would be changed:\n  config/web/007",
        "1 key that the file does not",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert_eq!(keys.below("config/web/").len(), 2);
    let (code, out, said) = rig.snapshot(&[&only[..], &["--yes"]].concat());
    assert!(code == 0 && said.contains("what there was is in before-"), "{said}");
    assert_eq!(keys.below("config/web/").len(), 151);
    assert!(out.contains("150 of 150 keys restored"), "{out}");
    assert_eq!(keys.get("config/web/007").as_deref(), Some("x"));
    assert_eq!(keys.get("config/db").as_deref(), Some("as it is"));
    // Consul's own program takes back what there was.
    let kept = rig.files().into_iter().find(|name| name.ends_with("-keys.json")).unwrap();
    assert_eq!(mode(&rig.path(&kept)), 0o600);
    let mut command = Command::new(binary());
    let (code, _, said) = rig.run(command.args(["kv", "import"]), &[&format!("@{kept}")]);
    assert_eq!((code, keys.get("config/web/007").as_deref()), (0, Some("another")), "{said}");

    let (code, out, said) = rig.snapshot(&[&only[..], &["--yes", "--delete", "--no-backup"]].concat());
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    let (code, _, said) = rig.snapshot(&["restore", "--only", "", "--delete", "--yes", "a.snap"]);
    assert!(code == 2 && said.contains("write `/` for all keys"), "{said}");
    assert_eq!((keys.below("config/web/").len(), keys.get("config/web/mine")), (150, None));
    let (code, out, _) = rig.snapshot(&[&only[..], &["--yes"]].concat());
    assert!(code == 0 && out.contains("150 keys are the same"), "{out}");
    let (code, _, said) = rig.snapshot(&["restore", "--only", "nothing/", "a.snap"]);
    assert!(code == 5 && said.contains("a.snap has no key that begins with nothing/"), "{said}");
}

#[test]
fn a_lock_is_not_broken_by_putting_keys_back() {
    let rig = Rig::new();
    let keys = Keys(&rig.server);
    keys.put("config/lock", "free");
    keys.put("config/a", "x");
    rig.saved("a.snap");
    let (_, session) = rig.server.put("/v1/session/create", "{}").unwrap();
    let session: Value = serde_json::from_str(&session).unwrap();
    let path = format!("/v1/kv/config/lock?acquire={}", session["ID"].as_str().unwrap());
    assert_eq!(rig.server.put(&path, "held").unwrap().1.trim(), "true");
    keys.delete("config/a");
    let (code, out, said) = rig.snapshot(&["restore", "--only", "config/", "--yes", "a.snap"]);
    assert!(code == 1 && said.contains("not everything was restored"), "{said}");
    assert!(out.contains("1 key stays as it is: a session holds it:\n  config/lock"), "{out}");
    assert!(out.contains("1 of 1 key restored"), "{out}");
    assert_eq!(
        (keys.get("config/a").as_deref(), keys.get("config/lock").as_deref()),
        (Some("x"), Some("held"))
    );
}

/// Answers as an agent of Consul that never comes to the end of a snapshot; its address.
fn endless() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            let body = match request.split(['?', ' ']).nth(1) {
                Some("/v1/agent/self") => r#"{"Config": {"Datacenter": "dc1"}}"#,
                Some("/v1/agent/members") => "[]",
                _ => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf").unwrap();
                    held.push(stream);
                    continue;
                }
            };
            let head =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).unwrap();
        }
    });
    address
}

#[test]
fn what_is_broken_off_leaves_no_file() {
    let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = || fs::read_dir(dir.path()).unwrap().count();
    let mut command = program();
    command.args(["snapshot", "save", "x.snap"]).current_dir(dir.path()).env("CONSUL_HTTP_ADDR", endless());
    let mut child = Child::spawn("save", command, scratch.path()).unwrap();
    assert!(wait::until(LONG, || (files() == 1).then_some(())).is_some(), "{}", child.log_tail());
    child.signal(Signal::INT).unwrap();
    let ended = child.wait(LONG).unwrap().unwrap();
    assert_eq!((ended.code(), files()), (Some(1), 0), "{}", child.log_tail());
    assert!(child.log_tail().contains("stopped: no snapshot was saved"), "{}", child.log_tail());
}

#[test]
fn records_of_lictor_do_not_go_back_with_the_others_and_a_large_value_holds_up_itself() {
    let mut options = Options { in_memory: true, ..Options::default() };
    options.config = "limits { kv_max_value_size = 1048576 txn_max_req_len = 1048576 }".into();
    let large = Rig::of(options);
    Keys(&large.server).put("lictor/lease/web", "of before");
    Keys(&large.server).put_many("config/", 100);
    assert_eq!(large.server.put("/v1/kv/config/huge", &"x".repeat(600 << 10)).unwrap().0, 200);
    large.saved("a.snap");
    let rig = Rig::new();
    fs::copy(large.path("a.snap"), rig.path("a.snap")).unwrap();
    let (code, out, _) = rig.snapshot(&["restore", "--only", "/", "--yes", "a.snap"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("100 of 101 keys restored") && out.contains("refused:\n  config/huge: "), "{out}");
    let keys = Keys(&rig.server);
    assert_eq!((keys.below("config/").len(), keys.get("lictor/lease/web")), (100, None));
    let (_, out, _) = rig.snapshot(&["restore", "--dry-run", "a.snap"]);
    assert!(out.contains("1 leases of Lictor become older ones: stop its agents first"), "{out}");
}

#[test]
fn keys_come_back_from_a_backup_of_consul_snapshot_too() {
    let rig = Rig::new();
    let list = r#"[{"Key": "config/a", "Flags": 7, "Value": "b25l"}, {"Key": "other", "Value": "dHdv"}]"#;
    fs::write(rig.path("list"), list).unwrap();
    let packed = Command::new("gzip").arg("-c").arg(rig.path("list")).output().unwrap().stdout;
    fs::write(rig.path("v1.gz"), packed).unwrap();
    fs::remove_file(rig.path("list")).unwrap();
    let (code, out, said) = rig.snapshot(&["verify", "v1.gz"]);
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    let (code, out, said) = rig.snapshot(&["inspect", "v1.gz"]);
    assert!(code == 0 && out.contains("2 keys with 6 bytes of values"), "{out} {said}");
    let (code, _, said) = rig.snapshot(&["restore", "--yes", "v1.gz"]);
    assert!(code == 1 && said.contains("--only PREFIX puts keys back"), "{said}");
    let (code, out, said) = rig.snapshot(&["restore", "--only", "config/", "--yes", "v1.gz"]);
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    let keys = Keys(&rig.server);
    assert_eq!((keys.get("config/a").as_deref(), keys.get("other")), (Some("one"), None));
}

#[test]
fn what_is_no_file_is_not_replaced_and_a_link_stays_one() {
    let rig = Rig::new();
    assert!(Command::new("mkfifo").arg(rig.path("pipe")).status().unwrap().success());
    let (code, _, said) = rig.snapshot(&["save", "pipe"]);
    assert!(code == 1 && said.contains("it is there, and no file"), "{said}");
    let (code, _, said) = rig.snapshot(&["inspect", "pipe"]);
    assert!(code == 1 && said.contains("it is no file"), "{said}");
    rig.saved("real.snap");
    std::os::unix::fs::symlink("real.snap", rig.path("latest.snap")).unwrap();
    rig.saved("latest.snap");
    assert!(rig.path("latest.snap").is_symlink());
    assert_eq!(rig.files(), ["latest.snap", "pipe", "real.snap"]);
}

/// Types answers at a terminal.
fn at_terminal(rig: &Rig, words: &str, answers: &str) -> (i32, String) {
    let mut command = Command::new("script");
    let line = format!("{} snapshot {words}", env!("CARGO_BIN_EXE_lictor"));
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(rig.path(""));
    command.env("CONSUL_HTTP_ADDR", rig.server.http_address().to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut typing = child.stdin.take().unwrap();
    typing.write_all(answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    // The end of what is typed would end the terminal before.
    drop(typing);
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn somebody_at_a_terminal_is_asked_and_only_the_word_restores() {
    let rig = Rig::new();
    Keys(&rig.server).put("config/a", "old");
    rig.saved("a.snap");
    Keys(&rig.server).put("config/a", "new");
    for answer in ["no\n", "\n", "restored\n", "\u{4}"] {
        let (code, shown) = at_terminal(&rig, "restore a.snap", answer);
        assert!(code == 1 && shown.contains("Type `restore` to go on:"), "{answer:?}: {shown}");
        assert!(shown.contains("nothing was restored"), "{shown}");
        assert_eq!(Keys(&rig.server).get("config/a").as_deref(), Some("new"));
    }
    assert_eq!(rig.files(), ["a.snap"]);
    let (code, shown) = at_terminal(&rig, "restore a.snap", "restore\n");
    assert!(code == 0 && shown.contains("Restored snapshot: "), "{shown}");
    assert_eq!(Keys(&rig.server).get("config/a").as_deref(), Some("old"));
}

/// What says it is Consul, and sends this.
fn sends(archive: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            let body = match request.split(['?', ' ']).nth(1) {
                Some("/v1/agent/self") => &br#"{"Config": {"Datacenter": "dc1"}}"#[..],
                Some("/v1/agent/members") => b"[]",
                _ => &archive,
            };
            let head =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        }
    });
    address
}

#[test]
fn what_cannot_be_decoded_is_kept_under_a_name_that_says_so_and_what_is_damaged_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let files = || {
        let entries = fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let save = |archive: &[u8], more: &[&str]| {
        let mut command = program();
        command.args(["snapshot", "save", "a.snap"]).args(more).current_dir(dir.path());
        run({
            command.env("CONSUL_HTTP_ADDR", sends(archive.to_vec()));
            command
        })
    };
    // A number where the format has a map: the sums are right.
    let state = [&b"\x81\xa9LastIndex\x05"[..], &[2, 0x2a]].concat();
    let meta =
        Meta { version: 1, id: "1-5-1".to_owned(), index: 5, size: state.len() as u64, ..Meta::default() };
    let archive = lictor_snapshot::write(Vec::new(), &meta, &state[..], 0).unwrap();
    let (code, out, said) = save(&archive, &[]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(said.contains("NOT A VERIFIED SNAPSHOT") && said.contains("a.snap.undecodable"), "{said}");
    assert_eq!(files(), ["a.snap.undecodable"]);
    assert!(fs::read(dir.path().join("a.snap.undecodable")).unwrap() == archive);
    assert_eq!(mode(&dir.path().join("a.snap.undecodable")), 0o600);

    // Whoever wants it sealed has it sealed.
    let (code, _, said) = save(&archive, &["--encrypt-to", crate::keys::pair().1]);
    assert_eq!(code, 1, "{said}");
    assert!(fs::read(dir.path().join("a.snap.undecodable")).unwrap().starts_with(b"age-encryption.org/v1\n"));
    fs::remove_file(dir.path().join("a.snap.undecodable")).unwrap();

    let mut damaged = archive.clone();
    let place = damaged.len() / 2;
    damaged[place] ^= 1;
    for bad in [&archive[..archive.len() - 20], &damaged] {
        let (code, _, said) = save(bad, &[]);
        assert!(code == 1 && said.contains("and was not kept"), "{said}");
        assert_eq!(files(), Vec::<String>::new());
    }
}

#[test]
fn a_transfer_may_take_as_long_as_somebody_says() {
    let (dir, server) = (tempfile::tempdir().unwrap(), endless());
    let mut command = program();
    command.args(["snapshot", "save", "--timeout", "1s", "x.snap"]).current_dir(dir.path());
    command.env("CONSUL_HTTP_ADDR", server);
    let (code, _, said) = run(command);
    assert!(code == 1 && said.contains("1s"), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_signal_ends_the_check_at_once() {
    let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut builder = StateBuilder::new(5);
    for number in 0..1_500_000 {
        builder.push(Kind::KVS, &kv(format!("config/{number}"), b"value", 0, ""));
    }
    let state = builder.finish();
    let meta =
        Meta { version: 1, id: "1-5-1".to_owned(), index: 5, size: state.len() as u64, ..Meta::default() };
    let archive = lictor_snapshot::write(Vec::new(), &meta, &state[..], 0).unwrap();
    let length = archive.len() as u64;
    let mut command = program();
    command
        .args(["snapshot", "save", "x.snap"])
        .current_dir(dir.path())
        .env("CONSUL_HTTP_ADDR", sends(archive));
    let mut child = Child::spawn("save", command, scratch.path()).unwrap();
    let whole = || {
        let entry = fs::read_dir(dir.path()).unwrap().next()?.unwrap();
        (entry.metadata().ok()?.len() == length && entry.file_name() != "x.snap").then_some(())
    };
    assert!(wait::until(LONG, whole).is_some(), "{}", child.log_tail());
    child.signal(Signal::INT).unwrap();
    let ended = child.wait(LONG).unwrap().unwrap();
    assert_eq!(ended.code(), Some(1), "{}", child.log_tail());
    assert!(child.log_tail().contains("stopped: no snapshot was saved"), "{}", child.log_tail());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
