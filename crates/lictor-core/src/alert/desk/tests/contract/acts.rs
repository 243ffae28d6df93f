//! What happens: plans of all kinds, and what sources, receivers and people do.

use super::*;

/// One of many plans.
pub(super) fn varied(random: &mut Random, services: &[ServicePlan]) -> AlertPlan {
    let mut first = route("first", &["a", "b"]);
    first.when = if random.one_in(2) { is("node", "n1") } else { all() };
    first.status =
        random.of(&[[Critical].into(), [Warning, Critical].into(), [Warning, Unknown, Critical].into()]);
    first.go_on = random.one_in(2);
    first.remind_every = random.one_in(2).then_some(secs(90));
    first.group_wait = secs(random.below(4));
    first.group_interval = secs(random.below(20));
    let mut second = route("second", &["b", "c"]);
    second.group_by = if random.one_in(2) { vec!["node".into()] } else { vec![] };
    second.group_wait = secs(random.below(3));
    second.remind_every = random.one_in(4).then_some(secs(40));
    let mut routes = vec![first, second];
    if random.one_in(4) {
        routes.remove(usize::from(random.one_in(2)));
    }
    let mut plan = plan(routes);
    plan.notifiers.clear();
    for (name, batch) in [("a", Batching::PerAlert), ("b", Batching::Together), ("c", Batching::PerNode)] {
        if random.one_in(8) {
            continue;
        }
        let settings = NotifierPlan {
            batch,
            parallel: NonZeroU32::new(1 + u32::try_from(random.below(3)).unwrap()).unwrap(),
            rate: random.one_in(3).then(|| (NonZeroU32::new(3).unwrap(), secs(10))),
            expire: if random.one_in(2) { secs(60 + random.below(600)) } else { secs(3_600 * 24 * 365) },
            ..NotifierPlan::default()
        };
        plan.notifiers.insert(notifier(name), settings);
    }
    if random.one_in(2) {
        plan.thresholds = vec![Threshold {
            when: all(),
            bad_for: secs(random.below(30)),
            good_for: secs(random.below(30)),
        }];
    }
    if random.one_in(3) {
        plan.flap = Some(Flap { changes: NonZeroU32::new(4).unwrap(), within: secs(60) });
    }
    let equal = if random.one_in(2) { vec!["node".to_owned()] } else { vec![] };
    if random.one_in(2) {
        let (source, target) = (is("check", "parent"), is("check", "child"));
        plan.inhibitions.push(Inhibition {
            source,
            target,
            equal: equal.clone(),
            wait: secs(random.below(8)),
        });
    }
    if random.one_in(3) {
        let (source, target) = (is("check", "child"), is("check", "other"));
        plan.inhibitions.push(Inhibition { source, target, equal, wait: Duration::ZERO });
    }
    if random.one_in(3) {
        let (source, target) = (is("check", "other"), is("check", "parent"));
        plan.inhibitions.push(Inhibition { source, target, equal: vec![], wait: Duration::ZERO });
    }
    if random.one_in(3) {
        plan.ignored =
            vec![random.of(&[is("service", "ignored"), is("check", "child"), is("source", "own")])];
    }
    if random.one_in(2) {
        plan.services = services.to_vec();
    }
    plan
}

impl Model {
    fn answer(&mut self) {
        if self.stage.under_way.is_empty() {
            return;
        }
        let place = usize::try_from(self.random.below(self.stage.under_way.len() as u64)).unwrap();
        let message = self.stage.under_way.remove(place);
        let retry_after = self.random.one_in(4).then(|| secs(7));
        let verdict = match self.random.below(4) {
            0 | 1 => Verdict::Accepted,
            2 => Verdict::Unclear { why: "no answer".into(), retry_after },
            _ => Verdict::Refused { why: "no".into(), retry_after, for_good: self.random.one_in(5) },
        };
        match verdict {
            Verdict::Accepted => self.believe(&message, (true, true)),
            Verdict::Unclear { .. } => {
                let really = self.random.one_in(2);
                self.believe(&message, (really, false));
            }
            Verdict::Refused { .. } => {}
        }
        self.outcome(&message, verdict);
    }

    fn crash(&mut self) {
        for message in std::mem::take(&mut self.stage.under_way) {
            let accepted = self.random.one_in(2);
            self.believe(&message, (accepted, false));
        }
        self.stage.pass(Duration::ZERO);
        // All that was sent at this instant is lost with the process.
        for message in std::mem::take(&mut self.stage.under_way) {
            self.believe(&message, (false, false));
        }
        self.stage.crash();
        self.look();
    }

    fn reload(&mut self) {
        self.stage.pass(Duration::ZERO);
        // What begins to be sent at this instant does so by the plan of before.
        self.look();
        let plan = varied(&mut self.random, &self.services.clone());
        let kept = |name: &NotifierName| plan.notifiers.contains_key(name);
        // Who is no longer asked to tell is owed nothing.
        self.stage.under_way.retain(|message| kept(&message.notifier));
        self.beliefs.retain(|(name, _), _| kept(name));
        self.last.retain(|(name, _), _| kept(name));
        self.dropped.retain(|(name, _)| kept(name));
        let rated = |name: &NotifierName| plan.notifiers.get(name).is_some_and(|one| one.rate.is_some());
        self.used.retain(|name, _| rated(name));
        let output = self.stage.desk.reload(Arc::new(plan), self.stage.now());
        self.stage.take(output);
        self.seen = self.stage.desk.counters.deliveries;
        self.look();
        self.tell_all("consul/dc1");
        self.tell_all("own");
    }

    fn drop_waiting(&mut self, which: Deliveries) {
        self.stage.pass(Duration::ZERO);
        self.look();
        let found: Vec<Delivery> = self
            .stage
            .desk
            .deliveries()
            .values()
            .filter(|one| one.due().is_some())
            .filter(|one| match &which {
                Deliveries::One(id) => one.id == *id,
                Deliveries::Of(name) => one.notifier == *name,
                Deliveries::All => true,
            })
            .cloned()
            .collect();
        let answer = self.stage.step(Input::Command(Command::Drop { which, by: String::new() })).unwrap();
        if answer.is_err() {
            return;
        }
        for one in found.iter().filter(|one| one.occasion != Occasion::Digest) {
            for (key, tells, _) in one.subjects() {
                let place = (one.notifier.clone(), key.clone());
                if tells == Tells::Resolved {
                    self.beliefs.remove(&place);
                }
                self.dropped.insert(place);
            }
        }
        self.look();
    }

    pub(super) fn act(&mut self) {
        match self.random.below(26) {
            0..=6 => {
                let subject = self.random.of(&self.subjects);
                let status = self.random.of(&[Passing, Passing, Warning, Critical, Critical, Unknown]);
                self.live.insert(subject.key.clone(), status);
                let maintenance = self.random.one_in(10);
                self.make_news(&subject);
                let mut report = Report { maintenance, ..self.report_of(&subject, status) };
                if self.random.one_in(6) {
                    report
                        .subject
                        .labels
                        .insert("check".into(), self.random.of(&["parent", "child", "x"]).into());
                }
                let source = Source::new(Self::source_of(&subject));
                self.input(Input::Reports { source, complete: false, reports: vec![report], gone: vec![] });
            }
            7 => {
                let subject = self.random.of(&self.subjects);
                self.live.remove(&subject.key);
                let (source, gone) = (Source::new(Self::source_of(&subject)), vec![subject.key]);
                self.input(Input::Reports { source, complete: false, reports: vec![], gone });
            }
            8..=12 => self.answer(),
            13 | 14 => {
                let by = self.random.of(&[1, 5, 40, 200]);
                self.pass(secs(by));
            }
            15 => {
                // The process stood still, or the machine slept.
                self.stage.now += self.random.of(&[1_000, 600_000, 86_400_000]);
                self.stage.step(Input::Tick);
                self.seen = self.stage.desk.counters.deliveries;
                self.look();
            }
            16 => {
                self.silences += 1;
                let which = self.random.below(3);
                let whens = [all(), is("node", "n1"), is("check", "child")];
                let place = self.random.below(3);
                let when = whens[usize::try_from(place).unwrap()].clone();
                let (lasting, by) = (secs(1 + self.random.below(200)), "me".to_owned());
                let id = self.random.one_in(2).then(|| format!("x{which}"));
                self.input(Input::Command(Command::Silence {
                    id,
                    when,
                    lasting,
                    by,
                    comment: String::new(),
                }));
            }
            17 => {
                let id = format!("x{}", self.random.below(3));
                self.input(Input::Command(Command::Unsilence { id, by: "me".into() }));
            }
            18 => {
                let subject = self.random.of(&self.subjects).key;
                let lasting = self.random.one_in(2).then(|| secs(50));
                let command = if self.random.one_in(3) {
                    Command::Unacknowledge { subject, by: "me".into() }
                } else {
                    Command::Acknowledge { subject, by: "me".into(), comment: String::new(), lasting }
                };
                self.input(Input::Command(command));
            }
            19 => {
                self.crash();
                if self.random.one_in(2) {
                    self.tell_all("consul/dc1");
                    self.tell_all("own");
                }
            }
            20 => {
                let source = Source::new(self.random.of(&["consul/dc1", "own"]));
                self.input(Input::Lost { source, why: "away".into() });
            }
            21 => {
                let source = self.random.of(&["consul/dc1", "own"]);
                self.tell_all(source);
            }
            22 => self.reload(),
            23 => {
                let to = vec![notifier(self.random.of(&["a", "b", "c", "nobody"]))];
                let (when, also_when_well) = (all(), self.random.one_in(2));
                let (name, due) = ("d".to_owned(), Due::At(self.stage.now().wall));
                self.input(Input::Command(Command::Digest { name, when, to, also_when_well, due }));
            }
            24 => {
                let which = self.some_deliveries();
                self.input(Input::Command(Command::Retry { which, by: "me".into() }));
            }
            _ => match self.random.below(4) {
                0 => {
                    let which = self.some_deliveries();
                    self.drop_waiting(which);
                }
                _ => {
                    // Word of an attempt that is over long ago.
                    let id = crate::name::DeliveryId(1 + self.random.below(self.seen + 1));
                    let attempts = self.stage.desk.deliveries().get(&id).map_or(0, |one| one.attempts);
                    let attempt = attempts.wrapping_sub(1);
                    self.input(Input::Outcome { delivery: id, attempt, verdict: Verdict::Accepted });
                }
            },
        }
    }

    /// Perhaps the source of a subject has news of it, or has none any more.
    fn make_news(&mut self, subject: &Subject) {
        if self.sources == Sources::Plain {
            return;
        }
        match self.random.below(8) {
            0..=2 => {
                self.printed += 1;
                self.news.insert(subject.key.clone(), self.printed);
            }
            3 => drop(self.news.remove(&subject.key)),
            _ => {}
        }
    }

    fn some_deliveries(&mut self) -> Deliveries {
        match self.random.below(3) {
            0 => Deliveries::All,
            1 => Deliveries::Of(notifier(self.random.of(&["a", "b", "c"]))),
            _ => Deliveries::One(crate::name::DeliveryId(1 + self.random.below(self.seen + 1))),
        }
    }
}
