//! Messages that somebody else has put into words: they leave by a notifier's own means.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::time::Duration;

use lictor_config::{Command, Notifier, NotifierKind, Service, Template};
use lictor_core::NotifierName;
use lictor_core::alert::{Message, Verdict};
use tokio::time::Instant;
use url::Url;

use super::mail::Mail;
use super::request::{Accepts, Request, Revealed};
use super::service::Clients;
use super::{Notifiers, file, service, smtp};

/// What was made of a message.
#[derive(Clone, Debug)]
pub enum Made {
    /// Requests in their order, for a service; the next one is sent when one was accepted.
    Posts {
        /// The requests.
        posts: Vec<Post>,
        /// What of them must not be shown.
        secrets: Vec<String>,
    },
    /// A mail.
    Letter {
        /// Its subject.
        subject: String,
        /// Its plain text.
        text: String,
        /// Its HTML.
        html: String,
    },
    /// What is appended to a log.
    Lines(String),
    /// Title and text, for a service whose requests stay as they are.
    Texts {
        /// The title.
        title: String,
        /// The text.
        text: String,
    },
}

/// A POST; a status from 200 to 299 accepts it, unless its JSON says otherwise.
#[derive(Clone, Debug)]
pub struct Post {
    /// Where it goes.
    pub url: Url,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// What is sent.
    pub body: String,
    /// The entry of the answer that is false when it was not accepted all the same.
    pub unless: Option<&'static str>,
}

impl Notifiers {
    /// Makes one attempt to tell what was made of a message.
    pub async fn send_made(&self, notifier: &NotifierName, message: &Message, made: Made) -> Verdict {
        let Some((notifier, clients)) = self.known.get(notifier) else { return super::missing(notifier) };
        match (&notifier.kind, made) {
            (NotifierKind::Service(service), Made::Posts { posts, secrets }) => {
                self.post(notifier, service, clients, posts, secrets).await
            }
            (NotifierKind::Service(_), Made::Texts { title, text }) => {
                let (title, text) = (Some(literal(&title)), Some(literal(&text)));
                let notifier = Notifier { title, text, ..Notifier::clone(notifier) };
                let NotifierKind::Service(service) = &notifier.kind else { return unfit(&notifier) };
                service::tell(&notifier, service, message, clients, self.clock.now().wall).await
            }
            (NotifierKind::Email(email), Made::Letter { subject, text, html }) => {
                let mail = Mail { subject, text, html, ..Mail::of(notifier, email, message) };
                match mail.encoded(email, message) {
                    Ok(mail) => smtp::hand_over(notifier, email, &mail).await,
                    Err(why) => Verdict::Refused { why, retry_after: None, for_good: true },
                }
            }
            (NotifierKind::Log(log), Made::Lines(lines)) => file::write(notifier, log, lines).await,
            _ => unfit(notifier),
        }
    }

    async fn post(
        &self,
        notifier: &Notifier,
        service: &Service,
        clients: &Clients,
        posts: Vec<Post>,
        secrets: Vec<String>,
    ) -> Verdict {
        let (deadline, now) = (Instant::now() + notifier.timeout, self.clock.now().wall);
        let mut revealed = Revealed::default();
        revealed.secrets = secrets;
        for Post { url, headers, body, unless } in posts {
            let accept = unless.map_or_else(|| Accepts::Status(vec![(200, 299)]), Accepts::Unless);
            let request = Request { method: "POST".to_owned(), url, headers, body, accept, signed: false };
            let sent = service::send(service, &request, clients, &revealed, deadline, notifier.timeout, now);
            let verdict = sent.await.verdict;
            if verdict != Verdict::Accepted {
                return verdict;
            }
        }
        Verdict::Accepted
    }
}

/// A template that gives this text.
fn literal(text: &str) -> Template {
    Template::trusted(&format!("{{{{ {} }}}}", serde_json::Value::from(text)))
}

fn unfit(notifier: &Notifier) -> Verdict {
    let why = format!("a notifier of kind `{}` cannot tell this", notifier.kind.as_str());
    Verdict::Refused { why, retry_after: None, for_good: true }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ran {
    /// How; `None` when its time was over.
    pub status: Option<ExitStatus>,
    /// The end of what it printed.
    pub said: String,
}

/// Runs a program without a shell that reads `input`, and waits for its end; after `limit` it is
/// ended.
///
/// # Errors
/// In words, when it cannot be started.
pub async fn run(command: &Command, input: Vec<u8>, limit: Duration) -> Result<Ran, String> {
    let told = crate::watch::exec::program::tell(command, input, limit).await?;
    Ok(Ran { status: told.status, said: told.said })
}
