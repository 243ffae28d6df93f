//! The manual is done as it is written: each block of README.md and of the pages in docs/ that a person types is typed
//! into a shell, on a machine of its own, and what the page shows for it has to come.
//!
//! Whoever adds a block says in the table of its page in which world it is run: a function that makes what the page
//! takes for granted (a Consul, an agent with a configuration, files), out of what the blocks before have left. Where
//! numbers, times and ids differ that is no difference; `…` in a page stands for anything.

mod acting;
mod alerting;
mod asking;
mod blocks;
mod copying;
mod peering;
mod serving;
mod shown;
mod snapshots;
mod stage;
mod starting;
mod supervising;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use lictor_testkit::net::Net;

use self::stage::Stage;

/// A page, and what is done with its blocks.
struct Page {
    name: &'static str,
    blocks: &'static [(&'static str, How)],
}

/// What is done with a block, which is named by the first line that is typed.
enum How {
    /// It is typed in this world.
    In(fn(&mut Stage<'_>)),
    /// The same, and then this is so.
    Then(fn(&mut Stage<'_>), fn(&mut Stage<'_>)),
    /// It is not typed here, and why.
    Not(&'static str),
}

/// All pages with blocks.
const PAGES: &[&Page] = &[
    &starting::README,
    &starting::CONFIGURATION,
    &starting::INSTALL,
    &starting::TUTORIAL,
    &acting::ACTIONS,
    &acting::SERVICES,
    &alerting::ALERTS,
    &asking::HTTP,
    &copying::CONSUL_ACL,
    &copying::REPLICATE,
    &peering::PEERS,
    &peering::PEERS_SCALE,
    &snapshots::SNAPSHOT,
    &snapshots::SNAPSHOT_AGENT,
    &starting::JEPSEN,
    &supervising::SUPERVISOR,
];

/// Types all of a page, on a machine of its own.
#[track_caller]
fn done(page: &Page) {
    let net = Net::new(1);
    net.on(0, || {
        let mut stage = Stage::new(&net);
        for block in blocks::of(page.name) {
            let how = page.blocks.iter().find(|(begins, _)| *begins == block.begins());
            match how.map(|(_, how)| how) {
                Some(How::In(world)) => {
                    world(&mut stage);
                    stage.types(page.name, &block);
                }
                Some(How::Then(world, then)) => {
                    world(&mut stage);
                    stage.types(page.name, &block);
                    then(&mut stage);
                }
                Some(How::Not(_)) => {}
                None => panic!("{}, line {}: the block is in no table", page.name, block.line),
            }
        }
        stage.stop();
    });
}

#[test]
fn every_block_of_the_manual_is_done_or_has_a_reason_why_not() {
    let files = fs::read_dir(blocks::root().join("docs")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut pages: BTreeSet<String> = names.filter(|name| name.ends_with(".md")).collect();
    pages.insert("README.md".to_owned());
    let mut wrong = Vec::new();
    for page in PAGES.iter().filter(|page| !pages.contains(page.name)) {
        wrong.push(format!("{} is in the table and is no page: take it out of `PAGES`", page.name));
    }
    for name in pages {
        let table = PAGES.iter().find(|page| page.name == name).map_or(&[][..], |page| page.blocks);
        let found = blocks::of(&name);
        let mut left: Vec<&str> = table.iter().map(|(begins, _)| *begins).collect();
        for block in &found {
            match left.iter().position(|begins| *begins == block.begins()) {
                Some(place) => drop(left.remove(place)),
                None => wrong.push(format!(
                    "{name}, line {}: nothing says in which world `{}` is run. Add it to the table of the page, beside {}, \
                     with a function that makes that world, or with the reason why it cannot be run",
                    block.line,
                    block.begins(),
                    file!(),
                )),
            }
        }
        wrong.extend(left.iter().map(|begins| {
            format!("{name} has no block any more that begins with `{begins}`: take it out of the table of the page")
        }));
        for (begins, how) in table {
            if let How::Not(why) = how {
                assert!(why.len() > 20, "{name}: {begins}: why not?");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_page_with_a_world_has_a_test_that_types_it() {
    let listed = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let tests = String::from_utf8(listed.stdout).unwrap();
    for page in PAGES.iter().filter(|page| page.blocks.iter().any(|(_, how)| !matches!(how, How::Not(_)))) {
        let name = page.name.trim_end_matches(".md").to_lowercase().replace('-', "_");
        let test = format!("the_blocks_of_{name}_do_what_they_say");
        assert!(tests.contains(&test), "{} has no test `{test}`, which calls `done`", page.name);
    }
}
