//! How a Consul agent is reached, as programs of its library for Go have it.

use std::fmt;

use crate::Secret;
use crate::goflags::truth;
use crate::hcl::{Writer, quoted};

/// Where the Consul agent is unless somebody says otherwise.
const ADDRESS: &str = "127.0.0.1:8500";

/// How the Consul agent is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Reach {
    /// `http://HOST:PORT`, `https://…` or `unix://PATH`.
    pub address: String,
    /// The datacenter that is meant, when it is not the agent's own.
    pub datacenter: Option<String>,
    /// The namespace (Consul Enterprise).
    pub namespace: Option<String>,
    /// The token.
    pub token: Option<Secret>,
    /// The file that holds the token; only if there is none.
    pub token_file: Option<String>,
    /// User and password of HTTP's basic authentication.
    pub login: Option<(String, Secret)>,
    /// Whether the server's certificate is looked at.
    pub verify: bool,
    /// A file with the certificates of authorities.
    pub ca_file: Option<String>,
    /// A directory of such files; only if there is no such file.
    pub ca_dir: Option<String>,
    /// Our own certificate.
    pub cert_file: Option<String>,
    /// Its key; `None` only if there is no certificate.
    pub key_file: Option<String>,
    /// The name that the server's certificate must have.
    pub server_name: Option<String>,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach")
            .field("address", &self.address)
            .field("datacenter", &self.datacenter)
            .field("token", &self.token)
            .field("token_file", &self.token_file)
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}

/// What flags and files say of it; the rest is left to the environment.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) address: Option<String>,
    pub(crate) datacenter: Option<String>,
    pub(crate) token: Option<Secret>,
    pub(crate) token_file: Option<String>,
    pub(crate) ca_file: Option<String>,
    pub(crate) ca_dir: Option<String>,
    pub(crate) cert_file: Option<String>,
    pub(crate) key_file: Option<String>,
    pub(crate) server_name: Option<String>,
}

impl Reach {
    /// What was said, and what the environment says beyond that. Texts are not empty. What is no word for true or false there
    /// is told in `remarks`.
    pub(crate) fn new(
        said: Said,
        variable: impl Fn(&str) -> Option<String>,
        remarks: &mut Vec<String>,
    ) -> Self {
        let https = flag("CONSUL_HTTP_SSL", &variable, remarks).unwrap_or(false);
        let verify = flag("CONSUL_HTTP_SSL_VERIFY", &variable, remarks).unwrap_or(true);
        let address = said.address.or_else(|| variable("CONSUL_HTTP_ADDR"));
        // A file goes before a token that was said in the same way, as in that library.
        let (token_file, token) = match (said.token_file, said.token) {
            (None, None) => {
                (variable("CONSUL_HTTP_TOKEN_FILE"), variable("CONSUL_HTTP_TOKEN").map(Secret::new))
            }
            said => said,
        };
        let ca_file = said.ca_file.or_else(|| variable("CONSUL_CACERT").filter(|_| said.ca_dir.is_none()));
        let key_file =
            said.key_file.or_else(|| variable("CONSUL_CLIENT_KEY").filter(|_| said.cert_file.is_none()));
        let cert_file = said.cert_file.or_else(|| variable("CONSUL_CLIENT_CERT"));
        Self {
            address: with_scheme(address.as_deref().unwrap_or(ADDRESS), https),
            datacenter: said.datacenter,
            namespace: variable("CONSUL_NAMESPACE"),
            token: token.filter(|_| token_file.is_none()),
            token_file,
            login: variable("CONSUL_HTTP_AUTH").map(|auth| {
                let (user, password) = auth.split_once(':').unwrap_or((&auth, ""));
                (user.to_owned(), Secret::new(password))
            }),
            verify,
            ca_dir: said.ca_dir.or_else(|| variable("CONSUL_CAPATH")).filter(|_| ca_file.is_none()),
            ca_file,
            // One file may hold both.
            key_file: cert_file.clone().map(|cert| key_file.unwrap_or(cert)),
            cert_file,
            server_name: said.server_name.or_else(|| variable("CONSUL_TLS_SERVER_NAME")),
        }
    }
}

/// The block `consul` that reaches it so, as far as that was said elsewhere than in the environment, which counts for the block
/// too. A token is not printed.
pub(crate) fn write(reach: &Reach, out: &mut Writer) {
    out.block("consul", |out| {
        if reach.address != with_scheme(ADDRESS, false) {
            out.set("address", &quoted(&reach.address));
        }
        if reach.token.is_some() {
            out.comment("TODO: write the token into this file.");
            out.set("token_file", &quoted("/etc/lictor/consul-token"));
        }
        for (name, value) in [
            ("token_file", &reach.token_file),
            ("datacenter", &reach.datacenter),
            ("namespace", &reach.namespace),
            ("ca_file", &reach.ca_file),
            ("cert_file", &reach.cert_file),
            ("key_file", &reach.key_file),
            ("server_name", &reach.server_name),
        ] {
            out.text(name, value.as_deref().unwrap_or_default());
        }
        if !reach.verify {
            out.set("insecure", "true");
        }
        if reach.login.is_some() {
            out.comment("TODO: a user and a password (CONSUL_HTTP_AUTH) cannot be given: use a token.");
        }
        if let Some(path) = &reach.ca_dir {
            out.comment(&format!("TODO: put the certificates of {} into one file.", quoted(path)));
            out.set("ca_file", &quoted("/etc/lictor/consul-ca.pem"));
        }
    });
}

/// The address with its scheme; TLS that is asked for elsewhere goes before it.
pub(crate) fn with_scheme(given: &str, https: bool) -> String {
    match given.split_once("://") {
        Some(("http", rest)) if https => format!("https://{rest}"),
        Some(_) => given.to_owned(),
        None if given.starts_with('/') => format!("unix://{given}"),
        None => format!("{}://{given}", if https { "https" } else { "http" }),
    }
}

/// What a variable says that is true or false; anything else is told and left out.
pub(crate) fn flag(
    name: &str,
    variable: impl Fn(&str) -> Option<String>,
    remarks: &mut Vec<String>,
) -> Option<bool> {
    let word = variable(name)?;
    let found = truth(&word);
    if found.is_none() {
        remarks.push(format!(
            "the variable {name} is {word:?}, which is neither true nor false; it is left out"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(said: Said, variables: &[(&str, &str)]) -> Reach {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut remarks = Vec::new();
        let reach = Reach::new(said, variable, &mut remarks);
        assert_eq!(remarks, [""; 0]);
        reach
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn what_nobody_says_is_the_agent_of_this_machine() {
        let found = reach(Said::default(), &[]);
        assert_eq!((found.address.as_str(), found.verify), ("http://127.0.0.1:8500", true));
        assert_eq!((found.token, found.token_file, found.login, found.cert_file), (None, None, None, None));
    }

    #[test]
    fn what_is_said_goes_before_the_environment() {
        let variables = [
            ("CONSUL_HTTP_ADDR", "env:1"),
            ("CONSUL_HTTP_SSL", "true"),
            ("CONSUL_HTTP_SSL_VERIFY", "false"),
            ("CONSUL_HTTP_TOKEN", "env-token"),
            ("CONSUL_HTTP_AUTH", "me:a:b"),
            ("CONSUL_CACERT", "env-ca"),
            ("CONSUL_CLIENT_CERT", "env-cert"),
            ("CONSUL_TLS_SERVER_NAME", "env-name"),
            ("CONSUL_NAMESPACE", "ns"),
        ];
        let found = reach(Said::default(), &variables);
        assert_eq!((found.address.as_str(), found.verify), ("https://env:1", false));
        assert_eq!(found.token, Some(Secret::new("env-token")));
        assert_eq!(found.login, Some(("me".to_owned(), Secret::new("a:b"))));
        assert_eq!((found.cert_file, found.key_file), (text("env-cert"), text("env-cert")));
        assert_eq!((found.server_name, found.namespace), (text("env-name"), text("ns")));
        let said = Said {
            address: text("unix:///run/consul"),
            token: Some(Secret::new("said")),
            ca_dir: text("dir"),
            cert_file: text("cert"),
            key_file: text("key"),
            ..Said::default()
        };
        let found = reach(said, &variables);
        assert_eq!((found.address.as_str(), found.token), ("unix:///run/consul", Some(Secret::new("said"))));
        assert_eq!((found.ca_file, found.ca_dir), (None, text("dir")));
        assert_eq!((found.cert_file, found.key_file), (text("cert"), text("key")));
    }

    #[test]
    fn a_file_with_the_token_goes_before_a_token() {
        let both = || Said { token: Some(Secret::new("t")), token_file: text("/t"), ..Said::default() };
        let found = reach(both(), &[]);
        assert_eq!((found.token, found.token_file), (None, text("/t")));
        let variables = [("CONSUL_HTTP_TOKEN", "e"), ("CONSUL_HTTP_TOKEN_FILE", "/e")];
        let found = reach(Said::default(), &variables);
        assert_eq!((found.token, found.token_file), (None, text("/e")));
    }

    #[test]
    fn secrets_are_not_shown() {
        let found =
            reach(Said::default(), &[("CONSUL_HTTP_TOKEN", "geheim"), ("CONSUL_HTTP_AUTH", "me:geheim")]);
        assert!(!format!("{found:?}").contains("geheim"));
    }
}
