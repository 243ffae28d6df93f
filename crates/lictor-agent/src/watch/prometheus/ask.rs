//! The request of an instant query.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lictor_config::{Prometheus, Secret};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::{Url, form_urlencoded};

use super::answer::{Answer, understand, understand_range};
use crate::remote::{self, Failed, Reach, aside, place};
use crate::text::one_line;

/// What is read of an answer, bytes.
const READ: usize = 4 * 1024 * 1024;

/// A query that is longer goes in the body: some proxies take no longer address than 2 KiB.
const IN_ADDRESS: usize = 1_000;

/// Of the body of a refusal, characters that are shown.
const SHOWN: usize = 120;

/// Secrets shorter than this are not looked for in what is shown: they would be found everywhere.
const SHORTEST: usize = 4;

/// Asks once.
///
/// # Errors
/// In words, when there is no answer that says something.
pub(super) async fn ask(settings: &Prometheus, limit: Duration) -> Result<Answer, String> {
    send(settings, limit, "query", &[], understand).await
}

/// Asks for the past: what the query gave at each step from one time to another, milliseconds.
///
/// # Errors
/// As [`ask`].
pub(super) async fn ask_range(
    settings: &Prometheus,
    (from, to, step): (i64, i64, i64),
    limit: Duration,
) -> Result<Vec<(i64, Answer)>, String> {
    let seconds = |millis: i64| {
        let sign = if millis < 0 { "-" } else { "" };
        format!("{sign}{}.{:03}", millis.unsigned_abs() / 1_000, millis.unsigned_abs() % 1_000)
    };
    let pairs = [("start", seconds(from)), ("end", seconds(to)), ("step", seconds(step))];
    send(settings, limit, "query_range", &pairs, understand_range).await
}

async fn send<T>(
    settings: &Prometheus,
    limit: Duration,
    path: &str,
    more: &[(&str, String)],
    understand: fn(&[u8]) -> Result<T, String>,
) -> Result<T, String> {
    let at = place(&settings.url);
    let no_means = |why: String| format!("the Prometheus at {at} cannot be asked: {why}");
    let wanted = settings.clone();
    let (headers, secrets) = aside(move || credentials(&wanted)).await.map_err(no_means)?;
    let reach = Reach::new(&settings.url, &settings.tls, limit.mul_f64(0.75)).await.map_err(no_means)?;
    // A server that is told how long we wait stops when we are gone. It takes no fractions.
    let patience = format!("{}ms", limit.as_millis());
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("query", &settings.query)
        .append_pair("timeout", &patience)
        .extend_pairs(more)
        .finish();
    let mut url = route(&settings.url, path);
    let request = if settings.query.len() > IN_ADDRESS {
        let request = reach.request(Method::POST, url).map_err(no_means)?;
        request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
    } else {
        url.set_query(Some(&form));
        reach.request(Method::GET, url).map_err(no_means)?
    };
    let shown = |text: &str| hidden(text, &secrets);
    let answer = Box::pin(remote::send(request.headers(headers), limit, READ)).await;
    let answer = answer.map_err(|failed| match failed {
        Failed::Unsent(why) => format!("the Prometheus at {at} is not reached: {}", shown(&why)),
        Failed::Unanswered(why) => format!("the Prometheus at {at} gave no answer: {}", shown(&why)),
        Failed::TooLarge => format!(
            "the Prometheus at {at} answers with more than {} MiB: ask for fewer series",
            READ / 1024 / 1024
        ),
    })?;
    let says = |why: String| format!("the Prometheus at {at} {}", shown(&why));
    match answer.status {
        401 | 403 => Err(format!(
            "the Prometheus at {at} refuses us (status {}): see basic_auth and bearer",
            answer.status
        )),
        200..=299 => understand(&answer.body).map_err(says),
        status => Err(match understand(&answer.body) {
            // It says in the body why.
            Err(why) if why.starts_with("refuses the query") => says(why),
            Ok(_) | Err(_) => {
                let said = one_line(&answer.text(), SHOWN);
                let said = if said.is_empty() { said } else { format!(": {said}") };
                says(format!("answers with status {status}{said}"))
            }
        }),
    }
}

/// Where queries go, under the configured address.
fn route(server: &Url, query: &str) -> Url {
    let mut url = server.clone();
    let path = format!("{}/api/v1/{query}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// A text without our secrets.
fn hidden(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
}

/// What is sent along, and the secrets in it, longest first.
fn credentials(settings: &Prometheus) -> Result<(HeaderMap, Vec<String>), String> {
    let (mut headers, mut secrets) = (HeaderMap::new(), Vec::new());
    let reveal = |secret: &Secret| secret.reveal().map_err(|error| error.to_string());
    let mut add = |name: HeaderName, value: &str| {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_invalid| "a secret holds a character that cannot stand in a header".to_owned())?;
        value.set_sensitive(true);
        headers.append(name, value);
        Ok::<(), String>(())
    };
    for (name, value) in &settings.headers {
        let value = reveal(value)?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        add(name, &value)?;
        secrets.push(value);
    }
    if let Some((user, password)) = &settings.basic_auth {
        let password = reveal(password)?;
        let encoded = STANDARD.encode(format!("{user}:{password}"));
        add(AUTHORIZATION, &format!("Basic {encoded}"))?;
        secrets.extend([encoded, password]);
    }
    if let Some(token) = &settings.bearer {
        let token = reveal(token)?;
        add(AUTHORIZATION, &format!("Bearer {token}"))?;
        secrets.push(token);
    }
    secrets.retain(|secret| secret.len() >= SHORTEST);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    Ok((headers, secrets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_go_under_the_path_of_the_server() {
        let route = |text: &str| route(&text.parse().unwrap(), "query").to_string();
        assert_eq!(route("http://127.0.0.1:9090"), "http://127.0.0.1:9090/api/v1/query");
        assert_eq!(route("https://h/prometheus/"), "https://h/prometheus/api/v1/query");
    }

    #[test]
    fn no_secret_is_shown() {
        let secrets = ["a-long-secret".to_owned(), "long".to_owned()];
        assert_eq!(hidden("no: a-long-secret, long", &secrets), "no: ***, ***");
    }
}
