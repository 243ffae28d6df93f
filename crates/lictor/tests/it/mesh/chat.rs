//! A stand-in for Telegram, with a bot for each node.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lictor_testkit::service::{Answer, Service};
use lictor_testkit::wait;
use serde_json::Value;
use tokio::time::Instant;
use url::form_urlencoded::parse;

use super::QUIET;
use crate::node::LONG;
use crate::together::calm;

/// How it answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mood {
    /// It takes what it is told, after so long.
    Takes(Duration),
    /// It answers with this status, and has not taken it.
    Refuses(u16),
}

/// A chat, and what was told in it: `BOT: first line`.
pub(super) struct Chat {
    service: Service,
    mood: Arc<Mutex<Mood>>,
    told: Arc<Mutex<Vec<(String, String)>>>,
    /// Who was told to wait for [`WAIT`], and when.
    waits: Arc<Mutex<Vec<(String, Instant)>>>,
}

/// So long it wants to be left alone after a 429.
pub(super) const WAIT: Duration = Duration::from_secs(2);

impl Chat {
    pub(super) fn open(ip: Ipv4Addr) -> Self {
        let mood = Arc::new(Mutex::new(Mood::Takes(Duration::ZERO)));
        let told = Arc::<Mutex<Vec<(String, String)>>>::default();
        let waits = Arc::<Mutex<Vec<(String, Instant)>>>::default();
        let (is, keeps, patient) = (Arc::clone(&mood), Arc::clone(&told), Arc::clone(&waits));
        let service = Service::start_on(ip, move |call| {
            let bot =
                call.path.strip_prefix("/bot").and_then(|path| path.strip_suffix("/sendMessage")).unwrap();
            let texts: Vec<String> = match serde_json::from_str::<Value>(&call.body) {
                Ok(json) => vec![json["text"].as_str().unwrap().to_owned()],
                // A watcher under its old name, which has a line for each.
                Err(_a_form) => {
                    let text = parse(call.body.as_bytes()).find(|(name, _)| name == "text").unwrap().1;
                    text.lines().map(str::to_owned).collect()
                }
            };
            let mood = *is.lock().unwrap();
            match mood {
                Mood::Takes(after) => {
                    #[expect(clippy::disallowed_methods, reason = "the thread of one answer, which is late")]
                    std::thread::sleep(after);
                    keeps.lock().unwrap().extend(texts.into_iter().map(|text| (bot.to_owned(), text)));
                    Answer::new(200, "{\"ok\":true}")
                }
                Mood::Refuses(429) => {
                    patient.lock().unwrap().push((bot.to_owned(), Instant::now()));
                    let body = "{\"ok\":false,\"error_code\":429,\"parameters\":{\"retry_after\":2}}";
                    Answer::new(429, body)
                }
                Mood::Refuses(status) => Answer::new(status, "{\"ok\":false}"),
            }
        });
        Self { service, mood, told, waits }
    }

    pub(super) fn url(&self) -> String {
        self.service.url()
    }

    pub(super) fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// How often it was told something, whether it took it or not.
    pub(super) fn asked(&self) -> usize {
        self.service.calls().len()
    }

    /// The shortest time after which anybody came again who was told to wait; none if nobody did.
    pub(super) fn shortest_wait(&self) -> Option<Duration> {
        let waits = self.waits.lock().unwrap();
        let next = |(place, (bot, at)): (usize, &(String, Instant))| {
            let again = waits[place + 1..].iter().find(|(other, _)| other == bot);
            again.map(|(_, later)| later.duration_since(*at))
        };
        waits.iter().enumerate().filter_map(next).min()
    }

    /// The titles of what it took, each after its bot; which node it is about itself is left out.
    pub(super) fn told(&self) -> Vec<String> {
        let title =
            |text: &str| text.lines().next().and_then(|line| line.split(" [").next()).map(str::to_owned);
        let told = self.told.lock().unwrap();
        told.iter().map(|(bot, text)| format!("{bot}: {}", title(text).unwrap_or_default())).collect()
    }

    /// Waits until all that was told is over, and a while longer that nothing else is; how much was told.
    #[track_caller]
    pub(super) fn all_resolved(&self) -> usize {
        let of = |word: &str| -> Vec<String> {
            let told = self.told().into_iter().filter(|line| line.contains(word));
            let mut told: Vec<_> = told.map(|line| line.replace(word, "")).collect();
            told.sort();
            told
        };
        let over = || (of("CRITICAL") == of("RESOLVED")).then(|| self.told().len());
        let found = wait::until(LONG, || {
            let before = over()?;
            calm(QUIET);
            over().filter(|now| *now == before)
        });
        found.unwrap_or_else(|| panic!("{:#?}", self.told()))
    }

    /// The whole of what it took last from a bot.
    pub(super) fn whole(&self, of: &str) -> String {
        let told = self.told.lock().unwrap();
        told.iter().rev().find(|(bot, _)| bot == of).map(|(_, text)| text.clone()).unwrap_or_default()
    }

    /// Nobody can reach it.
    pub(super) fn close(&self) {
        self.service.stop();
    }

    /// It can be reached again. To be called on its host.
    pub(super) fn again(&self) {
        self.service.again();
    }
}
