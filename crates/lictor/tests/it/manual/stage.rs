//! A machine for one page: this one, with a loopback network, an `/etc`, a `/var` and a state of its own, so that the
//! page's paths and addresses can be taken as they are. What is typed is typed into a shell on it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use lictor_testkit::consul::{Datacenters, Server, binary};
use lictor_testkit::net::Net;
use lictor_testkit::process::Child;
use lictor_testkit::service::Service;
use lictor_testkit::wait;
use rustix::process::Signal;
use tempfile::TempDir;

use super::blocks::{Block, Turn};
use super::shown;
use crate::node::LONG;

/// How long what a page shows may take to be so.
const SEEN: Duration = Duration::from_secs(40);

/// Makes the machine: `$1` is the directory of the test, `$2` the program, `$3` Consul's.
const MACHINE: &str = r#"
set -eu
cd "$1"
mkdir -p bin etc home
touch bin/lictor bin/consul
mount --bind "$2" bin/lictor
mount --bind "$3" bin/consul
cp -a /etc/. etc
mount --bind etc /etc
for at in /var/backups /var/lib /var/log /run /opt /usr/local/bin /usr/local/sbin; do
    mount -t tmpfs -o mode=755 lictor-manual "$at"
done
mkdir -p /etc/lictor.d /etc/lictor /var/backups/consul /var/log/lictor /opt/consul
touch /opt/consul/consul
mount --bind bin/consul /opt/consul/consul
"#;

/// What takes the place of systemd: it notes what it was told, and does to the agent what the unit would have done.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "systemctl $*" >>"$HOME/told"
case "$*" in
"reload lictor") curl -fsS -X POST http://127.0.0.1:8510/-/reload >/dev/null ;;
"stop lictor")
    kill "$(cat "$HOME/agent")"
    # One that has ended and was not waited for has no program any more.
    while readlink "/proc/$(cat "$HOME/agent")/exe" >/dev/null; do sleep 0.1; done
    ;;
esac
"#;

/// What a text becomes, which is found out when it is typed.
type Value = fn(&mut Stage<'_>) -> String;

/// A machine, and all that runs on it.
pub(super) struct Stage<'a> {
    // What runs must be gone before its directory.
    agents: Vec<Child>,
    background: Vec<Child>,
    pub(super) world: World,
    environment: Vec<(String, String)>,
    /// What a text of the page is here.
    said: Vec<(String, String)>,
    // Of this block only.
    replaced: Vec<(String, Value)>,
    ways: Vec<(&'static str, Way)>,
    seen_late: bool,
    /// How many lines of it were typed.
    pub(super) turns: usize,
    net: &'a Net,
    dir: TempDir,
}

/// How something is typed that does not simply end well.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// At a terminal, at which this is answered.
    Answered(&'static str),
    /// It goes on until the block is over. It is there when this ends well.
    GoesOn(&'static str),
    /// It ends with this exit code.
    Ends(i32),
}

/// What a page has besides the machine.
#[derive(Default)]
pub(super) struct World {
    /// Several datacenters of Consul.
    pub(super) sites: Option<Datacenters>,
    /// One server of Consul.
    pub(super) consul: Option<Server>,
    /// Whatever answers over HTTP.
    pub(super) services: Vec<Service>,
}

impl<'a> Stage<'a> {
    /// A machine on the first host of a network; this thread is there.
    pub(super) fn new(net: &'a Net) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stage = Self {
            agents: Vec::new(),
            background: Vec::new(),
            world: World::default(),
            environment: vec![("TZ".to_owned(), "Europe/Berlin".to_owned())],
            replaced: Vec::new(),
            said: Vec::new(),
            ways: Vec::new(),
            turns: 0,
            seen_late: false,
            net,
            dir,
        };
        let mut command = net.command(0, Path::new("/bin/sh"));
        command.args(["-c", MACHINE, "machine"]).arg(stage.path(""));
        command.arg(env!("CARGO_BIN_EXE_lictor")).arg(binary());
        let output = command.output().unwrap();
        assert!(output.status.success(), "there is no machine: {output:?}");
        stage.stand_in("systemctl", SYSTEMCTL);
        fs::write(stage.path("cwd"), stage.path("home").to_str().unwrap()).unwrap();
        stage
    }

    /// A file of the test; `home` is where the page begins.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program that is not under test.
    pub(super) fn stand_in(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What stand-ins were told.
    pub(super) fn told(&self) -> String {
        fs::read_to_string(self.path("home/told")).unwrap_or_default()
    }

    pub(super) fn set(&mut self, name: &str, value: impl ToString) {
        self.environment.push((name.to_owned(), value.to_string()));
    }

    /// What the page has in the place of something that only this machine has.
    pub(super) fn replace(&mut self, text: &str, value: impl ToString) {
        self.said.retain(|(known, _)| known != text);
        self.said.push((text.to_owned(), value.to_string()));
    }

    /// The same where it is known only when it is typed.
    pub(super) fn replace_by(&mut self, text: &str, value: Value) {
        self.said.retain(|(known, _)| known != text);
        self.replaced.push((text.to_owned(), value));
    }

    /// What begins so is typed at a terminal, at which this is answered.
    pub(super) fn answers(&mut self, begins: &'static str, answer: &'static str) {
        self.ways.push((begins, Way::Answered(answer)));
    }

    /// What begins so goes on until the block is over; the next line is typed when `there` ends well.
    pub(super) fn goes_on(&mut self, begins: &'static str, there: &'static str) {
        self.ways.push((begins, Way::GoesOn(there)));
    }

    /// What begins so ends with this exit code, since something is wrong in the page's example.
    pub(super) fn ends(&mut self, begins: &'static str, code: i32) {
        self.ways.push((begins, Way::Ends(code)));
    }

    /// Everything in this block only looks: it is done again until it is as the page shows it.
    pub(super) fn looks(&mut self) {
        self.seen_late = true;
    }

    /// A shell on the machine.
    fn shell(&self, script: &str) -> Command {
        let mut command = self.net.command(0, Path::new("/bin/bash"));
        command.args(["-euo", "pipefail", "-c", script]).env_clear();
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path("bin").display());
        command.env("PATH", path).env("HOME", self.path("home")).env("COLUMNS", "200").env("USER", "ann");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Does something that is no part of the page and must end well; what it said.
    pub(super) fn does(&self, script: &str) -> String {
        let output = self.attempt(script);
        assert!(output.status.success(), "{script}: {}", self.about(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same again and again until it ends well.
    pub(super) fn until(&self, script: &str) -> String {
        let mut last = None;
        let done = wait::until(LONG, || {
            let output = self.attempt(script);
            let done = output.status.success().then(|| String::from_utf8(output.stdout.clone()).unwrap());
            last = Some(output);
            done
        });
        done.unwrap_or_else(|| panic!("{script}: {}", self.about(&last.unwrap())))
    }

    fn attempt(&self, script: &str) -> Output {
        let mut command = self.shell(&format!("cd \"$HOME\"\n{script}"));
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Writes a file of the machine.
    pub(super) fn write(&self, path: &str, text: &str) {
        fs::write(self.path("written"), text).unwrap();
        let from = self.path("written");
        self.does(&format!("mkdir -p \"$(dirname {path})\" && cp {} {path}", from.display()));
    }

    /// Starts an agent with this configuration and waits until it answers.
    pub(super) fn agent(&mut self, config: &str) {
        self.write("/etc/lictor.d/lictor.hcl", config);
        self.start("/etc/lictor.d");
        self.until("curl -fsS http://127.0.0.1:8510/-/ready");
    }

    /// Starts an agent.
    pub(super) fn start(&mut self, config: &str) {
        let command = self.shell(&format!("cd \"$HOME\"\nexec lictor run --config {config}"));
        let name = format!("agent-{}", self.agents.len());
        let agent = Child::spawn(&name, command, self.dir.path()).unwrap();
        fs::write(self.path("home/agent"), agent.pid().to_string()).unwrap();
        self.agents.push(agent);
    }

    /// Kills the agent that was started last.
    pub(super) fn kill(&mut self) {
        drop(self.agents.pop());
    }

    /// Ends all agents in order.
    pub(super) fn stop(&mut self) {
        for mut agent in self.agents.drain(..) {
            agent.signal(Signal::TERM).ok();
            assert!(agent.wait(LONG).unwrap().is_some(), "{}", agent.log_tail());
        }
    }

    /// Types all of a block.
    pub(super) fn types(&mut self, page: &str, block: &Block) {
        for turn in &block.turns {
            let at = format!("{page}, the block at line {}: {}", block.line, turn.typed);
            self.takes_turn(&at, turn);
            self.turns += 1;
        }
        self.background.clear();
        self.ways.clear();
        self.replaced.clear();
        self.turns = 0;
        self.seen_late = false;
    }

    fn takes_turn(&mut self, at: &str, turn: &Turn) {
        for (text, value) in self.replaced.clone() {
            if turn.typed.contains(&text) {
                let value = value(self);
                self.replace(&text, value);
            }
        }
        let here =
            |text: &str| self.said.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        let (typed, wanted) = (here(&turn.typed), here(&turn.shown));
        let begins = |(begins, _): &&(&str, Way)| turn.typed.starts_with(begins);
        let way = self.ways.iter().find(begins).map_or(Way::Ends(0), |(_, way)| *way);
        if let Way::GoesOn(there) = way {
            self.goes(&typed);
            self.until_shown(at, &wanted, there);
            return;
        }
        let mut last = String::new();
        let within = if self.seen_late { SEEN } else { Duration::ZERO };
        let done = wait::until(within, || {
            let output = self.typed(&typed, way);
            let code = if let Way::Ends(code) = way { code } else { 0 };
            let differs = match output.status.code() {
                Some(ended) if ended == code => {
                    let came = String::from_utf8_lossy(&output.stdout).replace('\r', "");
                    if wanted.is_empty() { None } else { shown::difference(&wanted, &came) }
                }
                _ => Some(format!("it does not end with {code}")),
            };
            last = format!("{}\n{}", differs.clone().unwrap_or_default(), self.about(&output));
            differs.is_none().then_some(())
        });
        assert!(done.is_some(), "{at}\n{last}");
    }

    /// What is typed, as it ended; all that it says comes in the order in which a terminal has it. The next one is typed
    /// where this one has gone.
    fn typed(&self, typed: &str, way: Way) -> Output {
        let turn = self.path("turn");
        let cwd = self.path("cwd");
        let (turn, cwd) = (turn.display(), cwd.display());
        fs::write(
            self.path("turn"),
            format!("set -euo pipefail\nexec 2>&1\ncd \"$(cat {cwd})\"\n{typed}\npwd >{cwd}\n"),
        )
        .unwrap();
        let Way::Answered(answer) = way else {
            let mut command = self.shell(&format!("exec timeout --foreground 60 bash {turn}"));
            return command.stdin(Stdio::null()).output().unwrap();
        };
        let mut command = self.shell(&format!(
            "exec timeout --foreground 60 script --quiet --return --command 'bash {turn}' /dev/null"
        ));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut typing = child.stdin.take().unwrap();
        typing.write_all(answer.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        // The end of what is typed would end the terminal before.
        drop(typing);
        output
    }

    fn goes(&mut self, typed: &str) {
        // The shell becomes it, so that it can be ended.
        let command = self.shell(&format!("cd \"$(cat {})\"\nexec {typed}", self.path("cwd").display()));
        let name = format!("goes-on-{}", self.background.len());
        drop(fs::remove_file(self.path(&format!("{name}.log"))));
        self.background.push(Child::spawn(&name, command, self.dir.path()).unwrap());
    }

    fn until_shown(&self, at: &str, wanted: &str, there: &str) {
        let child = self.background.last().unwrap();
        let mut differs = None;
        let came = wait::until(SEEN, || {
            let is_there = self.attempt(there).status.success();
            let said = fs::read_to_string(child.log()).unwrap();
            differs = if wanted.is_empty() { None } else { shown::difference(wanted, &said) };
            (is_there && differs.is_none()).then_some(())
        });
        assert!(came.is_some(), "{at}\n{differs:?}\n{}", child.log_tail());
    }

    /// What was said, and by the agents.
    fn about(&self, output: &Output) -> String {
        let agents: String = self.agents.iter().map(Child::log_tail).collect();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        format!("{}\n{out}\n{err}\n{agents}", output.status)
    }
}
