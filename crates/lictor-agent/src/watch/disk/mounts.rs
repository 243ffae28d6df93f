//! The mounted file systems that can fill up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// Full by nature: images that cannot be written to.
const IMAGES: [&str; 6] = ["squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"];

/// On devices although they name none.
const POOLS: [&str; 2] = ["zfs", "bcachefs"];

/// Where the file systems that lie on a device are mounted; each once, at the shortest path.
/// The root always, whatever it lies on. The format is that of proc(5).
pub(super) fn on_devices() -> io::Result<Vec<PathBuf>> {
    std::fs::read("/proc/self/mountinfo").map(|table| parse(&table))
}

fn parse(table: &[u8]) -> Vec<PathBuf> {
    let mut found: BTreeMap<&[u8], Vec<u8>> = BTreeMap::new();
    for line in table.split(|byte| *byte == b'\n') {
        let Some((device, point)) = on_device(line) else { continue };
        let known = found.entry(device).or_insert_with(|| point.clone());
        if point.len() < known.len() {
            *known = point;
        }
    }
    let mut paths: Vec<PathBuf> =
        found.into_values().map(|point| PathBuf::from(OsString::from_vec(point))).collect();
    if !paths.iter().any(|path| path.as_os_str() == "/") {
        paths.push("/".into());
    }
    paths.sort();
    paths
}

/// The device number and the mount point of a line, if it lies on a device.
fn on_device(line: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    // 36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    let mut fields = line.split(|byte| *byte == b' ');
    let device = fields.nth(2)?;
    let point = unescape(fields.nth(1)?);
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let (kind, source) = (std::str::from_utf8(rest.next()?).ok()?, rest.next()?);
    let fills = source.starts_with(b"/dev/") && !IMAGES.contains(&kind) || POOLS.contains(&kind);
    fills.then_some((device, point))
}

/// Blanks, tabs, line breaks and backslashes are written as three octal digits.
pub(crate) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let digits =
            tail.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        match digits {
            Some(digits) => {
                let code =
                    digits.iter().fold(0_u8, |code, digit| code.wrapping_mul(8).wrapping_add(digit - b'0'));
                plain.push(code);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_fill_up_is_taken_and_each_device_once() {
        let table = b"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
            23 22 0:21 / /proc rw - proc proc rw\n\
            24 22 8:2 /data /srv/a\\040b rw master:1 propagate_from:2 - xfs /dev/sda2 rw\n\
            25 22 8:2 / /mnt/bind/longer rw - xfs /dev/sda2 rw\n\
            26 22 7:0 / /snap/core ro - squashfs /dev/loop0 ro\n\
            27 22 0:45 / /tank rw - zfs tank/data rw\n\
            28 22 0:46 / /mnt/nfs rw - nfs4 server:/export rw\n\
            garbage\n\n";
        let found = parse(table);
        assert_eq!(found, ["/", "/srv/a b", "/tank"].map(PathBuf::from));
    }

    #[test]
    fn the_root_is_looked_at_even_in_a_container() {
        assert_eq!(parse(b"22 1 0:50 / / rw - overlay overlay rw\n"), [PathBuf::from("/")]);
    }

    #[test]
    fn this_machine_has_a_root() {
        assert!(on_devices().unwrap().contains(&PathBuf::from("/")));
    }

    proptest::proptest! {
        #[test]
        fn any_table_is_read_without_harm(lines in proptest::collection::vec("[0-9: a-z/\\\\-]{0,80}", 0..8)) {
            let paths = parse(lines.join("\n").as_bytes());
            assert!(paths.contains(&PathBuf::from("/")));
        }

        #[test]
        fn an_escaped_path_is_read_as_it_was(path in proptest::collection::vec(1_u8.., 1..40)) {
            let escaped: Vec<u8> = path.iter().flat_map(|byte| format!("\\{byte:03o}").into_bytes()).collect();
            assert_eq!(unescape(&escaped), path);
        }
    }
}
