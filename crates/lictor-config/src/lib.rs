//! Lictor's configuration: HCL or JSON text into typed values. Every mistake has its
//! place, a code and a way out, and all are shown at once.
//!
//! [`load`] reads files and directories, [`parse`] one text. Both return a [`Loaded`] or a
//! [`Failure`]; how a failure is shown is the caller's affair (it is a miette diagnostic,
//! and can be had as JSON).

mod block;
mod code;
mod condition;
mod diff;
mod env;
mod expand;
mod failure;
mod load;
mod model;
mod nearest;
mod problem;
mod reader;
mod redact;
mod reference;
mod report;
mod rule_test;
mod schema;
mod scope;
mod secret;
mod source;
mod syntax;
mod template;
#[cfg(test)]
mod testing;
mod units;
mod value;

pub use code::Code;
pub use diff::difference;
pub use env::{Env, ProcessEnv};
pub use failure::Failure;
pub use load::{Loaded, load, parse, parse_in};
pub use model::{
    Action, Alerts, Begins, Calendar, ClockSource, Command, Config, Consul, ConsulChecks, Control, Digest,
    Disk, Dns, DnsRecord, Family, File, Heartbeat, HostClock, HostMemory, Http, HttpAction, IpRange,
    IpSource, Joined, Journal, JournalFrom, JsonExpect, KvAction, LifeSign, LifeSignTo, Limit, Limits,
    Listen, Load, LoadMinutes, Maintenance, Missing, Monitor, Multiline, Node, NomadAction, NomadApi,
    NomadHow, NomadTarget, Pattern, Phase, Pressure, Process, ProcessBy, Prometheus, PublicIp, Qbittorrent,
    QbittorrentAction, QbittorrentApi, Reboot, Redis, RedisAction, RedisPlace, RedisQuestion, RedisServer,
    Restart, SignalAction, SignalTo, Stream, Swap, SwapAction, SystemdAction, SystemdBus, Tcp, Temperature,
    Tls, TorrentWork, Unit, UnitExpect, UnitName, UnitNameError, UnitVerb, Vpn, VpnAction, VpnSource, Watch,
    WatchKind, Webhook, WebhookFormat,
};
pub use model::{Announce, Discovery, DnsPrograms, Peers, Probe, ProbeTls, WhoTells};
pub use model::{Announcement, StatusGroup, StatusPage, StatusPart};
pub use model::{
    Azure, AzureCredentials, Drill, Encrypt, Google, GoogleCredentials, Names, Place, PlaceKind, S3,
    S3Credentials, S3Encryption, S3Keys, Snapshot, When,
};
pub use model::{Cluster, ClusterService, ServiceCommand};
pub use model::{
    Email, Endpoint, LogFile, MailSecurity, Notifier, NotifierKind, NotifyProgram, OwnBody, OwnRequest,
    Service, Setting,
};
pub use model::{Notes, Replicate};
pub use problem::Problem;
pub use reference::{errors, reference, rule_test_reference};
pub use rule_test::{Expected, Given, Happening, Moment, RuleTest, RuleTests};
pub use secret::{Secret, SecretError};
pub use template::{Shape, Template, TemplateError, view};
pub use units::duration;
