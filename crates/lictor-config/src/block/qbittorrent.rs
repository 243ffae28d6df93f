//! A qBittorrent: how it is reached, `watch "qbittorrent"` and `act "qbittorrent"`.

use std::time::Duration;

use lictor_core::{Repeatability, StepName};

use super::{control, judgement, tls, watch};
use crate::code::Code;
use crate::model::{Action, Qbittorrent, QbittorrentAction, QbittorrentApi, TorrentWork, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, LONGEST, Schema};
use crate::syntax::tree::Is;

/// How its WebUI is reached.
pub(super) const API: &[Attribute] = &[
    Attribute::new("url", Kind::Url, "Where the WebUI is, such as `http://127.0.0.1:8080`.").required(),
    Attribute::new("user", Kind::Text, "The user of the WebUI.").default("admin"),
    Attribute::new(
        "password",
        Kind::Secret,
        "The password. Without one nobody logs in: for a WebUI that lets this machine in as it is.",
    ),
    Attribute::new("api_key", Kind::Secret, "An API key (qBittorrent 5.2 and later) in place of a password."),
    Attribute::new(
        "host",
        Kind::Text,
        "What to send as `Host`: qBittorrent refuses a port that is not its own, as behind a mapped port.",
    )
    .default_words("the host of the URL without its port"),
];

/// The tracker that matters.
const TRACKER: Attribute = Attribute::new(
    "tracker",
    Kind::Text,
    "The tracker, by the end of its host name: `tracker.example` stands for `a.tracker.example` too.",
);

const TAG: Attribute =
    Attribute::new("tag", Kind::Text, "A tag put on what is stopped, and taken off again.");

pub(super) static WATCH: Schema = Schema {
    doc: "A qBittorrent: passing while its API answers, it listens, and the tracker works. What keeps us from \
          looking (a wrong password, a ban, a refused host name) is unknown, never critical. A tracker that \
          fails alone is a warning; when no tracker of any torrent works it is critical.",
    groups: &[
        API,
        tls::ATTRIBUTES,
        &[
            TRACKER,
            Attribute::new(
                "tracker_alone",
                Kind::Word(&["warning", "critical"]),
                "What it is when this tracker fails and nothing else is wrong.",
            )
            .default("warning"),
            Attribute::new(
                "strict",
                Kind::Flag,
                "Whether `firewalled` is not enough: it is then unknown, and critical after `firewalled_grace`.",
            )
            .default("false"),
            Attribute::new(
                "firewalled_grace",
                Kind::Duration(Duration::ZERO, LONGEST),
                "How long `firewalled` is only unknown when `strict`.",
            )
            .default("30m"),
            control::FORBIDDEN,
        ],
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("stable", "1 when it is reached, listens and leaks nothing, whatever its trackers say; otherwise 0."),
        ("connected", "1 when others have connected to it."),
        ("firewalled", "1 when it listens and nobody has connected yet."),
        ("listening", "1 when it is one of those two."),
        ("leak", "1 when others see a forbidden address."),
        ("torrents", "Torrents in all."),
        ("running", "Torrents that are not stopped."),
        ("tracker_torrents", "Running torrents of the tracker."),
        ("tracker_working", "Of those that were looked at: how many the tracker works for."),
        ("tracker_failing", "Of those that were looked at: how many it fails for."),
        ("trackers_failing", "Hosts of other trackers that fail too."),
        ("dht_nodes", "Nodes of the DHT."),
        ("connection", "`connected`, `firewalled` or `disconnected`."),
        ("version", "The version of its API."),
        ("total_seconds", "Time of the whole look."),
    ],
    example: r#"watch "qbittorrent" "torrents" {
  url           = "http://127.0.0.1:8080"
  password_file = "/etc/lictor/qbittorrent-password"
  tracker       = "tracker.example"
  every         = "30s"
  timeout       = "10s"
  fail_after    = 3
}"#,
};

pub(super) static ACT: Schema = Schema {
    doc: "Stops or starts torrents of a qBittorrent, or has its port opened anew. Which torrents are stopped is \
          recorded before they are, so that a later step of the same run starts exactly those: never one that \
          was stopped by hand, and none that is gone.",
    groups: &[
        API,
        tls::ATTRIBUTES,
        &[
            Attribute::new(
                "stop",
                Kind::Word(&["tracker", "all"]),
                "Stop the running torrents of `tracker`, or all.",
            ),
            TRACKER,
            Attribute::new(
                "unless_done",
                Kind::Step,
                "With `stop`: only if that step could not finish; what it had chosen is stopped too.",
            ),
            Attribute::new(
                "start",
                Kind::Texts,
                "Start what these steps had stopped, such as `[step.pause]`.",
            ),
            TAG,
            Attribute::new("reannounce", Kind::Flag, "With `start`: tell the trackers at once.")
                .default("false"),
            Attribute::new(
                "bounce_port",
                Kind::Flag,
                "Move the listening port to the next one and back, so that it is opened anew.",
            )
            .default("false"),
        ],
    ],
    blocks: &[],
    values: &[],
    example: r#"watch "heartbeat" "job" {
  within = "1h"
}

remedy "night" {
  on = check.job == "critical"

  step "pause" {
    act "qbittorrent" {
      url  = "http://127.0.0.1:8080"
      stop = "all"
    }
    attempts = 3
  }

  step "wait" {
    wait_for = check.job == "passing"
    hold     = "10m"
  }

  step "resume" {
    act "qbittorrent" {
      url   = "http://127.0.0.1:8080"
      start = [step.pause]
    }
    attempts   = 10
    on_failure = "park"
  }
}"#,
};

/// How it is reached.
pub(super) fn api(reader: &Reader<'_>) -> Option<QbittorrentApi> {
    let url = reader.http_url("url");
    let (password, api_key) = (reader.secret("password"), reader.secret("api_key"));
    if reader.exclude("password", "api_key") {
        return None;
    }
    let user = reader.text("user").unwrap_or_else(|| "admin".to_owned());
    let (host, tls) = (reader.text("host"), tls::decode(reader));
    let url = url?;
    control::warn_clear(reader, &url, password.is_some() || api_key.is_some());
    Some(QbittorrentApi { url, user, password, api_key, host, tls })
}

/// The end of a tracker's host name, as it is compared.
pub(super) fn tracker(reader: &Reader<'_>) -> Option<String> {
    let text = reader.text_at("tracker")?;
    let host = text.is.trim_matches('.').to_ascii_lowercase();
    if host.is_empty() || host.contains(['/', ':', '?', ' ', '@']) {
        let message = "`tracker` is the end of a host name, not a URL";
        let draft = Draft::new(Code::Address, text.span, message);
        reader.decoder.add(draft.help("write tracker.example; the announce URL holds your passkey"));
        return None;
    }
    Some(host)
}

pub(super) fn watch(reader: &Reader<'_>) -> Option<WatchKind> {
    let watch = Qbittorrent {
        tracker: tracker(reader),
        tracker_critical: reader.word("tracker_alone") == Some("critical"),
        strict: reader.flag("strict"),
        grace: reader.duration("firewalled_grace"),
        forbidden: control::forbidden(reader),
        api: api(reader)?,
    };
    Some(WatchKind::Qbittorrent(Box::new(watch)))
}

pub(super) fn act(reader: &Reader<'_>) -> Option<(Action, Repeatability)> {
    let api = api(reader);
    let works = ["stop", "start", "bounce_port"];
    let bounces = reader.flag("bounce_port");
    let set = works.iter().filter(|name| if **name == "bounce_port" { bounces } else { reader.is_set(name) });
    if set.count() != 1 {
        let draft = Draft::new(Code::Combination, reader.head, "it does one thing");
        reader.decoder.add(draft.help("write one of `stop`, `start` and `bounce_port`"));
        return None;
    }
    reader.needs("unless_done", "stop");
    reader.needs("reannounce", "start");
    let tag = reader.text("tag");
    let work = if bounces {
        TorrentWork::BouncePort
    } else if reader.is_set("start") {
        TorrentWork::Start { stopped_by: steps(reader)?, tag, reannounce: reader.flag("reannounce") }
    } else {
        let all = reader.word("stop")? == "all";
        let tracker = tracker(reader);
        if !all && !reader.is_set("tracker") {
            let draft =
                Draft::new(Code::Missing, reader.span("stop"), "`stop = \"tracker\"` needs `tracker`");
            reader.decoder.add(draft.help("name the tracker, or write stop = \"all\""));
            return None;
        }
        let unless_done = match reader.value("unless_done") {
            Some(value) => Some(step(reader.decoder.reference(value, "step")?, reader)?),
            None => None,
        };
        TorrentWork::Stop { tracker: if all { None } else { Some(tracker?) }, tag, unless_done }
    };
    let action = QbittorrentAction { api: api?, work };
    Some((Action::Qbittorrent(Box::new(action)), Repeatability::Idempotent))
}

/// The steps that `start` names.
fn steps(reader: &Reader<'_>) -> Option<Vec<StepName>> {
    let value = reader.value("start")?;
    let items = match &value.is {
        Is::List(items) => items.iter().collect(),
        _ => vec![value],
    };
    items.into_iter().map(|item| step(reader.decoder.reference(item, "step")?, reader)).collect()
}

fn step(name: crate::syntax::tree::Text, reader: &Reader<'_>) -> Option<StepName> {
    match StepName::new(&name.is) {
        Ok(step) => Some(step),
        Err(error) => {
            reader.decoder.add(Draft::new(Code::Name, name.span, error.to_string()));
            None
        }
    }
}
