//! Mattermost as a user or a bot: its fourth interface in place of the one that the old program used.

use std::time::Duration;

use lictor_compat::consul_alerts::Notifier;
use lictor_config::{Env as _, ProcessEnv};
use lictor_core::alert::Verdict;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use url::Url;

use super::reach;

/// Why nothing was said.
struct Failed {
    why: String,
    /// Whether the server may have taken it.
    unclear: bool,
}

/// Says a text. Without `username`, `password` is the token of a bot.
pub(super) async fn tell(notifier: &Notifier, text: String, limit: Duration) -> Verdict {
    let work = say(notifier, text, limit);
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(())) => Verdict::Accepted,
        Ok(Err(Failed { why, unclear: false })) => {
            Verdict::Refused { why, retry_after: None, for_good: false }
        }
        Ok(Err(Failed { why, unclear: true })) => Verdict::Unclear { why, retry_after: None },
        Err(_late) => Verdict::Unclear {
            why: format!("Mattermost did not answer within {} s", limit.as_secs()),
            retry_after: None,
        },
    }
}

async fn say(notifier: &Notifier, text: String, limit: Duration) -> Result<(), Failed> {
    let before = |why: String| Failed { why, unclear: false };
    let base = Url::parse(notifier.text("url"))
        .map_err(|error| before(format!("the address of Mattermost is no URL: {error}")))?;
    let client = client(&base, limit).map_err(before)?;
    let at = |parts: &[&str]| {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v4"]).extend(parts);
        }
        url
    };
    let (user, password) = (notifier.text("username"), notifier.text("password"));
    let token = if user.is_empty() {
        password.to_owned()
    } else {
        let login =
            client.post(at(&["users", "login"])).json(&json!({ "login_id": user, "password": password }));
        let answer = sent(login, "does not let the user in").await.map_err(before)?;
        let token = answer.headers().get("token").and_then(|token| token.to_str().ok());
        token.ok_or_else(|| before("Mattermost gives no token".to_owned()))?.to_owned()
    };
    let (team, channel) = (notifier.text("team"), notifier.text("channel").trim_start_matches('#'));
    let place = client.get(at(&["teams", "name", team, "channels", "name", channel])).bearer_auth(&token);
    let found = sent(place, "does not show team and channel").await.map_err(before)?;
    let found: Value = found.json().await.map_err(|error| before(error.without_url().to_string()))?;
    let id = found.get("id").and_then(Value::as_str).unwrap_or_default();
    let body = json!({ "channel_id": id, "message": text });
    let post = client.post(at(&["posts"])).bearer_auth(&token).json(&body).send().await;
    match post {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(Failed {
            why: format!("Mattermost refuses the message with {}", answer.status()),
            unclear: answer.status().is_server_error(),
        }),
        Err(error) => {
            let unclear = !error.is_connect();
            Err(Failed { why: format!("no answer of Mattermost: {}", error.without_url()), unclear })
        }
    }
}

async fn sent(request: RequestBuilder, refuses: &str) -> Result<Response, String> {
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Ok(answer),
        Ok(answer) => Err(format!("Mattermost {refuses}: {}", answer.status())),
        Err(error) => Err(format!("Mattermost cannot be reached: {}", error.without_url())),
    }
}

fn client(base: &Url, limit: Duration) -> Result<Client, String> {
    let builder = Client::builder().timeout(limit).redirect(reqwest::redirect::Policy::none()).no_proxy();
    let builder = match reach::proxy(base.as_str(), |name| ProcessEnv.var(name)) {
        Some(proxy) => {
            let proxy = reqwest::Proxy::all(proxy).map_err(|error| format!("the proxy: {error}"))?;
            builder.proxy(proxy)
        }
        None => builder,
    };
    builder.build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use lictor_compat::consul_alerts::{Kind, Settings};
    use lictor_testkit::service::{Answer, Call, Service};

    use super::*;

    fn notifier(server: &Service, user: &str) -> Notifier {
        let url = server.url();
        let keys = [
            ("config/notifiers/mattermost/url", url.as_str()),
            ("config/notifiers/mattermost/username", user),
            ("config/notifiers/mattermost/password", "geheim"),
            ("config/notifiers/mattermost/team", "ops team"),
            ("config/notifiers/mattermost/channel", "#alerts"),
        ];
        let settings = Settings::read("", keys.map(|(key, value)| (key, value.as_bytes())));
        settings.notifier(Kind::Mattermost).unwrap().clone()
    }

    fn server() -> Service {
        Service::start(|call: &Call| match call.path.as_str() {
            "/api/v4/users/login" => Answer::new(200, "{}").with("Token", "session"),
            "/api/v4/teams/name/ops%20team/channels/name/alerts" => Answer::new(200, r#"{"id": "c7"}"#),
            "/api/v4/posts" => Answer::new(201, "{}"),
            _ => Answer::new(404, "{}"),
        })
    }

    #[tokio::test]
    async fn a_user_logs_in_and_a_bot_shows_its_token() {
        let server = server();
        let limit = Duration::from_secs(20);
        for (user, token) in [("ada", "Bearer session"), ("", "Bearer geheim")] {
            let verdict = tell(&notifier(&server, user), "down".to_owned(), limit).await;
            assert_eq!(verdict, Verdict::Accepted);
            let posted = server.calls().pop().unwrap();
            assert_eq!(posted.headers["authorization"], token);
            let body: Value = serde_json::from_str(&posted.body).unwrap();
            assert_eq!(body, json!({ "channel_id": "c7", "message": "down" }));
        }
    }

    #[tokio::test]
    async fn what_is_not_taken_is_tried_again_and_shows_no_password() {
        let server = Service::start(|_| Answer::new(401, "geheim"));
        let verdict = tell(&notifier(&server, "ada"), "down".to_owned(), Duration::from_secs(20)).await;
        let Verdict::Refused { why, for_good: false, .. } = verdict else { panic!("{verdict:?}") };
        assert!(why.contains("401") && !why.contains("geheim"), "{why}");
    }
}
