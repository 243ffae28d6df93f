//! https and the unix socket.

use std::fs;
use std::path::Path;

use lictor_consul::{Client, Config, Error, Query, Tls};
use lictor_testkit::consul::{self, Certificates, Options, Server};

use crate::at;

const NAME: &str = "server.dc1.consul";

fn server(tls: consul::Tls) -> Server {
    Server::with(Options { in_memory: true, tls, ..Options::default() })
}

async fn leader(server: &Server, tls: Tls) -> Result<Option<String>, Error> {
    let config = Config { tls, ..at(&server.https_url()) };
    let client = Client::new(config).unwrap().with_attempts(1);
    client.status().leader().await
}

fn trusting(ca: &Path) -> Tls {
    Tls { ca_file: Some(ca.to_owned()), server_name: Some(NAME.to_owned()), ..Tls::default() }
}

#[tokio::test]
async fn a_server_is_known_by_its_authority_and_its_name() {
    let server = server(consul::Tls::On);
    let ca = &server.certificates().unwrap().ca;
    assert!(leader(&server, trusting(ca)).await.unwrap().is_some());

    let dir = tempfile::tempdir().unwrap();
    fs::copy(ca, dir.path().join("ca.pem")).unwrap();
    let by_directory = Tls { ca_dir: Some(dir.path().to_owned()), ca_file: None, ..trusting(ca) };
    assert!(leader(&server, by_directory).await.unwrap().is_some());

    let unchecked = Tls { skip_verify: true, ..Tls::default() };
    assert!(leader(&server, unchecked).await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_that_is_not_known_is_not_spoken_to() {
    let server = server(consul::Tls::On);
    let ca = &server.certificates().unwrap().ca;
    let other_name = Tls { server_name: Some("server.dc2.consul".to_owned()), ..trusting(ca) };
    let by_address = Tls { server_name: None, ..trusting(ca) };
    let dir = tempfile::tempdir().unwrap();
    let other = Certificates::make(dir.path());
    for (tls, why) in [
        (other_name, "not valid for name"),
        (by_address, "not valid for"),
        (trusting(&other.ca), "invalid peer certificate"),
        (Tls::default(), "invalid peer certificate"),
    ] {
        let error = leader(&server, tls).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_client_is_known_by_its_certificate() {
    let server = server(consul::Tls::Mutual);
    let files = server.certificates().unwrap();
    let error = leader(&server, trusting(&files.ca)).await.unwrap_err();
    assert!(error.to_string().contains("BadCertificate"), "{error}");

    let known = Tls {
        client_cert: Some(files.client.clone()),
        client_key: Some(files.client_key.clone()),
        ..trusting(&files.ca)
    };
    assert!(leader(&server, known).await.unwrap().is_some());

    // Both in one file.
    let both = files.ca.with_file_name("both.pem");
    let text = [&files.client, &files.client_key].map(|path| fs::read_to_string(path).unwrap());
    fs::write(&both, text.concat()).unwrap();
    let known = Tls { client_cert: Some(both), ..trusting(&files.ca) };
    assert!(leader(&server, known).await.unwrap().is_some());
}

#[tokio::test]
async fn the_environment_of_the_consul_program_is_enough() {
    let server = server(consul::Tls::Mutual);
    let files = server.certificates().unwrap();
    let variable = |name: &str| {
        let path = |path: &Path| Some(path.to_str().unwrap().to_owned());
        match name {
            "CONSUL_HTTP_ADDR" => Some(server.https_url().replace("https://", "")),
            "CONSUL_HTTP_SSL" => Some("true".to_owned()),
            "CONSUL_CACERT" => path(&files.ca),
            "CONSUL_CLIENT_CERT" => path(&files.client),
            "CONSUL_CLIENT_KEY" => path(&files.client_key),
            "CONSUL_TLS_SERVER_NAME" => Some(NAME.to_owned()),
            _ => None,
        }
    };
    let client = Client::new(Config::from_env(variable).unwrap()).unwrap();
    client.kv().put("env", "v").await.unwrap();
    let value = client.kv().get("env", &Query::new()).await.unwrap().value;
    assert_eq!(value.unwrap().value, "v");
}

#[tokio::test]
async fn a_unix_socket_is_an_address() {
    let socket = consul::shared().socket();
    let address = format!("unix://{}", socket.display());
    let client = Client::new(at(&address)).unwrap();
    client.kv().put("it/unix", "v").await.unwrap();
    let value = client.kv().get("it/unix", &Query::new()).await.unwrap().value;
    assert_eq!(value.unwrap().value, "v");

    let nowhere = Client::new(at("unix:///nowhere/c.sock")).unwrap().with_attempts(1);
    let error = nowhere.kv().put("k", "v").await.unwrap_err();
    assert!(error.to_string().contains("unix:///nowhere/c.sock: No such file"), "{error}");
    assert!(!error.may_have_happened());
}
