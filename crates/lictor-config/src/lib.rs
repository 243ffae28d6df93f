//! Lictor's configuration: HCL or JSON text into typed values. Every mistake has its
//! place, a code and a way out, and all are shown at once.

mod model;
mod secret;

pub use model::{
    Action, Command, Config, Consul, Disk, Dns, DnsRecord, Family, Heartbeat, Http, HttpAction, JsonExpect,
    KvAction, Listen, Node, Pattern, Process, ProcessBy, Tcp, Tls, Watch, WatchKind,
};
pub use secret::{Secret, SecretError};
