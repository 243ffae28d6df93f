//! What the calendar asks for: maintenance windows, digests, and signs of life.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lictor_config::{Alerts, Calendar as Times, Digest, LifeSign, LifeSignTo, Maintenance, Tls};
use lictor_core::alert::{Command, Due, Input, Silence, Verdict};
use lictor_core::{NotifierName, Wall};
use reqwest::Method;
use tokio::time::MissedTickBehavior;
use tracing::{debug, warn};
use url::Url;

use super::Tell;
use super::inbox::DeskInbox;
use super::text;
use crate::clock::Clock;
use crate::remote::{self, Reach};
use crate::task::{OnEnd, Tasks};

/// The wall clock may be set: times of the calendar are looked at again so often.
const LOOK: Duration = Duration::from_secs(30);

/// After a start the sources have so long to say how things stand before a digest is made up for.
const HEARD: Duration = Duration::from_secs(30);

/// Time limit of a sign of life.
const LIMIT: Duration = Duration::from_secs(10);

/// What is read of the answer to it, bytes.
const READ: usize = 4 << 10;

/// What the calendar needs.
#[derive(Clone)]
pub(super) struct Calendar {
    pub(super) alerts: Arc<Alerts>,
    pub(super) desk: DeskInbox,
    pub(super) notifiers: Arc<dyn Tell>,
    pub(super) clock: Clock,
}

impl Calendar {
    /// Starts what the calendar has.
    pub(super) fn start(&self, tasks: &Tasks) {
        drop(tasks.spawn("windows of before", OnEnd::Fine, self.clone().end_others()));
        for window in self.alerts.maintenance.iter().cloned() {
            let name = format!("maintenance {}", window.name);
            drop(tasks.spawn(name, OnEnd::Fine, self.clone().keep(window)));
        }
        for digest in self.alerts.digests.iter().cloned() {
            drop(tasks.spawn(format!("digest {}", digest.name), OnEnd::Fine, self.clone().sum_up(digest)));
        }
        for sign in self.alerts.heartbeats.iter().cloned() {
            drop(tasks.spawn("sign of life", OnEnd::Fine, self.clone().live(sign)));
        }
    }

    fn now(&self) -> Timestamp {
        stamp(self.clock.now().wall)
    }

    /// Waits until the wall clock shows that.
    async fn until(&self, then: Timestamp) {
        loop {
            let left = self.now().duration_until(then);
            let Ok(left) = Duration::try_from(left) else { return };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }

    /// Ends the silences of windows that another configuration had.
    async fn end_others(self) {
        let now = self.now();
        let active = self.alerts.maintenance.iter().filter(|window| window.active(now).is_some());
        let silences = active.map(silence_of).collect();
        // It stops.
        let _gone = self.desk.input(Input::Planned { silences }).await;
    }

    /// A maintenance window is a silence that comes by itself.
    async fn keep(self, window: Maintenance) {
        loop {
            let now = self.now();
            let Some((start, end)) = window.active(now).or_else(|| window.next(now)) else { return };
            self.until(start).await;
            let Ok(lasting) = Duration::try_from(self.now().duration_until(end)) else { continue };
            if !lasting.is_zero() {
                let command = Command::Silence {
                    id: Some(silence_of(&window)),
                    when: window.when.clone(),
                    lasting,
                    by: Silence::CONFIGURATION.to_owned(),
                    comment: window.comment.clone(),
                };
                match self.desk.command(command).await {
                    Ok(Ok(_)) => {}
                    // It says itself whether and when it takes effect: not at all when a person ended it.
                    Ok(Err(refusal)) => {
                        warn!(window = %window.name, %refusal, "a maintenance window is not in force");
                    }
                    Err(why) => {
                        warn!(window = %window.name, %why, "a maintenance window did not begin");
                        tokio::time::sleep(LOOK).await;
                        continue;
                    }
                }
            }
            self.until(end).await;
        }
    }

    async fn sum_up(self, digest: Digest) {
        let mut from = self.now();
        // Whatever was due while nobody ran is made up for once; it is the desk that knows.
        if let Some(last) = last_before(&digest.at, from) {
            tokio::time::sleep(HEARD).await;
            self.digest(&digest, Due::Missed(wall(last)), digest.at.next(from)).await;
        }
        while let Some(at) = digest.at.next(from) {
            self.until(at).await;
            self.digest(&digest, Due::At(wall(at)), digest.at.next(at)).await;
            from = self.now();
        }
    }

    /// Has a digest made, until it is or its next time has come.
    async fn digest(&self, digest: &Digest, due: Due, next: Option<Timestamp>) {
        loop {
            let command = Command::Digest {
                name: digest.name.clone(),
                when: digest.when.clone(),
                to: digest.to.clone(),
                also_when_well: digest.also_when_well,
                due,
            };
            match self.desk.command(command).await {
                Ok(Ok(_)) => return,
                Ok(Err(refusal)) => {
                    warn!(digest = %digest.name, %refusal, "a digest waits");
                    return;
                }
                Err(why) => warn!(digest = %digest.name, %why, "a digest was not made"),
            }
            tokio::time::sleep(LOOK).await;
            if next.is_some_and(|next| next <= self.now()) {
                return;
            }
        }
    }

    /// Says that we live as long as the desk answers and can record: a desk that hangs is silent.
    async fn live(self, sign: LifeSign) {
        let mut times = tokio::time::interval(sign.every);
        // What a slow receiver takes is no part of the pause, and what was missed is not made up for.
        times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            times.tick().await;
            match self.desk.view().await {
                Ok(view) if view.cannot_record.is_none() => match &sign.to {
                    LifeSignTo::Url(url) => call(url).await,
                    LifeSignTo::Notifiers(names) => self.say(names).await,
                },
                Ok(_) => debug!("no sign of life: alerts cannot be recorded"),
                Err(why) => warn!(%why, "no sign of life: the alerts do not answer"),
            }
        }
    }

    async fn say(&self, names: &[NotifierName]) {
        for name in names {
            let message = text::life_sign(name, &self.alerts.plan.cluster, self.clock.now().wall);
            if let Verdict::Refused { why, .. } | Verdict::Unclear { why, .. } =
                self.notifiers.send(name, &message).await
            {
                warn!(notifier = %name, %why, "a sign of life was not accepted");
            }
        }
    }
}

/// The silence of a maintenance window.
fn silence_of(window: &Maintenance) -> String {
    format!("maintenance {}", window.name)
}

/// The last time of a calendar that is past, of the last year.
fn last_before(at: &Times, now: Timestamp) -> Option<Timestamp> {
    // A calendar looks only forward: from further and further back, so that few times lie between.
    let back = |hours: i64| now.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN);
    let mut found = [1, 24, 8 * 24, 32 * 24, 366 * 24]
        .into_iter()
        .find_map(|hours| at.next(back(hours)).filter(|first| *first <= now))?;
    while let Some(later) = at.next(found).filter(|later| *later <= now) {
        found = later;
    }
    Some(found)
}

async fn call(url: &Url) {
    // The path of such an address is often its secret.
    let host = url.host_str().unwrap_or_default();
    let asked = async {
        let reach = Reach::new(url, &Tls::default(), LIMIT).await?;
        let request = reach.request(Method::GET, url.clone())?;
        remote::send(request, LIMIT, READ).await.map_err(|why| why.to_string())
    };
    match asked.await {
        Ok(answer) if answer.is_good() => {}
        Ok(answer) => warn!(%host, status = answer.status, "a sign of life was not accepted"),
        Err(why) => warn!(%host, %why, "a sign of life was not accepted"),
    }
}

fn wall(at: Timestamp) -> Wall {
    Wall::from_unix_millis(at.as_millisecond())
}

fn stamp(wall: Wall) -> Timestamp {
    Timestamp::from_millisecond(wall.as_unix_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
