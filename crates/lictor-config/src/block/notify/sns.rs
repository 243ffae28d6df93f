//! What `notify "sns"` has that no other service has: its region, and where SNS is, follow from the topic.

use url::Url;

use crate::code::Code;
use crate::model::{Endpoint, Notifier, NotifierKind, Setting};
use crate::problem::Draft;
use crate::reader::Reader;

/// Completes what was read of the block.
pub(super) fn finish(reader: &Reader<'_>, notifier: Option<Notifier>) -> Option<Notifier> {
    for other in ["credentials_file", "profile"] {
        if reader.is_set("access_key") && reader.is_set(other) {
            let message = format!("`access_key` and `{other}` exclude each other");
            reader.decoder.add(Draft::new(Code::Combination, reader.span(other), message));
        }
    }
    reader.path("credentials_file");
    let topic = reader.text_at("topic")?;
    let Some((partition, region)) = place(&topic.is) else {
        let message = format!("`{}` is not the ARN of a topic", topic.is.escape_debug());
        let draft = Draft::new(Code::Address, topic.span, message);
        reader.decoder.add(draft.help("write topic = \"arn:aws:sns:REGION:ACCOUNT:NAME\""));
        return None;
    };
    let mut notifier = notifier?;
    let NotifierKind::Service(service) = &mut notifier.kind else { return None };
    let region = reader.text("region").unwrap_or_else(|| region.to_owned());
    if !region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        let message = format!("`{}` is not a region", region.escape_debug());
        reader.decoder.add(Draft::new(Code::Address, reader.span("region"), message));
        return None;
    }
    if !reader.is_set("url") {
        let ending = if partition == "aws-cn" { ".cn" } else { "" };
        let url = Url::parse(&format!("https://sns.{region}.amazonaws.com{ending}")).ok()?;
        service.endpoints = vec![Endpoint::Plain(url)];
    }
    service.settings.insert("region", Setting::Plain(region.into()));
    Some(notifier)
}

/// Partition and region of the ARN of a topic.
fn place(topic: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = topic.split(':').collect();
    let ["arn", partition, "sns", region, account, name] = *parts.as_slice() else { return None };
    let full = [partition, region, account, name].iter().all(|part| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    });
    full.then_some((partition, region))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::model::{Endpoint, Notifier, NotifierKind, Setting};
    use crate::testing::{mistakes, parsed};

    /// Where SNS is, and the region by which requests are signed.
    fn place(lines: &str) -> (String, String) {
        let config = parsed(&format!("notify \"sns\" \"n\" {{\n{lines}\n}}")).config;
        let NotifierKind::Service(service) = Notifier::clone(config.notifiers.values().next().unwrap()).kind
        else {
            panic!()
        };
        match (&service.endpoints[0], &service.settings["region"]) {
            (Endpoint::Plain(url), Setting::Plain(region)) => {
                (url.to_string(), region.as_str().unwrap().to_owned())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn where_it_is_follows_from_the_topic() {
        let own = |url: &str, region: &str| (url.to_owned(), region.to_owned());
        assert_eq!(
            place("topic = \"arn:aws:sns:eu-central-1:123456789012:ops\""),
            own("https://sns.eu-central-1.amazonaws.com/", "eu-central-1")
        );
        assert_eq!(
            place("topic = \"arn:aws-cn:sns:cn-north-1:123456789012:ops.fifo\""),
            own("https://sns.cn-north-1.amazonaws.com.cn/", "cn-north-1")
        );
        assert_eq!(
            place(
                "topic = \"arn:aws:sns:eu-west-1:000000000000:ops\"\nurl = \"http://127.0.0.1:4566\"\nregion = \"us-east-1\""
            ),
            own("http://127.0.0.1:4566/", "us-east-1")
        );
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
notify "sns" "a" {
  topic = "ops"
}
notify "sns" "b" {
  topic           = "arn:aws:sns:eu-central-1:123456789012:ops"
  access_key_file = "/k"
  profile         = "x"
}
notify "sns" "c" {
  topic            = "arn:aws:sqs:eu-central-1:123456789012:ops"
  credentials_file = "aws"
  session_token_file = "/t"
}
notify "sns" "d" {
  topic  = "arn:aws:sns:eu-central-1:123456789012:ops"
  region = "eu central"
}
"#), @r#"
    3:11: `ops` is not the ARN of a topic (write topic = "arn:aws:sns:REGION:ACCOUNT:NAME") [LIC0305]
    5:1: `access_key` needs `secret_key` [LIC0207]
    8:21: `access_key` and `profile` exclude each other [LIC0207]
    10:1: `session_token` needs `access_key` [LIC0207]
    11:22: `arn:aws:sqs:eu-central-1:123456789012:ops` is not the ARN of a topic (write topic = "arn:aws:sns:REGION:ACCOUNT:NAME") [LIC0305]
    12:22: `credentials_file` must be an absolute path (begin it with `/`) [LIC0305]
    17:12: `eu central` is not a region [LIC0305]
    "#);
    }
}
