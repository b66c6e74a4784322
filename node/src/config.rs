//! What a node is started with: read from flags and files once, checked, and then never changed.
//! Refuses what would open the cluster to strangers.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use onrush_raft::consensus::Timing;

use crate::net::contact::ContactPoint;

/// Characters of a cluster secret.
const SECRET_MIN: usize = 16;
const SECRET_MAX: usize = 1_024;
/// A token file may not be longer.
const TOKEN_MAX: usize = 1_024;
/// Nodes that a cluster may be told to expect: a full mesh carries no more.
pub const EXPECT_MAX: u32 = 64;
/// Domain of the key derivation: a new purpose gets a new text.
const PSK_CONTEXT: &str = "onrush 2026-11 libp2p pre-shared key";
/// Known to everyone, and therefore accepted on loopback only.
const DEVELOPMENT_SECRET: &str = "onrush development secret: loopback only";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "refusing to listen on {0} without a cluster secret; make one with 'onrush secret new \
         FILE' and pass --cluster-secret-file FILE on every node, or listen on 127.0.0.1"
    )]
    OpenMesh(SocketAddr),
    #[error(
        "refusing to serve the API on {0} without a token; pass --api-token-file FILE, or serve it \
         on 127.0.0.1"
    )]
    OpenApi(SocketAddr),
    #[error("{path}: {why}")]
    SecretFile { path: PathBuf, why: String },
    #[error("{0}")]
    Value(String),
}

/// The cluster secret; never printed.
#[derive(Clone)]
pub struct Secret {
    text: String,
    /// It is the well-known one.
    pub development: bool,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("development", &self.development).finish_non_exhaustive()
    }
}

impl Secret {
    /// The well-known secret for nodes that listen on loopback only.
    pub fn development() -> Self {
        Self { text: DEVELOPMENT_SECRET.to_owned(), development: true }
    }

    /// From a file that only its owner can read; surrounding white space is no part of it.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let text = private_file(path, SECRET_MAX)?;
        let length = text.len();
        if !(SECRET_MIN..=SECRET_MAX).contains(&length) {
            let why = format!(
                "the secret has {length} characters; it must have {SECRET_MIN} to {SECRET_MAX} \
                 ('onrush secret new' makes one)"
            );
            return Err(Error::SecretFile { path: path.to_owned(), why });
        }
        Ok(Self { text, development: false })
    }

    /// The key of the private network.
    pub fn psk(&self) -> [u8; 32] {
        blake3::derive_key(PSK_CONTEXT, self.text.as_bytes())
    }
}

/// Reads a token from a file that only its owner can read.
pub fn token_from_file(path: &Path) -> Result<String, Error> {
    let text = private_file(path, TOKEN_MAX)?;
    // As the API will judge it: before the node has joined anything.
    match onrush_api::Secret::new(&text) {
        Ok(_) => Ok(text),
        Err(why) => Err(Error::SecretFile { path: path.to_owned(), why }),
    }
}

fn private_file(path: &Path, max: usize) -> Result<String, Error> {
    let fail = |why: String| Error::SecretFile { path: path.to_owned(), why };
    let meta = fs::metadata(path).map_err(|e| fail(format!("cannot be read: {e}")))?;
    if !meta.is_file() {
        return Err(fail("is not a file".to_owned()));
    }
    let mode = meta.mode() & 0o777;
    let may = widest_mode(meta.uid(), rustix::process::geteuid().as_raw());
    if mode & 0o077 & !may != 0 {
        let path = path.display();
        return Err(fail(format!("is readable by others (mode {mode:04o}); chmod {may:o} {path}")));
    }
    if meta.len() > max as u64 + 64 {
        return Err(fail(format!("is {} bytes long; at most {max} are allowed", meta.len())));
    }
    let bytes = fs::read(path).map_err(|e| fail(format!("cannot be read: {e}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| fail("is not UTF-8 text ('onrush secret new' makes text)".to_owned()))?;
    Ok(text.trim().to_owned())
}

/// What a secret file may be open for. One that root keeps for a service may be read by the service's
/// group: so do packages, and Kubernetes knows no other way to give a file to a process that is not
/// root.
fn widest_mode(owner: u32, process: u32) -> u32 {
    if owner == 0 && process != 0 { 0o640 } else { 0o600 }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// How fast a silent leader is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum RaftProfile {
    /// A new leader in about 1.5 s
    #[default]
    Default,
    /// For busy machines and spinning disks: about 3.5 s
    Slow,
    /// For tests: under 0.8 s
    Test,
}

impl RaftProfile {
    pub fn timing(self) -> Timing {
        match self {
            Self::Default => Timing::DEFAULT,
            Self::Slow => Timing::SLOW,
            Self::Test => Timing::TEST,
        }
    }
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub data_dir: PathBuf,
    pub name: String,
    pub cluster_name: String,
    pub listen: SocketAddr,
    pub api: SocketAddr,
    /// What others dial; the listening address where empty.
    pub announce: Vec<ContactPoint>,
    pub contacts: Vec<ContactPoint>,
    /// Absent: only join, never found.
    pub expect: Option<u32>,
    pub secret: Secret,
    pub api_token: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub timing: Timing,
}

/// Decides what depends on more than one value.
pub fn check_exposure(
    listen: SocketAddr,
    api: SocketAddr,
    secret: Option<Secret>,
    api_token: Option<&str>,
) -> Result<Secret, Error> {
    let secret = match secret {
        Some(secret) => secret,
        None if listen.ip().is_loopback() => Secret::development(),
        None => return Err(Error::OpenMesh(listen)),
    };
    if !api.ip().is_loopback() && api_token.is_none() {
        return Err(Error::OpenApi(api));
    }
    Ok(secret)
}

/// 1 without contact points, else what was said, if anything.
pub fn effective_expect(expect: Option<u32>, contacts: &[ContactPoint]) -> Option<u32> {
    match expect {
        Some(expect) => Some(expect),
        None if contacts.is_empty() => Some(1),
        None => None,
    }
}

/// `key=value`.
pub fn parse_label(text: &str) -> Result<(String, String), String> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    match text.split_once('=') {
        Some((key, value))
            if !key.is_empty()
                && key.len() + value.len() <= 128
                && text.chars().all(|c| c == '=' || part(c)) =>
        {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err("expected key=value, of letters, digits and -_./".to_owned()),
    }
}

/// A node's or a cluster's name: `[a-z0-9][a-z0-9._-]{0,62}`, any case.
pub fn parse_name(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && text.len() <= 63 && text.chars().all(inner) {
        Ok(text.to_owned())
    } else {
        Err("expected at most 63 letters, digits and -_., the first a letter or digit".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file(mode: u32, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    fn secret_error(mode: u32, content: &[u8]) -> String {
        let (_dir, path) = file(mode, content);
        let text = Secret::from_file(&path).unwrap_err().to_string();
        text.replace(&path.display().to_string(), "F")
    }

    #[test]
    fn a_good_secret_derives_one_key() {
        let (_dir, path) = file(0o600, b"0123456789abcdef\n");
        let (_other, same) = file(0o400, b"  0123456789abcdef");
        let (one, two) = (Secret::from_file(&path).unwrap(), Secret::from_file(&same).unwrap());
        assert_eq!(one.psk(), two.psk());
        assert_ne!(one.psk(), Secret::development().psk());
        assert!(!format!("{one:?}").contains("0123"));
    }

    #[test]
    fn bad_secrets_are_explained() {
        assert_eq!(
            secret_error(0o644, b"0123456789abcdef"),
            "F: is readable by others (mode 0644); chmod 600 F"
        );
        assert_eq!(
            secret_error(0o600, b"short"),
            "F: the secret has 5 characters; it must have 16 to 1024 ('onrush secret new' makes \
             one)"
        );
        assert_eq!(
            secret_error(0o600, &vec![b'x'; 1 << 20]),
            "F: is 1048576 bytes long; at most 1024 are allowed"
        );
        assert!(secret_error(0o600, &[0xff; 20]).contains("is not UTF-8"));
        let missing = Secret::from_file(Path::new("/nonexistent/x")).unwrap_err();
        assert!(missing.to_string().contains("cannot be read"));
    }

    #[test]
    fn what_root_keeps_for_a_service_its_group_may_read() {
        let (root, service) = (0, 7_440);
        assert_eq!(widest_mode(root, service), 0o640);
        assert_eq!(widest_mode(service, service), 0o600);
        assert_eq!(widest_mode(root, root), 0o600);
        assert_eq!(
            secret_error(0o640, b"0123456789abcdef"),
            "F: is readable by others (mode 0640); chmod 600 F"
        );
    }

    #[test]
    fn a_token_is_judged_when_it_is_read() {
        let token_error = |content: &[u8]| {
            let (_dir, path) = file(0o600, content);
            let text = token_from_file(&path).unwrap_err().to_string();
            text.replace(&path.display().to_string(), "F")
        };
        let (_dir, path) = file(0o600, b"0123456789abcdef\n");
        assert_eq!(token_from_file(&path).unwrap(), "0123456789abcdef");
        assert_eq!(token_error(b"short"), "F: the token has 5 characters; it must have 16 to 512");
        assert_eq!(token_error(b"\n"), "F: the token has 0 characters; it must have 16 to 512");
        assert!(token_error(b"0123456789 abcdef").contains("invalid character at position 11"));
    }

    #[test]
    fn only_loopback_goes_without_a_secret() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (local, all) = (at("127.0.0.1:1"), at("0.0.0.0:1"));
        assert!(check_exposure(local, local, None, None).unwrap().development);
        let refused = check_exposure(all, local, None, None).unwrap_err().to_string();
        assert!(refused.starts_with("refusing to listen on 0.0.0.0:1 without a cluster secret"));
        let secret = Some(Secret::development());
        assert!(check_exposure(all, local, secret.clone(), None).is_ok());
        assert!(matches!(check_exposure(all, all, secret, None), Err(Error::OpenApi(_))));
        assert!(check_exposure(local, all, None, Some("t")).is_ok());
    }

    #[test]
    fn expecting() {
        let contact: ContactPoint = "a:1".parse().unwrap();
        assert_eq!(effective_expect(None, &[]), Some(1));
        assert_eq!(effective_expect(None, std::slice::from_ref(&contact)), None);
        assert_eq!(effective_expect(Some(3), &[contact]), Some(3));
    }

    #[test]
    fn labels_and_names() {
        assert_eq!(parse_label("zone=a"), Ok(("zone".to_owned(), "a".to_owned())));
        assert!(parse_label("zone").is_err());
        assert!(parse_label("=a").is_err());
        assert!(parse_name("node-1").is_ok());
        assert!(parse_name("").is_err());
        assert!(parse_name("-x").is_err());
        assert!(parse_name("a b").is_err());
    }
}
