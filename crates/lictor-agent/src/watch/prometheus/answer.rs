//! What a Prometheus answers to an instant query.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::text::one_line;

/// Of each thing that a server says, characters that are shown.
const SHOWN: usize = 300;

/// Warnings that are shown.
const WARNINGS: usize = 3;

/// An answer that says something.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) results: Results,
    /// What the server warns of.
    pub(super) warnings: Vec<String>,
    /// When the oldest of it was made, milliseconds since 1970; `None` when there is nothing.
    pub(super) at: Option<i64>,
}

/// What a query gave.
#[derive(Debug, PartialEq)]
pub(super) enum Results {
    /// A scalar is one series without labels.
    Series(Vec<Series>),
    Text(String),
}

/// One series, as it is now.
#[derive(Debug, PartialEq)]
pub(super) struct Series {
    /// `None` when it is not a number.
    pub(super) number: Option<f64>,
    /// What it is instead.
    pub(super) written: String,
    /// As PromQL writes them.
    pub(super) labels: String,
    all: BTreeMap<String, String>,
}

impl Series {
    /// The value of a label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.all.get(name).map(String::as_str)
    }

    fn new(number: Option<&str>, all: BTreeMap<String, String>) -> Self {
        let written = number.map_or_else(|| "a histogram".to_owned(), |text| one_line(text, 40));
        let number = number.and_then(read);
        let name = all.get("__name__").cloned().unwrap_or_default();
        let others = all.iter().filter(|(label, _)| label.as_str() != "__name__");
        let others: Vec<String> = others.map(|(label, text)| format!("{label}={text:?}")).collect();
        let labels = format!("{name}{{{}}}", others.join(","));
        Self { number, written, labels, all }
    }
}

/// A number as Prometheus writes one. NaN is none; neither is anything else that does not say one.
fn read(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        _ if text.ends_with(|c: char| c.is_ascii_digit()) => {
            text.parse().ok().filter(|number: &f64| number.is_finite())
        }
        _ => None,
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    status: String,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    data: Option<Data>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Debug, Deserialize)]
struct Element {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
}

/// One series of an answer about the past.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    #[serde(default)]
    histograms: Vec<(f64, serde::de::IgnoredAny)>,
}

/// What a body says.
///
/// # Errors
/// In words that follow "the Prometheus at …": it refuses, or says nothing that is understood.
pub(super) fn understand(body: &[u8]) -> Result<Answer, String> {
    let (Data { result_type, result }, warnings) = data(body)?;
    let odd = |error: serde_json::Error| format!("gives a {result_type} that is not understood: {error}");
    let (results, times) = match result_type.as_str() {
        "vector" => {
            let elements: Vec<Element> = serde_json::from_value(result).map_err(odd)?;
            let times: Vec<f64> =
                elements.iter().filter_map(|element| Some(element.value.as_ref()?.0)).collect();
            let series = elements.into_iter().map(|element| {
                let number = element.value.as_ref().map(|(_, text)| text.as_str());
                Series::new(number, element.metric)
            });
            (Results::Series(series.collect()), times)
        }
        "scalar" => {
            let (at, text): (f64, String) = serde_json::from_value(result).map_err(odd)?;
            (Results::Series(vec![Series::new(Some(&text), BTreeMap::new())]), vec![at])
        }
        "string" => {
            let (at, text): (f64, String) = serde_json::from_value(result).map_err(odd)?;
            (Results::Text(text), vec![at])
        }
        "matrix" => {
            let way =
                "ask for one value of each series, with a function such as last_over_time(…) or rate(…)";
            return Err(format!("gives the values of a whole range, which cannot be judged: {way}"));
        }
        other => return Err(format!("gives a `{}`, which is not known", one_line(other, 40))),
    };
    let oldest = times.into_iter().filter(|at| at.is_finite()).fold(f64::INFINITY, f64::min);
    Ok(Answer { results, warnings, at: millis(oldest) })
}

/// The result that a body has, and what the server warns of.
fn data(body: &[u8]) -> Result<(Data, Vec<String>), String> {
    let wire: Wire = serde_json::from_slice(body)
        .map_err(|error| format!("does not answer as a Prometheus does: {error}"))?;
    let warnings = wire.warnings.iter().take(WARNINGS).map(|text| one_line(text, SHOWN)).collect();
    if wire.status != "success" {
        let (kind, why) = (one_line(&wire.error_type, 40), one_line(&wire.error, SHOWN));
        let status = one_line(&wire.status, 40);
        return Err(if kind.is_empty() && why.is_empty() {
            format!("says `{status}` and not why")
        } else {
            format!("refuses the query ({kind}): {why}")
        });
    }
    wire.data.map(|data| (data, warnings)).ok_or_else(|| "answers without data".to_owned())
}

/// What the body of an answer about the past says: what an instant query would have given, time by
/// time.
///
/// # Errors
/// As [`understand`].
pub(super) fn understand_range(body: &[u8]) -> Result<Vec<(i64, Answer)>, String> {
    let (Data { result_type, result }, warnings) = data(body)?;
    if result_type != "matrix" {
        return Err(format!("gives a `{}` for a range, which is not known", one_line(&result_type, 40)));
    }
    let odd = |error: serde_json::Error| format!("gives a {result_type} that is not understood: {error}");
    let rows: Vec<Row> = serde_json::from_value(result).map_err(odd)?;
    let mut found: BTreeMap<i64, Vec<Series>> = BTreeMap::new();
    for Row { metric, values, histograms } in rows {
        let numbers = values.into_iter().map(|(at, text)| (at, Some(text)));
        let others = histograms.into_iter().map(|(at, _)| (at, None));
        for (at, text) in numbers.chain(others) {
            let Some(at) = millis(at) else { continue };
            found.entry(at).or_default().push(Series::new(text.as_deref(), metric.clone()));
        }
    }
    let answer = |(at, series): (i64, Vec<Series>)| {
        (at, Answer { results: Results::Series(series), warnings: warnings.clone(), at: Some(at) })
    };
    Ok(found.into_iter().map(answer).collect())
}

/// Seconds as Prometheus writes them, in milliseconds.
fn millis(seconds: f64) -> Option<i64> {
    if seconds.is_finite() { format!("{:.0}", seconds * 1_000.0).parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(body: &str) -> Result<Answer, String> {
        understand(body.as_bytes())
    }

    fn numbers(result: &str) -> Vec<Option<f64>> {
        let body =
            format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"vector\",\"result\":{result}}}}}");
        match understood(&body).unwrap().results {
            Results::Series(series) => series.iter().map(|one| one.number).collect(),
            Results::Text(text) => panic!("{text}"),
        }
    }

    #[test]
    fn what_is_no_number_is_never_one() {
        let with = |text: &str| numbers(&format!("[{{\"metric\":{{}},\"value\":[1,\"{text}\"]}}]"))[0];
        assert_eq!(with("0"), Some(0.0));
        assert_eq!(with("1.5e+06"), Some(1_500_000.0));
        assert_eq!(with("+Inf"), Some(f64::INFINITY));
        for text in ["NaN", "", "inf", "infinity", "stopped", "1 GB", " 1", "1e999"] {
            assert_eq!(with(text), None, "{text}");
        }
        assert_eq!(numbers(r#"[{"metric":{},"histogram":[1,{"count":"3"}]}]"#), [None]);
        assert_eq!(numbers("[]"), []);
    }

    #[test]
    fn scalars_and_texts_are_results_and_ranges_are_not() {
        let scalar = understood(r#"{"status":"success","data":{"resultType":"scalar","result":[1.5,"7"]}}"#);
        let scalar = scalar.unwrap();
        assert_eq!(scalar.at, Some(1_500));
        assert!(matches!(scalar.results, Results::Series(series) if series[0].number == Some(7.0)));
        let text = understood(r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#);
        assert_eq!(text.unwrap().results, Results::Text("x".to_owned()));
        let matrix = understood(r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#);
        assert!(matrix.unwrap_err().starts_with("gives the values of a whole range"));
    }

    #[test]
    fn the_past_is_told_time_by_time() {
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"a":"1"},"values":[[10,"1"],[20.5,"NaN"]]},{"metric":{"a":"2"},"values":[[10,"3"]]}]}}"#;
        let found = understand_range(body.as_bytes()).unwrap();
        let told: Vec<(i64, Vec<Option<f64>>)> = found
            .into_iter()
            .map(|(at, answer)| match answer.results {
                Results::Series(series) => (at, series.iter().map(|one| one.number).collect()),
                Results::Text(text) => panic!("{text}"),
            })
            .collect();
        assert_eq!(told, [(10_000, vec![Some(1.0), Some(3.0)]), (20_500, vec![None])]);
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        assert!(understand_range(vector.as_bytes()).is_err());
    }

    #[test]
    fn a_refusal_says_why() {
        let why = understood(r#"{"status":"error","errorType":"bad_data","error":"1:3: parse\nerror"}"#);
        assert_eq!(why.unwrap_err(), "refuses the query (bad_data): 1:3: parse error");
        assert_eq!(understood(r#"{"status":"error"}"#).unwrap_err(), "says `error` and not why");
        assert_eq!(understood(r#"{"status":"success"}"#).unwrap_err(), "answers without data");
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for body in [
            "",
            "<html>",
            "[]",
            "{}",
            "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":7}}",
        ] {
            assert!(understood(body).is_err(), "{body}");
        }
    }

    #[test]
    fn a_series_is_named_as_it_is_written() {
        let metric = r#"{"__name__":"up","job":"a\"b","instance":"h:1"}"#;
        let body = format!(
            "{{\"status\":\"success\",\"data\":{{\"resultType\":\"vector\",\"result\":[{{\"metric\":{metric},\"value\":[1,\"1\"]}}]}}}}"
        );
        let Results::Series(series) = understood(&body).unwrap().results else { panic!() };
        assert_eq!(series[0].labels, r#"up{instance="h:1",job="a\"b"}"#);
        assert_eq!(series[0].label("job"), Some("a\"b"));
    }
}
