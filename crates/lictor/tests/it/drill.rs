//! `lictor snapshot drill`, with a real Consul, and with others that do what none should.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_snapshot::archive::Limits;
use lictor_snapshot::build::{Data, StateBuilder};
use lictor_snapshot::state::{Record, RecordReader};
use lictor_snapshot::view::Kv;
use lictor_snapshot::{Kind, Meta, Source, archive, write};
use lictor_testkit::consul::binary;
use lictor_testkit::process::Child;
use lictor_testkit::wait;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::full_disk::{Mount, fill};
use crate::node::{LONG, program, run};

/// Everything that a cluster of Consul 1.8.7 can hold.
const FULL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../lictor-snapshot/tests/fixtures/full.snap");

/// A folder in which drills have theirs, and one for what is drilled.
struct Rig {
    scratch: TempDir,
    dir: TempDir,
}

impl Rig {
    fn new() -> Self {
        Self { scratch: tempfile::tempdir().unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program in the place of Consul.
    fn script(&self, text: &str) -> PathBuf {
        let path = self.path("consul");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn command(&self, consul: &Path, snapshot: &Path, words: &[&str]) -> std::process::Command {
        let mut command = program();
        command.args(["snapshot", "drill", "--format", "json", "--consul"]).arg(consul).arg("--scratch");
        command.arg(self.scratch.path()).args(words).arg(snapshot);
        command
    }

    /// Exit code, what is on stdout, what was said. Nothing may be left of it.
    #[track_caller]
    fn drill(&self, consul: &Path, snapshot: &Path, words: &[&str]) -> (i32, Value, String) {
        let (code, out, said) = run(self.command(consul, snapshot, words));
        self.nothing_is_left(&said);
        (code, serde_json::from_str(&out).unwrap_or_default(), said)
    }

    /// A drill that goes on.
    fn begun(&self, consul: &Path) -> Child {
        let command = self.command(consul, Path::new(FULL), &[]);
        Child::spawn("drill", command, self.dir.path()).unwrap()
    }

    #[track_caller]
    fn nothing_is_left(&self, said: &str) {
        assert_eq!((self.folders(), self.processes()), (vec![], vec![]), "{said}");
    }

    /// Folders of drills.
    fn folders(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.scratch.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_string_lossy().contains("/lictor-drill-")).collect()
    }

    /// Processes of drills: their command lines name their folders.
    fn processes(&self) -> Vec<u32> {
        let mark = self.scratch.path().join("lictor-drill-");
        let mark = mark.as_os_str().as_encoded_bytes();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .filter(|number: &u32| {
                let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
                line.windows(mark.len()).any(|part| part == mark)
            })
            .collect()
    }

    /// The server of a drill that goes on, when it is Consul itself.
    #[track_caller]
    fn server(&self, child: &Child) -> u32 {
        let runs = || {
            let found = *self.processes().first()?;
            let name = fs::read_to_string(format!("/proc/{found}/comm")).ok()?;
            (name.trim() == "consul").then_some(found)
        };
        wait::until(LONG, runs).unwrap_or_else(|| panic!("no server: {}", child.log_tail()))
    }

    /// The folder of a drill that goes on, when the server's socket can be there.
    #[track_caller]
    fn folder(&self, said: &dyn Fn() -> String) -> PathBuf {
        let found = || self.folders().into_iter().find(|folder| folder.join("server.json").exists());
        wait::until(LONG, found).unwrap_or_else(|| panic!("no folder: {}", said()))
    }
}

/// A snapshot of only those records of another one.
fn only(path: &str, keep: impl Fn(&Record<'_>) -> bool) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let mut state = Vec::new();
    let sound = archive::read(&bytes[..], &Limits::default(), |_, input| {
        input.read_to_end(&mut state)?;
        Ok(())
    });
    let mut reader = RecordReader::new(&state[..]).unwrap();
    let mut kept = StateBuilder::new(reader.last_index()).finish();
    while let Some(record) = reader.next().unwrap() {
        if keep(&record) {
            kept.push(record.kind.byte());
            kept.extend_from_slice(record.bytes);
        }
    }
    let meta = Meta { size: kept.len() as u64, ..sound.unwrap().meta };
    write(Vec::new(), &meta, &kept[..], 0).unwrap()
}

fn is_key(record: &Record<'_>, name: &str) -> bool {
    Kv::of(record).is_some_and(|kv| kv.key == name.as_bytes())
}

/// How many of these: in the snapshot, compared, afterwards.
fn counted(outcome: &Value, what: &str) -> (u64, u64, u64) {
    let all = outcome["counted"].as_array().unwrap();
    let found = all.iter().find(|counted| counted["what"] == what).unwrap();
    let number = |name: &str| found[name].as_u64().unwrap();
    (number("in_snapshot"), number("compared"), number("afterwards"))
}

#[test]
fn a_snapshot_of_everything_comes_back_as_it_was() {
    let rig = Rig::new();
    let (code, outcome, said) = rig.drill(&binary(), Path::new(FULL), &[]);
    assert_eq!((code, said.as_str()), (0, ""), "{outcome:#}");
    assert_eq!((&outcome["passed"], &outcome["differing"]), (&true.into(), &0.into()));
    assert_eq!((&outcome["consul"], &outcome["datacenter"]), (&"1.8.7".into(), &"dc1".into()));
    let (in_snapshot, compared, afterwards) = counted(&outcome, "key");
    assert!((in_snapshot, compared) == (12, 11) && afterwards >= 11, "{outcome:#}");
    assert_eq!(counted(&outcome, "config-entry"), (8, 8, 8), "{outcome:#}");
    for what in ["role", "auth-method", "binding-rule", "intention", "query"] {
        assert_eq!(counted(&outcome, what), (1, 1, 1), "{what}: {outcome:#}");
    }
    // The server has one more: its own. One of the snapshot has expired since, and the server may have removed it already.
    let (in_snapshot, compared, afterwards) = counted(&outcome, "token");
    assert!((in_snapshot, compared) == (4, 3) && (4..=5).contains(&afterwards), "{outcome:#}");
}

#[test]
fn a_snapshot_without_one_of_its_records_is_its_own_truth() {
    let rig = Rig::new();
    let less = rig.path("less.snap");
    fs::write(&less, only(FULL, |record| !is_key(record, "app/large"))).unwrap();
    let mut command = program();
    command.args(["snapshot", "drill", "--consul"]).arg(binary()).arg("--scratch").arg(rig.scratch.path());
    command.arg(&less);
    let (code, out, said) = run(command);
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("Restored ") && out.contains(" into Consul 1.8.7 in "), "{out}");
    assert!(out.contains(", all as they were") && out.contains("\nkey "), "{out}");
    rig.nothing_is_left(&out);
}

/// Answers an HTTP request of which all has been read.
fn answer(mut stream: &UnixStream, status: &str, body: &[u8]) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nX-Consul-Index: 1\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    // Whoever has asked may be gone.
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)));
}

/// Reads a request to its end; its method and path.
fn request(mut stream: &UnixStream) -> String {
    let (mut bytes, mut piece) = (Vec::new(), [0; 64 << 10]);
    loop {
        let read = stream.read(&mut piece).unwrap();
        bytes.extend_from_slice(&piece[..read]);
        let ends = if bytes.starts_with(b"PUT") { &b"\r\n0\r\n\r\n"[..] } else { b"\r\n\r\n" };
        if read == 0 || bytes.ends_with(ends) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut words = text.split([' ', '?']);
    format!("{} {}", words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

/// Stands in for a server that has something else after a restore.
fn stand_in(rig: &Rig, after: &[u8]) -> (i32, Value, String) {
    let consul = rig.script("case $1 in version) echo Consul v1.8.7;; *) exec sleep 1000;; esac");
    std::thread::scope(|scope| {
        let drilled = scope.spawn(|| rig.drill(&consul, Path::new(FULL), &[]));
        let folder = rig.folder(&|| "none was made".into());
        let listener = UnixListener::bind(folder.join("http.sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut asked = Vec::new();
        while asked.last().is_none_or(|line| line != "GET /v1/snapshot") {
            let accepted = wait::until(LONG, || listener.accept().ok());
            let (stream, _) = accepted.unwrap_or_else(|| panic!("nobody asks any more: {asked:?}"));
            stream.set_nonblocking(false).unwrap();
            let line = request(&stream);
            match line.as_str() {
                "GET /v1/snapshot" => answer(&stream, "200 OK", after),
                "PUT /v1/snapshot" => answer(&stream, "200 OK", b""),
                _ => answer(&stream, "404 Not Found", b""),
            }
            asked.push(line);
        }
        drilled.join().unwrap()
    })
}

#[test]
fn a_server_that_loses_something_is_found_out() {
    let rig = Rig::new();
    let (code, outcome, said) =
        stand_in(&rig, &only(FULL, |record| !is_key(record, "app/large") && record.kind != Kind::ACL_ROLE));
    assert_eq!((code, &outcome["passed"], &outcome["differing"]), (1, &false.into(), &2.into()), "{said}");
    let lost = "full.snap: 2 of what was restored are not as in the snapshot: role `reader` (lost), key `app/large` (lost)";
    assert!(said.contains(lost), "{said}");
    assert_eq!(outcome["differences"][1]["name"], "app/large");
    // What is held by a session may be gone.
    let (code, outcome, said) = stand_in(&rig, &only(FULL, |record| !is_key(record, "lock/leader")));
    assert_eq!((code, said.as_str()), (0, ""), "{outcome:#}");
    let mut cut = fs::read(FULL).unwrap();
    cut.truncate(cut.len() / 2);
    let (code, _, said) = stand_in(&rig, &cut);
    assert!(code == 1 && said.contains("what was restored and saved again is not sound: "), "{said}");
}

#[test]
fn nobody_else_reaches_the_server_or_looks_into_its_folder() {
    let rig = Rig::new();
    let mut child = rig.begun(&binary());
    let server = rig.server(&child);
    let folder = rig.folder(&|| child.log_tail());
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(folder.join("server.json")).unwrap().permissions().mode() & 0o777, 0o600);
    let environment = fs::read(format!("/proc/{server}/environ")).unwrap();
    let names: BTreeSet<String> = String::from_utf8_lossy(&environment)
        .split_terminator('\0')
        .map(|variable| variable.split('=').next().unwrap().to_owned())
        .collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["PATH", "TMPDIR"]);
    let status = fs::read_to_string(format!("/proc/{server}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Umask:\t0077"), "{status}");
    let (mut listens, mut refused) = (BTreeSet::new(), false);
    let ended = wait::until(LONG, || {
        listens.extend(sockets(server));
        refused |= asked_without_token(&folder).is_some_and(|answer| answer.starts_with("HTTP/1.1 403"));
        child.status().unwrap()
    });
    assert!(ended.is_some_and(|status| status.success()), "{}", child.log_tail());
    assert!(refused, "who has no token is given something");
    // One for TCP and UDP of gossip, one for the servers.
    let listening: Vec<&str> = listens.iter().map(String::as_str).collect();
    assert!(listening.len() >= 3, "{listening:?}");
    assert!(listening.iter().all(|address| address.ends_with(" 0100007F")), "{listening:?}");
    rig.nothing_is_left(&child.log_tail());
}

/// What a process listens on, or takes datagrams at: `tcp PORT ADDRESS`, in the digits of /proc.
fn sockets(pid: u32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let links = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let inodes: BTreeSet<String> = links
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (local, state, inode) = (fields[1], fields[3], fields[9]);
            if inodes.contains(inode) && (state == "0A" || table.starts_with("udp")) {
                let (address, port) = local.split_once(':').unwrap();
                found.push(format!("{table} {port} {address}"));
            }
        }
    }
    found
}

/// What the server says to who asks for all keys and has no token.
fn asked_without_token(folder: &Path) -> Option<String> {
    let mut stream = UnixStream::connect(folder.join("http.sock")).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"GET /v1/snapshot?stale HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..read]).into_owned())
}

#[test]
fn what_is_no_consul_is_told_with_what_it_did() {
    let rig = Rig::new();
    let says = |consul: &Path, words: &[&str]| {
        let (code, outcome, said) = rig.drill(consul, Path::new(FULL), words);
        assert_eq!((code, outcome), (1, Value::Null), "{said}");
        assert!(
            said.contains("help: the drill did not come about, which says nothing of the snapshot"),
            "{said}"
        );
        said
    };
    let said = says(Path::new("/bin/false"), &[]);
    assert!(
        said.contains("`/bin/false` is no Consul that can be used: asked for its version, it ended"),
        "{said}"
    );
    let said = says(Path::new("/nowhere/consul"), &[]);
    assert!(said.contains("`/nowhere/consul` cannot be run: No such file"), "{said}");
    let said = says(&rig.script("echo Nomad v1.0"), &[]);
    assert!(said.contains("it said something else\n  Nomad v1.0"), "{said}");
    let version = "[ $1 = version ] && echo Consul v1.8.7 && exit";
    let said = says(&rig.script(&format!("{version}\necho no license >&2; exit 3")), &[]);
    let ended = "while starting a server, the drill's server ended: exit status: 3\n  no license";
    assert!(said.contains(ended), "{said}");
    // One that hangs has a child that hangs, too.
    let said = says(&rig.script(&format!("{version}\necho here; sleep 1000")), &["--limit", "2s"]);
    let late = "the drill was not over within 2s: it was still starting a server\n  here";
    assert!(said.contains(late), "{said}");
    let said = says(&rig.script("sleep 1000"), &["--limit", "1s"]);
    assert!(said.contains("it was still reading the snapshot"), "{said}");
}

#[test]
fn a_port_that_somebody_took_is_replaced() {
    let rig = Rig::new();
    let (mark, consul) = (rig.path("mark"), binary());
    let consul = rig.script(&format!(
        "[ $1 = agent ] && [ ! -e {mark} ] && touch {mark} && echo 'listen tcp: bind: address already in use' && exit 1\nexec {consul} \"$@\"",
        mark = mark.display(),
        consul = consul.display()
    ));
    let (code, outcome, said) = rig.drill(&consul, Path::new(FULL), &[]);
    assert_eq!((code, said.as_str()), (0, ""), "{outcome:#}");
    assert!(mark.exists());
}

#[test]
fn a_drill_that_is_killed_leaves_no_server_and_the_next_one_removes_its_folder() {
    let rig = Rig::new();
    for millis in [0, 200, 800, 1_600] {
        let mut child = rig.begun(&binary());
        rig.server(&child);
        // At some moment of it.
        wait::until(Duration::from_millis(millis), || child.status().unwrap());
        child.kill().unwrap();
        let gone = wait::until(LONG, || rig.processes().is_empty().then_some(()));
        assert!(gone.is_some(), "after {millis} ms the server goes on");
    }
    assert!(!rig.folders().is_empty(), "nothing was left to be removed");
    let (code, outcome, said) = rig.drill(&binary(), Path::new(FULL), &[]);
    assert_eq!((code, said.as_str()), (0, ""), "{outcome:#}");
}

#[test]
fn a_drill_that_is_stopped_is_over_at_once() {
    let rig = Rig::new();
    for (signal, millis) in [(Signal::INT, 0), (Signal::TERM, 300), (Signal::INT, 1_000)] {
        let mut child = rig.begun(&binary());
        rig.server(&child);
        wait::until(Duration::from_millis(millis), || child.status().unwrap());
        child.signal(signal).unwrap();
        let ended = child.wait(Duration::from_secs(15)).unwrap().unwrap();
        assert_eq!(ended.code(), Some(1), "{}", child.log_tail());
        assert!(child.log_tail().contains("stopped: nothing is left of the drill"), "{}", child.log_tail());
        rig.nothing_is_left(&child.log_tail());
    }
}

#[test]
fn without_room_nothing_is_started_and_a_disk_that_is_full_ends_it() {
    if !rustix::process::geteuid().is_root() {
        println!("LEFT OUT: a small file system needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let within = |mount: &Mount| Rig { scratch: tempfile::tempdir_in(&mount.0).unwrap(), ..Rig::new() };
    let small = Mount::new(dir.path().join("small"), "32m");
    let rig = within(&small);
    let (code, _, said) = rig.drill(&binary(), Path::new(FULL), &[]);
    assert!(code == 1 && said.contains("no folder has room for the drill, which takes "), "{said}");
    assert!(said.contains(": 32 MiB are free"), "{said}");
    drop(rig);

    // There is room, and then there is none.
    let mount = Mount::new(dir.path().join("mount"), "80m");
    let rig = within(&mount);
    std::thread::scope(|scope| {
        let drilled = scope.spawn(|| rig.drill(&binary(), Path::new(FULL), &["--limit", "20s"]));
        rig.folder(&|| "none was made".into());
        fill(&mount.0);
        let (code, outcome, said) = drilled.join().unwrap();
        assert_eq!((code, outcome), (1, Value::Null), "{said}");
        assert!(said.to_lowercase().contains("no space left on device"), "{said}");
    });
    drop(rig);
}

#[test]
fn what_the_server_would_not_survive_is_told_before_one_is_started() {
    let rig = Rig::new();
    let archive = |state: &[u8]| {
        let meta = Meta { version: 1, size: state.len() as u64, ..Meta::default() };
        write(Vec::new(), &meta, state, 0).unwrap()
    };
    let newer = StateBuilder::new(7).record(Kind::RESOURCE, &Data::text("of a newer one")).finish();
    let whole = StateBuilder::new(7).kv("b", b"y").finish();
    fs::write(rig.path("newer.snap"), archive(&newer)).unwrap();
    fs::write(rig.path("half.snap"), archive(&whole[..whole.len() - 3])).unwrap();
    fs::write(rig.path("state.bin"), &whole).unwrap();
    // One that is started all the same would be seen.
    let started = rig.path("started");
    let consul =
        rig.script(&format!("[ $1 = version ] && echo Consul v1.8.7 && exit\ntouch {}", started.display()));
    let known = "is Consul 1.8.7, which does not know records of the kind Resource: use one at least as new";
    for (name, why) in [
        ("newer.snap", known),
        ("half.snap", "half.snap: the snapshot is not sound: record 1 (KVS, at byte 12) cannot be decoded"),
        ("state.bin", "only an archive of Consul can be restored"),
        ("none.snap", "cannot open the snapshot: No such file"),
    ] {
        let (code, _, said) = rig.drill(&consul, &rig.path(name), &[]);
        assert!(code == 1 && said.contains(why), "{name}: {said}");
    }
    assert!(!started.exists());
}

#[test]
fn without_a_program_it_says_how_to_give_one() {
    let rig = Rig::new();
    let mut command = program();
    command.env("PATH", rig.dir.path()).args(["snapshot", "drill", FULL]);
    let (code, _, said) = run(command);
    assert!(
        code == 5 && said.contains("no program `consul` in PATH") && said.contains("--consul PATH"),
        "{said}"
    );
    // One in PATH is found.
    rig.script("echo Consul v1.7.0; exit 9");
    let mut command = program();
    command.env("PATH", rig.dir.path()).args(["snapshot", "drill", FULL]);
    let (code, _, said) = run(command);
    assert!(code == 1 && said.contains("asked for its version, it ended: exit status: 9"), "{said}");
}

#[test]
fn what_becomes_a_server_is_nothing_for_people() {
    let mut command = program();
    command.args(["drill-server", "1", "/bin/true"]);
    let (code, _, said) = run(command);
    assert_eq!((code, said.as_str()), (1, "error: who started it, process 1, is gone\n"));
    assert!(Source::open(FULL).is_ok());
}
