//! The services that are told by HTTP: what each can be told of itself. What is sent to them is in
//! the agent's table.

use lictor_core::alert::Batching;

use super::common::{COMMON, HTTP};
use crate::schema::{Attribute, Kind, Schema};

/// One service.
#[derive(Debug)]
pub(super) struct Kindred {
    pub(super) schema: &'static Schema,
    /// What one message holds unless it is set.
    pub(super) batch: Batching,
    /// Where it is unless it is set.
    pub(super) url: &'static str,
    /// Exactly one of each of these groups must be set.
    pub(super) one_of: &'static [&'static [&'static str]],
    /// The second must be set where the first is.
    pub(super) needs: &'static [(&'static str, &'static str)],
}

const SCHEMA: Schema = Schema { doc: "", groups: &[], blocks: &[], values: &[], example: "" };

const PLAIN: Kindred =
    Kindred { schema: &SCHEMA, batch: Batching::Together, url: "", one_of: &[], needs: &[] };

const fn text(name: &'static str, doc: &'static str) -> Attribute {
    Attribute::new(name, Kind::Text, doc)
}

const fn secret(name: &'static str, doc: &'static str) -> Attribute {
    Attribute::new(name, Kind::Secret, doc)
}

const fn url(doc: &'static str) -> Attribute {
    Attribute::new("url", Kind::Url, doc)
}

const WEBHOOK: Attribute = secret("webhook", "The address of the webhook. Who knows it may write there.");

const PRIORITY: &str =
    "How urgent what is critical is; the rest is one lower, and what is over is the default.";

/// All of them, by their names.
pub(super) const SERVICES: &[(&str, Kindred)] = &[
    ("slack", Kindred {
        schema: &Schema {
            doc: "Slack, by an incoming webhook, or by a bot's `token` and a `channel`.",
            groups: &[&[
                WEBHOOK,
                secret("token", "The token of a bot, in place of a webhook."),
                text("channel", "The channel; with a webhook only where that lets it be chosen."),
                text("username", "Under which name it is written."),
                text("icon_emoji", "The emoji beside it, such as `:bell:`."),
                text("icon_url", "The picture beside it."),
                url("Where the API is, for a bot.").default_words("`https://slack.com/api`"),
            ], COMMON, HTTP],
            example: "notify \"slack\" \"ops\" {\n  webhook_file = \"/etc/lictor/slack-webhook\"\n}",
            ..SCHEMA
        },
        url: "https://slack.com/api",
        one_of: &[&["webhook", "token"]],
        needs: &[("token", "channel")],
        ..PLAIN
    }),
    ("mattermost", Kindred {
        schema: &Schema {
            doc: "Mattermost, by an incoming webhook, or by a bot's `token` and the id of a channel (API v4).",
            groups: &[&[
                WEBHOOK,
                secret("token", "The token of a bot, in place of a webhook."),
                text("channel_id", "The id of the channel, for a bot."),
                text("channel", "The channel, where the webhook lets it be chosen."),
                text("username", "Under which name it is written, by a webhook."),
                text("icon_url", "The picture beside it, by a webhook."),
                url("Where the server is, for a bot."),
            ], COMMON, HTTP],
            example: "notify \"mattermost\" \"ops\" {\n  url        = \"https://chat.example\"\n  token_file = \"/etc/lictor/mattermost-token\"\n  channel_id = \"3q5x7yuo8pgu8k6x3hn1o5mpjc\"\n}",
            ..SCHEMA
        },
        one_of: &[&["webhook", "token"]],
        needs: &[("token", "channel_id"), ("token", "url")],
        ..PLAIN
    }),
    ("telegram", Kindred {
        schema: &Schema {
            doc: "Telegram, by a bot.",
            groups: &[&[
                secret("token", "The token of the bot.").required(),
                text("chat_id", "The chat: a number, or `@name` of a channel.").required(),
                Attribute::new("thread_id", Kind::Whole(0, u32::MAX as u64), "The topic within a forum."),
                Attribute::new("silent", Kind::Flag, "Make no sound.").default("false"),
                url("Where the Bot API is.").default_words("`https://api.telegram.org`"),
            ], COMMON, HTTP],
            example: "notify \"telegram\" \"ops\" {\n  token_file = \"/etc/lictor/telegram-token\"\n  chat_id    = \"-1001234567890\"\n}",
            ..SCHEMA
        },
        url: "https://api.telegram.org",
        ..PLAIN
    }),
    ("discord", Kindred {
        schema: &Schema {
            doc: "Discord, by a webhook. Nobody is mentioned, whatever a check prints.",
            groups: &[&[
                WEBHOOK.required(),
                text("username", "Under which name it is written."),
                text("icon_url", "The picture beside it."),
            ], COMMON, HTTP],
            example: "notify \"discord\" \"ops\" {\n  webhook_file = \"/etc/lictor/discord-webhook\"\n}",
            ..SCHEMA
        },
        ..PLAIN
    }),
    ("teams", Kindred {
        schema: &Schema {
            doc: "Microsoft Teams, by the webhook of a workflow (\"Post to a channel when a webhook request is \
                  received\"), as an adaptive card.",
            groups: &[&[WEBHOOK.required()], COMMON, HTTP],
            example: "notify \"teams\" \"ops\" {\n  webhook_file = \"/etc/lictor/teams-webhook\"\n}",
            ..SCHEMA
        },
        ..PLAIN
    }),
    ("matrix", Kindred {
        schema: &Schema {
            doc: "A room of Matrix. A message that is sent twice is shown once.",
            groups: &[&[
                url("The home server.").required(),
                secret("token", "The access token of the user that writes.").required(),
                text("room", "The id of the room, such as `!abc:example.org`; the user must be in it.").required(),
                Attribute::new("notice", Kind::Flag, "Write it as a notice, which makes no sound.").default("false"),
            ], COMMON, HTTP],
            example: "notify \"matrix\" \"ops\" {\n  url        = \"https://matrix.example.org\"\n  token_file = \"/etc/lictor/matrix-token\"\n  room       = \"!abc:example.org\"\n}",
            ..SCHEMA
        },
        ..PLAIN
    }),
    ("ntfy", Kindred {
        schema: &Schema {
            doc: "ntfy, its public server or one's own.",
            groups: &[&[
                text("topic", "The topic. On the public server everyone who knows it can read along.").required(),
                secret("token", "An access token."),
                text("user", "The user, in place of a token."),
                secret("password", "Their password."),
                Attribute::new("priority", Kind::Whole(1, 5), PRIORITY).default("5"),
                text("click", "The address that opens when the message is touched."),
                url("The server.").default_words("`https://ntfy.sh`"),
            ], COMMON, HTTP],
            example: "notify \"ntfy\" \"phone\" {\n  url        = \"https://ntfy.example\"\n  topic      = \"lictor\"\n  token_file = \"/etc/lictor/ntfy-token\"\n}",
            ..SCHEMA
        },
        url: "https://ntfy.sh",
        needs: &[("user", "password"), ("password", "user")],
        ..PLAIN
    }),
    ("gotify", Kindred {
        schema: &Schema {
            doc: "Gotify.",
            groups: &[&[
                url("The server.").required(),
                secret("token", "The token of the application.").required(),
                Attribute::new("priority", Kind::Whole(0, 10), PRIORITY).default("8"),
            ], COMMON, HTTP],
            example: "notify \"gotify\" \"phone\" {\n  url        = \"https://gotify.example\"\n  token_file = \"/etc/lictor/gotify-token\"\n}",
            ..SCHEMA
        },
        ..PLAIN
    }),
    ("pushover", Kindred {
        schema: &Schema {
            doc: "Pushover. With `emergency`, what is critical is repeated until somebody confirms it or it is over.",
            groups: &[&[
                secret("token", "The token of the application.").required(),
                secret("user_key", "The key of the user or group.").required(),
                text("device", "Only this device."),
                text("sound", "The sound."),
                Attribute::new("emergency", Kind::Flag, "Repeat what is critical until it is confirmed.").default("false"),
                url("Where the API is.").default_words("`https://api.pushover.net`"),
            ], COMMON, HTTP],
            example: "notify \"pushover\" \"phone\" {\n  token_file    = \"/etc/lictor/pushover-token\"\n  user_key_file = \"/etc/lictor/pushover-user\"\n  emergency     = true\n}",
            ..SCHEMA
        },
        batch: Batching::PerAlert,
        url: "https://api.pushover.net",
        ..PLAIN
    }),
    ("pagerduty", Kindred {
        schema: &Schema {
            doc: "PagerDuty: Events API v2 with a `routing_key`, v1 with a `service_key`. Each alert is one incident, \
                  which is resolved when it is over.",
            groups: &[&[
                secret("routing_key", "The integration key of Events API v2."),
                secret("service_key", "The key of a generic integration of Events API v1."),
                text("client", "What the event is said to come from.").default("Lictor"),
                text("client_url", "An address that leads there."),
                text("component", "What part it concerns."),
                text("group", "To which group it belongs."),
                url("Where the API is; `https://events.eu.pagerduty.com` for Europe.")
                    .default_words("`https://events.pagerduty.com`"),
            ], COMMON, HTTP],
            example: "notify \"pagerduty\" \"oncall\" {\n  routing_key_file = \"/etc/lictor/pagerduty-key\"\n}",
            ..SCHEMA
        },
        batch: Batching::PerAlert,
        url: "https://events.pagerduty.com",
        one_of: &[&["routing_key", "service_key"]],
        ..PLAIN
    }),
    ("opsgenie", Kindred {
        schema: &Schema {
            doc: "Opsgenie (Alert API v2), or the alerts of Jira Service Management that take its keys. Each alert \
                  has an alias of its own, by which it is closed when it is over.",
            groups: &[&[
                secret("api_key", "The key of an API integration.").required(),
                text("entity", "What it concerns.").default_words("the node"),
                Attribute::new("responders", Kind::Texts, "Teams that are told."),
                Attribute::new("priority", Kind::Word(&["P1", "P2", "P3", "P4", "P5"]), "The priority of what is critical.")
                    .default("P1"),
                url("Where the API is; `https://api.eu.opsgenie.com` for Europe.")
                    .default_words("`https://api.opsgenie.com`"),
            ], COMMON, HTTP],
            example: "notify \"opsgenie\" \"oncall\" {\n  url          = \"https://api.eu.opsgenie.com\"\n  api_key_file = \"/etc/lictor/opsgenie-key\"\n}",
            ..SCHEMA
        },
        batch: Batching::PerAlert,
        url: "https://api.opsgenie.com",
        ..PLAIN
    }),
    ("victorops", Kindred {
        schema: &Schema {
            doc: "Splunk On-Call (VictorOps), by its REST integration.",
            groups: &[&[
                secret("api_key", "The key of the REST integration.").required(),
                text("routing_key", "The routing key.").required(),
                url("Where the integration is.")
                    .default_words("`https://alert.victorops.com/integrations/generic/20131114/alert`"),
            ], COMMON, HTTP],
            example: "notify \"victorops\" \"oncall\" {\n  api_key_file = \"/etc/lictor/victorops-key\"\n  routing_key  = \"database\"\n}",
            ..SCHEMA
        },
        batch: Batching::PerAlert,
        url: "https://alert.victorops.com/integrations/generic/20131114/alert",
        ..PLAIN
    }),
    ("ilert", Kindred {
        schema: &Schema {
            doc: "iLert, by an API alert source.",
            groups: &[&[
                secret("api_key", "The key of the alert source.").required(),
                url("Where the API is.").default_words("`https://api.ilert.com/api`"),
            ], COMMON, HTTP],
            example: "notify \"ilert\" \"oncall\" {\n  api_key_file = \"/etc/lictor/ilert-key\"\n}",
            ..SCHEMA
        },
        batch: Batching::PerAlert,
        url: "https://api.ilert.com/api",
        ..PLAIN
    }),
    ("influxdb", Kindred {
        schema: &Schema {
            doc: "InfluxDB: one point for each alert of a message. `database` means version 1, `bucket` version 2.",
            groups: &[&[
                url("The server.").required(),
                text("database", "The database (version 1)."),
                text("retention_policy", "The retention policy (version 1)."),
                text("user", "The user (version 1)."),
                secret("password", "Their password (version 1)."),
                text("bucket", "The bucket (version 2)."),
                text("org", "The organization (version 2)."),
                secret("token", "The token (version 2)."),
                text("measurement", "The measurement.").default("lictor"),
            ], COMMON, HTTP],
            example: "notify \"influxdb\" \"history\" {\n  url      = \"http://127.0.0.1:8086\"\n  database = \"alerts\"\n}",
            ..SCHEMA
        },
        one_of: &[&["database", "bucket"]],
        needs: &[
            ("bucket", "org"), ("bucket", "token"), ("user", "password"), ("password", "user"),
            ("retention_policy", "database"), ("user", "database"), ("org", "bucket"), ("token", "bucket"),
        ],
        ..PLAIN
    }),
    ("sns", Kindred {
        schema: &Schema {
            doc: "A topic of Amazon SNS. Without `access_key` and `credentials_file` the credentials are those of the \
                  environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`), or else of the file that \
                  `AWS_SHARED_CREDENTIALS_FILE` names, `~/.aws/credentials` unless it is set. What they may do is \
                  `sns:Publish` on the topic.",
            groups: &[&[
                text("topic", "The ARN of the topic.").required(),
                secret("access_key", "The id of the access key."),
                secret("secret_key", "The secret access key."),
                secret("session_token", "The token of temporary credentials."),
                Attribute::new("credentials_file", Kind::Path, "A credentials file as the programs of AWS have it."),
                text("profile", "Which profile of a credentials file.")
                    .default_words("`AWS_PROFILE` of the environment, or `default`"),
                text("region", "The region.").default_words("that of the topic"),
                url("Where SNS is.").default_words("`https://sns.REGION.amazonaws.com`"),
            ], COMMON, HTTP],
            example: "notify \"sns\" \"ops\" {\n  topic           = \"arn:aws:sns:eu-central-1:123456789012:ops\"\n  access_key_file = \"/etc/lictor/aws-key\"\n  secret_key_file = \"/etc/lictor/aws-secret\"\n}",
            ..SCHEMA
        },
        url: "https://sns.amazonaws.com",
        needs: &[("access_key", "secret_key"), ("secret_key", "access_key"), ("session_token", "access_key")],
        ..PLAIN
    }),
    ("alertmanager", Kindred {
        schema: &Schema {
            doc: "Alertmanagers of Prometheus (API v2): all of a cluster are told, and all must take it.",
            groups: &[&[
                Attribute::new("urls", Kind::Texts, "Where each of them is, without `/api/v2/alerts`.").required(),
                text("user", "The user of HTTP basic authentication."),
                secret("password", "Their password."),
                secret("token", "A bearer token."),
                Attribute::new(
                    "lasts",
                    Kind::Duration(std::time::Duration::from_secs(60), crate::schema::LONGEST),
                    "An alert of which nothing more is said counts as over after so long. Longer than `remind_every` of \
                     the routes that lead here.",
                )
                .default("30d"),
                text("generator_url", "An address that leads to the cause."),
            ], COMMON, HTTP],
            example: "notify \"alertmanager\" \"prometheus\" {\n  urls = [\"http://am1.example:9093\", \"http://am2.example:9093\"]\n}",
            ..SCHEMA
        },
        needs: &[("user", "password"), ("password", "user")],
        ..PLAIN
    }),
];
