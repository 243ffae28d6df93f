use insta::assert_snapshot;

use super::*;
use crate::consul_alerts::Settings;

fn message([node, service_id, service, check_id, check, status, output]: [&str; 7]) -> Message {
    Message {
        node: node.to_owned(),
        service_id: service_id.to_owned(),
        service: service.to_owned(),
        check_id: check_id.to_owned(),
        check: check.to_owned(),
        status: status.to_owned(),
        output: output.to_owned(),
        timestamp: Moment::parse("2026-11-21T00:18:22.913805283Z").unwrap(),
        ..Message::default()
    }
}

fn web() -> Message {
    message(["n1", "web1", "web", "service:web1", "Service web check", "critical", "dial tcp: <refused>"])
}

fn memory() -> Message {
    message(["n1", "", "", "mem", "mem", "warning", "95%\n"])
}

fn well() -> Message {
    message(["n2", "", "", "disk", "Disk", "passing", ""])
}

fn notifier(name: &str, pairs: &[(&str, &str)]) -> Notifier {
    let keys: Vec<_> =
        pairs.iter().map(|(key, value)| (format!("config/notifiers/{name}/{key}"), *value)).collect();
    let settings = Settings::read("", keys.iter().map(|(key, value)| (key.as_str(), value.as_bytes())));
    settings.notifiers[&crate::consul_alerts::Kind::named(name).unwrap()].clone()
}

#[test]
fn the_worst_status_is_that_of_all() {
    for (messages, overall, counts) in [
        (vec![], Overall::Healthy, "Fail: 0, Warn: 0, Pass: 0"),
        (vec![well()], Overall::Healthy, "Fail: 0, Warn: 0, Pass: 1"),
        (vec![well(), memory()], Overall::Unstable, "Fail: 0, Warn: 1, Pass: 1"),
        (vec![web(), memory(), well()], Overall::Critical, "Fail: 1, Warn: 1, Pass: 1"),
        (
            vec![Message { status: "maintenance".to_owned(), ..web() }],
            Overall::Healthy,
            "Fail: 0, Warn: 0, Pass: 0",
        ),
    ] {
        let summary = Summary::of(&messages);
        assert_eq!((summary.overall(), summary.counts().as_str()), (overall, counts));
    }
}

#[test]
fn the_plain_text_is_that_of_before() {
    let text = standard("Consul-Alerts", &[web(), memory()]);
    assert_eq!(
        text,
        "Consul-Alerts is CRITICAL.\n\nFail: 1, Warn: 1, Pass: 0\n\
         \nn1:web:Service web check is critical.\ndial tcp: <refused>\
         \nn1::mem is warning.\n95%\n"
    );
    assert_eq!(
        mattermost("C", &[well(), well()]),
        "C is HEALTHY.\n\nFail: 0, Warn: 0, Pass: 2\n\nn2::Disk is passing.\n\n\nn2::Disk is passing.\n\n"
    );
}

#[test]
fn slack_gets_the_plain_text_or_an_attachment() {
    let plain = slack(&notifier("slack", &[("channel", "#a"), ("url", "http://geheim")]), &[well()]).unwrap();
    assert_eq!(
        plain,
        r##"{"channel":"#a","text":"Consul-Alerts is HEALTHY.\n\nFail: 0, Warn: 0, Pass: 1\n\nn2::Disk is passing.\n"}"##
    );
    let detailed =
        slack(&notifier("slack", &[("detailed", "true"), ("cluster-name", "C")]), &[web(), well()]).unwrap();
    assert_snapshot!(detailed, @r#"{"attachments":[{"color":"danger","title":"Consul monitoring report","pretext":":x: C is *CRITICAL*","text":"*Changes:* Fail = 1, Warn = 0, Pass = 1\n\n*[n1:web]* Service web check is *critical.*\n```dial tcp: \u003crefused\u003e```\n*[n2:]* Disk is *passing.*","mrkdwn_in":["text","pretext"]}]}"#);
}

#[test]
fn mattermost_gets_the_same_in_its_own_shape() {
    let hook =
        mattermost_webhook(&notifier("mattermost-webhook", &[("username", "bot")]), &[well()]).unwrap();
    assert_eq!(
        hook,
        r#"{"username":"bot","text":"Consul-Alerts is HEALTHY.\n\nFail: 0, Warn: 0, Pass: 1\n\nn2::Disk is passing.\n"}"#
    );
    let detailed = mattermost_detailed("C", &[memory()]);
    assert_eq!(
        detailed,
        ":question: C is *UNSTABLE*\n*Changes:* Fail = 0, Warn = 1, Pass = 0\n\n*[n1:]* mem is *warning.*\n`95%`"
    );
}

#[test]
fn a_line_of_the_log_is_that_of_before() {
    let at = Moment::parse("2026-11-21T00:19:02+02:00").unwrap();
    assert_eq!(
        log_line(&web(), &at),
        "[consul-notifier] 2026/11/21 00:19:02 Node=n1, Service=web, Check=Service web check, Status=critical\n"
    );
}

#[test]
fn a_mail_is_about_all_or_a_node_or_a_check() {
    let all = [web(), well(), memory()];
    let told = |pairs: &[(&str, &str)]| {
        let mails = mails(&notifier("email", pairs), &all);
        mails
            .iter()
            .map(|(cluster, of)| format!("{} ({})", mail_subject(cluster, of), of.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&[]), ["Consul-Alerts is CRITICAL (3)"]);
    assert_eq!(
        told(&[("one-per-node", "true")]),
        ["Consul-Alerts n1 is CRITICAL (2)", "Consul-Alerts n2 is HEALTHY (1)"]
    );
    let each =
        ["C n1 - service:web1 is CRITICAL (1)", "C n2 - disk is HEALTHY (1)", "C n1 - mem is UNSTABLE (1)"];
    assert_eq!(told(&[("one-per-alert", "true"), ("one-per-node", "true"), ("cluster-name", "C")]), each);
}

#[test]
fn keys_tell_checks_apart() {
    assert_eq!([incident_key(&web()), incident_key(&memory())], ["n1:web1:service:web1", "n1:mem"]);
    assert_eq!([old_opsgenie_alias(&web()), old_opsgenie_alias(&memory())], ["n1:web1", "n1"]);
    assert_eq!([old_victorops_entity(&web()), old_victorops_entity(&memory())], ["n1:web1", "n1:mem"]);
}

#[test]
fn pagerduty_is_told_of_the_beginning_and_the_end() {
    assert_eq!(pagerduty_description(&web()), "n1:web:Service web check is CRITICAL");
    assert_eq!(pagerduty_description(&memory()), "n1:mem is UNSTABLE");
    assert_eq!(pagerduty_description(&well()), "n2:Disk is now HEALTHY");
    let notifier =
        notifier("pagerduty", &[("service-key", "k"), ("client-name", "c"), ("client-url", "http://c")]);
    let trigger = pagerduty_event(&notifier, &web()).unwrap();
    assert!(trigger.starts_with(r#"{"service_key":"k","event_type":"trigger","incident_key":"n1:web1:service:web1","description":"n1:web:Service web check is CRITICAL","client":"c","client_url":"http://c","details":{"Node":"n1","#), "{trigger}");
    let resolve = pagerduty_event(&notifier, &well()).unwrap();
    assert!(resolve.starts_with(r#"{"service_key":"k","event_type":"resolve","incident_key":"n2:disk","description":"n2:Disk is now HEALTHY","details":{"#), "{resolve}");
}

#[test]
fn opsgenie_is_told_one_check_with_the_counts_of_all() {
    assert_eq!(opsgenie_message(&web()), "\nn1:web:Service web check is critical.");
    let description = opsgenie_description("C", &memory(), &[web(), memory()]);
    assert_eq!(description, "C is CRITICAL.\n\nFail: 1, Warn: 1, Pass: 0\n\nn1::mem is warning.\n95%\n");
}

#[test]
fn victorops_is_told_with_names_and_ids() {
    let at = Timestamp::from_second(1_000).unwrap();
    let event = victorops_event(&Message { notes: "see wiki".to_owned(), ..web() }, at).unwrap();
    assert_snapshot!(event, @r#"{"message_type":"CRITICAL","entity_id":"n1:web1:service:web1","timestamp":1000,"state_message":"CRITICAL: see wiki\ndial tcp: \u003crefused\u003e","monitoring_tool":"consul","entity_display_name":"n1:web:Service web check","host_name":"n1","monitor_name":"Service web check","consul_node":"n1","consul_service":"web","consul_service_id":"web1","consul_check":"Service web check","consul_check_id":"service:web1"}"#);
    assert_eq!(
        ["critical", "warning", "passing", "x"].map(victorops_type),
        ["CRITICAL", "WARNING", "RECOVERY", "INFO"]
    );
    let event = victorops_event(&well(), at).unwrap();
    assert!(
        event.contains(r#""entity_display_name":"n2:Disk""#) && !event.contains("consul_service"),
        "{event}"
    );
}

#[test]
fn ilert_has_a_key_from_a_template() {
    assert_eq!(ilert_key(&notifier("ilert", &[]), &web()).unwrap(), "n1:web:Service web check");
    let own =
        notifier("ilert", &[("incident-key-template", "{{.Node}}-{{if .IsCritical}}<{{.CheckId}}>{{end}}")]);
    assert_eq!(ilert_key(&own, &web()).unwrap(), "n1-<service:web1>");
    assert!(ilert_key(&notifier("ilert", &[("incident-key-template", "{{")]), &web()).is_err());
    assert_eq!(ilert_event("k", "passing"), ("RESOLVE", "k is now HEALTHY".to_owned()));
    assert_eq!(ilert_event("k", "warning"), ("ALERT", "k is WARNING".to_owned()));
    assert_eq!(ilert_event("k", "critical"), ("ALERT", "k is CRITICAL".to_owned()));
}

#[test]
fn sns_gets_a_subject_and_lines_without_ends() {
    assert_eq!(sns_subject(&[web(), memory(), well()]), "CRITICAL--Fail: 1, Warn: 1, Pass: 1");
    assert_eq!(sns_text(&[web(), well()]), "\nn1:web:Service web check is critical.n2::Disk is passing.");
}

#[test]
fn a_template_sees_nodes_in_order_and_is_escaped() {
    let template = "{{.ClusterName}} {{.SystemStatus}} {{.FailCount}}/{{.WarnCount}}/{{.PassCount}}\
        {{range $node, $checks := .Nodes}} {{$node}}:{{range $checks}}{{.Check}}={{.Output}},{{end}}{{end}} {{.IsCritical}}";
    let text = from_template(template, "C", &[well(), web(), memory()]).unwrap();
    assert_eq!(
        text,
        "C CRITICAL 1/1/1 n1:Service web check=dial tcp: &lt;refused&gt;,mem=95%\n, n2:Disk=, true"
    );
    let when = "{{range .Nodes}}{{range .}}{{.Timestamp.Format \"2006-01-02\"}}{{.IsWarning}}{{.RmdCheck.IsZero}}{{end}}{{end}}";
    assert_eq!(from_template(when, "C", &[memory()]).unwrap(), "2026-11-21truetrue");
}

#[test]
fn a_payload_is_a_flat_object_of_rendered_texts() {
    let good = notifier(
        "http-endpoint",
        &[
            ("payload", r#"{"b": "{{.SystemStatus}}", "a": "x+y \"{{.ClusterName}}\""}"#),
            ("cluster-name", "+<C>"),
        ],
    );
    assert_eq!(
        http_payload(&good, &[well()]).unwrap(),
        r#"{"a":"x+y \"\u0026#43;\u0026lt;C\u0026gt;\"","b":"HEALTHY"}"#
    );
    let bad = notifier("http-endpoint", &[("payload", r#"{"a": "{{.Nothing}}"}"#)]);
    let (key, error) = http_payload(&bad, &[well()]).unwrap_err();
    assert_eq!(
        (key.as_str(), error.to_string().as_str()),
        ("a", "line 1, column 3: TemplateData has no field or method `Nothing`")
    );
}

#[test]
fn a_mail_without_a_template_shows_every_check_of_every_node() {
    let page = from_template(MAIL, "Berlin & more", &[well(), web(), memory()]).unwrap();
    for part in [
        "background: #e13329\">Berlin &amp; more is CRITICAL</h1>",
        "Fail: 1, Warn: 1, Pass: 1",
        "<b>web: Service web check</b> is critical, since 2026-11-21 00:18:22 UTC</p><pre>dial tcp: &lt;refused&gt;</pre>",
        "<b>mem</b> is warning",
        "solid #24c75a\">\n<p><b>Disk</b> is passing, since 2026-11-21 00:18:22 UTC</p>\n</div>",
    ] {
        assert!(page.contains(part), "{part}\nis not in\n{page}");
    }
    assert!(page.find("<h2 style=\"padding: 0 12px\">n1") < page.find("<h2 style=\"padding: 0 12px\">n2"));
}
