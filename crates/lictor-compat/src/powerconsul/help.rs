//! What `powerconsul help` prints.

const ALL: &str = "\
Usage: powerconsul <command> [options]

Checks resources of clustered services for Consul, and runs what is to be done when a check fails.

Commands:
  check     Check a resource; called by Consul
  watch     Run the triggers of failing checks; called by Consul with them on the standard input
  trigger   Run the trigger of one failing check
  config    Write the local configuration
  help      Print this text, or that of a command: powerconsul help <command>

This is lictor in the place of powerconsul.";

const CHECK: &str = "\
Usage: powerconsul check <service|servicegroup|crontab|process> -S <name> [options]

Prints one line of JSON. Ends with 0 (passing), 1 (warning, or it cannot be told) or 2 (critical).

  -S, --consulservice NAME   The service in Consul
  -s, --service NAME         service: the local service; servicegroup: several, parted by commas
  -u, --user NAME            crontab: whose
  -p, --pattern TEXT         crontab: what a line in it must have
  -n, --nagiosargs ARGS      process: the arguments of check_procs
  -P, --procstr TEXT         What is expected counts as so while a process has this in its line of `ps aux`
  -R, --procre REGEX         The same while such a line matches this from its start
  -F, --noopfile PATH        The same while this file exists and is not too old
  -U, --updatekv             As a standby that runs while no active node passes: exchange the roles";

const WATCH: &str = "\
Usage: powerconsul watch <critical|warning>

Reads what a watch of Consul for checks in that state gives, and runs the trigger of each that is of this node.";

const TRIGGER: &str = "\
Usage: powerconsul trigger <critical|warning> -s <serviceJSON>

Runs what lies in Consul at triggers/<service>/<primary|secondary|standalone>/<critical|warning>.

  -s, --service JSON         A failing check as Consul has it; ServiceName says of which service
  -u, --user NAME            Not used";

const CONFIG: &str = "\
Usage: powerconsul config bootstrap -C <JSON>

Writes ~/.powerconsul.conf.

  -C, --config JSON          serviceFilter, clusterKey, subVars, noopTriggers";

/// The help of a command, or of all; `None` if there is no such command.
#[must_use]
pub fn help(command: Option<&str>) -> Option<&'static str> {
    match command {
        None => Some(ALL),
        Some("check") => Some(CHECK),
        Some("watch") => Some(WATCH),
        Some("trigger") => Some(TRIGGER),
        Some("config") => Some(CONFIG),
        Some(_) => None,
    }
}
