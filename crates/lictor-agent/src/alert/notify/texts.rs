//! Title and text of a message, as long as the service takes.

use std::fmt::Write as _;

use lictor_config::{Notifier, Template, view};
use lictor_core::alert::Message;

use super::table::{Escape, Room};
use crate::text::one_line;

/// What people read of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) title: String,
    pub(super) text: String,
}

/// Title and text for a service that has so much room for them.
pub(super) fn texts(notifier: &Notifier, message: &Message, room: (Room, Room), escape: Escape) -> Texts {
    let map = |text: &str| escape.apply(text);
    let ours = (Template::trusted(view::TITLE), Template::trusted(view::TEXT));
    let title = notifier.title.as_ref().unwrap_or(&ours.0);
    let text = notifier.text.as_ref().unwrap_or(&ours.1);
    let whole = view::of_mapped(message, &map);
    // An alert that arrives in other words than wanted is better than none.
    let title = title.render(&whole).or_else(|_failed| ours.0.render(&whole)).unwrap_or_default();
    let bare = bare(message);
    let with = |count: usize| {
        let items: Vec<_> = message.items.iter().take(count).cloned().collect();
        let omitted = message.omitted + message.items.len().saturating_sub(count);
        let part = Message { items, omitted, ..bare.clone() };
        let view = view::of_mapped(&part, &map);
        let mut said = match text.render(&view) {
            Ok(said) => said,
            Err(error) => {
                let said = ours.1.render(&view).unwrap_or_default();
                format!("{said}\n(The template of the text failed: {error})")
            }
        };
        said.truncate(said.trim_end().len());
        if part.omitted > 0 {
            write!(said, "\n… and {} more", part.omitted).ok();
        }
        said
    };
    let title = room.0.cut(&one_line(&title, usize::MAX));
    Texts { title, text: fitted(message.items.len(), room.1, with) }
}

/// A message without its items, which are most of it.
pub(super) fn bare(message: &Message) -> Message {
    Message {
        id: message.id.clone(),
        notifier: message.notifier.clone(),
        occasion: message.occasion,
        cluster: message.cluster.clone(),
        items: Vec::new(),
        omitted: message.omitted,
        failing: message.failing,
        at: message.at,
        attempt: message.attempt,
    }
}

/// The text with as many items as there is room for, at least one, of which the end is cut off if
/// it has to be.
fn fitted(items: usize, room: Room, with: impl Fn(usize) -> String) -> String {
    let least = items.min(1);
    // Doubled until it is too much: of a flood only the beginning is ever written.
    let (mut fits, mut too_many) = (least, least);
    while room.holds(&with(too_many)) {
        fits = too_many;
        if fits == items {
            return with(items);
        }
        too_many = (too_many * 2).min(items);
    }
    while too_many > fits + 1 {
        let middle = fits.midpoint(too_many);
        if room.holds(&with(middle)) { fits = middle } else { too_many = middle }
    }
    let text = with(fits);
    if room.holds(&text) {
        return text;
    }
    // Even one is too long: its end goes, and what says how many more there are stays.
    match text.rsplit_once('\n').filter(|(_, more)| more.starts_with("… and ")) {
        Some((text, more)) => {
            let more = format!("\n{more}");
            room.less(&more).cut(text) + &more
        }
        None => room.cut(&text),
    }
}

impl Room {
    fn limit(self) -> usize {
        match self {
            Self::Bytes(most) | Self::Chars(most) | Self::Utf16(most) => most,
        }
    }

    fn of_char(self, c: char) -> usize {
        match self {
            Self::Bytes(_) => c.len_utf8(),
            Self::Chars(_) => 1,
            Self::Utf16(_) => c.len_utf16(),
        }
    }

    fn size(self, text: &str) -> usize {
        text.chars().map(|c| self.of_char(c)).sum()
    }

    /// Whether a text is short enough.
    pub(super) fn holds(self, text: &str) -> bool {
        self.size(text) <= self.limit()
    }

    /// What is left of it beside a text.
    fn less(self, text: &str) -> Self {
        let left = self.limit().saturating_sub(self.size(text));
        match self {
            Self::Bytes(_) => Self::Bytes(left),
            Self::Chars(_) => Self::Chars(left),
            Self::Utf16(_) => Self::Utf16(left),
        }
    }

    /// A text cut between characters so that it fits; `…` shows that there was more.
    pub(super) fn cut(self, text: &str) -> String {
        if self.holds(text) {
            return text.to_owned();
        }
        let most = self.limit().saturating_sub(self.of_char('…'));
        let mut used = 0;
        let mut kept = String::new();
        for c in text.chars() {
            used += self.of_char(c);
            if used > most {
                break;
            }
            kept.push(c);
        }
        kept + "…"
    }
}

impl Escape {
    /// A text that came from elsewhere, made harmless.
    pub(super) fn apply(self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Slack => text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
            // A blank of no width: it reads the same and mentions nobody.
            Self::Mentions => text.replace('@', "@\u{200b}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sampled::{message, notifier};
    use super::*;

    fn text(items: usize, room: Room) -> String {
        let mut message = message(items);
        message.items.iter_mut().for_each(|item| item.output = "grün ".repeat(20));
        texts(
            &notifier("notify \"log\" \"n\" {\n path = \"/l\"\n}"),
            &message,
            (Room::Chars(250), room),
            Escape::None,
        )
        .text
    }

    #[test]
    fn as_many_alerts_are_told_as_there_is_room_for_and_the_rest_is_counted() {
        for room in [Room::Bytes(1_000), Room::Chars(1_000), Room::Utf16(1_000)] {
            let text = text(50, room);
            assert!(room.holds(&text), "{text}");
            let told = text.matches("CRITICAL: ").count();
            assert!((2..50).contains(&told), "{text}");
            assert!(text.ends_with(&format!("… and {} more", 50 - told)), "{text}");
        }
    }

    #[test]
    fn one_alert_too_long_is_cut_between_characters() {
        for most in 20..60 {
            for room in [Room::Bytes(most), Room::Chars(most), Room::Utf16(most)] {
                let (one, three) = (text(1, room), text(3, room));
                assert!(room.holds(&one) && one.ends_with('…'), "{one}");
                assert!(room.holds(&three) && three.ends_with("…\n… and 2 more"), "{three}");
            }
        }
    }
}
