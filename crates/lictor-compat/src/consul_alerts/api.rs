//! The HTTP interface: what is answered, given what is known.
//!
//! Other than before: `status` of the wildcard route takes every status that is listed, not the
//! last one alone; `alwaysOk=false` and `ignoreBlacklist=false` mean no; `service` and `check`
//! of that route are names or ids; an output is shown with the status to which it belongs only.

use super::checks::Blacklist;
use super::cli::VERSION;
use super::remark::bool_of;
use super::state::{CheckState, HealthCheck, RecordError};
use crate::gojson;
use crate::push;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub code: u16,
    /// The headers.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body.
    pub body: String,
}

const PLAIN: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");

/// The parameters of a query, decoded. Of a name that is given twice the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands behind the `?`.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self(pairs.collect())
    }

    /// A value; empty when it is missing.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.as_str())
    }

    fn flag(&self, name: &str) -> bool {
        let value = self.get(name);
        !value.is_empty() && bool_of(value) != Some(false)
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let digits =
                    [ahead.next(), ahead.next()].map(|digit| digit.and_then(|d| char::from(d).to_digit(16)));
                match digits {
                    [Some(high), Some(low)] => {
                        bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                        rest = ahead;
                    }
                    _ => bytes.push(b'%'),
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `/v1/info`. An instance that starts takes the 201 for "one runs already".
pub fn info() -> Answer {
    Answer { code: 201, headers: vec![("Version", VERSION)], body: String::new() }
}

/// `/v1/process/checks` and `/v1/process/events`: accepted, whatever it is.
pub fn process() -> Answer {
    Answer { code: 200, headers: Vec::new(), body: String::new() }
}

/// Any other path.
pub fn not_found() -> Answer {
    let headers = vec![PLAIN, ("X-Content-Type-Options", "nosniff")];
    Answer { code: 404, headers, body: "404 page not found\n".to_owned() }
}

/// Whether `/v1/health` is asked for this check: its node, the id of its service and its own.
pub fn asks_for(query: &Query, [node, service_id, check_id]: [&str; 3]) -> bool {
    let service = Some(query.get("service")).filter(|service| *service != "_").unwrap_or_default();
    node == query.get("node") && service_id == service && check_id == query.get("check")
}

/// `/v1/health?node=&service=&check=`, `service` and `check` being ids: the status that counts.
pub fn health(query: &Query, states: &[CheckState]) -> Answer {
    let asked = |check: &HealthCheck| asks_for(query, [&check.node, &check.service_id, &check.check_id]);
    let found = states.iter().find(|state| asked(&state.health_check));
    let current = found.map_or("", |state| state.current.as_str());
    let (code, status) = match current {
        "passing" => (200, current),
        "warning" | "critical" => (503, current),
        _ => (404, "unknown"),
    };
    let mut body = format!("status: {status}\n");
    let check = found.map(|state| &state.health_check).filter(|check| check.status == current);
    if let Some(check) = check.filter(|check| !check.output.is_empty()) {
        push(&mut body, format_args!("output: {}\n", check.output));
    }
    Answer { code, headers: vec![PLAIN], body }
}

/// `/v1/health/wildcard?node=&service=&check=&status=&alwaysOk=&ignoreBlacklist=`: the checks as
/// they were last seen. What is empty in the query is not looked at.
pub fn wildcard(query: &Query, states: &[CheckState], blacklist: &Blacklist) -> Result<Answer, RecordError> {
    let any = |asked: &str, found: &[&str]| asked.is_empty() || found.contains(&asked);
    let statuses: Vec<&str> =
        query.get("status").split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
    let shows_all = query.flag("ignoreBlacklist");
    let checks: Vec<&HealthCheck> = states
        .iter()
        .map(|state| &state.health_check)
        .filter(|check| {
            any(query.get("node"), &[&check.node])
                && any(query.get("service"), &[&check.service_name, &check.service_id])
                && any(query.get("check"), &[&check.name, &check.check_id])
                && (statuses.is_empty() || statuses.contains(&check.status.as_str()))
                && (shows_all || !blacklist.has(&check.as_ref()))
        })
        .collect();
    let code = |check: &&HealthCheck| match check.status.as_str() {
        "passing" => 200,
        "warning" | "critical" => 503,
        _ => 404,
    };
    let worst = checks.iter().map(code).max().unwrap_or(200);
    let code = if query.flag("alwaysOk") { 200 } else { worst };
    let body = gojson::to_string(&checks).map_err(RecordError::json)?;
    Ok(Answer { code, headers: vec![PLAIN], body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consul_alerts::Settings;

    fn state(
        current: &str,
        [node, service_id, service, check_id, name, status, output]: [&str; 7],
    ) -> CheckState {
        CheckState {
            current: current.to_owned(),
            health_check: HealthCheck {
                node: node.to_owned(),
                check_id: check_id.to_owned(),
                name: name.to_owned(),
                status: status.to_owned(),
                output: output.to_owned(),
                service_id: service_id.to_owned(),
                service_name: service.to_owned(),
                ..HealthCheck::default()
            },
            ..CheckState::default()
        }
    }

    fn states() -> Vec<CheckState> {
        vec![
            state("passing", ["n1", "web1", "web", "service:web1", "Web", "passing", "ok"]),
            state("critical", ["n1", "", "", "mem", "Memory", "critical", "full <95%>"]),
            state("warning", ["n2", "", "", "mem", "Memory", "warning", ""]),
            state("passing", ["n3", "", "", "disk", "Disk", "critical", "bad"]),
            state("", ["n4", "", "", "new", "New", "critical", "bad"]),
        ]
    }

    fn asked(query: &str) -> (u16, String) {
        let Answer { code, body, .. } = health(&Query::parse(query), &states());
        (code, body)
    }

    #[test]
    fn one_check_is_told_with_the_status_that_counts() {
        for (query, code, body) in [
            ("node=n1&service=web1&check=service%3Aweb1", 200, "status: passing\noutput: ok\n"),
            ("node=n1&check=mem", 503, "status: critical\noutput: full <95%>\n"),
            ("node=n1&service=_&check=mem", 503, "status: critical\noutput: full <95%>\n"),
            ("node=n1&service=_mem&check=mem", 404, "status: unknown\n"),
            ("node=n2&service=&check=mem", 503, "status: warning\n"),
            ("node=n3&check=disk", 200, "status: passing\n"),
            ("node=n4&check=new", 404, "status: unknown\n"),
            ("node=n9&check=new", 404, "status: unknown\n"),
            ("", 404, "status: unknown\n"),
        ] {
            assert_eq!(asked(query), (code, body.to_owned()), "{query}");
        }
    }

    #[track_caller]
    fn listed(query: &str, code: u16, nodes: &[&str]) {
        let settings = Settings::read("", [("config/checks/blacklist/nodes/n4", &b""[..])]);
        let answer = wildcard(&Query::parse(query), &states(), &settings.blacklist).unwrap();
        let checks: Vec<serde_json::Value> = serde_json::from_str(&answer.body).unwrap();
        let found: Vec<_> = checks.iter().map(|check| check["Node"].as_str().unwrap()).collect();
        assert_eq!((answer.code, found.as_slice()), (code, nodes), "{query}");
    }

    #[test]
    fn several_checks_are_told_as_they_were_last_seen() {
        listed("", 503, &["n1", "n1", "n2", "n3"]);
        listed("node=n1", 503, &["n1", "n1"]);
        listed("service=web", 200, &["n1"]);
        listed("service=web1", 200, &["n1"]);
        listed("check=Memory", 503, &["n1", "n2"]);
        listed("check=mem&node=n2", 503, &["n2"]);
        listed("status=passing,critical", 503, &["n1", "n1", "n3"]);
        listed("status=critical%2Cpassing", 503, &["n1", "n1", "n3"]);
        listed("status=passing", 200, &["n1"]);
        listed("status=unknown", 200, &[]);
        listed("alwaysOk=1", 200, &["n1", "n1", "n2", "n3"]);
        listed("alwaysOk=yes&node=n2", 200, &["n2"]);
        listed("alwaysOk=false", 503, &["n1", "n1", "n2", "n3"]);
        listed("node=n4", 200, &[]);
        listed("node=n4&ignoreBlacklist=true", 503, &["n4"]);
    }

    #[test]
    fn a_status_that_nobody_knows_is_a_404_unless_something_is_wrong() {
        let mut states = vec![state("", ["n1", "", "", "a", "A", "maintenance", ""])];
        let code = |states: &[CheckState]| {
            wildcard(&Query::default(), states, &Blacklist::default()).map(|answer| answer.code).unwrap()
        };
        assert_eq!(code(&states), 404);
        states.push(state("", ["n1", "", "", "b", "B", "warning", ""]));
        assert_eq!(code(&states), 503);
        assert_eq!(code(&[]), 200);
    }

    #[test]
    fn the_list_has_the_fields_of_the_old_one() {
        let one = [state("passing", ["n1", "w1", "w", "c", "C", "passing", "a<b"])];
        let answer = wildcard(&Query::default(), &one, &Blacklist::default()).unwrap();
        let body = r#"[{"Node":"n1","CheckID":"c","Name":"C","Status":"passing","Notes":"","Output":"a\u003cb","ServiceID":"w1","ServiceName":"w"}]"#;
        assert_eq!(answer, Answer { code: 200, headers: vec![PLAIN], body: body.to_owned() });
    }

    #[test]
    fn an_instance_that_starts_sees_that_one_runs() {
        assert_eq!(info().code, 201);
        assert_eq!(info().headers, [("Version", "Consul Alerts 0.5.0")]);
        assert_eq!((process().code, process().body.as_str()), (200, ""));
        assert_eq!(not_found().body, "404 page not found\n");
    }

    #[test]
    fn a_query_is_decoded() {
        let query = Query::parse("a=1+2%2b&a=3&b&c=%zz%4&d=%C3%A9");
        assert_eq!(
            [query.get("a"), query.get("b"), query.get("c"), query.get("d")],
            ["1 2+", "", "%zz%4", "é"]
        );
    }
}
