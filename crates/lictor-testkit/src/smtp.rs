//! A real mail server (aiosmtpd), with and without TLS and passwords, that keeps what it is sent.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::{env, fs};

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::ports;

/// What kind of mail server is wanted.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Certificate and key, PEM.
    pub tls: Option<(String, String)>,
    /// TLS from the first byte in place of STARTTLS.
    pub implicit: bool,
    /// The users and their passwords; none: there is no authentication.
    pub users: Vec<(String, String)>,
    /// Receivers that it does not know.
    pub unknown: Vec<String>,
    /// What it answers to each mail in place of taking it; `hang`: nothing.
    pub answer: Option<String>,
}

/// A mail that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The sender of the envelope.
    pub from: String,
    /// The receivers of the envelope.
    pub to: Vec<String>,
    /// Whether it came by TLS.
    pub tls: bool,
    /// Who was let in, if anybody had to be.
    pub user: Option<String>,
    /// The headers, decoded, names in lower case.
    pub headers: Value,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: String,
}

/// A mail server. Dropping it ends it and removes what it was sent.
#[derive(Debug)]
pub struct Smtp {
    daemon: Daemon,
    address: SocketAddr,
}

/// The server, in the language of the program that it is.
const SERVER: &str = r#"
import asyncio, email, email.policy, json, os, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

conf = json.load(open(sys.argv[1]))
count = 0

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in conf["unknown"]:
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        global count
        if conf["answer"] == "hang":
            await asyncio.sleep(3600)
        if conf["answer"]:
            return conf["answer"]
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        def part(kind):
            body = mail.get_body((kind,))
            return body.get_content().replace("\r\n", "\n") if body else ""
        taken = {
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None or conf["implicit"],
            "user": session.auth_data.login.decode() if session.authenticated else None,
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            "text": part("plain"), "html": part("html"),
        }
        count += 1
        path = os.path.join(conf["mails"], "%06d" % count)
        with open(path + ".part", "w") as file:
            json.dump(taken, file)
        os.rename(path + ".part", path + ".json")
        return "250 OK"

def known(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and conf["users"].get(data.login.decode()) == data.password.decode()
    return AuthResult(success=good, handled=False, auth_data=data)

async def main():
    tls = None
    if conf["cert"]:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(conf["cert"], conf["key"])
    users = bool(conf["users"])
    def serve():
        return SMTP(
            Handler(), hostname="mail.test", enable_SMTPUTF8=True, authenticator=known, auth_required=users,
            auth_require_tls=False, auth_exclude_mechanism=[] if users else ["LOGIN", "PLAIN"],
            tls_context=None if conf["implicit"] else tls, loop=asyncio.get_running_loop(),
        )
    loop = asyncio.get_running_loop()
    server = await loop.create_server(serve, conf["ip"], conf["port"], ssl=tls if conf["implicit"] else None)
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"#;

impl Smtp {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// If it does not in time; the message has the end of its output.
    #[must_use]
    pub fn start(options: &Options) -> Self {
        let mut daemon = Daemon::new("aiosmtpd", "LICTOR_AIOSMTPD_BIN");
        daemon.use_program(interpreter());
        let ip = ports::loopback();
        let address = SocketAddr::from((ip, ports::free_on(ip)));
        let mails = daemon.path().join("mails");
        fs::create_dir(&mails).unwrap_or_else(|error| panic!("no place for mails: {error}"));
        let files = options
            .tls
            .as_ref()
            .map(|(certificate, key)| (daemon.write("smtp.pem", certificate), daemon.write("smtp.key", key)));
        let users: serde_json::Map<String, Value> =
            options.users.iter().map(|(user, password)| (user.clone(), password.clone().into())).collect();
        let conf = json!({
            "ip": ip, "port": address.port(), "mails": mails, "implicit": options.implicit, "users": users,
            "cert": files.as_ref().map(|(cert, _)| cert), "key": files.as_ref().map(|(_, key)| key),
            "unknown": options.unknown, "answer": options.answer,
        });
        let conf = daemon.write("smtp.json", &conf.to_string());
        let server = daemon.write("server.py", SERVER);
        let args: Vec<OsString> = vec![server.into_os_string(), conf.into_os_string()];
        daemon.launch(args, |daemon| daemon.output().contains("ready"));
        Self { daemon, address }
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The mails that it has taken, in order.
    ///
    /// # Panics
    /// If what it kept cannot be read.
    #[must_use]
    pub fn mails(&self) -> Vec<Taken> {
        let dir = self.daemon.path().join("mails");
        let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("no mails: {error}"));
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "json"));
        files.sort();
        files.iter().map(|path| taken(path)).collect()
    }

    /// The end of its output, for messages.
    #[must_use]
    pub fn output(&self) -> String {
        self.daemon.output()
    }
}

fn taken(path: &std::path::Path) -> Taken {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mail: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = |name: &str| mail[name].as_str().unwrap_or_default().to_owned();
    Taken {
        from: text("from"),
        to: mail["to"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        tls: mail["tls"] == true,
        user: mail["user"].as_str().map(str::to_owned),
        headers: mail["headers"].clone(),
        text: text("text"),
        html: text("html"),
    }
}

/// What the program of the package runs by: it has the module.
fn interpreter() -> PathBuf {
    let program =
        env::var_os("LICTOR_AIOSMTPD_BIN").map_or_else(|| PathBuf::from("/usr/bin/aiosmtpd"), PathBuf::from);
    let text = fs::read_to_string(&program).unwrap_or_else(|error| {
        panic!("cannot read {} ({error}): `cargo xtask setup` installs it", program.display())
    });
    let first = text.lines().next().unwrap_or_default();
    PathBuf::from(first.trim_start_matches("#!").trim())
}
