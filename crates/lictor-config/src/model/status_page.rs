//! What the status page shows to everybody.

use std::net::SocketAddr;

use jiff::Timestamp;
use lictor_core::CheckName;
use url::Url;

/// `status_page { … }`: what everybody may see, on a listener of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusPage {
    /// Where it listens (default 127.0.0.1:8520).
    pub address: SocketAddr,
    /// Its heading.
    pub title: String,
    /// What stands below it.
    pub description: Option<String>,
    /// Where people reach it, for the links of the feed.
    pub url: Option<Url>,
    /// What is shown, in this order.
    pub groups: Vec<StatusGroup>,
    /// What is told, in this order.
    pub announcements: Vec<Announcement>,
}

/// Checks that are shown as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusGroup {
    /// Its public name.
    pub name: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// Its checks, those of its parts among them.
    pub checks: Vec<CheckName>,
    /// What is shown of it by a public name.
    pub parts: Vec<StatusPart>,
}

impl StatusGroup {
    /// Its name in addresses; no two groups have the same.
    pub fn slug(&self) -> String {
        slug(&self.name)
    }
}

/// The letters and digits of a name in small, with `-` for what is between them.
pub(crate) fn slug(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_lowercase).collect();
    words.join("-")
}

/// Checks of a group that have a public name of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusPart {
    /// The public name.
    pub name: String,
    /// Its checks.
    pub checks: Vec<CheckName>,
}

/// Something that everybody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Its heading.
    pub title: String,
    /// What is told.
    pub text: String,
    /// From when on it is shown. `None`: at once.
    pub from: Option<Timestamp>,
    /// Until when. `None`: for as long as it is in the configuration.
    pub until: Option<Timestamp>,
}
