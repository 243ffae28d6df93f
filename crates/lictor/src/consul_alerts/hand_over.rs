//! `watch`: hands over what `consul watch` gives. Nothing needs it any more; who runs it may.

use std::io::Read as _;
use std::time::Duration;

use lictor_compat::consul_alerts::ALERT_ADDR;
use lictor_compat::consul_alerts::cli::{Options, Watched};

use super::{EXIT_FAILED, EXIT_NOT_HANDED_OVER, Ended, place};
use crate::exit::{Exit, Failure};

/// Most that is read, bytes.
const LARGEST: u64 = 64 << 20;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(what: Watched, options: &Options) -> Result<(), Ended> {
    let mut body = Vec::new();
    let read = std::io::stdin().take(LARGEST).read_to_end(&mut body);
    read.map_err(|why| Ended::new(EXIT_NOT_HANDED_OVER, format!("cannot read the standard input: {why}")))?;
    let address = options.alert_addr.as_deref().unwrap_or(ALERT_ADDR);
    let url = format!("http://{}{}", place::reachable(address), what.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Ended::new(EXIT_FAILED, format!("cannot start: {error}")))?;
    let refused = |why: String| {
        let message = format!("cannot hand over to {url}: {why}");
        let why = Failure::new(Exit::Unreachable, message)
            .help("it runs as `consul-alerts start`; --alert-addr says where");
        Ended { code: EXIT_NOT_HANDED_OVER, why: Some(why) }
    };
    runtime.block_on(async {
        let client = place::client(PATIENCE).map_err(&refused)?;
        let sent = client.post(&url).header("content-type", "text/json").body(body).send().await;
        match sent.map(|answer| answer.status()) {
            Ok(status) if status.as_u16() == 200 => Ok(()),
            Ok(status) => Err(refused(format!("it answers {status}"))),
            Err(error) => Err(refused(error.without_url().to_string())),
        }
    })
}
