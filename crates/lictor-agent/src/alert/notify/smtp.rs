//! `notify "email"`: a mail, handed to a mail server.
//!
//! Until the server has asked for the mail itself, whatever goes wrong means that it has none;
//! after that only its own word counts.

use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, Identity, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lictor_config::{Email, MailSecurity, Notifier};
use lictor_core::Span;
use lictor_core::alert::{Message, Verdict};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

use super::exchange::clean;
use super::mail::Mail;
use crate::remote::{aside, reason};

/// How long the server may take to say good-bye; it has the mail by then.
const BYE: Duration = Duration::from_secs(2);

/// A session that ended before the server had the mail.
struct Failed {
    why: String,
    /// It says that it will never take it.
    for_good: bool,
    /// It does not know our password.
    unknown: bool,
}

impl Failed {
    fn before(why: impl Into<String>) -> Self {
        Self { why: why.into(), for_good: false, unknown: false }
    }

    fn said(what: &str, error: &Error) -> Self {
        Self { why: format!("{what}: {}", words(error)), for_good: error.is_permanent(), unknown: false }
    }
}

/// Hands a message to the mail server.
pub(super) async fn tell(notifier: &Notifier, email: &Email, message: &Message) -> Verdict {
    match Mail::of(notifier, email, message).encoded(email, message) {
        Ok(mail) => hand_over(notifier, email, &mail).await,
        Err(why) => Verdict::Refused { why, retry_after: None, for_good: true },
    }
}

/// Hands a mail to the mail server. When it does not know our password and that has changed
/// meanwhile, once more.
pub(super) async fn hand_over(notifier: &Notifier, email: &Email, mail: &lettre::Message) -> Verdict {
    let deadline = Instant::now() + notifier.timeout;
    let mut password = match reveal(email, deadline).await {
        Ok(password) => password,
        Err(why) => return refused(&Failed::before(why), &[]),
    };
    loop {
        let secrets: Vec<String> = password.iter().cloned().collect();
        let opened = open(email, mail, password.clone(), notifier.timeout);
        let mut connection = match timeout_at(deadline, opened).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(failed)) => {
                let again = if failed.unknown { reveal(email, deadline).await.ok() } else { None };
                match again {
                    Some(again) if again != password => {
                        password = again;
                        continue;
                    }
                    _ => return refused(&failed, &secrets),
                }
            }
            Err(_late) => {
                let why =
                    format!("the mail server was not ready for the mail within {}", Span(notifier.timeout));
                return refused(&Failed::before(why), &secrets);
            }
        };
        return match timeout_at(deadline, connection.message(&mail.formatted())).await {
            Ok(Ok(_taken)) => {
                timeout(BYE, connection.quit()).await.ok();
                Verdict::Accepted
            }
            Ok(Err(error)) if error.status().is_some() => {
                refused(&Failed::said("the mail was refused", &error), &secrets)
            }
            Ok(Err(error)) => {
                let why = clean(&format!("no answer after the mail was sent: {}", words(&error)), &secrets);
                Verdict::Unclear { why, retry_after: None }
            }
            Err(_late) => {
                let why = format!("no answer to the mail within {}", Span(notifier.timeout));
                Verdict::Unclear { why, retry_after: None }
            }
        };
    }
}

fn refused(failed: &Failed, secrets: &[String]) -> Verdict {
    Verdict::Refused { why: clean(&failed.why, secrets), retry_after: None, for_good: failed.for_good }
}

async fn reveal(email: &Email, deadline: Instant) -> Result<Option<String>, String> {
    let Some((_, secret)) = email.login.clone() else { return Ok(None) };
    let read = aside(move || secret.reveal().map(Some).map_err(|error| error.to_string()));
    timeout_at(deadline, read)
        .await
        .unwrap_or_else(|_late| Err("the password could not be read in time".to_owned()))
}

/// A session in which the server waits for the mail itself.
async fn open(
    email: &Email,
    mail: &lettre::Message,
    password: Option<String>,
    limit: Duration,
) -> Result<AsyncSmtpConnection, Failed> {
    let hello = ClientId::Domain(email.hello.clone().unwrap_or_else(host_name));
    let server = format!("{}:{}", email.host, email.port);
    let tls = match email.security {
        MailSecurity::None => None,
        MailSecurity::Starttls | MailSecurity::Opportunistic | MailSecurity::Implicit => {
            let email = email.clone();
            Some(aside(move || parameters(&email)).await.map_err(Failed::before)?)
        }
    };
    let implicit = tls.clone().filter(|_| email.security == MailSecurity::Implicit);
    let to = (email.host.as_str(), email.port);
    let connected = AsyncSmtpConnection::connect_tokio1(to, Some(limit), &hello, implicit, None).await;
    let mut connection =
        connected.map_err(|error| Failed::said(&format!("cannot reach {server}"), &error))?;
    let wanted = match email.security {
        MailSecurity::Starttls => true,
        MailSecurity::Opportunistic => connection.can_starttls(),
        MailSecurity::Implicit | MailSecurity::None => false,
    };
    if let Some(tls) = tls.filter(|_| wanted) {
        if !connection.can_starttls() {
            return Err(Failed::before(format!("{server} does not offer STARTTLS")));
        }
        let secured = connection.starttls(tls, &hello).await;
        secured.map_err(|error| Failed {
            for_good: false,
            ..Failed::said(&format!("no TLS with {server}"), &error)
        })?;
    }
    if let (Some((user, _)), Some(password)) = (&email.login, password) {
        let login = Credentials::new(user.clone(), password);
        let known = connection.auth(&[Mechanism::Plain, Mechanism::Login], &login).await;
        // It may know us again later: for good is only what it says of the mail.
        known.map_err(|error| Failed {
            unknown: error.is_permanent(),
            for_good: false,
            ..Failed::said(&format!("{server} does not let `{user}` in"), &error)
        })?;
    }
    ready(&mut connection, mail).await?;
    Ok(connection)
}

/// Names sender and receivers, and asks to be let send. One receiver that is known is enough: the
/// others must not go without because of one that left.
async fn ready(connection: &mut AsyncSmtpConnection, mail: &lettre::Message) -> Result<(), Failed> {
    let envelope = mail.envelope();
    let mut parameters = Vec::new();
    let odd = envelope.from().into_iter().chain(envelope.to()).any(|address| !address.to_string().is_ascii());
    if odd {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let why = "an address is not ASCII, and the mail server cannot take such";
            return Err(Failed { for_good: true, ..Failed::before(why) });
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !mail.formatted().is_ascii() && connection.server_info().supports_feature(Extension::EightBitMime) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let from = connection.command(MailFrom::new(envelope.from().cloned(), parameters)).await;
    from.map_err(|error| Failed::said("the sender was refused", &error))?;
    let mut refused: Option<Failed> = None;
    let mut taken = 0;
    for receiver in envelope.to() {
        match connection.command(Rcpt::new(receiver.clone(), Vec::new())).await {
            Ok(_known) => taken += 1,
            Err(error) => {
                let failed = Failed::said(&format!("the receiver {receiver} was refused"), &error);
                if error.status().is_none() {
                    return Err(failed);
                }
                // A refusal for now leaves hope, whatever the others are.
                let for_good = failed.for_good && refused.as_ref().is_none_or(|before| before.for_good);
                refused = Some(Failed { for_good, ..failed });
            }
        }
    }
    match refused {
        Some(failed) if taken == 0 => return Err(failed),
        Some(failed) => warn!(reason = failed.why, "a receiver of a mail was refused"),
        None => {}
    }
    connection.command(Data).await.map(drop).map_err(|error| Failed::said("the mail was refused", &error))
}

fn parameters(email: &Email) -> Result<TlsParameters, String> {
    let tls = &email.tls;
    let name = tls.server_name.clone().unwrap_or_else(|| email.host.clone());
    let mut builder = TlsParameters::builder(name).dangerous_accept_invalid_certs(tls.insecure);
    if tls.insecure {
        // As with the other services: any certificate, whatever its name.
        builder = builder.dangerous_accept_invalid_hostnames(true);
    }
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
    };
    if let Some(path) = &tls.ca_file {
        let authority = Certificate::from_pem(&read(path)?);
        let authority = authority.map_err(|error| format!("`{}`: {}", path.display(), words(&error)))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
    }
    if let (Some(cert), Some(key)) = (&tls.cert_file, &tls.key_file) {
        let identity = Identity::from_pem(&read(cert)?, &read(key)?);
        builder = builder
            .identify_with(identity.map_err(|error| format!("`{}`: {}", cert.display(), words(&error)))?);
    }
    builder.build().map_err(|error| words(&error))
}

fn words(error: &Error) -> String {
    reason(error)
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let good = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if good { name } else { "localhost".to_owned() }
}
