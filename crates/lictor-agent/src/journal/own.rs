//! What we write to the journal ourselves.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::record::Record;

/// Our own process, program and unit, whose records are left out: a rule that is triggered by what it
/// says when it is triggered would never end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) pid: u32,
    pub(crate) exe: Option<PathBuf>,
    /// Programs that we start write as this unit, too.
    pub(crate) unit: Option<String>,
}

impl Own {
    pub(crate) fn new() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self { pid: std::process::id(), exe: std::env::current_exe().ok(), unit: unit(&groups) }
    }

    /// Whether a record is ours. Its decoder must keep `_SYSTEMD_UNIT`.
    pub(crate) fn wrote(&self, record: &Record) -> bool {
        let is = |own: Option<&[u8]>, other: Option<&[u8]>| other.is_some_and(|other| own == Some(other));
        let exe = Some(record.exe.as_slice()).filter(|exe| !exe.is_empty());
        (self.pid != 0 && record.pid == self.pid)
            || is(self.exe.as_ref().map(|exe| exe.as_os_str().as_bytes()), exe)
            || is(self.unit.as_ref().map(String::as_bytes), record.field("_SYSTEMD_UNIT"))
    }
}

/// The service that we are, by our control groups. A user's service manager is none: others run in it.
fn unit(groups: &str) -> Option<String> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let unit = path.split('/').find(|part| part.ends_with(".service"))?;
    (!unit.starts_with("user@")).then(|| unit.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_knows_its_name_and_a_users_program_has_none() {
        assert_eq!(unit("0::/system.slice/lictor.service\n").as_deref(), Some("lictor.service"));
        assert_eq!(unit("1:x:/\n0::/a.slice/l.service/sub\n").as_deref(), Some("l.service"));
        assert_eq!(unit("0::/user.slice/user-1.slice/user@1.service/app.slice/l.service"), None);
        assert_eq!(unit("0::/user.slice/user-1.slice/session-1.scope"), None);
        assert_eq!(unit(""), None);
    }

    #[test]
    fn what_is_not_known_is_nobodys() {
        assert!(!Own::default().wrote(&Record::default()));
    }
}
