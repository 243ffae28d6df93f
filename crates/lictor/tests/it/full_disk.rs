//! A full disk under the state directory: watching goes on, nothing is acted on, it is said,
//! and with space everything goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lictor_testkit::wait;

use crate::node::Node;

const REPAIR: &str = r#"
watch "exec" "works" {
  command = ["/bin/sh", "-c", "test ! -e @DIR@/broken || exit 2"]
  every   = "1s"
}

rule "repair" {
  on = check.works == "critical"
  act "exec" { command = ["/bin/sh", "-c", "echo $LICTOR_STEP >> @DIR@/ran"] }
}
"#;

/// A small file system of its own.
pub(crate) struct Mount(pub(crate) PathBuf);

impl Mount {
    pub(crate) fn new(at: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&at).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&at)
            .status();
        assert!(status.unwrap().success(), "cannot mount at {}", at.display());
        Self(at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

pub(crate) fn fill(dir: &Path) -> PathBuf {
    let filler = dir.join("filler");
    // It ends by itself: the disk is full.
    let full =
        Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", filler.display())).output();
    assert!(!full.unwrap().status.success(), "the disk has no end");
    filler
}

#[test]
fn a_full_disk_stops_acting_but_not_watching_and_is_told() {
    if !rustix::process::geteuid().is_root() {
        println!("LEFT OUT: a small file system needs root");
        return;
    }
    let mut node = Node::new(REPAIR);
    let mount = Mount::new(node.path("state"), "48m");
    node.start();
    node.until("judged", |node| (node.status("works") == "passing").then_some(()));
    let filler = fill(&mount.0);
    fs::write(node.path("broken"), "").unwrap();
    node.until("it is said", |node| {
        let (_, text, _) = node.says(&["status"]);
        (text.contains("Nothing is acted on") && text.contains("disk") && text.contains("full")).then_some(())
    });
    node.until("it watches", |node| (node.status("works") == "critical").then_some(()));
    node.until("the record says it", |node| node.events().contains("nothing is acted on").then_some(()));
    // Longer than the pause before the next try.
    let acted = wait::until(Duration::from_secs(3), || (!node.read("ran").is_empty()).then_some(()));
    assert_eq!(acted, None, "it was acted on:\n{}", node.events());
    let events = node.events();
    assert!(!events.contains("repair started"), "the space kept back is for the word alone:\n{events}");
    fs::remove_file(filler).unwrap();
    node.until("it acts", |node| (node.read("ran").lines().count() == 1).then_some(()));
    node.until("it is said that it is over", |node| {
        node.events().contains("it can be recorded again").then_some(())
    });
    assert_eq!(node.events().matches("nothing is acted on").count(), 1, "{}", node.events());
    node.kill();
}
