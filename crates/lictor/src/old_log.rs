//! What is logged under the name of a program whose place is taken: lines of its kind on the standard error, and the same to
//! the system log.

use std::fmt;
use std::io::{self, IsTerminal as _};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lictor_compat::{LogLevel, Moment, snapshot_agent};
use tracing::{Event, Level, Subscriber, warn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::busy::CLEAR;
use crate::exit::{Exit, Failure};
use crate::syslog::{self, Syslog};

/// The level as filters have it.
pub(crate) const fn filter(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Err => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

/// Begins to log as those programs did that took snapshots. `syslog`: the facility of the system log that gets it, too, and
/// the name under which it does.
///
/// # Errors
/// If nothing can be logged.
pub(crate) fn start(level: LogLevel, syslog: Option<(u8, &str)>) -> Result<(), Failure> {
    let system = syslog.map(|(facility, name)| syslog::layer(Syslog::new(facility, name)).boxed());
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(io::stderr)
        .event_format(Lines { clears: io::stderr().is_terminal(), line });
    let registry = tracing_subscriber::registry().with(EnvFilter::new(filter(level)));
    let started = registry.with(system).with(lines).try_init();
    started.map_err(|error| Failure::new(Exit::Failed, format!("nothing can be logged: {error}")))?;
    // A machine without a system log is told of, and no more: the standard error has everything.
    if let Some((facility, name)) = syslog
        && let Err(error) = Syslog::new(facility, name).reach()
    {
        warn!(%error, "the system log cannot be reached");
    }
    Ok(())
}

/// `2016/11/16 21:21:13 [INFO] …`, with the time of now.
fn line(level: LogLevel, what: &str) -> String {
    snapshot_agent::text::line(&Moment::new(Timestamp::now(), TimeZone::system()), level, what)
}

/// Lines as an old program wrote them.
pub(crate) struct Lines {
    /// Whether something may stand in the line already that is to be replaced.
    pub(crate) clears: bool,
    /// A line with the time of now.
    pub(crate) line: fn(LogLevel, &str) -> String,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => LogLevel::Err,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            Level::DEBUG => LogLevel::Debug,
            Level::TRACE => LogLevel::Trace,
        };
        let mut said = String::new();
        context.format_fields(Writer::new(&mut said), event)?;
        let clear = if self.clears { CLEAR } else { "" };
        writeln!(writer, "{clear}{}", (self.line)(level, &said))
    }
}
