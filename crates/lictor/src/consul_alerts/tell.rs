//! Tells messages in the words of the old program, by the ways of the agent.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lictor_agent::Clock;
use lictor_agent::alert::Tell;
use lictor_agent::alert::notify::{self, Made, Notifiers};
use lictor_agent::text::one_line;
use lictor_compat::Moment;
use lictor_compat::consul_alerts::{CheckRef, Kind, Message, Notifier, Receiver, text};
use lictor_config::Config;
use lictor_core::alert::{Gone, Item, Message as Told, Over, Tells, Verdict, label};
use lictor_core::{NotifierName, Status, Wall};
use tracing::{error, info};

use super::live::Current;
use super::rest::{self, Counted, Rest};
use super::{events, mattermost, words};

/// A program that ends badly is run so often; then it counts as told. The old program did not look at how
/// one ended, so that some end badly although they told everything.
const RUNS: u32 = 3;

/// How long a program may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Of what a program prints, characters that are logged.
const SHOWN: usize = 2_000;

/// The notifiers of the old program.
pub(super) struct OldWords {
    current: Arc<Current>,
    ours: Notifiers,
    rest: Rest,
}

impl Tell for OldWords {
    fn send<'a>(&'a self, notifier: &'a NotifierName, message: &'a Told) -> BoxFuture<'a, Verdict> {
        Box::pin(self.tell(notifier, message))
    }
}

impl OldWords {
    pub(super) fn new(config: &Config, current: Arc<Current>, rest: Rest) -> Self {
        Self { current, ours: Notifiers::new(config, Clock::fresh()), rest }
    }

    async fn tell(&self, name: &NotifierName, message: &Told) -> Verdict {
        let receiver = self.current.receivers.get(name).filter(|_| !message.items.is_empty());
        let Some(receiver) = receiver else { return self.ours.send(name, message).await };
        let mut told: Vec<_> = message.items.iter().map(|item| self.old(item, message)).collect();
        let rest = self.rest.of(message).await;
        let rest = rest.iter().map(|counted| self.said(&Seen::from(counted), message)).collect();
        let rest = rest::that_fit(receiver, &told, rest);
        let omitted = message.omitted.saturating_sub(rest.len());
        told.extend(rest);
        if let Some(last) = told.last_mut().filter(|_| omitted > 0) {
            let output = &mut last.message.output;
            *output = format!("{output}\n… and {omitted} more");
        }
        match receiver {
            Receiver::Custom { path, .. } => run(path, &told, message.attempt).await,
            Receiver::BuiltIn(notifier) => match notifier.kind {
                Kind::Prometheus | Kind::Influxdb | Kind::Hipchat => self.ours.send(name, message).await,
                Kind::Mattermost => {
                    let limit = self.ours.limit(name).unwrap_or(LIMIT);
                    mattermost::tell(notifier, words::mattermost(notifier, &told), limit).await
                }
                Kind::Email => self.mails(name, notifier, &told, message).await,
                _ => self.made(name, notifier, &told, message).await,
            },
        }
    }

    async fn made(
        &self,
        name: &NotifierName,
        notifier: &Notifier,
        told: &[words::Told],
        message: &Told,
    ) -> Verdict {
        let template = match notifier.text("template") {
            "" => None,
            path => read(path.to_owned()).await,
        };
        if notifier.kind == Kind::Log {
            make_room(notifier.text("path").to_owned()).await;
        }
        match words::made(notifier, told, template.as_deref(), at(message.at)) {
            Ok(made) => self.ours.send_made(name, message, made).await,
            Err(why) => Verdict::Refused { why, retry_after: None, for_good: true },
        }
    }

    /// Several mails, where one is for one alert or one node.
    async fn mails(
        &self,
        name: &NotifierName,
        notifier: &Notifier,
        told: &[words::Told],
        message: &Told,
    ) -> Verdict {
        let messages: Vec<Message> = told.iter().map(|told| told.message.clone()).collect();
        let template = match notifier.text("template") {
            "" => None,
            path => read(path.to_owned()).await,
        };
        for (place, (cluster, part)) in text::mails(notifier, &messages).into_iter().enumerate() {
            let (subject, text, html) = words::mail(notifier, &cluster, &part, template.as_deref());
            let id = if place == 0 { message.id.clone() } else { format!("{}.{place}", message.id) };
            let whole = Told { id, ..message.clone() };
            let verdict = self.ours.send_made(name, &whole, Made::Letter { subject, text, html }).await;
            if verdict != Verdict::Accepted {
                return verdict;
            }
        }
        Verdict::Accepted
    }

    fn old(&self, item: &Item, message: &Told) -> words::Told {
        let seen = Seen {
            labels: &item.labels,
            tells: item.tells,
            status: item.status,
            output: if is_gone(item) { &item.notes } else { &item.output },
            notes: &item.notes,
            since: item.since,
        };
        self.said(&seen, message)
    }

    fn said(&self, seen: &Seen<'_>, message: &Told) -> words::Told {
        let settings = &self.current.settings;
        let node = match seen.label(label::NODE) {
            // What the alerts say of themselves.
            "" => &message.cluster,
            node => node,
        };
        let check = CheckRef {
            node,
            service_id: seen.label(label::SERVICE_ID),
            check_id: seen.label(label::CHECK_ID),
            status: seen.status.as_str(),
        };
        let profile = settings.profiles.get(settings.selection.of(&check));
        let list: BTreeMap<String, bool> = profile.map(|profile| profile.list.clone()).unwrap_or_default();
        let moment = |at: Timestamp| Moment::new(at, TimeZone::system());
        let reminder = seen.tells == Tells::Reminder;
        let old = Message {
            node: node.to_owned(),
            service_id: seen.label(label::SERVICE_ID).to_owned(),
            service: seen.label(label::SERVICE).to_owned(),
            check_id: seen.label(label::CHECK_ID).to_owned(),
            check: seen.label(label::CHECK).to_owned(),
            status: seen.status.as_str().to_owned(),
            output: seen.output.to_owned(),
            notes: seen.notes.to_owned(),
            interval: profile.map_or(0, |profile| profile.interval.into()),
            rmd_check: if reminder { moment(at(message.at)) } else { Moment::zero() },
            notif_list: Some(list).filter(|list| !list.is_empty()),
            var_overrides: profile.map(|profile| profile.var_overrides().clone()).unwrap_or_default(),
            timestamp: moment(at(if reminder { seen.since } else { message.at })),
        };
        words::Told { message: old, over: seen.tells == Tells::Resolved }
    }
}

/// What there is to be said of a check.
struct Seen<'a> {
    labels: &'a BTreeMap<String, String>,
    tells: Tells,
    status: Status,
    output: &'a str,
    notes: &'a str,
    since: Wall,
}

impl Seen<'_> {
    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

impl<'a> From<&'a Counted> for Seen<'a> {
    fn from(Counted { case, tells, status }: &'a Counted) -> Self {
        // As of an item: what it printed last is of no use when it is not there.
        let gone = case.gone.filter(|_| *tells == Tells::Resolved).map(Gone::as_str);
        Self {
            labels: &case.subject.labels,
            tells: *tells,
            status: *status,
            output: gone.unwrap_or(&case.output),
            notes: gone.unwrap_or(&case.notes),
            since: case.since.wall,
        }
    }
}

/// Whether it is over without being seen to be well: what the check printed last is of no use then,
/// and the notes say why.
fn is_gone(item: &Item) -> bool {
    matches!(item.over, Some(Over::Gone(_)))
}

fn at(wall: Wall) -> Timestamp {
    Timestamp::from_millisecond(wall.as_unix_millis()).unwrap_or(Timestamp::MAX)
}

/// The text of a template.
async fn read(path: String) -> Option<String> {
    let shown = path.clone();
    let found = tokio::task::spawn_blocking(move || {
        use std::io::Read as _;
        let mut text = String::new();
        let most = u64::try_from(lictor_compat::gotemplate::SOURCE_LIMIT).unwrap_or(u64::MAX);
        std::fs::File::open(path)?.take(most).read_to_string(&mut text)?;
        Ok(text)
    });
    match found.await.unwrap_or_else(|_panicked| Err(io::Error::other("reading it failed"))) {
        Ok(text) => Some(text),
        Err(why) => {
            error!(path = shown, %why, "a template cannot be read; the usual text is sent");
            None
        }
    }
}

/// Makes the directory of the log file, as the old program did.
async fn make_room(path: String) {
    let make = move || Path::new(&path).parent().map(std::fs::create_dir_all).transpose().map(drop);
    let made = tokio::task::spawn_blocking(make).await;
    if let Ok(Err(why)) = made {
        error!(%why, "the directory of the log file cannot be made");
    }
}

/// Runs a program that is told by what it reads.
async fn run(path: &str, told: &[words::Told], attempt: u32) -> Verdict {
    let all: Result<Vec<_>, _> = told.iter().map(|told| told.message.to_json()).collect();
    let input = match all {
        Ok(all) => format!("[{}]", all.join(",")),
        Err(why) => return Verdict::Refused { why: why.to_string(), retry_after: None, for_good: true },
    };
    let refused = |why: String| {
        if attempt < RUNS {
            return Verdict::Refused { why, retry_after: None, for_good: false };
        }
        error!(runs = attempt, "{why}; it counts as told, as before");
        Verdict::Accepted
    };
    match notify::run(&events::program(path), input.into_bytes(), LIMIT).await {
        Err(why) => Verdict::Refused { why, retry_after: None, for_good: false },
        Ok(ran) => {
            let said = one_line(&ran.said, SHOWN);
            match ran.status {
                Some(status) if status.success() => {
                    info!(path, said, "a program was told");
                    Verdict::Accepted
                }
                Some(status) => refused(format!("`{path}` ended with {status}: {said}")),
                None => refused(format!("`{path}` did not end within {} s and was ended", LIMIT.as_secs())),
            }
        }
    }
}

#[cfg(test)]
#[path = "tell_tests.rs"]
mod tests;
