//! What it was told as configuration of Lictor's.

use lictor_core::replicate::Exclude;

use super::Start;
use crate::Secret;
use crate::hcl::{Writer, list, quoted, span};
use crate::log::LogLevel;
use crate::reach::{self, Reach};

/// The blocks `consul` and `replicate` that copy what it copied. Secrets are not printed: files are named into which they
/// belong.
pub fn import(start: &Start) -> String {
    let mut out = Writer::default();
    out.comment("Made from the settings of consul-replicate. Read it before it is used: what is marked with TODO needs a");
    out.comment("decision.");
    out.blank();
    reach::write(&reach(start), &mut out);
    out.block("replicate \"consul-replicate\"", |out| replicate(start, out));
    out.comment("Its notes of how far it was are not read: the first time everything is compared, and what is the same is not");
    out.comment(&format!(
        "written again. The keys below {} can be deleted when it is gone for good.",
        start.status_dir
    ));
    if let Some(connect) = start.consul.connect_timeout {
        out.comment(&format!("How long a connection may take, {}, is not said here.", span(connect)));
    }
    if start.log_level != LogLevel::Warn || start.syslog.is_some() {
        out.comment(
            "How much is logged is said by `lictor run --log-level`; the system log has it from systemd.",
        );
    }
    for remark in &start.remarks {
        out.comment(&format!("{remark}."));
    }
    out.end()
}

/// It wrote to the datacenter of the agent that it asked.
fn reach(start: &Start) -> Reach {
    let given = &start.consul;
    let none = || Secret::new(String::new());
    Reach {
        address: given.address.clone(),
        datacenter: None,
        namespace: given.namespace.clone(),
        token: given.token.clone(),
        token_file: given.token_file.clone(),
        login: given.login.clone().map(|(user, password)| (user, password.unwrap_or_else(none))),
        verify: given.verify,
        ca_file: given.ca_file.clone(),
        ca_dir: given.ca_dir.clone(),
        cert_file: given.cert_file.clone(),
        key_file: given.key_file.clone(),
        server_name: given.server_name.clone(),
    }
}

fn replicate(start: &Start, out: &mut Writer) {
    let prefixes: Vec<_> = start.prefixes.iter().map(|prefix| quoted(&prefix.to_string())).collect();
    out.set("prefixes", &list(&prefixes));
    let (mut begin, mut contain, mut fit) = (Vec::new(), Vec::new(), Vec::new());
    for exclude in &start.excludes {
        match exclude {
            Exclude::Prefix(text) => begin.push(quoted(text)),
            Exclude::Contains(text) => contain.push(quoted(text)),
            Exclude::Matches(pattern) => fit.push(quoted(pattern.as_str())),
        }
    }
    for (name, texts) in [("exclude", begin), ("exclude_containing", contain), ("exclude_matching", fit)] {
        if !texts.is_empty() {
            out.set(name, &list(&texts));
        }
    }
    if let Some((wait, most)) = start.wait {
        out.set("wait", &quoted(&span(wait)));
        out.set("wait_max", &quoted(&span(most)));
    }
    if let Some(age) = start.max_stale {
        out.set("max_stale", &quoted(&span(age)));
    }
    if start.delete {
        out.comment("What only the destination has is deleted, whoever wrote it.");
        out.set("delete", "true");
    }
    if !start.repair {
        out.comment(
            "A copy that somebody has changed stays so until its source changes. Left out, it is put right.",
        );
        out.set("repair", "false");
    }
    out.comment("Keys of locks are copied, without the session. Left out, they are left alone.");
    out.set("locks", &quoted("copy"));
    if start.once {
        out.comment(
            "TODO: it copied once each time that something else started it. This copies as changes come;",
        );
        out.comment("`lictor replicate run --once --name consul-replicate` copies once.");
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Request, flags};
    use super::*;

    fn made(line: &str) -> String {
        let Ok(Request::Run(flags)) = flags::parse(&line.split_whitespace().collect::<Vec<_>>()) else {
            panic!("{line}")
        };
        let made = import(&Start::new(&flags, &[], |_| None).unwrap());
        // The two lines with which each begins.
        made.splitn(4, '\n').last().unwrap_or_default().to_owned()
    }

    #[test]
    fn what_it_did_is_said_and_no_secret_is_printed() {
        let made = made(
            "-prefix=global@dc1:backup -prefix=b/@dc2 -exclude=global/x -excludematch=tmp -wait=5s:20s -once \
             -consul-addr=c:1 -consul-token=geheim -consul-auth=me:geheim -log-level=debug -delete=false",
        );
        insta::assert_snapshot!(made, @r#"
        consul {
          address = "http://c:1"
          # TODO: write the token into this file.
          token_file = "/etc/lictor/consul-token"
          # TODO: a user and a password (CONSUL_HTTP_AUTH) cannot be given: use a token.
        }

        replicate "consul-replicate" {
          prefixes           = ["global@dc1:backup", "b/@dc2:b/"]
          exclude            = ["global/x"]
          exclude_containing = ["tmp"]
          wait               = "5s"
          wait_max           = "20s"
          max_stale          = "2s"
          # A copy that somebody has changed stays so until its source changes. Left out, it is put right.
          repair = false
          # Keys of locks are copied, without the session. Left out, they are left alone.
          locks = "copy"
          # TODO: it copied once each time that something else started it. This copies as changes come;
          # `lictor replicate run --once --name consul-replicate` copies once.
        }

        # Its notes of how far it was are not read: the first time everything is compared, and what is the same is not
        # written again. The keys below service/consul-replicate/statuses/ can be deleted when it is gone for good.
        # How much is logged is said by `lictor run --log-level`; the system log has it from systemd.
        "#);
    }

    #[test]
    fn what_nobody_said_is_left_out() {
        insta::assert_snapshot!(made("-prefix=global@dc1 -repair -max-stale=0s"), @r#"
        consul {}

        replicate "consul-replicate" {
          prefixes = ["global@dc1:global"]
          # What only the destination has is deleted, whoever wrote it.
          delete = true
          # Keys of locks are copied, without the session. Left out, they are left alone.
          locks = "copy"
        }

        # Its notes of how far it was are not read: the first time everything is compared, and what is the same is not
        # written again. The keys below service/consul-replicate/statuses/ can be deleted when it is gone for good.
        "#);
    }
}
