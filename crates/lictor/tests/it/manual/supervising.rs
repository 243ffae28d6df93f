//! Lines of a journal that are played, and the program under the name of another.

use std::fs;

use lictor_testkit::journal::{Entry, Writer};

use super::How::Then;
use super::{Page, blocks, done};
use crate::manual::stage::Stage;

pub(super) const SUPERVISOR: Page = Page {
    name: "supervisor.md",
    blocks: &[
        ("lictor backtest --config new.hcl --journal --from -7d", Then(a_journal, |_| {})),
        ("lictor link --force --dir /usr/local/sbin bbbsupervisor", Then(|_| {}, the_unit_goes_on)),
    ],
};

/// The machine of the entries.
const MACHINE: &str = "00112233445566778899aabbccddeeff";

fn a_journal(stage: &mut Stage<'_>) {
    let rule = blocks::containing("supervisor.md", "hcl", "rule \"restart-electrs\"");
    fs::write(stage.path("home/new.hcl"), rule).unwrap();
    // More than the rule allows in an hour, and some of them soon after another.
    let now = jiff::Timestamp::now().as_microsecond();
    let begins = u64::try_from(now).unwrap() - 24 * 3_600_000_000;
    let file = stage.path("system.journal");
    let mut writer = Writer::open(&file);
    for (number, second) in [0, 5, 60, 120, 180, 240, 300, 360, 420].into_iter().enumerate() {
        for (line, text) in ["WARN - reconnecting: no reply from daemon", "indexing"].into_iter().enumerate()
        {
            let at = begins + second * 1_000_000 + (number * 2 + line) as u64;
            writer.write(&[Entry::new(at, text).unit("electrs.service")]);
        }
    }
    writer.close();
    let folder = format!("/var/log/journal/{MACHINE}");
    let file = file.display();
    stage.does(&format!("echo {MACHINE} >/etc/machine-id && mkdir -p {folder} && cp {file} {folder}"));
}

fn the_unit_goes_on(stage: &mut Stage<'_>) {
    assert_eq!(stage.told(), "systemctl daemon-reload\nsystemctl restart bbbsupervisor\n");
    let said = stage.does("/usr/local/sbin/bbbsupervisor --version 2>&1");
    assert!(said.contains("version"), "{said}");
    stage.does("grep -q KillMode=process /etc/systemd/system/bbbsupervisor.service.d/lictor.conf");
}

#[test]
fn the_blocks_of_supervisor_do_what_they_say() {
    done(&SUPERVISOR);
}
