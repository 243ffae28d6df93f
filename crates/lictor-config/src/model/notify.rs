//! Notifiers: how messages leave.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lictor_core::alert::NotifierPlan;
use url::Url;

use super::{Command, Tls};
use crate::secret::{Secret, SecretError};
use crate::template::{Shape, Template};

/// `notify "KIND" "NAME" { … }`.
#[derive(Clone, Debug)]
pub struct Notifier {
    /// How it is used.
    pub plan: NotifierPlan,
    /// Where it tells.
    pub kind: NotifierKind,
    /// Time limit of one attempt (default 10 s; 30 s for email and exec).
    pub timeout: Duration,
    /// The title of a message, or the subject of a mail, in place of ours.
    pub title: Option<Template>,
    /// The text of a message in place of ours.
    pub text: Option<Template>,
}

/// Where a notifier tells.
#[derive(Clone, Debug)]
pub enum NotifierKind {
    /// By mail.
    Email(Box<Email>),
    /// In a file.
    Log(LogFile),
    /// By a program.
    Exec(NotifyProgram),
    /// By HTTP requests, which a table describes for each service.
    Service(Box<Service>),
}

impl NotifierKind {
    /// The word for it in the configuration.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Log(_) => "log",
            Self::Exec(_) => "exec",
            Self::Service(service) => service.kind,
        }
    }
}

/// `notify "email"`.
#[derive(Clone, Debug)]
pub struct Email {
    /// The SMTP server.
    pub host: String,
    /// Its port (default 587; 465 with TLS from the first byte, 25 without TLS).
    pub port: u16,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// TLS.
    pub tls: Tls,
    /// User and password. `None`: no authentication.
    pub login: Option<(String, Secret)>,
    /// What the server is told our name is (default the host's).
    pub hello: Option<String>,
    /// The sender: an address, or `Name <address>`.
    pub from: String,
    /// The receivers; not empty.
    pub to: Vec<String>,
    /// The HTML part in place of ours.
    pub html: Option<Template>,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// By STARTTLS, or no mail is sent.
    Starttls,
    /// By STARTTLS where the server offers it.
    Opportunistic,
    /// By TLS from the first byte.
    Implicit,
    /// Not at all.
    None,
}

/// `notify "log"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// The file, which is appended to.
    pub path: PathBuf,
    /// One JSON document a line in place of text.
    pub json: bool,
}

/// `notify "exec"`.
#[derive(Clone, Debug)]
pub struct NotifyProgram {
    /// What is run.
    pub command: Command,
    /// It gets what a custom notifier of consul-alerts gets in place of the whole message.
    pub consul_alerts: bool,
}

/// A service that is told by HTTP.
#[derive(Clone, Debug)]
pub struct Service {
    /// The word for it in the configuration.
    pub kind: &'static str,
    /// Where it is: all of these are told.
    pub endpoints: Vec<Endpoint>,
    /// What else it needs, by name. What is not set and has no default is not there.
    pub settings: BTreeMap<&'static str, Setting>,
    /// Headers to add; values may be secret.
    pub headers: Vec<(String, Secret)>,
    /// The request, where the user describes it.
    pub request: Option<OwnRequest>,
    /// TLS.
    pub tls: Tls,
    /// The proxy to go through; none unless it is set.
    pub proxy: Option<Url>,
}

/// Where a service is.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// An address that may be shown.
    Plain(Url),
    /// An address that lets everyone in who knows it.
    Secret(Secret),
}

/// A setting of a service.
#[derive(Clone, Debug)]
pub enum Setting {
    /// What may be shown.
    Plain(serde_json::Value),
    /// What must not be shown.
    Secret(Secret),
}

impl Setting {
    /// Its value; a secret is read now.
    ///
    /// # Errors
    /// When the file of a secret cannot be read.
    pub fn reveal(&self) -> Result<serde_json::Value, SecretError> {
        match self {
            Self::Plain(value) => Ok(value.clone()),
            Self::Secret(secret) => Ok(secret.reveal()?.into()),
        }
    }
}

/// `notify "http"`: what is sent.
#[derive(Clone, Debug)]
pub struct OwnRequest {
    /// The method (default POST).
    pub method: String,
    /// The body.
    pub body: OwnBody,
    /// Statuses that mean accepted, as inclusive ranges (default 200 to 299).
    pub status: Vec<(u16, u16)>,
    /// One request for each alert in place of one for all.
    pub each: bool,
}

/// The body of a request that the user describes.
#[derive(Clone, Debug)]
pub enum OwnBody {
    /// JSON, built by value.
    Json(Shape),
    /// A form.
    Form(Vec<(String, Template)>),
    /// A text as it is.
    Text(Template),
}
