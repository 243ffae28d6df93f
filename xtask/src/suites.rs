//! The tests that need more of a machine than a compiler, and what is done where it is missing.
//!
//! Tiers add up: tier 0 needs nothing, tier 1 a real server or root's rights,
//! tier 2 has several servers and runs its tests one at a time (the group
//! `one-at-a-time` of `.config/nextest.toml`).

use crate::setup::{Host, Tools};

/// The highest tier there is.
pub(crate) const TIERS: u8 = 2;

/// Tests with a common need.
#[derive(Debug)]
pub(crate) struct Suite {
    /// What it is called in the table.
    pub(crate) name: &'static str,
    tier: u8,
    needs: &'static [Need],
    /// Its tests, as a filterset of nextest.
    tests: &'static str,
    /// The same for cargo alone, which knows nothing but words: more than the suite may match.
    pub(crate) words: Words,
}

/// What `cargo test` is told to skip.
#[derive(Debug)]
pub(crate) struct Words {
    /// In the names of unit tests.
    pub(crate) unit: &'static [&'static str],
    /// In the names of integration tests.
    pub(crate) integration: &'static [&'static str],
    /// Packages whose integration tests belong to it one and all.
    pub(crate) packages: &'static [&'static str],
}

/// What a machine must have.
#[derive(Debug)]
pub(crate) enum Need {
    /// Root, for mounts.
    Root,
    /// The program that this variable names.
    Tool(&'static str),
}

/// All of them.
const SUITES: &[Suite] = &[
    Suite {
        name: "tests on a real Consul",
        tier: 1,
        needs: &[Need::Tool("LICTOR_CONSUL_BIN")],
        tests: "binary_id(lictor-consul::it) \
                | (kind(test) & test(/consul|mirror/)) \
                | (package(lictor-testkit) & test(/^consul::/))",
        words: Words {
            unit: &["consul::server::", "consul::cluster::"],
            integration: &["consul", "mirror"],
            packages: &["lictor-consul"],
        },
    },
    Suite {
        name: "tests on files of the real age",
        tier: 1,
        needs: &[Need::Tool("LICTOR_AGE_BIN")],
        tests: "test(/real_age/)",
        words: Words { unit: &["real_age"], integration: &["real_age"], packages: &[] },
    },
    Suite {
        name: "tests on servers of objects",
        tier: 1,
        needs: &[
            Need::Tool("LICTOR_MOTO_BIN"),
            Need::Tool("LICTOR_S3RVER_BIN"),
            Need::Tool("LICTOR_AZURITE_BIN"),
        ],
        tests: "kind(test) & test(/objects::/)",
        words: Words { unit: &[], integration: &["objects::"], packages: &[] },
    },
    Suite {
        name: "tests in a browser",
        tier: 1,
        needs: &[
            Need::Tool("LICTOR_CHROMIUM_BIN"),
            Need::Tool("LICTOR_NODE_BIN"),
            Need::Tool("LICTOR_PLAYWRIGHT_DIR"),
        ],
        tests: "kind(test) & test(/^browser::/)",
        words: Words { unit: &[], integration: &["browser::"], packages: &[] },
    },
    Suite {
        name: "tests as root",
        tier: 1,
        needs: &[Need::Root],
        tests: "kind(test) & test(/^full::/)",
        words: Words { unit: &[], integration: &["full::"], packages: &[] },
    },
    Suite {
        name: "tests on booted hosts",
        tier: 1,
        needs: &[Need::Root, Need::Tool("LICTOR_NSPAWN_BIN"), Need::Tool("LICTOR_DBUS_BIN")],
        tests: "test(/real_host/)",
        words: Words { unit: &["real_host"], integration: &["real_host"], packages: &[] },
    },
    Suite {
        name: "tests of the package for rpm",
        tier: 1,
        needs: &[
            Need::Root,
            Need::Tool("LICTOR_NSPAWN_BIN"),
            Need::Tool("LICTOR_DBUS_BIN"),
            Need::Tool("LICTOR_RPMBUILD_BIN"),
        ],
        tests: "test(/real_rpm/)",
        words: Words { unit: &["real_rpm"], integration: &[], packages: &[] },
    },
    Suite {
        name: "tests on networks of their own",
        tier: 1,
        needs: &[
            Need::Root,
            Need::Tool("LICTOR_IP_BIN"),
            Need::Tool("LICTOR_DNSMASQ_BIN"),
            Need::Tool("LICTOR_FAKETIME_BIN"),
        ],
        tests: "test(/real_network/) | (kind(test) & test(/^mesh::/))",
        words: Words { unit: &["real_network"], integration: &["mesh::"], packages: &[] },
    },
    Suite {
        name: "the manual, done as it is written",
        tier: 1,
        needs: &[
            Need::Root,
            Need::Tool("LICTOR_CONSUL_BIN"),
            Need::Tool("LICTOR_IP_BIN"),
            Need::Tool("LICTOR_AGE_BIN"),
            Need::Tool("LICTOR_JQ_BIN"),
            Need::Tool("LICTOR_JOURNAL_REMOTE_BIN"),
        ],
        tests: "kind(test) & test(/the_blocks_of_/)",
        words: Words { unit: &[], integration: &["the_blocks_of_"], packages: &[] },
    },
    Suite {
        name: "tests on clusters",
        tier: 2,
        needs: &[Need::Tool("LICTOR_CONSUL_BIN")],
        tests: "test(/cluster/)",
        words: Words { unit: &["cluster"], integration: &["cluster"], packages: &[] },
    },
    Suite {
        name: "tests on three booted hosts",
        tier: 2,
        needs: &[
            Need::Root,
            Need::Tool("LICTOR_NSPAWN_BIN"),
            Need::Tool("LICTOR_DBUS_BIN"),
            Need::Tool("LICTOR_IP_BIN"),
            Need::Tool("LICTOR_FAKETIME_BIN"),
            Need::Tool("LICTOR_CONSUL_BIN"),
        ],
        tests: "kind(test) & test(/^fleet::/)",
        words: Words { unit: &[], integration: &["fleet::"], packages: &[] },
    },
];

/// What will be run here and what not.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// Suites of a tier that was not asked for.
    not_asked: Vec<&'static Suite>,
    /// Suites that cannot run here, and why.
    pub(crate) left_out: Vec<(&'static Suite, String)>,
}

impl Choice {
    /// Chooses among all suites, those up to `tier` being asked for.
    pub(crate) fn of(tier: u8, host: &Host, tools: &Tools) -> Self {
        let mut choice = Self::default();
        for suite in SUITES {
            if suite.tier > tier {
                choice.not_asked.push(suite);
            } else if let Some(why) = suite.needs.iter().find_map(|need| need.unmet(host, tools)) {
                choice.left_out.push((suite, why));
            }
        }
        choice
    }

    /// The suites of which no test is run.
    pub(crate) fn skipped(&self) -> impl Iterator<Item = &'static Suite> {
        self.not_asked.iter().copied().chain(self.left_out.iter().map(|&(suite, _)| suite))
    }

    /// What is left, as a filterset of nextest; `None` when it is everything.
    pub(crate) fn filterset(&self) -> Option<String> {
        let without: Vec<String> = self.skipped().map(|suite| format!("not ({})", suite.tests)).collect();
        (!without.is_empty()).then(|| without.join(" & "))
    }
}

impl Need {
    /// Why it is not met here, if it is not.
    pub(crate) fn unmet(&self, host: &Host, tools: &Tools) -> Option<String> {
        match self {
            Self::Root => (!host.is_root()).then(|| "needs root".to_owned()),
            Self::Tool(variable) => {
                let missing = tools.missing.iter().find(|missing| missing.variable == *variable)?;
                Some(format!("needs {}: {}", missing.what, missing.why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Missing;

    fn without_consul() -> Tools {
        let consul =
            Missing { what: "consul", variable: "LICTOR_CONSUL_BIN", why: "this is not Debian".to_owned() };
        Tools { found: Vec::new(), missing: vec![consul] }
    }

    fn left_out(choice: &Choice) -> Vec<(&str, &str)> {
        choice.left_out.iter().map(|(suite, why)| (suite.name, why.as_str())).collect()
    }

    #[test]
    fn a_suite_is_left_out_only_when_it_was_asked_for_and_lacks_something() {
        let choice = Choice::of(1, &Host::pretend(true), &without_consul());
        let with_consul = ["tests on a real Consul", "the manual, done as it is written"];
        assert_eq!(left_out(&choice), with_consul.map(|name| (name, "needs consul: this is not Debian")));
        let skipped: Vec<_> = choice.skipped().map(|suite| suite.name).collect();
        let clusters = ["tests on clusters", "tests on three booted hosts"];
        assert_eq!(skipped, [clusters, with_consul].concat());
        let filterset = choice.filterset().unwrap();
        let begin = "not (test(/cluster/)) & not (kind(test) & test(/^fleet::/)) & not (binary_id(";
        assert!(filterset.starts_with(begin), "{filterset}");
    }

    #[test]
    fn without_root_the_suite_that_needs_it_is_left_out() {
        let choice = Choice::of(TIERS, &Host::pretend(false), &Tools::default());
        let lacks = |name| (name, "needs root");
        let suites = [
            "tests as root",
            "tests on booted hosts",
            "tests of the package for rpm",
            "tests on networks of their own",
            "the manual, done as it is written",
            "tests on three booted hosts",
        ];
        assert_eq!(left_out(&choice), suites.map(lacks));
    }

    #[test]
    fn a_complete_machine_leaves_nothing_out() {
        let choice = Choice::of(TIERS, &Host::pretend(true), &Tools::default());
        assert_eq!(choice.skipped().count(), 0);
        assert_eq!(choice.filterset(), None);
    }
}
