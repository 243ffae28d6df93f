//! `lictor snapshot state`: what Lictor remembers is saved while it runs, and put in the place of what is lost.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::node::Node;

/// A remedy that is under way until a file comes; it must not be done twice.
const BLOCKS: &str = r#"
watch "exec" "works" {
  command = ["/bin/sh", "-c", "echo x >> @DIR@/looks; test -e @DIR@/fixed || exit 2"]
  every   = "1s"
  timeout = "1s"
}

remedy "repair" {
  on       = check.works != "passing"
  cooldown = "1h"

  step "charge" {
    act "exec" { command = ["/bin/sh", "-c", "echo x >> @DIR@/charged; sleep 300"] }
  }
}
"#;

/// A node whose remedy has begun, once.
fn under_way() -> Node {
    let mut node = Node::new(BLOCKS);
    node.start();
    node.until("the remedy runs", |node| (node.read("charged").lines().count() == 1).then_some(()));
    node
}

fn state(node: &Node) -> std::path::PathBuf {
    node.path("state/state.redb")
}

fn kept(node: &Node) -> Vec<String> {
    let entries = fs::read_dir(node.path("state")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("state.redb.")).collect();
    names.sort();
    names
}

fn text(node: &Node, name: &str) -> String {
    node.path(name).display().to_string()
}

#[test]
fn a_run_that_was_under_way_in_a_saved_state_waits_for_a_person_and_is_not_done_again() {
    let mut node = under_way();
    let file = text(&node, "a.state");
    let (code, out, said) = node.says(&["snapshot", "state", "save", &file]);
    assert_eq!((code, out.as_str()), (0, ""), "{said}");
    assert!(
        said.contains("Saved and verified the state of test: ") && said.contains("1 run that is not over"),
        "{said}"
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(kept(&node), Vec::<String>::new(), "nothing is left of making it");

    // The machine is lost, and its disk.
    node.kill();
    fs::remove_dir_all(node.path("state")).unwrap();
    let dir = text(&node, "state");
    let (code, out, said) = node.says(&["snapshot", "state", "restore", "--state-dir", &dir, &file]);
    assert!(code == 2 && out.contains("Runs that wait for a person then: r1"), "{out} {said}");
    assert!(said.contains("nobody can be asked"), "{said}");
    let dry = ["snapshot", "state", "restore", "--dry-run", "--state-dir", &dir, &file];
    let (code, out, said) = node.says(&dry);
    assert!(code == 0 && out.contains("would be put where there is no state"), "{out} {said}");
    assert!(!state(&node).exists());
    let (code, out, said) = node.says(&["snapshot", "state", "restore", "--yes", "--state-dir", &dir, &file]);
    assert!(code == 0 && out.contains("Restored the state of "), "{out} {said}");
    assert!(said.contains("r1 waits for a person"), "{said}");

    node.start();
    let run =
        node.until("the run is parked", |node| node.runs().into_iter().find(|run| run["state"] == "parked"));
    assert_eq!(run["id"], "r1");
    let events = node.events();
    assert!(events.contains("state restored from a copy of "), "{events}");
    assert!(events.contains("it was at step `charge` in a copy of "), "{events}");
    // The check is critical, and the remedy would like to: what waits keeps it from beginning anew.
    let looks = |node: &Node| node.read("looks").lines().count();
    let until = looks(&node) + 4;
    node.until("it is seen to be wrong again and again", |node| (looks(node) > until).then_some(()));
    assert_eq!(node.read("charged").lines().count(), 1, "{}", node.events());
    let (code, _, said) = node.says(&["remedy", "cancel", "r1"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn nothing_is_restored_under_a_running_agent_and_what_there_was_is_kept() {
    let mut node = under_way();
    let (file, dir) = (text(&node, "a.state"), text(&node, "state"));
    let restore = ["snapshot", "state", "restore", "--yes", "--state-dir", &dir, &file];
    assert_eq!(node.says(&["snapshot", "state", "save", &file]).0, 0);
    let (code, out, said) = node.says(&restore);
    assert!(code == 8 && said.contains("is in use by process") && out.is_empty(), "{out} {said}");
    let (code, _, said) = node.says(&["snapshot", "state", "save", "--state-dir", &dir, &file]);
    assert!(code == 8 && said.contains("without --state-dir"), "{said}");
    node.kill();

    let before = fs::read(state(&node)).unwrap();
    assert_eq!(node.says(&restore).0, 0);
    assert_eq!(kept(&node), ["state.redb.replaced-1"]);
    assert!(fs::read(node.path("state/state.redb.replaced-1")).unwrap() == before);
    assert_eq!(node.says(&restore).0, 0);
    assert_eq!(kept(&node), ["state.redb.replaced-1", "state.redb.replaced-2"]);

    // Of an agent that does not run.
    let other = text(&node, "b.state");
    let (code, _, said) = node.says(&["snapshot", "state", "save", "--state-dir", &dir, &other]);
    assert!(code == 0 && said.contains("1 run that is not over"), "{said}");
}

#[test]
fn what_is_damaged_is_not_restored_and_what_is_sealed_is_opened() {
    let mut node = under_way();
    let (file, dir) = (text(&node, "a.state.age"), text(&node, "state"));
    let (identity, recipient) = crate::keys::pair();
    fs::write(node.path("identity"), identity).unwrap();
    let (code, _, said) = node.says(&["snapshot", "state", "save", "--encrypt-to", recipient, &file]);
    assert!(code == 0 && said.contains("Saved, verified and sealed the state"), "{said}");
    node.kill();
    let restore = ["snapshot", "state", "restore", "--yes", "--state-dir", &dir];
    let with = |more: &[&str]| node.says(&[&restore[..], more].concat());
    let (code, _, said) = with(&[&file]);
    assert!(code == 1 && said.contains("--identity FILE or --passphrase-file FILE"), "{said}");
    let key = text(&node, "identity");
    let whole = fs::read(&file).unwrap();
    let place = whole.len() / 2;
    let mut damaged = whole.clone();
    damaged[place] ^= 1;
    for bad in [&whole[..place], &damaged, b"", b"redb"] {
        let bad_file = text(&node, "bad");
        fs::write(&bad_file, bad).unwrap();
        let before = fs::read(state(&node)).unwrap();
        let (code, _, said) = with(&["--identity", &key, &bad_file]);
        assert!(code != 0, "{said}");
        assert!(fs::read(state(&node)).unwrap() == before);
        assert_eq!(kept(&node), Vec::<String>::new(), "{said}");
    }
    let (code, _, said) = with(&["--identity", &key, &file]);
    assert_eq!(code, 0, "{said}");
    node.start();
    node.until("the run is parked", |node| node.runs().into_iter().find(|run| run["state"] == "parked"));
}
