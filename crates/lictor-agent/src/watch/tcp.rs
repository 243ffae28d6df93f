//! TCP: a connection is accepted, and says what is expected.

use std::time::Duration;

use lictor_config::Tcp;
use lictor_core::{Sample, Span, Status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::fault::{Fault, Stage};
use super::look::{Look, World, cut};
use super::stream::{Stream, connect};
use super::tls::Validity;
use super::value::{self, Measured as _};

/// Of an answer, bytes that are read for what is expected in it.
const ANSWER: usize = 64 * 1024;

#[derive(Debug, Default)]
struct Measured {
    dns: Option<Duration>,
    connect: Option<Duration>,
    tls: Option<Duration>,
    first_byte: Option<Duration>,
    validity: Option<Validity>,
}

pub(super) async fn look(tcp: &Tcp, limit: Duration, world: &World) -> Look {
    let mut stage = Stage::start();
    let mut measured = Measured::default();
    let ended = match timeout(limit, talk(tcp, limit, world, &mut stage, &mut measured)).await {
        Ok(ended) => ended,
        Err(_late) => Err(stage.late(limit)),
    };
    let total = stage.started().elapsed();
    let mut sample = match ended {
        Ok(()) => judge(tcp, total),
        Err(fault) => fault.into_sample(),
    };
    let phases = [
        (&value::DNS_SECONDS, measured.dns),
        (&value::CONNECT_SECONDS, measured.connect),
        (&value::TLS_SECONDS, measured.tls),
        (&value::FIRST_BYTE_SECONDS, measured.first_byte),
        (&value::TOTAL_SECONDS, Some(total)),
    ];
    for (name, time) in phases {
        if let Some(time) = time {
            sample.seconds(name, time);
        }
    }
    if let Some(validity) = measured.validity {
        sample.number(&value::CERTIFICATE_DAYS, validity.days_left(world.clock.now().wall));
    }
    Look::new(sample)
}

fn judge(tcp: &Tcp, total: Duration) -> Sample {
    let Tcp { host, port, .. } = tcp;
    match tcp.warn_slower.filter(|limit| total > *limit) {
        Some(limit) => {
            let message = format!("{host}:{port} took {}, longer than {}", Span(total), Span(limit));
            Sample::new(Status::Warning, message)
        }
        None => {
            let did = if tcp.expect.is_some() { "answered" } else { "accepted" };
            Sample::new(Status::Passing, format!("{host}:{port} {did} in {}", Span(total)))
        }
    }
}

async fn talk(
    tcp: &Tcp,
    limit: Duration,
    world: &World,
    stage: &mut Stage,
    measured: &mut Measured,
) -> Result<(), Fault> {
    let Tcp { host, port, .. } = tcp;
    let begun = stage.enter(format!("looking up {host}"));
    let addresses = world.resolver.addresses(host, *port, tcp.family).await?;
    if host.parse::<std::net::IpAddr>().is_err() {
        measured.dns = Some(begun.elapsed());
    }
    let begun = stage.enter("connect");
    let plain = connect(&addresses, stage.started() + limit, stage).await?;
    measured.connect = Some(begun.elapsed());
    let mut stream = match &tcp.tls {
        None => Stream::Plain(plain),
        Some(profile) => {
            let begun = stage.enter(format!("the TLS handshake with {host}:{port}"));
            let secured = world.tls.secure(profile, host, plain).await.map_err(|failed| {
                measured.validity = failed.validity;
                failed.fault
            })?;
            measured.tls = Some(begun.elapsed());
            measured.validity = secured.validity;
            Stream::Tls(Box::new(secured.stream))
        }
    };
    let begun = if let Some(bytes) = &tcp.send {
        let begun = stage.enter(format!("sending to {host}:{port}"));
        let sent = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        sent.await.map_err(|error| Fault::io(format_args!("cannot send to {host}:{port}"), &error))?;
        begun
    } else {
        stage.started()
    };
    let Some(wanted) = &tcp.expect else { return Ok(()) };
    stage.enter(format!("the answer of {host}:{port}"));
    let mut answer = Vec::new();
    let mut piece = [0; 4_096];
    while answer.len() < ANSWER {
        let count = stream
            .read(&mut piece)
            .await
            .map_err(|error| Fault::io(format_args!("{host}:{port} broke the connection"), &error))?;
        if count == 0 {
            break;
        }
        measured.first_byte.get_or_insert_with(|| begun.elapsed());
        answer.extend_from_slice(piece.get(..count).unwrap_or_default());
        let text = String::from_utf8_lossy(&answer);
        if wanted.is_match(&text) {
            return Ok(());
        }
        stage.enter(format!("waiting for /{wanted}/ after `{}`", cut(text.trim_end(), 80)));
    }
    let text = String::from_utf8_lossy(&answer);
    Err(Fault::critical(match answer.len() {
        0 => format!("{host}:{port} closed the connection without an answer"),
        _ => format!("{host}:{port} answered `{}`, wanted /{wanted}/", cut(text.trim_end(), 80)),
    }))
}
