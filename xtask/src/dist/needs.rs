//! What a program needs of the machine it runs on.

use std::path::Path;

use crate::error::Error;
use crate::tool::Tool;

/// The oldest glibc that has all that the program asks for, such as `2.34`; `None` when it needs none.
pub(super) fn glibc(program: &Path) -> Result<Option<String>, Error> {
    let said = Tool::new("readelf").args(["--wide", "--version-info"]).arg(program).output()?;
    Ok(newest(&said).map(|(major, minor)| format!("{major}.{minor}")))
}

/// The newest version of glibc's symbols among what `readelf` lists.
fn newest(said: &str) -> Option<(u32, u32)> {
    let names = said.split_whitespace().filter_map(|word| word.strip_prefix("GLIBC_"));
    let versions = names.filter_map(|version| {
        let mut parts = version.split('.').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts_and_by_its_numbers() {
        let said = "  0x10:   Name: GLIBC_2.9  Flags: none\n 0x20: Name: GLIBC_2.34  Flags: none\n 0x30: Name: GCC_3.0\n\
                    0x40: Name: GLIBC_2.2.5  0x50: Name: GLIBC_ABI_DT_RELR";
        assert_eq!(newest(said), Some((2, 34)));
        assert_eq!(newest("There is no version information in this file."), None);
    }
}
