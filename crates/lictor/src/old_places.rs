//! How programs whose place is taken reached Consul and where they kept snapshots, as settings of ours.

use std::path::{Path, PathBuf};

use lictor_compat::Reach;
use lictor_compat::stores::{self, RoleBy, S3Rights, Store};
use lictor_config::{
    Azure, AzureCredentials, Consul, Google, GoogleCredentials, Place, PlaceKind, S3, S3Credentials,
    S3Encryption, S3Keys, Secret, Snapshot, Tls,
};
use lictor_consul::{Auth, Config};
use lictor_core::snapshot::Keep;
use url::Url;

/// Where our own keys would lie.
const OWN_KEYS: &str = "lictor/consul-snapshot/";

/// The datacenter that nobody asks for.
const UNASKED: &str = "-";

/// What a session of a role is called if nobody says.
const SESSION: &str = "lictor";

/// The block `consul`. It cannot say who logs in, nor name a directory of authorities: see [`client`].
fn consul(reach: &Reach) -> Consul {
    let path = |name: &Option<String>| name.as_ref().map(PathBuf::from);
    Consul {
        address: reach.address.clone(),
        token: match (&reach.token, &reach.token_file) {
            (Some(token), _) => Some(Secret::value(token.expose())),
            (None, file) => file.as_ref().map(Secret::file),
        },
        datacenter: reach.datacenter.clone(),
        namespace: reach.namespace.clone(),
        prefix: OWN_KEYS.to_owned(),
        register: None,
        tls: Tls {
            ca_file: path(&reach.ca_file),
            cert_file: path(&reach.cert_file),
            key_file: path(&reach.key_file),
            server_name: reach.server_name.clone(),
            insecure: !reach.verify,
        },
    }
}

/// The same for one who takes snapshots. No name of theirs has the datacenter in it, so that nobody need ask for it: not every
/// token may.
pub(crate) fn settings(reach: &Reach) -> Consul {
    let consul = consul(reach);
    Consul { datacenter: consul.datacenter.or_else(|| Some(UNASKED.to_owned())), ..consul }
}

/// How a client reaches Consul, with everything that was said. The token's file is read now.
///
/// # Errors
/// In words, what cannot be used.
pub(crate) fn client(reach: &Reach) -> Result<Config, String> {
    let Consul { address, token, datacenter, namespace, tls, .. } = consul(reach);
    let token = token.map(|token| token.reveal()).transpose().map_err(|error| error.to_string())?;
    let secret = |secret: &lictor_compat::Secret| lictor_consul::Secret::new(secret.expose());
    Ok(Config {
        address: address.parse().map_err(|error| format!("{error}"))?,
        token: token.map(lictor_consul::Secret::new),
        auth: reach
            .login
            .as_ref()
            .map(|(user, password)| Auth { user: user.clone(), password: Some(secret(password)) }),
        datacenter,
        namespace,
        tls: lictor_consul::Tls {
            ca_file: tls.ca_file,
            ca_dir: reach.ca_dir.as_ref().map(Into::into),
            client_cert: tls.cert_file,
            client_key: tls.key_file,
            server_name: tls.server_name,
            skip_verify: tls.insecure,
        },
        ..Config::default()
    })
}

/// The block `place`. What was sent into a bucket is not read again: the rights that the old programs needed do not reach
/// that far.
///
/// # Errors
/// In words, what cannot be used.
pub(crate) fn place(store: &Store, keep: Keep) -> Result<Place, String> {
    let (name, at, file) = match store {
        Store::Folder(path) => ("folder", PlaceKind::Folder(absolute(path)?), None),
        Store::S3(s3) => ("s3", PlaceKind::S3(bucket(s3)?), s3.file.clone()),
        Store::Azure(azure) => ("azure", PlaceKind::Azure(container(azure)?), None),
        Store::Google(google) => ("google", PlaceKind::Google(google_bucket(google)), None),
    };
    let read_back = matches!(at, PlaceKind::Folder(_));
    Ok(Place { name: name.to_owned(), keep, file, read_back, at })
}

/// The path from the root; what is relative is so to the folder in which the program was started.
///
/// # Errors
/// In words, when nobody knows that folder.
pub(crate) fn absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(Path::new(path)).map_err(|error| format!("cannot find the folder {path:?}: {error}"))
}

/// Looks whether the folders that are meant are there, or can be made in one that is: a disk that is not mounted must not become
/// a folder of another one.
///
/// # Errors
/// In words, which one is not.
pub(crate) fn look(snapshot: &Snapshot) -> Result<(), String> {
    let folders = snapshot.places.iter().filter_map(|place| match &place.at {
        PlaceKind::Folder(path) => Some(path),
        PlaceKind::S3(_) | PlaceKind::Azure(_) | PlaceKind::Google(_) => None,
    });
    let missing = |path: &&PathBuf| !path.is_dir() && !path.parent().is_some_and(Path::is_dir);
    match snapshot.scratch.iter().chain(folders).find(missing) {
        None => Ok(()),
        Some(path) => {
            Err(format!("the folder {} is not there, and the one around it is not either", path.display()))
        }
    }
}

fn bucket(s3: &stores::S3) -> Result<S3, String> {
    Ok(S3 {
        bucket: s3.bucket.clone(),
        // A name for all is one from the root of the bucket.
        prefix: if s3.file.is_some() { String::new() } else { s3.prefix.clone() },
        region: s3.region.clone(),
        endpoint: url("S3", s3.endpoint.as_deref())?,
        path_style: s3.path_style,
        credentials: credentials(&s3.rights)?,
        // The old programs asked nobody for that, and some that are not Amazon's refuse it.
        checksum: s3.endpoint.is_none(),
        encryption: match &s3.encryption {
            stores::S3Encryption::Bucket => S3Encryption::Bucket,
            stores::S3Encryption::Aes256 => S3Encryption::Aes256,
            stores::S3Encryption::Kms(key) => S3Encryption::Kms(key.clone()),
        },
    })
}

fn credentials(rights: &S3Rights) -> Result<S3Credentials, String> {
    Ok(match rights {
        S3Rights::Keys(keys) => S3Credentials::Keys(s3_keys(keys)),
        S3Rights::Environment => S3Credentials::Environment,
        S3Rights::Machine { endpoint } => {
            S3Credentials::Machine { endpoint: url("the machine's metadata", Some(endpoint))? }
        }
        S3Rights::Role(stores::S3Role { arn, session, sts, by }) => {
            let (role, sts) = (arn.clone(), url("STS", sts.as_deref())?);
            let session = session.clone().unwrap_or_else(|| SESSION.to_owned());
            match by {
                RoleBy::Keys(keys) => S3Credentials::Role { role, session, sts, keys: Some(s3_keys(keys)) },
                RoleBy::Environment => S3Credentials::Role { role, session, sts, keys: None },
                RoleBy::TokenFile(file) => {
                    S3Credentials::WebIdentity { role, session, sts, token_file: file.into() }
                }
            }
        }
    })
}

fn s3_keys(keys: &stores::S3Keys) -> S3Keys {
    let secret = |secret: &lictor_compat::Secret| Secret::value(secret.expose());
    S3Keys {
        access_key: secret(&keys.access_key),
        secret_key: secret(&keys.secret_key),
        session_token: keys.session_token.as_ref().map(secret),
    }
}

fn container(azure: &stores::Azure) -> Result<Azure, String> {
    Ok(Azure {
        account: azure.account.clone(),
        container: azure.container.clone(),
        prefix: String::new(),
        endpoint: url("Azure", azure.endpoint.as_deref())?,
        credentials: AzureCredentials::Key(Secret::value(azure.key.expose())),
    })
}

fn google_bucket(google: &stores::Google) -> Google {
    Google {
        bucket: google.bucket.clone(),
        prefix: google.prefix.clone(),
        endpoint: None,
        credentials: GoogleCredentials::Key(Secret::file(&google.key_file)),
    }
}

fn url(of: &str, text: Option<&str>) -> Result<Option<Url>, String> {
    let Some(text) = text else { return Ok(None) };
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(url)),
        Ok(url) => Err(format!("the address of {of} cannot be used: `{}` is no scheme for it", url.scheme())),
        Err(error) => Err(format!("the address of {of} cannot be used: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use lictor_compat::consul_snapshot::Start;

    use super::*;

    fn start(variables: &[(&str, &str)]) -> Start {
        let found = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Start::new(found).unwrap()
    }

    #[test]
    fn consul_is_reached_as_was_said() {
        let reach = start(&[
            ("ACCEPTANCE_TEST", "1"),
            ("CONSUL_HTTP_ADDR", "https://c:1"),
            ("CONSUL_HTTP_TOKEN", "t"),
            ("CONSUL_HTTP_AUTH", "me:pw"),
            ("CONSUL_HTTP_SSL_VERIFY", "false"),
            ("CONSUL_CAPATH", "/d"),
            ("CONSUL_CLIENT_CERT", "/c"),
        ])
        .consul;
        let block = consul(&reach);
        assert_eq!(
            (block.address.as_str(), block.prefix.as_str()),
            ("https://c:1", "lictor/consul-snapshot/")
        );
        assert_eq!(block.token.map(|token| token.reveal().unwrap()).as_deref(), Some("t"));
        assert!(block.tls.insecure && block.tls.key_file == Some("/c".into()));
        let client = client(&reach).unwrap();
        assert_eq!(
            (client.address.to_string(), client.auth.unwrap().user),
            ("https://c:1".into(), "me".into())
        );
        assert_eq!((client.tls.ca_dir, client.tls.client_key), (Some("/d".into()), Some("/c".into())));
    }

    #[test]
    fn a_file_of_the_token_that_is_not_there_is_told() {
        let reach = start(&[("ACCEPTANCE_TEST", "1"), ("CONSUL_HTTP_TOKEN_FILE", "/nowhere/at/all")]).consul;
        assert!(client(&reach).unwrap_err().contains("/nowhere/at/all"));
    }

    #[test]
    fn a_bucket_becomes_a_place() {
        let start = start(&[
            ("S3BUCKET", "b"),
            ("S3REGION", "r"),
            ("S3ENDPOINT", "http://minio:9000"),
            ("AWS_ROLE_ARN", "arn"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"),
            ("GCSBUCKET", "g"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json"),
        ]);
        let places: Vec<Place> = start.stores.iter().map(|store| place(store, Keep::ALL).unwrap()).collect();
        let [s3, google] = places.as_slice() else { panic!("{places:?}") };
        assert!(!s3.read_back && s3.file.is_none() && s3.keep == Keep::ALL);
        let PlaceKind::S3(found) = &s3.at else { panic!("{s3:?}") };
        assert_eq!((found.bucket.as_str(), found.prefix.as_str(), found.path_style), ("b", "backups", true));
        assert_eq!(found.endpoint.as_ref().map(Url::as_str), Some("http://minio:9000/"));
        assert!(!found.checksum);
        let role = S3Credentials::WebIdentity {
            role: "arn".to_owned(),
            session: "lictor".to_owned(),
            sts: None,
            token_file: "/t".into(),
        };
        assert_eq!(found.credentials, role);
        let PlaceKind::Google(found) = &google.at else { panic!("{google:?}") };
        assert_eq!(found.credentials, GoogleCredentials::Key(Secret::file("/key.json")));
    }

    #[test]
    fn a_folder_is_absolute_and_an_address_is_one() {
        let found = place(&Store::Folder(".".to_owned()), Keep::ALL).unwrap();
        let PlaceKind::Folder(path) = &found.at else { panic!("{found:?}") };
        assert!(path.is_absolute() && found.read_back);
        let keys = [
            ("S3BUCKET", "b"),
            ("S3REGION", "r"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
        ];
        let wrong = |endpoint: &'static str| {
            let variables = [&keys[..], &[("S3ENDPOINT", endpoint)]].concat();
            place(&start(&variables).stores[0], Keep::ALL).unwrap_err()
        };
        assert_eq!(wrong("ftp://x"), "the address of S3 cannot be used: `ftp` is no scheme for it");
        assert_eq!(wrong("http://"), "the address of S3 cannot be used: empty host");
    }
}
