//! `lictor service`: services that run on one of several nodes.

mod asked;
mod check;
mod handler;
mod history;
mod init;
mod preflight;
mod script;
mod shape;
mod status;
mod wait;

use serde_json::Value;

use super::incidents::encoded;
use crate::cli::{Agent, Service};
use crate::client::{Client, typed};
use crate::exit::Failure;
use crate::output::Terminal;

pub(crate) use asked::who;
pub(crate) use script::in_order;
pub(crate) use status::{sheet, summary, text};

pub(crate) async fn run(command: &Service, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Service::List { how } => status::list(how, terminal).await,
        Service::Status { name, how } => status::status(name.as_deref(), how, terminal).await,
        Service::Switchover(args) if args.check => preflight::run(args, terminal).await,
        Service::Switchover(args) => asked::switchover(args, terminal).await,
        Service::Failover(args) => asked::failover(args, terminal).await,
        Service::Start(args) => asked::start(args, terminal).await,
        Service::Stop(args) => asked::stop(args, terminal).await,
        Service::Restart(args) => asked::restart(args).await,
        Service::Promote(args) => asked::promote(args, terminal).await,
        Service::Demote(args) => asked::demote(args, terminal).await,
        Service::Pause(args) => asked::pause(args).await,
        Service::Resume(args) => asked::resume(args).await,
        Service::History { name, limit, agent } => history::run(name, *limit, agent, terminal).await,
        Service::Init(args) => init::run(args, terminal).await,
        Service::Check(what) => check::run(what, terminal).await,
        Service::Script(args) => script::run(args, terminal).await,
    }
}

fn client(agent: &Agent) -> Result<Client, Failure> {
    Client::new(agent)
}

/// Where a service is, and something about it.
fn path(name: &str, below: &str) -> String {
    let name = encoded(name);
    if below.is_empty() { format!("/v1/services/{name}") } else { format!("/v1/services/{name}/{below}") }
}

/// How a service stands.
async fn look(client: &Client, name: &str) -> Result<(Value, shape::Service), Failure> {
    let answer = client.get(&path(name, ""), &[]).await?;
    let service = typed(answer.clone())?;
    Ok((answer, service))
}
