//! A service of two machines with their own systemd, as docs/services.md sets it up and moves it.

use std::path::PathBuf;

use lictor_testkit::host::{Host, Options};
use lictor_testkit::net::{Net, v4};
use lictor_testkit::{consul, wait};

use super::{blocks, shown};
use crate::node::LONG;

const PAGE: &str = "services.md";

const AGENT: &str = "[Service]\nType=notify\nExecStart=/usr/local/bin/lictor run --config /etc/lictor.d\n\
                     StateDirectory=lictor\nKillMode=process\n";

/// Without how long each step took, which is not said of one that nobody has seen under way.
fn timeless(text: &str) -> String {
    regex::Regex::new(r" \(\d+\.\ds\)").unwrap().replace_all(text, "").into_owned()
}

/// Two machines on a network.
struct Pair {
    hosts: Vec<Host>,
    _net: Net,
}

impl Pair {
    /// Both have Consul, an agent that knows of no service, and the unit, which was enabled.
    fn boot() -> Self {
        let net = Net::new(0);
        let options = Options {
            programs: vec![PathBuf::from(env!("CARGO_BIN_EXE_lictor")), consul::binary()],
            ..Options::default()
        };
        let hosts: Vec<Host> = (0..2).map(|_| Host::with(&options)).collect();
        for (number, host) in hosts.iter().enumerate() {
            net.plug(number, host.leader());
            host.ok(&["hostname", &format!("node{}", number + 1)]);
            let server = if number == 0 { "-server -bootstrap-expect=1" } else { "" };
            host.unit(
                "consul.service",
                &format!(
                    "[Service]\nExecStart=/usr/local/bin/consul agent {server} -node=node{} -bind={} \
                     -retry-join={} -retry-interval=1s -data-dir=/var/lib/consul\n",
                    number + 1,
                    v4(number),
                    v4(1 - number)
                ),
            );
            host.unit("lictor.service", AGENT);
            host.unit(
                "shop.service",
                "[Service]\nExecStart=/bin/sleep 1000000\n[Install]\nWantedBy=multi-user.target\n",
            );
            host.write("/etc/lictor.d/lictor.hcl", "consul {}\n");
            host.ok(&["mkdir", "-p", "/etc/lictor"]);
            host.ok(&["systemctl", "enable", "--quiet", "--now", "shop"]);
            host.ok(&["systemctl", "start", "--no-block", "consul", "lictor"]);
        }
        Self { hosts, _net: net }
    }

    /// The configuration of the page, with the address of each, and peers.
    fn configure(&self) {
        let config = blocks::containing(PAGE, "hcl", "cluster {");
        for (number, host) in self.hosts.iter().enumerate() {
            let (own, other) = (v4(number), v4(1 - number));
            let peers = format!(
                "probe {{\n  address = \"{own}:5988\"\n  open = true\n  volumes = []\n}}\n\
                 peers {{\n  static = [\"{other}:5988\"]\n  every = \"1s\"\n  timeout = \"500ms\"\n}}\n"
            );
            host.write("/etc/lictor.d/lictor.hcl", &(config.replace("10.0.0.1", &own.to_string()) + &peers));
        }
    }

    /// Types a block on one of them. What only looks does it until it is so.
    #[track_caller]
    fn types(&self, number: usize, page: &str, begins: &str) {
        for turn in blocks::named(page, begins).turns {
            let mut last = String::new();
            let looks = turn.typed.contains(" status ") || turn.typed.contains(" init ");
            let done = wait::until(if looks { LONG } else { std::time::Duration::ZERO }, || {
                let output = self.hosts[number].run(&[
                    "bash",
                    "-euo",
                    "pipefail",
                    "-c",
                    &format!("exec 2>&1\n{}", turn.typed),
                ]);
                let differs = match output.code {
                    0 if turn.shown.is_empty() => None,
                    0 => shown::difference(&timeless(&turn.shown), &timeless(&output.stdout)),
                    code => Some(format!("it ends with {code}")),
                };
                last = format!("{}\n{}", differs.clone().unwrap_or_default(), output.stdout);
                differs.is_none().then_some(())
            });
            assert!(done.is_some(), "{page}: {}\n{last}\n{}", turn.typed, self.log());
        }
    }

    fn until(&self, number: usize, argv: &[&str]) {
        let done = wait::until(LONG, || (self.hosts[number].run(argv).code == 0).then_some(()));
        assert!(done.is_some(), "{argv:?}\n{}", self.log());
    }

    fn log(&self) -> String {
        let log = ["journalctl", "--unit=lictor", "--output=cat", "--lines=40"];
        self.hosts.iter().map(|host| host.run(&log).stdout).collect()
    }
}

#[test]
fn on_real_hosts_the_blocks_of_services_do_what_they_say() {
    let pair = Pair::boot();
    pair.types(0, PAGE, "openssl rand -hex 32 > /etc/lictor/cluster.key");
    pair.hosts[1].write("/etc/lictor/cluster.key", &pair.hosts[0].read("/etc/lictor/cluster.key"));
    pair.configure();
    for number in [0, 1] {
        pair.until(number, &["consul", "kv", "get", "-keys", "lictor/"]);
        pair.types(number, PAGE, "systemctl disable --now shop.service");
    }
    pair.types(0, PAGE, "lictor service status shop");
    pair.types(0, PAGE, "lictor service switchover shop");
    pair.until(1, &["systemctl", "is-active", "shop"]);
    assert_ne!(pair.hosts[0].run(&["systemctl", "is-active", "shop"]).code, 0);

    pair.hosts[0].ok(&["lictor", "service", "switchover", "shop"]);
    pair.types(
        0,
        "http.md",
        "curl -s http://127.0.0.1:8510/v1/services/shop/switchover -d '{\"by\": \"ann\"}'",
    );
    pair.until(1, &["systemctl", "is-active", "shop"]);
}
