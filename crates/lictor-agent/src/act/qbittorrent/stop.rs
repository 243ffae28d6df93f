//! Stopping torrents, and knowing afterwards which.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::BoxFuture;
use lictor_core::{Outcome, StepName};

use super::note::Chosen;
use super::{Attempt, settle, torrents};
use crate::act::Prepared;
use crate::qbittorrent::{Change, Hash, Picture, Problem, State, TrackerName};

/// Chooses what runs: of the tracker, or all. What an earlier attempt had chosen stays chosen, or
/// what it stopped would never be started again.
pub(super) async fn prepare(
    attempt: Attempt<'_>,
    tracker: Option<&str>,
    unless_done: Option<&StepName>,
) -> Result<Prepared, String> {
    let order = attempt.order;
    let done = |detail: String| Prepared::Over(Outcome::Done { detail });
    if let Some(step) = unless_done
        && order.notes.get(step).is_some_and(|note| note.done)
    {
        return Ok(done(format!("nothing to do: step `{step}` has stopped them")));
    }
    let mut chosen = Chosen::of_step(order, &order.step).unwrap_or_default();
    chosen.extend(unless_done.and_then(|step| Chosen::of_step(order, step)).unwrap_or_default());
    let picture = settle::restored(attempt, &chosen).await?;
    chosen.extend(running(&picture, tracker.map(TrackerName::new).as_ref()));
    if to_stop(&picture, &chosen, false).is_empty() {
        let of = tracker.map_or_else(String::new, |tracker| format!(" of {}", TrackerName::new(tracker)));
        return Ok(done(format!("nothing to do: no torrent{of} runs")));
    }
    Ok(Prepared::Note(chosen.to_text()))
}

/// Running torrents. Neither those that are stopped nor those that have an error: whoever starts
/// them again would start what a person stopped.
fn running(picture: &Picture, tracker: Option<&TrackerName>) -> Chosen {
    let with_flag = |hash: &Hash| {
        let torrent = picture.get(hash).filter(|torrent| torrent.state.runs())?;
        Some((hash.clone(), torrent.is_forced()))
    };
    match tracker {
        Some(tracker) => picture.of_tracker(tracker).iter().filter_map(with_flag).collect(),
        None => picture.torrents().filter_map(|(hash, _)| with_flag(hash)).collect(),
    }
}

/// Those of the chosen that are to be stopped. One that is checked or moved shows only later that it
/// was; it counts as stopped when it was told (`taken`).
fn to_stop(picture: &Picture, chosen: &Chosen, taken: bool) -> Vec<Hash> {
    let runs = |hash: &&Hash| match picture.get(hash).map(|torrent| torrent.state) {
        Some(State::Running | State::Loading) => true,
        Some(State::Busy) => !taken,
        Some(State::Stopped | State::Broken | State::Unknown) | None => false,
    };
    chosen.hashes().filter(runs).cloned().collect()
}

/// Stops what was chosen.
pub(super) async fn act(attempt: Attempt<'_>, tag: Option<&str>) -> Result<String, String> {
    let Some(chosen) = Chosen::of_step(attempt.order, &attempt.order.step) else {
        return Err("which torrents are to be stopped was not noted before: none was".to_owned());
    };
    let (until, client) = (attempt.until, attempt.client);
    let (stopped, untagged) = (AtomicUsize::new(0), AtomicBool::new(false));
    let stop = |left: Vec<Hash>, times: u32| -> BoxFuture<'_, Result<(), Problem>> {
        let (stopped, untagged) = (&stopped, &untagged);
        Box::pin(async move {
            // Before they are stopped: one that was stopped without its tag is taken for a person's.
            if let Some(tag) = tag {
                let refused = label(client.change(Change::Tag(tag), &left, until).await)?;
                untagged.fetch_or(refused, Ordering::Relaxed);
            }
            if times == 1 {
                stopped.store(left.len(), Ordering::Relaxed);
            }
            client.change(Change::Stop, &left, until).await
        })
    };
    settle::see_to(attempt, &chosen, |picture, taken| to_stop(picture, &chosen, taken), stop).await?;
    let stopped = stopped.into_inner();
    let before = match chosen.len().saturating_sub(stopped) {
        0 => String::new(),
        before => format!(", {before} did not run any more"),
    };
    let untagged = if untagged.into_inner() { "; they could not be tagged" } else { "" };
    Ok(format!("stopped {}{before}{untagged}", torrents(stopped)))
}

/// A tag that is refused (`true`) is no reason to let them run.
fn label(tagged: Result<(), Problem>) -> Result<bool, Problem> {
    match tagged {
        Ok(()) => Ok(false),
        Err(Problem::Barred(_)) => Ok(true),
        Err(problem @ Problem::Down(_)) => Err(problem),
    }
}

/// Whether all that was chosen is stopped.
pub(super) async fn inspect(attempt: Attempt<'_>) -> Result<String, String> {
    let Some(chosen) = Chosen::of_step(attempt.order, &attempt.order.step) else {
        return Err("which torrents are to be stopped was not noted".to_owned());
    };
    let picture = settle::restored(attempt, &chosen).await?;
    match to_stop(&picture, &chosen, false).len() {
        0 => Ok(format!("{} are stopped", torrents(chosen.len()))),
        left => Err(format!("{left} of {} run", torrents(chosen.len()))),
    }
}

#[cfg(test)]
mod tests;
