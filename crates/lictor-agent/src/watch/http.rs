//! HTTP: one request over a connection of our own, each phase timed, then judged.
//!
//! Proxies named in the environment are not used: a watcher looks at the target itself.
//!
//! A fresh connection takes a local port. The request asks the server to close, so that the
//! minute for which the system keeps a closed port falls to the server; against one that does
//! not, a target can be given some 28,000 looks a minute from one address.

mod body;
mod exchange;
mod fetch;
mod framing;
mod head;
mod judge;
mod request;

use std::net::IpAddr;
use std::time::Duration;

use lictor_config::{Http, Watch, WatchKind};
use lictor_core::{Sample, Status};
use tokio::time::{Instant, timeout};
use url::Url;

pub(crate) use fetch::{Fetch, Unanswered, fetch};

use exchange::{Answer, Broken};
use request::Target;

use super::fault::{Fault, Stage};
use super::look::{Look, Memory, World};
use super::stream::{Stream, connect};
use super::tls::Validity;
use super::value::{self, Measured as _};

/// A connection kept for the next look.
#[derive(Debug)]
pub(super) struct Kept {
    stream: Stream,
    validity: Option<Validity>,
    /// What it leads to: the settings may redirect elsewhere.
    origin: url::Origin,
}

/// What was measured, as far as the look came. Of several requests (redirects) the times add up.
#[derive(Debug, Default)]
struct Measured {
    dns: Option<Duration>,
    connect: Option<Duration>,
    tls: Option<Duration>,
    first_byte: Option<Duration>,
    total: Option<Duration>,
    validity: Option<Validity>,
    redirects: u8,
}

pub(super) async fn look(http: &Http, watch: &Watch, memory: &mut Memory, world: &World) -> Look {
    let mut stage = Stage::start();
    let mut measured = Measured::default();
    let kept = memory.connection.take();
    let work = follow(http, watch, kept, world, &mut stage, &mut measured);
    let ended = match timeout(watch.timeout, work).await {
        Ok(ended) => ended,
        Err(_late) => Err(stage.late(watch.timeout)),
    };
    measured.total = Some(stage.started().elapsed());
    match ended {
        Ok((answer, url)) => {
            let sample = judge::judge(http, &url, &answer, &measured, world.clock.now().wall);
            let mut look = Look::new(measured.into_values(sample, Some(&answer), world));
            if !watch.patterns.is_empty() {
                look = look.matching(&watch.patterns, &answer.body.text());
            }
            memory.connection = answer.kept.map(Box::new);
            look
        }
        Err(fault) => Look::new(measured.into_values(fault.into_sample(), None, world)),
    }
}

/// One request for nobody's check, nothing kept or judged: the status of its answer, and how long that took.
///
/// # Errors
/// In words, when there is no whole answer within `limit`.
pub(crate) async fn request(http: &Http, limit: Duration, world: &World) -> Result<(u16, Duration), String> {
    let kind = WatchKind::Http(Box::new(http.clone()));
    let watch = Watch { kind, every: limit, timeout: limit, patterns: Vec::new() };
    let (mut stage, mut measured) = (Stage::start(), Measured::default());
    let ended = timeout(limit, follow(http, &watch, None, world, &mut stage, &mut measured)).await;
    match ended {
        Ok(Ok((answer, _url))) => Ok((answer.head.status, stage.started().elapsed())),
        Ok(Err(fault)) => Err(fault.message),
        Err(_late) => Err(stage.late(limit).message),
    }
}

/// Makes the request, and those that it is redirected to.
async fn follow(
    http: &Http,
    watch: &Watch,
    mut kept: Option<Box<Kept>>,
    world: &World,
    stage: &mut Stage,
    measured: &mut Measured,
) -> Result<(Answer, Url), Fault> {
    let mut target = Target::first(http)?;
    let wants_body = !watch.patterns.is_empty() || judge::needs_body(http);
    loop {
        let look =
            Attempt { http, target: &target, world, wants_body, deadline: stage.started() + watch.timeout };
        let answer = look.make(kept.take(), stage, measured).await?;
        let next = if measured.redirects < http.redirects { target.redirected(&answer)? } else { None };
        match next {
            Some(next) => {
                measured.redirects += 1;
                kept = answer.kept.map(Box::new);
                target = next;
            }
            None => return Ok((answer, target.url)),
        }
    }
}

/// One request to be made.
struct Attempt<'a> {
    http: &'a Http,
    target: &'a Target,
    world: &'a World,
    wants_body: bool,
    deadline: Instant,
}

impl Attempt<'_> {
    /// Makes it over the kept connection if there is one that fits, else over a fresh one; and
    /// over a fresh one after all if the kept one turns out to have been closed.
    async fn make(
        &self,
        kept: Option<Box<Kept>>,
        stage: &mut Stage,
        measured: &mut Measured,
    ) -> Result<Answer, Fault> {
        let kept = kept.filter(|kept| kept.origin == self.target.url.origin() && !kept.stream.is_spent());
        if let Some(kept) = kept {
            match self.ask(*kept, stage, measured).await {
                Ok(answer) => return Ok(answer),
                Err(Broken::BeforeAnswer(_)) => {}
                Err(Broken::Late(fault)) => return Err(fault),
            }
        }
        let fresh = self.open(stage, measured).await?;
        self.ask(fresh, stage, measured).await.map_err(Broken::into_fault)
    }

    async fn ask(&self, over: Kept, stage: &mut Stage, measured: &mut Measured) -> Result<Answer, Broken> {
        measured.validity = over.validity;
        let request = self.target.request(self.http).map_err(Broken::Late)?;
        let limits = exchange::Limits { max_body: self.http.max_body, wants_body: self.wants_body };
        exchange::exchange(over, &request, self.http.keep_alive, limits, &self.target.shown, stage, measured)
            .await
    }

    async fn open(&self, stage: &mut Stage, measured: &mut Measured) -> Result<Kept, Fault> {
        let Target { host, port, .. } = self.target;
        let begun = stage.enter(format!("looking up {host}"));
        let addresses = self.world.resolver.addresses(host, *port, self.http.family).await?;
        if host.parse::<IpAddr>().is_err() {
            add(&mut measured.dns, begun);
        }
        let begun = stage.enter("connect");
        let tcp = connect(&addresses, self.deadline, stage).await?;
        add(&mut measured.connect, begun);
        let origin = self.target.url.origin();
        if self.target.url.scheme() != "https" {
            return Ok(Kept { stream: Stream::Plain(tcp), validity: None, origin });
        }
        let begun = stage.enter(format!("the TLS handshake with {host}:{port}"));
        let secured = self.world.tls.secure(&self.http.tls, host, tcp).await;
        add(&mut measured.tls, begun);
        let secured = secured.map_err(|failed| {
            measured.validity = failed.validity;
            failed.fault
        })?;
        measured.validity = secured.validity;
        Ok(Kept { stream: Stream::Tls(Box::new(secured.stream)), validity: secured.validity, origin })
    }
}

/// Adds the time since `begun` to a phase.
fn add(phase: &mut Option<Duration>, begun: Instant) {
    *phase = Some(phase.unwrap_or_default() + begun.elapsed());
}

impl Measured {
    /// Adds what was measured to a result.
    fn into_values(self, mut sample: Sample, answer: Option<&Answer>, world: &World) -> Sample {
        let phases = [
            (&value::DNS_SECONDS, self.dns),
            (&value::CONNECT_SECONDS, self.connect),
            (&value::TLS_SECONDS, self.tls),
            (&value::FIRST_BYTE_SECONDS, self.first_byte),
            (&value::TOTAL_SECONDS, self.total),
        ];
        let known = phases.iter().filter(|(_, time)| time.is_some()).count();
        // No more room than is used: each check keeps its last result.
        let more = if answer.is_some() { 2 } else { 0 } + usize::from(self.validity.is_some());
        sample.values.reserve_exact(known + more);
        for (name, time) in phases {
            if let Some(time) = time {
                sample.seconds(name, time);
            }
        }
        if let Some(answer) = answer {
            sample.number(&value::STATUS, f64::from(answer.head.status));
            sample.count(&value::BODY_BYTES, answer.body.length());
        }
        if let Some(validity) = self.validity {
            sample.number(&value::CERTIFICATE_DAYS, validity.days_left(world.clock.now().wall));
        }
        sample
    }
}

/// A certificate that ends soon, as a status with a message.
pub(super) fn expiring(validity: Validity, http: &Http, now: lictor_core::Wall) -> Option<(Status, String)> {
    let left = validity.seconds_left(now);
    let sooner = |limit: Duration| left < i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    let status = if sooner(http.critical_expiry) {
        Status::Critical
    } else if sooner(http.warn_expiry) {
        Status::Warning
    } else {
        return None;
    };
    let span = lictor_core::Span(Duration::from_secs(left.unsigned_abs()));
    let message = if left < 0 {
        format!("the certificate expired {span} ago")
    } else {
        format!("the certificate expires in {span}")
    };
    Some((status, message))
}
