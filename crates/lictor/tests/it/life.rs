//! The life of an agent: start, cure, reload, stop, start again.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use lictor_testkit::ports;
use rustix::process::Signal;

use crate::node::{LONG, Node, program, run};

const WATCHED: &str = r#"
watch "exec" "works" {
  command = ["/bin/sh", "-c", "test -e @DIR@/fixed || exit 2"]
  every   = "1s"
}
"#;

#[test]
fn a_fault_is_detected_cured_and_told() {
    let mut node = Node::new(&format!(
        "{WATCHED}\n{}",
        r#"
rule "fix" {
  on = check.works == "critical"
  act "exec" { command = ["/usr/bin/touch", "@DIR@/fixed"] }
}
"#
    ));
    node.start();
    node.until("cured", |node| (node.status("works") == "passing").then_some(()));
    let (code, text, _) = node.says(&["incidents", "i1"]);
    assert_eq!(code, 0);
    let told =
        ["incident opened for works", "fix started", "done: exit status 0", "incident of works closed"];
    let places: Vec<_> = told.iter().map(|part| text.find(part)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    let (code, text, _) = node.says(&["explain", "works"]);
    assert!(code == 0 && text.contains("works is passing") && text.contains("remedy fix"), "{text}");
}

#[test]
fn a_stop_is_graceful_and_the_history_is_there_at_the_next_start() {
    let mut node = Node::new(WATCHED);
    node.start();
    node.until("judged", |node| (node.status("works") == "critical").then_some(()));
    node.agent().signal(Signal::TERM).unwrap();
    let ended = node.agent().wait(LONG).unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    fs::write(node.path("fixed"), "").unwrap();
    node.start();
    node.until("healed", |node| (node.status("works") == "passing").then_some(()));
    let events = node.events();
    assert_eq!(events.matches("agent 0.1.0 started").count(), 2, "{events}");
    assert!(events.contains("agent stopped") && !events.contains("unclean"), "{events}");
    assert!(events.contains("incident of works closed"), "the incident of before the stop: {events}");
}

#[test]
fn an_answer_that_comes_while_the_agent_stops_is_recorded() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut node = Node::new(&format!(
        "{WATCHED}\n{}",
        r#"
rule "tell" {
  on = check.works == "critical"
  act "http" { url = "http://@SERVER@/" }
}
"#
        .replace("@SERVER@", &server.local_addr().unwrap().to_string())
    ));
    let path = node.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    node.start_in(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    let (mut asked, _) = server.accept().unwrap();
    let mut head = [0; 4_096];
    let count = asked.read(&mut head).unwrap();
    let head = String::from_utf8_lossy(head.get(..count).unwrap()).into_owned();
    let key = head.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).unwrap_or_default();
    assert!(key.starts_with("test.") && key.ends_with("/r1/act/1"), "{head}");
    node.agent().signal(Signal::TERM).unwrap();
    let mut told = [0; 1_024];
    while !told.starts_with(b"STOPPING=1") {
        told.fill(0);
        socket.recv(&mut told).unwrap();
    }
    // Long enough for all that does not wait for the answer to be gone.
    asked.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let waits = asked.read(&mut [0; 1]);
    assert!(waits.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{waits:?}");
    asked.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    let ended = node.agent().wait(LONG).unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    node.start();
    let (_, runs, _) = node.says(&["remedy", "show", "r1"]);
    assert!(runs.contains("done: status 200 OK") && !runs.contains("parked"), "{runs}");
}

#[test]
fn a_kill_is_called_an_unclean_stop() {
    let mut node = Node::new(WATCHED);
    node.start();
    node.until("judged", |node| (node.status("works") == "critical").then_some(()));
    node.kill();
    node.start();
    assert!(node.events().contains("started after an unclean stop"), "{}", node.events());
}

#[test]
fn a_reload_takes_up_what_changed_and_a_bad_one_changes_nothing() {
    let mut node = Node::new(WATCHED);
    node.start();
    node.until("judged", |node| (node.status("works") == "critical").then_some(()));
    node.configure(&format!("{WATCHED}\nwatch \"disk\" \"disks\" {{\n  every = \"1s\"\n}}\n"));
    node.agent().signal(Signal::HUP).unwrap();
    node.until("the new check", |node| (!node.status("disks").is_empty()).then_some(()));
    assert_eq!(node.status("works"), "critical", "what did not change keeps its state");
    node.configure("watch \"disk\" {}");
    node.agent().signal(Signal::HUP).unwrap();
    node.until("refused", |node| node.events().contains("configuration refused").then_some(()));
    assert!(!node.status("disks").is_empty(), "the old one stays in force");
}

#[test]
fn a_reload_that_would_need_a_restart_says_so_and_changes_nothing() {
    let mut node = Node::new(WATCHED);
    node.start();
    node.until("judged", |node| (node.status("works") == "critical").then_some(()));
    let text = node.text(&format!("{WATCHED}\nwatch \"disk\" \"disks\" {{}}\n"));
    let moved = text.replacen("node {", "node {\n  datacenter = \"dc2\"", 1);
    fs::write(node.config(), moved).unwrap();
    node.agent().signal(Signal::HUP).unwrap();
    let says = "node.datacenter can only change with a restart";
    node.until("refused", |node| node.events().contains(says).then_some(()));
    assert!(node.status("disks").is_empty(), "half of it is in force");
}

#[test]
fn the_service_manager_is_told_how_things_stand() {
    let mut node = Node::new(WATCHED);
    let path = node.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let mut told = String::new();
    let mut until_told = |what: &str| {
        while !told.lines().any(|line| line == what) {
            let mut part = [0; 1_024];
            let count = socket.recv(&mut part).unwrap_or_else(|error| panic!("no {what}: {error}; {told}"));
            told.push_str(std::str::from_utf8(part.get(..count).unwrap()).unwrap());
            told.push('\n');
        }
        told.clear();
    };
    node.start_in(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "2000000")]);
    until_told("READY=1");
    until_told("WATCHDOG=1");
    until_told("WATCHDOG=1");
    node.agent().signal(Signal::HUP).unwrap();
    until_told("RELOADING=1");
    until_told("READY=1");
    node.agent().signal(Signal::TERM).unwrap();
    until_told("STOPPING=1");
}

#[test]
fn a_loop_that_hangs_is_not_reported_alive() {
    let mut node = Node::new(WATCHED);
    let path = node.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    node.start_in(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")]);
    node.until("it answers", |node| (node.status("works") == "critical").then_some(()));
    node.agent().pause().unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut part = [0; 1_024];
    while socket.recv(&mut part).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    assert!(socket.recv(&mut part).is_err(), "a stopped process still says that it lives");
    socket.set_read_timeout(Some(LONG)).unwrap();
    node.agent().resume().unwrap();
    assert!(socket.recv(&mut part).is_ok());
}

#[test]
fn two_agents_do_not_share_a_state_directory() {
    let mut node = Node::new(WATCHED);
    node.start();
    let other = Node::new("");
    let text = fs::read_to_string(node.config()).unwrap();
    fs::write(other.config(), text.replace(&node.port.to_string(), &other.port.to_string())).unwrap();
    let mut command = program();
    command.arg("run").arg("--config").arg(other.config());
    let (code, _, err) = run(command);
    assert_eq!(code, 8, "{err}");
    let pid = node.agent().pid().to_string();
    assert!(err.contains("in use by process") && err.contains(&pid) && err.contains("help:"), "{err}");
}

#[test]
fn an_address_in_use_is_said_before_anything_else_is_done() {
    let mut node = Node::new(WATCHED);
    node.start();
    let (code, _, err) = {
        let mut command = program();
        command.arg("run").arg("--config").arg(node.config());
        run(command)
    };
    assert_eq!(code, 8, "{err}");
    assert!(err.contains("in use"), "{err}");
}

#[test]
fn a_listener_for_others_needs_a_token() {
    let node = Node::new("");
    let text = fs::read_to_string(node.config()).unwrap().replace("127.0.0.1", "0.0.0.0");
    fs::write(node.config(), text).unwrap();
    let mut command = program();
    command.arg("run").arg("--config").arg(node.config());
    let (code, _, err) = run(command);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("token"), "{err}");
}

#[test]
fn an_agent_whose_status_page_has_no_address_starts_says_so_and_takes_it_when_it_is_free() {
    let other = TcpListener::bind(("127.0.0.1", ports::free())).unwrap();
    let address = other.local_addr().unwrap();
    let page = format!(
        "status_page {{\n  address = \"{address}\"\n  group \"Works\" {{\n    checks = [check.works]\n  }}\n}}\n"
    );
    let mut node = Node::new(&format!("{WATCHED}\n{page}"));
    node.start();
    node.until("judged all the same", |node| (node.status("works") == "critical").then_some(()));
    let log = node.log();
    let said = log.lines().find(|line| line.contains("the status page is not shown yet")).unwrap_or(&log);
    assert!(said.contains(&address.to_string()) && said.contains("tried again every 10s"), "{said}");
    drop(other);
    let shown = |_: &mut Node| {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(LONG)).ok()?;
        write!(stream, "GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains("Works").then_some(answer)
    };
    let answer = node.until("it is shown", shown);
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
}
