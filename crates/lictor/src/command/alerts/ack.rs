//! `lictor alerts ack` and `unack`.

use serde_json::{Value, json};

use crate::cli::{Ack, Unack};
use crate::client::Client;
use crate::exit::Failure;

use super::say;

pub(super) async fn acknowledge(args: &Ack) -> Result<(), Failure> {
    let body = without_null(json!({
        "subject": args.subject, "for": args.lasting, "comment": args.comment, "by": args.by,
    }));
    let answer = Client::new(&args.agent)?.post_with("/v1/alerts/acknowledge", &body).await?;
    say(args.agent.format, answer)
}

pub(super) async fn unacknowledge(args: &Unack) -> Result<(), Failure> {
    let body = without_null(json!({ "subject": args.subject, "by": args.by }));
    let answer = Client::new(&args.agent)?.post_with("/v1/alerts/unacknowledge", &body).await?;
    say(args.agent.format, answer)
}

/// An object without what was not given.
pub(in crate::command) fn without_null(mut body: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    body
}
