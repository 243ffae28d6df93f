//! `notify "log"`: a line for each alert at the end of a file.
//!
//! The file is opened anew for each message: it may have been moved away or cut meanwhile.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use lictor_config::{LogFile, Notifier, view};
use lictor_core::alert::{Message, Verdict};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::table::{Escape, Room};
use super::texts::{bare, texts};
use crate::remote::aside;
use crate::text::one_line;

/// Of an output, characters that a line of text shows.
const SHOWN: usize = 500;

/// Appends a message.
pub(super) async fn tell(notifier: &Notifier, log: &LogFile, message: &Message) -> Verdict {
    write(notifier, log, lines(notifier, log, message)).await
}

/// Appends lines.
pub(super) async fn write(notifier: &Notifier, log: &LogFile, lines: String) -> Verdict {
    let deadline = Instant::now() + notifier.timeout;
    let path = log.path.clone();
    let written = aside(move || append(&path, &lines));
    match timeout_at(deadline, written).await {
        Ok(Ok(())) => Verdict::Accepted,
        Ok(Err(why)) => Verdict::Refused { why, retry_after: None, for_good: false },
        Err(_late) => Verdict::Unclear {
            why: format!("`{}` could not be written in time", log.path.display()),
            retry_after: None,
        },
    }
}

fn append(path: &Path, lines: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot write to `{}`: {error}", path.display());
    // A pipe that nobody reads must not hold us up.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    let mut file =
        options.append(true).create(true).mode(0o640).custom_flags(flags).open(path).map_err(failed)?;
    file.write_all(lines.as_bytes()).map_err(failed)?;
    if file.metadata().is_ok_and(|found| found.is_file()) {
        file.sync_data().map_err(failed)?;
    }
    Ok(())
}

/// What is appended.
pub(super) fn lines(notifier: &Notifier, log: &LogFile, message: &Message) -> String {
    let mut lines = String::new();
    let bare = bare(message);
    let at = view::of(&bare);
    let at = at.get("at").and_then(Value::as_str).unwrap_or_default();
    for item in &message.items {
        let one = Message { items: vec![item.clone()], omitted: 0, ..bare.clone() };
        if log.json {
            let whole = view::of(&one);
            let document = json!({
                "at": at, "id": message.id, "occasion": message.occasion.as_str(), "cluster": message.cluster,
                "alert": whole.get("item"),
            });
            lines.push_str(&document.to_string());
        } else if notifier.text.is_some() {
            let text = texts(notifier, &one, (Room::Chars(250), Room::Bytes(16_000)), Escape::None).text;
            write!(lines, "{at} {}", one_line(&text, 4_000)).ok();
        } else {
            let title = texts(notifier, &one, (Room::Chars(500), Room::Bytes(16_000)), Escape::None).title;
            let incident = &item.incident;
            write!(lines, "{at} {title} ({}, incident {incident})", item.key).ok();
            if !item.output.trim().is_empty() {
                write!(lines, ": {}", one_line(&item.output, SHOWN)).ok();
            }
        }
        lines.push('\n');
    }
    if message.items.is_empty() {
        let title = texts(notifier, message, (Room::Chars(500), Room::Bytes(16_000)), Escape::None).title;
        if log.json {
            let document =
                json!({ "at": at, "id": message.id, "occasion": message.occasion.as_str(), "title": title });
            writeln!(lines, "{document}").ok();
        } else {
            writeln!(lines, "{at} {title}").ok();
        }
    }
    if message.omitted > 0 && !log.json {
        writeln!(lines, "{at} … and {} more", message.omitted).ok();
    }
    lines
}
