//! The table of mounts, as proc(5) describes it.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use crate::watch::unescape;

/// Kinds that hold no files of anybody.
const PSEUDO: [&str; 20] = [
    "autofs",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "fuse.portal",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "none",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "subfs",
    "sysfs",
    "tracefs",
];

/// Kinds that lie on another machine.
const REMOTE: [&str; 7] = ["nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph"];

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where.
    pub(super) point: PathBuf,
    /// What of the file system is mounted there.
    root: PathBuf,
    /// Its device, or whatever it calls so.
    pub(super) source: PathBuf,
    kind: String,
    /// Whether it lies on another machine.
    pub(super) remote: bool,
}

/// All of them, in the order in which they were mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table(Vec<Mount>);

impl Table {
    pub(super) fn read() -> io::Result<Self> {
        std::fs::read("/proc/self/mountinfo").map(|text| Self::parse(&text))
    }

    /// Lines that are no mounts are passed over.
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(text.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect())
    }

    /// Those that may have a size, each place once: of several at one the last counts, where the first was.
    pub(super) fn listed(&self) -> impl Iterator<Item = &Mount> {
        let mut places: Vec<&Mount> = Vec::new();
        for mount in self.0.iter().filter(|mount| !PSEUDO.contains(&mount.kind.as_str())) {
            match places.iter_mut().find(|covered| covered.point == mount.point) {
                Some(covered) => *covered = mount,
                None => places.push(mount),
            }
        }
        places.into_iter()
    }

    /// The one that holds a path without symbolic links.
    pub(super) fn holding(&self, path: &Path) -> Option<&Mount> {
        let holds = self.0.iter().filter(|mount| path.starts_with(&mount.point));
        // Of several at one place the last one counts.
        holds.max_by_key(|mount| mount.point.components().count())
    }

    /// Whether what a path stands for lies on another machine, as far as can be told without going there.
    pub(super) fn is_remote(&self, path: &Path) -> bool {
        self.of_device(path).or_else(|| self.holding(path)).is_some_and(|mount| mount.remote)
    }

    /// The one of a device.
    pub(super) fn of_device(&self, device: &Path) -> Option<&Mount> {
        self.0.iter().find(|mount| mount.source == device && device.starts_with("/dev"))
    }
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        // 36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/root rw,errors=continue
        let mut fields = line.split(|byte| *byte == b' ');
        let path = |field: &[u8]| PathBuf::from(OsString::from_vec(unescape(field)));
        let root = path(fields.nth(3)?);
        let point = path(fields.next()?);
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        let kind = String::from_utf8_lossy(rest.next()?).into_owned();
        let source = path(rest.next()?);
        let other_machine =
            source.to_string_lossy().contains(':') || source.to_string_lossy().starts_with("//");
        let remote = REMOTE.contains(&kind.as_str()) || kind == "fuse.sshfs" || other_machine;
        Some(Self { point, root, source, kind, remote })
    }

    /// Whether it is shown in place of another mount of the same device: one with a real device, or
    /// one nearer to the root that shows no smaller part.
    pub(super) fn goes_before(&self, other: &Self) -> bool {
        let real = |mount: &Self| mount.source.to_string_lossy().contains('/');
        let length = |path: &Path| path.as_os_str().len();
        real(self) && !real(other)
            || length(&self.point) < length(&other.point) && length(&self.root) <= length(&other.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
        23 22 0:21 / /proc rw - proc proc rw\n\
        24 22 8:2 /data /srv/a\\040b rw master:1 propagate_from:2 - xfs /dev/sda2 rw\n\
        25 22 8:2 / /mnt rw - xfs /dev/sda2 rw\n\
        28 22 0:46 / /mnt/nfs rw - nfs4 server:/export rw\n\
        29 22 0:47 / /tmp rw - tmpfs tmpfs rw\n\
        garbage\n\
        31 22 0:49 / /run rw - tmpfs run rw\n\
        30 29 0:48 / /tmp rw - tmpfs other rw\n";

    fn holding(path: &str) -> String {
        let table = Table::parse(TABLE);
        let mount = table.holding(Path::new(path)).unwrap();
        format!("{} {}", mount.point.display(), mount.source.display())
    }

    #[test]
    fn the_mount_nearest_to_a_path_holds_it() {
        assert_eq!(holding("/etc/passwd"), "/ /dev/sda1");
        assert_eq!(holding("/srv/a b/c"), "/srv/a b /dev/sda2");
        assert_eq!(holding("/srv/a"), "/ /dev/sda1");
        assert_eq!(holding("/mnt/nfs"), "/mnt/nfs server:/export");
        assert_eq!(holding("/mntx"), "/ /dev/sda1");
        assert_eq!(holding("/tmp/x"), "/tmp other");
        assert_eq!(holding("/proc/1"), "/proc proc");
        let table = Table::parse(TABLE);
        assert_eq!(
            ["/mnt/nfs/x", "/mnt", "/dev/sda2"].map(|path| table.is_remote(Path::new(path))),
            [true, false, false]
        );
    }

    #[test]
    fn what_is_hidden_or_holds_no_files_is_not_listed() {
        let table = Table::parse(TABLE);
        let listed: Vec<String> = table.listed().map(|mount| mount.point.display().to_string()).collect();
        assert_eq!(listed, ["/", "/srv/a b", "/mnt", "/mnt/nfs", "/tmp", "/run"]);
        assert_eq!(table.listed().nth(4).unwrap().source, Path::new("other"));
        assert_eq!(table.listed().filter(|mount| mount.remote).count(), 1);
        assert_eq!(table.of_device(Path::new("/dev/sda1")).unwrap().point, Path::new("/"));
        assert_eq!(table.of_device(Path::new("tmpfs")), None);
    }

    #[test]
    fn of_one_device_the_whole_near_the_root_is_shown() {
        let table = Table::parse(TABLE);
        let mounts: Vec<&Mount> = table.listed().collect();
        assert!(mounts[2].goes_before(mounts[1]) && !mounts[1].goes_before(mounts[2]));
    }

    proptest::proptest! {
        #[test]
        fn any_table_is_read_without_harm(lines in proptest::collection::vec("[0-9: a-z/\\\\-]{0,80}", 0..8)) {
            let table = Table::parse(lines.join("\n").as_bytes());
            assert!(table.listed().count() <= lines.len());
        }
    }
}
