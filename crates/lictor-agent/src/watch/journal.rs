//! Journal: lines of the systemd journal, by a journalctl that is kept running.
//!
//! ```text
//!  locate ──▶ drain: `--cursor=C` to the end ──▶ follow: `-f --merge --cursor=LAST`
//!    ▲  is the position still there?                   │ killed, hanging, writing garbage
//!    └─────────────── 1 s to 1 min later ──────────────┘
//! ```
//!
//! What is there is read without `-f` first: following, journalctl loses lines over a reboot. Each
//! batch of records is handed in with the position it leads to, so nothing is missed and nothing
//! comes twice, whatever is killed when. While it follows, a second journalctl is asked now and
//! then for the newest record, to find out whether the first one hangs.

mod arguments;
mod intake;
mod position;
mod process;
mod wake;

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use lictor_config::{Journal, JournalFrom, Watch};
use lictor_core::{CheckName, Sample, Span, Status};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::warn;

use arguments::{Query, Start};
use intake::{Counts, Intake, SinceBoot};
use position::{Found, Position, Resume};
use process::{Journalctl, first};
use wake::{Place, Waker};

use super::follow::{self, Feed};
use super::look::{Look, Memory, World};
use super::value::{self, Measured as _};
use crate::Tasks;
use crate::clock::{boot_id, since_boot};
use crate::journal::{Decoder, Filter, Record};
use crate::lines::Matcher;

/// Looks between two checks whether journalctl hangs.
const CHECKS: u32 = 6;

/// How long a record that is there may take to come.
const LATE: Duration = Duration::from_secs(2);

/// How often a position without a record is recorded: it says up to when all is read.
const SEEN: Duration = Duration::from_secs(3_600);

/// What is kept of a record to know whether it is ours.
const OWN: [&str; 1] = ["_SYSTEMD_UNIT"];

/// Between two reports on how reading stands.
const REPORT: Duration = Duration::from_secs(1);

pub(super) fn look(
    check: &CheckName,
    journal: &Journal,
    watch: &Watch,
    memory: &mut Memory,
    world: &World,
) -> Look {
    let settings = Arc::new((journal.clone(), watch.clone(), OnceLock::new()));
    follow::look(check, memory, world, move |feed| {
        let settings = Arc::clone(&settings);
        async move {
            let (journal, watch, shared) = &*settings;
            let shared = shared.get_or_init(|| Shared::new(journal, watch));
            match shared.run(&feed).await {
                Ok(never) => match never {},
                Err(why) => why,
            }
        }
    })
}

/// What outlives one journalctl.
struct Shared {
    journal: Journal,
    command: Vec<String>,
    matcher: Matcher,
    /// The running boot, in journald's words.
    boot: Option<String>,
    counts: Mutex<Option<Counts>>,
    /// A journalctl that is silent for longer, while there should be something, hangs.
    silent: Duration,
    /// Time between two checks of that.
    check: Duration,
}

impl Shared {
    fn new(journal: &Journal, watch: &Watch) -> Self {
        Self {
            journal: journal.clone(),
            command: journal.command.clone().unwrap_or_else(|| vec!["journalctl".to_owned()]),
            matcher: Matcher::new(&watch.patterns),
            boot: boot_id().ok().map(|id| id.replace('-', "")),
            counts: Mutex::default(),
            silent: watch.timeout.saturating_mul(CHECKS),
            check: watch.every.saturating_mul(CHECKS),
        }
    }

    async fn run(&self, feed: &Feed) -> Result<Infallible, String> {
        let counts = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let next = match *counts {
                None => Counts::default(),
                Some(known) => Counts { restarts: known.restarts + 1, ..known },
            };
            *counts = Some(next);
            next
        };
        let filter = Filter::new(&self.journal)?;
        let query = Query::new(&self.journal, &filter);
        let intake = Intake::new(&self.matcher, self.journal.max_age, filter.own(), counts);
        let mut run = Run { shared: self, feed, query, intake, reported: None, handed_in: Instant::now() };
        let resume = run.locate().await?;
        let resume = run.drain(resume).await?;
        run.follow(&resume).await
    }

    /// What is wanted of the journal, for people.
    fn what(&self) -> String {
        let Journal { units, identifiers, kernel, user, .. } = &self.journal;
        match (units.as_slice(), identifiers.as_slice()) {
            _ if *kernel => "the kernel's journal".to_owned(),
            ([], []) => match user {
                Some(user) => format!("the journal of user {user}"),
                None => "the journal".to_owned(),
            },
            ([], [one]) | ([one], _) => format!("the journal of {one}"),
            ([], [one, rest @ ..]) | ([one, rest @ ..], _) => {
                format!("the journal of {one} and {} more", rest.len())
            }
        }
    }

    /// Asks for the first record that these arguments give.
    async fn ask(&self, arguments: Vec<String>) -> Result<Option<Record>, String> {
        let asked = first(&self.command, arguments, self.silent).await;
        let said = match &asked {
            Ok((_, said)) => said,
            Err(why) => why,
        };
        let whole = self.journal.user.is_none() && self.journal.directory.is_none();
        let barred = said.contains("insufficient permissions")
            // It also says so where it cannot tell its groups: in a namespace of users.
            || (whole && said.contains("not seeing messages from other users") && !may_read());
        if barred {
            return Err("this agent's user may not read the journal; add it to the group `systemd-journal` \
                        (`SupplementaryGroups=systemd-journal` in its unit)"
                .to_owned());
        }
        asked.map(|(record, _)| record)
    }
}

/// One journalctl after another, until something goes wrong.
struct Run<'a> {
    shared: &'a Shared,
    feed: &'a Feed,
    query: Query,
    intake: Intake<'a>,
    reported: Option<Instant>,
    handed_in: Instant,
}

impl Run<'_> {
    /// Where to go on.
    async fn locate(&mut self) -> Result<Resume, String> {
        let (shared, all) = (self.shared, self.query.all());
        let stored = self.feed.position().and_then(|text| match Position::from_text(&text) {
            Ok(position) => Some(position),
            Err(error) => {
                warn!(check = %self.feed.check, %error, "where reading the journal ended is not understood; it begins anew");
                None
            }
        });
        let Some(position) = stored else { return self.begin(shared.ask(all.newest()).await?).await };
        let resume = match &position.cursor {
            None => {
                // Only for what it says of permissions.
                shared.ask(all.newest()).await?;
                Resume::from(&position, &Found { at: None, head: None, boot: false })
            }
            Some(cursor) => {
                let at = match shared.ask(all.first(&Start::At(cursor.clone()))).await {
                    Err(why) if why.contains("seek to cursor") || why.contains("parse cursor") => None,
                    other => other?,
                };
                if at.as_ref().is_some_and(|record| record.cursor == *cursor) {
                    Resume::after(cursor)
                } else {
                    let head = shared.ask(all.first(&Start::Head)).await?;
                    let boot = shared.ask(all.first(&Start::Boot(position.boot.clone()))).await?.is_some();
                    Resume::from(&position, &Found { at, head, boot })
                }
            }
        };
        if resume.gap {
            self.intake.counts.gaps += 1;
            warn!(check = %self.feed.check, "records of the journal were gone before they were read");
        }
        self.intake.position = Some(position);
        Ok(resume)
    }

    /// The first time: `newest` is the newest record there is.
    async fn begin(&mut self, newest: Option<Record>) -> Result<Resume, String> {
        let now = self.now();
        Ok(match (self.shared.journal.from, newest) {
            (JournalFrom::Start, _) | (JournalFrom::Boot, None) => Resume::fresh(Start::Head),
            (JournalFrom::Boot, Some(newest)) => Resume::fresh(Start::Boot(newest.boot)),
            (JournalFrom::End, newest) => {
                let position = newest.as_ref().map_or_else(|| Position::before(now), Position::after);
                let resume = match &position.cursor {
                    Some(cursor) => Resume::after(cursor),
                    None => Resume::fresh(Start::Since(now)),
                };
                // From now on nothing is missed, whenever the agent is killed.
                let text = position.to_text();
                self.intake.position = Some(position);
                self.feed.read(Vec::new(), Some(text)).await.map_err(|_gone| stopping())?;
                resume
            }
        })
    }

    /// Reads what is there, and says where what comes begins.
    async fn drain(&mut self, resume: Resume) -> Result<Resume, String> {
        let before = self.intake.position.clone();
        self.intake.known = resume.known.clone();
        let mut running = Journalctl::start(&self.shared.command, self.query.drain(&resume.start))?;
        let mut decoder = Decoder::keeping(OWN);
        let silent = self.shared.silent;
        loop {
            let Ok(piece) = timeout(silent, running.read()).await else {
                return Err(format!("journalctl hangs: it gave nothing for {}", Span(silent)));
            };
            let piece = piece?;
            if piece.is_empty() {
                running.ended().await?;
                break;
            }
            self.take(&mut decoder, piece)?;
            self.hand_in().await?;
            self.report("reads what is new in");
        }
        let cursor = self.intake.position.as_ref().and_then(|position| position.cursor.as_deref());
        let anchored = matches!(resume.start, Start::At(_)) || self.intake.position != before;
        Ok(match cursor.filter(|_| anchored) {
            Some(cursor) => Resume::after(cursor),
            None => resume,
        })
    }

    /// Reads what comes, until journalctl ends or hangs.
    async fn follow(&mut self, resume: &Resume) -> Result<Infallible, String> {
        let shared = self.shared;
        self.intake.known = resume.known.clone();
        let machine = fs::read_to_string("/etc/machine-id").ok().map(|text| text.trim().to_owned());
        let wake = shared.wake(&self.feed.tasks, machine.as_deref()).await;
        let query = match (&wake, &machine, &shared.journal.directory) {
            (Some(wake), _, _) => self.query.of_directory(&wake.directory().to_string_lossy()),
            // `--merge` brings in what other machines sent to this one.
            (None, Some(machine), None) => self.query.clone().and("_MACHINE_ID", machine),
            (None, _, _) => self.query.clone(),
        };
        let mut running = Journalctl::start(&shared.command, query.follow(&resume.start))?;
        let mut decoder = Decoder::keeping(OWN);
        let mut check = Check::new(shared.check);
        self.intake.counts.behind = 0;
        self.feed.tell(self.sample("follows")).await.map_err(|_gone| stopping())?;
        loop {
            tokio::select! {
                biased;
                piece = running.read() => {
                    let piece = piece?;
                    if piece.is_empty() {
                        running.ended().await?;
                        return Err("journalctl ended".to_owned());
                    }
                    self.take(&mut decoder, piece)?;
                    let now = self.intake.now;
                    self.intake.seen(now);
                    self.hand_in().await?;
                    self.report("follows");
                }
                at = check.next(|| shared.ask(self.query.newest())) => {
                    let newest = match at {
                        Checked::Newest(newest) => newest?.map(|newest| *newest),
                        Checked::Late(record) if self.lacks(&record) => {
                            return Err("journalctl hangs: it does not give what is in the journal".to_owned());
                        }
                        Checked::Late(_) => None,
                    };
                    match newest.filter(|newest| self.lacks(newest)) {
                        Some(newest) => check.expect(newest),
                        None => {
                            let since = check.begun_before();
                            check.rest();
                            self.caught_up(since).await?;
                        }
                    }
                }
            }
        }
    }

    /// Whether a record was not read although it is newer than what was.
    fn lacks(&self, record: &Record) -> bool {
        self.intake.position.as_ref().is_none_or(|position| position.is_before(record))
    }

    /// Notes that everything older than this was read.
    async fn caught_up(&mut self, ago: Duration) -> Result<(), String> {
        let ago = u64::try_from(ago.as_micros()).unwrap_or(u64::MAX);
        let now = self.now().saturating_sub(ago);
        self.intake.seen(now);
        self.report("follows");
        let Some(position) = self.intake.position.as_ref().filter(|_| self.handed_in.elapsed() >= SEEN)
        else {
            return Ok(());
        };
        let text = position.to_text();
        self.handed_in = Instant::now();
        self.feed.read(Vec::new(), Some(text)).await.map_err(|_gone| stopping())
    }

    fn take(&mut self, decoder: &mut Decoder, piece: &[u8]) -> Result<(), String> {
        self.intake.now = self.now();
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.intake.since_boot = self.shared.boot.clone().map(|boot| {
            let (awake, asleep) = since_boot();
            SinceBoot { boot, awake: micros(awake), asleep: micros(asleep) }
        });
        let intake = &mut self.intake;
        decoder.read(piece, &mut |record| intake.take(record)).map_err(|garbage| {
            format!(
                "`{}` is not journalctl: {garbage}",
                self.shared.command.first().map_or("", String::as_str)
            )
        })
    }

    /// Hands in what was found. While the agent is busy this waits, and journalctl with it.
    async fn hand_in(&mut self) -> Result<(), String> {
        let Counts { lines, matched, .. } = self.intake.counts;
        self.feed.counted(lines, matched);
        *self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.intake.counts);
        let Some((matches, position)) = self.intake.batch() else { return Ok(()) };
        self.handed_in = Instant::now();
        self.feed.read(matches, position).await.map_err(|_gone| stopping())
    }

    /// Has the next looks tell how it stands, at most once a second.
    fn report(&mut self, doing: &str) {
        if self.reported.is_some_and(|at| at.elapsed() < REPORT) {
            return;
        }
        self.reported = Some(Instant::now());
        let Sample { status, summary, values, .. } = self.sample(doing);
        self.feed.state(status, summary, values);
    }

    fn sample(&self, doing: &str) -> Sample {
        let Counts { restarts, stale, suppressed, cut, gaps, behind, .. } = self.intake.counts;
        let mut said = vec![format!("{doing} {}", self.shared.what())];
        if let Some(limit) = self.shared.journal.max_age.filter(|_| stale > 0) {
            said.push(format!("{stale} records older than {} were only counted", Span(limit)));
        }
        if suppressed > 0 {
            said.push(format!("journald dropped {suppressed} records because they were too many"));
        }
        if gaps > 0 {
            said.push("some records were gone before they were read".to_owned());
        }
        let mut sample = Sample::new(Status::Passing, said.join("; "));
        sample.seconds(&value::BEHIND_SECONDS, Duration::from_micros(behind));
        sample.count(&value::RESTARTS, restarts);
        sample.count(&value::STALE, stale);
        sample.count(&value::SUPPRESSED, suppressed);
        sample.count(&value::CUT, cut);
        sample.count(&value::GAPS, gaps);
        sample
    }

    /// The wall clock, microseconds.
    fn now(&self) -> u64 {
        u64::try_from(self.feed.clock.now().wall.as_unix_millis()).unwrap_or_default().saturating_mul(1_000)
    }
}

impl Shared {
    async fn wake(&self, tasks: &Tasks, machine: Option<&str>) -> Option<Waker> {
        let Journal { wake, command, directory, .. } = &self.journal;
        // Another program may see other files than we do.
        let every = wake.filter(|_| command.is_none())?;
        let place = match directory {
            Some(directory) => Place::Within(directory.clone()),
            None => Place::own(machine?),
        };
        Waker::start(tasks, place, every).await
    }
}

type Asked<'a> = Pin<Box<dyn Future<Output = Result<Option<Record>, String>> + Send + 'a>>;

/// The check whether journalctl gives what there is.
struct Check<'a> {
    every: Duration,
    begun: Instant,
    state: Doing<'a>,
}

enum Doing<'a> {
    Rests(Instant),
    Asks(Asked<'a>),
    Expects(Instant, Box<Record>),
}

/// What a check brought.
enum Checked {
    /// The newest record.
    Newest(Result<Option<Box<Record>>, String>),
    /// It was time for this record to come.
    Late(Box<Record>),
}

impl<'a> Check<'a> {
    fn new(every: Duration) -> Self {
        let now = Instant::now();
        Self { every, begun: now, state: Doing::Rests(now + every) }
    }

    /// Goes on with it; may be given up at any time.
    async fn next<F>(&mut self, ask: impl FnOnce() -> F) -> Checked
    where
        F: Future<Output = Result<Option<Record>, String>> + Send + 'a,
    {
        if let Doing::Rests(until) = self.state {
            sleep_until(until).await;
            self.begun = Instant::now();
            self.state = Doing::Asks(Box::pin(ask()));
        }
        match &mut self.state {
            Doing::Asks(asked) => {
                let newest = asked.await;
                self.rest();
                Checked::Newest(newest.map(|newest| newest.map(Box::new)))
            }
            Doing::Expects(until, record) => {
                sleep_until(*until).await;
                let record = std::mem::take(record);
                self.rest();
                Checked::Late(record)
            }
            Doing::Rests(_) => {
                sleep(self.every).await;
                Checked::Newest(Ok(None))
            }
        }
    }

    fn expect(&mut self, record: Record) {
        self.state = Doing::Expects(Instant::now() + LATE, Box::new(record));
    }

    fn rest(&mut self) {
        self.state = Doing::Rests(Instant::now() + self.every);
    }

    /// How long ago it was begun.
    fn begun_before(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// Whether there is a journal of this machine's own that we may read.
fn may_read() -> bool {
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let Place::These(directories) = Place::own(machine.trim()) else { return false };
    directories.iter().any(|directory| fs::File::open(directory.join("system.journal")).is_ok())
}

fn stopping() -> String {
    "the agent is stopping".to_owned()
}
