//! How a check stood, day by day.

use lictor_store::Stood;
use serde::Serialize;

use crate::past::{DAYS, Record, WINDOWS, share};
use crate::web::page::day;

/// How a check stood.
#[derive(Debug, Serialize)]
pub(in crate::web) struct History {
    check: String,
    /// Of the last 24 hours, 7, 30 and 90 days.
    windows: Vec<Window>,
    /// Days of UTC that something is known of, the oldest first.
    days: Vec<Day>,
    /// Milliseconds of a look on average, in each of the last 60 minutes that had one; the oldest first.
    look_ms: Vec<u32>,
}

#[derive(Debug, Serialize)]
struct Window {
    last: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    up_share: Option<f64>,
    #[serde(flatten)]
    stood: Spans,
}

#[derive(Debug, Serialize)]
struct Day {
    day: String,
    #[serde(flatten)]
    stood: Spans,
}

#[derive(Debug, Serialize)]
struct Spans {
    passing_ms: u64,
    warning_ms: u64,
    critical_ms: u64,
    unknown_ms: u64,
    maintenance_ms: u64,
}

impl From<&Stood> for Spans {
    fn from(stood: &Stood) -> Self {
        Self {
            passing_ms: stood.passing,
            warning_ms: stood.warning,
            critical_ms: stood.critical,
            unknown_ms: stood.unknown,
            maintenance_ms: stood.maintenance,
        }
    }
}

impl History {
    pub(in crate::web) fn new(check: &str, record: Option<&Record>) -> Self {
        let none =
            Self { check: check.to_owned(), windows: Vec::new(), days: Vec::new(), look_ms: Vec::new() };
        let Some(record) = record else { return none };
        let windows = WINDOWS.iter().zip(&record.windows);
        let days = record.days.iter().enumerate();
        Self {
            windows: windows
                .map(|(last, stood)| Window { last, up_share: share(stood), stood: stood.into() })
                .collect(),
            days: days
                .filter_map(|(at, stood)| {
                    let stood = stood.as_ref()?.into();
                    Some(Day { day: day(record.today, DAYS - 1 - at), stood })
                })
                .collect(),
            look_ms: record.took.clone(),
            ..none
        }
    }
}
