//! File: lines that are appended to files, as soon as they are.
//!
//! ```text
//!  inotify ──names──▶ task ──turn──▶ thread: reads, looks for the patterns
//!  every 2 s ────────▶  │ ◀──matches, position──┘
//!                       └──▶ inbox of the decide loop (while that waits, nothing more is read)
//! ```
//!
//! The kernel tells of changes on this machine; what it does not tell of (a file system on the network, too
//! many events, no room for a watch) is seen every 2 s. A thread of its own reads, so that a file system that hangs
//! holds up nothing else.

mod notify;

use std::convert::Infallible;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lictor_config::{File, Missing, Watch};
use lictor_core::{Boot, CheckName, Sample, Span, Status};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use notify::{Names, News, Notify, Watched};

use super::follow::{self, Feed};
use super::look::{Look, Memory, World, worst};
use super::value::{self, Measured as _};
use crate::lines::files::{Hint, Standing, Turn};
use crate::lines::{Files, Matcher};

/// How often all files are looked at, whatever the kernel tells.
const SWEEP: Duration = Duration::from_secs(2);

/// The same when the kernel tells nothing at all.
const BLIND: Duration = Duration::from_millis(250);

/// A look at all files for which there is a reason begins no sooner than so many times what the latest took: files
/// that come and go all the time next to ours cost little.
const REST: u32 = 20;

/// What is between two such looks at least.
const SOONEST: Duration = Duration::from_millis(5);

pub(super) fn look(
    check: &CheckName,
    settings: &File,
    watch: &Watch,
    memory: &mut Memory,
    world: &World,
) -> Look {
    let shared = Arc::new((settings.clone(), watch.clone(), OnceLock::new()));
    follow::look(check, memory, world, move |feed| {
        let shared = Arc::clone(&shared);
        async move {
            let (settings, watch, matcher) = &*shared;
            let matcher = matcher.get_or_init(|| Arc::new(Matcher::new(&watch.patterns)));
            match run(&feed, settings, watch.timeout, matcher).await {
                Ok(never) => match never {},
                Err(why) => why,
            }
        }
    })
}

/// Follows until something goes wrong with that itself.
async fn run(
    feed: &Feed,
    settings: &File,
    limit: Duration,
    matcher: &Arc<Matcher>,
) -> Result<Infallible, String> {
    let notify = Notify::new();
    let mut sweep = SWEEP;
    let mut reader = Reader::start(feed, settings, matcher, notify.watched())?;
    let mut news = News::everything();
    // When all was looked at, and when that may be done again for a reason.
    let mut swept = (Instant::now(), Instant::now());
    let mut told: Option<Sample> = None;
    loop {
        if swept.0.elapsed() >= sweep {
            news.everywhere();
        }
        let hint = news.take(swept.1 <= Instant::now());
        let everywhere = hint == Hint::Anywhere;
        let done = reader.turn(hint, feed, limit, &mut told).await?;
        if everywhere {
            sweep = if done.blind { BLIND } else { SWEEP };
            let rest = done.took.saturating_mul(REST).clamp(SOONEST, sweep);
            swept = (Instant::now(), Instant::now() + rest);
            news.know(done.names);
            if done.again {
                news.everywhere();
            }
        }
        feed.counted(done.lines, done.matched);
        feed.read(done.turn.matches, done.turn.position).await.map_err(|_gone| stopping())?;
        tell(feed, settings, &done.standing, done.skipped, &mut told).await?;
        if done.turn.more {
            // What others wrote meanwhile does not wait for this one.
            notify.hear(&mut news);
            continue;
        }
        let next = if news.waits() { swept.1 } else { swept.0 + sweep };
        let due = done.due.map_or(next, |due| next.min(Instant::now() + due));
        tokio::select! {
            () = notify.next(&mut news) => {}
            () = sleep_until(due) => {}
        }
    }
}

fn stopping() -> String {
    "the agent is stopping".to_owned()
}

/// Says how the files stand: at once when they stand otherwise than before.
async fn tell(
    feed: &Feed,
    settings: &File,
    standing: &Standing,
    skipped: u64,
    told: &mut Option<Sample>,
) -> Result<(), String> {
    let (status, summary) = judge(settings, standing);
    let mut sample = Sample::new(status, summary);
    sample.count(&value::FILES, standing.files as u64);
    sample.count(&value::SKIPPED, skipped);
    sample.count(&value::GAPS, standing.gaps);
    let before = told.replace(sample.clone());
    if before.as_ref().is_some_and(|before| before.status == status) {
        if before.as_ref() != Some(&sample) {
            feed.state(sample.status, sample.summary, sample.values);
        }
        return Ok(());
    }
    feed.tell(sample).await.map_err(|_gone| stopping())
}

fn judge(settings: &File, standing: &Standing) -> (Status, String) {
    let Standing { files, missing, problems, left_out, gaps } = standing;
    let mut found = Vec::new();
    let mut said = Vec::new();
    let more = |count: usize| match count {
        0 | 1 => String::new(),
        more => format!(" (and {} more)", more - 1),
    };
    if let Some((path, why)) = problems.first() {
        found.push(Status::Unknown);
        said.push(format!("cannot read `{}`: {why}{}", path.display(), more(problems.len())));
    }
    if *left_out > 0 {
        found.push(Status::Unknown);
        said.push(format!("{left_out} files are too many and are not followed"));
    }
    if let Some(path) = missing.first() {
        found.push(match settings.missing {
            Missing::Passing => Status::Passing,
            Missing::Warning => Status::Warning,
            Missing::Critical => Status::Critical,
        });
        said.push(format!("there is no `{path}`{}", more(missing.len())));
    }
    match (files, settings.paths.as_slice()) {
        (1, [path]) if missing.is_empty() => said.push(format!("follows `{path}`")),
        (1, _) => said.push("follows 1 file".to_owned()),
        (0, _) => {}
        _ => said.push(format!("follows {files} files")),
    }
    if *gaps > 0 {
        let times = if *gaps == 1 { "once".to_owned() } else { format!("{gaps} times") };
        said.push(format!("{times} the rest of a file was gone before it was read"));
    }
    (worst(Status::Passing, found), said.join("; "))
}

/// What the thread is to do.
struct Order {
    hint: Hint,
    now: Boot,
}

/// What it did.
struct Done {
    turn: Turn,
    standing: Standing,
    lines: u64,
    matched: u64,
    skipped: u64,
    /// How long until a record is over if nothing comes.
    due: Option<Duration>,
    took: Duration,
    /// The names under which changes are told; only when all was looked at.
    names: Names,
    /// Whether something may have changed of which nobody told.
    again: bool,
    /// Whether the kernel does not tell of all changes.
    blind: bool,
}

/// The thread that reads. It ends with this, or when the system lets it go.
struct Reader {
    orders: SyncSender<Order>,
    done: mpsc::Receiver<Done>,
}

impl Reader {
    fn start(
        feed: &Feed,
        settings: &File,
        matcher: &Arc<Matcher>,
        mut watched: Watched,
    ) -> Result<Self, String> {
        let File { paths, from_start, missing: _, multiline } = settings;
        // One order is given at a time, and waited for.
        let (orders, ordered) = sync_channel::<Order>(1);
        let (doing, done) = mpsc::channel(1);
        let (paths, multiline, from_start) = (paths.clone(), multiline.clone(), *from_start);
        let (matcher, position) = (Arc::clone(matcher), feed.position());
        let work = move || {
            let mut files = Files::new(&paths, multiline.as_ref(), matcher, from_start, position.as_deref());
            while let Ok(Order { hint, now }) = ordered.recv() {
                let begun = Instant::now();
                let everywhere = hint == Hint::Anywhere;
                let mut names = Names::new();
                if everywhere {
                    // Before they are read: what comes after that is told.
                    watched.these(files.directories());
                }
                let turn = files.turn(&hint, now);
                let mut again = false;
                if everywhere {
                    names = files.names();
                    // What was written there until now was not told.
                    again = watched.these(files.directories());
                }
                let counts = files.counts();
                let done = Done {
                    standing: files.standing().clone(),
                    lines: counts.lines,
                    matched: counts.matched,
                    skipped: counts.skipped,
                    due: files.due(now),
                    took: begun.elapsed(),
                    blind: watched.is_blind(),
                    again,
                    turn,
                    names,
                };
                if doing.blocking_send(done).is_err() {
                    return;
                }
            }
        };
        feed.tasks.on_thread("file", work).map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self { orders, done })
    }

    /// Reads on for a bounded time. While that takes too long nothing is known.
    async fn turn(
        &mut self,
        hint: Hint,
        feed: &Feed,
        limit: Duration,
        told: &mut Option<Sample>,
    ) -> Result<Done, String> {
        let ended = || "the thread that reads the files ended".to_owned();
        let now = feed.clock.now().boot;
        self.orders.try_send(Order { hint, now }).map_err(|_ended| ended())?;
        loop {
            match timeout(limit, self.done.recv()).await {
                Ok(done) => return done.ok_or_else(ended),
                Err(_late) => {
                    *told = None;
                    let summary = format!(
                        "reading the files takes longer than {}: their file system hangs",
                        Span(limit)
                    );
                    feed.tell(Sample::new(Status::Unknown, summary)).await.map_err(|_gone| stopping())?;
                }
            }
        }
    }
}
