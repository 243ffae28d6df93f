//! Who is let in: tokens, host names, other sites.

use base64::Engine as _;
use lictor_agent::web::{self, Limits, ListenError};
use lictor_config::{Listen, Secret};

use crate::web_client::{Server, serve, serve_guarded, serve_world};
use crate::web_world::{World, bad_day, noon};

const TOKEN: &str = "a-token-of-the-listener";

/// What is closed without the token: every route but the two for health.
const CLOSED: [(&str, &str); 16] = [
    ("GET", "/"),
    ("GET", "/fragment"),
    ("GET", "/incidents/i7"),
    ("GET", "/checks/shop"),
    ("GET", "/assets/x.css"),
    ("GET", "/metrics"),
    ("POST", "/-/reload"),
    ("GET", "/v1/status"),
    ("GET", "/v1/events/stream"),
    ("GET", "/v1/explain/shop"),
    ("POST", "/v1/runs/r16/retry"),
    ("POST", "/v1/remedies/prune-logs/start"),
    ("POST", "/v1/heartbeat/backup"),
    ("POST", "/v1/webhook/backup"),
    ("GET", "/nothing"),
    ("DELETE", "/v1/status"),
];

async fn status(server: &Server, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    server.ask(method, path, headers, "").await.status
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn without_the_token_everything_but_health_is_closed() {
    let server = serve_guarded(TOKEN).await;
    for (method, path) in CLOSED {
        let closed = server.ask(method, path, &[], "").await;
        assert_eq!((closed.status, closed.error().as_str()), (401, "unauthorized"), "{method} {path}");
        assert_eq!(closed.header("www-authenticate"), Some("Bearer realm=\"lictor\""));
        let wrong = [("Authorization", "Bearer a-token-of-the-listene")];
        assert_eq!(status(&server, method, path, &wrong).await, 401, "{method} {path}");
    }
    assert_eq!(server.get("/-/healthy").await.status, 200);
    assert_eq!(server.get("/-/ready").await.status, 200);
    assert!(server.world.commands().is_empty() && server.world.beats().is_empty());
}

#[tokio::test]
async fn the_token_opens_in_three_ways() {
    let server = serve_guarded(TOKEN).await;
    let bearer = format!("Bearer {TOKEN}");
    let password = basic("anyone", TOKEN);
    for header in
        [("Authorization", bearer.as_str()), ("X-Lictor-Token", TOKEN), ("Authorization", &password)]
    {
        assert_eq!(status(&server, "GET", "/v1/status", &[header]).await, 200, "{header:?}");
        assert_eq!(status(&server, "POST", "/v1/runs/r16/retry", &[header]).await, 200, "{header:?}");
        assert_eq!(status(&server, "GET", "/nothing", &[header]).await, 404, "{header:?}");
    }
    for odd in ["Bearer", "Bearer ", "", TOKEN, "Basic !!!", &basic(TOKEN, ""), &basic("a", "b")] {
        assert_eq!(status(&server, "GET", "/v1/status", &[("Authorization", odd)]).await, 401, "{odd}");
    }
    assert_eq!(status(&server, "GET", &format!("/v1/status?token={TOKEN}"), &[]).await, 401);
}

#[tokio::test]
async fn a_browser_is_asked_for_a_password() {
    let server = serve_guarded(TOKEN).await;
    let asked = server.ask("GET", "/", &[("Accept", "text/html,*/*;q=0.8")], "").await;
    assert_eq!(asked.status, 401);
    assert_eq!(asked.header("www-authenticate"), Some("Basic realm=\"lictor\", charset=\"UTF-8\""));
    // It is shown to who does not sign in. It says nothing of the node, and has nothing fetched.
    assert_eq!(asked.header("content-type"), Some("text/html; charset=utf-8"));
    for word in
        ["Not signed in", "a token is needed", "give the token as the password", "<a href=\"/\">Sign in</a>"]
    {
        assert!(asked.body.contains(word), "{word}\n{}", asked.body);
    }
    assert!(!asked.body.contains("/assets/") && !asked.body.contains("<header"), "{}", asked.body);
}

#[tokio::test]
async fn a_heartbeat_takes_its_own_token_or_the_listeners() {
    let guarded = serve_guarded(TOKEN).await;
    let own = [("Authorization", "Bearer nightly-secret")];
    let listeners = [("X-Lictor-Token", TOKEN)];
    let nightly = "/v1/heartbeat/jobs/nightly";
    assert_eq!(status(&guarded, "POST", nightly, &own).await, 200);
    assert_eq!(status(&guarded, "POST", nightly, &listeners).await, 200);
    assert_eq!(status(&guarded, "POST", nightly, &[]).await, 401);
    assert_eq!(status(&guarded, "POST", "/v1/heartbeat/backup", &listeners).await, 200);
    assert_eq!(status(&guarded, "POST", "/v1/heartbeat/backup", &own).await, 401, "it is another's");
    assert_eq!(status(&guarded, "POST", "/v1/heartbeat/shop", &own).await, 401, "names are not told");
    assert_eq!(status(&guarded, "GET", "/v1/status", &own).await, 401, "it opens nothing else");

    let open = serve().await;
    assert_eq!(status(&open, "POST", nightly, &[]).await, 401);
    assert_eq!(status(&open, "POST", nightly, &[("Authorization", "Bearer other")]).await, 401);
    assert_eq!(status(&open, "POST", nightly, &own).await, 200);
}

#[tokio::test]
async fn a_webhook_takes_its_own_token_or_the_listeners_as_bearer_or_password() {
    let guarded = serve_guarded(TOKEN).await;
    let call = async |path: &str, authorization: &str| {
        guarded.ask("POST", path, &[("Authorization", authorization)], "{}").await.status
    };
    let nightly = "/v1/webhook/jobs/nightly";
    assert_eq!(call(nightly, "Bearer nightly-secret").await, 200);
    assert_eq!(call(nightly, &basic("alertmanager", "nightly-secret")).await, 200);
    assert_eq!(call(nightly, &format!("Bearer {TOKEN}")).await, 200);
    assert_eq!(call(nightly, "Bearer nightly-secre").await, 401);
    assert_eq!(call(nightly, &basic("nightly-secret", "")).await, 401);
    assert_eq!(call("/v1/webhook/backup", "Bearer nightly-secret").await, 401, "it is another's");
    assert_eq!(call("/v1/webhook/shop", "Bearer nightly-secret").await, 401, "names are not told");
    assert_eq!(call("/v1/webhook/shop", &format!("Bearer {TOKEN}")).await, 404);
    assert_eq!(guarded.world.said().len(), 3, "what is refused is not taken");
}

#[tokio::test]
async fn a_name_that_was_made_to_point_here_is_refused() {
    let (view, past) = bad_day(noon());
    let world = World::new(view, past);
    let server = serve_world(world, None, &["lictor.example"], Limits::default()).await;
    let port = server.address.port();
    for fine in ["localhost", "127.0.0.1", "[::1]:1", "lictor.example", "LICTOR.example:443"] {
        assert_eq!(status(&server, "GET", "/v1/status", &[("Host", fine)]).await, 200, "{fine}");
    }
    assert_eq!(status(&server, "GET", "/v1/status", &[("Host", &format!("localhost:{port}"))]).await, 200);
    for foreign in ["evil.example", "evil.example:8510", "127.0.0.1.evil.example", "10.0.0.1", "", "a b"] {
        for (method, path) in [("GET", "/"), ("GET", "/v1/status"), ("POST", "/v1/runs/r16/retry")] {
            let refused = server.ask(method, path, &[("Host", foreign)], "").await;
            assert_eq!((refused.status, refused.error().as_str()), (421, "foreign_host"), "{foreign}");
        }
    }
    // The name in an absolute address counts as well.
    assert_eq!(status(&server, "GET", "http://evil.example/v1/status", &[]).await, 421);
    assert_eq!(
        status(&server, "GET", "/v1/status", &[("Host", "localhost"), ("Host", "localhost")]).await,
        400
    );
    assert!(server.world.commands().is_empty());
    // A probe may come by any name; it learns nothing.
    assert_eq!(status(&server, "GET", "/-/healthy", &[("Host", "probe.example")]).await, 200);
}

#[tokio::test]
async fn who_shows_the_token_may_come_by_any_name() {
    let server = serve_guarded(TOKEN).await;
    let by_name = [("Host", "node1.example"), ("X-Lictor-Token", TOKEN)];
    assert_eq!(status(&server, "GET", "/metrics", &by_name).await, 200);
    assert_eq!(status(&server, "GET", "/metrics", &[("Host", "node1.example")]).await, 421);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let server = serve().await;
    let host = server.address.to_string();
    let own = format!("http://{host}");
    let retry = "/v1/runs/r16/retry";
    for foreign in [
        &[("Origin", "https://evil.example")][..],
        &[("Origin", "null")],
        &[("Origin", "http://127.0.0.1:1")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site"), ("Origin", own.as_str())],
    ] {
        for path in [retry, "/-/reload", "/v1/heartbeat/backup", "/v1/remedies/prune-logs/start"] {
            let headers = [&[("Host", host.as_str())], foreign].concat();
            let refused = server.ask("POST", path, &headers, "").await;
            assert_eq!(
                (refused.status, refused.error().as_str()),
                (403, "foreign_site"),
                "{foreign:?} {path}"
            );
        }
    }
    assert!(server.world.commands().is_empty() && server.world.beats().is_empty());
    for own in [&[("Origin", own.as_str())][..], &[("Sec-Fetch-Site", "same-origin"), ("Origin", "null")]] {
        let headers = [&[("Host", host.as_str())], own].concat();
        assert_eq!(status(&server, "POST", retry, &headers).await, 200, "{own:?}");
    }
    // Reading across sites is the browser's to forbid, and it is told to.
    let read = server.ask("GET", "/v1/status", &[("Origin", "https://evil.example")], "").await;
    assert_eq!(read.status, 200);
    assert_eq!(read.header("access-control-allow-origin"), None);
    assert_eq!(read.header("cross-origin-resource-policy"), Some("same-origin"));
}

#[tokio::test]
async fn every_answer_says_what_a_browser_must_not_do() {
    let server = serve_guarded(TOKEN).await;
    for (path, token) in
        [("/", TOKEN), ("/", "wrong"), ("/v1/status", TOKEN), ("/nothing", TOKEN), ("/-/healthy", "")]
    {
        let answer = server.ask("GET", path, &[("X-Lictor-Token", token)], "").await;
        let policy = answer.header("content-security-policy").unwrap();
        for part in
            ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'"]
        {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn a_listener_for_others_needs_a_token_at_start() {
    let listen = |token: Option<&str>| Listen {
        address: "0.0.0.0:0".parse().unwrap(),
        token: token.map(Secret::value),
        allowed_hosts: Vec::new(),
    };
    let refused = web::bind(&listen(None)).unwrap_err();
    assert!(matches!(refused, ListenError::Open { .. }), "{refused}");
    assert_eq!(
        refused.to_string(),
        "the listener 0.0.0.0:0 can be reached from other machines but has no token"
    );
}
