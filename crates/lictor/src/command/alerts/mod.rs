//! `lictor alerts`.

mod ack;
mod forget;
mod list;
mod preview;
mod queue;
mod test;

use lictor_config::Config;
use lictor_core::NotifierName;

use serde::Deserialize;
use serde_json::Value;

use crate::cli::{Alerts, AlertsArgs, TryNotifier};
use crate::client::unless_json;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};

pub(super) use ack::without_null;
pub(super) use list::{sheet, summary};

pub(crate) async fn run(args: &AlertsArgs, terminal: &Terminal) -> Result<(), Failure> {
    let Some(command) = &args.command else { return list::run(&args.list, terminal).await };
    match command {
        Alerts::List(args) => list::run(args, terminal).await,
        Alerts::Queue { how } => queue::show(how, terminal).await,
        Alerts::Retry(args) => queue::steer("retry", args).await,
        Alerts::Drop(args) => queue::steer("drop", args).await,
        Alerts::Ack(args) => ack::acknowledge(args).await,
        Alerts::Unack(args) => ack::unacknowledge(args).await,
        Alerts::Forget(args) => forget::run(args).await,
        Alerts::Test(args) => test::run(args, terminal).await,
        Alerts::Preview(args) => preview::run(args),
    }
}

#[derive(Deserialize)]
struct Done {
    message: String,
}

/// Shows what the agent says of what it was asked to do.
pub(super) fn say(format: Format, answer: Value) -> Result<(), Failure> {
    match unless_json::<Done>(format, answer)? {
        Some(done) => Terminal::data(&done.message),
        None => Ok(()),
    }
}

/// The configuration and the notifier in it.
fn found(args: &TryNotifier) -> Result<(Config, NotifierName), Failure> {
    let loaded = lictor_config::load(&args.config, &lictor_config::ProcessEnv)
        .map_err(|failure| Failure::Config(Box::new(failure)))?;
    let known = &loaded.config.notifiers;
    let name = NotifierName::new(&args.notifier).ok().filter(|name| known.contains_key(name));
    let Some(name) = name else {
        let names: Vec<&str> = known.keys().map(NotifierName::as_str).collect();
        let has =
            if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
        let message = format!("the configuration has no notifier `{}`", args.notifier);
        return Err(Failure::new(Exit::NotFound, message).help(has));
    };
    Ok((loaded.config, name))
}
