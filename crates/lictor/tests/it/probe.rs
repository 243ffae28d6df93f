//! The probe: what a machine answers about itself, under its old names, as a command, and in an agent.

#![expect(
    clippy::disallowed_methods,
    reason = "the servers of these tests are slow, and it is measured how long answers take"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lictor_testkit::process::Child;
use lictor_testkit::service::{Answer, Fault, Service, faulty};
use lictor_testkit::{ports, wait};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::node::{LONG, Node, program, run};

/// A probe that runs for as long as the test.
struct Probe {
    port: u16,
    child: Child,
    dir: TempDir,
}

/// The program under one of its old names.
fn named(name: &str) -> Command {
    let mut command = program();
    command.arg0(name);
    command
}

impl Probe {
    /// Under its old name, with this environment.
    fn old(environment: &[(&str, &str)]) -> Self {
        Self::start(named("probe"), environment)
    }

    /// As a command.
    fn new(args: &[&str]) -> Self {
        let mut command = program();
        command.arg("probe").args(args);
        Self::start(command, &[])
    }

    fn start(mut command: Command, environment: &[(&str, &str)]) -> Self {
        let (port, dir) = (ports::free_on(std::net::Ipv4Addr::UNSPECIFIED), tempfile::tempdir().unwrap());
        command.env("PORT", port.to_string()).envs(environment.iter().copied());
        let child = Child::spawn("probe", command, dir.path()).unwrap();
        let mut probe = Self { port, child, dir };
        let up = wait::until(LONG, || TcpStream::connect(probe.at("127.0.0.1")).ok());
        assert!(up.is_some(), "it does not listen: {}", probe.child.log_tail());
        assert!(probe.child.status().unwrap().is_none());
        probe
    }

    fn at(&self, ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), self.port)
    }

    /// All that comes back when this is sent.
    fn sent(&self, request: &str) -> String {
        sent(self.at("127.0.0.1"), request)
    }

    fn get(&self, path: &str) -> Value {
        json(&self.sent(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")))
    }
}

fn sent(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn json(answer: &str) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    serde_json::from_str(body).unwrap()
}

fn basic(user: &str) -> String {
    format!("Basic {}", STANDARD.encode(user))
}

#[test]
fn without_urls_the_status_is_the_one_that_others_know() {
    let probe = Probe::old(&[("URLS", ""), ("VOLUMES", "/")]);
    assert_eq!(
        probe.sent("GET /status HTTP/1.1\r\nHost: x\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 42\r\nConnection: close\r\n\r\n\
         {\"checks\":[],\"summary\":{\"total\":0,\"ok\":0}}"
    );
}

#[test]
fn volumes_are_shown_by_their_mounts() {
    let probe = Probe::old(&[("VOLUMES", "/")]);
    let volumes = probe.get("/disk")["volumes"].as_array().unwrap().clone();
    assert_eq!((volumes.len(), &volumes[0]["mount"]), (1, &Value::from("/")));
    assert!(volumes[0]["size_blocks"].as_u64() > volumes[0]["avail"].as_u64());
    assert!(volumes[0]["use_percent"].as_str().unwrap().ends_with('%'));
    let all = probe.get("/");
    assert_eq!(all["status"]["summary"]["total"], 0);
    assert_eq!(all["disk"]["volumes"][0]["size_blocks"], volumes[0]["size_blocks"]);
    let every = Probe::old(&[("VOLUMES", "")]);
    assert!(every.get("/disk")["volumes"].as_array().unwrap().iter().any(|one| one["mount"] == "/"));
}

#[test]
fn a_volume_that_cannot_be_read_costs_only_itself() {
    let probe = Probe::old(&[("VOLUMES", "/nonexistent /")]);
    let all = probe.get("/");
    let volumes = &all["disk"]["volumes"];
    assert_eq!(volumes[0]["mount"], "/nonexistent");
    assert_eq!(
        (&volumes[0]["size_blocks"], &volumes[0]["use_percent"]),
        (&Value::from(0), &Value::from("-"))
    );
    assert_eq!(volumes[0]["error"], "no such file or directory");
    assert_eq!((&volumes[1]["mount"], volumes[1].get("error")), (&Value::from("/"), None));
}

#[test]
fn urls_are_looked_at_when_somebody_asks_and_a_line_says_so() {
    let good = Service::answering(vec![Answer::new(200, "")]);
    let odd = Service::answering(vec![Answer::new(500, ""), Answer::new(204, "")]);
    let gone = Service::answering(vec![Answer::new(200, "")]);
    gone.stop();
    let urls = [good.url(), odd.url(), gone.url()];
    let probe = Probe::old(&[("URLS", &urls.join("\n"))]);
    assert_eq!((good.calls().len(), odd.calls().len()), (0, 0), "nobody has asked");
    let status = probe.get("/status");
    let shown = |at: usize, name: &str| status["checks"][at][name].clone();
    assert_eq!([0, 1, 2].map(|at| shown(at, "url")), urls.clone().map(Value::from));
    assert_eq!([0, 1, 2].map(|at| shown(at, "code")), [200, 500, 0].map(Value::from));
    assert_eq!([0, 1, 2].map(|at| shown(at, "ok")), [true, false, false].map(Value::from));
    assert!(shown(0, "time_s").as_f64().unwrap() > 0.0 && shown(2, "time_s") == 0);
    assert_eq!(status["summary"], serde_json::json!({"total": 3, "ok": 1}));
    assert_eq!(probe.get("/status")["checks"][1]["code"], 204, "the next one who asks has it anew");
    let log = fs::read_to_string(probe.child.log()).unwrap();
    for (url, code) in urls.iter().zip(["200", "500", "000"]) {
        assert!(log.contains(&format!("{url} -> {code}\n")), "{log}");
    }
    assert!(log.contains("everybody who reaches"), "{log}");
}

#[test]
fn under_the_old_name_only_three_requests_are_known() {
    let probe = Probe::old(&[("VOLUMES", "/")]);
    let lost = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 10\r\nConnection: close\r\n\r\n";
    for line in ["GET /status?x=1 HTTP/1.1", "POST /status HTTP/1.1", "GET /status/ HTTP/1.1", "nonsense"] {
        assert_eq!(probe.sent(&format!("{line}\r\n\r\n")), format!("{lost}Not found\n"), "{line}");
    }
    assert_eq!(probe.sent("HEAD /status HTTP/1.1\r\n\r\n"), lost);
    let two = "GET /status HTTP/1.1\r\n\r\n".repeat(2);
    assert_eq!(probe.sent(&two).matches("HTTP/1.1 200 OK").count(), 1, "one request over a connection");
}

#[test]
fn as_a_command_it_keeps_connections_and_knows_head_and_queries() {
    let probe = Probe::new(&["--volume", "/"]);
    let mut stream = TcpStream::connect(probe.at("127.0.0.1")).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /status?from=test HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 137];
        stream.read_exact(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains("Connection: keep-alive\r\n") && answer.ends_with("\"ok\":0}}"), "{answer}");
    }
    let head = probe.sent("HEAD / HTTP/1.0\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(
        TcpStream::connect(probe.at("127.0.0.2")).is_err(),
        "it is for this address unless told otherwise"
    );
}

#[test]
fn who_may_ask_is_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("users");
    fs::write(&file, "ann:a secret: with blanks\n#x:y").unwrap();
    let probe = Probe::old(&[("AUTH_FILE", file.to_str().unwrap())]);
    let asks = |path: &str, header: &str| probe.sent(&format!("GET {path} HTTP/1.1\r\n{header}\r\n\r\n"));
    assert_eq!(
        asks("/status", "X: y"),
        "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\
         WWW-Authenticate: Basic realm=\"minimal\", charset=\"UTF-8\"\r\nConnection: close\r\n\r\n\
         {\"error\":\"unauthorized\"}"
    );
    let ann = basic("ann:a secret: with blanks");
    assert!(asks("/nothing", "X: y").starts_with("HTTP/1.1 401 "), "nobody learns what there is");
    assert!(asks("/nothing", &format!("Authorization: {ann}")).starts_with("HTTP/1.1 404 "));
    for header in [
        format!("Authorization: {ann}"),
        format!("authorization: {ann}"),
        format!("AUTHORIZATION: {}", ann.replace("Basic", "bAsIc")),
        format!("Authorization: {}", basic("#x:y")),
    ] {
        assert_eq!(json(&asks("/status", &header))["summary"]["total"], 0, "{header}");
    }
    let eve = format!("Authorization: {}", basic("eve:guess"));
    assert!(asks("/status", &eve).starts_with("HTTP/1.1 401 "));
    fs::write(&file, "eve:guess\n").unwrap();
    assert!(asks("/status", &eve).starts_with("HTTP/1.1 200 "), "the file is read again");
    assert!(asks("/status", &format!("Authorization: {ann}")).starts_with("HTTP/1.1 401 "));
    fs::remove_file(&file).unwrap();
    assert!(
        asks("/status", &eve).starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "it does not fail open"
    );
}

#[test]
fn a_file_that_lets_nobody_in_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    fs::write(&empty, "\n").unwrap();
    for (file, why) in [("/nonexistent/users", "cannot be read"), (empty.to_str().unwrap(), "holds no line")]
    {
        let mut old = named("probe");
        old.env("AUTH_FILE", file).env("PORT", ports::free().to_string());
        let mut new = program();
        new.args(["probe", "--auth-file", file]).env("PORT", ports::free().to_string());
        for command in [old, new] {
            let (code, out, err) = run(command);
            assert_eq!((code, out.as_str()), (3, ""), "{err}");
            assert!(err.contains(why), "{err}");
        }
    }
}

#[test]
fn what_cannot_be_meant_is_said_at_the_start() {
    let fails = |mut command: Command, variable: &str, value: &str| {
        command.env(variable, value);
        let (code, out, err) = run(command);
        assert_eq!(out, "");
        (code, err)
    };
    let (code, err) = fails(named("probe"), "TIMEOUT", "soon");
    assert!(
        code == 3 && err.contains("TIMEOUT is `soon`, which is not a number of seconds above 0"),
        "{err}"
    );
    assert_eq!(fails(named("router"), "TIMEOUT", "soon").0, 3);
    assert_eq!(fails(named("probe"), "PORT", "x").0, 3);
    let mut extra = named("probe");
    extra.arg("--port=5988");
    assert_eq!(fails(extra, "X", "").0, 2, "it has no options under its old name");
    let mut open = program();
    open.args(["probe", "--address", "0.0.0.0"]);
    let (code, err) = fails(open, "PORT", "0");
    assert!(code == 2 && err.contains("--open"), "{err}");
    let taken = Probe::new(&[]);
    let (code, err) = fails(named("probe"), "PORT", &taken.port.to_string());
    assert!(code == 8 && err.contains("in use"), "{err}");
}

#[test]
fn a_url_that_hangs_does_not_make_the_machine_look_dead() {
    let good = Service::answering(vec![Answer::new(200, "")]);
    let urls = format!("http://{}/ {}", faulty(Fault::Hangs), good.url());
    let probe = Probe::old(&[("URLS", &urls)]);
    let begun = Instant::now();
    let status = probe.get("/status");
    assert!(begun.elapsed() < Duration::from_millis(4_900), "peers wait 5 s: {:?}", begun.elapsed());
    assert_eq!(
        (&status["checks"][0]["code"], &status["checks"][1]["code"]),
        (&Value::from(0), &Value::from(200))
    );
    assert_eq!(status["summary"], serde_json::json!({"total": 2, "ok": 1}));
}

#[test]
fn peers_that_ask_at_once_cost_one_look() {
    let slow = Service::start(|_call| {
        std::thread::sleep(Duration::from_secs(3));
        Answer::new(200, "")
    });
    let probe = Probe::old(&[("URLS", &slow.url())]);
    std::thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| assert_eq!(probe.get("/status")["summary"]["ok"], 1));
        }
    });
    assert_eq!(slow.calls().len(), 1);
}

#[test]
fn clients_that_say_nothing_do_not_stop_it() {
    let probe = Probe::old(&[("VOLUMES", "/")]);
    let slow: Vec<TcpStream> = (0..800)
        .map(|_| {
            let mut stream = TcpStream::connect(probe.at("127.0.0.1")).unwrap();
            stream.write_all(b"GET /stat").unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    assert_eq!(probe.get("/status")["summary"]["total"], 0);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    drop(slow);
}

#[test]
fn it_is_there_for_both_families() {
    let probe = Probe::old(&[("VOLUMES", "/")]);
    let request = "GET /status HTTP/1.0\r\n\r\n";
    assert!(sent(probe.at("127.0.0.1"), request).starts_with("HTTP/1.1 200 OK"));
    if Path::new("/proc/net/if_inet6").exists() {
        assert!(sent(probe.at("::1"), request).starts_with("HTTP/1.1 200 OK"));
    }
}

#[test]
fn told_to_end_it_answers_who_asked_and_frees_the_port() {
    let begun = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&begun);
    let slow = Service::start(move |_call| {
        seen.store(true, Ordering::Release);
        std::thread::sleep(Duration::from_secs(1));
        Answer::new(200, "")
    });
    let mut probe = Probe::old(&[("URLS", &slow.url())]);
    let mut idle = TcpStream::connect(probe.at("127.0.0.1")).unwrap();
    let mut asked = TcpStream::connect(probe.at("127.0.0.1")).unwrap();
    asked.write_all(b"GET /status HTTP/1.1\r\n\r\n").unwrap();
    assert!(wait::until(LONG, || begun.load(Ordering::Acquire).then_some(())).is_some());
    probe.child.signal(Signal::TERM).unwrap();
    let ended = probe.child.wait(LONG).unwrap();
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "{}", probe.child.log_tail());
    assert_eq!(idle.read(&mut [0; 1]).unwrap_or(0), 0);
    let mut answer = String::new();
    asked.read_to_string(&mut answer).unwrap();
    assert_eq!(json(&answer)["summary"]["ok"], 1);
    assert!(std::net::TcpListener::bind(probe.at("127.0.0.1")).is_ok(), "the port is free");
    assert!(fs::read_dir(probe.dir.path()).is_ok());
}

/// What `router` says to this on its standard input.
fn routed(environment: &[(&str, &str)], input: &[u8]) -> (i32, String) {
    let mut command = named("router");
    command
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_router_answers_one_request_on_its_standard_input() {
    let good = Service::answering(vec![Answer::new(200, "")]);
    let url = good.url();
    let environment = [("URLS", url.as_str()), ("VOLUMES", "/")];
    let (code, answer) = routed(&environment, b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((code, json(&answer)["summary"]["ok"].as_u64()), (0, Some(1)));
    assert!(answer.contains("\r\nConnection: close\r\n\r\n"));
    assert!(
        routed(&environment, b"GET /status HTTP/1.0\n").1.starts_with("HTTP/1.1 200 OK"),
        "a line is enough"
    );
    assert!(routed(&environment, b"HEAD / HTTP/1.0\r\n\r\n").1.starts_with("HTTP/1.1 404 "));
    assert_eq!(routed(&environment, b""), (0, String::new()), "who says nothing is told nothing");
    assert!(routed(&environment, &[b'x'; 40_000]).1.starts_with("HTTP/1.1 431 "));
    let gone = [("AUTH_FILE", "/nonexistent/users")];
    assert!(
        routed(&gone, b"GET /status HTTP/1.1\r\n\r\n").1.starts_with("HTTP/1.1 503 "),
        "it does not fail open"
    );
}

#[test]
fn the_router_waits_for_nobody_for_ever() {
    let mut command = named("router");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"GET /status").unwrap();
    let begun = Instant::now();
    let ended = wait::until(LONG, || child.try_wait().unwrap());
    assert!(ended.is_some_and(|status| status.code() == Some(1)));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn with_tls_it_asks_for_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let ca = Authority::new(&dir.path().join("ca.pem"));
    ca.issue(&dir.path().join("server"));
    ca.issue(&dir.path().join("client"));
    Authority::new(&dir.path().join("other.pem")).issue(&dir.path().join("stranger"));
    let probe = Probe::new(&[
        "--cert-file",
        &path("server.crt"),
        "--key-file",
        &path("server.key"),
        "--client-ca-file",
        &path("ca.pem"),
        "--address",
        "127.0.0.1",
    ]);
    let ask = |client: Option<&str>| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-m", "30", "--cacert", &path("ca.pem")]);
        if let Some(client) = client {
            curl.args(["--cert", &path(&format!("{client}.crt")), "--key", &path(&format!("{client}.key"))]);
        }
        run({
            curl.arg(format!("https://127.0.0.1:{}/status", probe.port));
            curl
        })
    };
    let (code, out, err) = ask(Some("client"));
    assert_eq!((code, out.as_str()), (0, "{\"checks\":[],\"summary\":{\"total\":0,\"ok\":0}}"), "{err}");
    for stranger in [None, Some("stranger")] {
        let (code, out, _) = ask(stranger);
        assert!(code != 0 && out.is_empty(), "{stranger:?}: {out}");
    }
    assert_eq!(
        probe.sent("GET /status HTTP/1.0\r\n\r\n").matches("HTTP/1.1 200").count(),
        0,
        "not without TLS"
    );
}

/// One that issues certificates.
struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    fn new(file: &Path) -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
        fs::write(file, issuer.pem()).unwrap();
        Self(issuer)
    }

    /// Writes a certificate for 127.0.0.1 and its key beside each other.
    fn issue(&self, file: &Path) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        fs::write(file.with_extension("crt"), certificate.pem()).unwrap();
        fs::write(file.with_extension("key"), key.serialize_pem()).unwrap();
    }
}

#[test]
fn an_agent_shows_its_checks_and_looks_in_the_background() {
    let good = Arc::new(Service::answering(vec![Answer::new(200, "")]));
    let port = ports::free();
    let block = |more: &str| {
        format!(
            "watch \"http\" \"shop\" {{\n  url = \"{}\"\n  every = \"200ms\"\n}}\n\
             probe {{\n  address = \"127.0.0.1:{port}\"\n  urls = [\"{}/x\"]\n  volumes = [\"/\"]\n  fresh = \"1s\"\n{more}}}\n",
            good.url(),
            good.url()
        )
    };
    let mut node = Node::new(&block("  checks = [check.shop]\n"));
    node.start();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let status = || json(&sent(address, "GET /status?x HTTP/1.0\r\n\r\n"));
    let shown = node.until("the check is shown as good", |_| {
        let status = status();
        (status["summary"] == serde_json::json!({"total": 2, "ok": 2})).then_some(status)
    });
    assert_eq!(shown["checks"][1]["url"], "check:shop");
    assert_eq!(shown["checks"][0]["url"], format!("{}/x", good.url()));
    let before = good.calls().iter().filter(|call| call.path == "/x").count();
    node.until("it looks although nobody asks", |_| {
        (good.calls().iter().filter(|call| call.path == "/x").count() > before + 1).then_some(())
    });
    let users = node.path("users");
    fs::write(&users, "ann:1\n").unwrap();
    node.configure(&block(&format!("  auth_file = \"{}\"\n", users.display())));
    node.agent().signal(Signal::HUP).unwrap();
    let asks = "GET /status HTTP/1.0\r\n\r\n";
    node.until("the reload is seen", |_| sent(address, asks).starts_with("HTTP/1.1 401 ").then_some(()));
    let header = format!("GET /status HTTP/1.0\r\nauthorization: {}\r\n\r\n", basic("ann:1"));
    assert_eq!(json(&sent(address, &header))["summary"]["total"], 1);
}
