//! Opening the port for peers anew: moving it to the next one and back. Setting the same port again
//! does nothing.

use std::time::Duration;

use lictor_core::Outcome;
use tokio::time::{Instant, sleep};

use super::note::Port;
use super::{Attempt, told};
use crate::act::Prepared;
use crate::qbittorrent::{Connection, Fresh, Problem};

/// Within this it opens the port that it was given.
const OPENS: Duration = Duration::from_secs(3);

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Notes which port it is.
pub(super) async fn prepare(attempt: Attempt<'_>) -> Result<Prepared, String> {
    let now = attempt.client.listen_port(attempt.until).await.map_err(told)?;
    if now == 0 {
        let detail = "qBittorrent draws its port at each start, so there is none to be moved".to_owned();
        return Ok(Prepared::Over(Outcome::Failed { detail }));
    }
    // An earlier attempt may not have come to move it back.
    let earlier = Port::of_step(attempt.order).filter(|earlier| earlier.next() == now);
    Ok(Prepared::Note(earlier.unwrap_or(Port::new(now)).to_text()))
}

/// Moves it away and back, and waits until it is open.
pub(super) async fn act(attempt: Attempt<'_>) -> Result<String, String> {
    let Some(note) = Port::of_step(attempt.order) else {
        return Err("which port it is was not noted before: it was not moved".to_owned());
    };
    let (until, client) = (attempt.until, attempt.client);
    client.set_listen_port(note.next(), until).await.map_err(told)?;
    sleep(OPENS.min(attempt.limit / 4)).await;
    // By all means: it must not be left where it is now.
    while let Err(problem) = client.set_listen_port(note.port, until).await {
        if matches!(problem, Problem::Barred(_)) || Instant::now() + LOOK >= until {
            return Err(format!("the port was moved to {} and not back: {problem}", note.next()));
        }
        sleep(LOOK).await;
    }
    sleep(OPENS.min(attempt.limit / 4)).await;
    loop {
        let is = client.listen_port(until).await.map_err(told)?;
        let open = client.picture(Fresh::Changes, until).await.map_err(told)?.connection();
        if is == note.port && open.is_some_and(|open| open != Connection::Disconnected) {
            return Ok(format!("port {is} was closed and opened again"));
        }
        if Instant::now() + LOOK >= until {
            return Err(format!(
                "port {is} was closed and is not open again (is its network interface there?)"
            ));
        }
        sleep(LOOK).await;
    }
}
