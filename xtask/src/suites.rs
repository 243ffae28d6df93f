//! The test suites that need more of a machine than a compiler, told apart by the names of their tests.
//!
//! A test belongs to a suite when its path (`module::module::test`) contains the
//! suite's name. Tiers add up: tier 0 needs nothing, tier 1 has one real server
//! in each test, tier 2 has clusters and hosts and runs its tests one at a time
//! (the group `one-at-a-time` of `.config/nextest.toml`).

use crate::setup::{Host, Tools};

/// The highest tier there is.
pub(crate) const TIERS: u8 = 2;

/// Tests with a common need.
#[derive(Debug)]
pub(crate) struct Suite {
    /// What the path of each of its tests contains.
    pub(crate) name: &'static str,
    tier: u8,
    needs: &'static [Need],
}

#[derive(Debug)]
enum Need {
    /// Root, for namespaces and mounts.
    Root,
    /// The program that this variable names.
    Tool(&'static str),
}

/// All of them.
pub(crate) const SUITES: &[Suite] = &[
    Suite { name: "real_consul", tier: 1, needs: &[Need::Tool("LICTOR_CONSUL_BIN")] },
    Suite { name: "real_nginx", tier: 1, needs: &[Need::Tool("LICTOR_NGINX_BIN")] },
    Suite { name: "real_dns", tier: 1, needs: &[Need::Tool("LICTOR_DNSMASQ_BIN")] },
    Suite { name: "real_root", tier: 1, needs: &[Need::Root] },
    Suite { name: "cluster", tier: 2, needs: &[Need::Tool("LICTOR_CONSUL_BIN")] },
    Suite {
        name: "real_host",
        tier: 2,
        needs: &[Need::Root, Need::Tool("LICTOR_IP_BIN"), Need::Tool("LICTOR_NFT_BIN")],
    },
];

/// What will be run here and what not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Suites of a tier that was not asked for.
    pub(crate) not_asked: Vec<&'static str>,
    /// Suites that cannot run here, and why.
    pub(crate) left_out: Vec<(&'static str, String)>,
}

impl Choice {
    /// Chooses among all suites, those up to `tier` being asked for.
    pub(crate) fn of(tier: u8, host: &Host, tools: &Tools) -> Self {
        let mut choice = Self::default();
        for suite in SUITES {
            if suite.tier > tier {
                choice.not_asked.push(suite.name);
            } else if let Some(why) = suite.needs.iter().find_map(|need| need.unmet(host, tools)) {
                choice.left_out.push((suite.name, why));
            }
        }
        choice
    }

    /// The names that no test to be run may contain.
    pub(crate) fn skipped(&self) -> Vec<&'static str> {
        self.not_asked.iter().copied().chain(self.left_out.iter().map(|&(name, _)| name)).collect()
    }
}

impl Suite {
    /// Whether its tests run one at a time.
    pub(crate) fn is_serial(&self) -> bool {
        self.tier == 2
    }
}

impl Need {
    fn unmet(&self, host: &Host, tools: &Tools) -> Option<String> {
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

    #[test]
    fn a_suite_is_left_out_only_when_it_was_asked_for_and_lacks_something() {
        let choice = Choice::of(1, &Host::pretend(true), &without_consul());
        assert_eq!(choice.not_asked, ["cluster", "real_host"]);
        assert_eq!(choice.left_out, [("real_consul", "needs consul: this is not Debian".to_owned())]);
        assert_eq!(choice.skipped(), ["cluster", "real_host", "real_consul"]);
    }

    #[test]
    fn without_root_the_suites_that_need_it_are_left_out() {
        let choice = Choice::of(TIERS, &Host::pretend(false), &Tools::default());
        let names: Vec<_> = choice.left_out.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["real_root", "real_host"]);
    }

    #[test]
    fn a_complete_machine_leaves_nothing_out() {
        assert_eq!(Choice::of(TIERS, &Host::pretend(true), &Tools::default()), Choice::default());
    }
}
