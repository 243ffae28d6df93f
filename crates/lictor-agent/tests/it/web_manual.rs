//! The manual says everything that is served.

use crate::web_client::serve;

const MANUAL: &str = include_str!("../../../../docs/http.md");

#[test]
fn every_route_is_in_the_manual() {
    let sources = [include_str!("../../src/web/route.rs"), include_str!("../../src/web/services.rs")];
    let of_one =
        |source: &'static str| source.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let paths: Vec<&str> = sources.into_iter().flat_map(of_one).collect();
    assert!(paths.len() > 20, "{paths:?}");
    // Parts of the page that only its script and style ask for.
    let inner = ["/fragment", "/assets/{file}"];
    for path in paths.into_iter().filter(|path| !inner.contains(path)) {
        let written: Vec<String> = path
            .split('/')
            .map(|part| match part {
                "{id}" => "ID".to_owned(),
                "{*check}" => "CHECK".to_owned(),
                "{*subject}" => "SUBJECT".to_owned(),
                "{name}" | "{*name}" => "NAME".to_owned(),
                other => other.to_owned(),
            })
            .collect();
        let written = written.join("/");
        let ends = |rest: &str| rest.starts_with(['`', '?', ' ']);
        let found = MANUAL.split(written.as_str()).skip(1).any(ends);
        assert!(found, "the manual does not know {written}");
    }
}

#[tokio::test]
async fn every_metric_is_in_the_manual() {
    let page = serve().await.get("/metrics").await.body;
    let names: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| !name.starts_with("process_"))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(MANUAL.contains(&format!("`{name}")), "the manual does not know {name}");
    }
}

#[test]
fn every_code_of_an_error_is_in_the_manual() {
    let sources = [
        include_str!("../../src/web/beat.rs"),
        include_str!("../../src/web/error.rs"),
        include_str!("../../src/web/guard.rs"),
        include_str!("../../src/web/page.rs"),
        include_str!("../../src/web/route.rs"),
        include_str!("../../src/web/services.rs"),
        include_str!("../../src/web/stream.rs"),
    ];
    let mut codes: Vec<&str> = sources
        .iter()
        .flat_map(|source| source.split("StatusCode::").skip(1))
        .filter_map(|rest| {
            let (_, rest) = rest.split_once(", \"")?;
            let (code, _) = rest.split_once('"')?;
            let word = !code.is_empty() && code.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            word.then_some(code)
        })
        .collect();
    codes.sort_unstable();
    codes.dedup();
    assert!(codes.len() > 12, "{codes:?}");
    for code in codes {
        assert!(MANUAL.contains(&format!("`{code}`")), "the manual does not know {code}");
    }
}
