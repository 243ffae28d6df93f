use std::sync::Arc;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::gotime::Moment;

/// What Go 1.19 made of templates with [`data`]; without an output it refused.
const GOLDEN: &str = include_str!("../../tests/data/gotemplate.json");

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Case {
    mode: String,
    template: String,
    output: Option<String>,
}

fn statuses(status: &str, words: [&str; 3]) -> Vec<(&'static str, Value)> {
    let is = |place: usize| Value::Bool(words.get(place) == Some(&status));
    vec![("IsCritical", is(0)), ("IsWarning", is(1)), ("IsPassing", is(2))]
}

fn message([node, service_id, service, check_id, check, status, output, notes]: [&str; 8]) -> Value {
    let at = Moment::parse("2026-11-21T00:18:22.913805283Z").unwrap();
    let values = [("slack".to_owned(), Value::Bool(true))].into();
    let list = Entries { values, missing: Value::Bool(false) };
    Value::record(Record {
        name: "Message",
        fields: vec![
            ("Node", Value::text(node)),
            ("ServiceId", Value::text(service_id)),
            ("Service", Value::text(service)),
            ("CheckId", Value::text(check_id)),
            ("Check", Value::text(check)),
            ("Status", Value::text(status)),
            ("Output", Value::text(output)),
            ("Notes", Value::text(notes)),
            ("Interval", Value::Int(0)),
            ("RmdCheck", Value::Time(Arc::new(Moment::zero()))),
            ("NotifList", Value::Map(Arc::new(list))),
            ("Timestamp", Value::Time(Arc::new(at))),
        ],
        methods: statuses(status, ["critical", "warning", "passing"]),
    })
}

fn data() -> Value {
    let web = message([
        "n1",
        "web1",
        "web",
        "service:web1",
        "Service web check",
        "critical",
        "dial tcp: refused",
        "see http://wiki/?a=b&c=d",
    ]);
    let db = message(["n1", "db1", "db", "service:db1", "Service db check", "passing", "", ""]);
    let output = "95% used + <b>\"swap\"</b> & 'more'\n";
    let memory = message(["n2", "", "", "mem", "Memory", "warning", output, ""]);
    let values = [("n1".to_owned(), Value::list([web, db])), ("n2".to_owned(), Value::list([memory]))].into();
    let nodes = Entries { values, missing: Value::list([]) };
    Value::record(Record {
        name: "TemplateData",
        fields: vec![
            ("ClusterName", Value::text("Consul-Alerts")),
            ("SystemStatus", Value::text("CRITICAL")),
            ("FailCount", Value::Int(1)),
            ("WarnCount", Value::Int(1)),
            ("PassCount", Value::Int(1)),
            ("Nodes", Value::Map(Arc::new(nodes))),
        ],
        methods: statuses("CRITICAL", ["CRITICAL", "UNSTABLE", "HEALTHY"]),
    })
}

fn render(template: &str, mode: Mode) -> Result<String, TemplateError> {
    Template::parse(template, mode)?.render(&data())
}

#[track_caller]
fn refused(template: &str, mode: Mode, said: &str) {
    let error = render(template, mode).map_err(|error| error.to_string());
    assert_eq!(error, Err(said.to_owned()), "{template}");
}

#[test]
fn the_result_is_that_of_go() {
    let cases: Vec<Case> = serde_json::from_str(GOLDEN).unwrap();
    assert!(cases.len() > 250, "{} cases", cases.len());
    let message = match data() {
        Value::Record(record) => match record.get("Nodes") {
            Some(Value::Map(nodes)) => match nodes.values.get("n1") {
                Some(Value::List(messages)) => messages.first().cloned(),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let mut wrong = Vec::new();
    for case in &cases {
        let mode = if case.mode == "html" { Mode::Html } else { Mode::Text };
        let found = Template::parse(&case.template, mode).and_then(|template| match case.mode.as_str() {
            "message" => template.render(message.as_ref().unwrap()),
            _ => template.render(&data()),
        });
        if found.as_ref().ok() != case.output.as_ref() {
            wrong.push(format!(
                "{} {:?}\n   Go: {:?}\n here: {found:?}",
                case.mode, case.template, case.output
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_mistake_is_told_with_its_place() {
    for (template, said) in [
        (
            "a\nb {{nothing}}",
            "line 2, column 5: there is no function `nothing`; there are and, eq, ge, gt, html, index, js, le, len, lt, ne, not, or, print, printf, println, slice, urlquery",
        ),
        ("é{{.Nothing}}", "line 1, column 4: TemplateData has no field or method `Nothing`"),
        (
            "{{call .X}}",
            "line 1, column 3: the function `call` is not supported: no value here is a function",
        ),
        ("{{if true}}x", "line 1, column 1: this `if` has no `end`"),
        ("{{range .Nodes}}{{.Nothing}}{{end}}", "line 1, column 19: a list has no field or method `Nothing`"),
        ("{{.X", "line 1, column 1: this action does not end: `}}` is missing"),
        ("{{else}}", "line 1, column 1: `else` belongs to no `if`, `with` or `range`"),
        ("{{$x}}", "line 1, column 3: there is no variable `$x`"),
        ("{{template \"none\"}}", "line 1, column 1: there is no template `none`"),
        ("{{1 | 2}}", "line 1, column 7: a value can be passed to a function or method only"),
        ("{{define x}}{{end}}", "line 1, column 1: `define` needs a name in quotes"),
        ("{{.ClusterName.Format}}", "line 1, column 3: a text has no field or method `Format`"),
    ] {
        refused(template, Mode::Text, said);
    }
}

#[test]
fn a_place_without_a_rule_is_refused() {
    let beyond = |place: &str| format!("a value {place} is not supported: there is no rule that escapes it");
    for (template, place) in [
        ("<script>var x = {{1}};</script>", "inside a script"),
        ("<p onclick=\"f({{1}})\">", "in an attribute that is a script"),
        ("<img srcset=\"{{1}}\">", "in the attribute `srcset`"),
        ("<p style=\"background: url({{1}})\">", "in quotes or an address inside a style"),
        ("<style>p { content: \"{{1}}\" }</style>", "in quotes or an address inside a style"),
    ] {
        let error = render(template, Mode::Html).unwrap_err();
        assert_eq!(error.what, beyond(place), "{template}");
        assert!(render(template, Mode::Text).is_ok(), "{template}");
    }
}

#[test]
fn a_template_without_end_ends() {
    for (template, said) in [
        (
            "{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}",
            "more than 100 blocks and templates inside one another",
        ),
        ("{{printf \"%1000000d%1000000d\" 1 2}}", "a text became longer than 1048576 bytes"),
        (
            "{{define \"x\"}}{{if lt (len .) 4000000}}{{template \"x\" (print . .)}}{{end}}{{end}}{{template \"x\" \"xxxxxxxx\"}}",
            "a text became longer than 1048576 bytes",
        ),
    ] {
        assert_eq!(render(template, Mode::Text).unwrap_err().what, said, "{template}");
    }
    let doubled = format!(
        "{{{{$x := \"xxxxxxxxxxxxxxxx\"}}}}{}{}",
        "{{$x = print $x $x}}".repeat(15),
        "{{$x}}".repeat(9)
    );
    assert_eq!(render(&doubled, Mode::Html).unwrap_err().what, "the result is longer than 1048576 bytes");
    let loops = "{{range $.Nodes}}".repeat(60) + &"{{end}}".repeat(60);
    assert_eq!(render(&loops, Mode::Text).unwrap_err().what, "the template does not come to an end");
    let deep = "{{if true}}".repeat(1000) + &"{{end}}".repeat(1000);
    assert_eq!(render(&deep, Mode::Text).unwrap_err().what, "more than 64 blocks inside one another");
    let deep = format!("{{{{{}1{}}}}}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(render(&deep, Mode::Text).unwrap_err().what, "more than 64 parentheses inside one another");
    assert!(Template::parse(&"x".repeat(SOURCE_LIMIT + 1), Mode::Text).is_err());
}

proptest! {
    #[test]
    fn no_template_makes_it_panic(
        pieces in proptest::collection::vec(
            prop_oneof![
                "[ -~é\n]{0,6}",
                proptest::sample::select(vec![
                    "{{", "}}", "{{-", "-}}", "{{/*", "*/}}", "{{if .}}", "{{end}}", "{{else}}", "{{else if", "{{range $i, $x := .Nodes}}",
                    "{{.ClusterName}}", "$x", ":=", "=", "|", "(", ")", "printf \"%5.3d%s\"", "\"", "`", "'", "index", ".Nodes", "<a href=\"",
                    "<!--", "-->", "<script>", "</script>", "<style>", "style='", ">", "<title>", "</title ", "html", "urlquery", "{{template \"x\" .}}",
                    "{{define \"x\"}}", "{{break}}", "slice", " 1 ", "0x", "\\", "\\u00", "url(",
                ]).prop_map(str::to_owned),
            ],
            0..24,
        ),
        html in any::<bool>(),
    ) {
        drop(render(&pieces.concat(), if html { Mode::Html } else { Mode::Text }));
    }

    /// What a page is made of cannot come out of a value.
    #[test]
    fn no_value_leaves_its_place(value in "[ -~\0é\n]{0,20}") {
        for template in ["<p>{{.}}</p>", "<p title=\"{{.}}\">x</p>", "<p title='{{.}}'>x</p>", "<a href=\"{{.}}\">x</a>",
            "<a href=\"/?q={{.}}\">x</a>", "<p style=\"color: {{.}}\">x</p>", "<title>{{.}}</title>", "<p title={{.}}>x</p>"] {
            let page = Template::parse(template, Mode::Html).unwrap().render(&Value::text(&value)).unwrap();
            let shape = |text: &str| text.matches(['<', '>', '"', '\'']).collect::<String>();
            prop_assert_eq!(shape(&page), shape(&template.replace("{{.}}", "")), "{}", page);
        }
    }
}
