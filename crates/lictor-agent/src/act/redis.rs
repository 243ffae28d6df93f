//! `act "redis"`: one command that writes, as it stands in the configuration.

use std::time::Duration;

use lictor_config::{RedisAction, RedisPlace};
use lictor_core::Outcome;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};

use super::{failed, unknown};
use crate::Tasks;
use crate::redis::{Duplex, Reply, Session, Trouble};
use crate::watch::secured;

/// Gives the command, once.
pub(super) async fn act(action: &RedisAction, limit: Duration, tasks: &Tasks) -> Outcome {
    let begun = Instant::now();
    let deadline = begun + limit;
    let late = || format!("no answer within {:.1} s", limit.as_secs_f64());
    let ready = async {
        let stream = connect(&action.server.place, tasks).await?;
        Session::begin(stream, &action.server).await.map_err(|trouble| trouble.to_string())
    };
    let mut session = match timeout_at(deadline, ready).await {
        Ok(Ok(session)) => session,
        Ok(Err(why)) => return failed(format!("was never sent: {why}")),
        Err(_late) => return failed(format!("was never sent: {}", late())),
    };
    let words: Vec<&str> = action.command.iter().map(String::as_str).collect();
    match timeout_at(deadline, session.call(&words)).await {
        Ok(Ok(reply)) => Outcome::Done { detail: told(&reply, begun.elapsed()) },
        // It said no: nothing was changed.
        Ok(Err(why @ Trouble::Refused(_))) => failed(why.to_string()),
        Ok(Err(why)) => unknown(format!("it was sent, then: {why}")),
        Err(_late) => unknown(late()),
    }
}

fn told(reply: &Reply, took: Duration) -> String {
    let said = match reply {
        Reply::Word(word) => word.clone(),
        Reply::Number(number) => number.to_string(),
        Reply::Text(_) | Reply::List(_) => "something".to_owned(),
    };
    format!("it answered {said} after {:.1} s", took.as_secs_f64())
}

async fn connect(place: &RedisPlace, tasks: &Tasks) -> Result<Box<dyn Duplex>, String> {
    match place {
        RedisPlace::Unix(path) => {
            let stream = UnixStream::connect(path).await;
            let stream = stream.map_err(|error| format!("cannot connect to {}: {error}", path.display()))?;
            Ok(Box::new(stream))
        }
        RedisPlace::Tcp { host, port, tls } => {
            let tcp = TcpStream::connect((host.as_str(), *port)).await;
            let tcp = tcp.map_err(|error| format!("cannot connect to {host}:{port}: {error}"))?;
            match tls {
                None => Ok(Box::new(tcp)),
                Some(profile) => Ok(Box::new(secured(tasks, profile, host, tcp).await?)),
            }
        }
    }
}
