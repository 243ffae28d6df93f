//! Waits for what the nodes of a service do, and shows how far they are.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::path;
use super::shape::{Operation, Service};
use crate::client::{Client, typed};
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};

/// How often it is looked how far they are.
const LOOK: Duration = Duration::from_millis(200);

/// How much longer is waited than the nodes have: they say themselves when their time is over.
const GRACE: Duration = Duration::from_secs(5);

/// An operation that is over.
pub(super) struct Over {
    /// As it ended.
    pub(super) operation: Operation,
    /// The phase before that, as far as it was seen.
    pub(super) before: String,
}

/// Waits until an operation is over, and says how it ended. `limit`: for one step.
pub(super) async fn until_over(
    client: &Client,
    service: &str,
    asked: Operation,
    limit: Duration,
    format: Format,
    terminal: &Terminal,
) -> Result<Over, Failure> {
    let waited = follow(client, service, asked, limit, format, terminal);
    tokio::select! {
        // First, so that Ctrl-C is heard from the first line that is shown.
        biased;
        _ = tokio::signal::ctrl_c() => {
            terminal.say(&format!(
                "\nnobody waits any more, but the nodes go on by themselves: `lictor service status {service}` shows how far they are"
            ));
            Err(Failure::Said(Exit::Failed))
        }
        over = waited => over,
    }
}

async fn follow(
    client: &Client,
    service: &str,
    asked: Operation,
    limit: Duration,
    format: Format,
    terminal: &Terminal,
) -> Result<Over, Failure> {
    let mut progress = Progress::of(&asked);
    let show = |text: &str| if format == Format::Text { Terminal::part(text) } else { Ok(()) };
    show(&progress.advance(&asked, Duration::ZERO, terminal))?;
    // The node that was asked reads it back from the shared records.
    let mut before = asked.phase.clone();
    let (mut known, mut seen, mut since, mut begun) = (asked, false, Instant::now(), Instant::now());
    loop {
        sleep(LOOK).await;
        let gone = match client.get(&path(service, ""), &[]).await {
            Ok(answer) => {
                let now = typed::<Service>(answer)?.operation;
                match now.filter(|now| now.id == known.id) {
                    Some(now) => {
                        if now.phase != known.phase {
                            since = Instant::now();
                            show(&progress.advance(&now, begun.elapsed(), terminal))?;
                            begun = since;
                            before = known.phase;
                        }
                        (known, seen) = (now, true);
                    }
                    // Another one is there by now: this one is over, however it ended.
                    None if seen => return Err(superseded(service)),
                    None => {}
                }
                None
            }
            // It may only be restarted; the nodes go on.
            Err(failure) if failure.exit() == Exit::Unreachable => Some(failure),
            Err(failure) => return Err(failure),
        };
        if known.over {
            return Ok(Over { operation: known, before });
        }
        if since.elapsed() > limit + GRACE {
            show("\n")?;
            return Err(gone.unwrap_or_else(|| {
                let message =
                    format!("nothing has changed for {} s: {}", limit.as_secs(), known.phase_text());
                Failure::new(Exit::Failed, message).help(format!(
                    "the nodes go on by themselves: `lictor service status {service}` shows how far they are"
                ))
            }));
        }
    }
}

fn superseded(service: &str) -> Failure {
    Failure::new(Exit::Failed, "somebody has asked for something else since, so nobody knows how it ended")
        .help(format!("`lictor service status {service}` shows how things are"))
}

/// What an operation consists of, a line for each step.
struct Progress {
    /// What is done, and the rank of the phase in which it is done.
    steps: Vec<(String, u8)>,
    /// So many are over.
    over: usize,
    /// Whether the line of the next one is begun.
    begun: bool,
}

/// How far a phase is.
fn rank(phase: &str) -> Option<u8> {
    Some(match phase {
        "asked" => 0,
        "ready" => 1,
        "stopping" => 2,
        "handed" => 3,
        "done" => 4,
        _ => return None,
    })
}

impl Progress {
    fn of(operation: &Operation) -> Self {
        let from = operation.from.as_deref().unwrap_or("the node that runs it");
        let to = operation.to.as_deref().unwrap_or("the node that is to run it");
        let steps = match operation.what.as_str() {
            "switchover" => vec![
                (format!("Preparing {to}"), 1),
                (format!("Telling {from}"), 2),
                (format!("Stopping on {from}"), 3),
                (format!("Starting on {to}"), 4),
            ],
            "take" => vec![
                (format!("Preparing {to}"), 1),
                (format!("Waiting for the lease on {to}"), 3),
                (format!("Starting on {to}"), 4),
            ],
            _ => vec![(format!("Telling {from}"), 2), (format!("Stopping on {from}"), 4)],
        };
        Self { steps, over: 0, begun: false }
    }

    /// What there is to be shown now. `took`: how long the step has taken that is under way.
    fn advance(&mut self, operation: &Operation, took: Duration, terminal: &Terminal) -> String {
        let mut text = String::new();
        let rank = rank(&operation.phase);
        let mut took = Some(took);
        while let Some((what, end)) = self.steps.get(self.over) {
            if !std::mem::replace(&mut self.begun, true) {
                text.extend([what, "... "]);
            }
            if rank.is_some_and(|rank| rank < *end) {
                break;
            }
            (self.over, self.begun) = (self.over + 1, false);
            if rank.is_none() {
                text.extend([terminal.verdict(false, "FAILED").as_str(), "\n"]);
                break;
            }
            // Steps that were over before anybody looked have taken no time that is known.
            let time = took.take().map(|took| format!(" ({:.1}s)", took.as_secs_f64())).unwrap_or_default();
            text.extend([terminal.verdict(true, "SUCCESS").as_str(), &time, "\n"]);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn operation(what: &str, phase: &str) -> Operation {
        let to = (what != "stop").then_some("node2");
        let over = matches!(phase, "done" | "failed");
        let why = (phase == "failed").then_some("node2 cannot run it: web.service is masked");
        typed(json!({
            "id": "7f3a", "what": what, "from": "node1", "to": to, "by": "alice", "deadline_ms": 30_000, "phase": phase, "why": why,
            "over": over,
        }))
        .unwrap()
    }

    fn play(what: &str, phases: &[&str]) -> String {
        let mut progress = Progress::of(&operation(what, "asked"));
        let terminal = Terminal::new(true);
        let texts = phases
            .iter()
            .map(|phase| progress.advance(&operation(what, phase), Duration::from_millis(340), &terminal));
        texts.collect()
    }

    #[test]
    fn each_step_of_a_switchover_has_its_line() {
        insta::assert_snapshot!(play("switchover", &["asked", "ready", "stopping", "handed", "done"]), @r"
        Preparing node2... SUCCESS (0.3s)
        Telling node1... SUCCESS (0.3s)
        Stopping on node1... SUCCESS (0.3s)
        Starting on node2... SUCCESS (0.3s)
        ");
    }

    #[test]
    fn steps_that_nobody_saw_are_shown_all_the_same() {
        insta::assert_snapshot!(play("switchover", &["asked", "done"]), @r"
        Preparing node2... SUCCESS (0.3s)
        Telling node1... SUCCESS
        Stopping on node1... SUCCESS
        Starting on node2... SUCCESS
        ");
        insta::assert_snapshot!(play("take", &["asked", "ready", "handed", "done"]), @r"
        Preparing node2... SUCCESS (0.3s)
        Waiting for the lease on node2... SUCCESS (0.3s)
        Starting on node2... SUCCESS (0.3s)
        ");
        insta::assert_snapshot!(play("stop", &["asked", "stopping", "done"]), @r"
        Telling node1... SUCCESS (0.3s)
        Stopping on node1... SUCCESS (0.3s)
        ");
    }

    #[test]
    fn the_step_that_failed_is_the_last_line() {
        insta::assert_snapshot!(play("switchover", &["asked", "failed"]), @"Preparing node2... FAILED");
        insta::assert_snapshot!(play("switchover", &["asked", "ready", "stopping", "failed"]), @r"
        Preparing node2... SUCCESS (0.3s)
        Telling node1... SUCCESS (0.3s)
        Stopping on node1... FAILED
        ");
    }
}
