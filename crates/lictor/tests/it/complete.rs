//! A shell that asks for completions.

use crate::node::{Node, program, run};

/// What is offered for the last of these words.
fn offered(address: &str, words: &[&str]) -> Vec<String> {
    let mut asked = program();
    asked.arg("--").arg("lictor").args(words);
    asked.env("LICTOR_COMPLETE", "bash").env("LICTOR_HTTP_ADDR", address);
    asked.env("_CLAP_COMPLETE_INDEX", words.len().to_string()).env("_CLAP_COMPLETE_COMP_TYPE", "9");
    asked.env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_SPACE", "true");
    let (code, out, err) = run(asked);
    assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
    out.lines().map(str::to_owned).collect()
}

#[test]
fn a_shell_is_offered_what_the_agent_knows() {
    let blocks = "watch \"exec\" \"front\" {\n  command = [\"false\"]\n  every = \"1s\"\n}\n\
                  rule \"mend\" {\n  on = check.front != \"passing\"\n  act \"exec\" { command = [\"true\"] }\n}\n";
    let mut node = Node::new(blocks);
    node.start();
    node.until("judged", |node| (node.status("front") == "warning").then_some(()));
    let address = format!("http://127.0.0.1:{}", node.port);
    let has = |words: &[&str], wanted: &str| offered(&address, words).iter().any(|one| one == wanted);
    assert!(has(&["explain", ""], "front") && has(&["explain", "i"], "i1"));
    assert!(has(&["remedy", "start", ""], "mend") && has(&["sna"], "snapshot"));
    assert!(has(&["events", "--check", "f"], "front") && has(&["status", "--fo"], "--format"));
}

#[test]
fn without_an_agent_a_shell_is_offered_the_rest() {
    let words = offered("http://127.0.0.1:1", &["explain", ""]);
    assert!(words.iter().any(|word| word == "--config"), "{words:?}");
    for shell in ["bash", "zsh", "fish"] {
        let mut asked = program();
        asked.args(["completions", shell]);
        let (code, script, _) = run(asked);
        assert!(code == 0 && script.contains("LICTOR_COMPLETE"), "{shell}: {script}");
    }
}
