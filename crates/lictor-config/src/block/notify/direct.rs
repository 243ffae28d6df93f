//! `notify "email"`, `"log"` and `"exec"`.

use std::time::Duration;

use lictor_core::alert::Batching;

use super::super::{tls, watch_exec};
use super::common::{COMMON, compiled, plan, template, timeout};
use crate::code::Code;
use crate::model::{Email, LogFile, MailSecurity, Notifier, NotifierKind, NotifyProgram};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};
use crate::syntax::tree::Text;
use crate::template::Template;

/// A mail server may take its time, and so may a program.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) static EMAIL: Schema = Schema {
    doc: "Mail by SMTP: plain text and HTML together. The mails of one incident are one thread, and each keeps its \
          Message-ID however often it is sent.",
    groups: &[
        &[
            Attribute::new("host", Kind::Text, "The SMTP server.").required(),
            Attribute::new("port", Kind::Whole(1, 65_535), "Its port.")
                .default_words("`587`; `465` for `implicit`, `25` for `none`"),
            Attribute::new(
                "security",
                Kind::Word(&["starttls", "opportunistic", "implicit", "none"]),
                "How the connection is protected: by STARTTLS or not at all sent, by STARTTLS where it is offered, by TLS \
                 from the first byte, or not.",
            )
            .default("starttls"),
            Attribute::new("user", Kind::Text, "The user, where the server wants one."),
            Attribute::new("password", Kind::Secret, "Their password."),
            Attribute::new("hello", Kind::Text, "What the server is told our name is.")
                .default_words("the host's name"),
            Attribute::new("from", Kind::Text, "The sender: an address, or `Name <address>`.").required(),
            Attribute::new("to", Kind::Texts, "The receivers.").required(),
            Attribute::new("html", Kind::Text, "The HTML part: a template; what is filled in is escaped.")
                .default_words("a table of the alerts"),
        ],
        COMMON,
        tls::ATTRIBUTES,
    ],
    blocks: &[],
    values: &[],
    example: r#"notify "email" "team" {
  host          = "mail.example"
  user          = "lictor"
  password_file = "/etc/lictor/mail-password"
  from          = "Lictor <lictor@example.org>"
  to            = ["ops@example.org"]
}"#,
};

pub(super) static LOG: Schema = Schema {
    doc: "A file to which each alert is appended as a line. It may be moved away or cut at any time.",
    groups: &[
        &[
            Attribute::new("path", Kind::Path, "The file; its directory must exist.").required(),
            Attribute::new("format", Kind::Word(&["text", "json"]), "What a line is.").default("text"),
        ],
        COMMON,
    ],
    blocks: &[],
    values: &[],
    example: r#"notify "log" "file" {
  path = "/var/log/lictor/alerts.log"
}"#,
};

pub(super) static EXEC: Schema = Schema {
    doc: "A program that is given the message as JSON on its standard input. Exit status 0 means accepted; one that \
          does not end in time is ended, and nobody knows.",
    groups: &[
        watch_exec::COMMAND,
        &[Attribute::new(
            "input",
            Kind::Word(&["message", "consul-alerts"]),
            "What it is given: the message, or a list as consul-alerts gave its custom notifiers.",
        )
        .default("message")],
        COMMON,
    ],
    blocks: &[],
    values: &[],
    example: r#"notify "exec" "pager" {
  command = ["/usr/local/bin/page"]
}"#,
};

pub(super) fn email(reader: &Reader<'_>) -> Option<Notifier> {
    let security = match reader.word("security") {
        Some("opportunistic") => MailSecurity::Opportunistic,
        Some("implicit") => MailSecurity::Implicit,
        Some("none") => MailSecurity::None,
        _ => MailSecurity::Starttls,
    };
    let usual = match security {
        MailSecurity::Starttls | MailSecurity::Opportunistic => 587,
        MailSecurity::Implicit => 465,
        MailSecurity::None => 25,
    };
    reader.needs("password", "user");
    if reader.is_set("user") && !reader.is_set("password") {
        let message = "`user` needs `password`";
        reader.decoder.add(Draft::new(Code::Combination, reader.span("user"), message));
    }
    let (user, password) = (reader.text("user"), reader.secret("password"));
    let host = reader.text("host");
    let local = host.as_deref().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "::1"));
    if password.is_some() && !local && matches!(security, MailSecurity::Opportunistic | MailSecurity::None) {
        let message = "the password may travel in clear text";
        let draft = Draft::warning(Code::ClearText, reader.span("security"), message);
        reader.decoder.add(draft.help("write security = \"starttls\" or \"implicit\""));
    }
    if security == MailSecurity::None && tls::is_set(reader) {
        let message = "there is no TLS with `security = \"none\"`";
        reader.decoder.add(Draft::new(Code::Combination, reader.span("security"), message));
    }
    let from = reader.text_at("from").and_then(|text| address(reader, "from", text));
    let receivers = reader.texts("to");
    if reader.is_set("to") && receivers.is_empty() {
        reader.decoder.add(Draft::new(Code::Missing, reader.span("to"), "`to` is empty"));
    }
    let to = receivers.into_iter().map(|text| address(reader, "to", text)).collect::<Option<Vec<_>>>();
    let html = reader.text_at("html").and_then(|text| compiled(reader, "html", &text, Template::html));
    let port = reader.whole("port").and_then(|port| u16::try_from(port).ok()).unwrap_or(usual);
    let notifier = Notifier {
        plan: plan(reader, Batching::Together),
        timeout: timeout(reader, TIMEOUT),
        title: template(reader, "title"),
        text: template(reader, "text"),
        kind: NotifierKind::Email(Box::new(Email {
            port,
            security,
            tls: tls::decode(reader),
            login: user.zip(password),
            hello: reader.text("hello"),
            html,
            host: host?,
            from: from?,
            to: to?,
        })),
    };
    Some(notifier)
}

/// An address as far as it can be told without a mail server: `a@b` or `Name <a@b>`, in one line.
fn address(reader: &Reader<'_>, name: &str, text: Text) -> Option<String> {
    let bare = match text.is.rsplit_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => &text.is,
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',');
    let good = bare.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    if !good || bare.contains(odd) || text.is.contains(char::is_control) {
        let message = format!("`{}` is not an address", text.is.escape_debug());
        let draft = Draft::new(Code::Address, text.span, message);
        reader
            .decoder
            .add(draft.help(format!("write {name} = \"Name <user@example.org>\" or \"user@example.org\"")));
        return None;
    }
    Some(text.is)
}

pub(super) fn log(reader: &Reader<'_>) -> Option<Notifier> {
    let path = reader.path("path");
    let json = reader.word("format") == Some("json");
    Some(Notifier {
        plan: plan(reader, Batching::Together),
        timeout: timeout(reader, super::service::TIMEOUT),
        title: template(reader, "title"),
        text: template(reader, "text"),
        kind: NotifierKind::Log(LogFile { path: path?, json }),
    })
}

pub(super) fn exec(reader: &Reader<'_>) -> Option<Notifier> {
    let command = watch_exec::command(reader);
    let consul_alerts = reader.word("input") == Some("consul-alerts");
    Some(Notifier {
        plan: plan(reader, Batching::Together),
        timeout: timeout(reader, TIMEOUT),
        title: template(reader, "title"),
        text: template(reader, "text"),
        kind: NotifierKind::Exec(NotifyProgram { command: command?, consul_alerts }),
    })
}
