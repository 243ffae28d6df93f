//! What answers at `:5001/health`, by a key of Consul.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use jiff::Timestamp;
use lictor_compat::consul_snapshot::health;
use lictor_consul::{Client, Query};
use lictor_core::Wall;
use tokio::net::TcpListener;
use tracing::{error, warn};

/// How long Consul may take to answer: who looks after a program waits no longer.
const LIMIT: Duration = Duration::from_secs(5);

/// Listens on all addresses of the machine.
///
/// # Errors
/// In words, why that cannot be, and what to do about it.
pub(crate) async fn listen() -> Result<TcpListener, String> {
    let port = health::PORT;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "cannot answer at :{port}{}: another program has the port; end that one first",
                health::PATH
            )
        }
        _ => format!("cannot answer at :{port}{}: {error}", health::PATH),
    };
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(failed(error)),
        // A machine without IPv6.
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await.map_err(failed),
    }
}

/// Answers, for as long as it is not dropped.
pub(crate) async fn serve(listener: TcpListener, client: &Client) {
    let client = client.with_attempts(1).with_time_limit(LIMIT);
    if let Err(error) = axum::serve(listener, router(client)).await {
        error!(%error, "what answers how old the last backup is has ended");
    }
}

/// Answers how old the last backup is, whoever has made it.
fn router(client: Client) -> Router {
    Router::new().route(health::PATH, any(move || answer(client.clone())))
}

async fn answer(client: Client) -> (StatusCode, String) {
    let stored = match client.kv().get(health::KEY, &Query::new()).await {
        Ok(answer) => answer.value.map(|pair| pair.value),
        Err(error) => {
            warn!(%error, key = health::KEY, "it cannot be told how old the last backup is");
            None
        }
    };
    let now = Wall::from_unix_millis(Timestamp::now().as_millisecond());
    let (status, text) = health::answer(stored.as_deref(), now);
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text)
}

#[cfg(test)]
mod tests {
    use axum::extract::State;
    use axum::response::{IntoResponse as _, Response};
    use axum::routing::get;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use lictor_consul::Config;

    use super::*;

    /// Consul's answer to whoever asks for the key.
    fn pair(value: Option<String>) -> Response {
        let index = [("X-Consul-Index", "7")];
        match value {
            None => (StatusCode::NOT_FOUND, index).into_response(),
            Some(value) => {
                let value = STANDARD.encode(value);
                let key = health::KEY;
                let body = format!(
                    r#"[{{"LockIndex":0,"Key":"{key}","Flags":0,"Value":"{value}","CreateIndex":7,"ModifyIndex":7}}]"#
                );
                (index, body).into_response()
            }
        }
    }

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    /// What is answered where the key has this value.
    async fn answered(value: Option<String>) -> (u16, String) {
        let (consul, consul_at) = listener().await;
        let (ours, at) = listener().await;
        let path = format!("/v1/kv/{}", health::KEY);
        let kv = Router::new().route(&path, get(|State(value): State<Option<String>>| async { pair(value) }));
        let address = format!("http://{consul_at}").parse().unwrap();
        let client = Client::new(Config { address, ..Config::default() }).unwrap();
        let asked = async {
            let response = reqwest::get(format!("http://{at}{}", health::PATH)).await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
        tokio::select! {
            answer = asked => answer,
            ended = async { axum::serve(consul, kv.with_state(value)).await } => panic!("{ended:?}"),
            ended = async { axum::serve(ours, router(client)).await } => panic!("{ended:?}"),
        }
    }

    #[tokio::test]
    async fn what_is_answered_is_what_consul_knows() {
        let (status, text) = answered(Some(Timestamp::now().as_second().to_string())).await;
        assert!(
            status == 200 && text.starts_with("Last backup ") && text.ends_with(" seconds ago"),
            "{text}"
        );
        let (status, text) = answered(Some("1000".to_owned())).await;
        assert!(status == 500 && text.contains("more than an hour"), "{text}");
        let (status, text) = answered(None).await;
        assert!(status == 500 && text.starts_with("no backup is known"), "{text}");
    }
}
