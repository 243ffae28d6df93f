//! Mail, by a real mail server.

use std::fs;

use lictor_core::alert::Verdict;
use lictor_testkit::service::{Fault, faulty};
use lictor_testkit::smtp::{Options, Smtp, Taken};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::notify_calls::{Rig, refused, unclear};

/// A mail server, and a directory with the certificate of its authority.
struct Site {
    server: Smtp,
    dir: TempDir,
}

impl Site {
    fn start(options: Options) -> Self {
        Self { server: Smtp::start(&options), dir: TempDir::new().unwrap() }
    }

    /// One with TLS, whose certificate is for `localhost`.
    fn secured(options: Options) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["mail.test".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let tls = Some((certificate.pem(), key.serialize_pem()));
        let site = Self::start(Options { tls, ..options });
        fs::write(site.dir.path().join("ca.pem"), authority.pem()).unwrap();
        site
    }

    /// A notifier that trusts that authority.
    fn trusting(&self, lines: &str) -> Rig {
        let ca = self.dir.path().join("ca.pem");
        self.rig(&format!("ca_file = \"{}\"\nserver_name = \"mail.test\"\n{lines}", ca.display()))
    }

    fn rig(&self, lines: &str) -> Rig {
        let address = self.server.address();
        Rig::new(
            "email",
            &format!(
                "host = \"{}\"\nport = {}\nfrom = \"Lictor <lictor@example.org>\"\nto = [\"Ops <ops@example.org>\", \"me@example.org\"]\n{lines}",
                address.ip(),
                address.port()
            ),
        )
    }

    #[track_caller]
    fn only_mail(&self) -> Taken {
        let mails = self.server.mails();
        assert_eq!(mails.len(), 1, "{}", self.server.output());
        mails[0].clone()
    }
}

fn login() -> Options {
    Options { users: vec![("lictor".to_owned(), "hunter2 ü".to_owned())], ..Options::default() }
}

#[tokio::test]
async fn a_mail_arrives_in_plain_text_and_html() {
    let site = Site::start(Options::default());
    let rig = site.rig("security = \"none\"\ntitle = \"{{ item.title }} – kaputt\"");
    let mut message = rig.message(false);
    message.items[0].output = "a <b> & ü\n.\nthe end".to_owned();
    assert_eq!(rig.send(&message).await, Verdict::Accepted, "{}", site.server.output());
    let mail = site.only_mail();
    assert_eq!((mail.from.as_str(), mail.tls, mail.user.clone()), ("lictor@example.org", false, None));
    assert_eq!(mail.to, ["ops@example.org", "me@example.org"]);
    assert_eq!(mail.headers["subject"], "test of this notifier – kaputt");
    assert_eq!(mail.headers["message-id"], format!("<lictor.{}@example.org>", message.id));
    let thread = format!("<incident.{}@example.org>", message.items[0].incident);
    assert_eq!(
        (&mail.headers["references"], &mail.headers["in-reply-to"]),
        (&thread.clone().into(), &thread.into())
    );
    assert_eq!(mail.headers["auto-submitted"], "auto-generated");
    assert!(mail.text.contains("a <b> & ü\n.\nthe end"), "{}", mail.text);
    assert!(mail.html.contains("a &lt;b&gt; &amp; ü\n.\nthe end"), "{}", mail.html);
    // The same delivery is the same mail, and what is over is in the same thread.
    assert_eq!(rig.send(&message).await, Verdict::Accepted);
    let mut over = rig.message(true);
    over.items[0].incident.clone_from(&message.items[0].incident);
    assert_eq!(rig.send(&over).await, Verdict::Accepted);
    let mails = site.server.mails();
    assert_eq!(mails[0].headers["message-id"], mails[1].headers["message-id"]);
    assert_ne!(mails[0].headers["message-id"], mails[2].headers["message-id"]);
    assert_eq!(mails[0].headers["references"], mails[2].headers["references"]);
}

#[tokio::test]
async fn starttls_with_a_password() {
    let site = Site::secured(login());
    let rig = site.trusting("user = \"lictor\"\npassword = \"hunter2 ü\"");
    assert_eq!(rig.try_it().await, Verdict::Accepted, "{}", site.server.output());
    let mail = site.only_mail();
    assert_eq!((mail.tls, mail.user.as_deref()), (true, Some("lictor")));
}

#[tokio::test]
async fn tls_from_the_first_byte_with_a_password() {
    let site = Site::secured(Options { implicit: true, ..login() });
    let rig = site.trusting("security = \"implicit\"\nuser = \"lictor\"\npassword = \"hunter2 ü\"");
    assert_eq!(rig.try_it().await, Verdict::Accepted, "{}", site.server.output());
    assert!(site.only_mail().tls);
}

#[tokio::test]
async fn starttls_is_used_where_it_is_offered_and_can_be_demanded() {
    let (with, without) = (Site::secured(Options::default()), Site::start(Options::default()));
    assert_eq!(with.trusting("security = \"opportunistic\"").try_it().await, Verdict::Accepted);
    assert!(with.only_mail().tls);
    assert_eq!(without.rig("security = \"opportunistic\"").try_it().await, Verdict::Accepted);
    assert!(!without.only_mail().tls);
    let (why, for_good, _) = refused(&without.rig("").try_it().await);
    assert!(!for_good && why.contains("does not offer STARTTLS"), "{why}");
    assert_eq!(without.server.mails().len(), 1);
}

#[tokio::test]
async fn a_certificate_of_nobody_we_trust_is_a_refusal() {
    for implicit in [false, true] {
        let site = Site::secured(Options { implicit, ..Options::default() });
        let lines = if implicit { "security = \"implicit\"" } else { "" };
        let (why, for_good, _) = refused(&site.rig(lines).try_it().await);
        assert!(!for_good && why.contains("certificate"), "{why}");
        let other = site.trusting(&format!("{lines}\n")).try_it().await;
        assert_eq!(other, Verdict::Accepted);
        let insecure = site.rig(&format!("{lines}\ninsecure = true")).try_it().await;
        assert_eq!(insecure, Verdict::Accepted);
    }
}

#[tokio::test]
async fn a_wrong_password_is_a_refusal_that_may_pass_and_is_read_once_more() {
    let site = Site::secured(login());
    let file = site.dir.path().join("password");
    fs::write(&file, "wrong-password").unwrap();
    let rig = site.trusting(&format!("user = \"lictor\"\npassword_file = \"{}\"", file.display()));
    let (why, for_good, _) = refused(&rig.try_it().await);
    assert!(
        !for_good && why.contains("does not let `lictor` in") && !why.contains("wrong-password"),
        "{why}"
    );
    fs::write(&file, "hunter2 ü").unwrap();
    assert_eq!(rig.try_it().await, Verdict::Accepted);
    // Without one it wants one.
    let (why, _, _) = refused(&site.trusting("").try_it().await);
    assert!(why.contains("530") || why.contains("uthentication"), "{why}");
}

#[tokio::test]
async fn one_receiver_that_left_does_not_keep_the_mail_from_the_others() {
    let unknown = vec!["me@example.org".to_owned()];
    let site = Site::start(Options { unknown, ..Options::default() });
    assert_eq!(site.rig("security = \"none\"").try_it().await, Verdict::Accepted);
    assert_eq!(site.only_mail().to, ["ops@example.org"]);
    let unknown = vec!["me@example.org".to_owned(), "ops@example.org".to_owned()];
    let site = Site::start(Options { unknown, ..Options::default() });
    let (why, for_good, _) = refused(&site.rig("security = \"none\"").try_it().await);
    assert!(for_good && why.contains("no such user here"), "{why}");
}

#[tokio::test]
async fn what_a_server_says_to_the_mail_counts() {
    let answering =
        |answer: &str| Site::start(Options { answer: Some(answer.to_owned()), ..Options::default() });
    let send = async |site: Site| site.rig("security = \"none\"\ntimeout = \"3s\"").try_it().await;
    let (why, for_good, _) = refused(&send(answering("554 5.7.1 looks like spam")).await);
    assert!(for_good && why.contains("looks like spam"), "{why}");
    let (why, for_good, _) = refused(&send(answering("452 4.3.1 disk full")).await);
    assert!(!for_good && why.contains("disk full"), "{why}");
    let why = unclear(&send(answering("hang")).await);
    assert!(why.contains("no answer to the mail"), "{why}");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_says_nothing_has_no_mail() {
    for fault in [Fault::Hangs, Fault::Closes] {
        let address = faulty(fault);
        let lines = format!(
            "host = \"{}\"\nport = {}\nsecurity = \"none\"\nfrom = \"a@example.org\"\nto = [\"b@example.org\"]\ntimeout = \"1s\"",
            address.ip(),
            address.port()
        );
        let (why, for_good, _) = refused(&Rig::new("email", &lines).try_it().await);
        assert!(!for_good, "{why}");
    }
}
