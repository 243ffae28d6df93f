//! Trying notifiers from the command line.

use lictor_testkit::service::{Answer, Service};
use serde_json::Value;

use crate::node::{Node, program, run};

fn alerts(node: &Node, words: &[&str]) -> (i32, String, String) {
    let mut command = program();
    command.arg("alerts").args(words).arg("--config").arg(node.config());
    run(command)
}

fn gotify(service: &Service) -> Node {
    Node::new(&format!(
        "notify \"gotify\" \"phone\" {{\n  url   = \"{}\"\n  token = \"hunter2-token\"\n}}\n",
        service.url()
    ))
}

#[test]
fn a_test_says_what_became_of_it() {
    let service =
        Service::answering(vec![Answer::new(200, "{}"), Answer::new(401, "bad token hunter2-token")]);
    let node = gotify(&service);
    let (code, out, _) = alerts(&node, &["test", "phone"]);
    assert_eq!((code, out.as_str()), (0, "phone: accepted\n"));
    assert!(service.calls()[0].body.contains("test of this notifier"), "{:?}", service.calls());
    let (code, out, _) = alerts(&node, &["test", "phone"]);
    assert_eq!((code, out.as_str()), (1, "phone: refused, and will be: status 401: bad token ***\n"));
    let (code, out, _) = alerts(&node, &["test", "phone", "--format", "json", "--resolved"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer["verdict"], &answer["for_good"]), (1, &"refused".into(), &true.into()));
    assert!(service.calls()[2].body.contains("RESOLVED"), "{:?}", service.calls());
}

#[test]
fn a_preview_sends_nothing_and_shows_no_secret() {
    let service = Service::start(|_call| Answer::new(200, "{}"));
    let node = gotify(&service);
    let (code, out, _) = alerts(&node, &["preview", "phone"]);
    assert!(code == 0 && out.starts_with(&format!("POST {}/message\n", service.url())), "{out}");
    assert!(out.contains("x-gotify-key: ***") && !out.contains("hunter2"), "{out}");
    let (code, out, _) = alerts(&node, &["preview", "phone", "--format", "json"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer[0]["method"]), (0, &"POST".into()));
    assert!(service.calls().is_empty());
}

#[test]
fn a_notifier_that_is_not_there_is_told_with_those_that_are() {
    let service = Service::start(|_call| Answer::new(200, "{}"));
    let (code, _, err) = alerts(&gotify(&service), &["test", "phnoe"]);
    assert!(code == 5 && err.contains("no notifier `phnoe`") && err.contains("it has phone"), "{err}");
}
