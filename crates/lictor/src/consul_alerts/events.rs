//! Consul's events: each new one is given to each handler.
//!
//! Programs run here because somebody who may write the old keys names them: so it was, and so it is
//! under the old name alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use lictor_agent::alert::notify;
use lictor_agent::text::one_line;
use lictor_compat::consul_alerts::ConsulEvent;
use lictor_config::{Command, Secret};
use lictor_consul::{Client, Query, Watch};
use tracing::{error, info, warn};

use super::live::Live;

/// How long a handler may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Ids that are remembered: Consul shows the last 256 events.
const KNOWN: usize = 2_048;

/// Of what a handler prints, characters that are logged.
const SHOWN: usize = 2_000;

/// What a service manager says to the program that it started, and to nobody else.
const OURS: [&str; 4] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "STATE_DIRECTORY"];

/// Follows the events of the agent that is asked.
pub(super) async fn follow(client: Client, live: Arc<Live>) {
    let fetch =
        |client: Client, query: Query| async move { client.raw().get("/v1/event/list", &query).await };
    let mut watch = Watch::new(client, Query::new(), fetch).hashed();
    let mut known = Known::default();
    let mut lost = false;
    loop {
        let events = match watch.next().await {
            Ok(change) => ConsulEvent::list(&change.value).map_err(|why| why.to_string()),
            Err(why) => Err(why.to_string()),
        };
        match events {
            Ok(events) => {
                lost = false;
                for event in known.new_of(events) {
                    handle(&event, &live).await;
                }
            }
            Err(why) => {
                if !std::mem::replace(&mut lost, true) {
                    warn!("Consul's events cannot be read, trying again: {why}");
                }
            }
        }
    }
}

/// Which events were there before.
#[derive(Default)]
struct Known {
    ids: VecDeque<String>,
    begun: bool,
}

impl Known {
    /// The new ones, in their order. What is there at the start is not new.
    fn new_of(&mut self, events: Vec<ConsulEvent>) -> Vec<ConsulEvent> {
        let mut new = Vec::new();
        for event in events {
            if self.ids.contains(&event.id) {
                continue;
            }
            self.ids.push_back(event.id.clone());
            new.push(event);
        }
        while self.ids.len() > KNOWN {
            self.ids.pop_front();
        }
        if std::mem::replace(&mut self.begun, true) { new } else { Vec::new() }
    }
}

async fn handle(event: &ConsulEvent, live: &Live) {
    let current = live.current();
    let settings = &current.settings;
    if !settings.events_enabled {
        return;
    }
    let input = match event.to_json() {
        Ok(input) => input,
        Err(why) => return error!(event = event.name, %why, "an event cannot be written"),
    };
    for handler in &settings.handlers {
        match notify::run(&program(handler), input.clone().into_bytes(), LIMIT).await {
            Err(why) => error!(handler, event = event.name, %why, "a handler cannot be started"),
            Ok(ran) => {
                let said = one_line(&ran.said, SHOWN);
                match ran.status {
                    Some(status) if status.success() => {
                        info!(handler, event = event.name, said, "a handler ran");
                    }
                    Some(status) => {
                        error!(handler, event = event.name, said, "a handler ended with {status}");
                    }
                    None => error!(
                        handler,
                        event = event.name,
                        said,
                        limit_seconds = LIMIT.as_secs(),
                        "a handler took too long and was ended"
                    ),
                }
            }
        }
    }
}

/// A program without arguments and without a shell, in the environment that this one has.
pub(super) fn program(path: &str) -> Command {
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let env = env.filter(|(name, _)| !OURS.contains(&name.as_str()));
    let env = env.map(|(name, value)| (name, Secret::value(value))).collect();
    Command { argv: vec![path.to_owned()], captured: Vec::new(), env, cwd: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_new_once_and_none_is_at_the_start() {
        let list = |ids: &[&str]| -> Vec<ConsulEvent> {
            ids.iter().map(|id| ConsulEvent { id: (*id).to_owned(), ..ConsulEvent::default() }).collect()
        };
        let mut known = Known::default();
        let mut new = |ids: &[&str]| -> Vec<String> {
            known.new_of(list(ids)).into_iter().map(|event| event.id).collect()
        };
        assert!(new(&["a", "b"]).is_empty());
        assert_eq!(new(&["a", "b", "d", "c"]), ["d", "c"]);
        assert!(new(&[]).is_empty(), "an agent that was restarted shows none");
        assert_eq!(new(&["b", "e"]), ["e"]);
    }
}
