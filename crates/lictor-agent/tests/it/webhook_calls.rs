//! Webhooks of a whole agent: a real Alertmanager that calls it, and others that say something in JSON.
#![cfg(test)]

use lictor_testkit::alertmanager::Alertmanager;
use serde_json::json;

use crate::whole_rig::Whole;

const HOOK: &str = r#"
watch "webhook" "disks" {
  token    = "of-the-alertmanager"
  matchers = { alertname = "Disk.*" }
  match "full" {
    regex = "^firing DiskFull .*mountpoint=\"(?<mount>[^\"]*)\""
  }
}
rule "clean" {
  on       = match.disks.full
  cooldown = "0s"
  act "exec" {
    command = ["/bin/echo", capture.mount]
  }
}
"#;

/// How an Alertmanager shows the token.
const BEARER: &str =
    "          authorization:\n            type: Bearer\n            credentials: of-the-alertmanager";
const BASIC: &str =
    "          basic_auth:\n            username: alertmanager\n            password: of-the-alertmanager";

fn alert(name: &str, mount: &str, ends: Option<&str>) -> String {
    let mut alert = json!({
        "labels": { "alertname": name, "severity": "page", "mountpoint": mount },
        "annotations": { "summary": format!("{mount} is full") },
    });
    if let Some(ends) = ends {
        alert["endsAt"] = ends.into();
    }
    json!([alert]).to_string()
}

/// Long ago: what ends then is over.
const OVER: &str = "2020-01-01T00:00:01Z";

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_tells_of_what_fires_and_of_its_end() {
    let mut agent = Whole::start(HOOK).await;
    let url = format!("http://{}/v1/webhook/disks", agent.address);
    let alertmanager = Alertmanager::start(&url, BEARER);
    alertmanager.tell(&alert("Other", "/", None));
    alertmanager.tell(&alert("DiskFull", "/srv/a b", None));
    let fires = agent.until_check("disks", |said| said.starts_with("critical")).await;
    assert_eq!(fires, "critical: DiskFull: /srv/a b is full", "{}", alertmanager.output());
    let open = agent.until_events("incident_opened", 1).await;
    assert!(open[0].contains("disks"), "{open:?}");
    // The label fills one argument, whole; and once, however often the alert is told of.
    let ran = agent.until_events("outcome", 1).await;
    assert!(ran[0].contains("/srv/a b"), "{ran:?}");

    // It still fires for an agent that begins anew, before anybody calls; and it was acted on.
    agent.stop().await;
    agent.again().await;
    let after = agent.until_check("disks", |said| !said.starts_with("unknown")).await;
    assert!(after.starts_with("critical: DiskFull"), "{after}");
    let own = "Authorization: Bearer of-the-alertmanager\r\n";
    for (status, firing) in [("firing", 2), ("resolved", 1)] {
        let other = json!({ "version": "4", "groupKey": "other", "alerts": [
            { "status": status, "labels": { "alertname": "DiskOld" } },
        ] });
        let (_, taken) = agent.ask("POST", "/v1/webhook/disks", own, &other.to_string()).await;
        assert_eq!(taken["firing"], firing, "{taken}");
    }
    assert_eq!(agent.events("incident_closed").await, [""; 0]);

    alertmanager.tell(&alert("DiskFull", "/srv/a b", Some(OVER)));
    agent.until_check("disks", |said| said == "passing: no alert fires").await;
    agent.until_events("incident_closed", 1).await;
    assert_eq!(agent.events("run_started").await.len(), 1, "one alert, one run");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_may_show_the_token_as_a_password() {
    let mut agent = Whole::start(HOOK).await;
    let url = format!("http://{}/v1/webhook/disks", agent.address);
    let alertmanager = Alertmanager::start(&url, BASIC);
    alertmanager.tell(&alert("DiskSlow", "/", None));
    let fires = agent.until_check("disks", |said| said.starts_with("critical")).await;
    assert_eq!(fires, "critical: DiskSlow: / is full");
    let body = alert("DiskFull", "/", None);
    let (status, refused) =
        agent.ask("POST", "/v1/webhook/disks", "Authorization: Bearer another\r\n", &body).await;
    assert_eq!(status, 401, "{refused}");
    let own = "Authorization: Bearer of-the-alertmanager\r\n";
    let (status, refused) = agent.ask("POST", "/v1/webhook/disks", own, &body).await;
    assert_eq!(status, 400, "{refused}");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("the body is not what the webhook `disks` takes: "), "{message}");
    assert_eq!(agent.ask("POST", "/v1/webhook/other", own, &body).await.0, 404);
    assert_eq!(agent.events("run_started").await, [""; 0]);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_program_may_say_it_in_json() {
    let blocks = r#"
watch "webhook" "backup" {
  format  = "json"
  pointer = "/job/state"
  lines   = ["/log/0", "/log/1"]
  match "slow" {
    regex = "took (?<hours>[0-9]+) h"
  }
}
rule "tell" {
  on       = match.backup.slow
  cooldown = "0s"
  act "exec" {
    command = ["/bin/echo", "hours", capture.hours]
  }
}
"#;
    let mut agent = Whole::start(blocks).await;
    let post = async |agent: &Whole, body: &str| agent.ask("POST", "/v1/webhook/backup", "", body).await;
    let (status, taken) =
        post(&agent, r#"{"job": {"state": "error"}, "log": ["began", "it took 7 h"]}"#).await;
    assert_eq!((status, taken), (200, json!({ "check": "backup", "status": "critical", "firing": 0 })));
    assert_eq!(
        agent.until_check("backup", |said| said.starts_with("critical")).await,
        "critical: /job/state says `error`"
    );
    let ran = agent.until_events("outcome", 1).await;
    assert!(ran[0].contains("hours 7"), "{ran:?}");
    agent.stop().await;
    agent.again().await;
    agent.until_check("backup", |said| said == "critical: /job/state says `error`").await;
    // Hostile text is a whole argument or nothing at all.
    let hostile = json!({ "job": { "state": "ok" }, "log": ["x\ntook 8 h; $(reboot)"] }).to_string();
    assert_eq!(post(&agent, &hostile).await.0, 200);
    agent.until_check("backup", |said| said.starts_with("passing")).await;
    let ran = agent.until_events("outcome", 2).await;
    assert!(ran[1].ends_with("hours 8"), "{ran:?}");
    for odd in ["", "{", "not JSON at all"] {
        assert_eq!(post(&agent, odd).await.0, 400, "{odd}");
    }
    let (_, unknown) = post(&agent, "{}").await;
    assert_eq!(unknown["status"], "unknown");
    agent.stop().await;
}
