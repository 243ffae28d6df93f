use std::fmt::Write as _;

use lictor_config::{Limit, Limits, Tls};
use lictor_core::Compare;

use super::*;
use answer::understand;

fn settings(label: Option<&str>, limits: Limits) -> Prometheus {
    Prometheus {
        url: "http://127.0.0.1:9090".parse().unwrap(),
        query: "filling".to_owned(),
        headers: Vec::new(),
        basic_auth: None,
        bearer: None,
        tls: Tls::default(),
        empty: Status::Unknown,
        limits,
        label: label.map(str::to_owned),
    }
}

fn limits() -> Limits {
    let over = |than| Some(Limit { how: Compare::Greater, than });
    Limits { warning: over(80.0), critical: over(90.0) }
}

/// An answer with these series, made at second 1000.
fn body(series: &[(&str, &str)]) -> String {
    let mut elements = String::new();
    for (instance, text) in series {
        let comma = if elements.is_empty() { "" } else { "," };
        write!(elements, r#"{comma}{{"metric":{{"instance":"{instance}"}},"value":[1000,"{text}"]}}"#)
            .unwrap();
    }
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{elements}]}}}}"#)
}

fn at(seconds: i64) -> Wall {
    Wall::from_unix_millis(seconds * 1_000)
}

fn judged(settings: &Prometheus, series: &[(&str, &str)]) -> Sample {
    judge(settings, &understand(body(series).as_bytes()).unwrap(), at(1_000))
}

fn told(sample: &Sample) -> String {
    format!("{}: {}", sample.status, sample.summary)
}

fn value(sample: &Sample, name: &str) -> Option<String> {
    sample.value(&name.parse().unwrap()).map(ToString::to_string)
}

#[test]
fn one_series_is_one_value() {
    let sample = judged(&settings(Some("instance"), limits()), &[("a", "95")]);
    assert_eq!(told(&sample), "critical: filling is 95, which is > 90");
    assert_eq!(value(&sample, "value").as_deref(), Some("95"));
    assert_eq!(value(&sample, "series").as_deref(), Some("1"));
    assert_eq!(value(&sample, "value:a"), None);
}

#[test]
fn of_several_series_the_worst_counts() {
    let wanted = settings(Some("instance"), limits());
    let sample = judged(&wanted, &[("a:9100", "20"), ("b", "95"), ("c", "85")]);
    assert_eq!(told(&sample), "critical: 1 of 3 series of filling: {instance=\"b\"} is 95, which is > 90");
    assert_eq!(value(&sample, "value"), None, "which one would it be?");
    assert_eq!(value(&sample, "value:a:9100").as_deref(), Some("20"));
    assert_eq!((value(&sample, "lowest"), value(&sample, "highest")), (Some("20".into()), Some("95".into())));
    let sample = judged(&wanted, &[("a", "20"), ("c", "85")]);
    assert_eq!(sample.status, Status::Warning);
    let sample = judged(&wanted, &[("a", "20"), ("c", "30")]);
    assert_eq!(told(&sample), "passing: filling has 2 series, from 20 to 30");
}

#[test]
fn a_series_without_a_number_is_no_data() {
    let wanted = settings(None, Limits::default());
    let sample = judged(&wanted, &[("a", "NaN")]);
    assert_eq!(told(&sample), "unknown: filling is no number (`NaN`)");
    assert_eq!(value(&sample, "value"), None);
    let sample = judged(&wanted, &[("a", "1"), ("b", "NaN")]);
    assert_eq!(told(&sample), "unknown: 1 of 2 series of filling: {instance=\"b\"} is no number (`NaN`)");
    // What is seen to be bad is bad all the same.
    let sample = judged(&settings(None, limits()), &[("a", "91"), ("b", "NaN")]);
    assert_eq!(sample.status, Status::Critical);
}

#[test]
fn what_is_infinite_is_compared_and_not_reported() {
    let sample = judged(&settings(None, limits()), &[("a", "+Inf")]);
    assert_eq!(told(&sample), "critical: filling is inf, which is > 90");
    assert_eq!(value(&sample, "value"), None);
    let sample = judged(&settings(None, limits()), &[("a", "-Inf")]);
    assert_eq!(sample.status, Status::Passing);
}

#[test]
fn an_empty_result_means_what_is_said() {
    let mut wanted = settings(None, limits());
    assert_eq!(told(&judged(&wanted, &[])), "unknown: filling has no result");
    wanted.empty = Status::Passing;
    assert_eq!(told(&judged(&wanted, &[])), "passing: filling has no result");
    wanted.empty = Status::Critical;
    assert_eq!(judged(&wanted, &[]).status, Status::Critical);
}

#[test]
fn an_old_answer_is_no_data() {
    let answer = understand(body(&[("a", "1")]).as_bytes()).unwrap();
    let seen = |seconds| judge(&settings(None, limits()), &answer, at(seconds));
    assert_eq!(seen(1_300).status, Status::Passing);
    let old = seen(1_301);
    assert_eq!(told(&old), "unknown: the answer for filling was made 5m 1s ago");
    assert!(old.values.is_empty(), "an old value is no value");
}

#[test]
fn more_series_than_are_reported_are_judged_and_told_of() {
    let names: Vec<String> = (0..250).map(|number| format!("h{number}")).collect();
    let mut series: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    series[249].1 = "99";
    let sample = judged(&settings(Some("instance"), limits()), &series);
    assert_eq!(sample.status, Status::Critical, "the last one was not judged");
    assert!(sample.summary.ends_with("; the values of the first 100 are reported"), "{}", sample.summary);
    let reported = sample.values.iter().filter(|(name, _)| name.as_str().starts_with("value:")).count();
    assert_eq!(reported, 100);
}

#[test]
fn series_with_the_same_label_are_told_of() {
    let sample = judged(&settings(Some("instance"), Limits::default()), &[("a", "1"), ("a", "2")]);
    assert!(sample.summary.contains("several series have the same `instance`"), "{}", sample.summary);
    assert_eq!(value(&sample, "value:a").as_deref(), Some("1"));
}

#[test]
fn a_text_has_no_limit() {
    let text =
        r#"{"status":"success","warnings":["odd"],"data":{"resultType":"string","result":[1000,"on"]}}"#;
    let answer = understand(text.as_bytes()).unwrap();
    let sample = judge(&settings(None, Limits::default()), &answer, at(1_000));
    assert_eq!(told(&sample), "passing: filling is `on`; Prometheus warns: odd");
    assert_eq!(value(&sample, "value").as_deref(), Some("on"));
    let sample = judge(&settings(None, limits()), &answer, at(1_000));
    assert!(told(&sample).starts_with("unknown: filling is `on`, which is no number"));
}
