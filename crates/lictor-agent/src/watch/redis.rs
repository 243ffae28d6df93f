//! Redis: whether it answers, or what a key holds.
//!
//! One that is not reached or does not answer is critical. One that answers, but not what was asked
//! (it is loading, it refuses us, the key holds something else), leaves it unknown.

use std::time::Duration;

use lictor_config::{Family, Redis, RedisPlace, RedisQuestion};
use lictor_core::{Sample, Span, Status};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::fault::{Fault, Stage};
use super::look::{Look, World};
use super::stream::{Stream, connect};
use super::value::{self, Measured as _};
use crate::redis::{Duplex, Reply, Session, Trouble};
use crate::text::{escaped, one_line};

/// Of a text, bytes that become a value.
const KEPT: usize = 1_024;

/// Of a text, characters that are shown.
const SHOWN: usize = 80;

pub(super) async fn look(redis: &Redis, limit: Duration, world: &World) -> Look {
    let mut stage = Stage::start();
    let ended = match timeout(limit, ask(redis, limit, world, &mut stage)).await {
        Ok(ended) => ended,
        Err(_late) => Err(stage.late(limit)),
    };
    let took = stage.started().elapsed();
    let mut sample = match ended {
        Ok(found) => judge(redis, found, took),
        Err(fault) => fault.into_sample(),
    };
    sample.seconds(&value::TOTAL_SECONDS, took);
    Look::new(sample)
}

/// What was found.
#[derive(Debug, PartialEq)]
enum Found {
    Answers,
    Missing,
    There,
    Length(f64),
    Text(Vec<u8>),
    /// An element of a sorted set, and its score.
    Element(Vec<u8>, f64),
}

/// Where it listens, for messages.
fn place(place: &RedisPlace) -> String {
    match place {
        RedisPlace::Tcp { host, port, .. } => format!("{host}:{port}"),
        RedisPlace::Unix(path) => path.display().to_string(),
    }
}

async fn ask(redis: &Redis, limit: Duration, world: &World, stage: &mut Stage) -> Result<Found, Fault> {
    let place = place(&redis.server.place);
    let stream: Box<dyn Duplex> = match &redis.server.place {
        RedisPlace::Unix(path) => {
            stage.enter(format!("connect to {place}"));
            let stream = UnixStream::connect(path).await;
            Box::new(stream.map_err(|error| Fault::io(format_args!("cannot connect to {place}"), &error))?)
        }
        RedisPlace::Tcp { host, port, tls } => {
            stage.enter(format!("looking up {host}"));
            let addresses = world.resolver.addresses(host, *port, Family::Any).await?;
            let tcp = connect(&addresses, stage.started() + limit, stage).await?;
            match tls {
                None => Box::new(Stream::Plain(tcp)),
                Some(profile) => {
                    stage.enter(format!("the TLS handshake with {place}"));
                    let secured = world.tls.secure(profile, host, tcp).await;
                    Box::new(Stream::Tls(Box::new(secured.map_err(|failed| failed.fault)?.stream)))
                }
            }
        }
    };
    stage.enter(format!("the answer of {place}"));
    let told = |trouble: Trouble| fault(&place, &trouble);
    let mut session = Session::begin(stream, &redis.server).await.map_err(told)?;
    let words: &[&str] = match &redis.question {
        RedisQuestion::Ping => &["PING"],
        RedisQuestion::Get(key) => &["GET", key],
        RedisQuestion::Exists(key) => &["EXISTS", key],
        RedisQuestion::Length(key) => &["LLEN", key],
        RedisQuestion::Lowest(key) => &["ZRANGE", key, "0", "0", "WITHSCORES"],
        RedisQuestion::Highest(key) => &["ZREVRANGE", key, "0", "0", "WITHSCORES"],
    };
    let reply = session.call(words).await.map_err(told)?;
    found(&redis.question, reply)
        .ok_or_else(|| Fault::critical(format!("the Redis at {place} answers something else than was asked")))
}

/// What it means that there is no answer. One that is too large to be read is one.
fn fault(place: &str, trouble: &Trouble) -> Fault {
    let message = format!("the Redis at {place}: {trouble}");
    match trouble {
        Trouble::Broken(_) | Trouble::Garbled(_) => Fault::critical(message),
        Trouble::Unasked(_) | Trouble::Refused(_) | Trouble::Large(_) => Fault::unknown(message),
    }
}

/// What an answer says; `None` when it is none to that question.
fn found(question: &RedisQuestion, reply: Reply) -> Option<Found> {
    match (question, reply) {
        (RedisQuestion::Ping, Reply::Word(_) | Reply::Text(Some(_))) => Some(Found::Answers),
        (RedisQuestion::Get(_), Reply::Text(None)) | (RedisQuestion::Exists(_), Reply::Number(0)) => {
            Some(Found::Missing)
        }
        (RedisQuestion::Get(_), Reply::Text(Some(text))) => Some(Found::Text(text)),
        (RedisQuestion::Exists(_), Reply::Number(1)) => Some(Found::There),
        (RedisQuestion::Length(_), Reply::Number(length)) => {
            u64::try_from(length).ok().map(|length| Found::Length(value::float(length)))
        }
        (RedisQuestion::Lowest(_) | RedisQuestion::Highest(_), Reply::List(list)) => match list.as_slice() {
            [] => Some(Found::Missing),
            [Reply::Text(Some(element)), Reply::Text(Some(score))] => {
                let score = std::str::from_utf8(score).ok()?.parse().ok()?;
                Some(Found::Element(element.clone(), score))
            }
            _ => None,
        },
        (
            RedisQuestion::Ping
            | RedisQuestion::Get(_)
            | RedisQuestion::Exists(_)
            | RedisQuestion::Length(_)
            | RedisQuestion::Lowest(_)
            | RedisQuestion::Highest(_),
            _,
        ) => None,
    }
}

fn judge(redis: &Redis, found: Found, took: Duration) -> Sample {
    let key = match &redis.question {
        RedisQuestion::Ping => String::new(),
        RedisQuestion::Get(key)
        | RedisQuestion::Exists(key)
        | RedisQuestion::Length(key)
        | RedisQuestion::Lowest(key)
        | RedisQuestion::Highest(key) => one_line(key, SHOWN),
    };
    let mut sample = match &found {
        Found::Answers => {
            let place = place(&redis.server.place);
            return Sample::new(Status::Passing, format!("the Redis at {place} answered in {}", Span(took)));
        }
        Found::Missing => {
            let mut sample = Sample::new(redis.missing, format!("`{key}` is not there"));
            sample.flag(&value::EXISTS, false);
            return sample;
        }
        Found::There => Sample::new(Status::Passing, format!("`{key}` is there")),
        Found::Length(length) => {
            let summary = format!("`{key}` has {length} elements");
            let mut sample = within(redis, summary, Some(*length));
            sample.number(&value::VALUE, *length);
            sample.flag(&value::EXISTS, *length > 0.0);
            return sample;
        }
        Found::Text(text) => {
            let text = String::from_utf8_lossy(text);
            let number = number(&text);
            let mut sample = within(redis, format!("`{key}` is `{}`", one_line(&text, SHOWN)), number);
            set(&mut sample, &text, number);
            sample
        }
        Found::Element(element, score) => {
            let element = String::from_utf8_lossy(element);
            let which = if matches!(redis.question, RedisQuestion::Lowest(_)) { "lowest" } else { "highest" };
            let summary = format!("the {which} of `{key}` is `{}` with {score}", one_line(&element, SHOWN));
            let mut sample = within(redis, summary, Some(*score));
            set(&mut sample, &element, number(&element));
            if score.is_finite() {
                sample.number(&value::SCORE, *score);
            }
            sample
        }
    };
    sample.flag(&value::EXISTS, true);
    sample
}

/// A sample with the verdict on a number; one is needed where there are limits.
fn within(redis: &Redis, summary: String, number: Option<f64>) -> Sample {
    let limits = &redis.limits;
    match number {
        Some(number) => {
            let status = limits.judge(number);
            let limit = match status {
                Status::Critical => limits.critical,
                Status::Warning => limits.warning,
                Status::Passing | Status::Unknown => None,
            };
            let why = limit.map_or(String::new(), |limit| format!(", which is {limit}"));
            Sample::new(status, format!("{summary}{why}"))
        }
        None if limits.warning.is_some() || limits.critical.is_some() => {
            Sample::new(Status::Unknown, format!("{summary}, which is no number"))
        }
        None => Sample::new(Status::Passing, summary),
    }
}

fn set(sample: &mut Sample, text: &str, number: Option<f64>) {
    match number {
        Some(number) => sample.number(&value::VALUE, number),
        None => sample.text(&value::VALUE, escaped(super::look::cut(text, KEPT))),
    }
}

/// A text that is a number as people write it: neither `inf` nor `nan`, and nothing around it.
fn number(text: &str) -> Option<f64> {
    let digits = text.ends_with(|c: char| c.is_ascii_digit());
    text.parse().ok().filter(|number: &f64| digits && number.is_finite())
}

#[cfg(test)]
mod tests {
    use lictor_config::{Limit, Limits, RedisServer};
    use lictor_core::Compare;

    use super::*;

    fn redis(question: RedisQuestion) -> Redis {
        let place = RedisPlace::Tcp { host: "h".to_owned(), port: 1, tls: None };
        let server = RedisServer { place, user: None, password: None, database: 0 };
        let critical = Some(Limit { how: Compare::Greater, than: 90.0 });
        Redis { server, question, missing: Status::Unknown, limits: Limits { warning: None, critical } }
    }

    fn get(text: &str) -> Sample {
        let redis = redis(RedisQuestion::Get("k".to_owned()));
        judge(&redis, Found::Text(text.as_bytes().to_vec()), Duration::ZERO)
    }

    #[test]
    fn a_text_that_is_a_number_is_a_number() {
        for (text, wanted) in [("1", 1.0), ("-1.5", -1.5), ("1e3", 1_000.0), ("00", 0.0)] {
            assert_eq!(number(text), Some(wanted), "{text}");
        }
        for text in ["", " 1", "1 ", "1\n", "inf", "NaN", "0x10", "one", "1.", "1e999"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn limits_without_a_number_are_no_data() {
        let told = |text: &str| format!("{}: {}", get(text).status, get(text).summary);
        assert_eq!(told("90"), "passing: `k` is `90`");
        assert_eq!(told("91"), "critical: `k` is `91`, which is > 90");
        assert_eq!(told("NaN"), "unknown: `k` is `NaN`, which is no number");
        assert_eq!(told(""), "unknown: `k` is ``, which is no number");
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_is_no_data_and_one_that_is_none_is_critical() {
        for (says, wanted) in [
            ("$65537\r\nxxxx", Status::Unknown),
            ("*65\r\n", Status::Unknown),
            ("-WRONGTYPE x\r\n", Status::Unknown),
            ("$-2\r\n", Status::Critical),
            ("HTTP/1.1 400\r\n", Status::Critical),
        ] {
            let (ours, mut theirs) = tokio::io::duplex(1_024);
            let server = redis(RedisQuestion::Ping).server;
            let mut session = Session::begin(Box::new(ours), &server).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut theirs, says.as_bytes()).await.unwrap();
            let trouble = session.call(&["GET", "k"]).await.unwrap_err();
            assert_eq!(fault("h:1", &trouble).into_sample().status, wanted, "{says}");
        }
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let key = || "k".to_owned();
        assert_eq!(found(&RedisQuestion::Get(key()), Reply::Number(1)), None);
        assert_eq!(found(&RedisQuestion::Exists(key()), Reply::Number(2)), None);
        assert_eq!(found(&RedisQuestion::Length(key()), Reply::Number(-1)), None);
        assert_eq!(found(&RedisQuestion::Highest(key()), Reply::List(vec![Reply::Number(1)])), None);
        assert_eq!(found(&RedisQuestion::Ping, Reply::Text(None)), None);
    }
}
