//! Getting in: a session where one is needed, and what the answer to a login means.

use std::time::Duration;

use lictor_core::Span;
use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};

use super::problem::Problem;
use super::refused::{FILE, Held};
use crate::remote::{Answer, Failed};

/// A longer cookie is none of qBittorrent's, bytes.
const COOKIE: usize = 4_096;

/// What became of a login.
#[derive(Debug)]
pub(super) enum Entry {
    /// We are in, with this cookie.
    In(HeaderValue),
    /// User or password is wrong.
    Wrong,
    /// Our address is banned.
    Banned,
    /// It did not get as far as looking at user and password.
    Stopped(Problem),
    /// It is not known whether it looked at them.
    Lost(Problem),
}

impl Entry {
    /// What the answer to `auth/login` means, in any version: up to 5.1 `Ok.` and `Fails.` with
    /// status 200, from 5.2 on the statuses 204 and 401.
    pub(super) fn of(answer: Result<Answer, Failed>, host: &str) -> Self {
        let answer = match answer {
            Ok(answer) => answer,
            Err(failed @ Failed::Unsent(_)) => return Self::Stopped(Problem::of(&failed)),
            Err(failed @ (Failed::Unanswered(_) | Failed::TooLarge)) => {
                return Self::Lost(Problem::of(&failed));
            }
        };
        match answer.status {
            // It was asked something else before and had nothing against our host name.
            401 => Self::Wrong,
            403 => Self::Banned,
            _ if answer.is_good() => {
                let body = answer.text();
                if body.trim() == "Fails." {
                    return Self::Wrong;
                }
                let taken = answer.status == 204 || body.trim() == "Ok.";
                match cookie(&answer.headers).filter(|_| taken) {
                    Some(cookie) => Self::In(cookie),
                    None => Self::Lost(Problem::strange("auth/login", &answer)),
                }
            }
            _ => {
                let problem = Problem::of_status(&answer, host);
                Self::Stopped(problem.unwrap_or_else(|| Problem::strange("auth/login", &answer)))
            }
        }
    }
}

/// The session in an answer: `SID`, from 5.2 on `QBT_SID_` with the port, or the first cookie there
/// is, since it could be renamed in between.
pub(super) fn cookie(headers: &HeaderMap) -> Option<HeaderValue> {
    let pairs = headers.get_all(SET_COOKIE).iter().filter_map(|value| {
        let pair = value.to_str().ok()?.split(';').next()?.trim();
        let (name, value) = pair.split_once('=')?;
        // An empty one takes a session away.
        (!name.is_empty() && !value.is_empty() && pair.len() <= COOKIE).then_some((name, pair))
    });
    let mut first = None;
    for (name, pair) in pairs {
        if name == "SID" || name.starts_with("QBT_SID_") {
            return secret(pair);
        }
        first = first.or(Some(pair));
    }
    first.and_then(secret)
}

/// The value of a header that is not shown when its request is.
pub(super) fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Why a login was not made.
pub(super) fn held(held: &Held) -> Problem {
    Problem::Barred(match held {
        Held::Refused => format!(
            "qBittorrent refuses user and password; they are not tried again before the password configured here is \
             another one, or `{FILE}` in the state directory is removed"
        ),
        Held::Unanswered(left) => format!(
            "logins at qBittorrent are not answered; the next one is made in {}, since wrong ones lead to a ban",
            minutes(*left)
        ),
        Held::Banned(left) => banned(*left),
    })
}

/// User or password was refused for the first or the last time.
pub(super) fn wrong(times: u32) -> Problem {
    let again = if times > 1 { "; they are not tried again before they are changed" } else { "" };
    Problem::Barred(format!("qBittorrent refuses user and password{again}"))
}

/// Our address was banned just now.
pub(super) fn just_banned() -> Problem {
    Problem::Barred(banned(Duration::from_secs(60 * 60)))
}

fn banned(left: Duration) -> String {
    format!(
        "qBittorrent has banned our address after too many wrong logins; nothing is tried for {} (its restart lifts \
         the ban)",
        minutes(left)
    )
}

fn minutes(span: Duration) -> Span {
    Span(Duration::from_secs(span.as_secs().div_ceil(60) * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str, cookies: &[&str]) -> Answer {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(SET_COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        Answer { status, headers, body: body.into() }
    }

    fn entry(status: u16, body: &str, cookies: &[&str]) -> String {
        match Entry::of(Ok(answer(status, body, cookies)), "qbt") {
            Entry::In(cookie) => format!("in with {}", cookie.to_str().unwrap()),
            Entry::Wrong => "wrong".to_owned(),
            Entry::Banned => "banned".to_owned(),
            Entry::Stopped(problem) => format!("stopped: {problem:?}"),
            Entry::Lost(problem) => format!("lost: {problem:?}"),
        }
    }

    #[test]
    fn logins_of_all_versions_are_understood() {
        let sid = "SID=aB+/0=; HttpOnly; path=/; SameSite=Strict";
        assert_eq!(entry(200, "Ok.", &[sid]), "in with SID=aB+/0=");
        assert_eq!(entry(200, "Fails.", &[]), "wrong");
        let modern = "QBT_SID_8080=aB+/0=; expires=Fri, 01 Jan 2100 00:00:00 GMT; HttpOnly; path=/";
        assert_eq!(entry(204, "", &[modern]), "in with QBT_SID_8080=aB+/0=");
        assert_eq!(entry(401, "Unauthorized", &[]), "wrong");
        assert_eq!(entry(403, "Your IP address has been banned after too many", &[]), "banned");
        assert_eq!(entry(403, "Deine IP-Adresse wurde gesperrt", &[]), "banned");
    }

    #[test]
    fn the_cookie_is_found_whatever_it_is_called() {
        assert_eq!(entry(200, "Ok.", &["lang=en", "SID=1"]), "in with SID=1");
        assert_eq!(entry(200, "Ok.", &["lang=en", "QBT_SID_9=1; path=/"]), "in with QBT_SID_9=1");
        assert_eq!(entry(200, "Ok.", &["renamed=1; path=/"]), "in with renamed=1");
        assert_eq!(cookie(&answer(200, "", &["SID=; expires=Thu, 01 Jan 1970 00:00:00 GMT"]).headers), None);
    }

    #[test]
    fn what_is_no_answer_to_a_login_is_no_wrong_login() {
        assert!(entry(200, "<html>", &["a=b"]).starts_with("lost: Barred"));
        assert!(entry(204, "", &[]).starts_with("lost: Barred"));
        assert!(entry(502, "Bad Gateway", &[]).starts_with("stopped: Down"));
        assert!(entry(404, "", &[]).starts_with("stopped: Barred"));
        let lost = Entry::of(Err(Failed::Unanswered("no answer within 1.0 s".into())), "qbt");
        assert!(matches!(lost, Entry::Lost(Problem::Down(_))));
        let unsent = Entry::of(Err(Failed::Unsent("Connection refused (os error 111)".into())), "qbt");
        assert!(matches!(unsent, Entry::Stopped(Problem::Down(_))));
    }
}
