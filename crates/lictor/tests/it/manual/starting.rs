//! The first steps: README.md, the configuration, and what installs, builds or tests Lictor itself.

use lictor_testkit::service::{Answer, Service};

use super::How::{In, Not, Then};
use super::{Page, blocks, done};
use crate::manual::stage::Stage;

const BUILDS: &str = "it builds the program, or is the run of all tests";

const DIST: &str = "xtask/src/dist/tests.rs makes it of what was built, and installs it on a booted host";

pub(super) const README: Page = Page {
    name: "README.md",
    blocks: &[
        ("cargo run --release -- dev", Not(BUILDS)),
        ("cargo xtask test", Not(BUILDS)),
        ("lictor validate /etc/lictor.d", Then(a_shop, nothing_was_restarted)),
    ],
};

pub(super) const CONFIGURATION: Page =
    Page { name: "configuration.md", blocks: &[("lictor validate /etc/lictor.d", In(a_watched_shop))] };

pub(super) const INSTALL: Page = Page {
    name: "install.md",
    blocks: &[
        ("apt install ./lictor_0.1.0_amd64.deb", Not(DIST)),
        ("dnf install ./lictor-0.1.0-1.x86_64.rpm", Not(DIST)),
        ("sha256sum --check --ignore-missing SHA256SUMS", Not(DIST)),
        ("openssl rand -hex 24 > container/lictor-token", Not("it builds an image and needs podman-compose")),
    ],
};

pub(super) const JEPSEN: Page = Page {
    name: "jepsen.md",
    blocks: &[(
        "lictor-jepsen run --target lictor --workload failover --nemesis kill-active,partition-active --nodes 3 --time 120",
        Not("runs of two minutes; the tests of lictor-jepsen do the same with shorter ones"),
    )],
};

/// Each block of it is done by a test of its own.
const ELSEWHERE: super::How = Not("crates/lictor/tests/it/tutorial.rs does the whole page, with its waits");

pub(super) const TUTORIAL: Page = Page {
    name: "tutorial.md",
    blocks: &[
        ("mkdir -p /tmp/lictor-tutorial/shop && cd /tmp/lictor-tutorial", ELSEWHERE),
        ("curl -fsS http://127.0.0.1:8080/", ELSEWHERE),
        ("cat > shop.hcl <<'END'", ELSEWHERE),
        ("cd /tmp/lictor-tutorial", ELSEWHERE),
        ("lictor status", ELSEWHERE),
        ("kill $(cat shop.pid)", ELSEWHERE),
        ("lictor incidents", ELSEWHERE),
        ("lictor incidents i1", ELSEWHERE),
        ("lictor incidents", ELSEWHERE),
        ("kill $(cat shop.pid)", ELSEWHERE),
    ],
};

/// The agent is ready; it may have judged nothing yet.
const READY: &str = "curl -fsS http://127.0.0.1:8510/-/ready";

/// The configuration of a page, with a shop that answers.
fn open_shop(stage: &mut Stage<'_>, page: &str) {
    let shop = Service::answering(vec![Answer::new(200, "open")]);
    let config = blocks::containing(page, "hcl", "watch \"http\" \"shop\"");
    stage.write("/etc/lictor.d/lictor.hcl", &config.replace("https://shop.example/health", &shop.url()));
    stage.world.services.push(shop);
    stage.goes_on("lictor run", READY);
    stage.looks();
}

fn a_shop(stage: &mut Stage<'_>) {
    open_shop(stage, "README.md");
}

fn a_watched_shop(stage: &mut Stage<'_>) {
    open_shop(stage, "configuration.md");
}

fn nothing_was_restarted(stage: &mut Stage<'_>) {
    assert_eq!(stage.told(), "", "a shop that is well was restarted");
}

#[test]
fn the_blocks_of_readme_do_what_they_say() {
    done(&README);
}

#[test]
fn the_blocks_of_configuration_do_what_they_say() {
    done(&CONFIGURATION);
}
