//! Alerts as a person meets them: the program, a check that fails, one notifier that works and one
//! whose service is down.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lictor_testkit::service::{Answer, Service};
use serde_json::Value;

use crate::node::Node;

const BLOCKS: &str = r#"
watch "exec" "disk" {
  command = ["/bin/sh", "-c", "test -e @DIR@/full && echo '95 % used' && exit 2; echo fine"]
  every   = "1s"
  timeout = "1s"
}
watch "exec" "swap" {
  command = ["/bin/sh", "-c", "test -e @DIR@/swapping && exit 1; exit 0"]
  every   = "1s"
  timeout = "1s"
}

notify "log" "file" {
  path = "@DIR@/told.log"
}
notify "http" "hook" {
  url         = "@HOOK@/told"
  backoff     = "1h"
  backoff_max = "1h"
}
"#;

/// A node with those notifiers; the hook is down until `up`.
struct Rig {
    node: Node,
    hook: Service,
    up: Arc<AtomicBool>,
}

impl Rig {
    fn start() -> Self {
        let up = Arc::new(AtomicBool::new(false));
        let works = Arc::clone(&up);
        let hook = Service::start(move |_call| {
            if works.load(Ordering::Relaxed) {
                Answer::new(200, "{}")
            } else {
                Answer::new(503, "down for repairs")
            }
        });
        let mut node = Node::new(&BLOCKS.replace("@HOOK@", &hook.url()));
        node.start();
        node.until("both checks pass", |node| {
            (node.status("disk") == "passing" && node.status("swap") == "passing").then_some(())
        });
        Self { node, hook, up }
    }

    /// What the agent says to this, in words; it must work.
    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let (code, out, err) = self.node.says(args);
        assert_eq!(code, 0, "{args:?}: {out}{err}\n{}", self.node.log());
        format!("{out}{err}")
    }

    /// How a refused command ended, and what it said.
    #[track_caller]
    fn refused(&self, args: &[&str]) -> (i32, String) {
        let (code, out, err) = self.node.says(args);
        assert!(code != 0 && out.is_empty(), "{args:?}: {out}");
        (code, err)
    }

    /// The alert of a check, if there is one.
    fn alert(&self, check: &str) -> Option<Value> {
        let all = self.node.ask(&["alerts", "--format", "json", &format!("check={check}")]).ok()?;
        all["alerts"].as_array()?.first().cloned()
    }

    fn queue(&self) -> Vec<Value> {
        let all = self.node.ask(&["alerts", "queue", "--format", "json"]).unwrap_or_default();
        all["queue"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until so many lines of the file have this text.
    fn told(&mut self, text: &str, times: usize) {
        self.node.until(&format!("{text} is told {times} times"), |node| {
            let told = node.read("told.log");
            (told.lines().filter(|line| line.contains(text)).count() == times).then_some(())
        });
    }

    /// Waits until the message of the hook waits after its first attempt, and nothing else does.
    fn stuck(&mut self) -> Value {
        let (hook, mut found) = (&self.hook, None);
        self.node.until("a message waits", |node| {
            let all = node.ask(&["alerts", "queue", "--format", "json"]).ok()?;
            let [first] = all["queue"].as_array()?.as_slice() else { return None };
            let waits = first["notifier"] == "hook" && first["attempts"] == 1 && first["state"] == "waiting";
            found = waits.then(|| first.clone());
            found.is_some().then_some(())
        });
        assert!(!hook.calls().is_empty());
        found.unwrap()
    }
}

/// What the agent shows there.
pub(crate) fn read(node: &Node, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", node.port)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[test]
fn a_person_sees_silences_and_acknowledges_what_is_wrong() {
    let mut rig = Rig::start();
    assert!(rig.done(&["alerts"]).contains("nothing is wrong"));
    assert!(rig.done(&["silence", "list"]).contains("no silence is in force"));

    // Nobody is told of what is silenced, and it is shown.
    let made = rig.done(&[
        "silence",
        "add",
        "check=swap",
        "node=/^te/",
        "--for",
        "2h",
        "--by",
        "ada",
        "--comment",
        "new swap",
    ]);
    assert!(
        made.contains("silence s1: check=swap, node=/^te/ for 2h") && made.contains("it fits nothing"),
        "{made}"
    );
    fs::write(rig.node.path("swapping"), "").unwrap();
    fs::write(rig.node.path("full"), "").unwrap();
    rig.told("disk on test", 1);
    let shown = rig.node.until("both are listed", |node| {
        let (_, out, _) = node.says(&["alerts"]);
        // That the file was told is known a moment after it is in it.
        let told = |line: &str| line.contains("own/test/disk") && line.contains("file");
        (out.lines().any(told) && out.contains("own/test/swap")).then_some(out)
    });
    let line = |check: &str| shown.lines().find(|line| line.contains(check)).unwrap_or_default().to_owned();
    assert!(line("own/test/disk").contains("critical"), "{shown}");
    assert!(line("own/test/disk").contains("95 % used"), "{shown}");
    assert!(
        line("own/test/swap").contains("nobody") && line("own/test/swap").contains("muted: silence s1"),
        "{shown}"
    );
    assert!(!rig.node.read("told.log").contains("swap"));
    let silences = rig.done(&["silence", "list"]);
    assert!(
        silences.contains("check=swap and node=/^te/")
            && silences.contains("ada")
            && silences.contains("new swap"),
        "{silences}"
    );

    let said =
        rig.done(&["alerts", "ack", "disk", "--for", "2h", "--by", "grace", "--comment", "ordering disks"]);
    assert!(said.contains("disk on test: grace looks after it"), "{said}");
    assert!(rig.done(&["alerts", "list", "check=disk"]).contains("grace looks after it"));
    assert!(rig.done(&["alerts", "--status", "warning"]).contains("own/test/swap"));

    // What ends is told when it is still wrong.
    assert!(rig.done(&["silence", "end", "s1"]).contains("silence s1 is over"));
    rig.told("swap on test", 1);
    let page = read(&rig.node, "/");
    for part in ["<b>disk on test</b>", "grace looks after it", "Waiting to be told"] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let metrics = rig.node.until("both messages are counted", |node| {
        let metrics = read(node, "/metrics");
        metrics
            .contains("lictor_alert_deliveries_total{notifier=\"file\",result=\"accepted\"} 2")
            .then_some(metrics)
    });
    assert!(metrics.contains("\nlictor_alerts{status=\"critical\"} 1\n"), "{metrics}");

    for (args, code, says) in [
        (&["silence", "add", "check", "--for", "1h"][..], 2, "write LABEL=VALUE"),
        (&["silence", "add", "check=~x", "--for", "1h"], 2, "`check=/PATTERN/`"),
        (&["silence", "add", "check=x", "--for", "soon"], 2, "not a duration"),
        (&["silence", "add", "check=x"], 2, "--for"),
        (&["silence", "end", "s1"], 5, "`lictor silence list` shows them"),
        (&["alerts", "ack", "nothing"], 5, "`lictor alerts` lists what is wrong"),
        (&["alerts", "retry"], 2, "MESSAGE"),
        (&["alerts", "retry", "d7", "--all"], 2, "cannot be used with"),
        (&["alerts", "drop", "d999"], 5, "`lictor alerts queue` shows what waits"),
        (&["alerts", "drop", "--notifier", "hok"], 5, "there are file, hook"),
        (&["alerts", "forget", "n2"], 6, "this node shares its alerts with no other"),
        (&["alerts", "--status", "bad"], 2, "possible values"),
        (&["alerts", "quue"], 2, "neither a command"),
        (&["alerts", "check=~x"], 2, "`check=/PATTERN/`"),
    ] {
        let (ended, said) = rig.refused(args);
        assert!(ended == code && said.contains(says), "{args:?}: {ended}: {said}");
    }
}

#[test]
fn what_waits_outlives_a_kill_and_is_tried_again_or_given_up() {
    let mut rig = Rig::start();
    fs::write(rig.node.path("full"), "").unwrap();
    rig.told("disk on test", 1);
    let first = rig.stuck();
    assert!(first["error"].as_str().unwrap().contains("503"), "{first}");
    let shown = rig.done(&["alerts", "queue"]);
    assert!(
        shown.contains("disk on test is critical") && shown.contains("503") && shown.contains("in 59m"),
        "{shown}"
    );
    assert!(rig.done(&["silence", "add", "check=swap", "--for", "1d"]).contains("silence s1"));
    assert!(rig.done(&["alerts", "ack", "own/test/disk"]).contains("looks after it"));

    rig.node.kill();
    rig.node.start();
    let kept = rig.queue();
    assert_eq!(
        (kept.len(), &kept[0]["delivery"], &kept[0]["attempts"]),
        (1, &first["delivery"], &first["attempts"])
    );
    assert_eq!(rig.node.ask(&["silence", "list", "--format", "json"]).unwrap()["silences"][0]["id"], "s1");
    let disk = rig.node.until("the alert is known again", |node| {
        let all = node.ask(&["alerts", "--format", "json", "check=disk"]).ok()?;
        all["alerts"].as_array()?.first().cloned()
    });
    assert!(disk["acknowledged"].is_object(), "{disk}");
    assert_eq!(disk["told"][0]["notifier"], "file");
    let said = rig.done(&["alerts", "unack", "disk", "--by", "linus"]);
    assert!(said.contains("disk on test: nobody looks after it any more"), "{said}");

    // Still down: it waits again. Then it works.
    let id = first["delivery"].as_str().unwrap().to_owned();
    assert!(rig.done(&["alerts", "retry", &id, "--by", "ada"]).contains("1 delivery tried again"));
    rig.node.until("it was tried a second time", |node| {
        let all = node.ask(&["alerts", "queue", "--format", "json"]).ok()?;
        let first = all["queue"].as_array()?.first()?.clone();
        (first["attempts"] == 2 && first["state"] == "waiting").then_some(())
    });
    rig.up.store(true, Ordering::Relaxed);
    assert!(rig.done(&["alerts", "retry", "--notifier", "hook"]).contains("1 delivery tried again"));
    rig.node.until("the queue is empty", |node| {
        let all = node.ask(&["alerts", "queue", "--format", "json"]).ok()?;
        all["queue"].as_array()?.is_empty().then_some(())
    });
    assert_eq!(rig.hook.calls().len(), 3);
    let ledger = rig.done(&["events", "--limit", "1000"]);
    for said in ["1 delivery tried again by ada", "nobody looks after disk on test any more, says linus"] {
        assert!(ledger.contains(said), "{said}: {ledger}");
    }
    let told = rig.node.read("told.log");
    assert_eq!(
        told.lines().filter(|line| line.contains("disk on test")).count(),
        1,
        "the file was told once: {told}"
    );

    // What is given up is not told; that it is over is.
    rig.up.store(false, Ordering::Relaxed);
    fs::remove_file(rig.node.path("full")).unwrap();
    rig.told("disk on test", 2);
    rig.stuck();
    assert!(rig.done(&["alerts", "drop", "--all"]).contains("1 delivery given up"));
    assert!(rig.done(&["alerts", "queue"]).contains("nothing waits"));
    rig.node.until("nothing is left of it", |node| {
        let all = node.ask(&["alerts", "--format", "json", "check=disk"]).ok()?;
        all["alerts"].as_array()?.is_empty().then_some(())
    });
    assert!(rig.alert("disk").is_none());
}
