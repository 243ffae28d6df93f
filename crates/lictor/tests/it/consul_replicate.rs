//! Called as consul-replicate: what it copies between two datacenters of real Consul servers, what it notes, and how it ends.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use lictor_testkit::consul::{Datacenters, Site};
use lictor_testkit::process::Child;
use lictor_testkit::{ports, wait};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::keys::Keys;
use crate::node::{LONG, program, run};

/// Where the old program noted how far `global/@dc1:copy/` was.
const NOTE: &str = "service/consul-replicate/statuses/b1d3f61fb0fb2049e295508937f23b8d";

/// The program under its old name, in a bare environment.
fn old(directory: &Path) -> Command {
    let link = directory.join("consul-replicate");
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_lictor"), &link).unwrap();
    }
    let bare = program();
    let mut command = Command::new(link);
    command.env_clear().envs(bare.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// Two datacenters, of which the second one has copies of the first one's keys.
struct Rig {
    sites: Datacenters,
    dir: TempDir,
}

impl Rig {
    fn new() -> Self {
        Self::of(&[Site::new("dc1"), Site::new("dc2")])
    }

    fn of(sites: &[Site]) -> Self {
        Self { sites: Datacenters::of(sites), dir: tempfile::tempdir().unwrap() }
    }

    fn source(&self) -> Keys<'_> {
        Keys(self.sites.server(0))
    }

    fn there(&self) -> Keys<'_> {
        Keys(self.sites.server(1))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = old(self.dir.path());
        let address = self.sites.server(1).http_address().to_string();
        command.args(["-consul-addr", address.as_str()]).args(words);
        command
    }

    /// Copies once: how it ended, and what it said.
    fn once(&self, words: &[&str]) -> (i32, String) {
        let mut command = self.command(words);
        command.arg("-once");
        let (code, out, said) = run(command);
        assert_eq!(out, "", "{said}");
        (code, said)
    }

    #[track_caller]
    fn copies(&self, words: &[&str]) {
        let (code, said) = self.once(words);
        assert_eq!(code, 0, "{words:?}: {said}");
    }

    fn start(&self, words: &[&str]) -> Child {
        Child::spawn("replicate", self.command(words), self.dir.path()).unwrap()
    }
}

#[test]
fn keys_are_copied_once_and_noted_as_the_old_program_did() {
    let rig = Rig::new();
    let (source, there) = (rig.source(), rig.there());
    source.put_many("global/many/", 150);
    source.put("global/skip/a", "x");
    source.put("global/x_dc1_only_x", "x");
    source.put("globalization", "x");
    there.put("copy/only-here", "x");
    there.put("copy/skip/mine", "x");
    let words = [
        "--prefix",
        "global/@dc1:copy/",
        "-exclude=global/skip",
        "--excludematch=_dc1_only_",
        "-log-level",
        "ERR",
    ];
    rig.copies(&words);
    let copied = there.below("copy/");
    assert_eq!((copied.len(), copied.last().unwrap().as_str()), (151, "skip/mine"), "{copied:?}");
    let note: Value = serde_json::from_str(&there.get(NOTE).unwrap()).unwrap();
    let index = note["LastReplicated"].as_u64().unwrap();
    assert!(index >= source.index("global/x_dc1_only_x"), "{index}");
    assert_eq!(
        there.get(NOTE).unwrap(),
        format!(
            "{{\n  \"LastReplicated\": {index},\n  \"Source\": \"global/\",\n  \"Destination\": \"copy/\"\n}}"
        )
    );

    let before = there.index("copy/many/000");
    rig.copies(&words);
    assert_eq!(there.index("copy/many/000"), before);
}

#[test]
fn what_the_old_program_noted_is_not_copied_again() {
    let rig = Rig::new();
    let (source, there) = (rig.source(), rig.there());
    source.put("global/old", "as before");
    source.put("global/gone", "as before");
    let index = source.index("global/gone");
    there.put("copy/old", "somebody else's");
    let note = json!({ "LastReplicated": index, "Source": "global/", "Destination": "copy/" });
    there.put(NOTE, &note.to_string());
    source.put("global/new", "x");
    rig.copies(&["-prefix=global/@dc1:copy/"]);
    assert_eq!(there.below("copy/"), ["new", "old"]);
    assert_eq!(there.get("copy/old").unwrap(), "somebody else's");
    // Drift is put right only when that is asked for.
    rig.copies(&["-prefix=global/@dc1:copy/", "-repair"]);
    assert_eq!(there.below("copy/"), ["gone", "new", "old"]);
    assert_eq!(there.get("copy/old").unwrap(), "as before");
}

#[test]
fn what_only_the_destination_has_is_deleted_unless_that_is_off_or_too_much() {
    let rig = Rig::new();
    let (source, there) = (rig.source(), rig.there());
    source.put_many("global/", 20);
    there.put("copy/mine", "x");
    rig.copies(&["-prefix=global/@dc1:copy/", "-delete=false"]);
    assert_eq!(there.below("copy/").len(), 21);
    rig.copies(&["-prefix=global/@dc1:copy/"]);
    assert_eq!(there.below("copy/").len(), 20);

    for number in 0..12 {
        source.delete(&format!("global/{number:03}"));
    }
    let (code, said) = rig.once(&["-prefix=global/@dc1:copy/"]);
    assert_eq!(code, 14, "{said}");
    let held =
        "[ERR] (cli) global/@dc1:copy/: deletes that are held back: 12: 12 of 20 keys are more than 10 %";
    assert!(said.contains(held), "{said}");
    assert!(said.contains("\n  copy/000\n") && said.contains("\n  copy/011\n"), "{said}");
    assert_eq!(there.below("copy/").len(), 20);
    let id = said.split_once("-approve=").unwrap().1.split(' ').next().unwrap();
    rig.copies(&["-prefix=global/@dc1:copy/", "-approve", id]);
    assert_eq!(there.below("copy/").len(), 8);

    source.delete_below("global/");
    let (code, said) = rig.once(&["-prefix=global/@dc1:copy/"]);
    assert!(code == 14 && said.contains("the source has no keys at all"), "{code} {said}");
    assert_eq!(there.below("copy/").len(), 8);
}

#[test]
fn one_key_that_is_not_taken_is_named_and_the_others_are_copied() {
    let mut large = Site::new("dc1");
    large.options.config = "limits { kv_max_value_size = 1048576 txn_max_req_len = 1048576 }".into();
    let rig = Rig::of(&[large, Site::new("dc2")]);
    let (source, there) = (rig.source(), rig.there());
    let huge = "x".repeat(600 * 1024);
    assert_eq!(rig.sites.server(0).put("/v1/kv/global/huge", &huge).unwrap().0, 200);
    source.put("global/small", "x");
    let (code, said) = rig.once(&["-prefix=global/@dc1:copy/"]);
    assert_eq!(code, 14, "{said}");
    assert!(
        said.contains("[ERR] (cli) global/@dc1:copy/: keys that are not copied or deleted: 1\n  copy/huge: "),
        "{said}"
    );
    assert_eq!(there.below("copy/"), ["small"]);
}

#[test]
fn prefixes_that_hung_or_fought_are_copied_side_by_side() {
    let rig = Rig::new();
    let (source, there) = (rig.source(), rig.there());
    source.put_many("global/", 3);
    source.put("web/a", "web");
    let flags = [
        "-prefix=global/@dc1:one",
        "-prefix=global/@dc1:two/",
        "-prefix=web/@dc1:one-web/",
        "-prefix=global/@dc1:all/",
        "-status-dir=all/statuses/",
    ];
    for _twice in 0..2 {
        rig.copies(&flags);
        assert_eq!(there.below("one"), ["-web/a", "000", "001", "002"]);
        assert_eq!(there.below("two/"), ["000", "001", "002"]);
        let all = there.below("all/");
        assert_eq!(all.len(), 3 + 4, "{all:?}");
    }
    assert_eq!(there.below("all/statuses/").len(), 4);
}

#[test]
fn all_keys_are_copied_and_noted_under_the_old_word_for_them() {
    let rig = Rig::new();
    let (source, there) = (rig.source(), rig.there());
    source.put("a", "x");
    source.put("b/c", "x");
    rig.copies(&["-prefix=/@dc1:all/", "-status-dir=notes"]);
    assert_eq!(there.below("all/"), ["a", "b/c"]);
    let key = format!("notes/{}", there.below("notes/").join(" and "));
    let note: Value = serde_json::from_str(&there.get(&key).unwrap()).unwrap();
    assert_eq!((note["Source"].as_str(), note["Destination"].as_str()), (Some("/"), Some("all/")));
    // It is taken for what it is: nothing is copied that was before.
    there.delete("all/a");
    rig.copies(&["-prefix=/@dc1:all/", "-status-dir=/notes/"]);
    assert_eq!(there.below("all/"), ["b/c"]);
}

#[test]
fn the_rights_in_the_manual_are_enough() {
    const TOKEN: &str = "0d9f5b1e-5a8e-4c4f-9a41-3d7c2b6e8f10";
    let secured = |name: &str| {
        let mut site = Site::new(name);
        site.options.acl = true;
        site
    };
    let rig = Rig::of(&[secured("dc1"), secured("dc2")]);
    let page = include_str!("../../../../docs/consul-replicate.md");
    let rules = page.split_once("```hcl consul\n").unwrap().1.split_once("```").unwrap().0;
    for number in 0..2 {
        let server = rig.sites.server(number);
        let policy = json!({ "Name": "replicate", "Rules": rules }).to_string();
        assert_eq!(server.put("/v1/acl/policy", &policy).unwrap().0, 200);
        let token = json!({ "SecretID": TOKEN, "Policies": [{ "Name": "replicate" }] }).to_string();
        assert_eq!(server.put("/v1/acl/token", &token).unwrap().0, 200);
    }
    let (source, there) = (rig.source(), rig.there());
    source.put("global/a", "x");
    there.put("copy/mine", "x");
    let file = rig.path("token.hcl");
    fs::write(&file, format!("consul {{\n  token = \"{TOKEN}\"\n}}\n")).unwrap();
    rig.copies(&["-prefix=global/@dc1:copy/", "-config", file.to_str().unwrap()]);
    assert_eq!(there.below("copy/"), ["a"]);
    assert!(there.get(NOTE).is_some());
    // Without a token the source seems to be empty: nothing is deleted for that.
    let (code, said) = rig.once(&["-prefix=global/@dc1:copy/", "-consul-retry-attempts=1"]);
    assert_eq!(code, 14, "{said}");
    assert_eq!(there.below("copy/"), ["a"]);
}

#[test]
fn a_datacenter_is_not_copied_to_itself_and_it_gives_up_without_one() {
    let rig = Rig::new();
    for words in [&["-prefix=global/@dc2:copy/", "-once"][..], &["-prefix=global/@dc2:copy/"]] {
        let (code, _, said) = run(rig.command(words));
        let why = "[ERR] (cli) local datacenter cannot be the source datacenter: ";
        assert!(code == 14 && said.contains(why), "{code} {said}");
    }
    let (code, said) = rig.once(&["-prefix=global/@nowhere:copy/", "-consul-retry-attempts=1"]);
    assert!(code == 14 && said.contains("nowhere"), "{code} {said}");
    let mut command = old(rig.dir.path());
    let address = format!("127.0.0.1:{}", ports::free());
    command.args(["-once", "-prefix=a@dc1", "-consul-retry=0", "-consul-addr", &address]);
    let (code, _, said) = run(command);
    assert!(code == 14 && said.contains("[ERR] (cli) "), "{code} {said}");
}

#[test]
fn the_daemon_follows_reloads_and_ends_by_its_signals() {
    let rig = Rig::new();
    let (source, there) = (rig.source(), rig.there());
    let (config, pid_file) = (rig.path("config.hcl"), rig.path("pid"));
    let settings = |more: &str| {
        let text = format!("pid_file = {pid_file:?}\n{more}\n");
        fs::write(&config, text).unwrap();
    };
    fs::write(&pid_file, "999999999").unwrap();
    settings("prefix = \"global/@dc1:copy/\"\nprefix = \"other/@dc1\"");
    source.put("global/a", "one");
    let mut child = rig.start(&["-config", config.to_str().unwrap()]);
    there.until("copy/a", Some("one"), &child);
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), child.pid().to_string());
    source.put("global/a", "two");
    there.until("copy/a", Some("two"), &child);
    source.delete("global/a");
    source.put("global/b", "one");
    there.until("copy/b", Some("one"), &child);
    there.until("copy/a", None, &child);

    settings("prefix = \"web/@dc1\"\nprefix = \"other/@dc1\"");
    source.put("web/a", "one");
    child.signal(Signal::HUP).unwrap();
    there.until("web/a", Some("one"), &child);
    // What is copied no more stays as it is, also when its source changes.
    source.put("global/b", "two");
    settings("bad_key = 1");
    child.signal(Signal::HUP).unwrap();
    let path = child.log().to_owned();
    let log = || fs::read_to_string(&path).unwrap();
    let told = wait::until(LONG, || log().contains("'' has invalid keys: bad_key").then_some(()));
    assert!(told.is_some(), "{}", log());
    source.put("web/a", "two");
    there.until("web/a", Some("two"), &child);
    assert_eq!(there.get("copy/b").as_deref(), Some("one"));
    assert_eq!(log().matches("Reloading configuration...\n").count(), 2, "{}", log());

    child.signal(Signal::TERM).unwrap();
    let ended = child.wait(LONG).unwrap().unwrap();
    assert_eq!(ended.code(), Some(12));
    assert!(!pid_file.exists());
    assert!(child.log_tail().ends_with("Cleaning up...\n"), "{}", child.log_tail());
}

#[test]
fn other_signals_end_it_only_if_they_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let start = |words: &[&str]| {
        let mut command = old(directory.path());
        // Nobody answers there: that ends no daemon.
        let address = format!("-consul-addr=127.0.0.1:{}", ports::free());
        command.args(["-prefix=a@dc1", "-consul-retry-attempts=1", &address]).args(words);
        command.arg("-pid-file").arg(&pid_file);
        let child = Child::spawn("replicate", command, directory.path()).unwrap();
        assert!(wait::until(LONG, || pid_file.exists().then_some(())).is_some(), "{}", child.log_tail());
        child
    };
    let mut child = start(&[]);
    let says = || child.log_tail();
    let said =
        wait::until(LONG, || says().contains("[WARN] (cli) it is tried until it succeeds").then_some(()));
    assert!(said.is_some(), "{}", says());
    child.signal(Signal::USR1).unwrap();
    child.signal(Signal::INT).unwrap();
    assert_eq!(child.wait(LONG).unwrap().unwrap().code(), Some(12), "{}", child.log_tail());
    assert!(!pid_file.exists());

    let mut child = start(&["-kill-signal=SIGUSR1", "-reload-signal="]);
    child.signal(Signal::HUP).unwrap();
    child.signal(Signal::INT).unwrap();
    child.signal(Signal::USR1).unwrap();
    assert_eq!(child.wait(LONG).unwrap().unwrap().code(), Some(12), "{}", child.log_tail());
    assert!(!child.log_tail().contains("Reloading"), "{}", child.log_tail());
}

#[test]
fn flags_files_and_their_mistakes_end_as_they_did() {
    let directory = tempfile::tempdir().unwrap();
    let ends = |words: &[&str]| {
        let mut command = old(directory.path());
        command.args(words);
        let (code, out, said) = run(command);
        assert_eq!(out, "", "{words:?}");
        (code, said)
    };
    for words in [&["-version"][..], &["--v"], &["-version=true", "-prefix", "a@dc1"]] {
        let (code, said) = ends(words);
        assert!(code == 0 && said.starts_with("consul-replicate v0.4.0 (lictor "), "{code} {said}");
    }
    for words in [&["-h"][..], &["--help"], &["-once", "-help"]] {
        let (code, said) = ends(words);
        assert!(code == 0 && said.starts_with("Usage: consul-replicate [options]\n"), "{code} {said}");
    }
    for (words, why) in [
        (&["-nonsense"][..], "flag provided but not defined: -nonsense\n"),
        (&["-prefix"], "flag needs an argument: -prefix\n"),
        (&["-once=perhaps"], "invalid boolean value \"perhaps\" for -once: it is neither true nor false\n"),
        (&["-prefix=global"], "invalid value \"global\" for flag -prefix: missing datacenter\n"),
        (&["-once", "more"], "cli: extra argument(s): [\"more\"]\n"),
    ] {
        assert_eq!(ends(words), (13, why.to_owned()));
    }
    let file = directory.path().join("c.hcl");
    fs::write(&file, "prefix = \"a\"").unwrap();
    let bad = format!("-config={}", file.display());
    for words in [&[bad.as_str()][..], &["-config", "/nowhere/at/all"], &["-log-level=loud"]] {
        let (code, said) = ends(words);
        assert!(code == 15 && said.contains(" [ERR] (cli) "), "{words:?}: {code} {said}");
    }
    let pid_file = format!("-pid-file={}/nowhere/pid", directory.path().display());
    let (code, said) = ends(&["-once", &pid_file, "-prefix=a@dc1"]);
    assert!(code == 14 && said.contains("cannot write the pid file "), "{code} {said}");
    let (code, said) = ends(&["-once"]);
    assert!(
        code == 0 && said.contains("[WARN] (cli) there is no prefix: nothing is copied\n"),
        "{code} {said}"
    );
}

#[test]
fn it_is_a_command_of_the_program_too() {
    let mut command = program();
    command.args(["consul-replicate", "-version"]);
    let (code, _, said) = run(command);
    assert!(code == 0 && said.starts_with("consul-replicate v0.4.0 "), "{code} {said}");
}
