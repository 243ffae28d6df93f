//! `act "nomad"`: has allocations restarted, or replaced, and sees by Nomad's own counters that
//! they were.
//!
//! What Nomad answers is not believed. It says 500 for a restart that it made, and the call blocks
//! until the old processes are gone, so that its time can be over although all is well. Before the
//! request it is noted which allocations are meant and how the counters of their tasks stand;
//! whether it was done is what the counters say afterwards. That is also how an agent that was
//! restarted in between, perhaps by this very request, finds out.

mod client;
mod note;
mod targets;
mod verify;

use std::time::Duration;

use lictor_config::{NomadAction, NomadHow};
use lictor_core::{Order, Outcome};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Prepared, failed, unknown};
use crate::Clock;
use client::{Nomad, Trouble};
use note::{Aim, Method};
use verify::{Progress, Standing};

/// A request that has not shown in the counters by then has not been carried out: it takes about
/// a second.
const SETTLE: Duration = Duration::from_secs(60);

/// Of the time limit, what is kept for finding out why it was not done; a tenth at most.
const LAST: Duration = Duration::from_secs(1);

/// What the action needs besides its order.
#[derive(Clone, Debug)]
pub(super) struct Env {
    /// Where services are looked up.
    consul: Option<lictor_consul::Client>,
    /// Tells how long ago an attempt was ordered.
    clock: Clock,
    /// See [`SETTLE`].
    settle: Duration,
}

impl Env {
    /// Services are looked up in `consul`; without one they cannot be.
    pub(super) const fn new(consul: Option<lictor_consul::Client>, clock: Clock) -> Self {
        Self { consul, clock, settle: SETTLE }
    }
}

/// Finds out which allocations are meant and how the counters of their tasks stand. If what an
/// earlier attempt of this step asked for has visibly been done, there is nothing left to do.
pub(super) async fn prepare(action: &NomadAction, order: &Order, env: &Env, limit: Duration) -> Prepared {
    let deadline = Instant::now() + limit;
    let work = async {
        let nomad = Nomad::open(&action.api, limit).await?;
        let earlier = match unfinished(order) {
            Some(aim) => match made(&nomad, &aim, action, deadline).await? {
                Made::All(detail) => return Ok(Prepared::Over(Outcome::Done { detail })),
                Made::Some(done) => done,
            },
            None => Vec::new(),
        };
        let aim = targets::resolve(&nomad, action, order, env, &earlier, deadline).await?;
        Ok::<_, String>(Prepared::Note(aim.to_text()))
    };
    match timeout_at(deadline, work).await {
        Ok(Ok(prepared)) => prepared,
        Ok(Err(why)) => Prepared::Over(failed(why)),
        Err(_late) => {
            let long = limit.as_secs_f64();
            Prepared::Over(failed(format!("Nomad has not said what runs there within {long:.1} s")))
        }
    }
}

/// Asks for what was noted, and waits until the counters show it and the tasks have run for as
/// long as they must.
pub(super) async fn act(action: &NomadAction, order: &Order, env: &Env, limit: Duration) -> Outcome {
    let whole = Instant::now() + limit;
    // The last of it is for finding out why.
    let deadline = whole - LAST.min(limit / 10);
    let Some(aim) = noted(order) else {
        return failed("what is to be restarted was not noted before: nothing was asked for".to_owned());
    };
    let nomad = match Nomad::open(&action.api, limit).await {
        Ok(nomad) => nomad,
        Err(why) => return failed(format!("nothing was asked for: {why}")),
    };
    let mut standing = Standing::of(&aim, action.hold);
    let asking = ask(&nomad, &aim, &action.how, deadline);
    let mut asking = std::pin::pin!(asking);
    let mut answered: Option<(Instant, Vec<String>)> = None;
    loop {
        let settled = answered.as_ref().map(|(at, _)| *at + env.settle).filter(|_| !standing.is_begun());
        let end = settled.map_or(deadline, |settled| settled.min(deadline));
        tokio::select! {
            biased;
            asked = &mut asking, if answered.is_none() => match asked {
                Ok(doubts) => answered = Some((Instant::now(), doubts)),
                Err(why) => return failed(why),
            },
            progress = standing.look(&nomad) => if progress == Progress::Held {
                return Outcome::Done { detail: standing.done() };
            },
            () = sleep_until(end) => break,
        }
    }
    let doubts = answered.as_ref().map_or(&[][..], |(_, doubts)| doubts);
    let silent = answered.is_none();
    let settled = answered.as_ref().is_some_and(|(at, _)| at.elapsed() >= env.settle);
    let place = timeout_at(whole, why_none(&nomad, &standing)).await.ok().flatten();
    ended(&standing, place, doubts, silent, settled)
}

/// Why no other allocation takes the place of one that is over, when that is what is waited for.
async fn why_none(nomad: &Nomad, standing: &Standing<'_>) -> Option<String> {
    if !standing.wants_another() {
        return None;
    }
    targets::placement(nomad, standing.aim()).await
}

/// What it means that the time is over.
fn ended(
    standing: &Standing<'_>,
    place: Option<String>,
    doubts: &[String],
    silent: bool,
    settled: bool,
) -> Outcome {
    let mut detail = standing.lacks();
    if let Some(why) = place {
        detail = format!("{detail}; {why}");
    }
    for doubt in doubts {
        detail = format!("{detail}; the request: {doubt}");
    }
    if silent {
        detail.push_str("; the request: no answer yet");
    }
    if standing.is_blind() || standing.is_under_way() || !(standing.is_begun() || settled) {
        // It may still be done.
        unknown(detail)
    } else {
        failed(detail)
    }
}

/// Says what became of an attempt, by the counters alone. While nobody can look it is unknown; what
/// has not begun a minute after it was noted was not asked for.
pub(super) async fn inspect(action: &NomadAction, order: &Order, env: &Env, limit: Duration) -> Outcome {
    let deadline = Instant::now() + limit;
    let Some(aim) = noted(order) else {
        return Outcome::NotStarted { detail: "it was not noted what would be restarted".to_owned() };
    };
    let nomad = match Nomad::open(&action.api, limit).await {
        Ok(nomad) => nomad,
        Err(why) => return unknown(format!("Nomad cannot be asked: {why}")),
    };
    let mut standing = Standing::of(&aim, action.hold);
    // The request came after the note, if it came.
    let noted_at = order.notes.get(&order.step).map_or(order.since, |note| note.at.boot.max(order.since));
    let settled = Instant::now() + env.settle.saturating_sub(env.clock.boot().since(noted_at));
    loop {
        let progress = timeout_at(deadline, standing.look(&nomad)).await;
        match progress {
            Ok(Progress::Held) => return Outcome::Done { detail: standing.done() },
            Ok(Progress::Blind | Progress::Waiting) => {}
            Err(_late) => break,
        }
        let over = Instant::now() >= settled;
        if progress == Ok(Progress::Waiting) && over && !standing.is_begun() {
            let detail = format!("nothing was restarted: {}", standing.lacks());
            return Outcome::NotStarted { detail };
        }
    }
    if standing.is_blind() || standing.is_under_way() || !standing.is_begun() {
        unknown(standing.lacks())
    } else {
        failed(standing.lacks())
    }
}

/// What this step noted, whether it was done then or not.
fn noted(order: &Order) -> Option<Aim> {
    order.notes.get(&order.step).and_then(|note| Aim::from_text(&note.text))
}

/// What an earlier attempt of this step noted and could not finish.
fn unfinished(order: &Order) -> Option<Aim> {
    let note = order.notes.get(&order.step).filter(|note| !note.done)?;
    Aim::from_text(&note.text)
}

/// How much of an earlier attempt was done.
enum Made {
    All(String),
    /// Only with these allocations, perhaps none.
    Some(Vec<String>),
}

/// Looks once at what an earlier attempt asked for.
async fn made(nomad: &Nomad, aim: &Aim, action: &NomadAction, deadline: Instant) -> Result<Made, String> {
    let mut standing = Standing::of(aim, action.hold);
    let looked = timeout_at(deadline, standing.glance(nomad)).await;
    match looked {
        Ok(Ok(())) => {}
        Ok(Err(trouble)) => return Err(client::explain(nomad, &trouble)),
        Err(_late) => return Err("Nomad has not said in time what became of the attempt before".to_owned()),
    }
    if !standing.is_fine() {
        return Ok(Made::Some(standing.finished()));
    }
    // All of it has happened; as after a request, it must also last.
    loop {
        match timeout_at(deadline, standing.look(nomad)).await {
            Ok(Progress::Held) => {
                return Ok(Made::All(format!("the attempt before had done it: {}", standing.done())));
            }
            Ok(Progress::Blind | Progress::Waiting) if standing.is_fine() => {}
            Ok(Progress::Blind | Progress::Waiting) | Err(_) => return Ok(Made::Some(standing.finished())),
        }
    }
}

/// Makes the requests, one after the other. Gives what Nomad said that may or may not mean that it
/// was not done; an error is what certainly was not, and will not be.
async fn ask(nomad: &Nomad, aim: &Aim, how: &NomadHow, deadline: Instant) -> Result<Vec<String>, String> {
    let tasks: Vec<Option<&str>> = match how {
        NomadHow::Restart { tasks } if !tasks.is_empty() => {
            tasks.iter().map(|task| Some(task.as_str())).collect()
        }
        NomadHow::Restart { .. } | NomadHow::Replace => vec![None],
    };
    let mut doubts = Vec::new();
    let mut asked = 0_u32;
    for target in &aim.targets {
        for task in &tasks {
            let request = match aim.method {
                Method::Restart => nomad.restart(&target.alloc, *task, deadline).await,
                Method::Replace => nomad.stop(&target.alloc, deadline).await,
            };
            let Err(trouble) = request else {
                asked += 1;
                continue;
            };
            let why = client::explain(nomad, &trouble);
            match trouble {
                // Nothing of it was done. What was asked for before is looked at by the next attempt.
                Trouble::Unsent(_) | Trouble::Denied(_) | Trouble::NoLeader => {
                    let before = if asked == 0 { "" } else { " (others were asked for)" };
                    return Err(format!("allocation {} was left as it is{before}: {why}", target.short()));
                }
                Trouble::Said(_, said) if said.contains("Could not find task runner") => {
                    return Err(format!("allocation {} was left as it is: {why}", target.short()));
                }
                // Gone, so that another one may be in its place: that is seen by the counters.
                Trouble::Missing(_) | Trouble::Said(..) | Trouble::Unanswered(_) | Trouble::Garbled(_) => {
                    doubts.push(why);
                }
            }
        }
    }
    Ok(doubts)
}

#[cfg(test)]
mod tests;
