//! What a webhook was told and answered outlives a crash.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::node::{LONG, Node};

/// Tells of alerts that fire; the answer.
fn tell(node: &Node, group: &str, alert: &str) -> String {
    let body = format!(
        "{{\"version\":\"4\",\"groupKey\":\"{group}\",\"alerts\":[{{\"status\":\"firing\",\
         \"labels\":{{\"alertname\":\"{alert}\",\"severity\":\"page\"}}}}]}}"
    );
    let mut stream = TcpStream::connect(("127.0.0.1", node.port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let length = body.len();
    let head = format!(
        "POST /v1/webhook/alerts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

const BLOCKS: &str = r#"
watch "webhook" "alerts" {
  match "any" {
    regex = "^firing "
  }
}
rule "heed" {
  on       = match.alerts.any
  cooldown = "0s"
  act "exec" {
    command = ["/bin/true"]
  }
}
"#;

/// How many events of a kind there are.
fn count(node: &Node, kind: &str) -> usize {
    let (_, events, _) = node.says(&["events", "--limit", "1000", "--format", "json"]);
    events.matches(&format!("\"kind\": \"{kind}\"")).count()
}

#[test]
fn an_alert_that_was_taken_still_fires_after_a_crash_right_after_the_answer() {
    let mut node = Node::new(BLOCKS);
    node.start();
    for number in 1..=5 {
        let answer = tell(&node, &format!("group {number}"), &format!("Alert{number}"));
        let taken = answer.contains(&format!("\"firing\":{number}}}"));
        assert!(answer.starts_with("HTTP/1.1 200 ") && taken, "{answer}");
        node.kill();
        node.start();
        node.until("it fires", |node| (node.status("alerts") == "critical").then_some(()));
        node.until("it was heeded", |node| (count(node, "run_ended") == number).then_some(()));
    }
    // Told of once more, it is no news.
    let answer = tell(&node, "group 5", "Alert5");
    assert!(answer.contains("\"firing\":5}"), "{answer}");
    assert_eq!(count(&node, "run_started"), 5, "{}", node.events());
}
