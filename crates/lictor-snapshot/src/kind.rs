//! What a record is about.

use std::fmt;

/// The byte before a record: which of Consul's types it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(u8);

impl Kind {
    /// A node, or a node with one of its services or checks.
    pub const REGISTER: Self = Self(0);
    /// A key and its value.
    pub const KVS: Self = Self(2);
    /// A session.
    pub const SESSION: Self = Self(3);
    /// A token of the access control that was before Consul 1.4. Its ID is its secret.
    pub const LEGACY_ACL: Self = Self(4);
    /// A key that was deleted.
    pub const TOMBSTONE: Self = Self(5);
    /// Where nodes are in the network.
    pub const COORDINATES: Self = Self(6);
    /// A prepared query.
    pub const PREPARED_QUERY: Self = Self(7);
    /// How dead servers are removed.
    pub const AUTOPILOT: Self = Self(9);
    /// An intention as it was before Consul 1.9.
    pub const INTENTION: Self = Self(12);
    /// A root certificate.
    pub const CA_ROOT: Self = Self(13);
    /// What the built-in certificate authority keeps, its private key among it.
    pub const CA_PROVIDER_STATE: Self = Self(14);
    /// How the certificate authority is configured.
    pub const CA_CONFIG: Self = Self(15);
    /// When a table was changed last.
    pub const INDEX: Self = Self(16);
    /// A token.
    pub const ACL_TOKEN: Self = Self(17);
    /// A policy.
    pub const ACL_POLICY: Self = Self(19);
    /// A config entry.
    pub const CONFIG_ENTRY: Self = Self(22);
    /// A role.
    pub const ACL_ROLE: Self = Self(23);
    /// A rule that gives roles or services to who logs in.
    pub const ACL_BINDING_RULE: Self = Self(25);
    /// A way to log in.
    pub const ACL_AUTH_METHOD: Self = Self(27);
    /// Parts of large commands; comes last.
    pub const CHUNKING_STATE: Self = Self(29);
    /// What a datacenter says of its gateways.
    pub const FEDERATION_STATE: Self = Self(30);
    /// Facts that the servers note for themselves, one of which may be a token.
    pub const SYSTEM_METADATA: Self = Self(31);
    /// A virtual address.
    pub const SERVICE_VIRTUAL_IP: Self = Self(32);
    /// A virtual address that can be given.
    pub const FREE_VIRTUAL_IP: Self = Self(33);
    /// A peering.
    pub const PEERING: Self = Self(35);
    /// What a peer's certificates are checked by.
    pub const PEERING_TRUST_BUNDLE: Self = Self(38);
    /// The secrets of a peering.
    pub const PEERING_SECRET: Self = Self(40);
    /// A resource of the second catalog.
    pub const RESOURCE: Self = Self(42);
    /// Which features are switched on.
    pub const FEATURE_GATE: Self = Self(45);

    /// The bit that says: who does not know this type may leave it out.
    const IGNORABLE: u8 = 128;

    /// The kind with this number.
    #[must_use]
    pub fn new(byte: u8) -> Self {
        Self(byte)
    }

    /// Its number.
    #[must_use]
    pub fn byte(self) -> u8 {
        self.0
    }

    /// What the newest Consul calls it; nothing if it knows none of this number.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "Register",
            1 => "Deregister",
            2 => "KVS",
            3 => "Session",
            4 => "ACL",
            5 => "Tombstone",
            6 => "CoordinateBatchUpdate",
            7 => "PreparedQuery",
            8 => "Txn",
            9 => "Autopilot",
            10 => "Area",
            11 => "ACLBootstrap",
            12 => "Intention",
            13 => "ConnectCA",
            14 => "ConnectCAProviderState",
            15 => "ConnectCAConfig",
            16 => "Index",
            17 => "ACLToken",
            18 => "ACLTokenDelete",
            19 => "ACLPolicy",
            20 => "ACLPolicyDelete",
            21 => "ConnectCALeaf",
            22 => "ConfigEntry",
            23 => "ACLRole",
            24 => "ACLRoleDelete",
            25 => "ACLBindingRule",
            26 => "ACLBindingRuleDelete",
            27 => "ACLAuthMethod",
            28 => "ACLAuthMethodDelete",
            29 => "ChunkingState",
            30 => "FederationState",
            31 => "SystemMetadata",
            32 => "ServiceVirtualIP",
            33 => "FreeVirtualIP",
            34 => "KindServiceName",
            35 => "Peering",
            36 => "PeeringDelete",
            // 37 has a number and no name there.
            38 => "PeeringTrustBundle",
            39 => "PeeringTrustBundleDelete",
            40 => "PeeringSecret",
            41 => "RaftLogVerifierCheckpoint",
            42 => "Resource",
            43 => "UpdateManualVirtualIPRequestType",
            45 => "FeatureGate",
            _ => return None,
        })
    }

    /// Whether the number has the bit that allows to leave it out. In snapshots it was not seen.
    #[must_use]
    pub fn is_ignorable(self) -> bool {
        self.0 & Self::IGNORABLE != 0
    }

    /// Whether an open Consul of this version (major, minor) takes a record of this kind from a snapshot.
    /// One that does not gives up the restore half-way, and with it its process.
    ///
    /// For versions before 1.8 the answer is that of 1.8.
    #[must_use]
    pub fn restored_by(self, version: (u16, u16)) -> bool {
        match self.0 {
            0 | 2 | 3 | 5..=7 | 9 | 12..=17 | 19 | 22 | 23 | 25 | 27 | 29 | 30 => true,
            4 | 11 => version < (1, 11),
            31 => version >= (1, 9),
            32 | 33 => version >= (1, 11),
            35 | 38 | 40 => version >= (1, 13),
            42 => version >= (1, 16),
            45 => version >= (2, 1),
            _ => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Unknown({})", self.0),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({}, {self})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_without_a_name_is_shown_by_its_number() {
        assert_eq!(Kind::KVS.to_string(), "KVS");
        assert_eq!(Kind::new(37).to_string(), "Unknown(37)");
        assert_eq!(Kind::new(200).to_string(), "Unknown(200)");
    }

    #[test]
    fn an_old_server_is_not_given_what_is_newer_than_it() {
        assert!(Kind::KVS.restored_by((1, 8)));
        assert!(!Kind::SYSTEM_METADATA.restored_by((1, 8)));
        assert!(Kind::SYSTEM_METADATA.restored_by((1, 9)));
        assert!(Kind::SYSTEM_METADATA.restored_by((2, 0)));
        assert!(Kind::LEGACY_ACL.restored_by((1, 10)));
        assert!(!Kind::LEGACY_ACL.restored_by((1, 11)));
        assert!(!Kind::new(70).restored_by((1, 20)));
    }

    #[test]
    fn the_bit_that_allows_leaving_out_is_seen() {
        assert!(Kind::new(128 + 45).is_ignorable());
        assert!(!Kind::FEATURE_GATE.is_ignorable());
    }
}
