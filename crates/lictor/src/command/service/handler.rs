//! What Consul starts when a key `service/SERVICE/NODE/promote` or `…/demote` changes, as it did for powerconsul.
//!
//! Only `START` means something, and once: it is made `WAIT` by compare-and-set before the agent is asked, so that it is not
//! carried out anew when Consul shows it again, at its start and at each reload. All the rest is the agent's: nothing
//! is started or stopped here.

use std::io::{IsTerminal as _, Read as _};

use lictor_consul::{Client as Consul, Config, Pair, Query};
use serde_json::Value;

use super::asked::{self, Asking, who};
use super::shape::Service;
use super::{client, look};
use crate::cli::{Asked, One, Script, Verb};
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

/// Largest value that is read, bytes; Consul's own limit is half of it.
const LARGEST: u64 = 1 << 20;

const START: &[u8] = b"START";
const WAIT: &str = "WAIT";

pub(super) async fn run(args: &Script, terminal: &Terminal) -> Result<(), Failure> {
    let one = One { name: args.name.clone(), by: None, agent: args.agent.clone() };
    if std::io::stdin().is_terminal() {
        // A person, who means what the word says.
        let asked = Asked { one, waiting: args.waiting };
        return match args.verb {
            Verb::Promote => asked::promote(&asked, terminal).await,
            _ => asked::demote(&asked, terminal).await,
        };
    }
    let word = if args.verb == Verb::Promote { "promote" } else { "demote" };
    let Some(pair) = read(&input()?)? else { return Ok(()) };
    if pair.value != START {
        return Ok(());
    }
    let client = client(&args.agent)?;
    let (_, service) = look(&client, &args.name).await?;
    let prefix = of_node(&pair.key, &service.node, word)?.to_owned();
    if service.lease.state == "unknown" {
        let why = service.lease.why.as_deref().unwrap_or("no reason was given");
        let message = format!("it is not known who runs {}: {why}", args.name);
        // The key stays as it is.
        return Err(Failure::new(Exit::Unreachable, message));
    }
    let consul = consul()?;
    let taken = consul.kv().cas(&pair.key, WAIT, pair.modify_index).await;
    match taken.map_err(|why| failed(&format!("cannot write `{}`: {why}", pair.key)))? {
        true => {}
        // Somebody else has taken it up, or taken it back.
        false => return Ok(()),
    }
    let by = format!("{} by the key {}", who(None), pair.key);
    let one = One { by: Some(by), ..one };
    let target = match args.verb {
        Verb::Promote => Some(service.node.clone()),
        _ => promoted(&consul, &prefix, &service.node).await,
    };
    let verb = match args.verb {
        Verb::Promote if service.lease.state == "free" => "start",
        Verb::Demote if service.lease.state != "held" => return Ok(()),
        _ => "switchover",
    };
    let asking = Asking { verb, one: &one, to: target.as_deref(), waiting: args.waiting };
    match asking.ask(&client).await {
        Ok((_, taken)) => Terminal::data(&taken.message),
        // The other node's handler was first: it is one switchover.
        Err(failure) if failure.exit() == Exit::Conflict && is_under_way(&client, &service).await => Ok(()),
        Err(failure) => Err(failure),
    }
}

async fn is_under_way(client: &crate::client::Client, service: &Service) -> bool {
    look(client, &service.name).await.is_ok_and(|(_, now)| now.busy().is_some())
}

fn input() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(LARGEST).read_to_string(&mut text);
    read.map_err(|why| failed(&format!("cannot read the standard input: {why}")))?;
    Ok(text)
}

/// The key as a watch hands it over: nothing, `null` where there is none, or the key with its value.
fn read(text: &str) -> Result<Option<Pair>, Failure> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let strange = |why: serde_json::Error| failed(&format!("the standard input is no key of Consul: {why}"));
    let value: Value = serde_json::from_str(text).map_err(strange)?;
    if value.is_null() {
        return Ok(None);
    }
    serde_json::from_value(value).map(Some).map_err(strange)
}

/// The part of a key before the node, if it is a key of this node with that word.
fn of_node<'a>(key: &'a str, node: &str, word: &str) -> Result<&'a str, Failure> {
    let rest = key.strip_suffix(word).and_then(|rest| rest.strip_suffix('/'));
    let prefix = rest.and_then(|rest| rest.strip_suffix(node)).filter(|prefix| prefix.ends_with('/'));
    prefix.ok_or_else(|| failed(&format!("`{key}` is no key for `{word}` of {node}, which is this node")))
}

/// The node that is to be promoted by the same request, where that can be told.
async fn promoted(consul: &Consul, prefix: &str, node: &str) -> Option<String> {
    let pairs = consul.kv().list(prefix, &Query::new()).await.ok()?.value;
    pairs.into_iter().find_map(|pair| {
        let other = pair.key.strip_prefix(prefix)?.strip_suffix("/promote")?;
        let asked = pair.value == START || pair.value == WAIT;
        (asked && other != node && !other.contains('/')).then(|| other.to_owned())
    })
}

fn consul() -> Result<Consul, Failure> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let config = Config::from_env(variable).map_err(|why| failed(&why.to_string()))?;
    Consul::new(config).map_err(|why| failed(&why.to_string()))
}

fn failed(why: &str) -> Failure {
    Failure::new(Exit::Failed, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bug_25_a_missing_key_and_an_empty_input_mean_nothing() {
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read(" \n").unwrap(), None);
        assert_eq!(read("null\n").unwrap(), None);
        assert!(read("what").is_err());
    }

    #[test]
    fn a_key_is_read_as_a_watch_hands_it_over() {
        let text = r#"{"Key":"service/web/n1/demote","CreateIndex":5,"ModifyIndex":9,"LockIndex":0,"Flags":0,"Value":"U1RBUlQ=","Session":""}"#;
        let pair = read(text).unwrap().unwrap();
        assert_eq!((pair.key.as_str(), &pair.value[..]), ("service/web/n1/demote", START));
        assert_eq!(pair.modify_index.to_string(), "9");
    }

    #[test]
    fn a_key_of_another_node_is_refused() {
        assert_eq!(of_node("service/web/n1/demote", "n1", "demote").unwrap(), "service/web/");
        for (key, node, word) in [
            ("service/web/n1/demote", "n2", "demote"),
            ("service/web/n1/demote", "n1", "promote"),
            ("service/web/xn1/demote", "n1", "demote"),
            ("n1/demote", "n1", "demote"),
        ] {
            assert!(of_node(key, node, word).is_err(), "{key}");
        }
    }
}
