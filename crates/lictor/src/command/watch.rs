//! `--watch`: what a command shows is shown anew whenever something is other than before.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::follow::{Follow, Followed, GONE};
use crate::cli::Watched;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};

/// Something that an agent is asked for and that is shown.
pub(crate) trait Look {
    /// When it is looked at anew.
    fn pace(&self) -> Pace;

    /// Asks for all that is shown.
    async fn ask(&self, client: &Client) -> Result<Value, Failure>;

    /// Shows it to a person.
    async fn show(&self, answer: Value, client: &Client, terminal: &Terminal) -> Result<(), Failure>;

    /// Whether all is well with it; if not the exit code says so.
    fn is_well(&self, _answer: &Value) -> Result<bool, Failure> {
        Ok(true)
    }
}

/// When something is looked at anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// When the agent has recorded something: all changes of it are recorded.
    Recorded,
    /// Then, and every 2 s.
    Steady,
}

/// What one route answers, shown by a function.
pub(crate) struct Page<'a, F> {
    pub(crate) path: &'a str,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) pace: Pace,
    pub(crate) show: F,
}

impl<F: Fn(Value, &Terminal) -> Result<(), Failure>> Look for Page<'_, F> {
    fn pace(&self) -> Pace {
        self.pace
    }

    async fn ask(&self, client: &Client) -> Result<Value, Failure> {
        client.get(self.path, &self.query).await
    }

    async fn show(&self, answer: Value, _client: &Client, terminal: &Terminal) -> Result<(), Failure> {
        (self.show)(answer, terminal)
    }
}

/// The time between two looks at what changes without a record of it.
const LOOK: Duration = Duration::from_secs(2);

/// Shows it, and with `--watch` goes on to do so until it is stopped. As JSON it is then one document a line.
pub(crate) async fn look(what: &impl Look, how: &Watched, terminal: &Terminal) -> Result<(), Failure> {
    let client = Client::new(&how.agent)?;
    let show = async |answer: Value| match (how.agent.format, how.watch) {
        (Format::Json, true) => Terminal::json_line(&answer),
        (Format::Json, false) => Terminal::json(&answer),
        (Format::Text, _) => what.show(answer, &client, terminal).await,
    };
    if !how.watch {
        let answer = what.ask(&client).await?;
        show(answer.clone()).await?;
        return if what.is_well(&answer)? { Ok(()) } else { Err(Failure::Said(Exit::Failed)) };
    }
    // First listen, then look: what comes in between is shown by the next look.
    let mut changes = Follow::start(&client).await?;
    let mut shown = what.ask(&client).await?;
    show(shown.clone()).await?;
    // Said once, and shown anew when it is over.
    let mut gone = false;
    loop {
        let pace = if gone { Pace::Steady } else { what.pace() };
        let came = next(pace, &mut changes).await?;
        let answer = match came {
            Some(Followed::Gone) => None,
            _ => match what.ask(&client).await {
                // A connection that brings no news may be broken without anybody having said so.
                Err(failure) if failure.exit() == Exit::Unreachable => None,
                answer => Some(answer?),
            },
        };
        let Some(answer) = answer else {
            if !std::mem::replace(&mut gone, true) {
                terminal.say(GONE);
            }
            continue;
        };
        let back = std::mem::take(&mut gone) || matches!(came, Some(Followed::Back));
        if back || timeless(&answer) != timeless(&shown) {
            if how.agent.format == Format::Text {
                Terminal::data("")?;
            }
            show(answer.clone()).await?;
            shown = answer;
        }
    }
}

/// What comes next; [`None`]: it is time for a look.
async fn next(pace: Pace, changes: &mut Follow<'_>) -> Result<Option<Followed>, Failure> {
    match pace {
        Pace::Recorded => changes.next().await.map(Some),
        Pace::Steady => timeout(LOOK, changes.next()).await.ok().transpose(),
    }
}

/// An answer without what changes by time alone.
pub(super) fn timeless(answer: &Value) -> Value {
    match answer {
        Value::Object(members) => {
            let lasting = members.iter().map(|(name, value)| {
                let time = match value {
                    Value::String(_) => TIMES.contains(&name.as_str()),
                    Value::Number(_) => name.ends_with("_ms"),
                    _ => false,
                };
                (name.clone(), if time { true.into() } else { timeless(value) })
            });
            lasting.collect()
        }
        Value::Array(values) => values.iter().map(timeless).collect(),
        other => other.clone(),
    }
}

/// The members of an answer that say when something was.
const TIMES: [&str; 4] = ["at", "seen_at", "since", "latest"];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_course_of_time_is_no_change() {
        let peer = |at: &str, lasts: u64, status: &str| {
            json!({
                "at": at,
                "peers": [{ "peer": "b", "status": status, "lasts_ms": lasts, "seen": { "seen_at": at } }],
            })
        };
        let first = timeless(&peer("10:00", 10, "passing"));
        assert_eq!(timeless(&peer("10:02", 2_010, "passing")), first);
        assert_ne!(timeless(&peer("10:02", 2_010, "critical")), first);
        let behind = |behind: Option<u64>| timeless(&json!({ "behind_ms": behind }));
        assert_eq!(behind(Some(1)), behind(Some(2)));
        assert_ne!(behind(Some(1)), behind(None), "that it is behind at all is a change");
        let latest = |file: &str| timeless(&json!({ "latest": { "file": file, "at": "10:00" } }));
        assert_ne!(latest("a"), latest("b"));
    }
}
