//! What a message of ours only counts, by name: the old program named every check, however many they
//! were.

use lictor_agent::alert::{AlertView, DeskInbox};
use lictor_compat::consul_alerts::{Kind, Receiver};
use lictor_core::Status;
use lictor_core::alert::{Case, Message, Tells};
use tokio::sync::watch;
use tokio::time::{Duration, timeout};
use tracing::warn;

use super::words;

/// Of all outputs together, bytes.
const OUTPUTS: usize = 64 << 10;

/// A shorter part of an output is of no use.
const SHORTEST: usize = 32;

/// What a check has besides its names and its output, bytes.
const AROUND: usize = 48;

/// How long the alerts may take to say what a message is about.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way to the alerts, once there are some.
#[derive(Clone)]
pub(super) struct Rest(watch::Receiver<Option<DeskInbox>>);

/// A check that a message only counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) case: Case,
    pub(super) tells: Tells,
    pub(super) status: Status,
}

impl Rest {
    /// With the end where the way is said.
    pub(super) fn new() -> (Self, watch::Sender<Option<DeskInbox>>) {
        let (sender, receiver) = watch::channel(None);
        (Self(receiver), sender)
    }

    /// What a message only counts; nothing when that is not to be known now.
    pub(super) async fn of(&self, message: &Message) -> Vec<Counted> {
        if message.omitted == 0 {
            return Vec::new();
        }
        let mut way = self.0.clone();
        let asked = async {
            let desk = way.wait_for(Option::is_some).await.ok().and_then(|desk| desk.clone())?;
            desk.view().await.ok()
        };
        match timeout(PATIENCE, asked).await {
            Ok(Some(view)) => counted(&view, message),
            Ok(None) | Err(_) => {
                warn!(message = message.id, "not all checks of a message can be named; the rest is counted");
                Vec::new()
            }
        }
    }
}

/// What a message only counts, as the alerts have it. What an output is cut to is the same for all.
fn counted(view: &AlertView, message: &Message) -> Vec<Counted> {
    let is_it = |id: &str| message.id.strip_prefix(id).is_some_and(|rest| rest.starts_with('-'));
    let delivery = view.deliveries.values().find(|delivery| is_it(&delivery.id.to_string()));
    let Some(delivery) = delivery.filter(|one| one.notifier == message.notifier) else { return Vec::new() };
    let part = OUTPUTS / delivery.rest.len().max(1);
    let part = if part < SHORTEST { 0 } else { part };
    let named = delivery.rest.iter().filter_map(|rest| {
        let (case, _muted) = view.cases.get(&rest.key)?;
        let mut case = case.clone();
        case.output.truncate(case.output.floor_char_boundary(part));
        Some(Counted { case, tells: rest.tells, status: rest.status })
    });
    named.collect()
}

/// Keeps as many of `rest` as the message of this receiver has room for beside what it tells anyway.
pub(super) fn that_fit(
    receiver: &Receiver,
    told: &[words::Told],
    mut rest: Vec<words::Told>,
) -> Vec<words::Told> {
    let Some(most) = room(receiver) else { return rest };
    let mut length: usize = told.iter().map(length).sum();
    let fit = rest.iter().take_while(|one| {
        length += self::length(one);
        length <= most
    });
    let fit = fit.count();
    rest.truncate(fit);
    rest
}

/// The longest text that a service takes, bytes; `None` when it takes any.
fn room(receiver: &Receiver) -> Option<usize> {
    let Receiver::BuiltIn(notifier) = receiver else { return None };
    match notifier.kind {
        // Longer ones are cut there.
        Kind::Slack => Some(40_000),
        // Longer ones are refused there.
        Kind::Mattermost | Kind::MattermostWebhook => Some(16_000),
        Kind::Awssns => Some(250_000),
        Kind::Email
        | Kind::Log
        | Kind::HttpEndpoint
        // One message for each alert: there is no rest.
        | Kind::Pagerduty
        | Kind::Opsgenie
        | Kind::Jsm
        | Kind::Victorops
        | Kind::Ilert
        | Kind::Alerta
        | Kind::Elasticsearch
        // Told in our words, which count.
        | Kind::Prometheus
        | Kind::Influxdb
        | Kind::Hipchat => None,
    }
}

fn length(told: &words::Told) -> usize {
    let message = &told.message;
    let names = message.node.len() + message.service.len() + message.check.len() + message.status.len();
    names + message.output.len() + AROUND
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lictor_agent::alert::Seat;
    use lictor_compat::Moment;
    use lictor_compat::consul_alerts::{Message as Old, Settings, VarOverrides};
    use lictor_core::alert::{
        AlertPlan, Delivery, Failing, Occasion, Rest as Left, Sending, Source, Subject, SubjectKey, label,
        text,
    };
    use lictor_core::{Boot, DeliveryId, NotifierName, Now, Wall};

    use super::*;

    fn now() -> Now {
        Now { boot: Boot::from_millis(7), wall: Wall::from_unix_millis(1_700_000_000_000) }
    }

    fn case(check: &str, output: &str) -> Case {
        let now = now();
        let key = SubjectKey::consul("dc1", "n", "", check);
        let labels = text(&[(label::NODE, "n"), (label::CHECK, check)]);
        Case {
            subject: Subject { key, labels, tags: [].into() },
            source: Source::new("consul/dc1"),
            settled: Status::Critical,
            since: now,
            opened: now,
            live: Status::Critical,
            live_since: now,
            side_since: now,
            judged: false,
            news: None,
            output: output.to_owned(),
            notes: String::new(),
            maintenance: false,
            gone: None,
            acknowledged: None,
            told: BTreeMap::new(),
            changes: [].into(),
            flapping: false,
            was_critical: None,
        }
    }

    /// The alerts while the delivery 12 tells of these beside what it has in words.
    fn alerts(counted: &[Case]) -> AlertView {
        let rest = |case: &Case| Left {
            key: case.subject.key.clone(),
            tells: Tells::Firing,
            status: Status::Warning,
        };
        let delivery = Delivery {
            id: DeliveryId(12),
            notifier: NotifierName::new("log").unwrap(),
            route: None,
            occasion: Occasion::Change,
            items: Vec::new(),
            news: [].into(),
            rest: counted.iter().map(rest).collect(),
            failing: Failing::default(),
            created: now(),
            state: Sending::Under,
            attempts: 1,
            unclear: false,
            error: None,
        };
        let cases = counted.iter().map(|case| (case.subject.key.clone(), (case.clone(), None)));
        AlertView {
            at: now(),
            seat: Seat::Local,
            plan: AlertPlan::default().into(),
            cases: cases.collect(),
            deliveries: [(DeliveryId(12), delivery)].into(),
            silences: BTreeMap::new(),
            lost: BTreeMap::new(),
            cannot_record: None,
        }
    }

    fn message(id: &str, notifier: &str) -> Message {
        Message {
            id: id.to_owned(),
            notifier: NotifierName::new(notifier).unwrap(),
            occasion: Occasion::Change,
            cluster: String::new(),
            items: Vec::new(),
            omitted: 2,
            failing: Failing::default(),
            at: now().wall,
            attempt: 1,
        }
    }

    #[test]
    fn what_a_message_counts_is_found_by_its_number() {
        let view = alerts(&[case("a", "down"), case("b", "gone")]);
        let found = counted(&view, &message("d12-1700000000000", "log"));
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.case.subject.label(label::CHECK), one.status, one.case.output.as_str()))
            .collect();
        assert_eq!(found, [("a", Status::Warning, "down"), ("b", Status::Warning, "gone")]);
        for (id, notifier) in [("d1-2", "log"), ("d123-1", "log"), ("d12-1", "slack")] {
            assert_eq!(counted(&view, &message(id, notifier)), [], "{id} {notifier}");
        }
    }

    #[test]
    fn outputs_are_cut_so_that_all_of_them_fit() {
        let long = "é".repeat(4_000);
        let of = |count: usize| {
            let cases: Vec<_> = (0..count).map(|number| case(&format!("c{number}"), &long)).collect();
            counted(&alerts(&cases), &message("d12-1", "log"))
        };
        let length = |found: &[Counted]| found.iter().map(|one| one.case.output.len()).sum::<usize>();
        assert_eq!(length(&of(2)), 16_000);
        let many = of(100);
        assert!(many.len() == 100 && length(&many) > OUTPUTS - 300 && length(&many) <= OUTPUTS);
        let more = of(3_000);
        assert_eq!((more.len(), length(&more)), (3_000, 0), "a few letters of each are of no use");
    }

    #[test]
    fn a_service_with_a_longest_text_is_told_of_as_many_as_it_takes() {
        let told = |number: usize| words::Told {
            message: Old {
                node: "node".to_owned(),
                service_id: String::new(),
                service: String::new(),
                check_id: number.to_string(),
                check: "check".to_owned(),
                status: "critical".to_owned(),
                output: "x".repeat(500),
                notes: String::new(),
                interval: 0,
                rmd_check: Moment::zero(),
                notif_list: None,
                var_overrides: VarOverrides::default(),
                timestamp: Moment::zero(),
            },
            over: false,
        };
        let some: Vec<_> = (0..10).map(told).collect();
        let many: Vec<_> = (10..1_000).map(told).collect();
        let settings = Settings::default();
        let fit = |kind| {
            let receiver = Receiver::BuiltIn(settings.notifier(kind).unwrap().clone());
            that_fit(&receiver, &some, many.clone()).len()
        };
        assert_eq!((fit(Kind::Log), fit(Kind::Email)), (990, 990));
        let (slack, mattermost) = (fit(Kind::Slack), fit(Kind::Mattermost));
        assert!((50..70).contains(&slack) && (10..20).contains(&mattermost), "{slack} {mattermost}");
        let mine = Receiver::Custom { name: "mine".to_owned(), path: "/mine".to_owned() };
        assert_eq!(that_fit(&mine, &some, many.clone()).len(), 990);
    }
}
