//! A snapshot is restored into a throw-away server, saved again, and compared: then it is known whether it can be restored.

use lictor_agent::snapshot::drill::{
    Counted, Difference, DrillError, DrillMeans, Drilled, LIMIT, drill, find_consul,
};
use serde::Serialize;

use crate::busy::Busy;
use crate::cli::SnapshotDrill;
use crate::command::status::span;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal, table};

/// What is shown as JSON.
#[derive(Serialize)]
struct Outcome<'a> {
    passed: bool,
    #[serde(flatten)]
    drilled: &'a Drilled,
    /// How many things differ that should not.
    differing: u64,
    /// The first of them.
    differences: &'a [Difference],
}

pub(super) async fn run(args: &SnapshotDrill) -> Result<(), Failure> {
    let consul = match &args.consul {
        Some(path) => path.clone(),
        None => find_consul(std::env::var_os("PATH").as_deref()).ok_or_else(|| {
            Failure::new(Exit::NotFound, "there is no program `consul` in PATH to restore it with")
                .help("--consul PATH names one; nothing but the drill needs it on this machine")
        })?,
    };
    let limit = args.limit.unwrap_or(LIMIT);
    let means = DrillMeans { scratch: args.scratch.clone(), limit, ..DrillMeans::new(consul) };
    let busy = Busy::with("beginning");
    let drilled = drill(&args.file, &means, |step| busy.now(step.to_string())).await;
    drop(busy);
    let error = match drilled {
        Ok(drilled) => {
            return show(args, &Outcome { passed: true, drilled: &drilled, differing: 0, differences: &[] });
        }
        Err(error) => error,
    };
    if let DrillError::Differs(found) = &error {
        let (drilled, differing, differences) = (&found.drilled, found.total, &found.first[..]);
        show(args, &Outcome { passed: false, drilled, differing, differences })?;
    }
    let failure = Failure::new(Exit::Failed, format!("{}: {error}", args.file.display()));
    Err(match error.blames_snapshot() {
        true => failure,
        false => failure.help("the drill did not come about, which says nothing of the snapshot"),
    })
}

fn show(args: &SnapshotDrill, outcome: &Outcome<'_>) -> Result<(), Failure> {
    match args.format {
        Format::Json => Terminal::json(outcome),
        Format::Text => Terminal::data(&words(outcome)),
    }
}

fn words(outcome: &Outcome<'_>) -> String {
    let Drilled { took_ms, restore_ms, index, records, consul, counted, .. } = outcome.drilled;
    let row = |counted: &Counted| {
        let Counted { what, in_snapshot, compared, afterwards } = counted;
        [what.clone(), in_snapshot.to_string(), compared.to_string(), afterwards.to_string()]
    };
    let rows = table(["WHAT", "IN THE SNAPSHOT", "COMPARED", "AFTERWARDS"], counted.iter().map(row));
    let compared = outcome.drilled.compared();
    let verdict = match outcome.differing {
        0 => "all as they were".to_owned(),
        differing => format!("{differing} not as they were"),
    };
    format!(
        "Restored {records} records up to index {index} into Consul {consul} in {}: {compared} compared one by one, {verdict}\n\n{rows}\n\nThe drill took {}.",
        span(*restore_ms),
        span(*took_ms)
    )
}
