//! Real servers that keep objects: moto and s3rver, which speak S3 and check signatures, and Azurite, which speaks
//! Azure's protocol.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::daemon::{Daemon, get};
use crate::ports;

/// How long an answer may take. moto loads what it needs with the first question.
const ANSWER: Duration = Duration::from_secs(60);

/// Id and secret of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The id.
    pub id: String,
    /// The secret.
    pub secret: String,
}

/// A moto: Amazon's S3, STS and IAM. Dropping it ends it, and nothing is left.
#[derive(Debug)]
pub struct Moto {
    daemon: Daemon,
    address: SocketAddr,
    keys: Keys,
    role: String,
}

impl Moto {
    /// Starts one with these buckets, a user who may do everything with S3 and take a role, and that role. From then
    /// on each signature is checked.
    ///
    /// # Panics
    /// If it does not answer as it should; with the end of its output.
    #[must_use]
    pub fn start(buckets: &[&str]) -> Self {
        let mut daemon = Daemon::new("moto_server", "LICTOR_MOTO_BIN");
        let (address, args) = listening("--host", "--port");
        daemon.launch(args, |_daemon| get(address, "/moto-api/").is_some());
        let keys = Keys { id: String::new(), secret: String::new() };
        let mut moto = Self { daemon, address, keys, role: String::new() };
        for bucket in buckets {
            moto.make_bucket(bucket);
        }
        moto.make_user();
        moto.set_free_actions("0");
        moto
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The user's keys.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The role that the user may take, and that may do everything with S3.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// From now on no signature is checked, and nobody has to say who asks.
    ///
    /// # Panics
    /// If it refuses.
    pub fn let_everyone_in(&self) {
        self.set_free_actions("1000000");
    }

    fn set_free_actions(&self, count: &str) {
        self.ask("POST", "/moto-api/reset-auth", "s3", count);
    }

    fn make_bucket(&self, bucket: &str) {
        self.ask("PUT", &format!("/{bucket}"), "s3", "");
    }

    fn make_user(&mut self) {
        let iam = |form: &str| self.ask("POST", "/", "iam", &format!("Version=2010-05-08&{form}"));
        // {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","sts:*"],"Resource":"*"}]}
        let policy = "PolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow\
                      %22%2C%22Action%22%3A%5B%22s3%3A%2A%22%2C%22sts%3A%2A%22%5D%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";
        // {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:*"}]}
        let trust = "AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A\
                     %22Allow%22%2C%22Principal%22%3A%7B%22AWS%22%3A%22%2A%22%7D%2C%22Action%22%3A%22sts%3A%2A%22%7D%5D%7D";
        iam("Action=CreateUser&UserName=u");
        iam(&format!("Action=PutUserPolicy&UserName=u&PolicyName=p&{policy}"));
        let role = iam(&format!("Action=CreateRole&RoleName=r&{trust}"));
        iam(&format!("Action=PutRolePolicy&RoleName=r&PolicyName=p&{policy}"));
        let made = iam("Action=CreateAccessKey&UserName=u");
        let keys = Keys { id: element(&made, "AccessKeyId"), secret: element(&made, "SecretAccessKey") };
        let role = element(&role, "Arn");
        self.keys = keys;
        self.role = role;
    }

    /// What it answers, head and all. Who asks is not shown: it is not asked for yet.
    fn ask(&self, method: &str, path: &str, service: &str, body: &str) -> String {
        let address = self.address;
        // A count is no form: it would be taken for one, and for an empty one.
        let kind =
            if path.starts_with("/moto-api/") { "text/plain" } else { "application/x-www-form-urlencoded" };
        let scope = format!("Credential=x/20260101/us-east-1/{service}/aws4_request");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: {kind}\r\n\
             Authorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=x\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(address, &request);
        let done = answer.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 2"));
        assert!(done, "moto does not do {method} {path}: {answer:?}\n{}", self.daemon.output());
        answer.unwrap_or_default()
    }
}

/// An s3rver: S3 without anything newer than its signatures. Dropping it ends it and removes what it keeps.
#[derive(Debug)]
pub struct S3rver {
    _daemon: Daemon,
    address: SocketAddr,
}

impl S3rver {
    /// Starts one with a bucket.
    ///
    /// # Panics
    /// If it does not answer in time; with the end of its output.
    #[must_use]
    pub fn start(bucket: &str) -> Self {
        let mut daemon = Daemon::new("s3rver", "LICTOR_S3RVER_BIN");
        let (address, mut args) = listening("--address", "--port");
        args.extend(["--directory".into(), daemon.path().join("kept").into_os_string()]);
        args.extend(["--configure-bucket", bucket].map(OsString::from));
        daemon.launch(args, |_daemon| get(address, "/").is_some());
        Self { _daemon: daemon, address }
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The only keys that it knows.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys { id: "S3RVER".to_owned(), secret: "S3RVER".to_owned() }
    }
}

/// An Azurite. Dropping it ends it and removes what it keeps.
#[derive(Debug)]
pub struct Azurite {
    _daemon: Daemon,
    address: SocketAddr,
}

impl Azurite {
    /// The account that it has.
    pub const ACCOUNT: &str = "devstoreaccount1";

    /// The key of that account, which Azurite's documentation names.
    pub const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// Starts one without a container.
    ///
    /// # Panics
    /// If it does not answer in time; with the end of its output.
    #[must_use]
    pub fn start() -> Self {
        let mut daemon = Daemon::new("azurite-blob", "LICTOR_AZURITE_BIN");
        let (address, mut args) = listening("--blobHost", "--blobPort");
        args.extend(["--location".into(), daemon.path().join("kept").into_os_string()]);
        args.extend(["--disableTelemetry", "--skipApiVersionCheck", "--silent"].map(OsString::from));
        daemon.launch(args, |_daemon| get(address, "/").is_some());
        Self { _daemon: daemon, address }
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// An address of its own, and the arguments that say so.
fn listening(host: &str, port: &str) -> (SocketAddr, Vec<OsString>) {
    let ip = ports::loopback();
    let address = SocketAddr::from((ip, ports::free_on(ip)));
    let args = [host.to_owned(), ip.to_string(), port.to_owned(), address.port().to_string()];
    (address, args.map(OsString::from).to_vec())
}

fn exchange(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The text of the first element of this name.
fn element(text: &str, name: &str) -> String {
    let rest = text.split_once(&format!("<{name}>")).map_or("", |(_, rest)| rest);
    rest.split_once(&format!("</{name}>")).map_or("", |(inner, _)| inner).to_owned()
}
