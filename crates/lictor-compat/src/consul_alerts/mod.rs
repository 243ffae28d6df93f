//! consul-alerts: the program whose place Lictor takes when it is called by that name.
//!
//! [`cli`] and [`Start`] read how it was called, [`Settings`] what stands in Consul below
//! `consul-alerts/config/`, [`state`] and [`Message`] what it stored there. [`text`] and [`api`]
//! say the same as it did.

pub mod api;
mod checks;
pub mod cli;
mod event;
mod import;
mod kv;
mod message;
mod notifiers;
mod profiles;
mod remark;
mod start;
pub mod state;
mod stored;
pub mod text;

pub use checks::{Blacklist, CheckRef, Expression, Listed, THRESHOLD, Thresholds};
pub use event::ConsulEvent;
pub use import::{import, run};
pub use kv::{CONFIG, PREFIX, Settings};
pub use message::{Message, VarOverrides, template_data};
pub use notifiers::{CLUSTER, Field, Kind, Notifier, Shape};
pub use profiles::{Chosen, DEFAULT_PROFILE, Profile, Receiver, Selection, Told};
pub use remark::Remark;
pub use start::{ALERT_ADDR, Consul, File, FileError, LogLevel, Start};
pub use stored::Stored;
