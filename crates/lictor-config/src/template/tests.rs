use insta::assert_snapshot;
use lictor_core::alert::{Message, Occasion};
use serde_json::json;

use super::*;

fn messages() -> Vec<Message> {
    view::samples()
}

fn said(template: &str, message: &Message) -> String {
    Template::new(template).unwrap().render(&view::of(message)).unwrap()
}

fn mistake(source: &str) -> String {
    let error = Template::new(source).unwrap_err();
    let at = error.range.clone().map_or("nowhere".to_owned(), |range| source.get(range).unwrap().to_owned());
    format!("{error} at `{at}`")
}

#[test]
fn a_title_says_what_is_wrong() {
    let titles: Vec<String> = messages().iter().map(|message| said(view::TITLE, message)).collect();
    assert_snapshot!(titles.join("\n"), @r#"
    CRITICAL: test of this notifier [dc1]
    STILL CRITICAL: test of this notifier [dc1]
    RESOLVED: test of this notifier [dc1]
    2 critical, 1 resolved: test of this notifier, test of this notifier, test of this notifier, … [dc1]
    All is well
    "#);
}

#[test]
fn a_digest_says_how_much_is_wrong() {
    let mut message = messages().remove(3);
    message.occasion = Occasion::Digest;
    assert_snapshot!(said(view::TITLE, &message), @"Still wrong: 7 critical [dc1]");
}

#[test]
fn a_text_tells_each_alert_with_its_output() {
    let texts: Vec<String> = messages().iter().map(|message| said(view::TEXT, message)).collect();
    assert_snapshot!(texts.join("\n----\n"), @"
    CRITICAL: test of this notifier, since 2023-11-14T22:12:20Z
    Nothing is wrong: somebody tries whether messages arrive.

    ----
    STILL CRITICAL: test of this notifier, since 2023-11-14T22:12:20Z
    Nothing is wrong: somebody tries whether messages arrive.

    ----
    RESOLVED: test of this notifier, since 2023-11-14T22:12:20Z
    Nothing is wrong: somebody tries whether messages arrive.

    ----
    STILL CRITICAL: test of this notifier, since 2023-11-14T22:12:20Z
    Nothing is wrong: somebody tries whether messages arrive.

    CRITICAL: test of this notifier, since 2023-11-14T22:12:20Z
    Nothing is wrong: somebody tries whether messages arrive.

    RESOLVED: test of this notifier, since 2023-11-14T22:12:20Z
    Nothing is wrong: somebody tries whether messages arrive.

    In all 7 critical.

    ----

    In all 1 critical.
    ");
}

#[test]
fn a_mistake_has_its_place() {
    let mistakes =
        ["{{ item.title", "a {{ tittle }} b", "{% if x %}", "{{ item.title | uper }}", "{{ 1 + }}"];
    let said: Vec<String> = mistakes.iter().map(|source| mistake(source)).collect();
    assert_snapshot!(said.join("\n"), @r#"
    unexpected end of input, expected end of variable block at `title`
    a message has no `tittle` at `tittle`
    unexpected end of input, expected end of block at `%}`
    filter uper is unknown at `uper`
    unexpected end of variable block at `}}`
    "#);
}

#[test]
fn a_label_that_is_not_there_is_no_failure() {
    assert_eq!(said("[{{ item.labels.nothing }}|{{ item.labels.no.thing }}]", &messages()[0]), "[|]");
}

#[test]
fn a_template_that_never_ends_is_ended() {
    let source = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    assert!(mistake(source).starts_with("it takes too long"), "{}", mistake(source));
}

#[test]
fn what_is_filled_into_html_is_escaped() {
    let mut message = messages().remove(0);
    message.items[0].output = "<script>alert(1)</script>".to_owned();
    let html = Template::html("<pre>{{ item.output }}</pre>").unwrap().render(&view::of(&message)).unwrap();
    assert_eq!(html, "<pre>&lt;script&gt;alert(1)&lt;&#x2f;script&gt;</pre>");
}

#[test]
fn json_is_built_by_value() {
    let shape = json!({
        "text": "{{ title }}: {{ item.output }}", "count": "=items | length", "none": "=item.labels.nothing",
        "all": [{ "$each": "items", "node": "{{ item.node }}" }, "last"],
        "names": [{ "$each": "items", "=": "{{ item.title }}" }],
        "plain": "a", "flag": true,
    });
    let mut message = messages().remove(0);
    message.items[0].output = "\"},{\"evil\": \"\\\n".to_owned();
    let mut seen = view::of(&message);
    seen["title"] = json!("T");
    let made = Shape::new(shape).unwrap().render(&seen).unwrap();
    assert_eq!(
        made,
        json!({
            "text": "T: \"},{\"evil\": \"\\", "count": 1, "all": [{ "node": "example" }, "last"],
            "names": ["test of this notifier"], "plain": "a", "flag": true,
        })
    );
}

#[test]
fn a_mistake_in_json_names_the_text_it_is_in() {
    let wrong = |shape| Shape::new(shape).unwrap_err().0;
    assert_eq!(wrong(json!({ "a": ["{{ good }", "x"] })), "{{ good }");
    assert_eq!(wrong(json!({ "a": "=1 +" })), "=1 +");
    assert_eq!(wrong(json!([{ "$each": "items[", "a": 1 }])), "items[");
}

#[test]
fn a_path_takes_a_text_as_one_segment() {
    assert_eq!(segment("!abc:example.org/../x?y#z %ü"), "!abc:example.org%2F..%2Fx%3Fy%23z%20%25%C3%BC");
}

#[test]
fn a_text_in_ascii_is_no_longer_than_is_asked_for() {
    let ascii = |text: &str, most: usize| {
        evaluate(&format!("text | ascii({most})"), &json!({ "text": text }))
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(ascii("„Größe“ – zu viel…\n", 99), "\"Gr??e\" - zu viel...");
    assert_eq!(ascii("eine lange Zeile", 10), "eine la...");
    assert_eq!(ascii("tab\tund \u{1b}[2J", 99), "tab und ?[2J");
}
