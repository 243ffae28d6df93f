//! What services are sent that people read.

use insta::assert_snapshot;

use super::super::sampled::message;
use super::{BLOCKS, block, made, told};

#[test]
fn slack() {
    assert_snapshot!(told("slack", 0), @r#"
    POST https://hooks.slack.example/services/hunter2
    {
      "attachments": [
        {
          "color": "danger",
          "fallback": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
          "mrkdwn_in": [
            "text"
          ],
          "text": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" &lt;error&gt; &amp; more"
        }
      ],
      "text": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
      "unfurl_links": false
    }

    POST https://hooks.slack.example/services/hunter2
    {
      "attachments": [
        {
          "color": "good",
          "fallback": "RESOLVED: shop: Service 'shop' check on web1 [dc1]",
          "mrkdwn_in": [
            "text"
          ],
          "text": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" &lt;error&gt; &amp; more"
        }
      ],
      "text": "RESOLVED: shop: Service 'shop' check on web1 [dc1]",
      "unfurl_links": false
    }
    "#);
}

#[test]
fn slack_by_a_bot() {
    let requests = made(&block(&BLOCKS[1]), &message(1));
    assert_eq!(requests[0].url.as_str(), "https://slack.com/api/chat.postMessage");
    assert_eq!(requests[0].headers["authorization"], "Bearer hunter2");
    assert!(requests[0].body.contains(r##""channel":"#ops""##), "{}", requests[0].body);
}

#[test]
fn mattermost() {
    assert_snapshot!(told("mattermost", 0), @r#"
    POST https://chat.example/hooks/hunter2
    {
      "text": "**CRITICAL: shop: Service 'shop' check on web1 [dc1]**\nCRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }

    POST https://chat.example/hooks/hunter2
    {
      "text": "**RESOLVED: shop: Service 'shop' check on web1 [dc1]**\nRESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }
    "#);
}

#[test]
fn mattermost_by_a_bot() {
    assert_snapshot!(told("mattermost", 1), @r#"
    POST https://chat.example/api/v4/posts
    authorization: Bearer hunter2
    {
      "channel_id": "c1",
      "message": "**CRITICAL: shop: Service 'shop' check on web1 [dc1]**\nCRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }

    POST https://chat.example/api/v4/posts
    authorization: Bearer hunter2
    {
      "channel_id": "c1",
      "message": "**RESOLVED: shop: Service 'shop' check on web1 [dc1]**\nRESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }
    "#);
}

#[test]
fn telegram() {
    assert_snapshot!(told("telegram", 0), @r#"
    POST https://api.telegram.org/bothunter2/sendMessage
    {
      "chat_id": "-100",
      "disable_notification": false,
      "link_preview_options": {
        "is_disabled": true
      },
      "message_thread_id": 7,
      "text": "CRITICAL: shop: Service 'shop' check on web1 [dc1]\nCRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }

    POST https://api.telegram.org/bothunter2/sendMessage
    {
      "chat_id": "-100",
      "disable_notification": false,
      "link_preview_options": {
        "is_disabled": true
      },
      "message_thread_id": 7,
      "text": "RESOLVED: shop: Service 'shop' check on web1 [dc1]\nRESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }
    "#);
}

#[test]
fn discord() {
    assert_snapshot!(told("discord", 0), @r#"
    POST https://discord.example/api/webhooks/1/hunter2
    {
      "allowed_mentions": {
        "parse": []
      },
      "content": "**CRITICAL: shop: Service 'shop' check on web1 [dc1]**\nCRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }

    POST https://discord.example/api/webhooks/1/hunter2
    {
      "allowed_mentions": {
        "parse": []
      },
      "content": "**RESOLVED: shop: Service 'shop' check on web1 [dc1]**\nRESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }
    "#);
}

#[test]
fn teams() {
    assert_snapshot!(told("teams", 0), @r#"
    POST https://teams.example/workflows/hunter2?sig=hunter2
    {
      "attachments": [
        {
          "content": {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "body": [
              {
                "color": "Attention",
                "size": "Medium",
                "text": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
                "type": "TextBlock",
                "weight": "Bolder",
                "wrap": true
              },
              {
                "inlines": [
                  {
                    "text": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
                    "type": "TextRun"
                  }
                ],
                "type": "RichTextBlock"
              }
            ],
            "type": "AdaptiveCard",
            "version": "1.4"
          },
          "contentType": "application/vnd.microsoft.card.adaptive",
          "contentUrl": null
        }
      ],
      "type": "message"
    }

    POST https://teams.example/workflows/hunter2?sig=hunter2
    {
      "attachments": [
        {
          "content": {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "body": [
              {
                "color": "Good",
                "size": "Medium",
                "text": "RESOLVED: shop: Service 'shop' check on web1 [dc1]",
                "type": "TextBlock",
                "weight": "Bolder",
                "wrap": true
              },
              {
                "inlines": [
                  {
                    "text": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
                    "type": "TextRun"
                  }
                ],
                "type": "RichTextBlock"
              }
            ],
            "type": "AdaptiveCard",
            "version": "1.4"
          },
          "contentType": "application/vnd.microsoft.card.adaptive",
          "contentUrl": null
        }
      ],
      "type": "message"
    }
    "#);
}

#[test]
fn matrix() {
    assert_snapshot!(told("matrix", 0), @r#"
    PUT https://matrix.example/_matrix/client/v3/rooms/!a%2Fb:example/send/m.room.message/d17
    authorization: Bearer hunter2
    {
      "body": "CRITICAL: shop: Service 'shop' check on web1 [dc1]\nCRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "msgtype": "m.text"
    }

    PUT https://matrix.example/_matrix/client/v3/rooms/!a%2Fb:example/send/m.room.message/d17r
    authorization: Bearer hunter2
    {
      "body": "RESOLVED: shop: Service 'shop' check on web1 [dc1]\nRESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "msgtype": "m.text"
    }
    "#);
}

#[test]
fn ntfy() {
    assert_snapshot!(told("ntfy", 1), @r#"
    POST https://ntfy.sh/
    authorization: Basic bWU6aHVudGVyMg==
    {
      "message": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "priority": 5,
      "tags": [
        "rotating_light"
      ],
      "title": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
      "topic": "ops"
    }

    POST https://ntfy.sh/
    authorization: Basic bWU6aHVudGVyMg==
    {
      "message": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "priority": 3,
      "tags": [
        "white_check_mark"
      ],
      "title": "RESOLVED: shop: Service 'shop' check on web1 [dc1]",
      "topic": "ops"
    }
    "#);
}

#[test]
fn gotify() {
    assert_snapshot!(told("gotify", 0), @r#"
    POST https://gotify.example/sub/message
    x-gotify-key: hunter2
    {
      "message": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "priority": 8,
      "title": "CRITICAL: shop: Service 'shop' check on web1 [dc1]"
    }

    POST https://gotify.example/sub/message
    x-gotify-key: hunter2
    {
      "message": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "priority": 4,
      "title": "RESOLVED: shop: Service 'shop' check on web1 [dc1]"
    }
    "#);
}

#[test]
fn pushover() {
    assert_snapshot!(told("pushover", 0), @r#"
    POST https://api.pushover.net/1/messages.json
    {
      "expire": 10800,
      "message": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "priority": 2,
      "retry": 60,
      "tags": "i1/x",
      "timestamp": 1699999940,
      "title": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
      "token": "hunter2",
      "user": "hunter2u"
    }

    POST https://api.pushover.net/1/receipts/cancel_by_tag/i1%2Fx.json
    token=hunter2
    POST https://api.pushover.net/1/messages.json
    {
      "message": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "priority": 0,
      "timestamp": 1699999940,
      "title": "RESOLVED: shop: Service 'shop' check on web1 [dc1]",
      "token": "hunter2",
      "user": "hunter2u"
    }
    "#);
}

#[test]
fn sns() {
    assert_snapshot!(told("sns", 0), @"
    POST https://sns.eu-central-1.amazonaws.com/
    Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aeu-central-1%3A123456789012%3Aops&Subject=CRITICAL%3A+shop%3A+Service+%27shop%27+check+on+web1+%5Bdc1%5D&Message=CRITICAL%3A+shop%3A+Service+%27shop%27+check+on+web1%2C+since+2023-11-14T22%3A12%3A20Z%0AHTTP+GET+http%3A%2F%2F10.0.0.1%2F%3A+500+%22Internal%22+%3Cerror%3E+%26+more

    POST https://sns.eu-central-1.amazonaws.com/
    Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aeu-central-1%3A123456789012%3Aops&Subject=RESOLVED%3A+shop%3A+Service+%27shop%27+check+on+web1+%5Bdc1%5D&Message=RESOLVED%3A+shop%3A+Service+%27shop%27+check+on+web1%2C+since+2023-11-14T22%3A12%3A20Z%0AHTTP+GET+http%3A%2F%2F10.0.0.1%2F%3A+500+%22Internal%22+%3Cerror%3E+%26+more
    ");
}

#[test]
fn sns_with_a_topic_that_keeps_the_order() {
    let requests =
        made(&block(BLOCKS.iter().filter(|(kind, _)| *kind == "sns").nth(1).unwrap()), &message(1));
    assert!(requests[0].body.contains("&MessageGroupId=lictor&MessageDeduplicationId=d17"), "{requests:?}");
}

#[test]
fn a_subject_of_sns_is_short_and_plain() {
    let text = format!(
        "{}\ntitle = \"Wächter … {{{{ item.title }}}}\"",
        BLOCKS.iter().find(|(kind, _)| *kind == "sns").unwrap().1
    );
    let mut message = message(1);
    message.items[0].title = "grün ".repeat(60);
    let body = made(&block(&("sns", &text)), &message).remove(0).body;
    let fields: Vec<_> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let subject = &fields.iter().find(|(name, _)| name == "Subject").unwrap().1;
    assert!(subject.starts_with("W?chter ... gr?n gr?n ") && subject.ends_with("..."), "{subject}");
    assert!(subject.is_ascii() && subject.len() <= 99, "{subject}");
}
