//! Where things lie in Consul.

use lictor_core::service::Role;

use super::cli::State;

/// The tag of an instance that DNS and prepared queries are to leave out.
pub const NODNS: &str = "nodns";

/// The members of cluster data that say who is active.
pub const CLUSTER_KEYS: [&str; 4] =
    ["active_nodes", "standby_nodes", "active_datacenter", "standby_datacenter"];

/// The key of a service's cluster data.
#[must_use]
pub fn cluster_key(prefix: &str, service: &str) -> String {
    format!("{}/{service}", prefix.trim_matches('/'))
}

/// The key of what is run for a service of which a check fails.
#[must_use]
pub fn action_key(service: &str, role: Role, state: State) -> String {
    format!("triggers/{service}/{}/{}", role_name(role), state.as_str())
}

/// The old name of a role.
#[must_use]
pub const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Standalone => "standalone",
        Role::Active => "primary",
        Role::Standby => "secondary",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_where_they_were() {
        assert_eq!(cluster_key("cluster/production", "web"), "cluster/production/web");
        assert_eq!(cluster_key("/cluster/", "web"), "cluster/web");
        assert_eq!(action_key("web", Role::Standby, State::Critical), "triggers/web/secondary/critical");
    }
}
