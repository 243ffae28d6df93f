//! Whether what was noted has been restarted: by the counters of its tasks, or because another
//! allocation has taken its place.

use std::time::Duration;

use lictor_core::Span;
use tokio::time::{Instant, sleep};

use super::client::{Alloc, Nomad, TaskState, Trouble, explain};
use super::note::{Aim, Counters, Method, Target, short};
use super::targets::{Slot, successor};

/// How long a server is asked to hold a question until there is news.
const WAIT: Duration = Duration::from_secs(5);

/// The shortest time from one look to the next: news may be of something else.
const LEAST: Duration = Duration::from_millis(200);

/// The pause after a look that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What a look brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All of it was restarted and has run for as long as it must.
    Held,
    /// Not yet.
    Waiting,
    /// Nobody could look.
    Blind,
}

/// How it stands with what was noted, as far as it was looked at.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    aim: &'a Aim,
    hold: Duration,
    places: Vec<Place>,
    /// Why the last look failed.
    blind: Option<String>,
    looked: bool,
    /// Since when all is well, and how it was then.
    held: Option<(Instant, Vec<Signature>)>,
}

/// How it stands with one allocation that was noted.
#[derive(Clone, Debug, Default)]
struct Place {
    /// The allocation that is in its place now.
    current: String,
    /// After this index of Nomad there is news of it; 0: none is known.
    index: u64,
    seen: Seen,
}

/// What is seen of an allocation in view of what was noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Something of it was restarted, or it is over.
    begun: bool,
    /// Something of it was told to restart, and its process has not ended yet.
    under_way: bool,
    /// There will be news of another allocation, not of this one.
    over: bool,
    /// All of it was restarted, or another one is in its place.
    moved: bool,
    /// What is not as it must be.
    lacks: Option<String>,
    signature: Signature,
}

/// Another one means that something was restarted in between.
type Signature = (String, Vec<(String, Counters)>);

impl<'a> Standing<'a> {
    pub(super) fn of(aim: &'a Aim, hold: Duration) -> Self {
        let place = |target: &Target| Place { current: target.alloc.clone(), ..Place::default() };
        let places = aim.targets.iter().map(place).collect();
        Self { aim, hold, places, blind: None, looked: false, held: None }
    }

    /// Waits for news, but not for long, and looks. May be given up at any point.
    pub(super) async fn look(&mut self, nomad: &Nomad) -> Progress {
        self.wait(nomad).await;
        if self.glance(nomad).await.is_err() {
            return Progress::Blind;
        }
        if !self.is_fine() {
            self.held = None;
            return Progress::Waiting;
        }
        let now: Vec<Signature> = self.places.iter().map(|place| place.seen.signature.clone()).collect();
        let since = match self.held.take() {
            Some((since, then)) if then == now => since,
            Some(_) | None => Instant::now(),
        };
        let held = since.elapsed() >= self.hold;
        self.held = Some((since, now));
        if held { Progress::Held } else { Progress::Waiting }
    }

    /// Looks at once.
    pub(super) async fn glance(&mut self, nomad: &Nomad) -> Result<(), Trouble> {
        let seen = self.see(nomad).await;
        self.looked = true;
        match seen {
            Ok(places) => {
                self.places = places;
                self.blind = None;
                Ok(())
            }
            Err(trouble) => {
                self.blind = Some(explain(nomad, &trouble));
                Err(trouble)
            }
        }
    }

    async fn see(&self, nomad: &Nomad) -> Result<Vec<Place>, Trouble> {
        let mut places: Vec<Place> = Vec::with_capacity(self.places.len());
        for (target, place) in self.aim.targets.iter().zip(&self.places) {
            let taken: Vec<String> = places.iter().map(|place| place.current.clone()).collect();
            let mut place = place.clone();
            let found = match nomad.allocation(&place.current).await {
                Ok(alloc) => Some(alloc),
                Err(Trouble::Missing(_)) => None,
                Err(trouble) => return Err(trouble),
            };
            let over = found.as_ref().is_none_or(Alloc::is_over);
            let next = if over {
                let noted = Slot {
                    job: &self.aim.job,
                    group: &target.group,
                    name: None,
                    next: None,
                    index: target.index,
                };
                successor(nomad, &found.as_ref().map_or(noted, Slot::of), &taken).await?
            } else {
                None
            };
            if let Some(next) = &next {
                place.current.clone_from(&next.id);
                place.index = 0;
            }
            place.seen = seen(target, self.aim.method, next.as_ref().or(found.as_ref()));
            places.push(place);
        }
        Ok(places)
    }

    /// Waits until there may be something new to see.
    async fn wait(&mut self, nomad: &Nomad) {
        if !self.looked {
            return;
        }
        if self.blind.is_some() {
            sleep(PAUSE).await;
            return;
        }
        let left = match &self.held {
            Some((since, _)) => self.hold.saturating_sub(since.elapsed()).min(WAIT),
            None => WAIT,
        };
        let begun = Instant::now();
        let fine = self.held.is_some();
        // What is well is waited at as well: it may not stay so.
        let wanting = self.places.iter_mut().find(|place| fine || !place.seen.is_fine());
        match wanting {
            Some(place) if !place.seen.over => {
                let index = place.index;
                match nomad.news(&place.current, index, left).await {
                    // A server that was restored counts from lower on.
                    Ok((_, now)) => place.index = if now < index { 0 } else { now },
                    Err(_told_by_the_look) => place.index = 0,
                }
            }
            Some(_) | None => {}
        }
        sleep(LEAST.min(left).saturating_sub(begun.elapsed())).await;
    }

    pub(super) const fn aim(&self) -> &Aim {
        self.aim
    }

    /// Whether the last look failed.
    pub(super) const fn is_blind(&self) -> bool {
        self.blind.is_some() || !self.looked
    }

    /// Whether something has happened that shows that the request was carried out.
    pub(super) fn is_begun(&self) -> bool {
        self.places.iter().any(|place| place.seen.begun)
    }

    /// Whether a restart was told and has not shown in the counters.
    pub(super) fn is_under_way(&self) -> bool {
        self.places.iter().any(|place| place.seen.under_way)
    }

    /// Whether something is over, and nothing has taken its place.
    pub(super) fn wants_another(&self) -> bool {
        self.blind.is_none() && self.places.iter().any(|place| place.seen.over)
    }

    /// Whether all of it was restarted and runs.
    pub(super) fn is_fine(&self) -> bool {
        !self.is_blind() && self.places.iter().all(|place| place.seen.is_fine())
    }

    /// The allocations with which it was done.
    pub(super) fn finished(&self) -> Vec<String> {
        let fine = self.places.iter().filter(|place| place.seen.is_fine());
        fine.map(|place| place.current.clone()).collect()
    }

    /// What is not as it must be.
    pub(super) fn lacks(&self) -> String {
        if let Some(why) = &self.blind {
            return format!("nobody can tell whether it was restarted: {why}");
        }
        if !self.looked {
            return "Nomad has not told yet whether it was restarted".to_owned();
        }
        let lacks: Vec<&str> = self.places.iter().filter_map(|place| place.seen.lacks.as_deref()).collect();
        if lacks.is_empty() {
            return format!("all of it runs again, but has not for {} yet", Span(self.hold));
        }
        lacks.join("; ")
    }

    /// What was done.
    pub(super) fn done(&self) -> String {
        let one = |(target, place): (&Target, &Place)| {
            let (old, group) = (target.short(), &target.group);
            if place.current == target.alloc {
                let tasks: Vec<&str> = target.tasks.keys().map(String::as_str).collect();
                format!("allocation {old} (group {group}): {} restarted", tasks.join(", "))
            } else {
                format!("allocation {old} (group {group}): replaced by {}", short(&place.current))
            }
        };
        let all: Vec<String> = self.aim.targets.iter().zip(&self.places).map(one).collect();
        format!("job {}, {}; running for {}", self.aim.job, all.join("; "), Span(self.hold))
    }
}

impl Seen {
    fn is_fine(&self) -> bool {
        self.moved && self.lacks.is_none()
    }
}

/// What an allocation shows of what was noted: the same one, or that in its place. `None`: there
/// is neither.
fn seen(target: &Target, method: Method, alloc: Option<&Alloc>) -> Seen {
    let old = target.short();
    let Some(alloc) = alloc else {
        let lacks = Some(format!("Nomad has no allocation {old}, and none has taken its place"));
        return Seen { over: true, lacks, ..Seen::default() };
    };
    let counters = alloc.tasks().map(|(name, task)| (name.clone(), task.counters())).collect();
    let signature = (alloc.id.clone(), counters);
    if alloc.is_over() {
        let how = if alloc.desired_status == "run" { &alloc.client_status } else { "stopped" };
        let lacks = Some(format!("allocation {} is {how}, and none has taken its place", short(&alloc.id)));
        return Seen { begun: true, over: true, lacks, signature, ..Seen::default() };
    }
    if alloc.id != target.alloc {
        let lacks = replacement_lacks(target, alloc);
        return Seen { begun: true, moved: true, lacks, signature, ..Seen::default() };
    }
    if method == Method::Replace {
        let lacks = Some(format!("allocation {old} was not stopped"));
        return Seen { lacks, signature, ..Seen::default() };
    }
    let mut seen = Seen { moved: true, signature, ..Seen::default() };
    for (name, before) in &target.tasks {
        let now = alloc.task(name);
        let moved = now.is_some_and(|task| before.moved(&task.counters()));
        let under_way = !moved && now.is_some_and(TaskState::is_restarting);
        seen.begun |= moved || under_way;
        seen.moved &= moved;
        seen.under_way |= under_way;
        let lacks = match now {
            None => Some(format!("allocation {old} has no task {name} any more")),
            Some(_) if under_way => Some(format!("task {name} of allocation {old} is being restarted")),
            Some(_) if !moved => Some(format!("task {name} of allocation {old} was not restarted")),
            Some(task) if task.state != "running" => {
                let failed = if task.failed { " and has failed" } else { "" };
                Some(format!("task {name} of allocation {old} is {}{failed}", task.state))
            }
            Some(_) => None,
        };
        seen.lacks = seen.lacks.or(lacks);
    }
    seen
}

/// What an allocation in another one's place is lacking.
fn replacement_lacks(target: &Target, alloc: &Alloc) -> Option<String> {
    let place = format!("allocation {}, in the place of {},", short(&alloc.id), target.short());
    if alloc.client_status != "running" {
        return Some(format!("{place} is {}", alloc.client_status));
    }
    // Its tasks may have other names, if the job was changed.
    let known = target.tasks.keys().filter_map(|name| Some((name, alloc.task(name)?)));
    for (name, task) in known {
        if task.state != "running" {
            return Some(format!("task {name} of {place} is {}", task.state));
        }
    }
    if !alloc.tasks().any(|(_, task)| task.state == "running") {
        return Some(format!("no task of {place} runs"));
    }
    let unhealthy = alloc.deployment_status.as_ref().is_some_and(|status| status.healthy == Some(false));
    unhealthy.then(|| format!("{place} is not healthy"))
}
