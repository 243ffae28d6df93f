//! Starting what was stopped: that, and nothing else.

use futures::future::BoxFuture;
use lictor_core::{Outcome, StepName};

use super::note::Chosen;
use super::{Attempt, settle, told, torrents};
use crate::act::Prepared;
use crate::qbittorrent::{Change, Hash, Picture, Problem, State};

/// Chooses those that these steps stopped, as far as they are there, are still stopped and still have
/// the tag.
pub(super) async fn prepare(
    attempt: Attempt<'_>,
    stopped_by: &[StepName],
    tag: Option<&str>,
) -> Result<Prepared, String> {
    let done = |detail: String| Prepared::Over(Outcome::Done { detail });
    let stopped = stopped(attempt, stopped_by);
    let none = || "nothing to do: no torrent was stopped".to_owned();
    if stopped.is_empty() && tag.is_none() {
        return Ok(done(none()));
    }
    let picture = settle::restored(attempt, &stopped).await?;
    let mut chosen = to_choose(&picture, &stopped, tag);
    // Apart, so that a tag left on one of them does not keep those stopped that could not be tagged.
    chosen.extend(to_choose(&picture, &with_tagged(Chosen::default(), &picture, tag), tag));
    let stopped = with_tagged(stopped, &picture, tag);
    if stopped.is_empty() {
        return Ok(done(none()));
    }
    if chosen.is_empty() && tagged(&picture, &stopped, tag).is_empty() {
        let count = torrents(stopped.len());
        return Ok(done(format!("nothing to do: of the {count} that were stopped none is to be started")));
    }
    // Also when none is chosen: then there are tags to be taken off.
    Ok(Prepared::Note(chosen.to_text()))
}

/// What the steps noted, whether they could finish or not.
fn stopped(attempt: Attempt<'_>, by: &[StepName]) -> Chosen {
    let mut stopped = Chosen::default();
    for step in by {
        stopped.extend(Chosen::of_step(attempt.order, step).unwrap_or_default());
    }
    stopped
}

/// With those that have the tag although nobody remembers them: it says who stopped them, also
/// when the record of that is lost.
fn with_tagged(mut stopped: Chosen, picture: &Picture, tag: Option<&str>) -> Chosen {
    let Some(tag) = tag else { return stopped };
    let tagged = picture.torrents().filter(|(_, torrent)| torrent.has_tag(tag));
    // Of those that are remembered it stays known whether they were forced.
    stopped.extend(tagged.map(|(hash, _)| (hash.clone(), false)).collect());
    stopped
}

/// Those to start. A tag that was taken off says "hands off"; if none has it, it could not be put on.
fn to_choose(picture: &Picture, stopped: &Chosen, tag: Option<&str>) -> Chosen {
    let carriers = tagged(picture, stopped, tag);
    let meant = |hash: &Hash| carriers.is_empty() || carriers.binary_search(hash).is_ok();
    let chosen = stopped.iter().filter(|(hash, _)| to_start(picture, hash, false) && meant(hash));
    chosen.map(|(hash, forced)| (hash.clone(), forced)).collect()
}

/// Those that have the tag, in the order of their hashes.
fn tagged(picture: &Picture, stopped: &Chosen, tag: Option<&str>) -> Vec<Hash> {
    let Some(tag) = tag else { return Vec::new() };
    let has = |hash: &&Hash| picture.get(hash).is_some_and(|torrent| torrent.has_tag(tag));
    stopped.hashes().filter(has).cloned().collect()
}

/// Whether a torrent is to be started. One that is checked or moved may have been stopped before;
/// it counts as started when it was told (`taken`). One that is forced was started by a person.
fn to_start(picture: &Picture, hash: &Hash, taken: bool) -> bool {
    picture.get(hash).is_some_and(|torrent| match torrent.state {
        State::Stopped | State::Loading => true,
        State::Busy => !taken && !torrent.is_forced(),
        State::Running | State::Broken | State::Unknown => false,
    })
}

/// Starts what was chosen, and takes the tag off all that were stopped.
pub(super) async fn act(
    attempt: Attempt<'_>,
    stopped_by: &[StepName],
    tag: Option<&str>,
    reannounce: bool,
) -> Result<String, String> {
    let Some(chosen) = Chosen::of_step(attempt.order, &attempt.order.step) else {
        return Err("which torrents are to be started was not noted before: none was".to_owned());
    };
    let (until, client) = (attempt.until, attempt.client);
    let left = |picture: &Picture, taken: bool| -> Vec<Hash> {
        chosen.hashes().filter(|hash| to_start(picture, hash, taken)).cloned().collect()
    };
    let start = |left: Vec<Hash>, times: u32| -> BoxFuture<'_, Result<(), Problem>> {
        let chosen = &chosen;
        Box::pin(async move {
            let (forced, others): (Vec<Hash>, Vec<Hash>) =
                left.iter().cloned().partition(|hash| chosen.is_forced(hash));
            // To be forced is to be started. Where that did not help, it is started before.
            client.change(Change::Start, if times > 1 { &left } else { &others }, until).await?;
            client.change(Change::Force, &forced, until).await
        })
    };
    settle::see_to(attempt, &chosen, left, start).await?;
    let started: Vec<Hash> = chosen.hashes().cloned().collect();
    let mut remarks = String::new();
    if reannounce {
        remarks
            .push_str(remark(client.change(Change::Reannounce, &started, until).await, "; not announced")?);
    }
    // Last of all: as long as one has it, the others are not started without it.
    if let Some(tag) = tag {
        let picture = settle::restored(attempt, &chosen).await?;
        let stopped = with_tagged(stopped(attempt, stopped_by), &picture, Some(tag));
        let carriers = tagged(&picture, &stopped, Some(tag));
        remarks
            .push_str(remark(client.change(Change::Untag(tag), &carriers, until).await, "; the tag stays")?);
    }
    let forced = chosen.iter().filter(|(_, forced)| *forced).count();
    let forced = if forced > 0 { format!(", {forced} of them forced") } else { String::new() };
    Ok(format!("started {}{forced}{remarks}", torrents(started.len())))
}

/// What is only an addition may be refused, which is told.
fn remark(done: Result<(), Problem>, refused: &'static str) -> Result<&'static str, String> {
    match done {
        Ok(()) => Ok(""),
        Err(Problem::Barred(_)) => Ok(refused),
        Err(problem @ Problem::Down(_)) => Err(told(problem)),
    }
}

/// Whether all that was chosen runs and nothing has the tag any more.
pub(super) async fn inspect(
    attempt: Attempt<'_>,
    stopped_by: &[StepName],
    tag: Option<&str>,
) -> Result<String, String> {
    let Some(chosen) = Chosen::of_step(attempt.order, &attempt.order.step) else {
        return Err("which torrents are to be started was not noted".to_owned());
    };
    let picture = settle::restored(attempt, &chosen).await?;
    let left = chosen.hashes().filter(|hash| to_start(&picture, hash, false)).count();
    let of = torrents(chosen.len());
    if left > 0 {
        return Err(format!("{left} of {of} are stopped"));
    }
    let stopped = with_tagged(stopped(attempt, stopped_by), &picture, tag);
    match tagged(&picture, &stopped, tag).len() {
        0 => Ok(format!("{of} run")),
        left => Err(format!("{} still have the tag", torrents(left))),
    }
}

#[cfg(test)]
mod tests;
