//! Consul as the agent uses it: a client from the configuration, and the agent's own entry
//! in the catalog.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::Consul;
use lictor_consul::{CheckKind, Client, Error, NewCheck, NewService, Status};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::inbox::{Inbox, View};

/// Consul holds the agent's service for critical when it has not said for this long that
/// it is well. Long enough for an election of Consul's leader.
const TTL: Duration = Duration::from_secs(30);

/// How often it says so.
const EVERY: Duration = Duration::from_secs(10);

/// How long a stop waits for Consul.
const GOODBYE: Duration = Duration::from_secs(1);

/// The client that a `consul` block asks for. The token is read now; a rotated one is taken up
/// by a reload.
///
/// # Errors
/// What is wrong with the settings, in words.
pub fn client(settings: &Consul) -> Result<Client, String> {
    let tls = &settings.tls;
    let config = lictor_consul::Config {
        address: settings.address.parse().map_err(|error| format!("{error}"))?,
        token: token(settings)?,
        auth: login(|name| std::env::var(name).ok())?,
        datacenter: settings.datacenter.clone(),
        namespace: settings.namespace.clone(),
        tls: lictor_consul::Tls {
            ca_file: tls.ca_file.clone(),
            ca_dir: None,
            client_cert: tls.cert_file.clone(),
            client_key: tls.key_file.clone(),
            server_name: tls.server_name.clone(),
            skip_verify: tls.insecure,
        },
        ..lictor_consul::Config::default()
    };
    Client::new(config).map_err(|error| error.to_string())
}

/// Has the client and its clones use the token that the settings name now.
///
/// # Errors
/// Why the old one stays, in words.
pub(crate) fn renew(client: &Client, settings: &Consul) -> Result<(), String> {
    client.set_token(token(settings)?.as_ref()).map_err(|error| error.to_string())
}

/// User and password for a proxy before Consul, which only the environment names.
fn login(variable: impl Fn(&str) -> Option<String>) -> Result<Option<lictor_consul::Auth>, String> {
    let only = |name: &str| variable(name).filter(|_| name == "CONSUL_HTTP_AUTH");
    lictor_consul::Config::from_env(only).map(|config| config.auth).map_err(|error| error.to_string())
}

fn token(settings: &Consul) -> Result<Option<lictor_consul::Secret>, String> {
    let token = settings.token.as_ref().map(lictor_config::Secret::reveal).transpose();
    token.map(|token| token.map(lictor_consul::Secret::new)).map_err(|error| error.to_string())
}

/// Keeps the agent registered as a service with a TTL check, until it stops.
pub(crate) async fn register(
    client: Client,
    name: String,
    node: String,
    address: SocketAddr,
    inbox: Inbox,
    stop: CancellationToken,
) {
    let service = service(&name, &node, &format!("{name} agent"), Some(address));
    let said = move || -> BoxFuture<'static, (Status, String)> {
        let inbox = inbox.clone();
        Box::pin(async move {
            match inbox.view().await {
                Ok(view) => health(&view),
                Err(gone) => (Status::Critical, gone.to_string()),
            }
        })
    };
    keep(client, service, said, stop).await;
}

/// Keeps a service registered with a TTL check that says what `said` says, until it is told to stop. What the Consul
/// agent forgot (it was restarted without its data) is registered again.
pub(crate) async fn keep(
    client: Client,
    service: NewService,
    said: impl Fn() -> BoxFuture<'static, (Status, String)> + Send,
    stop: CancellationToken,
) {
    let (name, id) = (service.name.clone(), service.id.clone().unwrap_or_default());
    let check = format!("service:{id}");
    let mut registered = false;
    let mut told = false;
    loop {
        let done = async {
            let (status, note) = said().await;
            if !registered {
                client.agent().register_service(&service).await?;
            }
            client.agent().update(&check, &status, &note).await
        };
        let said = tokio::select! {
            said = done => said,
            () = stop.cancelled() => break,
        };
        match said {
            Ok(()) => {
                if !std::mem::replace(&mut registered, true) {
                    info!(service = name, id, "registered in Consul");
                }
                told = false;
            }
            Err(error) => {
                registered = false;
                if !std::mem::replace(&mut told, true) {
                    tell(&error);
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => break,
        }
    }
    // A stop that was meant is no fault to be found after a while; the next start comes back.
    let gone = tokio::time::timeout(GOODBYE, client.agent().deregister_service(&id)).await;
    if !matches!(gone, Ok(Ok(()))) {
        debug!(id, "the entry in Consul could not be taken back; its check turns critical");
    }
}

fn tell(error: &Error) {
    warn!(%error, "cannot register in Consul; trying again");
}

/// A service of this node with a TTL check.
pub(crate) fn service(name: &str, node: &str, check: &str, address: Option<SocketAddr>) -> NewService {
    let id = format!("{name}-{node}");
    let mut check = NewCheck::new(check.to_owned(), CheckKind::Ttl(TTL));
    check.id = Some(format!("service:{id}"));
    check.status = Some(Status::Passing);
    NewService {
        id: Some(id),
        name: name.to_owned(),
        tags: Vec::new(),
        meta: [
            ("node".to_owned(), node.to_owned()),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ]
        .into(),
        address: address
            .map(|address| address.ip())
            .filter(|ip| !ip.is_unspecified())
            .map(|ip| ip.to_string()),
        port: address.map(|address| address.port()),
        checks: vec![check],
    }
}

/// How the agent itself is: it is well when it can record and act.
fn health(view: &View) -> (Status, String) {
    match &view.cannot_record {
        Some((why, _)) => (Status::Critical, format!("nothing is acted on: {why}")),
        None if view.withheld => {
            (Status::Warning, "watching, but not acting before it is known what was under way".to_owned())
        }
        None => {
            let bad =
                view.checks.values().filter(|check| check.status != lictor_core::Status::Passing).count();
            (Status::Passing, format!("watching {} checks, {bad} of them not passing", view.checks.len()))
        }
    }
}
