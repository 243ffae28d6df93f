//! `act "nomad"`: have a workload restarted.

use std::time::Duration;

use lictor_core::Repeatability;

use super::{control, tls};
use crate::code::Code;
use crate::model::{Action, NomadAction, NomadApi, NomadHow, NomadTarget};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, LONGEST, Schema};

/// How a Nomad is reached, and which workload is meant.
pub(super) const API: &[Attribute] = &[
    Attribute::new("url", Kind::Url, "Where Nomad's HTTP API is, such as `http://127.0.0.1:4646`.")
        .required(),
    Attribute::new("token", Kind::Secret, "ACL token with `read-job` and `alloc-lifecycle`."),
    Attribute::new("namespace", Kind::Text, "The namespace of the job.").default_words("`default`"),
    Attribute::new("region", Kind::Text, "The region.").default_words("the agent's own"),
    Attribute::new("job", Kind::Text, "The job."),
    Attribute::new("group", Kind::Text, "Only allocations of this group of the job."),
    Attribute::new(
        "service",
        Kind::Text,
        "In place of `job`: the allocation behind this Consul service; needs `consul`.",
    ),
    Attribute::new("tasks", Kind::Texts, "Only these tasks.").default_words("all"),
    Attribute::new(
        "hold",
        Kind::Duration(Duration::ZERO, LONGEST),
        "The tasks must run for so long without another restart.",
    )
    .default("10s"),
];

pub(super) static SCHEMA: Schema = Schema {
    doc: "Has the allocations of a job restarted, and sees by Nomad's own counters that they were: which ones, and \
          how the counters stood, is recorded before the request, so that a restart is never made twice.",
    groups: &[
        API,
        tls::ATTRIBUTES,
        &[Attribute::new(
            "how",
            Kind::Word(&["restart", "replace"]),
            "Restart them in place, or stop them so that Nomad places others.",
        )
        .default("restart")],
    ],
    blocks: &[],
    values: &[],
    example: r#"watch "http" "shop" {
  url = "http://127.0.0.1:8081/health"
}

rule "shop" {
  on = check.shop == "critical"
  act "nomad" {
    url        = "http://127.0.0.1:4646"
    token_file = "/etc/lictor/nomad-token"
    job        = "shop"
    group      = "web"
  }
  timeout = "5m"
}"#,
};

/// How it is reached, and which allocations are meant.
pub(super) fn settings(reader: &Reader<'_>) -> Option<(NomadApi, NomadTarget)> {
    let api = NomadApi {
        token: reader.secret("token"),
        namespace: reader.text("namespace"),
        region: reader.text("region"),
        tls: tls::decode(reader),
        url: reader.http_url("url")?,
    };
    control::warn_clear(reader, &api.url, api.token.is_some());
    Some((api, target(reader)?))
}

pub(super) fn decode(reader: &Reader<'_>) -> Option<(Action, Repeatability)> {
    let settings = settings(reader);
    let tasks: Vec<String> = reader.texts("tasks").into_iter().map(|task| task.is).collect();
    let how = match reader.word("how") {
        Some("replace") => {
            if !tasks.is_empty() {
                let message = "an allocation is replaced as a whole: `tasks` means nothing then";
                reader.decoder.add(Draft::new(Code::Combination, reader.span("tasks"), message));
            }
            NomadHow::Replace
        }
        _ => NomadHow::Restart { tasks },
    };
    let (api, target) = settings?;
    let action = NomadAction { api, target, how, hold: reader.duration("hold") };
    // Before it asks for another restart it looks whether the one before was carried out.
    Some((Action::Nomad(Box::new(action)), Repeatability::Idempotent))
}

fn target(reader: &Reader<'_>) -> Option<NomadTarget> {
    reader.needs("group", "job");
    if reader.exclude("job", "service") {
        return None;
    }
    if reader.is_set("service") {
        if !reader.decoder.scope.consul && !reader.decoder.report.is_partial() {
            let message = "the allocation behind a service is found in Consul";
            let draft = Draft::new(Code::Combination, reader.span("service"), message);
            reader.decoder.add(draft.help("add a `consul` block, or name the `job`"));
        }
        return Some(NomadTarget::Service { service: reader.text("service")? });
    }
    if !reader.is_set("job") {
        let draft = Draft::new(Code::Missing, reader.head, "neither `job` nor `service` is named");
        reader.decoder.add(draft.help("add job = \"NAME\""));
        return None;
    }
    Some(NomadTarget::Job { job: reader.text("job")?, group: reader.text("group") })
}
