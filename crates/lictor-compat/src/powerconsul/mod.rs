//! powerconsul: active and standby nodes of init-script services, on top of Consul.
//!
//! [`Request`] is its command line, [`Conf`] its configuration, [`ClusterData`] what it kept in Consul of who is active,
//! [`Action`] what it kept there to be run, and [`Outcome`] the line that a check puts out. [`service_status`] and
//! [`crontab`] judge what a check found, and [`import`] makes configuration of what its users have.

mod action;
mod cli;
mod conf;
mod crontab;
mod data;
mod definition;
mod help;
mod import;
mod outcome;
mod place;
mod pycall;
mod pyjson;
mod python;
mod status;

pub use action::Action;
pub use cli::{CheckRequest, Request, Resource, State, UsageError};
pub use conf::{Conf, ConfError, datacenter};
pub use crontab::{CrontabFault, crontab, is_enabled};
pub use data::{ClusterData, DataError};
pub use help::help;
pub use import::{ImportError, Imported, Source, import};
pub use outcome::{Outcome, Verdict, says_unknown};
pub use place::{CLUSTER_KEYS, NODNS, action_key, cluster_key, role_name};
pub use pyjson::dumps;
pub use status::{Runs, service_status};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(
            text in r#"(PowerConsul_Service\.process\()?([a-z_]*=|[{}\[\](),:@#\\\n]|"|'|'''|fr?|ü|\PC){0,40}"#,
            command in any::<String>(),
        ) {
            let source = |text: &str| Source { name: "x".to_owned(), text: text.to_owned() };
            import(&[source(&text), source("{}")]).ok();
            ClusterData::read(text.as_bytes()).ok();
            Conf::read(&text).ok();
            let vars = BTreeMap::from([("a".to_owned(), "@a".to_owned()), ("ü".to_owned(), String::new())]);
            let action = Action::read(&text, &vars);
            let check = serde_json::json!({ "checks": [{ "script": format!("powerconsul check {command}") }] });
            import(&[source(&check.to_string())]).ok();
            let fault = crontab("x", "x", Some(&text), "x:crontab", &text);
            let runs = service_status(Some(0), &text, &command);
            prop_assert!(!says_unknown(&text), "{action:?} {fault:?} {runs:?}");
        }
    }
}
