//! Called as consul-snapshot: backups of real Consul servers that are sent into a bucket, come back from there, and are told of
//! at its address.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lictor_testkit::buckets::Moto;
use lictor_testkit::consul::{Options, Server};
use lictor_testkit::net::Net;
use lictor_testkit::process::Child;
use lictor_testkit::wait;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::keys::Keys;
use crate::node::{LONG, program, run};

/// The key by which others know when the last backup was.
const LAST: &str = "service/consul-snapshot/lastbackup";

/// The port at which it answers.
const PORT: u16 = 5001;

/// A server of Consul, a bucket, and the program under its old name.
struct Rig {
    server: Server,
    moto: Moto,
    dir: TempDir,
}

impl Rig {
    fn new() -> Self {
        let server = Server::with(Options { in_memory: true, ..Options::default() });
        let (moto, dir) = (Moto::start(&["bucket"]), tempfile::tempdir().unwrap());
        symlink(env!("CARGO_BIN_EXE_lictor"), dir.path().join("consul-snapshot")).unwrap();
        fs::create_dir(dir.path().join("tmp")).unwrap();
        Self { server, moto, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = old(self.dir.path(), words);
        let keys = self.moto.keys();
        command
            .env("CONSUL_HTTP_ADDR", self.server.http_address().to_string())
            .env("S3BUCKET", "bucket")
            .env("S3REGION", "us-east-1")
            .env("S3ENDPOINT", format!("http://{}", self.moto.address()))
            .env("AWS_ACCESS_KEY_ID", &keys.id)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret)
            .env("SNAPSHOT_TMP_DIR", self.path("tmp"));
        command
    }

    /// Makes a backup; its path.
    #[track_caller]
    fn backup(&self, password: Option<&str>) -> String {
        let mut command = self.command(&["backup", "-once"]);
        command.envs(password.map(|password| ("CRYPTO_PASSWORD", password)));
        let (code, out, said) = run(command);
        assert_eq!((code, out.as_str()), (0, ""), "{said}");
        let name =
            said.lines().find_map(|line| line.strip_suffix(" bytes")?.split_once(" was taken: ")).unwrap();
        format!("backups/{}", name.0)
    }

    fn restore(&self, path: &str, password: Option<&str>) -> (i32, String, String) {
        let mut command = self.command(&["restore", path]);
        command.envs(password.map(|password| ("CRYPTO_PASSWORD", password)));
        run(command)
    }

    /// What is left in the temporary folder, without folders in which nothing is.
    fn left(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.path("tmp")).unwrap();
        folders
            .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
            .map(|file| file.unwrap().path())
            .collect()
    }
}

/// The program under its old name in a bare environment.
fn old(folder: &Path, words: &[&str]) -> Command {
    let bare = program();
    let mut command = Command::new(folder.join("consul-snapshot"));
    command.args(words).env_clear().current_dir(folder);
    command.envs(bare.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// What there is below a prefix, with the values and flags.
fn all(server: &Server, prefix: &str) -> Vec<(String, String, u64)> {
    let (_, found) = server.get(&format!("/v1/kv/{prefix}?recurse&consistent")).unwrap();
    let found: serde_json::Value = serde_json::from_str(&found).unwrap_or_default();
    let pairs = found.as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    pairs
        .iter()
        .map(|pair| (text(&pair["Key"]), text(&pair["Value"]), pair["Flags"].as_u64().unwrap()))
        .collect()
}

#[test]
fn a_backup_brings_the_keys_back_with_their_flags_and_leaves_others() {
    let rig = Rig::new();
    let keys = Keys(&rig.server);
    keys.put_many("config/", 150);
    assert_eq!(rig.server.put("/v1/kv/config/flagged?flags=42", "x").unwrap().0, 200);
    let before = all(&rig.server, "config/");
    let path = rig.backup(None);
    // backups/2026/11/22/HOST.consul.snapshot.SECONDS.tar.gz
    let seconds = path.strip_suffix(".tar.gz").unwrap().rsplit('.').next().unwrap();
    assert!(path.starts_with("backups/20") && path.contains(".consul.snapshot."), "{path}");
    assert_eq!(keys.get(LAST).unwrap(), seconds);
    assert!(rig.left().is_empty());

    keys.delete_below("config/");
    keys.put("config/007", "wrong");
    keys.put("config/later", "x");
    keys.put(LAST, "99");
    let (code, out, said) = rig.restore(&path, None);
    assert_eq!(code, 0, "{out}{said}");
    assert!(out.contains("151 of 151 keys restored"), "{out}");
    let mut after = all(&rig.server, "config/");
    after.retain(|(key, ..)| key != "config/later");
    assert_eq!(after, before);
    assert_eq!((keys.get("config/later").unwrap().as_str(), keys.get(LAST).unwrap().as_str()), ("x", "99"));
    // What there was of the one that became another.
    let [kept] = &rig.left()[..] else { panic!("{:?}", rig.left()) };
    assert!(
        said.contains(kept.to_str().unwrap()) && fs::read_to_string(kept).unwrap().contains("config/007")
    );
    // Nothing is left to be done.
    let (code, out, said) = rig.restore(&format!("/{path}"), None);
    assert!(code == 0 && out.contains("151 keys are the same"), "{out}{said}");
    assert_eq!(rig.left().len(), 1);
}

#[test]
fn with_a_password_it_is_encrypted_and_nobody_else_reads_it() {
    let rig = Rig::new();
    Keys(&rig.server).put("config/secret", "very-secret-value");
    let path = rig.backup(Some("a word"));
    assert!(path.ends_with(".tar.gz.age"), "{path}");
    Keys(&rig.server).put("config/secret", "another-value");
    let (code, _, said) = rig.restore(&path, None);
    assert!(code == 1 && said.contains("CRYPTO_PASSWORD says with what"), "{said}");
    let (code, _, said) = rig.restore(&path, Some("another word"));
    assert!(code == 1 && said.contains("the passphrase is another one"), "{said}");
    assert_eq!(Keys(&rig.server).get("config/secret").unwrap(), "another-value");
    let (code, out, said) = rig.restore(&path, Some("a word"));
    assert!(code == 0 && out.contains("1 of 1 key restored"), "{out}{said}");
    assert_eq!(Keys(&rig.server).get("config/secret").unwrap(), "very-secret-value");
    // What there was is not in the clear either.
    let [kept] = &rig.left()[..] else { panic!("{:?}", rig.left()) };
    let bytes = fs::read(kept).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1") && kept.to_str().unwrap().ends_with(".json.age"));
}

#[test]
fn what_cannot_be_done_is_told_and_nothing_is_left_of_it() {
    let mut rig = Rig::new();
    let (code, _, said) = rig.restore("backups/2026/1/1/nothing.tar.gz", None);
    assert!(
        code == 1 && said.contains("s3://bucket: cannot fetch `backups/2026/1/1/nothing.tar.gz`"),
        "{said}"
    );
    let (code, _, said) = rig.restore("..", None);
    assert!(code == 1 && said.contains("is not the name of a backup"), "{said}");
    rig.server.kill();
    let (code, _, said) = run(rig.command(&["backup", "-once"]));
    assert!(code == 1 && said.contains("no snapshot from Consul: "), "{said}");
    assert!(rig.left().is_empty());
    let (code, _, said) = run({
        let mut command = rig.command(&["backup", "-once"]);
        command.env("SNAPSHOT_TMP_DIR", rig.path("away/there"));
        command
    });
    assert!(code == 1 && said.contains("/away/there is not there"), "{said}");
}

#[test]
fn a_test_of_it_keeps_the_backup_in_the_temporary_folder_and_one_of_its_first_version_is_restored() {
    let server = Server::with(Options { in_memory: true, ..Options::default() });
    let dir = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_lictor"), dir.path().join("consul-snapshot")).unwrap();
    let run = |words: &[&str]| {
        let mut command = old(dir.path(), words);
        command.env("ACCEPTANCE_TEST", "1").env("SNAPSHOT_TMP_DIR", ".");
        command.env("CONSUL_HTTP_ADDR", server.http_address().to_string());
        run(command)
    };
    Keys(&server).put("config/port", "80");
    let (code, _, said) = run(&["backup", "-once"]);
    assert_eq!(code, 0, "{said}");
    let kept = dir.path().join("acceptancetest.tar.gz");
    assert!(kept.is_file());
    Keys(&server).delete("config/port");
    let (code, out, said) = run(&["restore", "whatever"]);
    assert!(code == 0 && out.contains("1 of 1 key restored"), "{out}{said}");
    assert_eq!(Keys(&server).get("config/port").unwrap(), "80");

    // A list of keys in gzip; `ODE=` is 81.
    let list = r#"[{"Key":"config/port","CreateIndex":7,"ModifyIndex":9,"LockIndex":0,"Flags":3,"Value":"ODE=","Session":""}]"#;
    let mut gzip = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    fs::write(&kept, gzip.wait_with_output().unwrap().stdout).unwrap();
    let (code, out, said) = run(&["restore", "whatever"]);
    assert_eq!(code, 0, "{out}{said}");
    assert_eq!(all(&server, "config/"), [("config/port".to_owned(), "ODE=".to_owned(), 3)]);
}

/// What is answered at its address, by who is on the same machine.
fn health() -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).ok()?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn it_goes_on_and_says_at_its_address_how_old_the_last_backup_is() {
    // A machine of its own: the port is a fixed one.
    let net = Net::new(1);
    net.on(0, || {
        let rig = Rig::new();
        let start = |name: &str| {
            let mut command = rig.command(&["backup"]);
            command.env("BACKUPINTERVAL", "2");
            Child::spawn(name, command, rig.dir.path()).unwrap()
        };
        let mut child = start("daemon");
        let log = |child: &Child| fs::read_to_string(child.log()).unwrap();
        let answer = wait::until(LONG, || health().filter(|answer| answer.contains("200 OK")));
        let answer = answer.unwrap_or_else(|| panic!("{}", log(&child)));
        assert!(answer.contains("Last backup ") && answer.ends_with(" seconds ago"), "{answer}");
        let three = wait::until(LONG, || (log(&child).matches("was sent").count() >= 3).then_some(()));
        assert!(three.is_some(), "{}", log(&child));
        assert!(log(&child).contains("[INFO] v0.3.1: Starting Consul Snapshot"));
        // It is what Consul says, whoever has written it.
        Keys(&rig.server).put(LAST, "soon");
        assert!(
            wait::until(LONG, || {
                Keys(&rig.server).put(LAST, "soon");
                health().filter(|answer| answer.contains("500 Internal Server Error"))
            })
            .is_some()
        );
        let mut second = start("second");
        assert_eq!(second.wait(LONG).unwrap().unwrap().code(), Some(1));
        assert!(
            log(&second).contains("cannot answer at :5001/health: another program has the port"),
            "{}",
            log(&second)
        );
        child.signal(Signal::TERM).unwrap();
        assert!(child.wait(LONG).unwrap().unwrap().success(), "{}", log(&child));
        // The port is free again.
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
        let (_, keys) = rig.server.get("/v1/kv/lictor/?keys").unwrap();
        assert!(!keys.contains("lease"), "{keys}");
    });
}

#[test]
fn what_makes_no_sense_ends_it_as_it_did_before() {
    let dir = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_lictor"), dir.path().join("consul-snapshot")).unwrap();
    let ended = |words: &[&str]| run(old(dir.path(), words));
    let (code, out, said) = ended(&["version"]);
    assert!(code == 0 && out.starts_with("0.3.1 (lictor ") && said.is_empty(), "{out}{said}");
    let (code, out, said) = ended(&["--help"]);
    assert!(code == 0 && out.starts_with("Usage: consul-snapshot <command>") && said.is_empty());
    for (words, expected, why) in [
        (&[][..], 127, "the commands are backup, restore and version\n\nUsage: "),
        (&["save"], 127, "not \"save\"\n\nUsage: "),
        (&["backup", "-twice"], 1, "flag provided but not defined: -twice\n\nUsage: "),
        (&["restore"], 1, "restore takes one path, from the root of the bucket"),
        (&["backup", "-once"], 1, "error: neither S3BUCKET with S3REGION nor GCSBUCKET is set"),
    ] {
        let (code, out, said) = ended(words);
        assert_eq!((code, out.as_str()), (expected, ""), "{words:?}");
        assert!(said.contains(why), "{words:?}: {said}");
    }
    // As a command of this program it is the same.
    let mut command = program();
    command.args(["consul-snapshot", "version"]);
    assert_eq!(run(command).0, 0);
}
