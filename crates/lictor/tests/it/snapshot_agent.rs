//! Snapshots that are taken regularly, of real Consul servers: by agents, and by `lictor snapshot agent`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lictor_testkit::consul::{Options, Server, binary};
use lictor_testkit::process::Child;
use lictor_testkit::wait;
use rustix::process::Signal;
use serde_json::Value;

use crate::alerts::read;
use crate::full_disk::{Mount, fill};
use crate::keys::Keys;
use crate::node::{LONG, Node, program, run};

/// A lease of four seconds, else each test waits for half a minute.
const QUICK: [(&str, &str); 1] = [("LICTOR_LEASE", "4000")];

fn server() -> Server {
    Server::with(Options { in_memory: true, ..Options::default() })
}

/// A block that has one taken each hour, and now.
fn block(server: &Server, inner: &str) -> String {
    format!("consul {{\n  address = \"{}\"\n}}\nsnapshot \"consul\" {{\n{inner}\n}}\n", server.http_address())
}

/// Whoever is told, in a file.
const LOG: &str = "notify \"log\" \"told\" {\n  path = \"@DIR@/told.log\"\n}\n";

const HERE: &str = "place \"folder\" \"here\" {\n  path = \"@DIR@/here\"\n}";

/// Files of a folder, without those that are hidden.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

/// The only block of a node.
fn stands(node: &Node) -> Value {
    node.ask(&["snapshot", "status", "--format", "json"])
        .map_or(Value::Null, |all| all["snapshots"][0].clone())
}

/// Has one taken, and waits until it is everywhere.
#[track_caller]
fn take(node: &mut Node) {
    let before = stands(node)["taken"].as_u64().unwrap();
    let (code, out, said) = node.says(&["snapshot", "take", "consul"]);
    assert_eq!(code, 0, "{out}{said}");
    node.until("it is everywhere", |node| {
        let now = stands(node);
        (now["taken"].as_u64() > Some(before) && now["phase"] == "waiting").then_some(())
    });
}

/// Whether Consul's own program takes a file for a snapshot.
fn is_sound(path: &Path) -> bool {
    Command::new(binary()).args(["snapshot", "inspect"]).arg(path).output().unwrap().status.success()
}

#[test]
fn what_is_taken_is_sent_everywhere_and_older_ones_are_removed_but_nothing_of_others() {
    let server = server();
    Keys(&server).put_many("config/", 50);
    let mut node = Node::new(&block(
        &server,
        &format!(
            "keep {{ last = 2 }}\nservice = \"snapshots\"\n{HERE}\n\
             place \"folder\" \"one\" {{\n  path = \"@DIR@/one\"\n  file = \"latest.snap\"\n}}"
        ),
    ));
    let (here, one) = (node.path("here"), node.path("one"));
    fs::create_dir(&here).unwrap();
    let others =
        ["consul.dc2.20200101T000000Z.snap", "consul.dc1.2020.snap", "shop.dc1.20200101T000000Z.snap"];
    for name in others {
        fs::write(here.join(name), "x").unwrap();
    }
    node.start_in(&QUICK);
    node.until("the first one is there", |_| {
        (files(&here).len() == 4 && files(&one).len() == 1).then_some(())
    });
    for _ in 0..3 {
        take(&mut node);
    }
    let mut found = files(&here);
    found.retain(|name| !others.contains(&name.as_str()));
    assert_eq!((found.len(), files(&here).len()), (2, 5), "{:?}", files(&here));
    for path in [here.join(&found[0]), here.join(&found[1]), one.join("latest.snap")] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(is_sound(&path), "{}", path.display());
    }
    assert_eq!(fs::read(here.join(&found[1])).unwrap(), fs::read(one.join("latest.snap")).unwrap());
    assert!(files(&node.path("state/snapshots/consul")).is_empty());

    let now = stands(&node);
    assert_eq!((&now["taken"], &now["failed"], &now["removed"]), (&4.into(), &0.into(), &2.into()), "{now}");
    let (code, shown, _) = node.says(&["snapshot", "status"]);
    assert!(
        code == 0 && shown.contains("consul    waiting  here: ") && shown.contains("is due at"),
        "{shown}"
    );
    let (_, checks) = server.get("/v1/health/service/snapshots").unwrap();
    for check in ["Consul Snapshot Agent Alive", "Consul Snapshot Agent Saving Snapshots"] {
        assert!(checks.contains(check), "{checks}");
    }
    let metrics = read(&node, "/metrics");
    assert!(metrics.contains("lictor_snapshot_stored{snapshot=\"consul\",place=\"here\"} 2"), "{metrics}");
}

#[test]
fn of_two_agents_one_takes_them_and_the_other_goes_on_when_it_is_killed() {
    let server = server();
    let out = tempfile::tempdir().unwrap();
    let text = block(
        &server,
        &format!("every = \"10s\"\nplace \"folder\" \"both\" {{\n  path = \"{}\"\n}}", out.path().display()),
    );
    let mut nodes = [Node::named("n1", &text), Node::named("n2", &text)];
    nodes[0].start_in(&QUICK);
    nodes[0].until("the first one is there", |_| (files(out.path()).len() == 1).then_some(()));
    nodes[1].start_in(&QUICK);
    nodes[1].until("the other one stands by", |node| {
        let now = stands(node);
        (now["phase"] == "standby" && now["why"] == "n1 takes them").then_some(())
    });
    let (code, _, said) = nodes[1].says(&["snapshot", "take", "consul"]);
    assert!(code == 6 && said.contains("this node does not take them: n1 takes them"), "{code} {said}");
    let before = files(out.path()).len();
    nodes[0].kill();
    nodes[1].until("the other one takes them", |_| (files(out.path()).len() > before + 1).then_some(()));
    assert!(files(out.path()).iter().all(|name| is_sound(&out.path().join(name))));
    // They are ten seconds apart, whoever takes them.
    // consul.dc1.20261122T193000Z.snap
    let seconds = |name: &String| name.get(24..26).unwrap().parse::<i64>().unwrap();
    let apart: Vec<i64> = files(out.path())
        .windows(2)
        .map(|two| (seconds(&two[1]) - seconds(&two[0])).rem_euclid(60))
        .collect();
    assert!(apart.iter().all(|apart| *apart >= 9), "{apart:?} {:?}", files(out.path()));
}

#[test]
fn what_could_not_be_sent_is_sent_by_the_next_process() {
    let server = server();
    let there = "place \"folder\" \"there\" {\n  path = \"@DIR@/away/there\"\n}";
    let mut node = Node::new(&block(&server, &format!("{HERE}\n{there}")));
    node.start_in(&QUICK);
    let why = node.until("one place has trouble", |node| {
        let now = stands(node);
        // Each place is sent to by itself.
        let sent = files(&node.path("here")).len() == 1 && now["phase"] == "sending";
        now["places"][1]["trouble"].as_str().filter(|_| sent).map(str::to_owned)
    });
    assert!(why.contains("/away/there"), "{why}");
    let first = files(&node.path("here"));
    node.kill();
    fs::create_dir(node.path("away")).unwrap();
    node.start_in(&QUICK);
    node.until("it is sent", |node| (files(&node.path("away/there")) == first).then_some(()));
    assert_eq!(files(&node.path("here")), first);
    node.until("nothing is left to be sent", |node| {
        files(&node.path("state/snapshots/consul")).is_empty().then_some(())
    });
}

#[test]
fn whoever_has_the_key_can_read_what_is_encrypted_and_nobody_else() {
    let server = server();
    Keys(&server).put("config/secret", "very-secret-value");
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.txt");
    let made = Command::new("age-keygen").arg("-o").arg(&key).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let text = fs::read_to_string(&key).unwrap();
    let public = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    let mut node = Node::new(&block(&server, &format!("encrypt {{ recipients = [\"{public}\"] }}\n{HERE}")));
    let here = node.path("here");
    node.start_in(&QUICK);
    let name = node.until("one is there", |_| files(&here).pop());
    assert!(name.ends_with(".snap.age"), "{name}");
    let sealed = here.join(&name);
    let plain = dir.path().join("plain.snap");
    let opened =
        Command::new("age").arg("-d").arg("-i").arg(&key).arg("-o").arg(&plain).arg(&sealed).output();
    assert!(opened.unwrap().status.success());
    assert!(is_sound(&plain) && !is_sound(&sealed));
    let mut get = program();
    get.args(["snapshot", "get"]).arg(&plain).arg("config/secret");
    assert_eq!(run(get).1.trim_end(), "very-secret-value");
}

/// A configuration file and the arguments that name it.
fn config(node: &Node) -> PathBuf {
    node.config()
}

fn once(node: &Node, more: &[&str]) -> (i32, String, String) {
    let mut command = program();
    command.args(["snapshot", "agent", "--once", "--config"]).arg(config(node)).args(more);
    run(command)
}

#[test]
fn one_is_taken_without_an_agent_and_fetched_without_consul() {
    let mut server = server();
    Keys(&server).put("config/port", "80");
    let node = Node::new(&block(&server, HERE));
    let (code, out, said) = once(&node, &[]);
    assert_eq!((code, out.as_str()), (0, ""), "{said}");
    assert!(said.contains("was taken: index"), "{said}");
    let name = files(&node.path("here")).pop().unwrap();
    // It needs no lease and leaves nothing in the scratch folder.
    assert!(Keys(&server).below("lictor/lease/").is_empty());
    assert!(files(&node.path("state/snapshots/consul")).is_empty());

    server.kill();
    let (code, _, said) = once(&node, &[]);
    assert!(code == 1 && said.contains("cannot connect to"), "{said}");
    let ask = |words: &[&str]| {
        let mut command = program();
        command.args(["snapshot"]).args(words).arg("--config").arg(config(&node)).current_dir(node.path(""));
        run(command)
    };
    let (code, out, _) = ask(&["list"]);
    assert!(code == 0 && out.contains(&name), "{out}");
    let (code, out, said) = ask(&["fetch", "latest", "now.snap"]);
    assert_eq!((code, out.as_str()), (0, ""), "{said}");
    assert!(is_sound(&node.path("now.snap")));
    let (code, _, said) = ask(&["fetch", "yesterday"]);
    assert!(code == 1 && said.contains("cannot fetch `yesterday`"), "{said}");
    let (code, _, said) = once(&node, &["shop"]);
    assert!(code == 5 && said.contains("no block snapshot called `shop`"), "{code} {said}");
}

#[test]
fn an_agent_of_consul_enterprise_that_holds_the_lock_is_let_work() {
    let server = server();
    let (_, session) = server.put("/v1/session/create", r#"{"Name":"other","LockDelay":"1s"}"#).unwrap();
    let id = serde_json::from_str::<Value>(&session).unwrap()["ID"].as_str().unwrap().to_owned();
    let flags = 0x2ddc_cbc0_58a5_0c18_u64;
    let lock = format!("/v1/kv/consul-snapshot/lock?flags={flags}");
    assert_eq!(server.put(&format!("{lock}&acquire={id}"), "").unwrap().1.trim(), "true");
    let mut node = Node::new(&block(&server, &format!("lock = \"consul-snapshot/lock\"\n{HERE}")));
    node.start_in(&QUICK);
    node.until("it stands by", |node| {
        let why = stands(node)["why"].as_str().unwrap_or_default().to_owned();
        why.contains("holds the lock `consul-snapshot/lock`").then_some(())
    });
    assert!(files(&node.path("here")).is_empty());
    assert_eq!(server.put(&format!("{lock}&release={id}"), "").unwrap().1.trim(), "true");
    node.until("it works", |node| (files(&node.path("here")).len() == 1).then_some(()));
    // Then the other one may not.
    assert_eq!(server.put(&format!("{lock}&acquire={id}"), "").unwrap().1.trim(), "false");
    // What is stopped lets it go.
    node.agent().signal(Signal::TERM).unwrap();
    let free = wait::until(LONG, || {
        (server.put(&format!("{lock}&acquire={id}"), "").unwrap().1.trim() == "true").then_some(())
    });
    assert!(free.is_some());
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_that_looks_like_a_snapshot() {
    if !rustix::process::geteuid().is_root() {
        println!("LEFT OUT: a small file system needs root");
        return;
    }
    let server = server();
    Keys(&server).put_many("config/", 300);
    let inner = format!("scratch = \"@DIR@/small\"\nmax_failures = 100\nservice = \"snapshots\"\n{HERE}");
    let mut node = Node::new(&format!("{}{LOG}", block(&server, &inner)));
    // As old as this nothing must become.
    fs::create_dir(node.path("here")).unwrap();
    fs::write(node.path("here/consul.dc1.20200101T000000Z.snap"), "x").unwrap();
    let mount = Mount::new(node.path("small"), "1m");
    let filler = fill(&mount.0);
    node.start_in(&QUICK);
    let why = node.until("it is told", |node| {
        let now = stands(node);
        now["why"].as_str().filter(|why| why.contains("No space left")).map(str::to_owned)
    });
    assert!(why.contains("/small/consul"), "{why}");
    assert!(files(&node.path("here")).len() == 1 && files(&node.path("small/consul")).is_empty());
    let old = "is of 2020-01-01T00:00:00Z";
    node.until("its age is told", |node| node.read("told.log").contains(old).then_some(()));
    node.until("Consul knows", |_| {
        server.get("/v1/agent/checks").unwrap().1.contains("is of 2020-01-01").then_some(())
    });
    fs::remove_file(filler).unwrap();
    node.until("with space it goes on", |node| (files(&node.path("here")).len() == 2).then_some(()));
    node.until("it is over", |node| node.read("told.log").contains("snapshots are kept in").then_some(()));
}

#[test]
fn a_process_that_is_killed_again_and_again_leaves_only_sound_ones() {
    let server = server();
    for part in 0..20 {
        Keys(&server).put(&format!("large/{part}"), &noise());
    }
    let mut node = Node::new(&block(&server, &format!("every = \"10s\"\n{HERE}")));
    let here = node.path("here");
    let mut seen = Vec::new();
    // Whatever it does just then; some moments of it, so that each has its turn.
    for (phase, milliseconds) in
        [("taking", 0_u64), ("sending", 0), ("taking", 40), ("taking", 150), ("sending", 5)]
    {
        node.start_in(&QUICK);
        node.until(phase, |node| (stands(node)["phase"] == "waiting").then_some(()));
        let mut asks = program();
        asks.args(["snapshot", "take", "consul"])
            .env("LICTOR_HTTP_ADDR", format!("http://127.0.0.1:{}", node.port));
        let _asked = Child::spawn("asks", asks, &node.path("")).unwrap();
        // It may be over before anybody has seen it.
        let begun = wait::until(Duration::from_secs(3), || (stands(&node)["phase"] == phase).then_some(()));
        seen.push(begun.is_some());
        assert!(wait::until(Duration::from_millis(milliseconds), || None::<()>).is_none());
        node.kill();
        for name in files(&here) {
            assert!(is_sound(&here.join(&name)), "{name} after {milliseconds} ms of {phase}");
        }
    }
    assert!(seen.contains(&true), "it was never killed at work");
    let before = files(&here).len();
    assert!(before > 0);
    // What is half done in a folder goes after a minute without a write.
    for entry in fs::read_dir(&here).unwrap().map(Result::unwrap) {
        let file = fs::File::options().write(true).open(entry.path()).unwrap();
        let earlier = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(120);
        file.set_modified(earlier).unwrap();
    }
    node.start_in(&QUICK);
    node.until("it goes on", |_| (files(&here).len() > before).then_some(()));
    node.until("nothing half done is left", |node| {
        let left = fs::read_dir(node.path("state/snapshots/consul")).unwrap().count();
        let half = fs::read_dir(&here).unwrap().count() > files(&here).len();
        (left == 0 && !half).then_some(())
    });
}

#[test]
fn one_that_is_to_come_counts_for_nothing_and_is_told() {
    let server = server();
    let mut node = Node::new(&format!("{}{LOG}", block(&server, &format!("keep {{ last = 2 }}\n{HERE}"))));
    let here = node.path("here");
    fs::create_dir(&here).unwrap();
    let future = "consul.dc1.20990101T000000Z.snap";
    fs::write(here.join(future), "x").unwrap();
    node.start_in(&QUICK);
    node.until("the first one is there", |_| (files(&here).len() == 2).then_some(()));
    take(&mut node);
    take(&mut node);
    let found = files(&here);
    assert!(found.len() == 3 && found[2] == future, "{found:?}");
    assert_eq!(stands(&node)["places"][0]["snapshots"], 2);
    let told = "is of 2099-01-01T00:00:00Z, which is to come: a clock was wrong";
    node.until("it is told", |node| node.read("told.log").contains(told).then_some(()));
    let mut fetch = program();
    fetch.args(["snapshot", "fetch", "latest", "now.snap", "--config"]).arg(node.config());
    let (code, _, said) = run({
        fetch.current_dir(node.path(""));
        fetch
    });
    assert!(code == 0 && said.contains("is of the future, and left out"), "{said}");
    assert!(is_sound(&node.path("now.snap")));
    fs::remove_file(here.join(future)).unwrap();
    take(&mut node);
    node.until("it is over", |node| node.read("told.log").contains("snapshots are kept in").then_some(()));
}

#[test]
fn where_another_cluster_puts_its_own_under_the_same_names_nothing_is_removed() {
    let (one, other) = (server(), server());
    let out = tempfile::tempdir().unwrap();
    let inner = format!(
        "keep {{ last = 1 }}\nplace \"folder\" \"both\" {{\n  path = \"{}\"\n}}",
        out.path().display()
    );
    let mut nodes = [Node::named("n1", &block(&one, &inner)), Node::named("n2", &block(&other, &inner))];
    for node in &mut nodes {
        node.start_in(&QUICK);
        node.until("it works", |node| (stands(node)["phase"] == "waiting").then_some(()));
    }
    take(&mut nodes[1]);
    // Names have seconds.
    assert!(wait::until(Duration::from_millis(1_100), || None::<()>).is_none());
    // It finds one between that which it has noted and the next.
    take(&mut nodes[0]);
    let why = stands(&nodes[0])["places"][0]["trouble"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("was put there by somebody else"), "{why}");
    assert_eq!(files(out.path()).len(), 3);
}

/// Text that does not become much smaller when it is compressed.
fn noise() -> String {
    (0..40_000).map(|_| format!("{:06x}", rand::random::<u32>() >> 8)).collect()
}

#[test]
fn one_that_is_much_smaller_than_the_one_before_is_told_and_that_it_is_over() {
    let server = server();
    for part in 0..12 {
        Keys(&server).put(&format!("large/{part}"), &noise());
    }
    let mut node = Node::new(&format!("{}{LOG}", block(&server, HERE)));
    node.start_in(&QUICK);
    node.until("the first one is there", |node| (files(&node.path("here")).len() == 1).then_some(()));
    Keys(&server).delete_below("large/");
    take(&mut node);
    let small = "the latest snapshot is much smaller than the one before";
    node.until("it is told", |node| node.read("told.log").contains(small).then_some(()));
    assert!(stands(&node)["odd_after_bytes"].as_u64() > Some(1 << 20), "{}", stands(&node));
    take(&mut node);
    node.until("it is over", |node| node.read("told.log").contains("snapshots are taken").then_some(()));
}

#[test]
fn the_newest_one_is_restored_into_a_server_that_is_thrown_away() {
    let server = server();
    Keys(&server).put_many("config/", 30);
    let inner = format!(
        "encrypt {{ passphrase_file = \"@DIR@/word\" }}\ndrill {{\n  consul = \"{}\"\n}}\n{HERE}",
        binary().display()
    );
    let mut node = Node::new(&block(&server, &inner));
    fs::write(node.path("word"), "correct horse battery staple\n").unwrap();
    node.start_in(&QUICK);
    // The first one is tried as soon as it is there.
    let drill =
        node.until("it was tried", |node| Some(stands(node)["drill"].clone()).filter(|it| !it.is_null()));
    assert!(drill["failed"].is_null() && drill["sound"] == drill["at"], "{drill}");
    assert!(drill["file"].as_str().unwrap().contains(".snap.age of "), "{drill}");
    // What cannot be decrypted any more proves nothing.
    fs::write(node.path("word"), "another\n").unwrap();
    let (code, _, said) = node.says(&["snapshot", "take", "--drill", "consul"]);
    assert!(code != 0 && said.contains("cannot decrypt"), "{said}");
    assert_eq!(stands(&node)["drill"]["sound"], drill["sound"]);
}

mod objects {
    use lictor_testkit::buckets::Moto;

    use super::*;

    #[test]
    fn a_bucket_has_what_is_taken_and_gives_it_back() {
        let server = server();
        let moto = Moto::start(&["backups"]);
        let (keys, url) = (moto.keys(), format!("http://{}", moto.address()));
        let s3 = format!(
            "keep {{ last = 2 }}\nplace \"s3\" \"far\" {{\n  bucket = \"backups\"\n  prefix = \"consul\"\n  endpoint = \"{url}\"\n  \
             access_key_file = \"@DIR@/id\"\n  secret_key_file = \"@DIR@/secret\"\n}}"
        );
        let mut node = Node::new(&block(&server, &s3));
        fs::write(node.path("id"), &keys.id).unwrap();
        fs::write(node.path("secret"), &keys.secret).unwrap();
        node.start_in(&QUICK);
        let there = |node: &Node| stands(node)["places"][0]["snapshots"].as_u64();
        node.until("the first one is there", |node| there(node).filter(|count| *count == 1));
        take(&mut node);
        take(&mut node);
        assert_eq!(there(&node), Some(2));
        let mut fetch = program();
        fetch.args(["snapshot", "fetch", "latest", "now.snap", "--config"]).arg(node.config());
        let (code, _, said) = run({
            fetch.current_dir(node.path(""));
            fetch
        });
        assert_eq!(code, 0, "{said}");
        assert!(
            said.contains(" from s3://backups/consul: now.snap, ") && is_sound(&node.path("now.snap")),
            "{said}"
        );
        // A key that is wrong is told with what the server says.
        fs::write(node.path("secret"), "wrong").unwrap();
        let (code, _, said) = once(&node, &[]);
        assert!(code == 1 && said.contains("s3://backups/consul"), "{said}");
    }
}
