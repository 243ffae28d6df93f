//! `watch "redis"`: what a key holds; `act "redis"`: write one.

use lictor_core::{Repeatability, Status};

use super::{judgement, limits, tls, watch};
use crate::code::Code;
use crate::model::{Action, Redis, RedisAction, RedisPlace, RedisQuestion, RedisServer, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};
use crate::syntax::tree::Text;

/// How the server is reached.
const SERVER: &[Attribute] = &[
    Attribute::new("address", Kind::HostPort, "Host and port.").default_words("`127.0.0.1:6379`"),
    Attribute::new("socket", Kind::Path, "Its socket on this machine, in place of `address`."),
    Attribute::new("user", Kind::Text, "The user, where there is more than the default one."),
    Attribute::new("password", Kind::Secret, "The password."),
    Attribute::new("database", Kind::Whole(0, 1_000_000), "The number of the database.").default("0"),
    Attribute::new("tls", Kind::Flag, "Speak TLS. Any of the TLS attributes means so too.").default("false"),
];

pub(super) static WATCH: Schema = Schema {
    doc: "A Redis, or what has its protocol: whether it answers, or what a key holds. One that cannot be \
          reached or does not answer is critical. One that answers but does not say (it is loading, refuses us, \
          the key holds something else) is `unknown` with what it said.",
    groups: &[
        SERVER,
        &[
            Attribute::new(
                "command",
                Kind::Word(&["PING", "GET", "EXISTS", "LLEN", "ZRANGE", "ZREVRANGE"]),
                "What is asked: whether it answers, the text of a key, whether a key is there, the length of a \
                 list, the element of a sorted set with the lowest score, and with the highest.",
            )
            .default_words("`GET` with a `key`, else `PING`"),
            Attribute::new("key", Kind::Text, "The key."),
            Attribute::new(
                "missing",
                Kind::Word(&["unknown", "passing", "warning", "critical"]),
                "What it means that the key is not there, or the sorted set is empty.",
            )
            .default_words("`unknown`; `critical` for EXISTS"),
        ],
        limits::LIMITS,
        tls::ATTRIBUTES,
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("value", "What the key holds: a number when it can be read as one, else text; the element; the length."),
        ("exists", "1 when the key is there, 0 when it is not."),
        ("score", "The score of the element of a sorted set."),
        ("total_seconds", "Time of the whole look."),
    ],
    example: r#"watch "redis" "clearnet" {
  address = "127.0.0.1:6379"
  key     = "bitcoind:ibd-clearnet"
  missing = "passing"
}"#,
};

pub(super) static ACT: Schema = Schema {
    doc: "Writes to a Redis: one command with values that stand in the configuration.",
    groups: &[
        SERVER,
        &[Attribute::new(
            "command",
            Kind::Texts,
            "The command and its arguments, each as it is: `SET key value` (with `EX seconds` if wanted), `DEL key …`, \
             `ZADD key score member …`, `ZREM key member …` or `PUBLISH channel message`.",
        )
        .required()],
        tls::ATTRIBUTES,
    ],
    blocks: &[],
    values: &[],
    example: r#"watch "heartbeat" "update" {
  within = "1h"
}

rule "update-failed" {
  on = check.update == "critical"
  act "redis" {
    command = ["ZADD", "base:descriptionCode", "2300", "2300"]
  }
}"#,
};

/// The longest key or argument, bytes.
const LONGEST: usize = 64 * 1024;

pub(super) fn watch(reader: &Reader<'_>) -> Option<WatchKind> {
    let server = server(reader);
    let (key, limits) = (reader.text_at("key"), limits::decode(reader));
    if let Some(key) = key.as_ref().filter(|key| key.is.len() > LONGEST) {
        reader.decoder.add(Draft::new(Code::Name, key.span, "a key has at most 64 KiB"));
    }
    let question = question(reader, key.map(|key| key.is));
    let absence = limits::absence(reader, "missing");
    let (server, question) = (server?, question?);
    let (word, foreign): (&str, &[&str]) = match question {
        RedisQuestion::Ping => ("PING", &["missing", "warning", "critical"]),
        RedisQuestion::Exists(_) => ("EXISTS", &["warning", "critical"]),
        // A list that is not there has no elements.
        RedisQuestion::Length(_) => ("LLEN", &["missing"]),
        RedisQuestion::Get(_) | RedisQuestion::Lowest(_) | RedisQuestion::Highest(_) => ("", &[]),
    };
    for name in foreign.iter().filter(|name| reader.is_set(name)) {
        let message = format!("`{name}` means nothing for {word}");
        reader.decoder.add(Draft::new(Code::Combination, reader.span(name), message));
    }
    let missing = match (&question, reader.is_set("missing")) {
        (RedisQuestion::Exists(_), false) => Status::Critical,
        _ => absence,
    };
    Some(WatchKind::Redis(Box::new(Redis { server, question, missing, limits })))
}

fn question(reader: &Reader<'_>, key: Option<String>) -> Option<RedisQuestion> {
    let word = match reader.value("command") {
        Some(_) => reader.word("command")?,
        None if reader.is_set("key") => "GET",
        None => "PING",
    };
    if word == "PING" {
        if reader.is_set("key") {
            let message = "`key` means nothing for PING";
            reader.decoder.add(Draft::new(Code::Combination, reader.span("key"), message));
        }
        return Some(RedisQuestion::Ping);
    }
    if !reader.is_set("key") {
        let draft = Draft::new(Code::Missing, reader.span("command"), format!("{word} needs `key`"));
        reader.decoder.add(draft.help("add key = \"…\""));
    }
    let key = key?;
    Some(match word {
        "EXISTS" => RedisQuestion::Exists(key),
        "LLEN" => RedisQuestion::Length(key),
        "ZRANGE" => RedisQuestion::Lowest(key),
        "ZREVRANGE" => RedisQuestion::Highest(key),
        _ => RedisQuestion::Get(key),
    })
}

/// The server.
fn server(reader: &Reader<'_>) -> Option<RedisServer> {
    reader.needs("user", "password");
    let settings = tls::decode(reader);
    let spoken = reader.flag_if("tls").unwrap_or_else(|| tls::is_set(reader));
    let (user, password) = (reader.text("user"), reader.secret("password"));
    let database = reader.whole("database").and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let place = if reader.is_set("socket") {
        for name in ["address", "tls"].into_iter().chain(tls::ATTRIBUTES.iter().map(|tls| tls.name)) {
            reader.exclude("socket", name);
        }
        RedisPlace::Unix(reader.path("socket")?)
    } else {
        let (host, port) = match reader.value("address") {
            Some(_) => reader.host_port("address")?,
            None => ("127.0.0.1".to_owned(), 6_379),
        };
        let local = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        if password.is_some() && !spoken && !local {
            let message = format!("a secret travels to {host} in clear text");
            let draft = Draft::warning(Code::ClearText, reader.span("address"), message);
            reader.decoder.add(draft.help("use tls = true"));
        }
        RedisPlace::Tcp { host, port, tls: spoken.then_some(settings) }
    };
    Some(RedisServer { place, user, password, database })
}

pub(super) fn act(reader: &Reader<'_>) -> Option<(Action, Repeatability)> {
    let server = server(reader);
    let words = reader.texts("command");
    let repeat = command(reader, &words)?;
    let command = words.into_iter().map(|word| word.is).collect();
    Some((Action::Redis(Box::new(RedisAction { server: server?, command })), repeat))
}

/// Whether the words are one of the known commands, and what may be done with it twice.
fn command(reader: &Reader<'_>, words: &[Text]) -> Option<Repeatability> {
    const KNOWN: [&str; 5] = ["SET", "DEL", "ZADD", "ZREM", "PUBLISH"];
    let Some(first) = words.first() else {
        if reader.is_set("command") {
            reader.decoder.add(Draft::new(Code::Missing, reader.span("command"), "`command` is empty"));
        }
        return None;
    };
    if let Some(long) = words.iter().find(|word| word.is.len() > LONGEST) {
        reader.decoder.add(Draft::new(Code::Range, long.span, "an argument has at most 64 KiB"));
        return None;
    }
    let rest: Vec<&str> = words.iter().skip(1).map(|word| word.is.as_str()).collect();
    let number = |text: &&str| text.parse::<f64>().is_ok_and(|number| !number.is_nan());
    let (good, form) = match first.is.to_ascii_uppercase().as_str() {
        // Nothing that depends on what is there: it must do no harm to do it twice.
        "SET" => {
            let expires = |rest: &[&str]| match rest {
                [_, _] => true,
                [_, _, option, time] => {
                    option.eq_ignore_ascii_case("EX") && time.parse::<u32>().is_ok_and(|time| time > 0)
                }
                _ => false,
            };
            (expires(&rest), "[\"SET\", \"key\", \"value\"], with \"EX\", \"60\" after it if it shall expire")
        }
        "DEL" => (!rest.is_empty(), "[\"DEL\", \"key\"]"),
        "ZADD" => {
            let pairs = rest.get(1..).unwrap_or_default();
            let good =
                !pairs.is_empty() && pairs.len().is_multiple_of(2) && pairs.iter().step_by(2).all(number);
            (good, "[\"ZADD\", \"key\", \"1.5\", \"member\"]")
        }
        "ZREM" => (rest.len() >= 2, "[\"ZREM\", \"key\", \"member\"]"),
        "PUBLISH" => (rest.len() == 2, "[\"PUBLISH\", \"channel\", \"message\"]"),
        _ => {
            let message = format!("`{}` is not a command that can be given here", first.is);
            let draft = Draft::new(Code::Word, first.span, message);
            reader.decoder.add_near(draft, &first.is, KNOWN);
            return None;
        }
    };
    if !good {
        let message = format!("{} is not used so", first.is.to_ascii_uppercase());
        let draft = Draft::new(Code::Amount, reader.span("command"), message);
        reader.decoder.add(draft.help(format!("write {form}")));
        return None;
    }
    let told = first.is.eq_ignore_ascii_case("PUBLISH");
    Some(if told { Repeatability::Neither } else { Repeatability::Idempotent })
}

#[cfg(test)]
mod tests {
    use crate::model::{Action, Redis, RedisPlace, RedisQuestion, WatchKind};
    use crate::testing::{mistakes, parsed, warnings, watch};
    use insta::assert_snapshot;

    fn redis(lines: &str) -> Redis {
        match watch(&format!("watch \"redis\" \"x\" {{\n{lines}\n}}")).kind {
            WatchKind::Redis(redis) => *redis,
            other => panic!("{other:?}"),
        }
    }

    fn act(command: &str) -> String {
        format!(
            "watch \"heartbeat\" \"h\" {{\n within = \"1m\"\n}}\nrule \"r\" {{\n on = check.h == \"critical\"\n act \"redis\" {{\n command = {command}\n}}\n}}"
        )
    }

    #[test]
    fn nothing_at_all_asks_the_redis_of_this_machine_whether_it_answers() {
        let found = redis("");
        assert_eq!(found.question, RedisQuestion::Ping);
        let wanted = RedisPlace::Tcp { host: "127.0.0.1".to_owned(), port: 6_379, tls: None };
        assert_eq!((found.server.place, found.server.database), (wanted, 0));
    }

    #[test]
    fn a_key_is_asked_in_the_way_that_is_named() {
        let asked = |command: &str| redis(&format!("key = \"k\"\n{command}")).question;
        let key = || "k".to_owned();
        assert_eq!(asked(""), RedisQuestion::Get(key()));
        assert_eq!(asked("command = \"EXISTS\""), RedisQuestion::Exists(key()));
        assert_eq!(asked("command = \"LLEN\""), RedisQuestion::Length(key()));
        assert_eq!(asked("command = \"ZRANGE\""), RedisQuestion::Lowest(key()));
        assert_eq!(asked("command = \"ZREVRANGE\""), RedisQuestion::Highest(key()));
    }

    #[test]
    fn a_tls_attribute_means_tls() {
        let tls = |lines: &str| match redis(lines).server.place {
            RedisPlace::Tcp { tls, .. } => tls.is_some(),
            RedisPlace::Unix(_) => false,
        };
        assert!(tls("tls = true") && tls("server_name = \"redis.example\"") && !tls(""));
        assert_eq!(
            redis("socket = \"/run/redis.sock\"").server.place,
            RedisPlace::Unix("/run/redis.sock".into())
        );
    }

    #[test]
    fn it_warns_of_a_password_in_clear_text() {
        let text = |lines: &str| format!("watch \"redis\" \"x\" {{\n password_file = \"/p\"\n{lines}\n}}");
        assert!(warnings(&text("address = \"10.0.0.1:6379\"")).contains("a secret travels to 10.0.0.1"));
        assert!(!warnings(&text("address = \"10.0.0.1:6379\"\ntls = true")).contains("travels"));
        assert!(!warnings(&text("")).contains("travels"));
    }

    #[test]
    fn commands_that_write_are_taken_word_for_word() {
        let loaded = parsed(&act(r#"["ZADD", "base:descriptionCode", "1200", "1200"]"#));
        let Action::Redis(action) = loaded.config.actions.into_values().next().unwrap() else { panic!() };
        assert_eq!(action.command, ["ZADD", "base:descriptionCode", "1200", "1200"]);
        parsed(&act(r#"["set", "base:stateCode", "$(reboot)", "EX", "60"]"#));
    }

    #[test]
    fn the_mistakes_of_the_watcher() {
        assert_snapshot!(mistakes(r#"
watch "redis" "a" {
  address = "redis"
  command = "KEYS"
  user    = "me"
}
watch "redis" "b" {
  socket  = "/run/redis.sock"
  address = "127.0.0.1:6379"
  command = "GET"
  missing = "fine"
}
watch "redis" "c" {
  key      = "k"
  command  = "PING"
  critical = "> 3"
  database = -1
}
"#), @r#"
        3:13: `redis` is not host and port (write host:port, such as "db.example:5432" or "[::1]:22") [LIC0305]
        4:13: `command` cannot be `KEYS` (known here: `EXISTS`, `GET`, `LLEN`, `PING`, `ZRANGE`, `ZREVRANGE`) [LIC0306]
        5:13: `user` needs `password` [LIC0207]
        9:13: `socket` and `address` exclude each other (the other one: x.hcl:8:13) [LIC0207]
        10:13: GET needs `key` (add key = "…") [LIC0203]
        11:13: `missing` cannot be `fine` (known here: `critical`, `passing`, `unknown`, `warning`) [LIC0306]
        14:14: `key` means nothing for PING [LIC0207]
        16:14: `critical` means nothing for PING [LIC0207]
        17:14: `database` is a whole number from 0 to 1000000, not -1 [LIC0302]
        "#);
    }

    #[test]
    fn the_mistakes_of_the_action() {
        let all = [
            r#"["FLUSHALL"]"#,
            r#"["SET", "k"]"#,
            r#"["SET", "k", "v", "NX"]"#,
            r#"["ZADD", "k", "NX", "1", "m"]"#,
            r#"["ZADD", "k", "high", "m"]"#,
            r#"["PUBLISH", "c"]"#,
            "[]",
        ];
        let told: Vec<String> = all.iter().map(|command| mistakes(&act(command))).collect();
        assert_snapshot!(told.join("\n"), @r#"
        7:13: `FLUSHALL` is not a command that can be given here (known here: `DEL`, `PUBLISH`, `SET`, `ZADD`, `ZREM`) [LIC0306]
        7:12: SET is not used so (write ["SET", "key", "value"], with "EX", "60" after it if it shall expire) [LIC0307]
        7:12: SET is not used so (write ["SET", "key", "value"], with "EX", "60" after it if it shall expire) [LIC0307]
        7:12: ZADD is not used so (write ["ZADD", "key", "1.5", "member"]) [LIC0307]
        7:12: ZADD is not used so (write ["ZADD", "key", "1.5", "member"]) [LIC0307]
        7:12: PUBLISH is not used so (write ["PUBLISH", "channel", "message"]) [LIC0307]
        7:12: `command` is empty [LIC0203]
        "#);
    }
}
