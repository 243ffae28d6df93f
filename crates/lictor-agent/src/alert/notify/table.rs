//! What is sent to each service: one table of templates.
//!
//! In them `url` is where the service is, `set` what the configuration says of it, `title` and
//! `text` what people read, cut to what the service takes; everything else is the view of the
//! message. Bodies are JSON that is built by value, see [`lictor_config::Shape`].

/// One service.
#[derive(Debug)]
pub(super) struct Row {
    /// The word for it in the configuration.
    pub(super) kind: &'static str,
    /// One set of requests for each alert in place of one for all.
    pub(super) each: bool,
    /// The longest title.
    pub(super) title: Room,
    /// The longest text.
    pub(super) text: Room,
    /// How what a check printed is made harmless in title and text.
    pub(super) escape: Escape,
    /// The requests, in order; all that apply must be accepted.
    pub(super) requests: &'static [Ask],
}

/// A request.
#[derive(Debug)]
pub(super) struct Ask {
    /// An expression: whether it applies. Empty: always.
    pub(super) when: &'static str,
    pub(super) method: &'static str,
    /// After the address of the service.
    pub(super) path: &'static str,
    /// An empty value leaves the header out.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// User and password of HTTP basic authentication, when both are set.
    pub(super) basic: bool,
    pub(super) body: Body,
    pub(super) accept: Accept,
    /// Whether it is signed as the services of AWS want it.
    pub(super) signed: bool,
}

/// A body.
#[derive(Debug)]
pub(super) enum Body {
    /// JSON with templates in it.
    Json(&'static str),
    /// The fields of a form. An empty value leaves the field out.
    Form(&'static [(&'static str, &'static str)]),
    /// The points of InfluxDB's line protocol.
    Points,
}

/// Which answers mean that it was accepted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Accept {
    /// A status from 200 to 299.
    Success,
    /// The same, and JSON in which this entry is true.
    Flag(&'static str),
    /// A status from 200 to 299; whether a refusal is for good is said by its code.
    Aws,
}

/// How long a text may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Room {
    Bytes(usize),
    Chars(usize),
    /// Units of UTF-16.
    Utf16(usize),
}

/// How a text that came from elsewhere is made harmless.
#[derive(Clone, Copy, Debug)]
pub(super) enum Escape {
    /// As it is.
    None,
    /// As Slack wants it; nobody is mentioned.
    Slack,
    /// Nobody is mentioned.
    Mentions,
}

const ROW: Row = Row {
    kind: "",
    each: false,
    title: Room::Chars(250),
    text: Room::Bytes(16_000),
    escape: Escape::None,
    requests: &[],
};

const ASK: Ask = Ask {
    when: "",
    method: "POST",
    path: "",
    headers: &[],
    basic: false,
    body: Body::Form(&[]),
    accept: Accept::Success,
    signed: false,
};

/// What the user of `notify "http"` describes is cut only to this.
pub(super) const OWN: Row = Row { kind: "http", text: Room::Bytes(256 * 1024), ..ROW };

const BEARER: (&str, &str) = ("authorization", "{% if set.token %}Bearer {{ set.token }}{% endif %}");

const SLACK: &str = r#"{
  "channel": "=set.channel", "username": "=set.username", "icon_emoji": "=set.icon_emoji", "icon_url": "=set.icon_url",
  "text": "{{ title }}", "unfurl_links": false,
  "attachments": [{
    "color": "{{ 'good' if resolved else 'warning' if status == 'warning' else 'danger' }}",
    "fallback": "{{ title }}", "text": "{{ text }}", "mrkdwn_in": ["text"]
  }]
}"#;

const MATTERMOST: &str = r#"{
  "channel_id": "=set.channel_id", "channel": "=set.channel", "username": "=set.username", "icon_url": "=set.icon_url",
  "message": "=('**' ~ title ~ '**\n' ~ text) if set.token else none",
  "text": "=none if set.token else '**' ~ title ~ '**\n' ~ text"
}"#;

const PAGERDUTY: &str = r#"{
  "routing_key": "{{ set.routing_key }}", "dedup_key": "{{ item.incident }}",
  "event_action": "{{ 'resolve' if item.resolved else 'trigger' }}",
  "client": "=set.client", "client_url": "=set.client_url",
  "payload": {
    "summary": "{{ title | start(1024) }}",
    "source": "{{ item.node or item.key }}",
    "severity": "{{ item.severity if item.severity in ['critical', 'warning'] else 'error' }}",
    "timestamp": "{{ item.since }}",
    "component": "=set.component or item.service or none", "group": "=set.group", "class": "=item.check or none",
    "custom_details": {
      "output": "{{ item.output }}", "notes": "{{ item.notes }}", "status": "{{ item.status }}", "key": "{{ item.key }}",
      "cluster": "{{ cluster }}", "labels": "=item.labels", "tags": "=item.tags", "text": "{{ text }}"
    }
  }
}"#;

const PAGERDUTY_1: &str = r#"{
  "service_key": "{{ set.service_key }}", "incident_key": "{{ item.incident }}",
  "event_type": "{{ 'resolve' if item.resolved else 'trigger' }}", "description": "{{ title | start(1024) }}",
  "client": "=none if item.resolved else set.client", "client_url": "=none if item.resolved else set.client_url",
  "details": {
    "output": "{{ item.output }}", "notes": "{{ item.notes }}", "status": "{{ item.status }}", "key": "{{ item.key }}",
    "cluster": "{{ cluster }}", "labels": "=item.labels"
  }
}"#;

const OPSGENIE: &str = r#"{
  "message": "{{ title | start(130) }}", "alias": "{{ item.incident | start(512) }}", "description": "{{ text | start(15000) }}",
  "entity": "{{ (set.entity or item.node or item.key) | start(512) }}", "source": "{{ ('lictor ' ~ cluster) | trim | start(100) }}",
  "priority": "{{ set.priority if item.severity == 'critical' else 'P3' }}",
  "tags": "=item.tags[:20]", "details": "=item.labels",
  "responders": [{"$each": "set.responders or []", "name": "{{ item }}", "type": "team"}]
}"#;

const VICTOROPS: &str = r#"{
  "message_type": "{{ 'RECOVERY' if item.resolved else 'CRITICAL' if item.severity == 'critical' else 'WARNING' }}",
  "entity_id": "{{ item.incident }}", "entity_display_name": "{{ item.title }}", "state_message": "{{ text }}",
  "state_start_time": "=item.since_unix", "timestamp": "=at_unix", "monitoring_tool": "lictor", "host_name": "{{ item.node }}",
  "service": "{{ item.service }}", "check": "{{ item.check }}", "cluster": "{{ cluster }}"
}"#;

const ALERTS: &str = r#"[
  {
    "$each": "items",
    "labels": "=item.alert_labels", "startsAt": "{{ item.opened }}", "endsAt": "{{ at if item.resolved else until }}",
    "annotations": {"summary": "{{ item.title }} is {{ item.status }}", "description": "{{ item.output }}", "notes": "{{ item.notes }}"},
    "generatorURL": "=set.generator_url"
  },
  {
    "$each": "items | selectattr('changed')",
    "labels": "=item.alert_labels_before", "startsAt": "{{ item.opened }}", "endsAt": "{{ at }}",
    "annotations": {"summary": "{{ item.title }} is {{ item.status }}"}
  }
]"#;

/// All of them.
pub(super) const ROWS: &[Row] = &[
    Row {
        kind: "slack",
        text: Room::Chars(4_000),
        escape: Escape::Slack,
        requests: &[
            Ask { when: "not set.token", body: Body::Json(SLACK), ..ASK },
            Ask {
                when: "set.token",
                path: "/chat.postMessage",
                headers: &[BEARER],
                body: Body::Json(SLACK),
                accept: Accept::Flag("ok"),
                ..ASK
            },
        ],
        ..ROW
    },
    Row {
        kind: "mattermost",
        text: Room::Chars(16_000),
        escape: Escape::Mentions,
        requests: &[
            Ask { when: "not set.token", body: Body::Json(MATTERMOST), ..ASK },
            Ask {
                when: "set.token",
                path: "/api/v4/posts",
                headers: &[BEARER],
                body: Body::Json(MATTERMOST),
                ..ASK
            },
        ],
        ..ROW
    },
    Row {
        kind: "telegram",
        // Title, line break and text together have 4096.
        title: Room::Utf16(200),
        text: Room::Utf16(3_895),
        requests: &[Ask {
            path: "/bot{{ set.token }}/sendMessage",
            body: Body::Json(
                r#"{
  "chat_id": "{{ set.chat_id }}", "text": "{{ title }}\n{{ text }}", "message_thread_id": "=set.thread_id",
  "disable_notification": "=set.silent", "link_preview_options": {"is_disabled": true}
}"#,
            ),
            accept: Accept::Flag("ok"),
            ..ASK
        }],
        ..ROW
    },
    Row {
        kind: "discord",
        // With line break and asterisks 2000.
        title: Room::Utf16(200),
        text: Room::Utf16(1_795),
        requests: &[Ask {
            body: Body::Json(
                r#"{
  "content": "**{{ title }}**\n{{ text }}", "username": "=set.username", "avatar_url": "=set.icon_url",
  "allowed_mentions": {"parse": []}
}"#,
            ),
            ..ASK
        }],
        ..ROW
    },
    Row {
        kind: "teams",
        // A card has 28 KB in all.
        text: Room::Bytes(16_000),
        requests: &[Ask {
            body: Body::Json(
                r#"{
  "type": "message",
  "attachments": [{
    "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null,
    "content": {
      "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
      "body": [
        {
          "type": "TextBlock", "text": "{{ title }}", "wrap": true, "weight": "Bolder", "size": "Medium",
          "color": "{{ 'Good' if resolved else 'Warning' if status == 'warning' else 'Attention' }}"
        },
        {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "{{ text }}"}]}
      ]
    }
  }]
}"#,
            ),
            ..ASK
        }],
        ..ROW
    },
    Row {
        kind: "matrix",
        // An event has 64 KiB in all.
        text: Room::Bytes(32_000),
        requests: &[Ask {
            method: "PUT",
            path: "/_matrix/client/v3/rooms/{{ set.room | segment }}/send/m.room.message/{{ id | segment }}",
            headers: &[BEARER],
            body: Body::Json(
                r#"{"msgtype": "{{ 'm.notice' if set.notice else 'm.text' }}", "body": "{{ title }}\n{{ text }}"}"#,
            ),
            ..ASK
        }],
        ..ROW
    },
    Row {
        kind: "ntfy",
        // What is longer becomes an attachment.
        text: Room::Bytes(4_000),
        requests: &[Ask {
            headers: &[BEARER],
            basic: true,
            body: Body::Json(
                r#"{
  "topic": "{{ set.topic }}", "title": "{{ title }}", "message": "{{ text or title }}", "click": "=set.click",
  "priority": "=3 if resolved else set.priority if status == 'critical' else [set.priority - 1, 1] | max",
  "tags": ["{{ 'white_check_mark' if resolved else 'warning' if status == 'warning' else 'rotating_light' }}"]
}"#,
            ),
            ..ASK
        }],
        ..ROW
    },
    Row {
        kind: "gotify",
        requests: &[Ask {
            path: "/message",
            headers: &[("x-gotify-key", "{{ set.token }}")],
            body: Body::Json(
                r#"{
  "title": "{{ title }}", "message": "{{ text or title }}",
  "priority": "=4 if resolved else set.priority if status == 'critical' else [set.priority - 1, 0] | max"
}"#,
            ),
            ..ASK
        }],
        ..ROW
    },
    Row {
        kind: "pushover",
        each: true,
        title: Room::Chars(250),
        text: Room::Chars(1_024),
        requests: &[
            Ask {
                when: "set.emergency and item.resolved",
                path: "/1/receipts/cancel_by_tag/{{ item.incident | segment }}.json",
                body: Body::Form(&[("token", "{{ set.token }}")]),
                ..ASK
            },
            Ask {
                path: "/1/messages.json",
                body: Body::Json(
                    r#"{
  "token": "{{ set.token }}", "user": "{{ set.user_key }}", "title": "{{ title }}", "message": "{{ text or title }}",
  "device": "=set.device", "sound": "=set.sound", "timestamp": "=item.since_unix",
  "priority": "=0 if item.resolved else 0 if item.severity != 'critical' else 2 if set.emergency else 1",
  "retry": "=60 if set.emergency and not item.resolved and item.severity == 'critical' else none",
  "expire": "=10800 if set.emergency and not item.resolved and item.severity == 'critical' else none",
  "tags": "=item.incident if set.emergency and not item.resolved else none"
}"#,
                ),
                ..ASK
            },
        ],
        ..ROW
    },
    Row {
        kind: "pagerduty",
        each: true,
        title: Room::Chars(1_024),
        // An event has 512 KB in all.
        text: Room::Bytes(64_000),
        requests: &[
            Ask { when: "set.routing_key", path: "/v2/enqueue", body: Body::Json(PAGERDUTY), ..ASK },
            Ask {
                when: "set.service_key",
                path: "/generic/2010-04-15/create_event.json",
                body: Body::Json(PAGERDUTY_1),
                ..ASK
            },
        ],
        ..ROW
    },
    Row {
        kind: "opsgenie",
        each: true,
        title: Room::Chars(130),
        text: Room::Chars(15_000),
        requests: &[
            Ask {
                when: "not item.resolved",
                path: "/v2/alerts",
                headers: &[("authorization", "GenieKey {{ set.api_key }}")],
                body: Body::Json(OPSGENIE),
                ..ASK
            },
            Ask {
                when: "item.resolved",
                path: "/v2/alerts/{{ item.incident | segment }}/close?identifierType=alias",
                headers: &[("authorization", "GenieKey {{ set.api_key }}")],
                body: Body::Json(
                    r#"{"source": "{{ ('lictor ' ~ cluster) | trim | start(100) }}", "note": "{{ text | start(15000) }}"}"#,
                ),
                ..ASK
            },
        ],
        ..ROW
    },
    Row {
        kind: "victorops",
        each: true,
        text: Room::Bytes(20_000),
        requests: &[Ask {
            path: "/{{ set.api_key | segment }}/{{ set.routing_key | segment }}",
            body: Body::Json(VICTOROPS),
            ..ASK
        }],
        ..ROW
    },
    Row {
        kind: "ilert",
        each: true,
        requests: &[Ask {
            path: "/events",
            body: Body::Json(
                r#"{
  "apiKey": "{{ set.api_key }}", "alertKey": "{{ item.incident }}", "eventType": "{{ 'RESOLVE' if item.resolved else 'ALERT' }}",
  "summary": "{{ title }}", "details": "{{ text }}", "priority": "{{ 'HIGH' if item.severity == 'critical' else 'LOW' }}",
  "customDetails": {"key": "{{ item.key }}", "cluster": "{{ cluster }}", "labels": "=item.labels"}
}"#,
            ),
            ..ASK
        }],
        ..ROW
    },
    Row {
        kind: "influxdb",
        requests: &[
            Ask {
                when: "set.database",
                path: "/write?precision=ms&db={{ set.database | segment }}{% if set.retention_policy %}&rp={{ set.retention_policy | segment }}{% endif %}",
                basic: true,
                body: Body::Points,
                ..ASK
            },
            Ask {
                when: "set.bucket",
                path: "/api/v2/write?precision=ms&org={{ set.org | segment }}&bucket={{ set.bucket | segment }}",
                headers: &[("authorization", "Token {{ set.token }}")],
                body: Body::Points,
                ..ASK
            },
        ],
        ..ROW
    },
    Row {
        kind: "sns",
        // One unit of what is charged; 256 KiB are allowed.
        text: Room::Bytes(64_000),
        requests: &[Ask {
            body: Body::Form(&[
                ("Action", "Publish"),
                ("Version", "2010-03-31"),
                ("TopicArn", "{{ set.topic }}"),
                ("Subject", "{{ title | ascii(99) }}"),
                ("Message", "{{ text or title }}"),
                ("MessageGroupId", "{% if set.topic[-5:] == '.fifo' %}lictor{% endif %}"),
                ("MessageDeduplicationId", "{% if set.topic[-5:] == '.fifo' %}{{ id }}{% endif %}"),
            ]),
            accept: Accept::Aws,
            signed: true,
            ..ASK
        }],
        ..ROW
    },
    Row {
        kind: "alertmanager",
        requests: &[Ask {
            path: "/api/v2/alerts",
            headers: &[BEARER],
            basic: true,
            body: Body::Json(ALERTS),
            ..ASK
        }],
        ..ROW
    },
];

/// The row of a service.
pub(super) fn row(kind: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.kind == kind)
}
