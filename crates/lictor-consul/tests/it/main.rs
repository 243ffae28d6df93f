//! The client against real Consul servers, and against servers that answer what none should.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod access;
mod agent;
mod catalog;
mod cluster;
mod hostile;
mod kv;
mod limits;
mod outage;
mod rows;
mod session;
mod snapshot;
mod standin;
mod tls;
mod txn;
mod watch;

use std::time::Duration;

use lictor_consul::{Client, Config, Limits};
use lictor_testkit::consul::{self, Server};

/// Longer than anything should take on a slow machine.
const SOON: Duration = Duration::from_secs(20);

/// A client of the server the tests share, and a prefix of its keys that is this test's own.
fn shared(test: &str) -> (Client, String) {
    let prefix = format!("it/{test}/{}/", std::process::id());
    (client(consul::shared()), prefix)
}

/// A client of a server, with its token.
fn client(server: &Server) -> Client {
    Client::new(Config { token: server.token().map(Into::into), ..at(&server.url()) }).unwrap()
}

fn at(address: &str) -> Config {
    Config { address: address.parse().unwrap(), ..Config::default() }
}

/// A client of any address that gives up after `answer` and never repeats.
fn hasty(address: &str, answer: Duration) -> Client {
    Client::new(Config {
        limits: Limits { answer, attempts: 1, answer_bytes: 1 << 20, ..Limits::default() },
        ..at(address)
    })
    .unwrap()
}
