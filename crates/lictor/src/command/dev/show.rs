//! What `dev` shows in the terminal: the way in, then every event as it happens.

use std::net::SocketAddr;
use std::path::PathBuf;

use lictor_agent::Recorded;
use lictor_agent::text::escaped;
use lictor_core::{Ending, Event, Status, What};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::service;
use crate::command::status::count;
use crate::output::Terminal;

/// The terminal's view of the agent.
pub(crate) struct Show {
    terminal: Terminal,
    dir: PathBuf,
    address: SocketAddr,
    wanted_port: u16,
    before: usize,
}

impl Show {
    /// `before` is how many incidents there were before this start.
    pub(crate) fn new(
        terminal: Terminal,
        dir: PathBuf,
        address: SocketAddr,
        wanted_port: u16,
        before: usize,
    ) -> Self {
        Self { terminal, dir, address, wanted_port, before }
    }

    /// Shows everything that happens, until the agent stops.
    pub(crate) async fn follow(self, mut live: broadcast::Receiver<Recorded>) {
        let terminal = self.terminal;
        terminal.say(&format!("{}  http://{}/", terminal.strong("Page     "), self.address));
        terminal.say(&format!("{}  {}", terminal.strong("State    "), self.dir.display()));
        if self.address.port() != self.wanted_port {
            let way = format!("export LICTOR_HTTP_ADDR=http://{}", self.address);
            terminal.say(&format!("{}  {way}", terminal.strong("Commands ")));
        }
        if self.before > 0 {
            let incidents = count(self.before, "incident", "incidents");
            terminal.say(&format!(
                "{}  {incidents} before; `lictor incidents` lists them",
                terminal.strong("History  ")
            ));
        }
        self.invite();
        terminal.say(&terminal.faint("Ctrl-C ends it.\n"));
        loop {
            match live.recv().await {
                Ok(recorded) => {
                    let (_, event) = &*recorded;
                    terminal.say(&self.line(event));
                    if matches!(event.what, What::RunEnded { ending: Ending::Done, .. }) {
                        terminal.say("");
                        self.invite();
                    }
                }
                Err(RecvError::Lagged(missed)) => {
                    terminal.say(
                        &terminal.faint(&format!("({missed} events not shown here; the page has them)")),
                    );
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn invite(&self) {
        if let Some(pid) = service::running(&self.dir) {
            self.terminal.say(&format!("{}  kill {pid}", self.terminal.strong("Break it ")));
        }
    }

    fn line(&self, event: &Event) -> String {
        let terminal = &self.terminal;
        let clock = jiff::Timestamp::from_millisecond(event.at.wall.as_unix_millis())
            .map(|at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string())
            .unwrap_or_default();
        let word = match &event.what {
            What::Transition { from: Status::Unknown, to: Status::Passing, .. } => terminal.faint("watched "),
            What::Transition { to: Status::Passing, .. } | What::IncidentClosed { .. } => {
                terminal.good("healed  ")
            }
            What::Transition { .. } | What::IncidentOpened { .. } => terminal.bad("detected"),
            What::RunEnded { ending: Ending::Done, .. } => terminal.good("remedy  "),
            What::RunEnded { .. } | What::Parked { .. } | What::Escalated { .. } => terminal.bad("remedy  "),
            _ if event.run.is_some() => terminal.strong("remedy  "),
            _ => "        ".to_owned(),
        };
        // What a program said may have several lines: they stay below its event.
        let said = escaped(&event.what.to_string()).replace('\n', "\n                      ");
        format!("{}  {word}  {said}", terminal.faint(&clock))
    }
}
