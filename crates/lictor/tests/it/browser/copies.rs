//! Deletes that are held back are looked at and let go.

use lictor_testkit::browser::{Look, Window};
use lictor_testkit::consul::{Datacenters, Site};

use super::{browser, page};
use crate::keys::Keys;
use crate::node::Node;

/// Two datacenters, and a node that copies from the first one to the second one.
struct Rig {
    sites: Datacenters,
    node: Node,
}

impl Rig {
    fn start() -> Self {
        let sites = Datacenters::of(&[Site::new("dc1"), Site::new("dc2")]);
        Keys(sites.server(0)).put_many("global/", 40);
        let blocks = format!(
            "consul {{\n  address = \"{}\"\n}}\nreplicate \"config\" {{\n  prefixes = [\"global/@dc1:copy/\"]\n  \
             delete = true\n  confirm = \"1s\"\n}}\n",
            sites.server(1).http_address()
        );
        let mut node = Node::new(&blocks);
        node.start();
        let rig = Self { sites, node };
        rig.until_there(40);
        rig
    }

    fn source(&self) -> Keys<'_> {
        Keys(self.sites.server(0))
    }

    fn there(&self) -> Keys<'_> {
        Keys(self.sites.server(1))
    }

    fn until_there(&self, count: usize) {
        let so = lictor_testkit::wait::until(crate::node::LONG, || {
            (self.there().below("copy/").len() == count).then_some(())
        });
        assert!(so.is_some(), "{:?}\n{}", self.there().below("copy/"), self.node.log());
    }

    /// More is deleted at the source than goes by itself.
    fn much_is_deleted(&self) {
        self.source().all(&[("delete-tree", "global/00", ""), ("delete-tree", "global/01", "")]);
    }
}

/// From the overview to what is held back, and lets it go.
fn lets_them_go(window: &Window<'_>, rig: &Rig) {
    window.goes_to(&page(&rig.node, "/"));
    window.sees(&[
        "Not all is well with the copies",
        "Replication",
        "40 keys there, 20 at the source",
        "waits for a person",
        "20 deletes are held back",
        "20 of 40 keys are more than 10 %",
    ]);
    window.follows("nav", "Replication");
    window.sees(&["config", "waits for a person", "copy/000", "copy/019"]);
    assert_eq!(rig.there().below("copy/").len(), 40, "they were deleted before anybody said so");
}

const DONE: &[&str] = &["following", "Behind: none; all was as it should be", "20 of 20 keys there"];

#[test]
fn deletes_that_are_held_back_from_a_real_consul_are_let_go_by_a_button() {
    let rig = Rig::start();
    let browser = browser();
    let watching = browser.window(Look::phone());
    watching.goes_to(&page(&rig.node, "/replication"));
    watching.sees(&["live", "following", "Behind: none", "40 of 40 keys there"]);
    let loads = watching.loads();
    rig.much_is_deleted();
    let window = browser.window(Look::default());
    lets_them_go(&window, &rig);
    window.is_sound_as("held");
    watching.sees(&["waits for a person", "copy/000"]);
    window.presses("Delete them from global/@dc1:copy/");
    rig.until_there(20);
    window.sees(DONE);
    window.sees_no_more(&["held back"]);
    watching.sees(DONE);
    assert_eq!(watching.loads(), loads, "the page was loaded anew");
    window.is_sound_as("copied");
    assert_eq!(rig.source().below("global/").len(), 20);
}

#[test]
fn without_scripts_what_a_real_consul_holds_back_is_kept_or_let_go() {
    let rig = Rig::start();
    let browser = browser();
    rig.much_is_deleted();
    let window = browser.window(Look { width: 768, dark: true, ..Look::default() }.without_script());
    lets_them_go(&window, &rig);
    window.is_sound_as("held");
    window.presses("Delete them from global/@dc1:copy/");
    rig.until_there(20);
    window.sees(DONE);
    window.sees_no_more(&["held back"]);
}
