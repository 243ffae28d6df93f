//! How a logical process asks its server, and what an answer says about what happened.
//!
//! A process asks one server, over connections of its own, each thing once. What an error means is laid down in one
//! place: a read that failed did not happen; a write did not happen if it was never sent or was refused, and *may*
//! have happened in all other cases. "No cluster leader" after a write mostly means that nothing was written; that cannot be
//! proven, so it is not claimed.

use std::time::Duration;

use lictor_consul::{Client, Config, ConfigError, Error, Limits};

use super::world::server;

/// Why there is no client of a server.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a client of the server at {address}: {source}")]
pub struct ClientError {
    address: String,
    source: ConfigError,
}

/// A client of the server on this host with connections of its own. A request is sent once and has this long.
///
/// # Errors
/// If it cannot be made.
pub fn connect(host: usize, limit: Duration) -> Result<Client, ClientError> {
    let address = format!("http://{}", server::http(host));
    let make = || {
        let limits = Limits { connect: limit, answer: limit, attempts: 1, ..Limits::default() };
        Client::new(Config { address: address.parse()?, limits, ..Config::default() })
    };
    make().map_err(|source| ClientError { address: address.clone(), source })
}

/// What a failed request says about what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It certainly did not happen.
    Not(String),
    /// It may have happened, or may still.
    Unknown(String),
}

impl Failure {
    /// Of a request's error.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let why = why(error);
        if error.may_have_happened() { Self::Unknown(why) } else { Self::Not(why) }
    }
}

/// What an error says, without the request it is about, which the operation names.
fn why(error: &Error) -> String {
    match error {
        Error::Status { status, message, .. } => format!("{status} {message}"),
        Error::TimedOut { limit, .. } => format!("no answer within {limit:?}"),
        Error::Unreachable { cause, .. } => format!("no connection: {cause}"),
        Error::Broken { cause, .. } => format!("broken connection: {cause}"),
        Error::RolledBack { errors, .. } => {
            errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers each connection with this, and a client of it.
    fn client(answer: &'static str) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                assert!(stream.read(&mut head).unwrap() > 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let limits = Limits { answer: Duration::from_secs(1), attempts: 1, ..Limits::default() };
        Client::new(Config { address: address.parse().unwrap(), limits, ..Config::default() }).unwrap()
    }

    async fn write(answer: &'static str) -> Failure {
        Failure::of(&client(answer).kv().put("k", "1").await.unwrap_err())
    }

    async fn read(answer: &'static str) -> Failure {
        let query = lictor_consul::Query::new();
        Failure::of(&client(answer).kv().get("k", &query).await.unwrap_err())
    }

    const NO_LEADER: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 17\r\nConnection: close\r\n\r\nNo cluster leader";

    #[tokio::test]
    async fn a_write_that_was_answered_by_an_error_of_the_server_may_have_happened() {
        assert_eq!(write(NO_LEADER).await, Failure::Unknown("500 No cluster leader".to_owned()));
        assert_eq!(read(NO_LEADER).await, Failure::Not("500 No cluster leader".to_owned()));
    }

    #[tokio::test]
    async fn a_write_whose_connection_broke_may_have_happened() {
        assert!(matches!(write("").await, Failure::Unknown(_)));
        assert!(matches!(read("").await, Failure::Not(_)));
    }

    #[tokio::test]
    async fn a_write_that_was_refused_did_not_happen() {
        let denied =
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\nConnection: close\r\n\r\nPermission denied";
        assert_eq!(write(denied).await, Failure::Not("403 Permission denied".to_owned()));
    }

    #[tokio::test]
    async fn a_write_that_was_never_sent_did_not_happen() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = Config { address: format!("http://{nobody}").parse().unwrap(), ..Config::default() };
        let error = Client::new(config).unwrap().kv().put("k", "1").await.unwrap_err();
        assert!(matches!(Failure::of(&error), Failure::Not(_)), "{error}");
    }
}
