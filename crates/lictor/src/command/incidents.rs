//! `lictor incidents`.

use serde_json::Value;

use super::events::{local, timeline};
use super::status::{incident_sheet, span};
use super::watch::{Pace, Page, look};
use crate::cli::Incidents as Args;
use crate::client::typed;
use crate::exit::Failure;
use crate::output::Terminal;
use crate::shape::{Incident, Incidents};

pub(crate) async fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    if let Some(id) = &args.id {
        let show = |answer: Value, terminal: &Terminal| {
            Terminal::data(&story(&typed::<Incident>(answer)?, terminal))
        };
        let path = format!("/v1/incidents/{}", encoded(id));
        return look(
            &Page { path: &path, query: Vec::new(), pace: Pace::Recorded, show },
            &args.how,
            terminal,
        )
        .await;
    }
    let query = args.open.then(|| ("open", "true".to_owned())).into_iter().collect();
    let show = |answer: Value, terminal: &Terminal| {
        let Incidents { incidents } = typed(answer)?;
        if incidents.is_empty() {
            let which = if args.open { "no open incident" } else { "no incident so far" };
            terminal.say(which);
            return Ok(());
        }
        Terminal::data(&incident_sheet(&incidents, terminal).text())
    };
    look(&Page { path: "/v1/incidents", query, pace: Pace::Recorded, show }, &args.how, terminal).await
}

/// An incident with its timeline.
pub(super) fn story(incident: &Incident, terminal: &Terminal) -> String {
    let state = if incident.open { format!("open, {}", incident.status) } else { "closed".to_owned() };
    let heading = format!(
        "{} of {}: {state}, worst {}, {} since {}",
        incident.id,
        incident.check,
        incident.worst,
        span(incident.lasts_ms),
        local(&incident.opened)
    );
    format!("{}\n\n{}", terminal.heading(&heading), timeline(&incident.timeline))
}

/// A name as one segment of a path.
pub(crate) fn encoded(name: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let shown = |byte| if safe(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(encoded("disk.root"), "disk.root");
        assert_eq!(encoded("a/b ?"), "a%2Fb%20%3F");
    }
}
