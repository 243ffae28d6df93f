//! What is asked of the nodes of a service.

use std::time::Duration;

use serde_json::{Value, json};

use super::shape::{Operation, Service, Taken};
use super::{client, look, path, wait};
use crate::cli::{Agent, Asked, Moved, One, Pause, Switchover, Waiting};
use crate::client::{Client, typed, unless_json};
use crate::command::alerts::without_null;
use crate::command::status::span;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};

/// How long an answer to a restart may take: longer than the agent waits for it.
const RESTART: Duration = Duration::from_secs(60);

pub(super) async fn switchover(args: &Switchover, terminal: &Terminal) -> Result<(), Failure> {
    let asking = Asking { verb: "switchover", one: &args.one, to: args.to.as_deref(), waiting: args.waiting };
    let client = client(&args.one.agent)?;
    if !args.force {
        return asking.carry_out(&client, terminal).await;
    }
    let (_, service) = look(&client, &args.one.name).await?;
    let mut to = args.to.clone();
    if matches!(service.lease.state.as_str(), "held" | "other") {
        match asking.until_over(&client, terminal).await? {
            // The new node could run it, and the one that runs it has said nothing.
            Some((_, over)) if over.operation.phase == "failed" && over.before == "ready" => {
                to = over.operation.to;
            }
            Some((answer, over)) => return asking.conclude(&client, &answer, &over.operation).await,
            None => return Ok(()),
        }
    }
    take(&args.one, to.as_deref(), args.waiting, &client, terminal).await
}

/// A switchover to this node.
pub(super) async fn promote(args: &Asked, terminal: &Terminal) -> Result<(), Failure> {
    let client = client(&args.one.agent)?;
    let (_, service) = look(&client, &args.one.name).await?;
    let asking =
        Asking { verb: "switchover", one: &args.one, to: Some(&service.node), waiting: args.waiting };
    asking.carry_out(&client, terminal).await
}

/// A switchover away from this node. Where it does not run here there is nothing to do.
pub(super) async fn demote(args: &Asked, terminal: &Terminal) -> Result<(), Failure> {
    let client = client(&args.one.agent)?;
    let (answer, service) = look(&client, &args.one.name).await?;
    // Where that is not known the agent says why.
    if matches!(service.lease.state.as_str(), "other" | "free") {
        let text = match &service.active {
            Some(node) => format!("{} runs on {node}, not on {}", service.name, service.node),
            None => format!("{} does not run on {}", service.name, service.node),
        };
        return said(&args.one.agent, &text, &answer);
    }
    let asking = Asking { verb: "switchover", one: &args.one, to: None, waiting: args.waiting };
    asking.carry_out(&client, terminal).await
}

pub(super) async fn failover(args: &Moved, terminal: &Terminal) -> Result<(), Failure> {
    take(&args.one, args.to.as_deref(), args.waiting, &client(&args.one.agent)?, terminal).await
}

/// Has a node take it when its lease was given back or has run out.
async fn take(
    one: &One,
    to: Option<&str>,
    waiting: Waiting,
    client: &Client,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let (_, service) = look(client, &one.name).await?;
    terminal.say(&what_is_waited_for(&service));
    Asking { verb: "failover", one, to, waiting }.carry_out(client, terminal).await
}

/// What a take-over waits for, and what nobody can know.
fn what_is_waited_for(service: &Service) -> String {
    let length = span(service.lease.length_ms);
    match (service.lease.state.as_str(), &service.lease.holder) {
        ("held", _) => format!("{} holds the lease itself", service.node),
        ("other", Some(holder)) => format!(
            "{holder} holds the lease. It is taken when {holder} gives it back or has not renewed it for {length}; as long as \
             it is renewed nothing is taken (`lictor service switchover` asks {holder}). Whether {holder} still runs the \
             service cannot be known from here: it stops it, or its guard does, before its lease runs out"
        ),
        ("free", _) => "nobody holds the lease".to_owned(),
        (_, _) => format!(
            "who holds the lease is not known here ({}). Whoever does keeps it while it is renewed; it is taken when nobody \
             has renewed it for {length}",
            service.lease.why.as_deref().unwrap_or("no reason was given"),
        ),
    }
}

pub(super) async fn start(args: &Moved, terminal: &Terminal) -> Result<(), Failure> {
    let asking = Asking { verb: "start", one: &args.one, to: args.to.as_deref(), waiting: args.waiting };
    asking.carry_out(&client(&args.one.agent)?, terminal).await
}

pub(super) async fn stop(args: &Asked, terminal: &Terminal) -> Result<(), Failure> {
    let asking = Asking { verb: "stop", one: &args.one, to: None, waiting: args.waiting };
    asking.carry_out(&client(&args.one.agent)?, terminal).await
}

pub(super) async fn restart(args: &One) -> Result<(), Failure> {
    let body = json!({ "by": who(args.by.as_deref()) });
    let client = client(&args.agent)?.patient(RESTART);
    let answer = client.post_with(&path(&args.name, "restart"), &body).await?;
    let taken: Taken = typed(answer.clone())?;
    if taken.over == Some(false) {
        return Err(Failure::new(Exit::Failed, taken.message)
            .help(format!("`lictor service status {}` shows how it goes", args.name)));
    }
    done(&args.agent, answer)
}

pub(super) async fn pause(args: &Pause) -> Result<(), Failure> {
    let One { name, by, agent } = &args.one;
    let lasting = u64::try_from(args.lasting.as_millis()).unwrap_or(u64::MAX);
    let body = json!({ "for_ms": lasting, "why": args.why, "by": who(by.as_deref()) });
    done(agent, client(agent)?.post_with(&path(name, "pause"), &body).await?)
}

pub(super) async fn resume(args: &One) -> Result<(), Failure> {
    let body = json!({ "by": who(args.by.as_deref()) });
    done(&args.agent, client(&args.agent)?.post_with(&path(&args.name, "resume"), &body).await?)
}

/// Says what became of something that was done at once.
fn done(agent: &Agent, answer: Value) -> Result<(), Failure> {
    match unless_json::<Taken>(agent.format, answer)? {
        Some(taken) => Terminal::data(&taken.message),
        None => Ok(()),
    }
}

/// Says that there is nothing to do.
fn said(agent: &Agent, text: &str, answer: &Value) -> Result<(), Failure> {
    match agent.format {
        Format::Text => Terminal::data(text),
        Format::Json => Terminal::json(answer),
    }
}

/// Who asks, for others to know whom to talk to: the user, and on which machine.
pub(crate) fn who(named: Option<&str>) -> String {
    if let Some(named) = named.map(str::trim).filter(|named| !named.is_empty()) {
        return named.to_owned();
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    // Behind sudo it is the person, not root.
    let user = variable("SUDO_USER").or_else(|| variable("USER"));
    let user = user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let uname = rustix::system::uname();
    format!("{user} on {}", uname.nodename().to_string_lossy())
}

/// Something that all nodes of a service take part in.
pub(super) struct Asking<'a> {
    /// What.
    pub(super) verb: &'a str,
    pub(super) one: &'a One,
    /// The node that is to run it.
    pub(super) to: Option<&'a str>,
    pub(super) waiting: Waiting,
}

impl Asking<'_> {
    /// Asks for it, and waits until it is over.
    pub(super) async fn carry_out(&self, client: &Client, terminal: &Terminal) -> Result<(), Failure> {
        match self.until_over(client, terminal).await? {
            Some((answer, over)) => self.conclude(client, &answer, &over.operation).await,
            None => Ok(()),
        }
    }

    /// The same; what the agent said first, and how it ended. `None`: there is nothing to wait for, which was said.
    async fn until_over(
        &self,
        client: &Client,
        terminal: &Terminal,
    ) -> Result<Option<(Value, wait::Over)>, Failure> {
        let One { name, agent, .. } = self.one;
        let (answer, taken) = self.ask(client).await?;
        let operation = match taken.operation {
            Some(operation) if !self.waiting.no_wait => operation,
            Some(_) | None => return said(agent, &taken.message, &answer).map(|()| None),
        };
        let deadline = Duration::from_millis(operation.deadline_ms);
        let limit = match self.waiting.timeout {
            // The agent has added the length of the lease.
            Some(timeout) if operation.what == "take" => timeout.max(deadline),
            Some(timeout) => timeout,
            None => deadline,
        };
        let over = wait::until_over(client, name, operation, limit, agent.format, terminal).await?;
        Ok(Some((answer, over)))
    }

    /// Says how it ended.
    async fn conclude(&self, client: &Client, answer: &Value, over: &Operation) -> Result<(), Failure> {
        let One { name, agent, .. } = self.one;
        let service = look(client, name).await;
        if agent.format == Format::Json {
            // As it ended, whatever can be asked of the agent now.
            Terminal::json(&service.as_ref().map_or_else(|_gone| answer.clone(), |(now, _)| now.clone()))?;
        }
        if over.phase != "done" {
            let why = over.why.as_deref().unwrap_or("nobody says why");
            let message = format!("{} of {name} failed: {why}", over.text());
            return Err(Failure::new(Exit::Failed, message)
                .help(format!("`lictor service status {name}` shows how things are now")));
        }
        if agent.format == Format::Text {
            let text = match &over.to {
                Some(to) => format!("{name} runs on {to}"),
                None => format!("{name} is stopped"),
            };
            Terminal::data(&text)?;
        }
        Ok(())
    }

    /// Asks for it; what the agent says to that.
    pub(super) async fn ask(&self, client: &Client) -> Result<(Value, Taken), Failure> {
        let deadline = self.waiting.timeout.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let body = without_null(json!({
            "by": who(self.one.by.as_deref()), "to": self.to, "deadline_ms": deadline,
        }));
        let answer = client.post_with(&path(&self.one.name, self.verb), &body).await?;
        let taken = typed(answer.clone())?;
        Ok((answer, taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(lease: Value) -> Service {
        let mut answer: Value =
            serde_json::from_str(include_str!("../../../../lictor-agent/tests/data/service.json")).unwrap();
        answer["lease"] = lease;
        typed(answer).unwrap()
    }

    #[test]
    fn a_take_over_says_what_it_waits_for_and_what_it_cannot_know() {
        let other = service(json!({"state": "other", "holder": "node2", "length_ms": 4_200}));
        insta::assert_snapshot!(what_is_waited_for(&other), @"node2 holds the lease. It is taken when node2 gives it back or has not renewed it for 4.2s; as long as it is renewed nothing is taken (`lictor service switchover` asks node2). Whether node2 still runs the service cannot be known from here: it stops it, or its guard does, before its lease runs out");
        let unknown = service(json!({"state": "unknown", "why": "no answer within 1s", "length_ms": 4_200}));
        insta::assert_snapshot!(what_is_waited_for(&unknown), @"who holds the lease is not known here (no answer within 1s). Whoever does keeps it while it is renewed; it is taken when nobody has renewed it for 4.2s");
    }
}
