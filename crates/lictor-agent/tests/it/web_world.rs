//! A made-up node: everything the web asks, with the answers in the test's hands.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use lictor_agent::alert::prometheus::Posts;
use lictor_agent::watch::{HeartbeatError, WebhookError, WebhookTaken};
use lictor_agent::web::{
    self, Acts, Caller, End, EventQuery, Heartbeats, History, Limits, Reload, Source, State, Webhooks,
};
use lictor_agent::{Clock, NoAnswer, Past, Tasks, View};
use lictor_config::{Listen, Secret};
use lictor_core::peers::MeshView;
use lictor_core::{
    Boot, Budget, Check, CheckName, CheckPlan, CheckSource, Command, Compare, Condition, Ending, Event,
    Flood, Hold, Incident, IncidentId, Mode, Now, OnFailure, Outcome, Plan, Refusal, Remedy, Repeatability,
    Run, RunId, RunState, Sample, Status, Step, StepKind, Streak, Trigger, Value, Verify, Wall, What,
};
use lictor_store::{Act, ActRecord, ActsVerified};
use tokio::sync::{broadcast, mpsc, watch};

use crate::web_clustered::ServicesStandin;
use crate::web_copying::{CopiesStandin, SnapshotsStandin};
use crate::web_desk::DeskStandin;

/// The node.
pub(crate) struct World {
    view: Mutex<Arc<View>>,
    ledger: Mutex<Vec<(u64, Event)>>,
    events: broadcast::Sender<Arc<(u64, Event)>>,
    commands: Mutex<Vec<Command>>,
    beats: Mutex<Vec<(CheckName, Sample)>>,
    /// What was said to webhooks.
    said: Mutex<Vec<(CheckName, usize)>>,
    callers: BTreeMap<CheckName, Caller>,
    reload: mpsc::Sender<Reload>,
    reloads: Mutex<Option<mpsc::Receiver<Reload>>>,
    /// The decide loop does not answer.
    pub(crate) stuck: AtomicBool,
    /// The decide loop takes commands and cannot record them yet.
    pub(crate) slow: AtomicBool,
    /// The ledger cannot be read.
    pub(crate) unreadable: AtomicBool,
    /// So long the disk takes for an entry of the record of acts.
    pub(crate) hangs_ms: AtomicU64,
    pub(crate) ready: Arc<AtomicBool>,
    desk: Arc<DeskStandin>,
    /// Its clustered services.
    pub(crate) services: Arc<ServicesStandin>,
    /// What it copies.
    pub(crate) copies: Arc<CopiesStandin>,
    /// The snapshots it takes.
    pub(crate) snapshots: Arc<SnapshotsStandin>,
    /// What was recorded of acts by the web, and what it gave to the engine to be recorded.
    acts: Mutex<Vec<Act>>,
    of_engine: Mutex<Vec<Act>>,
    /// How the checks stood.
    pub(crate) past: Past,
    /// How the mesh stands.
    pub(crate) mesh: watch::Sender<Arc<MeshView>>,
}

impl World {
    pub(crate) fn new(view: View, ledger: Vec<Event>) -> Arc<Self> {
        Self::with_desk(view, ledger, DeskStandin::idle())
    }

    pub(crate) fn with_desk(view: View, ledger: Vec<Event>, desk: Arc<DeskStandin>) -> Arc<Self> {
        let callers =
            [("backup", Caller::Any), ("jobs/nightly", Caller::Holder(Secret::value("nightly-secret")))];
        let (reload, reloads) = mpsc::channel(1);
        Arc::new(Self {
            view: Mutex::new(Arc::new(view)),
            ledger: Mutex::new((1..).zip(ledger).collect()),
            events: broadcast::Sender::new(16),
            commands: Mutex::default(),
            beats: Mutex::default(),
            said: Mutex::default(),
            callers: callers.into_iter().map(|(check, caller)| (name(check), caller)).collect(),
            reload,
            reloads: Mutex::new(Some(reloads)),
            stuck: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            unreadable: AtomicBool::new(false),
            hangs_ms: AtomicU64::new(0),
            ready: Arc::new(AtomicBool::new(true)),
            desk,
            services: Arc::default(),
            copies: Arc::default(),
            snapshots: Arc::default(),
            acts: Mutex::default(),
            of_engine: Mutex::default(),
            past: Past::default(),
            mesh: watch::Sender::new(Arc::new(alone())),
        })
    }

    /// What [`web::serve`] needs.
    pub(crate) fn state(self: &Arc<Self>, listen: Listen, limits: Limits) -> State {
        let (registry, metrics) = web::registry();
        State {
            source: Arc::<Self>::clone(self),
            history: Arc::<Self>::clone(self),
            events: self.events.clone(),
            listen,
            node: "node1".into(),
            datacenter: Some("dc1".into()),
            version: "0.1.0".into(),
            registry,
            metrics,
            acts: Arc::<Self>::clone(self),
            clock: None,
            reload: self.reload.clone(),
            heartbeats: Arc::<Self>::clone(self),
            webhooks: Arc::<Self>::clone(self),
            monitors: Arc::new(()),
            alerts: Arc::<DeskStandin>::clone(&self.desk),
            posts: Posts::start(Arc::<DeskStandin>::clone(&self.desk), Clock::fresh(), &Tasks::new()),
            services: Arc::<ServicesStandin>::clone(&self.services),
            replication: Arc::<CopiesStandin>::clone(&self.copies),
            snapshots: Arc::<SnapshotsStandin>::clone(&self.snapshots),
            mesh: self.mesh.subscribe(),
            past: self.past.clone(),
            ready: Arc::clone(&self.ready),
            limits,
        }
    }

    /// Records an event, then tells of it; its number.
    pub(crate) fn append(&self, event: Event) -> u64 {
        let mut ledger = self.ledger.lock().unwrap();
        let seq = ledger.last().map_or(0, |(seq, _)| *seq) + 1;
        ledger.push((seq, event.clone()));
        drop(ledger);
        // Nobody may be listening.
        drop(self.events.send(Arc::new((seq, event))));
        seq
    }

    pub(crate) fn set(&self, view: View) {
        *self.view.lock().unwrap() = Arc::new(view);
    }

    pub(crate) fn commands(&self) -> Vec<Command> {
        self.commands.lock().unwrap().clone()
    }

    /// What was recorded of acts, each in a line.
    pub(crate) fn acts(&self) -> Vec<String> {
        self.acts.lock().unwrap().iter().map(line).collect()
    }

    /// What the engine was given to record.
    pub(crate) fn acts_of_engine(&self) -> Vec<String> {
        self.of_engine.lock().unwrap().iter().map(line).collect()
    }

    pub(crate) fn beats(&self) -> Vec<(CheckName, Sample)> {
        self.beats.lock().unwrap().clone()
    }

    /// The calls of webhooks, and how many bytes were said.
    pub(crate) fn said(&self) -> Vec<(CheckName, usize)> {
        self.said.lock().unwrap().clone()
    }

    /// The requests to reload, once.
    pub(crate) fn reloads(&self) -> mpsc::Receiver<Reload> {
        self.reloads.lock().unwrap().take().unwrap()
    }
}

fn line(act: &Act) -> String {
    let of = act.of.map(|of| format!(" of {of}")).unwrap_or_default();
    let Act { by, from, door, what, detail, end, said, .. } = act;
    format!("{by} {door} {from}: {what} [{detail}] {end:?}{of} {said}").trim().to_owned()
}

impl Source for World {
    fn view(&self) -> BoxFuture<'_, Result<Arc<View>, NoAnswer>> {
        if self.stuck.load(Ordering::Relaxed) {
            return Box::pin(std::future::pending());
        }
        let view = Arc::clone(&self.view.lock().unwrap());
        Box::pin(async { Ok(view) })
    }

    fn command(
        &self,
        command: Command,
        act: Option<Act>,
    ) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>> {
        self.of_engine.lock().unwrap().extend(act);
        self.commands.lock().unwrap().push(command.clone());
        if self.slow.load(Ordering::Relaxed) {
            return Box::pin(async { Err(NoAnswer::Late) });
        }
        let view = self.view.lock().unwrap();
        let answer = match &command {
            Command::Retry(run) | Command::Cancel(run) => match view.runs.get(run) {
                None => Err(Refusal::NotFound(format!("there is no run {run}"))),
                Some(found) if found.ended() => Err(Refusal::Conflict(format!("run {run} has ended"))),
                Some(_) => Ok(command.to_string()),
            },
            Command::Start(remedy) if view.plan.remedies.contains_key(remedy) => Ok(command.to_string()),
            Command::Start(remedy) => Err(Refusal::NotFound(format!("there is no remedy {remedy}"))),
        };
        Box::pin(async { Ok(answer) })
    }
}

impl Acts for World {
    fn record(&self, act: Act) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(self.hangs_ms.load(Ordering::Relaxed))).await;
            if self.unreadable.load(Ordering::Relaxed) {
                return Err("the disk is gone".to_owned());
            }
            let mut acts = self.acts.lock().unwrap();
            acts.push(act);
            Ok(acts.len() as u64)
        })
    }

    fn list(&self, before: Option<u64>, limit: usize) -> Result<Vec<ActRecord>, String> {
        if self.unreadable.load(Ordering::Relaxed) {
            return Err("the disk is gone".to_owned());
        }
        let acts = self.acts.lock().unwrap();
        let all =
            (1..).zip(acts.iter().cloned()).filter(|(number, _)| before.is_none_or(|end| *number < end));
        let record = |(number, act)| ActRecord { number, act, hash: "ab".into(), before: "cd".into() };
        let mut all: Vec<_> = all.map(record).collect();
        all.reverse();
        all.truncate(limit);
        Ok(all)
    }

    fn verify(&self) -> Result<ActsVerified, String> {
        Ok(ActsVerified { breaks: vec![(3, "it was changed".to_owned())], ..ActsVerified::default() })
    }
}

impl History for World {
    fn events(&self, query: &EventQuery) -> Result<Vec<(u64, Event)>, String> {
        if self.unreadable.load(Ordering::Relaxed) {
            return Err("the disk is gone".into());
        }
        let ledger = self.ledger.lock().unwrap();
        let mut found: Vec<_> =
            ledger.iter().filter(|(seq, event)| query.matches(*seq, event)).cloned().collect();
        match query.end {
            End::Oldest => found.truncate(query.limit),
            End::Newest => drop(found.drain(..found.len().saturating_sub(query.limit))),
        }
        Ok(found)
    }

    fn copy(&self) -> Result<std::fs::File, String> {
        let mut file = tempfile::tempfile().map_err(|error| error.to_string())?;
        if self.unreadable.load(Ordering::Relaxed) {
            return Err("the disk is gone".into());
        }
        std::io::Write::write_all(&mut file, &vec![7; 200_000]).map_err(|error| error.to_string())?;
        std::io::Seek::rewind(&mut file).map_err(|error| error.to_string())?;
        Ok(file)
    }
}

impl Heartbeats for World {
    fn expects(&self, check: &CheckName) -> Option<Caller> {
        self.callers.get(check).cloned()
    }

    fn beat(&self, check: CheckName, sample: Sample) -> BoxFuture<'_, Result<(), HeartbeatError>> {
        self.beats.lock().unwrap().push((check, sample));
        Box::pin(async { Ok(()) })
    }
}

/// The same names are webhooks, too. What is said must not be empty.
impl Webhooks for World {
    fn expects(&self, check: &CheckName) -> Option<Caller> {
        self.callers.get(check).cloned()
    }

    fn call(&self, check: CheckName, body: Bytes) -> BoxFuture<'_, Result<WebhookTaken, WebhookError>> {
        if body.is_empty() {
            let why = "there is nothing in it".to_owned();
            return Box::pin(async { Err(WebhookError::NotUnderstood(check, why)) });
        }
        self.said.lock().unwrap().push((check, body.len()));
        Box::pin(async { Ok(WebhookTaken { status: Status::Critical, firing: 2 }) })
    }
}

/// A name of any kind.
pub(crate) fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().unwrap()
}

/// 2026-11-21T03:04:05Z, a day and a bit after boot.
pub(crate) fn noon() -> Now {
    Now { boot: Boot::from_millis(100_000_000), wall: Wall::from_unix_millis(1_795_230_245_000) }
}

/// `seconds` before `now`.
pub(crate) fn before(now: Now, seconds: u64) -> Now {
    let millis = seconds * 1_000;
    Now {
        boot: Boot::from_millis(now.boot.as_millis() - millis),
        wall: Wall::from_unix_millis(now.wall.as_unix_millis() - i64::try_from(millis).unwrap()),
    }
}

/// A node that watches no peers.
fn alone() -> MeshView {
    MeshView {
        node: "node1".into(),
        watching: false,
        at: None,
        peers: Vec::new(),
        of_us: Vec::new(),
        lost: None,
        cut_off: None,
        groups: Vec::new(),
    }
}

/// A state without anything in it.
pub(crate) fn empty(now: Now) -> View {
    View {
        at: now,
        plan: Arc::new(Plan::default()),
        checks: BTreeMap::new(),
        floods: BTreeMap::new(),
        runs: BTreeMap::new(),
        incidents: BTreeMap::new(),
        cannot_record: None,
        withheld: false,
        leases: BTreeMap::new(),
        copies: None,
    }
}

/// A check that has had `status` for `seconds`.
pub(crate) fn check(now: Now, status: Status, seconds: u64, summary: &str) -> Arc<Check> {
    let since = before(now, seconds);
    let mut check = Check::new(since);
    check.status = status;
    check.started = true;
    check.last = Some((before(now, 3), Sample::new(status, summary)));
    let recent = [43, 33, 23, 13, 3].map(|ago| {
        let then = before(now, ago);
        if ago <= seconds {
            (then, status, summary.to_owned())
        } else {
            (then, Status::Passing, "fine".to_owned())
        }
    });
    check.recent = VecDeque::from(recent);
    Arc::new(check)
}

fn is(check: &str, status: Status) -> Condition {
    Condition::Is { check: name(check), status }
}

fn step(step: &str, kind: StepKind) -> Step {
    Step {
        name: name(step),
        kind,
        attempts: NonZeroU32::new(3).unwrap(),
        next: None,
        skip_when: None,
        backoff: Duration::from_secs(5),
        backoff_max: Duration::from_secs(60),
        on_failure: OnFailure::Park,
    }
}

fn act(action: &str) -> StepKind {
    StepKind::Act {
        action: name(action),
        repeat: Repeatability::Idempotent,
        limit: Duration::from_secs(30),
        verify: None,
        prepare: false,
    }
}

/// A remedy of `steps` that starts when a check is critical.
pub(crate) fn remedy(on: &str, target: &str, steps: Vec<Step>) -> Remedy {
    Remedy {
        on: vec![Trigger::When(is(on, Status::Critical))],
        guard: None,
        until: None,
        target: name(target),
        lease: None,
        cooldown: Duration::from_secs(300),
        budget: Some(Budget { runs: NonZeroU32::new(3).unwrap(), per: Duration::from_secs(3_600) }),
        escalate: None,
        defer: true,
        give_up_after: NonZeroU32::new(3),
        mode: Mode::Act,
        deadline: Duration::from_secs(1_800),
        cancel: None,
        on_cancel: None,
        steps,
        definition: "1".into(),
    }
}

fn wait(check: &str, hold: u64) -> StepKind {
    StepKind::Wait {
        condition: is(check, Status::Passing),
        hold: Duration::from_secs(hold),
        deadline: Duration::from_secs(900),
    }
}

fn run(now: Now, id: u64, remedy: &str, target: &str, at: &str, seconds: u64, state: RunState) -> Run {
    let started = before(now, seconds);
    Run {
        id: RunId(id),
        remedy: name(remedy),
        definition: "1".into(),
        target: name(target),
        cause: format!("check.{} == \"critical\"", target.trim_end_matches(".service")),
        incident: None,
        started,
        deadline: started.boot.after(Duration::from_secs(1_800)),
        mode: Mode::Act,
        step: name(at),
        cancelled: None,
        cleaning: false,
        visits: BTreeMap::new(),
        tally: BTreeMap::new(),
        notes: lictor_core::Notes::default(),
        captures: Default::default(),
        change: None,
        state,
    }
}

fn incident(
    now: Now,
    id: u64,
    check: &str,
    opened: u64,
    closed: Option<u64>,
    status: Status,
    said: &str,
) -> Incident {
    Incident {
        id: IncidentId(id),
        check: name(check),
        opened: before(now, opened),
        closed: closed.map(|ago| before(now, ago)),
        status,
        worst: Status::Critical,
        summary: said.into(),
        escalated: false,
    }
}

/// What a program that wishes the reader ill would say.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script> \"quoted\" 'single' &amp; \u{1b}[31mred\u{202e}txt.exe\u{0}<img src=x onerror=alert(2)>";

/// A node on a bad day: two open incidents, a run at work, one parked, and a past.
pub(crate) fn bad_day(now: Now) -> (View, Vec<Event>) {
    use Status::{Critical, Passing, Unknown, Warning};
    let mut view = empty(now);
    let mut plan = Plan::default();
    for (check_name, status, seconds, said) in [
        ("shop", Critical, 194, "HTTP 503 Service Unavailable after 12ms, wanted 200-299"),
        ("db-replica", Critical, 2_460, "tcp 10.0.0.7:5432: connection refused"),
        ("disk./data", Warning, 5_400, "/data: 88.4% used, 116 GB available"),
        ("mail", Unknown, 65, "no data: dns: no answer from 10.0.0.2:53 within 5s"),
        ("api-gateway", Passing, 86_000, "HTTP 200 in 8ms (connect 0.3ms, first byte 7ms)"),
        ("backup", Passing, 40_000, "backed up 31 GB in 12m"),
        ("cache", Passing, 86_000, "tcp 127.0.0.1:6379 answered +PONG in 0.2ms"),
        ("db-primary", Passing, 86_000, "tcp 10.0.0.6:5432 accepted in 0.4ms"),
        ("disk./", Passing, 86_000, "/: 41.0% used, 212 GB available"),
        ("dns.internal", Passing, 12_300, "consul.internal A 10.0.0.2 in 1ms"),
        ("nginx", Passing, 86_000, "2 processes, 34 MB"),
        ("vpn", Passing, 700, "wg0: last handshake 41s ago"),
        ("worker", Passing, 86_000, "OK - 12 jobs waiting"),
        ("storefront", Critical, 194, "shop is critical"),
    ] {
        view.checks.insert(name(check_name), check(now, status, seconds, said));
        plan.checks.insert(
            name(check_name),
            CheckPlan {
                fail_after: NonZeroU32::new(3).unwrap(),
                stale_after: Some(Duration::from_secs(60)),
                ..CheckPlan::observed()
            },
        );
    }
    let composed = CheckSource::Checks { at_least: 2, of: vec![name("shop"), name("cache")] };
    plan.checks.insert(name("storefront"), CheckPlan { source: composed, ..CheckPlan::observed() });
    let disk = Arc::make_mut(view.checks.get_mut(&name::<CheckName>("disk./data")).unwrap());
    if let Some((_, sample)) = &mut disk.last {
        *sample = sample.clone().with(name("used_percent"), Value::Number(88.4));
    }
    let vpn = Arc::make_mut(view.checks.get_mut(&name::<CheckName>("vpn")).unwrap());
    vpn.flapping = true;
    let worker = Arc::make_mut(view.checks.get_mut(&name::<CheckName>("worker")).unwrap());
    worker.streak = Some(Streak { to: Warning, count: 1, bad: (1, Warning), since: now.boot });
    for recent in worker.recent.iter_mut().skip(4) {
        recent.1 = Warning;
    }

    let shop_steps = vec![
        step("restart", act("restart-shop")),
        step("settle", wait("shop", 60)),
        step("announce", act("post-to-chat")),
    ];
    plan.remedies.insert(name("restart-shop"), remedy("shop", "shop.service", shop_steps));
    let verified = StepKind::Act {
        action: name("promote"),
        repeat: Repeatability::Neither,
        limit: Duration::from_secs(30),
        verify: Some(Verify {
            condition: is("db-replica", Passing),
            within: Duration::from_secs(60),
            settle: Duration::from_secs(10),
        }),
        prepare: false,
    };
    let resync = vec![
        step("fence", act("fence-replica")),
        step("resync", verified),
        step("settle", wait("db-replica", 600)),
    ];
    plan.remedies.insert(name("resync-replica"), remedy("db-replica", "db-replica", resync));
    let prune = Remedy {
        on: vec![Trigger::When(Condition::Value {
            check: name("disk./data"),
            value: name("used_percent"),
            op: Compare::Greater,
            number: 85.0,
        })],
        guard: Some(is("backup", Passing)),
        ..remedy("disk./data", "/data", vec![step("prune", act("prune-old-logs"))])
    };
    plan.remedies.insert(name("prune-logs"), prune);
    plan.remedies
        .insert(name("reconnect-vpn"), remedy("vpn", "wg0", vec![step("down-up", act("wg-restart"))]));
    let observed = Remedy {
        mode: Mode::Observe,
        ..remedy("nginx", "nginx.service", vec![step("reload", act("nginx-reload"))])
    };
    plan.remedies.insert(name("reload-nginx"), observed);

    let waiting = RunState::Waiting { attempt: 1, since: before(now, 150).boot, held: None };
    let parked = RunState::Parked {
        why: "nobody knows whether attempt 1 of promote happened: no answer within 30s".into(),
        attempt: 1,
    };
    let ended = |ending, ago| RunState::Ended(ending, before(now, ago));
    let failed =
        Ending::Failed { why: "step down-up: exit status 1: RTNETLINK answers: No such device".into() };
    for mut each in [
        run(now, 17, "restart-shop", "shop.service", "settle", 170, waiting),
        run(now, 16, "resync-replica", "db-replica", "resync", 2_400, parked),
        run(now, 15, "prune-logs", "/data", "prune", 5_390, ended(Ending::Done, 5_371)),
        run(now, 14, "reconnect-vpn", "wg0", "down-up", 9_000, ended(failed, 8_940)),
        run(
            now,
            13,
            "restart-shop",
            "shop.service",
            "settle",
            30_000,
            ended(Ending::Cancelled { why: "a person asked for it".into() }, 29_000),
        ),
    ] {
        each.incident = match each.id.0 {
            17 => Some(IncidentId(7)),
            16 => Some(IncidentId(6)),
            _ => None,
        };
        view.runs.insert(each.id, each);
    }
    let mut gave_up = Flood { held: false, unhelpful: 3, gave_up: true, ..Flood::default() };
    gave_up.starts.push_back(before(now, 9_000).boot);
    view.floods.insert(name("reconnect-vpn"), gave_up);
    let mut cooling =
        Flood { held: true, deferred: Some("value.disk./data.used_percent > 85".into()), ..Flood::default() };
    cooling.starts.push_back(before(now, 120).boot);
    view.floods.insert(name("prune-logs"), cooling);

    let mut shop = incident(
        now,
        7,
        "shop",
        194,
        None,
        Critical,
        "HTTP 503 Service Unavailable after 12ms, wanted 200-299",
    );
    shop.worst = Critical;
    let mut replica =
        incident(now, 6, "db-replica", 2_460, None, Critical, "tcp 10.0.0.7:5432: connection refused");
    replica.escalated = true;
    for each in [
        shop,
        replica,
        incident(now, 8, "mail", 65, None, Unknown, "no data: dns: no answer from 10.0.0.2:53 within 5s"),
        incident(now, 5, "vpn", 1_900, Some(700), Passing, "wg0: last handshake 41s ago"),
        incident(
            now,
            4,
            "cache",
            30_100,
            Some(29_900),
            Passing,
            "tcp 127.0.0.1:6379 answered +PONG in 0.2ms",
        ),
    ] {
        view.incidents.insert(each.id, each);
    }
    view.plan = Arc::new(plan);
    (view, past(now))
}

fn past(now: Now) -> Vec<Event> {
    use Status::{Critical, Passing, Unknown};
    let at = |ago: u64, incident: u64, run: u64, what: What| Event {
        at: before(now, ago),
        incident: (incident > 0).then_some(IncidentId(incident)),
        run: (run > 0).then_some(RunId(run)),
        what,
    };
    let goes = |check: &str, from, to, said: &str| What::Transition {
        check: name(check),
        from,
        to,
        summary: said.into(),
        evidence: vec![(before(now, 200), to, said.to_owned())],
    };
    let starts = |remedy: &str, target: &str, cause: &str| What::RunStarted {
        remedy: name(remedy),
        target: name(target),
        cause: cause.into(),
        mode: Mode::Act,
    };
    let refused = "tcp 10.0.0.7:5432: connection refused";
    let e503 = "HTTP 503 Service Unavailable after 12ms, wanted 200-299";
    vec![
        at(86_000, 0, 0, What::AgentStarted { version: "0.1.0".into(), clean: true }),
        at(2_460, 6, 0, goes("db-replica", Passing, Critical, refused)),
        at(2_460, 6, 0, What::IncidentOpened { check: name("db-replica") }),
        at(2_400, 6, 16, starts("resync-replica", "db-replica", "check.db-replica == \"critical\"")),
        at(2_400, 6, 16, What::Intent { step: name("fence"), attempt: 1, action: name("fence-replica") }),
        at(
            2_397,
            6,
            16,
            What::Outcome {
                step: name("fence"),
                attempt: 1,
                outcome: Outcome::Done { detail: "exit status 0".into() },
            },
        ),
        at(2_397, 6, 16, What::StepDone { step: name("fence") }),
        at(2_397, 6, 16, What::Intent { step: name("resync"), attempt: 1, action: name("promote") }),
        at(
            2_367,
            6,
            16,
            What::Outcome {
                step: name("resync"),
                attempt: 1,
                outcome: Outcome::Unknown { detail: "no answer within 30s".into() },
            },
        ),
        at(
            2_300,
            6,
            16,
            What::Parked {
                remedy: name("resync-replica"),
                why: "nobody knows whether attempt 1 of promote happened: no answer within 30s".into(),
            },
        ),
        at(
            2_300,
            6,
            16,
            What::Escalated {
                remedy: name("resync-replica"),
                target: name("db-replica"),
                why: "parked".into(),
            },
        ),
        at(700, 5, 0, goes("vpn", Critical, Passing, "wg0: last handshake 41s ago")),
        at(
            700,
            5,
            0,
            What::IncidentClosed { check: name("vpn"), after: Duration::from_secs(1_200), why: None },
        ),
        at(194, 7, 0, goes("shop", Passing, Critical, e503)),
        at(194, 7, 0, What::IncidentOpened { check: name("shop") }),
        at(
            180,
            7,
            0,
            What::Suppressed {
                remedy: name("restart-shop"),
                target: name("shop.service"),
                by: Hold::Cooldown,
                deferred: true,
            },
        ),
        at(170, 7, 17, starts("restart-shop", "shop.service", "check.shop == \"critical\"")),
        at(170, 7, 17, What::Intent { step: name("restart"), attempt: 1, action: name("restart-shop") }),
        at(
            168,
            7,
            17,
            What::Outcome {
                step: name("restart"),
                attempt: 1,
                outcome: Outcome::Failed { detail: "exit status 1: Job for shop.service failed".into() },
            },
        ),
        at(
            168,
            7,
            17,
            What::Retrying {
                step: name("restart"),
                attempt: 2,
                after: Duration::from_secs(5),
                why: "exit status 1".into(),
            },
        ),
        at(163, 7, 17, What::Intent { step: name("restart"), attempt: 2, action: name("restart-shop") }),
        at(
            151,
            7,
            17,
            What::Outcome {
                step: name("restart"),
                attempt: 2,
                outcome: Outcome::Done { detail: "exit status 0".into() },
            },
        ),
        at(150, 7, 17, What::StepDone { step: name("restart") }),
        at(150, 7, 17, What::Waiting { step: name("settle"), condition: "check.shop == \"passing\"".into() }),
        at(65, 8, 0, goes("mail", Passing, Unknown, "no data: dns: no answer from 10.0.0.2:53 within 5s")),
        at(65, 8, 0, What::IncidentOpened { check: name("mail") }),
    ]
}

/// `count` checks, every hundredth of them critical.
pub(crate) fn many(now: Now, count: usize) -> View {
    let mut view = empty(now);
    let mut plan = Plan::default();
    for number in 0..count {
        let check_name: CheckName = name(&format!("host{:03}.service{:02}", number / 50, number % 50));
        let bad = number % 100 == 99;
        let status = if bad { Status::Critical } else { Status::Passing };
        view.checks.insert(check_name.clone(), check(now, status, 600, "HTTP 200 in 8ms (connect 0.3ms)"));
        plan.checks.insert(check_name, CheckPlan::observed());
    }
    view.plan = Arc::new(plan);
    view
}
