//! `lictor alerts test`: one message that says that it is a test.

use lictor_agent::Clock;
use lictor_agent::alert::notify::{Notifiers, sample};
use lictor_core::Span;
use lictor_core::alert::Verdict;
use serde_json::json;

use super::found;
use crate::cli::TryNotifier;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};

pub(super) async fn run(args: &TryNotifier, _terminal: &Terminal) -> Result<(), Failure> {
    let (config, name) = found(args)?;
    let clock = Clock::fresh();
    let message = sample(&config, &name, &clock, args.resolved);
    let verdict = Notifiers::new(&config, clock).send(&name, &message).await;
    if args.format == Format::Json {
        Terminal::json(&as_json(&name, &message.id, &verdict))?;
    } else {
        Terminal::data(&in_words(&name, &verdict))?;
    }
    if verdict == Verdict::Accepted { Ok(()) } else { Err(Failure::Said(Exit::Failed)) }
}

fn in_words(name: &lictor_core::NotifierName, verdict: &Verdict) -> String {
    let later = |after: &Option<std::time::Duration>| {
        after.map_or_else(String::new, |after| format!("\nit asks to be left alone for {}", Span(after)))
    };
    match verdict {
        Verdict::Accepted => format!("{name}: accepted"),
        Verdict::Refused { why, retry_after, for_good } => {
            let lasting = if *for_good { ", and will be" } else { "" };
            format!("{name}: refused{lasting}: {why}{}", later(retry_after))
        }
        Verdict::Unclear { why, retry_after } => {
            format!("{name}: nobody knows whether it was accepted: {why}{}", later(retry_after))
        }
    }
}

fn as_json(name: &lictor_core::NotifierName, id: &str, verdict: &Verdict) -> serde_json::Value {
    let (word, why, after, for_good) = match verdict {
        Verdict::Accepted => ("accepted", None, None, false),
        Verdict::Refused { why, retry_after, for_good } => ("refused", Some(why), *retry_after, *for_good),
        Verdict::Unclear { why, retry_after } => ("unclear", Some(why), *retry_after, false),
    };
    json!({
        "notifier": name.as_str(),
        "id": id,
        "verdict": word,
        "reason": why,
        "for_good": for_good,
        "retry_after_ms": after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
    })
}
