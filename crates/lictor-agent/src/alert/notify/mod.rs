//! Notifiers: from a message to a request, and what became of it.
//!
//! Each attempt stands alone: nothing is shared but the connections of one notifier, so that one
//! that hangs holds up nobody else. An attempt ends within the time limit of its notifier.
//!
//! | what happened | verdict |
//! |---|---|
//! | the service says that it has it | accepted |
//! | never sent: no such host, connection or TLS refused, a secret that cannot be read | refused |
//! | 300 to 499 | refused; for good with 400, 401, 403, 404, 413 and 422 |
//! | 500 and more, no answer in time, an answer that breaks off or says nothing | unclear |

mod credentials;
mod exchange;
mod file;
mod labels;
mod made;
mod mail;
mod points;
mod program;
mod request;
mod service;
mod signature;
mod smtp;
mod table;
mod texts;

#[cfg(test)]
mod sampled;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_config::{Config, Notifier, NotifierKind, Service, view};
use lictor_core::NotifierName;
use lictor_core::alert::{Message, Verdict};
use serde::Serialize;

use crate::clock::Clock;
pub(crate) use credentials::Credentials;
pub use made::{Made, Post, Ran, run};
use request::{Revealed, requests};
use service::Clients;

/// The notifiers of a configuration.
#[derive(Debug)]
pub struct Notifiers {
    known: BTreeMap<NotifierName, (Arc<Notifier>, Clients)>,
    clock: Clock,
}

/// What a notifier would send, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The method; what it is, when it is no HTTP request.
    pub method: String,
    /// Where it goes.
    pub url: String,
    /// Names and values.
    pub headers: BTreeMap<String, String>,
    /// What is sent.
    pub body: String,
}

impl Notifiers {
    /// Those of this configuration.
    pub fn new(config: &Config, clock: Clock) -> Self {
        let one = |(name, notifier): (&NotifierName, &Arc<Notifier>)| {
            (name.clone(), (Arc::clone(notifier), Clients::default()))
        };
        Self { known: config.notifiers.iter().map(one).collect(), clock }
    }

    /// Whether there is one of that name.
    pub fn has(&self, notifier: &NotifierName) -> bool {
        self.known.contains_key(notifier)
    }

    /// How long an attempt takes at most; a program that has to be ended takes some seconds more.
    pub fn limit(&self, notifier: &NotifierName) -> Option<Duration> {
        self.known.get(notifier).map(|(notifier, _)| notifier.timeout)
    }

    /// Makes one attempt to tell a message.
    pub async fn send(&self, notifier: &NotifierName, message: &Message) -> Verdict {
        let Some((notifier, clients)) = self.known.get(notifier) else { return missing(notifier) };
        match &notifier.kind {
            NotifierKind::Email(email) => smtp::tell(notifier, email, message).await,
            NotifierKind::Log(log) => file::tell(notifier, log, message).await,
            NotifierKind::Exec(program) => program::tell(notifier, program, message).await,
            NotifierKind::Service(service) => {
                service::tell(notifier, service, message, clients, self.clock.now().wall).await
            }
        }
    }

    /// What would be sent, with masks in the places of secrets; `None` without such a notifier.
    ///
    /// # Errors
    /// In words, what cannot be made of the message.
    pub fn preview(
        &self,
        notifier: &NotifierName,
        message: &Message,
    ) -> Option<Result<Vec<Preview>, String>> {
        let (notifier, _) = self.known.get(notifier)?;
        Some(preview(notifier, message))
    }
}

fn missing(notifier: &NotifierName) -> Verdict {
    let why = format!("there is no notifier `{notifier}` any more");
    Verdict::Refused { why, retry_after: None, for_good: true }
}

fn preview(notifier: &Notifier, message: &Message) -> Result<Vec<Preview>, String> {
    let one = |method: &str, url: String, body: String| {
        vec![Preview { method: method.to_owned(), url, headers: BTreeMap::new(), body }]
    };
    match &notifier.kind {
        NotifierKind::Email(email) => {
            let mail = mail::Mail::of(notifier, email, message);
            mail.encoded(email, message)?;
            let headers = [
                ("from", email.from.clone()),
                ("to", email.to.join(", ")),
                ("subject", mail.subject),
                ("message-id", mail.message_id),
                ("references", mail.references.join(" ")),
            ];
            let headers = headers.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
            let url = format!("smtp://{}:{}", email.host, email.port);
            let body = format!("{}\n\n{}", mail.text, mail.html);
            Ok(vec![Preview { method: "MAIL".to_owned(), url, headers, body }])
        }
        NotifierKind::Log(log) => {
            Ok(one("APPEND", log.path.display().to_string(), file::lines(notifier, log, message)))
        }
        NotifierKind::Exec(program) => {
            Ok(one("RUN", program.command.argv.join(" "), program::input(notifier, program, message)))
        }
        NotifierKind::Service(service) => shown(notifier, service, message),
    }
}

fn shown(notifier: &Notifier, service: &Service, message: &Message) -> Result<Vec<Preview>, String> {
    let made = requests(notifier, service, message, &Revealed::masked(service))?;
    let one = |mut request: request::Request| {
        if request.signed {
            request.headers.insert("authorization".to_owned(), "AWS4-HMAC-SHA256 ***".to_owned());
        }
        Preview {
            method: request.method,
            url: request.url.to_string(),
            headers: request.headers,
            body: request.body,
        }
    };
    Ok(made.into_iter().flatten().map(one).collect())
}

/// A message to try a notifier with.
pub fn sample(config: &Config, notifier: &NotifierName, clock: &Clock, resolved: bool) -> Message {
    let now = clock.now();
    let tells =
        if resolved { lictor_core::alert::Tells::Resolved } else { lictor_core::alert::Tells::Firing };
    let id = format!("test-{}", now.wall.as_unix_millis());
    view::sample(notifier, &id, &config.alerts.plan.cluster, now.wall, tells)
}
