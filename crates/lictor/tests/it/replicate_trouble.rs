//! Keys are copied by the program itself, and it is killed, the line between the datacenters is cut, the disk of the
//! destination is full.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lictor_testkit::consul::{Datacenters, Server, Site, binary};
use lictor_testkit::net::{Loss, Net, v4};
use lictor_testkit::process::Child;
use lictor_testkit::wait;
use serde_json::Value;
use tempfile::TempDir;

use crate::flaky::Dice;
use crate::full_disk::{Mount, fill};
use crate::keys::Keys;
use crate::node::{LONG, Node};

/// Keys and values below a prefix, without it.
type Below = BTreeMap<String, String>;

/// Rounds of what goes by chance; more of them in the long suite.
fn rounds(usually: u64) -> u64 {
    std::env::var("LICTOR_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usually)
}

fn seed() -> u64 {
    std::env::var("LICTOR_SEED").ok().map_or(1, |seed| seed.parse().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "something is to happen at any moment, and not upon an event")]
fn moment(pause: Duration) {
    std::thread::sleep(pause);
}

fn blocks(server: &Server) -> String {
    let address = server.http_address();
    format!(
        "consul {{\n  address = \"{address}\"\n}}\nreplicate \"config\" {{\n  prefixes = [\"global/@dc1:copy/\"]\n  \
         delete = true\n  confirm = \"1s\"\n}}\n"
    )
}

fn below(server: &Server, prefix: &str) -> Below {
    let (status, body) = server.get(&format!("/v1/kv/{prefix}?recurse&consistent")).unwrap_or_default();
    if status != 200 {
        return Below::new();
    }
    // One that dies answers with a part.
    serde_json::from_str(&body).map(|all| pairs(&all, prefix, "Key", "Value")).unwrap_or_default()
}

fn pairs(all: &Value, prefix: &str, key: &str, value: &str) -> Below {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let pair = |row: &Value| {
        let name = text(row, key);
        (name.strip_prefix(prefix).unwrap().to_owned(), text(row, value))
    };
    all.as_array().unwrap().iter().map(pair).collect()
}

#[test]
fn killed_again_and_again_it_ends_with_the_keys_of_the_source() {
    let sites = Datacenters::start(&["dc1", "dc2"]);
    let (source, there) = (Keys(sites.server(0)), Keys(sites.server(1)));
    println!("LICTOR_SEED={}", seed());
    let mut dice = Dice(seed());
    source.put_many("global/stays/", 200);
    there.put("elsewhere", "x");
    let mut node = Node::new(&blocks(sites.server(1)));
    node.start_with(None);
    for round in 0..rounds(5) {
        source.put_many(&format!("global/{}/", round % 7), 1 + usize::try_from(dice.below(300)).unwrap());
        source.put(&format!("global/stays/{:03}", dice.below(200)), &format!("in round {round}"));
        // Few enough that nobody is asked.
        for _ in 0..dice.below(5) {
            source.delete(&format!("global/{}/{:03}", dice.below(7), dice.below(300)));
        }
        if dice.below(10) < 3 {
            there.put(&format!("copy/{}/{:03}", dice.below(7), dice.below(300)), "drift");
        }
        moment(Duration::from_millis(dice.below(1_500)));
        node.kill();
        node.start_with(None);
    }
    let is = |server, prefix| below(server, prefix);
    node.until("the copy is as the source", |_| {
        (is(sites.server(1), "copy/") == is(sites.server(0), "global/")).then_some(())
    });
    assert_eq!(there.get("elsewhere").as_deref(), Some("x"));
    node.kill();
}

#[test]
fn a_full_disk_at_the_destination_is_told_and_waited_out() {
    if !rustix::process::geteuid().is_root() {
        println!("LEFT OUT: a small file system needs root");
        return;
    }
    let mut sites = Datacenters::of(&[Site::new("dc1"), Site::on_disk("dc2", 1)]);
    let server = &mut sites.servers(1)[0];
    server.kill();
    let (data, aside) = (server.data_dir(), server.data_dir().with_extension("aside"));
    fs::rename(&data, &aside).unwrap();
    let mount = Mount::new(data.clone(), "64m");
    let copied = Command::new("cp").arg("-a").arg(aside.join(".")).arg(&data).status().unwrap();
    assert!(copied.success());
    server.launch_again();
    sites.await_ready(1);
    Keys(sites.server(0)).put_many("global/a/", 500);
    let mut node = Node::new(&blocks(sites.server(1)));
    node.start();
    let same = |sites: &Datacenters| {
        let source = below(sites.server(0), "global/");
        (below(sites.server(1), "copy/") == source).then_some(())
    };
    node.until("all is copied", |_| same(&sites));

    let filler = fill(&mount.0);
    let large = "x".repeat(100 << 10);
    for number in 0..40 {
        Keys(sites.server(0)).put(&format!("global/b/{number}"), &large);
    }
    node.until("it is told", |node| {
        let (_, text, _) = node.says(&["replicate", "status"]);
        text.contains("failing").then_some(())
    });
    fs::remove_file(filler).unwrap();
    // Consul gives up when it cannot write; whoever looks after it starts it again.
    sites.servers(1)[0].kill();
    sites.servers(1)[0].launch_again();
    sites.await_ready(1);
    node.until("it goes on by itself", |_| same(&sites));
    node.kill();
    drop(sites);
    drop(mount);
}

/// Two datacenters of one server each, on hosts of a network of their own.
struct Lines {
    // The programs are gone before what they run on.
    programs: Vec<Child>,
    net: Net,
    dir: TempDir,
}

impl Lines {
    fn new() -> Self {
        let mut lines = Self { programs: Vec::new(), net: Net::new(2), dir: tempfile::tempdir().unwrap() };
        for host in 0..2 {
            let mut command = lines.net.command(host, &binary());
            let name = format!("dc{}", host + 1);
            command.args(["agent", "-server", "-bootstrap-expect=1", "-log-level=warn"]);
            command.args([
                format!("-datacenter={name}"),
                format!("-node={name}"),
                format!("-bind={}", v4(host)),
            ]);
            command.arg(format!("-retry-join-wan={}", v4(1 - host)));
            command.arg("-data-dir").arg(lines.dir.path().join(&name));
            lines.programs.push(Child::spawn(&name, command, lines.dir.path()).unwrap());
        }
        let met = wait::until(LONG, || {
            let knows =
                |host| lines.consul(host, &["catalog", "nodes", "-datacenter=dc1"], "").contains("dc1");
            let leads = |host| lines.consul(host, &["kv", "put", "ready", "x"], "").contains("Success");
            (leads(0) && leads(1) && knows(1)).then_some(())
        });
        assert!(met.is_some(), "{}", lines.programs[1].log_tail());
        lines
    }

    /// What the program of Consul says on a host.
    fn consul(&self, host: usize, words: &[&str], input: &str) -> String {
        let input_file = self.dir.path().join("input");
        fs::write(&input_file, input).unwrap();
        let mut command = self.net.command(host, &binary());
        command.args(words).stdin(fs::File::open(input_file).unwrap()).stderr(Stdio::null());
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    }

    fn put(&self, folder: &str, count: usize) {
        let row = |number| serde_json::json!({ "key": format!("global/{folder}/{number:05}"), "flags": 0, "value": "eA==" });
        let rows: Vec<Value> = (0..count).map(row).collect();
        let said = self.consul(0, &["kv", "import", "-"], &Value::from(rows).to_string());
        assert_eq!(said.lines().count(), count);
    }

    fn below(&self, host: usize, prefix: &str) -> Below {
        let all = self.consul(host, &["kv", "export", prefix], "");
        serde_json::from_str(&all).map(|all| pairs(&all, prefix, "key", "value")).unwrap_or_default()
    }

    fn copies(&self) -> usize {
        self.consul(1, &["kv", "get", "-keys", "-separator=", "copy/"], "").lines().count()
    }
}

#[test]
fn when_the_line_between_the_datacenters_is_cut_it_goes_on_later_and_nothing_is_lost() {
    if !rustix::process::geteuid().is_root() {
        println!("LEFT OUT: a network of its own needs root");
        return;
    }
    let mut lines = Lines::new();
    lines.put("many", 20_000);
    let mut command = lines.net.command(1, Path::new(env!("CARGO_BIN_EXE_lictor")));
    command.args(["replicate", "run", "global/@dc1:copy/", "--delete"]);
    let copying = Child::spawn("by-hand", command, lines.dir.path()).unwrap();
    let begun = wait::until(LONG, || Some(lines.copies()).filter(|count| *count > 0));
    for (from, to) in [(0, 1), (1, 0)] {
        lines.net.cut(from, to, Loss::All);
    }
    let begun = begun.unwrap_or_else(|| panic!("{}", copying.log_tail()));
    println!("cut after {begun} keys");
    lines.put("later", 100);
    lines.consul(0, &["kv", "delete", "global/many/00007"], "");
    moment(Duration::from_secs(10));
    let meanwhile = lines.copies();
    assert!(meanwhile >= begun, "{begun} keys were there, and then {meanwhile}");
    lines.net.mend_all();
    let source = lines.below(0, "global/");
    let same = wait::until(LONG * 2, || (lines.below(1, "copy/") == source).then_some(()));
    assert!(same.is_some(), "{} of {} keys\n{}", lines.copies(), source.len(), copying.log_tail());
    assert_eq!(source.len(), 20_099);
    drop(copying);
}
