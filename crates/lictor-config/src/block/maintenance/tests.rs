use insta::assert_snapshot;
use jiff::Timestamp;

use crate::model::Maintenance;
use crate::testing::{mistakes, parsed};

fn window(lines: &str) -> Maintenance {
    let text = format!("maintenance \"m\" {{\n{lines}\n}}");
    parsed(&text).config.alerts.maintenance[0].clone()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Start and end, in Berlin's time.
fn shown(found: Option<(Timestamp, Timestamp)>) -> String {
    let berlin = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let show = |instant: Timestamp| instant.to_zoned(berlin.clone()).strftime("%m-%d %H:%M%:z").to_string();
    found.map_or_else(|| "never".to_owned(), |(start, end)| format!("{} to {}", show(start), show(end)))
}

#[test]
fn a_window_is_once_or_again_and_again() {
    let once = window(
        "start = \"2026-12-01T22:00\"\nfor = \"2h\"\ntimezone = \"Europe/Berlin\"\ncomment = \"disks\"",
    );
    assert_eq!(
        once.next(at("2026-11-30T00:00:00Z")),
        Some((at("2026-12-01T21:00:00Z"), at("2026-12-01T23:00:00Z")))
    );
    assert_eq!(once.next(at("2026-12-01T21:00:00Z")), None);
    assert_eq!((once.comment.as_str(), once.begins.to_string().as_str()), ("disks", "2026-12-01T21:00:00Z"));
    let each = window("cron = \"0 2 * * 0\"\nfor = \"2h\"\ntimezone = \"Europe/Berlin\"\nnode = \"n\"");
    assert_eq!(shown(each.next(at("2026-11-21T00:00:00Z"))), "11-22 02:00+01:00 to 11-22 04:00+01:00");
    assert_eq!(each.when.to_string(), "node=n");
    assert_eq!(each.begins.to_string(), "0 2 * * 0 Europe/Berlin");
}

#[test]
fn a_start_may_have_an_offset_of_its_own() {
    let starts = |start: &str| {
        let start = format!("start = \"{start}\"\nfor = \"1h\"");
        window(&start).next(Timestamp::UNIX_EPOCH).unwrap().0.to_string()
    };
    assert_eq!(starts("2026-12-01T22:00"), "2026-12-01T22:00:00Z", "the tests' host lives in UTC");
    assert_eq!(starts("2026-12-01 22:00:30"), "2026-12-01T22:00:30Z");
    assert_eq!(starts("2026-12-01T22:00:00+05:30"), "2026-12-01T16:30:00Z");
    assert_eq!(starts("2026-12-01T22:00:00Z"), "2026-12-01T22:00:00Z");
}

/// On 29 March 2026 two o'clock is three in Berlin, on 25 October three is two again.
#[test]
fn windows_over_both_changes_of_the_clocks() {
    let each = |cron: &str, lasts: &str| {
        window(&format!("cron = \"{cron}\"\nfor = \"{lasts}\"\ntimezone = \"Europe/Berlin\""))
    };
    let on = |window: &Maintenance, day: &str| shown(window.next(at(&format!("{day}T12:00:00Z"))));
    let skipped = each("30 2 * * *", "2h");
    assert_eq!(on(&skipped, "2026-03-27"), "03-28 02:30+01:00 to 03-28 04:30+01:00");
    assert_eq!(on(&skipped, "2026-03-28"), "03-29 03:00+02:00 to 03-29 05:00+02:00");
    assert_eq!(on(&skipped, "2026-03-29"), "03-30 02:30+02:00 to 03-30 04:30+02:00");
    assert_eq!(
        on(&skipped, "2026-10-24"),
        "10-25 02:30+02:00 to 10-25 03:30+01:00",
        "two hours of real time"
    );
    assert_eq!(on(&skipped, "2026-10-25"), "10-26 02:30+01:00 to 10-26 04:30+01:00");
    let around = each("0 1 * * *", "3h");
    assert_eq!(on(&around, "2026-03-28"), "03-29 01:00+01:00 to 03-29 05:00+02:00");
    assert_eq!(on(&around, "2026-10-24"), "10-25 01:00+02:00 to 10-25 03:00+01:00");
    let once = window("start = \"2026-03-29T02:15\"\nfor = \"1h\"\ntimezone = \"Europe/Berlin\"");
    assert_eq!(on(&once, "2026-03-28"), "03-29 03:00+02:00 to 03-29 04:00+02:00");
    let once = window("start = \"2026-10-25T02:15\"\nfor = \"1h\"\ntimezone = \"Europe/Berlin\"");
    assert_eq!(on(&once, "2026-10-24"), "10-25 02:15+02:00 to 10-25 02:15+01:00");
}

#[test]
fn the_start_belongs_to_a_window_and_the_end_does_not() {
    let nightly = window("cron = \"0 2 * * *\"\nfor = \"2h\"\ntimezone = \"UTC\"");
    let active = |time: &str| nightly.active(at(&format!("2026-05-01T{time}Z"))).is_some();
    assert!(!active("01:59:59.999"));
    assert!(active("02:00:00") && active("03:59:59.999"));
    assert!(!active("04:00:00"));
    let once = window("start = \"2026-05-01T02:00Z\"\nfor = \"2h\"");
    let active = |time: &str| once.active(at(&format!("2026-05-01T{time}Z"))).is_some();
    assert!(!active("01:59:59.999") && active("02:00:00") && active("03:59:59.999") && !active("04:00:00"));
}

/// Whatever the instant, it lies in a window if and only if the walk over all windows says so.
#[test]
fn a_window_is_active_between_its_start_and_its_end() {
    let nightly = window("cron = \"30 2 * * *\"\nfor = \"90m\"\ntimezone = \"Europe/Berlin\"");
    let mut windows = Vec::new();
    let mut from = at("2026-03-26T00:00:00Z");
    while let Some(found) = nightly.next(from).filter(|(start, _)| *start < at("2026-04-02T00:00:00Z")) {
        windows.push(found);
        from = found.0;
    }
    assert_eq!(windows.len(), 7);
    let mut now = at("2026-03-26T12:00:00Z");
    while now < at("2026-04-01T12:00:00Z") {
        let inside = windows.iter().find(|(start, end)| *start <= now && now < *end);
        assert_eq!(nightly.active(now).as_ref(), inside, "{now}");
        now += jiff::SignedDuration::from_mins(7);
    }
}

#[test]
fn its_mistakes() {
    let text = r#"
maintenance "a b" {
  cron  = "0 2 * * 0"
  start = "2026-12-01T22:00"
}
maintenance "m" {
  for = "0s"
}
maintenance "m" {
  start = "tomorrow"
  for   = "1h"
}
maintenance "c" {
  cron     = "0 2 * *"
  for      = "1h"
  timezone = "Europe/Berln"
}
maintenance "d" {
  cron    = "*/15 * * * *"
  for     = "15m 1s"
  comment = 5
}
maintenance "e" {
  start    = "2026-12-01T22:00Z"
  timezone = "UTC"
  for      = "1h"
  nod      = "n"
}
maintenance {
  for = "1h"
}
"#;
    assert_snapshot!(mistakes(text), @r#"
    2:1: `for` of `maintenance "a b"` is missing (add `for = …`, a duration such as "10s") [LIC0203]
    2:13: a name has letters, digits, `_`, `-`, `.`, `:`, `@` and `/`, not ' ' [LIC0303]
    3:11: `start` and `cron` exclude each other (the other one: x.hcl:4:11) [LIC0207]
    6:1: `maintenance "m"` never begins (add `start` or `cron`) [LIC0203]
    7:9: `for` is between 1s and 3650d, not 0s [LIC0302]
    9:13: the maintenance window `m` is defined twice (first here: x.hcl:6:13) [LIC0204]
    10:11: `tomorrow` is not a date and time (write "2026-12-01T22:00", or with an offset "2026-12-01T22:00:00+01:00") [LIC0308]
    14:14: `0 2 * *` is not a time: it has 4 fields, not minute, hour, day, month and weekday (write minute, hour, day of the month, month and weekday, such as "0 2 * * sun") [LIC0308]
    16:14: there is no time zone `Europe/Berln` (did you mean `Europe/Berlin`?) [LIC0308]
    20:13: after 15m 1s the next time has begun already (nobody would ever be told: use a shorter time, or `ignore` in `alerts`) [LIC0207]
    21:13: `comment` is text in quotes, not a number [LIC0206]
    25:14: `start` and `timezone` exclude each other (the other one: x.hcl:24:14) [LIC0207]
    27:3: unknown attribute `nod` in `maintenance "e"` (did you mean `node`?) [LIC0201]
    29:1: `maintenance` has one label, not 0 (write maintenance "NAME" { … }) [LIC0205]
    "#);
}
