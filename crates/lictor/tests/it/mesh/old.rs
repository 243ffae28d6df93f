//! Old and new nodes in one mesh: stand-ins for the programs of before, with their bytes; the program under its old
//! names; and agents.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lictor_testkit::dns::NameServer;
use lictor_testkit::net::{Net, v4, v6};
use lictor_testkit::process::Child;
use lictor_testkit::wait;
use serde_json::Value;
use tempfile::TempDir;

use super::chat::Chat;
use super::{BLOCKS, PORT, QUIET, records};
use crate::clock::libfaketime;
use crate::node::{LONG, Node};
use crate::together::calm;

/// What a probe of before answers when all is well, and when a URL does not answer.
const WELL: &str =
    r#"{"checks":[{"url":"http://a/","code":200,"time_s":0.001367,"ok":true}],"summary":{"total":1,"ok":1}}"#;
const ILL: &str =
    r#"{"checks":[{"url":"http://a/","code":000,"time_s":0,"ok":false}],"summary":{"total":1,"ok":0}}"#;

/// A probe of before: a process for each connection, which looks at nothing but the start of the request line.
struct OldProbe {
    says: Arc<Mutex<Option<&'static str>>>,
    /// It answers after so long, milliseconds.
    slow: Arc<AtomicU64>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl OldProbe {
    fn start(net: &Net, host: usize) -> Self {
        let listener = net.on(host, || TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)).unwrap());
        let says = Arc::new(Mutex::new(Some(WELL)));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let slow = Arc::<AtomicU64>::default();
        let (status, late, heard) = (Arc::clone(&says), Arc::clone(&slow), Arc::clone(&asked));
        thread::spawn(move || {
            while let Ok((stream, _from)) = listener.accept() {
                let (status, late, heard) = (Arc::clone(&status), Arc::clone(&late), Arc::clone(&heard));
                thread::spawn(move || {
                    calm(Duration::from_millis(late.load(Ordering::Relaxed)));
                    let says = *status.lock().unwrap();
                    // One that is dead closes.
                    if let Some(says) = says {
                        answer(stream, says, &heard);
                    }
                });
            }
        });
        Self { says, slow, asked }
    }

    fn is(&self, says: Option<&'static str>) {
        *self.says.lock().unwrap() = says;
    }
}

fn answer(mut stream: TcpStream, status: &str, asked: &Mutex<Vec<String>>) {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    while reader.read_line(&mut request).is_ok_and(|read| read > 2) {}
    let (code, kind, body) = match &request {
        all if all.starts_with("GET / ") => {
            ("200 OK", "application/json", format!("{{\"status\":{status},\"disk\":{{\"volumes\":[]}}}}"))
        }
        all if all.starts_with("GET /status ") => ("200 OK", "application/json", status.to_owned()),
        _ => ("404 Not Found", "text/plain", "Not found\n".to_owned()),
    };
    asked.lock().unwrap().push(request);
    let head = format!(
        "HTTP/1.1 {code}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // Who asked may have gone away.
    stream.write_all(format!("{head}{body}").as_bytes()).ok();
}

/// A look of a watcher of before, by curl: the whole answer, empty when there is none.
fn asks(net: &Net, from: usize, to: IpAddr, path: &str) -> String {
    let address = SocketAddr::new(to, PORT);
    let look = || {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(String::new());
            }
            head.push_str(&line);
            if let Some(said) = line.strip_prefix("Content-Length: ") {
                length = said.trim_end().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        std::io::Result::Ok(head + &String::from_utf8(body).unwrap())
    };
    net.on(from, look).unwrap_or_default()
}

/// What a watcher of before wrote down of it: its first version, which read what it had asked for.
fn state(net: &Net, from: usize, to: IpAddr) -> String {
    let answer = asks(net, from, to, "/");
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return "down:0/0:000".to_owned() };
    let code = head.split(' ').nth(1).unwrap();
    let Ok(body) = serde_json::from_str::<Value>(body) else { return format!("junk:{code}") };
    let count = |name: &str| body["status"]["summary"][name].as_u64().unwrap_or(0);
    let (good, total) = (count("ok"), count("total"));
    let word = if code == "200" && good == total { "up" } else { "down" };
    format!("{word}:{good}/{total}:{code}")
}

/// The program under its old names, on a host whose resolver asks our name server.
struct Named {
    dir: TempDir,
    probe: Option<Child>,
    watcher: Option<Child>,
}

impl Named {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["probe", "watcher"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_lictor"), dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("step"), "+0\n").unwrap();
        Self { dir, probe: None, watcher: None }
    }

    fn start(&self, net: &Net, host: usize, name: &str, environment: &[(&str, &str)]) -> Child {
        let mut command = net.command(host, &self.dir.path().join(name));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.dir.path());
        command.envs(environment.iter().copied());
        Child::spawn(name, command, self.dir.path()).unwrap()
    }

    fn probe(&mut self, net: &Net, host: usize) {
        self.probe = Some(self.start(net, host, "probe", &[("VOLUMES", "/")]));
        let up =
            wait::until(LONG, || Some(()).filter(|()| state(net, host, v4(host).into()) == "up:0/0:200"));
        assert!(up.is_some(), "the probe does not answer");
    }

    /// A watcher whose clock can be stepped by the file `step`.
    fn watcher(&mut self, net: &Net, host: usize, chat: &Chat) {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let (library, step, state_dir) = (libfaketime().display().to_string(), path("step"), path("state"));
        let environment = [
            ("PEERS_SRV", "_sentinella._tcp.test"),
            ("TG_TOKEN", "n3"),
            ("TG_CHAT_ID", "-100"),
            ("TG_API_URL", &chat.url()),
            ("POLLING_INTERVAL_SEC", "0.5"),
            ("TIMEOUT", "2"),
            ("STATE_DIR", &state_dir),
            ("LD_PRELOAD", &library),
            ("FAKETIME_TIMESTAMP_FILE", &step),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        self.watcher = Some(self.start(net, host, "watcher", &environment));
    }
}

/// Waits until exactly these were told since then, and nothing else.
#[track_caller]
fn hear(chat: &Chat, heard: &mut usize, when: &str, mut wanted: Vec<&str>) {
    let told = || chat.told().split_off(*heard);
    wait::until(LONG, || (told().len() >= wanted.len()).then_some(()));
    calm(QUIET);
    let mut all = told();
    *heard += all.len();
    all.sort();
    wanted.sort_unstable();
    assert_eq!(all, wanted, "{when}");
}

/// n1 and n2 are agents, n3 is the program under its old names, n4 is what was before.
#[test]
fn old_and_new_nodes_understand_each_other() {
    let net = Net::new(5);
    let chat = net.on(0, || Chat::open(v4(0)));
    let names = records(1, &[1, 2, 3, 4]);
    let _dns = net.on(0, || NameServer::start_at(SocketAddr::from((v4(0), 53)), &names));
    let old = OldProbe::start(&net, 4);
    let mut third = Named::new();
    third.probe(&net, 3);
    let mut agents: Vec<Node> = ["n1", "n2"]
        .into_iter()
        .map(|name| Node::named(name, &BLOCKS.replace("@NAME@", name).replace("@CHAT@", &chat.url())))
        .collect();
    for (place, node) in agents.iter_mut().enumerate() {
        net.on(place + 1, || node.start_in(&[]));
    }
    let states = |wanted: [&str; 4]| {
        let hosts = [v4(1).into(), v6(2).into(), v4(3).into(), v4(4).into()];
        let seen = || hosts.map(|host| state(&net, 4, host));
        let found = wait::until(LONG, || (seen() == wanted).then_some(()));
        assert!(found.is_some(), "{:?}", seen());
    };
    states(["up:1/1:200", "up:1/1:200", "up:0/0:200", "up:1/1:200"]);
    for (place, node) in agents.iter_mut().enumerate() {
        net.on(place + 1, || {
            node.until("it sees the three others", |node| {
                let view = node.ask(&["peers", "status", "--format", "json"]).ok()?;
                let well =
                    |peers: &Vec<Value>| peers.iter().filter(|peer| peer["status"] == "passing").count();
                (well(view["peers"].as_array()?) == 3).then_some(())
            });
        });
    }
    let mut heard = chat.all_resolved();

    // Bytes that the old ones know.
    assert_eq!(
        asks(&net, 4, v4(3).into(), "/status"),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 42\r\nConnection: close\r\n\r\n\
         {\"checks\":[],\"summary\":{\"total\":0,\"ok\":0}}"
    );
    assert!(asks(&net, 4, v4(3).into(), "/status?x").starts_with("HTTP/1.1 404 Not Found\r\n"));
    let agent = asks(&net, 4, v4(1).into(), "/status");
    let (_head, body) = agent.split_once("\r\n\r\n").unwrap();
    assert!(body.starts_with("{\"checks\":[{\"url\":\"check:own\",\"code\":200,\"time_s\":"), "{body}");
    assert!(body.ends_with(",\"ok\":true}],\"summary\":{\"total\":1,\"ok\":1}}"), "nothing besides: {body}");

    third.watcher(&net, 3, &chat);
    let first = [
        "n3: OK  : n1.test (fd77:0:0:1::2)",
        "n3: OK  : n2.test (fd77:0:0:2::2)",
        "n3: OK  : n4.test (10.77.4.2)",
    ];
    hear(&chat, &mut heard, "seen for the first time", first.to_vec());
    let requests = old.asked.lock().unwrap().clone();
    assert!(
        requests.iter().all(|request| request.starts_with("GET /status ") || request.starts_with("GET / "))
    );

    old.is(Some(ILL));
    let down =
        ["n1: CRITICAL: peer on n4.test", "n2: CRITICAL: peer on n4.test", "n3: FAIL: n4.test (10.77.4.2)"];
    hear(&chat, &mut heard, "a URL of the old one fails", down.to_vec());
    assert!(chat.whole("n3").ends_with("[0/1] — http://a/(000)"), "{}", chat.whole("n3"));
    assert!(
        chat.whole("n1").contains("0 of 1 checks are good: http://a/ (no answer)"),
        "{}",
        chat.whole("n1")
    );
    let up =
        ["n1: RESOLVED: peer on n4.test", "n2: RESOLVED: peer on n4.test", "n3: OK  : n4.test (10.77.4.2)"];
    old.is(Some(WELL));
    hear(&chat, &mut heard, "and is well again", up.to_vec());

    old.is(None);
    hear(&chat, &mut heard, "the old one dies", down.to_vec());
    // Times that are told do not follow the clock.
    std::fs::write(third.dir.path().join("step"), "+86400\n").unwrap();
    old.is(Some(WELL));
    hear(&chat, &mut heard, "and lives", up.to_vec());
    let words = chat.whole("n3");
    let (_, lasted) = words.split_once(" — down for ").unwrap_or_else(|| panic!("{words}"));
    assert!(lasted.ends_with('s') && lasted.len() <= 3, "{words}");

    // Those wait for half a second, and the third for two.
    old.slow.store(900, Ordering::Relaxed);
    hear(&chat, &mut heard, "the old one is slow", down[..2].to_vec());
    old.slow.store(0, Ordering::Relaxed);
    hear(&chat, &mut heard, "and quick again", up[..2].to_vec());

    third.probe = None;
    hear(
        &chat,
        &mut heard,
        "the probe under its old name ends",
        vec!["n1: CRITICAL: peer on n3.test", "n2: CRITICAL: peer on n3.test"],
    );
    states(["up:1/1:200", "up:1/1:200", "down:0/0:000", "up:1/1:200"]);
    third.probe(&net, 3);
    hear(
        &chat,
        &mut heard,
        "and is there again",
        vec!["n1: RESOLVED: peer on n3.test", "n2: RESOLVED: peer on n3.test"],
    );

    agents[0].kill();
    hear(
        &chat,
        &mut heard,
        "an agent dies",
        vec!["n2: CRITICAL: peer on n1.test", "n3: FAIL: n1.test (fd77:0:0:1::2)"],
    );
    states(["down:0/0:000", "up:1/1:200", "up:0/0:200", "up:1/1:200"]);
    net.on(1, || agents[0].start());
    hear(
        &chat,
        &mut heard,
        "and lives",
        vec!["n2: RESOLVED: peer on n1.test", "n3: OK  : n1.test (fd77:0:0:1::2)"],
    );

    // It was gone for longer than a look may take: that says nothing of the others.
    old.slow.store(250, Ordering::Relaxed);
    let watcher = third.watcher.as_mut().unwrap();
    for _ in 0..4 {
        calm(Duration::from_millis(900));
        watcher.pause().unwrap();
        calm(Duration::from_millis(2_600));
        watcher.resume().unwrap();
    }
    hear(&chat, &mut heard, "the watcher under its old name was frozen", Vec::new());
    states(["up:1/1:200", "up:1/1:200", "up:0/0:200", "up:1/1:200"]);
    assert!(Path::new(&third.dir.path().join("state")).exists());
}
