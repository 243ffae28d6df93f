//! Tells in the words of the old program, by the request that it made.

use std::time::Duration;

use futures::future::BoxFuture;
use lictor_agent::Clock;
use lictor_agent::alert::Tell;
use lictor_agent::alert::notify::{Made, Notifiers, Post};
use lictor_compat::sentinella::{Watcher, span};
use lictor_config::Config;
use lictor_core::alert::{Item, Message, Tells, Verdict};
use lictor_core::{NotifierName, Status};
use url::Url;
use url::form_urlencoded::Serializer;

/// Telegram, asked as before: a form with the chat and the text.
pub(super) struct OldWords {
    ways: Notifiers,
    url: String,
    token: String,
    chat: String,
}

impl OldWords {
    pub(super) fn new(config: &Config, watcher: &Watcher) -> Self {
        let token = watcher.tg_token.expose().to_owned();
        let url = format!("{}/bot{token}/sendMessage", watcher.tg_api_url);
        Self { ways: Notifiers::new(config, Clock::fresh()), url, token, chat: watcher.tg_chat_id.clone() }
    }

    async fn tell(&self, notifier: &NotifierName, message: &Message) -> Verdict {
        let text = message.items.iter().map(words).collect::<Vec<_>>().join("\n");
        let url = match Url::parse(&self.url) {
            Ok(url) => url,
            Err(why) => {
                let why = format!("TG_API_URL is no URL: {why}");
                return Verdict::Refused { why, retry_after: None, for_good: false };
            }
        };
        let body = Serializer::new(String::new())
            .append_pair("chat_id", &self.chat)
            .append_pair("text", &text)
            .finish();
        let form = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        let post = Post { url, headers: [form].into(), body, unless: Some("ok") };
        let made = Made::Posts { posts: vec![post], secrets: vec![self.token.clone()] };
        match self.ways.send_made(notifier, message, made).await {
            // Nobody is there to send it anew when token or chat are right again.
            Verdict::Refused { why, retry_after, for_good: _ } => {
                Verdict::Refused { why, retry_after, for_good: false }
            }
            verdict @ (Verdict::Accepted | Verdict::Unclear { .. }) => verdict,
        }
    }
}

impl Tell for OldWords {
    fn send<'a>(&'a self, notifier: &'a NotifierName, message: &'a Message) -> BoxFuture<'a, Verdict> {
        Box::pin(self.tell(notifier, message))
    }
}

/// What is said: of a peer its own words, with how long it was down; of other things what they are.
fn words(item: &Item) -> String {
    let over = item.tells == Tells::Resolved;
    let mut words = if item.labels.contains_key("peer") && item.notes.is_empty() {
        item.output.clone()
    } else {
        let word = if over { "OK  " } else { "FAIL" };
        let why = if item.notes.is_empty() { &item.output } else { &item.notes };
        format!("{word}: {}: {why}", item.title)
    };
    // Of what another program told it is not known since when.
    let known = item.lasted.filter(|lasted| *lasted >= Duration::from_secs(1));
    if let Some(lasted) = known
        && item.before.is_some_and(|before| before != Status::Passing)
    {
        words.push_str(" — down for ");
        words.push_str(&span(lasted));
    }
    words
}
