//! Prometheus: an instant query, and what its result means.
//!
//! The check is about what is measured, not about the Prometheus: one that cannot be asked, refuses
//! the query or has no number leaves it *unknown*, and never passing.

mod answer;
mod ask;

use lictor_config::{Prometheus, Watch};
use lictor_core::{Sample, Span, Status, Value, Wall};
use tokio::time::{Duration, Instant, timeout};

use super::look::{Look, World};
use super::value::{self, Measured as _, float, named};
use crate::text::{escaped, one_line};
use answer::{Answer, Results, Series};

/// Series whose values are reported one by one.
const REPORTED: usize = 100;

/// Series that are named in a summary.
const NAMED: usize = 3;

/// Of a query, characters that are shown.
const QUERY: usize = 80;

/// Of the labels of a series.
const LABELS: usize = 80;

/// Of a text result, bytes that become a value.
const TEXT: usize = 1_024;

/// An answer that was made longer ago than this is no data: as long as Prometheus itself holds a
/// sample for the present one.
const STALE: Duration = Duration::from_secs(300);

pub(super) async fn look(settings: &Prometheus, watch: &Watch, world: &World) -> Look {
    let begun = Instant::now();
    let limit = watch.timeout;
    let mut sample = match timeout(limit, ask::ask(settings, limit)).await {
        Ok(Ok(answer)) => judge(settings, &answer, world.clock.now().wall),
        Ok(Err(why)) => Sample::new(Status::Unknown, why),
        Err(_late) => {
            let place = crate::remote::place(&settings.url);
            Sample::new(
                Status::Unknown,
                format!("the Prometheus at {place} has not answered within {}", Span(limit)),
            )
        }
    };
    sample.seconds(&value::TOTAL_SECONDS, begun.elapsed());
    Look::new(sample)
}

/// The past: what a look would have seen at each step from one time to another, milliseconds. Steps
/// at which the query had no result are among them.
///
/// # Errors
/// In words, when it is not told.
pub(crate) async fn past(
    settings: &Prometheus,
    (from, to, step): (i64, i64, i64),
    limit: Duration,
) -> Result<Vec<(i64, Sample)>, String> {
    let mut found = ask::ask_range(settings, (from, to, step), limit).await?.into_iter().peekable();
    let mut samples = Vec::new();
    let mut at = from;
    while at <= to {
        while found.next_if(|(found, _)| *found < at).is_some() {}
        let answer = found.next_if(|(found, _)| *found == at).map(|(_, answer)| answer);
        let none = || Answer { results: Results::Series(Vec::new()), warnings: Vec::new(), at: None };
        let sample = judge(settings, &answer.unwrap_or_else(none), Wall::from_unix_millis(at));
        samples.push((at, sample));
        at = at.saturating_add(step.max(1));
    }
    Ok(samples)
}

fn judge(settings: &Prometheus, answer: &Answer, now: Wall) -> Sample {
    let query = one_line(&settings.query, QUERY);
    let mut sample = match &answer.results {
        Results::Text(text) => {
            let wanted = settings.limits.warning.or(settings.limits.critical);
            let summary = format!("{query} is `{}`", one_line(text, QUERY));
            let mut sample = match wanted {
                Some(_) => Sample::new(Status::Unknown, format!("{summary}, which is no number")),
                None => Sample::new(Status::Passing, summary),
            };
            sample.text(&value::VALUE, escaped(super::look::cut(text, TEXT)));
            sample
        }
        Results::Series(series) if series.is_empty() => {
            let mut sample = Sample::new(settings.empty, format!("{query} has no result"));
            sample.number(&value::SERIES, 0.0);
            sample
        }
        Results::Series(series) => judge_series(settings, &query, series),
    };
    if let Some(age) = age(answer, now).filter(|age| *age > STALE) {
        sample = Sample::new(Status::Unknown, format!("the answer for {query} was made {} ago", Span(age)));
    }
    if !answer.warnings.is_empty() {
        sample.summary.push_str("; Prometheus warns: ");
        sample.summary.push_str(&answer.warnings.join("; "));
    }
    sample
}

/// How long ago the oldest part of the answer was made, by this machine's clock.
fn age(answer: &Answer, now: Wall) -> Option<Duration> {
    let millis = now.as_unix_millis();
    let at = answer.at?;
    let age = millis.saturating_sub(at);
    u64::try_from(age).ok().map(Duration::from_millis)
}

/// The worst of all series counts.
fn judge_series(settings: &Prometheus, query: &str, series: &[Series]) -> Sample {
    let verdict = |one: &Series| match one.number {
        Some(number) => settings.limits.judge(number),
        None => Status::Unknown,
    };
    let status = series.iter().map(verdict).fold(Status::Passing, Status::max);
    let bad: Vec<&Series> = series.iter().filter(|one| verdict(one) == status).collect();
    let limit = match status {
        Status::Critical => settings.limits.critical,
        Status::Warning => settings.limits.warning,
        Status::Passing | Status::Unknown => None,
    };
    let why = limit.map_or(String::new(), |limit| format!(", which is {limit}"));
    let what = |one: &Series| match one.number {
        Some(number) => number.to_string(),
        None => format!("no number (`{}`)", one.written),
    };
    let summary = match (series, status) {
        ([only], _) => format!("{query} is {}{why}", what(only)),
        (_, Status::Passing) => {
            format!("{query} has {} series, from {} to {}", series.len(), lowest(series), highest(series))
        }
        (_, Status::Warning | Status::Unknown | Status::Critical) => {
            let named: Vec<String> = bad
                .iter()
                .take(NAMED)
                .map(|one| format!("{} is {}", one_line(&one.labels, LABELS), what(one)))
                .collect();
            let more = bad.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{} of {} series of {query}: {}{more}{why}", bad.len(), series.len(), named.join(", "))
        }
    };
    let mut sample = Sample::new(status, summary);
    report(settings, series, &mut sample);
    sample
}

/// Adds the values; those that are infinite or no number are none.
fn report(settings: &Prometheus, series: &[Series], sample: &mut Sample) {
    if let [only] = series {
        if let Some(number) = only.number.filter(|number| number.is_finite()) {
            sample.number(&value::VALUE, number);
        }
    } else {
        let (low, high) = (lowest(series), highest(series));
        if low.is_finite() && high.is_finite() {
            sample.number(&value::LOWEST, low);
            sample.number(&value::HIGHEST, high);
        }
    }
    sample.number(&value::SERIES, float(series.len() as u64));
    let Some(label) = settings.label.as_ref().filter(|_| series.len() > 1) else { return };
    let mut told = std::collections::BTreeSet::new();
    let mut alike = false;
    for one in series.iter().take(REPORTED) {
        let Some(number) = one.number.filter(|number| number.is_finite()) else { continue };
        let name = one.label(label).and_then(|text| named(&format!("value:{text}")));
        let Some(name) = name else { continue };
        if told.insert(name.clone()) {
            sample.values.push((name, Value::Number(number)));
        } else {
            alike = true;
        }
    }
    if alike {
        sample.summary.push_str("; several series have the same `");
        sample.summary.push_str(label);
        sample.summary.push_str("`, of which the first is reported");
    }
    if series.len() > REPORTED {
        let more = format!("; the values of the first {REPORTED} are reported");
        sample.summary.push_str(&more);
    }
}

fn numbers(series: &[Series]) -> impl Iterator<Item = f64> {
    series.iter().filter_map(|one| one.number)
}

fn lowest(series: &[Series]) -> f64 {
    numbers(series).fold(f64::INFINITY, f64::min)
}

fn highest(series: &[Series]) -> f64 {
    numbers(series).fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests;
