//! When something is: times of a calendar, in a time zone.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{self, TimeZone};
use lictor_core::RouteName;

use crate::code::Code;
use crate::model::{Calendar, instant};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind};
use crate::syntax::tree::Text;

pub(in crate::block) const CRON: Attribute = Attribute::new(
    "cron",
    Kind::Text,
    "When, as five fields: minute, hour, day of the month, month, weekday; `0 2 * * sun` is each Sunday at \
     two. A time that the clocks skip is when they have been put forward, one that comes twice is the first.",
);

pub(in crate::block) const TIMEZONE: Attribute =
    Attribute::new("timezone", Kind::Text, "The time zone, such as `Europe/Berlin`.")
        .default_words("that of the host");

/// The time zone that is set, or the host's. In place of one that does not exist stands any, so that the
/// rest is looked at too.
fn zone(reader: &Reader<'_>) -> TimeZone {
    if reader.value("timezone").is_none() {
        return reader.decoder.env.time_zone();
    }
    let Some(text) = reader.text_at("timezone") else { return TimeZone::UTC };
    if let Ok(zone) = TimeZone::get(&text.is) {
        return zone;
    }
    let draft = Draft::new(Code::Calendar, text.span, format!("there is no time zone `{}`", text.is));
    let draft = draft.help("write a name such as \"Europe/Berlin\" or \"UTC\"");
    let known: Vec<String> = tz::db().available().map(|name| name.to_string()).collect();
    let near = crate::nearest::nearest(&text.is, known.iter().map(String::as_str));
    reader.decoder.add(draft.help_if(near.map(|name| format!("did you mean `{name}`?"))));
    TimeZone::UTC
}

/// What `cron` and `timezone` say.
pub(in crate::block) fn cron(reader: &Reader<'_>) -> Option<Calendar> {
    let (text, zone) = (reader.text_at("cron"), zone(reader));
    let text = text?;
    match Calendar::new(&text.is, zone) {
        Ok(calendar) => Some(calendar),
        Err(why) => {
            let message = format!("`{}` is not a time: {why}", text.is);
            let help = "write minute, hour, day of the month, month and weekday, such as \"0 2 * * sun\"";
            reader.decoder.add(Draft::new(Code::Calendar, text.span, message).help(help));
            None
        }
    }
}

/// An instant: with an offset as it is, otherwise as the clocks of the time zone show it.
pub(in crate::block) fn moment(reader: &Reader<'_>, name: &str) -> Option<Timestamp> {
    let (text, zone) = (reader.text_at(name), zone(reader));
    let text = text?;
    if let Ok(found) = text.is.parse::<Timestamp>() {
        reader.exclude(name, "timezone");
        return Some(found);
    }
    let found = text.is.parse::<DateTime>().ok().and_then(|shown| instant(&zone, shown));
    if found.is_none() {
        let message = format!("`{}` is not a date and time", text.is);
        let help = "write \"2026-12-01T22:00\", or with an offset \"2026-12-01T22:00:00+01:00\"";
        reader.decoder.add(Draft::new(Code::Calendar, text.span, message).help(help));
    }
    found
}

/// Reports a label that is no name.
pub(in crate::block) fn name(reader: &Reader<'_>, label: &Text) {
    if let Err(error) = RouteName::new(&label.is) {
        reader.decoder.add(Draft::new(Code::Name, label.span, error.to_string()));
    }
}
