//! A line in a file becomes an act, whoever is killed meanwhile.

use std::fs::OpenOptions;
use std::io::Write as _;

use crate::node::Node;

/// Each line with a number has that number noted by a program of its own.
fn node() -> Node {
    let mut blocks = "watch \"file\" \"log\" {\n  path = \"@DIR@/app.log\"\n  from = \"start\"\n".to_owned();
    let pattern = |number: u32| {
        format!("  match \"n{number}\" {{\n    regex = \"^number (?P<number>{number})$\"\n  }}\n")
    };
    blocks.extend((0..40).map(pattern));
    blocks += "}\n";
    let rule = |number: u32| {
        format!(
            "rule \"n{number}\" {{\n  on = match.log.n{number}\n  target = \"n{number}\"\n  act \"exec\" {{\n    \
             command = [\"sh\", \"-c\", \"echo \\\"$1\\\" >> @DIR@/acted\", \"note\", capture.number]\n  }}\n}}\n"
        )
    };
    blocks.extend((0..40).map(rule));
    Node::new(&blocks)
}

fn write(node: &Node, name: &str, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(node.path(name)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn acted(node: &Node) -> Vec<u32> {
    let mut acted: Vec<u32> = node.read("acted").lines().map(|line| line.parse().unwrap()).collect();
    acted.sort_unstable();
    acted
}

#[test]
fn each_line_is_acted_on_once_although_the_agent_is_killed_and_the_log_rotated() {
    let mut node = node();
    node.start();
    let mut next = 0;
    for round in 0..5 {
        for number in next..next + 4 {
            write(&node, "app.log", &format!("talk\nnumber {number}\n"));
        }
        // Killed with some of them under way, or none.
        if round % 2 == 0 {
            node.until("the first of them", |node| acted(node).contains(&next).then_some(()));
        }
        node.kill();
        for number in next + 4..next + 8 {
            write(&node, "app.log", &format!("number {number}\n"));
        }
        if round % 2 == 1 {
            std::fs::rename(node.path("app.log"), node.path(&format!("app.log.{round}"))).unwrap();
        }
        next += 8;
        node.start();
    }
    let all: Vec<u32> = (0..next).collect();
    node.until("each of them", |node| (acted(node).len() >= all.len()).then_some(()));
    node.kill();
    node.start();
    node.until("it follows", |node| (node.status("log") == "passing").then_some(()));
    assert_eq!(acted(&node), all, "{}", node.events());
}
