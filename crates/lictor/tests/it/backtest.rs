//! The past, played through a configuration.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lictor_testkit::journal::{Entry, Writer};
use lictor_testkit::prometheus::Prometheus;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::{program, run};

/// 2026-11-14T12:00:00Z, microseconds.
const NOON: u64 = 1_794_657_600_000_000;

const JOURNAL: &str = r#"
watch "journal" "electrs" {
  unit = "electrs"
  match "synced" {
    contains = "finished full compaction"
  }
  match "lost" {
    regex    = "no reply from (?P<who>[a-z]+)"
    at_least = 3
    within   = "1m"
  }
}
rule "restart" {
  on       = match.electrs.synced
  target   = "electrs.service"
  cooldown = "30s"
  act "exec" {
    command = ["systemctl", "restart", "electrs"]
  }
}
rule "lost" {
  on       = match.electrs.lost
  target   = "electrs.service"
  cooldown = "30s"
  act "exec" {
    command = ["tell", capture.who]
  }
}
"#;

struct Play {
    dir: TempDir,
}

impl Play {
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("lictor.hcl"), config.replace("@DIR@", &dir.path().display().to_string()))
            .unwrap();
        Self { dir }
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.arg("backtest").arg("--config").arg(self.dir.path().join("lictor.hcl"));
        command.args(args).current_dir(self.dir.path());
        command
    }

    /// What it says as JSON.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let (code, out, err) = run(self.command(&[args, &["--format", "json"]].concat()));
        assert_eq!(code, 0, "{err}");
        serde_json::from_str(&out).unwrap()
    }

    /// The message of a failure.
    #[track_caller]
    fn refused(&self, args: &[&str]) -> (i32, String) {
        let (code, out, err) = run(self.command(args));
        assert_eq!(out, "", "{err}");
        (code, err)
    }
}

/// What one rule did.
fn rule<'a>(played: &'a Value, name: &str) -> &'a Value {
    played["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == name).unwrap()
}

fn at(seconds: u64, unit: &str, message: &str) -> Entry {
    Entry::new(NOON + seconds * 1_000_000, message).unit(unit)
}

/// Two hours of two units.
fn entries() -> Vec<Entry> {
    vec![
        at(0, "electrs.service", "starting"),
        at(10, "electrs.service", "finished full compaction"),
        // Another unit says the same.
        at(20, "bitcoind.service", "finished full compaction"),
        at(39, "electrs.service", "finished full compaction"),
        at(60, "electrs.service", "no reply from daemon"),
        at(90, "electrs.service", "no reply from daemon"),
        at(121, "electrs.service", "no reply from daemon"),
        at(125, "electrs.service", "no reply from bitcoind"),
        at(7_200, "electrs.service", "finished full compaction"),
    ]
}

fn exported() -> Vec<u8> {
    entries().iter().flat_map(Entry::export).collect()
}

/// What must come of them, however they are handed in.
#[track_caller]
fn is_right(played: &Value) {
    let restart = rule(played, "restart");
    assert_eq!((&restart["fired"], &restart["ran"], &restart["done"]), (&json!(3), &json!(2), &json!(2)));
    assert_eq!(restart["held_back"], json!({ "cooldown": 1 }));
    assert_eq!(restart["first"], "2026-11-14T12:00:10Z");
    assert_eq!(restart["last"], "2026-11-14T14:00:00Z");
    // Three within a minute there were only at the end.
    assert_eq!(
        (&rule(played, "lost")["ran"], &rule(played, "lost")["first"]),
        (&json!(1), &json!("2026-11-14T12:02:05Z"))
    );
    assert_eq!(
        (&played["from"], &played["to"]),
        (&json!("2026-11-14T12:00:00Z"), &json!("2026-11-14T14:00:00Z"))
    );
    let watcher = &played["watchers"][0];
    assert_eq!((&watcher["name"], &watcher["lines"]), (&json!("electrs"), &json!(8)));
    assert_eq!(watcher["patterns"], json!({ "synced": 3, "lost": 4 }));
    assert_eq!(played["notes"], json!([]));
}

#[test]
fn an_exported_journal_says_what_would_have_happened() {
    let play = Play::new(JOURNAL);
    play.file("j.export", exported());
    is_right(&play.json(&["j.export"]));
}

#[test]
fn it_may_be_compressed_or_come_through_a_pipe() {
    let play = Play::new(JOURNAL);
    play.file("j.export", exported());
    assert!(Command::new("gzip").arg("-k").arg(play.dir.path().join("j.export")).status().unwrap().success());
    is_right(&play.json(&["j.export.gz"]));
    let mut command = play.command(&["-", "--format", "json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&exported()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    is_right(&serde_json::from_slice(&output.stdout).unwrap());
}

#[test]
fn files_of_a_journal_are_read_by_journalctl() {
    let play = Play::new(JOURNAL);
    let dir = play.dir.path().join("00112233445566778899aabbccddeeff");
    fs::create_dir(&dir).unwrap();
    let mut writer = Writer::open(&dir.join("remote.journal"));
    writer.write(&entries());
    writer.close();
    is_right(&play.json(&[&dir.join("remote.journal").display().to_string()]));
    is_right(&play.json(&[&dir.display().to_string()]));
    is_right(&play.json(&[&play.dir.path().display().to_string()]));
    // The same as JSON, as journalctl writes it.
    let mut journalctl = Command::new("journalctl");
    journalctl.arg(format!("--directory={}", dir.display())).args(["--output=json", "--no-pager"]);
    let output = journalctl.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    play.file("j.json", output.stdout);
    is_right(&play.json(&["j.json"]));
    let later = play.json(&[&dir.display().to_string(), "--from", "2026-11-14T12:01:00Z"]);
    assert_eq!(
        (&rule(&later, "restart")["ran"], &later["from"]),
        (&json!(1), &json!("2026-11-14T12:01:00Z"))
    );
}

#[test]
fn only_a_part_of_the_time_is_played() {
    let play = Play::new(JOURNAL);
    play.file("j.export", exported());
    let played = play.json(&["j.export", "--from", "2026-11-14T12:00:30Z", "--to", "2026-11-14 13:00"]);
    assert_eq!(rule(&played, "restart")["ran"], 1);
    assert_eq!(rule(&played, "restart")["first"], "2026-11-14T12:00:39Z");
    assert_eq!(played["to"], "2026-11-14T13:00:00Z");
}

#[test]
fn what_is_half_written_or_no_record_is_left_out_and_told() {
    let play = Play::new(JOURNAL);
    let whole = exported();
    let mut broken = whole.clone();
    broken.extend_from_slice(b"this is no field\n\n__REALTIME_TIMESTAMP=1794668400000000\nMESSAGE=fini");
    play.file("broken.export", &broken);
    let played = play.json(&["broken.export"]);
    assert_eq!(rule(&played, "restart")["ran"], 2);
    let notes = played["notes"].to_string();
    assert!(notes.contains("1 record made no sense") && notes.contains("ends amid a record"), "{notes}");
    // Cut anywhere, it is read as far as it goes.
    play.file("j.export", &whole);
    assert!(Command::new("gzip").arg("-k").arg(play.dir.path().join("j.export")).status().unwrap().success());
    let packed = fs::read(play.dir.path().join("j.export.gz")).unwrap();
    play.file("cut.gz", &packed[..packed.len() / 2]);
    assert!(play.json(&["cut.gz"])["notes"].to_string().contains("cut.gz"));
    for empty in ["", "\n\n"] {
        play.file("empty", empty);
        let played = play.json(&["empty"]);
        assert_eq!((&played["notes"], &played["from"]), (&json!(["empty is empty"]), &Value::Null));
    }
}

#[test]
fn what_cannot_be_played_is_refused_with_a_way_out() {
    let play = Play::new(JOURNAL);
    let (code, err) = play.refused(&[]);
    assert!(code == 2 && err.contains("nothing to play"), "{err}");
    let (code, err) = play.refused(&["gone.export"]);
    assert!(code == 1 && err.contains("cannot read `gone.export`"), "{err}");
    play.file("noise", [0_u8, 7, 0, 255, 3].repeat(1_000));
    assert!(play.refused(&["noise"]).1.contains("neither a journal nor a log"));
    play.file("x.zst", b"\x28\xb5\x2f\xfd....");
    assert!(play.refused(&["x.zst"]).1.contains("zstdcat"));
    play.file("app.log", "2026-11-14T12:00:00Z finished full compaction\n");
    let err = play.refused(&["app.log"]).1;
    assert!(
        err.contains("no watcher of the configuration reads it") && err.contains("--as WATCHER"),
        "{err}"
    );
    assert!(play.refused(&["app.log", "--as", "elektrs"]).1.contains("those that do: `electrs`"));
    fs::create_dir(play.dir.path().join("logs")).unwrap();
    assert!(play.refused(&["logs"]).1.contains("holds no journal"));
    assert!(play.refused(&["app.log", "--from", "soon"]).1.contains("is not a time"));
    assert!(play.refused(&["app.log", "--fail", "x"]).1.contains("no rule, remedy or step is named `x`"));
    assert!(play.refused(&["app.log", "--assume", "check.x=passing"]).1.contains("no watcher is named `x`"));
    assert!(play.refused(&["--prometheus", "http://127.0.0.1:1"]).1.contains("--from"));
    let huge = [b"__REALTIME_TIMESTAMP=1\nMESSAGE\n".to_vec(), vec![0xff; 64]].concat();
    play.file("huge.export", huge);
    assert!(play.refused(&["huge.export"]).1.contains("no export of a journal"));
}

#[test]
fn the_lines_of_a_log_go_to_the_watcher_that_reads_it_also_when_it_was_rotated() {
    let play = Play::new(
        r#"
watch "file" "app" {
  path = "@DIR@/app*.log"
  multiline {
    continue = "^ "
  }
  match "oom" {
    contains = "OutOfMemoryError"
  }
}
rule "oom" {
  on       = match.app.oom
  cooldown = "1h"
  act "exec" {
    command = ["x"]
  }
}
"#,
    );
    play.file(
        "app.log",
        "2026-11-14 12:00:00 ERROR failed\n  caused by OutOfMemoryError\n2026-11-14 12:30:00 fine\n",
    );
    play.file("app.log.1", "2026-11-14 10:00:00 ERROR failed\n  caused by OutOfMemoryError\n");
    assert!(Command::new("gzip").arg(play.dir.path().join("app.log.1")).status().unwrap().success());
    let here = play.dir.path().display().to_string();
    let played = play.json(&[&format!("{here}/app.log"), &format!("{here}/app.log.1.gz")]);
    let oom = rule(&played, "oom");
    // Each a second after its last line, as when it is followed.
    assert_eq!(
        (&oom["ran"], &oom["first"], &oom["last"]),
        (&json!(2), &json!("2026-11-14T10:00:01Z"), &json!("2026-11-14T12:00:01Z"))
    );
    assert_eq!(played["watchers"][0]["lines"], 3);
}

#[test]
fn any_watcher_can_be_given_the_lines_of_a_log() {
    let play = Play::new(JOURNAL);
    let mut log = String::new();
    for minute in 0..10 {
        writeln!(log, "Nov 14 12:{minute:02}:00 box electrs[7]: finished full compaction").unwrap();
    }
    play.file("syslog", &log);
    let played = play.json(&["syslog", "--as", "electrs"]);
    assert_eq!(rule(&played, "restart")["ran"], 10);
    assert_eq!(rule(&play.json(&["electrs=syslog"]), "restart")["ran"], 10);
    // Without times they come at a rate.
    play.file("plain.log", "finished full compaction\n".repeat(100));
    let played = play.json(&["plain.log", "--as", "electrs", "--from", "2026-11-14T12:00:00Z"]);
    assert_eq!(rule(&played, "restart")["ran"], 4);
    assert!(played["notes"].to_string().contains("do not say when they were written"));
    let faster =
        play.json(&["plain.log", "--as", "electrs", "--at-rate", "10", "--from", "2026-11-14T12:00:00Z"]);
    assert_eq!((&rule(&faster, "restart")["ran"], &faster["notes"]), (&json!(1), &json!([])));
}

#[test]
fn several_sources_are_played_in_the_order_of_their_times() {
    let play = Play::new(JOURNAL);
    let (first, second): (Vec<_>, Vec<_>) =
        entries().into_iter().enumerate().partition(|(number, _)| number % 2 == 0);
    let bytes = |entries: Vec<(usize, Entry)>| {
        entries.iter().flat_map(|(_, entry)| entry.export()).collect::<Vec<u8>>()
    };
    play.file("a.export", bytes(first));
    play.file("b.export", bytes(second));
    is_right(&play.json(&["b.export", "a.export"]));
}

#[test]
fn actions_take_their_time_and_fail_when_they_are_to() {
    let play = Play::new(JOURNAL);
    play.file("j.export", exported());
    let failing = play.json(&["j.export", "--fail", "restart"]);
    let restart = rule(&failing, "restart");
    // Failing ones are held back all the same.
    assert_eq!(
        (&restart["ran"], &restart["failed"], &restart["ended_badly"]),
        (&json!(2), &json!(2), &json!(2))
    );
    let slow = play.json(&["j.export", "--action-takes", "25s"]);
    assert_eq!(rule(&slow, "restart")["done"], 2);
    let busy = play.json(&["j.export", "--action-takes", "2h"]);
    // No action takes longer than its time limit; what became of it nobody knows then.
    let restart = rule(&busy, "restart");
    assert_eq!((&restart["parked"], &restart["held_back"]), (&json!(1), &json!({ "busy": 2 })));
}

#[test]
fn a_guard_that_nothing_is_known_of_can_be_assumed() {
    let config = JOURNAL.replace("on       = match.electrs.synced", "on       = match.electrs.synced\n  guard    = check.web == \"passing\" && value.web.total_seconds < 1");
    let play =
        Play::new(&format!("{config}\nwatch \"http\" \"web\" {{\n  url = \"http://127.0.0.1/\"\n}}\n"));
    play.file("j.export", exported());
    let dark = play.json(&["j.export"]);
    assert_eq!(rule(&dark, "restart")["held_back"], json!({ "guard": 3 }));
    assert!(
        dark["notes"].to_string().contains("the guard of `restart` cannot be told without `web`"),
        "{dark}"
    );
    let told =
        play.json(&["j.export", "--assume", "check.web=passing", "--assume", "value.web.total_seconds=0.5"]);
    assert_eq!((&rule(&told, "restart")["ran"], &told["notes"]), (&json!(2), &json!([])));
    let slow = play.json(&["j.export", "--assume", "value.web.total_seconds=5"]);
    assert_eq!(rule(&slow, "restart")["ran"], 0);
}

#[test]
fn a_prometheus_tells_what_its_watchers_would_have_seen() {
    let now = jiff::Timestamp::now().as_second();
    let begin = now - now % 60 - 7_200;
    let mut past = "# TYPE bitcoin_ibd gauge\n".to_owned();
    for minute in 0..60 {
        // It has 1, then nothing for ten minutes, then 0.
        if !(30..40).contains(&minute) {
            writeln!(past, "bitcoin_ibd {} {}", u8::from(minute < 30), begin + minute * 60).unwrap();
        }
    }
    past.push_str("# EOF\n");
    let prometheus = Prometheus::with_past(&past);
    let play = Play::new(
        r#"
watch "prometheus" "ibd" {
  url   = "http://127.0.0.1:1"
  query = "bitcoin_ibd"
}
rule "over" {
  on = changed(value.ibd.value, 1, 0)
  act "exec" {
    command = ["x"]
  }
}
rule "blind" {
  on = no_data(check.ibd)
  act "exec" {
    command = ["x"]
  }
}
"#,
    );
    let time = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap().to_string();
    let url = format!("http://{}", prometheus.address());
    let (from, to) = (time(begin), time(begin + 3_600));
    let played = play.json(&["--prometheus", &url, "--step", "15s", "--from", &from, "--to", &to]);
    let over = rule(&played, "over");
    assert_eq!((&over["ran"], &over["first"]), (&json!(1), &json!(time(begin + 2_400))));
    // A sample counts for five minutes: then there is no data.
    let blind = rule(&played, "blind");
    let first: jiff::Timestamp = blind["first"].as_str().unwrap().parse().unwrap();
    assert!((29 * 60 + 300..29 * 60 + 330).contains(&(first.as_second() - begin)), "{blind}");
    assert_eq!(played["sources"][0]["count"], 241);
    let (code, err) = play.refused(&["--prometheus", "configured", "--from", &from, "--to", &to]);
    assert!(code == 1 && err.contains("is not reached"), "{err}");
}

#[test]
fn what_happens_is_shown_in_order_if_that_is_wanted() {
    let play = Play::new(JOURNAL);
    play.file("j.export", exported());
    let (code, out, err) = run(play.command(&["j.export", "--events"]));
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("2026-11-14 12:00:10  restart on electrs.service started: electrs matched synced"),
        "{out}"
    );
    assert!(out.contains("restart on electrs.service held back: it is cooling down"), "{out}");
    let table: Vec<_> = out.lines().filter(|line| line.starts_with("restart ")).collect();
    assert!(table[0].contains("1 (cooldown 1)"), "{out}");
    assert!(err.contains("played 9 records from 2026-11-14 12:00:00 to 2026-11-14 14:00:00 (2h)"), "{err}");
    let (_, out, _) = run(play.command(&["j.export", "--events", "--format", "json"]));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines.iter().any(|event| event["kind"] == "run_started" && event["at"] == "2026-11-14T12:00:10Z")
    );
    is_right(lines.last().unwrap());
}

#[test]
fn the_examples_guide_is_played_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let play = Play::new("");
    play.file("j.export", exported());
    let mut command = program();
    command
        .arg("backtest")
        .arg("--config")
        .arg(root.join("examples/bitbox.hcl"))
        .current_dir(play.dir.path());
    let (code, out, err) = run({
        command.args(["j.export", "--format", "json"]);
        command
    });
    assert_eq!(code, 0, "{err}");
    let played: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(rule(&played, "electrs-synced")["ran"], 2);
    assert!(played["notes"].to_string().contains("`ibd-begins` cannot start"), "{}", played["notes"]);
}
