//! The files that bind units to a service: what `lictor service init` writes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lictor_config::{ServiceCommand, UnitName};

use super::place::Place;

/// Where a machine's own units are.
const UNITS: &str = "/etc/systemd/system";

/// The unit of all guards.
const GUARD: &str = include_str!("../../../../packaging/systemd/lictor-guard@.service");

/// The program that it names.
const PROGRAM: &str = "/usr/bin/lictor";

/// All files that bind these units to a service on this machine, with what is to be in them; `program` is this
/// program, wherever it is installed. After they are written systemd is to read them: `systemctl
/// daemon-reload`. None of them starts anything.
pub fn files(place: &Place, units: &[UnitName], program: &Path) -> Vec<(PathBuf, String)> {
    let guard = GUARD.replace(PROGRAM, &quoted(&program.display().to_string()));
    let drop_in = drop_in(place);
    let of_unit = |unit: &UnitName| (unit_file(unit), drop_in.clone());
    std::iter::once((Path::new(UNITS).join("lictor-guard@.service"), guard))
        .chain(units.iter().map(of_unit))
        .collect()
}

/// The unit that a program without one is made of.
pub fn unit_of(place: &Place, unit: &UnitName, command: &ServiceCommand) -> (PathBuf, String) {
    let words: Vec<_> = command.argv.iter().map(|word| quoted(word)).collect();
    let words = words.join(" ");
    let user = command.user.as_ref().map(|user| format!("User={user}\n"));
    let text = format!(
        "# Written by `lictor service init {place}`: the program of the service {place}.\n\
         [Unit]\n\
         Description={place}, on one of several nodes\n\
         \n\
         [Service]\n\
         Type=exec\n\
         ExecStart={words}\n{}",
        user.unwrap_or_default()
    );
    (Path::new(UNITS).join(unit.as_str()), text)
}

/// What a unit needs besides that systemd has made of an init script: it runs for as long as something of it does, not
/// for ever after the script has ended.
pub fn of_script(unit: &UnitName) -> (PathBuf, String) {
    let text = "# Written by `lictor service init`: it runs while a process of it does.\n[Service]\nRemainAfterExit=no\n";
    (Path::new(UNITS).join(format!("{unit}.d")).join("51-lictor-init-script.conf"), text.to_owned())
}

/// The file that binds a unit to the service that it belongs to.
pub fn unit_file(unit: &UnitName) -> PathBuf {
    Path::new(UNITS).join(format!("{unit}.d")).join("50-lictor-service.conf")
}

fn drop_in(place: &Place) -> String {
    let (guard, slice, environment) = (place.guard_unit(), place.slice(), place.environment());
    let environment = environment.display();
    format!(
        "# Written by `lictor service init {place}`: this unit belongs to the service {place}.\n\
         [Unit]\n\
         # It runs while its guard does, and its guard while this node holds the lease.\n\
         BindsTo={guard}\n\
         # When the machine is shut down, the agent holds the lease until this has stopped.\n\
         After={guard} lictor.service\n\
         \n\
         [Service]\n\
         # All that the guard kills at once.\n\
         Slice={slice}\n\
         # LICTOR_SERVICE, and LICTOR_TOKEN, which grows with each start on another node.\n\
         EnvironmentFile=-{environment}\n"
    )
}

/// As the word of a command line in a unit.
fn quoted(text: &str) -> String {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@~".contains(c)) {
        return text.to_owned();
    }
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // A specifier, and a variable.
            '%' | '$' => quoted.extend([c, c]),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                write!(quoted, "\\x{:02x}", u32::from(c)).ok();
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(program: &str) -> Vec<(PathBuf, String)> {
        let units = ["shop-db", "shop"].map(|name| UnitName::new(name).unwrap());
        files(&Place::new("web-shop").unwrap(), &units, Path::new(program))
    }

    #[test]
    fn each_unit_is_bound_to_the_guard_and_in_the_slice() {
        let all = all("/usr/bin/lictor");
        let paths: Vec<_> = all.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        let expected = [
            "/etc/systemd/system/lictor-guard@.service",
            "/etc/systemd/system/shop-db.service.d/50-lictor-service.conf",
            "/etc/systemd/system/shop.service.d/50-lictor-service.conf",
        ];
        assert_eq!(paths, expected);
        insta::assert_snapshot!(all[2].1, @r"
        # Written by `lictor service init web-shop`: this unit belongs to the service web-shop.
        [Unit]
        # It runs while its guard does, and its guard while this node holds the lease.
        BindsTo=lictor-guard@web-shop.service
        # When the machine is shut down, the agent holds the lease until this has stopped.
        After=lictor-guard@web-shop.service lictor.service

        [Service]
        # All that the guard kills at once.
        Slice=lictor-web\x2dshop.slice
        # LICTOR_SERVICE, and LICTOR_TOKEN, which grows with each start on another node.
        EnvironmentFile=-/run/lictor/service/web-shop.env
        ");
    }

    #[test]
    fn a_program_becomes_a_unit_word_by_word() {
        let command = ServiceCommand {
            argv: ["/opt/a b/shop", "--say", "it's \"5 %\" of $HOME", ";", ""].map(str::to_owned).to_vec(),
            user: Some("shop".to_owned()),
        };
        let unit = UnitName::new("lictor-run-web").unwrap();
        let (path, text) = unit_of(&Place::new("web").unwrap(), &unit, &command);
        assert_eq!(path, Path::new("/etc/systemd/system/lictor-run-web.service"));
        insta::assert_snapshot!(text, @r#"
        # Written by `lictor service init web`: the program of the service web.
        [Unit]
        Description=web, on one of several nodes
        
        [Service]
        Type=exec
        ExecStart="/opt/a b/shop" --say "it's \"5 %%\" of $$HOME" ";" ""
        User=shop
        "#);
    }

    #[test]
    fn the_guard_is_the_program_that_is_installed() {
        let lines = |program: &str| {
            let guard = all(program).swap_remove(0).1;
            let lines = guard.lines().filter(|line| line.starts_with("Exec")).map(str::to_owned);
            lines.collect::<Vec<_>>()
        };
        assert_eq!(
            lines("/opt/lictor/bin/lictor"),
            [
                "ExecStart=/opt/lictor/bin/lictor guard %i",
                "ExecStopPost=+/opt/lictor/bin/lictor guard %i --kill"
            ]
        );
        assert_eq!(lines("/a b/100%$x")[0], r#"ExecStart="/a b/100%%$$x" guard %i"#);
    }
}
