//! What kind of machine this is, as far as installing goes.

use std::path::Path;

/// The machine the commands run on.
#[derive(Debug)]
pub(crate) struct Host {
    debian: Option<String>,
    root: bool,
}

impl Host {
    /// Reads `/etc/os-release` (os-release(5)) and the effective user.
    pub(crate) fn here() -> Self {
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let has_apt = Path::new("/usr/bin/apt-get").exists();
        Self { debian: codename(&release).filter(|_| has_apt), root: rustix::process::geteuid().is_root() }
    }

    /// A machine that is not this one.
    #[cfg(test)]
    pub(crate) fn pretend(root: bool) -> Self {
        Self { debian: None, root }
    }

    /// The codename of the Debian release, on Debian.
    pub(crate) fn debian(&self) -> Option<&str> {
        self.debian.as_deref()
    }

    /// Whether we may install packages and make network namespaces.
    pub(crate) fn is_root(&self) -> bool {
        self.root
    }

    /// Why packages cannot be installed here, if so.
    pub(crate) fn cannot_install(&self) -> Option<&'static str> {
        match (&self.debian, self.root) {
            (None, _) => Some("this is not Debian"),
            (Some(_), false) => Some("installing packages needs root"),
            (Some(_), true) => None,
        }
    }
}

fn codename(os_release: &str) -> Option<String> {
    let field = |name: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
    };
    (field("ID")? == "debian").then(|| field("VERSION_CODENAME").unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_debian_itself_has_a_debian_codename() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=bookworm\n").as_deref(), Some("bookworm"));
        assert_eq!(codename("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n"), None);
        assert_eq!(codename("NAME=\"Alpine Linux\"\nID=alpine\n"), None);
    }
}
