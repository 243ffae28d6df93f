//! What is logged: lines of the old kind on the standard error, and the same to the system log.

use std::io::{self, IsTerminal as _};

use lictor_compat::consul_replicate::{Exit, Start};
use tracing::warn;
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use super::{Ended, Told, line};
use crate::old_log::Lines;
use crate::syslog::{Syslog, layer};

type Filtered = Layered<reload::Layer<EnvFilter, Registry>, Registry>;
type System = Option<Box<dyn Layer<Filtered> + Send + Sync>>;

/// Where what is logged goes. A reload may change it.
pub(super) struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    system: reload::Handle<System, Filtered>,
}

impl Log {
    /// Begins to log as it was told to.
    ///
    /// # Errors
    /// The end, if nothing can be logged.
    pub(super) fn start(told: &Told) -> Result<Self, Ended> {
        let (filter, filter_handle) = reload::Layer::new(EnvFilter::new(told.level()));
        let (system, system_handle) = reload::Layer::new(system(&told.start));
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(io::stderr)
            .event_format(Lines { clears: io::stderr().is_terminal(), line });
        let started = tracing_subscriber::registry().with(filter).with(system).with(lines).try_init();
        started.map_err(|error| Ended::failed(Exit::Failed, &format!("nothing can be logged: {error}")))?;
        let log = Self { filter: filter_handle, system: system_handle };
        log.check(&told.start);
        Ok(log)
    }

    /// Goes on as it is told now.
    pub(super) fn again(&self, told: &Told) {
        let filter = self.filter.reload(EnvFilter::new(told.level()));
        let system = self.system.reload(system(&told.start));
        if let Err(error) = filter.and(system) {
            warn!(%error, "what is logged stays as before");
        }
        self.check(&told.start);
    }

    /// A machine without a system log is told of, and no more: the standard error has everything.
    fn check(&self, start: &Start) {
        let Some(settings) = &start.syslog else { return };
        if let Err(error) = Syslog::new(settings.facility, &settings.name).reach() {
            warn!(%error, "the system log cannot be reached");
        }
    }
}

fn system(start: &Start) -> System {
    let settings = start.syslog.as_ref()?;
    Some(layer(Syslog::new(settings.facility, &settings.name)).boxed())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use regex::Regex;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of an event, without its time.
    fn written(clears: bool, log: impl FnOnce()) -> String {
        let written = Written::default();
        let end = written.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || written.clone())
            .event_format(Lines { clears, line });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
        let text = String::from_utf8(end.0.lock().unwrap().clone()).unwrap();
        let stamp = Regex::new(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ").unwrap();
        stamp.replace(&text, "").into_owned()
    }

    #[test]
    fn a_line_is_of_the_old_kind_with_what_belongs_to_it() {
        let said = written(false, || warn!(key = "a b", "a key is not copied"));
        assert_eq!(said, "[WARN] (cli) a key is not copied key=\"a b\"\n");
        let said = written(false, || tracing::error!("no"));
        assert_eq!(said, "[ERR] (cli) no\n");
    }

    #[test]
    fn on_a_terminal_it_takes_the_place_of_what_passes() {
        assert_eq!(written(true, || tracing::info!("well")), "\r\u{1b}[K[INFO] (cli) well\n");
    }
}
