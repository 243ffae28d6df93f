//! What must always be so, whatever was done.

use super::super::super::queue::Queue;
use super::*;
use crate::alert::row::Sending;

impl Model {
    pub(super) fn look(&mut self) {
        let new = (self.stage.turns, self.stage.now);
        let old = std::mem::replace(&mut self.looked, new);
        if old != new {
            self.look_for_what_is_forgotten();
        }
        if old.0 == new.0 {
            return;
        }
        self.look_at_attempts();
        self.look_for_circles();
        let (seed, desk) = (self.seed, &self.stage.desk);
        // What is no more, or has no news any more, is forgotten, and so is what somebody knew to whom no route
        // leads such now.
        let has =
            |key: &SubjectKey| desk.cases().get(key).filter(|one| one.news.is_some() && one.gone.is_none());
        let leads = |name: &NotifierName, case: &Case| {
            let routes = desk.plan().routes_of(&case.subject, Critical).any(|route| route.to.contains(name));
            routes && desk.plan().notifiers.contains_key(name)
        };
        self.heard.retain(|(name, key), _| has(key).is_some_and(|case| leads(name, case)));
        let heard_of = &self.heard;
        // New deliveries tell only what is so, and nothing that is muted but the end.
        for delivery in desk.deliveries().values().filter(|one| one.id.0 > self.seen) {
            assert!(desk.plan().notifiers.contains_key(&delivery.notifier), "seed {seed}: for nobody");
            if delivery.occasion == Occasion::Digest {
                continue;
            }
            let mut keys = BTreeSet::new();
            for (key, tells, status) in delivery.subjects() {
                assert!(keys.insert(key.clone()), "seed {seed}: {key} twice in a message");
                let case = desk.cases().get(key).unwrap_or_else(|| panic!("seed {seed}: {key} has no case"));
                let told = case.told.get(&delivery.notifier);
                match tells {
                    Tells::Resolved if told.is_some_and(|told| told.firing) => {}
                    Tells::Resolved => {
                        assert!(case.news.is_some(), "seed {seed}: {key} over, never told");
                        let heard = heard_of.get(&(delivery.notifier.clone(), key.clone())).copied();
                        assert_ne!(heard, case.news, "seed {seed}: news of {key} twice");
                        assert_eq!(desk.muted(case), None, "seed {seed}: news of {key} though muted");
                        assert_eq!(case.settled, Passing, "seed {seed}: news of {key}, which is wrong");
                    }
                    Tells::Firing | Tells::Reminder => {
                        assert_ne!(case.settled, Passing, "seed {seed}: {key} {tells:?} though it passes");
                        assert_eq!(desk.muted(case), None, "seed {seed}: {key} {tells:?} though muted");
                        assert_eq!(status, case.settled, "seed {seed}: {key} is told otherwise");
                        let known = told.is_some_and(|told| told.firing);
                        assert!(tells == Tells::Firing || known, "seed {seed}: {key} reminded, never told");
                    }
                }
            }
        }
        self.seen = desk.counters.deliveries.max(self.seen);
        // What is remembered is what is recorded.
        let rows = &self.stage.rows;
        for case in desk.cases().values() {
            let Some(Row::Case(row)) = rows.get(&RowKey::Case(case.subject.key.clone())) else {
                panic!("seed {seed}: {} is not recorded", case.subject.key)
            };
            assert!(is_recorded(row, case), "seed {seed}: {row:?} is recorded for {case:?}");
        }
        for delivery in desk.deliveries().values() {
            let Some(Row::Delivery(row)) = rows.get(&RowKey::Delivery(delivery.id)) else {
                panic!("seed {seed}: {} is not recorded", delivery.id)
            };
            assert_eq!(row, delivery, "seed {seed}: recorded otherwise");
        }
        for (id, silence) in desk.silences() {
            assert_eq!(
                rows.get(&RowKey::Silence(id.clone())),
                Some(&Row::Silence(silence.clone())),
                "seed {seed}"
            );
            assert!(silence.ends() > self.stage.now().boot, "seed {seed}: a silence that ended");
        }
        let counted = desk.cases().len() + desk.deliveries().len() + desk.silences().len();
        let recorded = rows.keys().filter(|key| **key != RowKey::Counters).count();
        assert_eq!(counted, recorded, "seed {seed}: rows that nobody has");
        if desk.counters != crate::alert::Counters::default() {
            assert_eq!(
                rows.get(&RowKey::Counters),
                Some(&Row::Counters(desk.counters.clone())),
                "seed {seed}"
            );
        }
        // The queues are those of the deliveries.
        for (name, sender) in &desk.senders {
            let of = |one: &&Delivery| one.notifier == *name;
            let mut waiting = Queue::default();
            desk.deliveries().values().filter(of).for_each(|one| waiting.add(one));
            assert_eq!(sender.waiting, waiting, "seed {seed}: the queue of {name}");
            let under =
                desk.deliveries().values().filter(of).filter(|one| one.state == Sending::Under).count();
            assert_eq!(sender.under_way, under, "seed {seed}: under way by {name}");
            let most = desk.plan().notifiers[name].parallel.get() as usize;
            assert!(under <= most.max(3), "seed {seed}: {under} at once by {name}");
        }
        let busy: BTreeMap<_, _> = desk
            .deliveries()
            .values()
            .filter(|one| one.occasion != Occasion::Digest)
            .flat_map(|one| one.subjects().map(|(key, ..)| ((one.notifier.clone(), key.clone()), one.id)))
            .collect();
        assert_eq!(desk.busy, busy, "seed {seed}: two at once, or one that is forgotten");
        // Order: never an older message of a subject after a newer one.
        for message in &self.stage.under_way {
            if message.occasion == Occasion::Digest {
                continue;
            }
            let id: u64 = number(message).0;
            for item in &message.items {
                let last = self.last.entry((message.notifier.clone(), item.key.clone())).or_default();
                assert!(*last <= id, "seed {seed}: {} is told in the wrong order", item.key);
                *last = id;
            }
        }
    }

    /// What has begun to be sent tells nothing that is muted but the end, and as often as may be.
    fn look_at_attempts(&mut self) {
        let (seed, desk, now) = (self.seed, &self.stage.desk, self.stage.now);
        for message in &self.stage.under_way {
            if !self.begun.insert((number(message), message.attempt)) {
                continue;
            }
            if desk.plan().notifiers[&message.notifier].rate.is_some() {
                let used = self.used.entry(message.notifier.clone()).or_default();
                used.push(now);
                let most = used.iter().filter(|at| now - **at < 10_000).count();
                assert!(most <= 3, "seed {seed}: {most} in 10 s by {}", message.notifier);
            }
            if message.occasion == Occasion::Digest {
                continue;
            }
            assert!(!message.items.is_empty(), "seed {seed}: an empty message");
            for item in &message.items {
                let case = &desk.cases()[&item.key];
                let end = case.told.get(&message.notifier).is_some_and(|told| told.firing);
                if item.tells == Tells::Resolved && (end || case.news.is_none()) {
                    continue;
                }
                assert_eq!(desk.muted(case), None, "seed {seed}: {} sent though muted", item.key);
                let ours = item.tells == Tells::Reminder && case.acknowledged.is_some();
                assert!(!ours, "seed {seed}: reminded of {} though somebody looks after it", item.key);
            }
        }
    }

    /// Of what inhibits something, directly or not, one at least is not inhibited itself.
    fn look_for_circles(&self) {
        let (seed, desk) = (self.seed, &self.stage.desk);
        let inhibited = |key: &SubjectKey| {
            desk.cases().get(key).is_some_and(|case| matches!(desk.muted(case), Some(Mute::Inhibited(_))))
        };
        for key in desk.cases().keys().filter(|key| inhibited(key)) {
            let (mut above, mut next) = (BTreeSet::new(), vec![key.clone()]);
            while let Some(case) = next.pop().and_then(|key| desk.cases().get(&key)) {
                for (rule, parents) in desk.plan().inhibitions.iter().zip(&desk.parents) {
                    let wanted = super::super::super::mute::values(rule, &case.subject);
                    let of = parents.get(&wanted).filter(|_| rule.target.hold(&case.subject));
                    let new = of.into_iter().flat_map(BTreeMap::keys).filter(|one| **one != case.subject.key);
                    next.extend(new.filter(|one| above.insert((*one).clone())).cloned());
                }
            }
            assert!(above.iter().any(|key| !inhibited(key)), "seed {seed}: nobody hears why {key} is muted");
        }
    }

    /// Whoever has a word coming is about to be told, or waits for its parent.
    fn look_for_what_is_forgotten(&self) {
        let (seed, desk, now) = (self.seed, &self.stage.desk, self.stage.now().boot);
        for (key, case) in desk.cases() {
            if desk.first_word(case).is_some_and(|ready| ready > now) {
                continue;
            }
            for (to, due) in desk.due_of(desk.plan(), case, now) {
                let gathers =
                    desk.groups.iter().any(|(group, of)| group.notifier == to && of.keys.contains(key));
                let busy = desk.busy.contains_key(&(to.clone(), key.clone()));
                assert!(gathers || busy, "seed {seed}: {key} is forgotten: {:?} for {to}", due.tells);
            }
        }
    }

    /// What is well and has news stays, and everybody who hears of such knows them.
    pub(super) fn look_for_news(&self) {
        let (desk, seed) = (&self.stage.desk, self.seed);
        let ignored = |one: &Subject| desk.plan().ignored.iter().any(|rule| rule.hold(one));
        for (key, news) in &self.news {
            let subject = self.subjects.iter().find(|one| one.key == *key).unwrap();
            if ignored(subject) {
                continue;
            }
            let case = desk.cases().get(key).unwrap_or_else(|| panic!("seed {seed}: lost the news of {key}"));
            match desk.muted(case) {
                None => {}
                Some(Mute::Service) => continue,
                Some(mute) => panic!("seed {seed}: {key} is still muted: {mute}"),
            }
            for name in desk.plan().routes_of(subject, Critical).flat_map(|route| &route.to) {
                let place = (name.clone(), key.clone());
                if desk.plan().notifiers.contains_key(name) && !self.dropped.contains(&place) {
                    assert_eq!(
                        self.known.get(&place),
                        Some(&(Passing, Some(*news))),
                        "seed {seed}: the news of {key} for {name}"
                    );
                }
            }
        }
    }
}
