//! The tutorial is done as it is written: each block in a shell, in its order.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lictor_testkit::process::Child;
use lictor_testkit::{ports, wait};
use rustix::process::Signal;

const TEXT: &str = include_str!("../../../../docs/tutorial.md");

const LONG: Duration = Duration::from_secs(60);

/// The blocks for a shell, each with the heading that it stands below.
fn blocks(text: &str) -> Vec<(String, String)> {
    let (mut blocks, mut heading, mut block) = (Vec::new(), String::new(), None);
    for line in text.lines() {
        match &mut block {
            None if line.starts_with("## ") => heading = line.to_owned(),
            None if line == "```sh" => block = Some(String::new()),
            None => {}
            Some(_) if line == "```" => blocks.push((heading.clone(), block.take().unwrap())),
            Some(block) => block.extend([line, "\n"]),
        }
    }
    blocks
}

/// What somebody sees there who does it.
fn wanted(heading: &str, block: &str) -> &'static [&'static str] {
    match heading {
        "## 3. Run it" => &["its one check passes"],
        "## 4. Close the shop" if block.contains("incidents") => &["i1  shop", "open\n"],
        "## 5. What happened?" => &["shop went from critical to passing", "incident of shop closed"],
        "## 6. Kill Lictor, too" => &["i1  shop", "closed"],
        _ => &[],
    }
}

#[test]
fn the_tutorial_ends_with_a_fault_that_has_healed() {
    let dir = tempfile::tempdir().unwrap();
    let (bin, work) = (dir.path().join("bin"), dir.path().join("work"));
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_lictor"), bin.join("lictor")).unwrap();
    let (page, shop) = (ports::free(), ports::free());
    // Two tests, or a person who does the tutorial, may use this machine at a time.
    let text = TEXT
        .replace("/tmp/lictor-tutorial", work.to_str().unwrap())
        .replace("8080", &shop.to_string())
        .replace("node {\n", &format!("http {{\n  address = \"127.0.0.1:{page}\"\n}}\n\nnode {{\n"));
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let shell = |block: &str| {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", block]).current_dir(if work.is_dir() {
            &work
        } else {
            dir.path()
        });
        command.env("PATH", &path).env("LICTOR_HTTP_ADDR", format!("http://127.0.0.1:{page}"));
        command
    };
    let _last = OnDrop(&work);
    let mut agent: Option<Child> = None;
    let mut begun = String::new();
    for (heading, block) in blocks(&text) {
        if block.contains("lictor run ") {
            // The shell becomes it, so that it can be killed.
            begun = block.replace("lictor run", "exec lictor run");
            agent = Some(Child::spawn("lictor", shell(&begun), dir.path()).unwrap());
            continue;
        }
        if heading.starts_with("## 6.") {
            let mut killed = agent.take().unwrap();
            killed.signal(Signal::KILL).unwrap();
            killed.wait(LONG).unwrap();
            agent = Some(Child::spawn("lictor-again", shell(&begun), dir.path()).unwrap());
        }
        let wanted = wanted(&heading, &block);
        // What only looks, looks until there is something to see.
        let looks = block.lines().all(|line| line.starts_with("lictor ") || line.starts_with("curl "));
        let mut last = None;
        let done = wait::until(if looks { LONG } else { Duration::ZERO }, || {
            let output = shell(&block).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            let good = output.status.success() && wanted.iter().all(|part| said.contains(part));
            last = Some(output);
            good.then_some(())
        });
        let log = agent.as_ref().map(|agent| fs::read_to_string(agent.log()).unwrap());
        assert!(done.is_some(), "{heading}\n{block}not {wanted:?}: {last:?}\n{log:?}");
    }
    let mut agent = agent.unwrap();
    agent.signal(Signal::TERM).unwrap();
    assert!(agent.wait(LONG).unwrap().is_some());
    assert!(!work.exists(), "the last block cleans up");
}

/// Closes the shop, also of a test that has failed.
struct OnDrop<'a>(&'a Path);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.0.join("shop.pid")) {
            drop(Command::new("kill").arg(pid.trim()).status());
        }
    }
}
