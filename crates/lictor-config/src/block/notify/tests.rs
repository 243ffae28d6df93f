use insta::assert_snapshot;
use lictor_core::NotifierName;
use lictor_core::alert::Batching;

use crate::model::{MailSecurity, Notifier, NotifierKind};
use crate::testing::{mistakes, parsed, warnings};

fn notifier(text: &str) -> Notifier {
    let config = parsed(text).config;
    let found = config.notifiers.get(&NotifierName::new("n").unwrap()).unwrap();
    Notifier::clone(found)
}

#[test]
fn every_example_is_good() {
    for (kind, schema) in super::SCHEMAS.iter().filter(|(kind, _)| *kind != "hipchat") {
        let config = parsed(schema.example).config;
        assert_eq!(config.notifiers.len(), 1, "{kind}");
        assert_eq!(config.notifiers.values().next().unwrap().kind.as_str(), *kind);
    }
}

#[test]
fn services_that_keep_an_incident_of_each_are_told_of_one_at_a_time() {
    for (kind, service) in super::SERVICES {
        let keeps = ["pushover", "pagerduty", "opsgenie", "victorops", "ilert"].contains(kind);
        assert_eq!(service.batch == Batching::PerAlert, keeps, "{kind}");
    }
}

#[test]
fn how_it_is_used_can_be_set() {
    let found = notifier(
        "notify \"log\" \"n\" {\n path = \"/l\"\n batch = \"node\"\n parallel = 16\n rate = \"30 in 1m\"\n backoff = \"2s\"\n timeout = \"3s\"\n}",
    );
    assert_eq!((found.plan.batch, found.plan.parallel.get()), (Batching::PerNode, 16));
    assert_eq!(found.plan.rate.map(|(count, per)| (count.get(), per.as_secs())), Some((30, 60)));
    assert_eq!((found.plan.backoff.as_secs(), found.timeout.as_secs()), (2, 3));
    let usual = notifier("notify \"log\" \"n\" {\n path = \"/l\"\n}");
    assert_eq!(usual.plan, lictor_core::alert::NotifierPlan::default());
}

#[test]
fn the_port_of_a_mail_server_follows_from_its_security() {
    let email = |line: &str| {
        let text = format!(
            "notify \"email\" \"n\" {{\n host = \"localhost\"\n from = \"a@b\"\n to = [\"c@d\"]\n{line}\n}}"
        );
        match notifier(&text).kind {
            NotifierKind::Email(email) => (email.port, email.security),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(email(""), (587, MailSecurity::Starttls));
    assert_eq!(email("security = \"opportunistic\""), (587, MailSecurity::Opportunistic));
    assert_eq!(email("security = \"implicit\""), (465, MailSecurity::Implicit));
    assert_eq!(email("security = \"none\""), (25, MailSecurity::None));
    assert_eq!(email("port = 2525"), (2525, MailSecurity::Starttls));
}

#[test]
fn their_mistakes() {
    assert_snapshot!(mistakes(r#"
notify "slack" "a" {
}
notify "slack" "b" {
  webhook_file = "/w"
  token_file   = "/t"
}
notify "slack" "c" {
  token_file = "/t"
}
notify "email" "d" {
  host = "mail.example"
  from = "nobody"
  to   = []
  user = "x"
}
notify "log" "e" {
  path  = "alerts.log"
  title = "{{ tittle }}"
  text  = "a {% if resolved %} b"
}
notify "http" "f" {
  url  = "https://x.example"
  json = { a = "{{ items", b = ["{{ item.title | nosuch }}"] }
}
notify "http" "g" {
  url  = "https://x.example"
  json = { a = check.x }
}
notify "http" "h" {
  url  = "https://x.example"
  body = "a"
  form = { a = "{{ item" }
}
notify "influxdb" "i" {
  url    = "http://127.0.0.1:8086"
  bucket = "b"
}
notify "telegram" "e" {
  chat_id = 5
}
notify "pager" "j" {
}
notify "webex" "no name" {
}
notify "discord" "k" {
  webhook = "discord.example/x"
}
notify "alertmanager" "l" {
  urls    = ["ftp://x"]
  backoff = "1h"
}
"#), @r#"
    2:1: `webhook` or `token` of `notify "slack" "a"` is missing [LIC0203]
    4:1: `token` needs `channel` [LIC0207]
    6:18: `webhook` and `token` exclude each other (the other one: x.hcl:5:18) [LIC0207]
    8:1: `token` needs `channel` [LIC0207]
    13:10: `nobody` is not an address (write from = "Name <user@example.org>" or "user@example.org") [LIC0305]
    14:10: `to` is empty [LIC0203]
    15:10: `user` needs `password` [LIC0207]
    18:11: `path` must be an absolute path (begin it with `/`) [LIC0305]
    19:15: the template `title` has a mistake: a message has no `tittle` (what can stand in one: docs/notifiers.md) [LIC0309]
    20:31: the template `text` has a mistake: unexpected end of input, expected end of block (what can stand in one: docs/notifiers.md) [LIC0309]
    24:20: the template `json` has a mistake: unexpected end of input, expected end of variable block (what can stand in one: docs/notifiers.md) [LIC0309]
    28:16: `json` holds values and texts, not a reference [LIC0206]
    32:10: `form` and `body` exclude each other (the other one: x.hcl:33:10) [LIC0207]
    37:12: `bucket` needs `org` [LIC0207]
    37:12: `bucket` needs `token` [LIC0207]
    39:1: `token` of `notify "telegram" "e"` is missing (add `token = …`, text in quotes) [LIC0203]
    39:19: the name `e` is used twice (first here: x.hcl:17:14) [LIC0204]
    40:13: `chat_id` is text in quotes, not a number [LIC0206]
    42:8: unknown kind `pager` of `notify` (known here: `alertmanager`, `discord`, `email`, `exec`, `gotify`, `hipchat`, `http`, `ilert`, `influxdb`, `log`, `matrix`, `mattermost`, `ntfy`, `opsgenie`, `pagerduty`, `pushover`, `slack`, `sns`, `teams`, `telegram`, `victorops`) [LIC0208]
    44:8: unknown kind `webex` of `notify` (known here: `alertmanager`, `discord`, `email`, `exec`, `gotify`, `hipchat`, `http`, `ilert`, `influxdb`, `log`, `matrix`, `mattermost`, `ntfy`, `opsgenie`, `pagerduty`, `pushover`, `slack`, `sns`, `teams`, `telegram`, `victorops`) [LIC0208]
    44:16: a name has letters, digits, `_`, `-`, `.`, `:`, `@` and `/`, not ' ' [LIC0303]
    47:13: `webhook` is not an http or https URL (write https://…, and a password into an attribute of its own) [LIC0305]
    50:14: `urls` is not an http or https URL (write https://…, and a password into an attribute of its own) [LIC0305]
    51:13: `backoff` is longer than `backoff_max` [LIC0207]
    "#);
}

#[test]
fn a_service_that_is_no_more_is_told_with_what_to_use_instead() {
    assert_snapshot!(mistakes(r#"
notify "hipchat" "a" {
  room_id    = "1"
  auth_token = "hunter2"
}
notify "influxdb" "b" {
  version  = "0.8"
  host     = "db:8086"
  password = "hunter2"
}
notify "influxdb" "c" {
  series_name = "consul-alerts"
}
"#), @r#"
    2:8: this service no longer exists: HipChat was switched off (use `slack`, `mattermost`, or `http` for anything else) [LIC0209]
    7:3: this service no longer exists: InfluxDB 0.8 was the last to take this (name the `database` of a version 1 server or the `bucket` of a version 2 one, and the `measurement`) [LIC0209]
    12:3: this service no longer exists: InfluxDB 0.8 was the last to take this (name the `database` of a version 1 server or the `bucket` of a version 2 one, and the `measurement`) [LIC0209]
    "#);
}

#[test]
fn a_secret_in_clear_text_and_one_in_the_file_are_warned_of() {
    assert_snapshot!(warnings(r#"
watch "heartbeat" "h" {
  within = "1m"
}
notify "gotify" "a" {
  url   = "http://gotify.example"
  token = "hunter2"
}
route {
  to = ["a"]
}
"#), @r#"
    LIC0903

      ⚠ a secret travels to gotify.example in clear text
       ╭─[x.hcl:6:11]
     5 │ notify "gotify" "a" {
     6 │   url   = "http://gotify.example"
       ·           ───────────┬───────────
       ·                      ╰── here
     7 │   token = "*******"
       ╰────
      help: use https://
    LIC0901

      ⚠ `token` is written in the configuration
       ╭─[x.hcl:7:11]
     6 │   url   = "http://gotify.example"
     7 │   token = "*******"
       ·           ────┬────
       ·               ╰── here
     8 │ }
       ╰────
      help: put it into a file and write token_file = "/path"
    "#);
}
