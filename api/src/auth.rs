//! Who may call: a bearer token, compared by its SHA-256 in constant time. Without a token, anyone
//! who reaches the port may call, and the `Host` header is checked instead, so that a web page in
//! somebody's browser cannot reach a loopback node under a name of its own (DNS rebinding).
//! The token itself is never kept, shown or logged.

use std::fmt;
use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use crate::error::{Kind, Problem};
use crate::state::ApiState;

/// Paths that answer without a token: probes know no secrets.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// The header in which a client says who it is, for the audit trail. A statement, not a proof: the
/// token decides what may be done.
pub const BY_HEADER: &str = "onrush-by";
const BY_CHARS_MAX: usize = 128;

pub const TOKEN_CHARS_MIN: usize = 16;
pub const TOKEN_CHARS_MAX: usize = 512;

/// A token, kept as its digest only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A token from a file or the environment; one trailing newline is not part of it.
    ///
    /// # Errors
    /// In words, when it is too short, too long, or has a character that a header cannot carry.
    pub fn new(token: &str) -> Result<Self, String> {
        let token = token.strip_suffix('\n').unwrap_or(token);
        let token = token.strip_suffix('\r').unwrap_or(token);
        if let Some(at) = token.chars().position(|c| !c.is_ascii_graphic()) {
            return Err(format!(
                "the token has an invalid character at position {}; use letters, digits and \
                 punctuation of ASCII",
                at + 1
            ));
        }
        if !(TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&token.len()) {
            return Err(format!(
                "the token has {} characters; it must have {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX}",
                token.len()
            ));
        }
        Ok(Self::digest(token))
    }

    fn digest(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Looks at every byte whatever the first ones say.
    fn admits(&self, token: &str) -> bool {
        let given = Self::digest(token);
        self.0.iter().zip(given.0).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
    }
}

/// Middleware: 401 without the token, 421 for a foreign host name where no token is asked for.
pub async fn guard(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    match &state.config.token {
        Some(_) if OPEN_PATHS.contains(&request.uri().path()) => {}
        Some(secret) => check_token(secret, request.headers())?,
        None => check_host(request.headers(), request.uri(), &state.config.host_names)?,
    }
    Ok(next.run(request).await)
}

/// The same words for no token and a wrong one: nothing to learn from.
fn check_token(secret: &Secret, headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    if secret.admits(token.unwrap_or_default()) {
        return Ok(());
    }
    Err(Problem::new(
        Kind::Unauthenticated,
        "send the cluster's API token as \"Authorization: Bearer …\"",
    ))
}

fn check_host(headers: &HeaderMap, uri: &Uri, own: &[String]) -> Result<(), Problem> {
    let given = match headers.get(HOST) {
        Some(value) => value.to_str().unwrap_or("?"),
        // Absolute-form, or HTTP/1.0.
        None => match uri.authority() {
            Some(authority) => authority.as_str(),
            None => return Ok(()),
        },
    };
    let name = host_of(given);
    if is_local_name(name) || own.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(Problem::new(
        Kind::WrongHost,
        format!("{name} is not a name of this node; use its address, or protect it with a token"),
    ))
}

fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.rsplit_once(':').map_or(authority, |(name, _)| name)
}

/// Names that nobody can register: addresses, single labels, and the reserved endings.
fn is_local_name(name: &str) -> bool {
    const ENDINGS: [&str; 4] = [".localhost", ".local", ".internal", ".home.arpa"];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok()
        || (!name.is_empty() && !name.contains('.'))
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Who asks, as the client states it.
#[must_use]
pub fn by(headers: &HeaderMap) -> String {
    let stated = headers.get(BY_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let stated: String = stated.chars().take(BY_CHARS_MAX).collect();
    if stated.trim().is_empty() { "api".to_owned() } else { stated.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_admitted_by_its_digest() {
        let secret = Secret::new("onr_0123456789abcdef\n").unwrap();
        assert!(secret.admits("onr_0123456789abcdef"));
        assert!(!secret.admits("onr_0123456789abcdeF"));
        assert!(!secret.admits(""));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn bad_tokens_are_refused_with_the_place() {
        let words = Secret::new("onr_0123456789 abcdef").unwrap_err();
        assert!(words.contains("position 15"), "{words}");
        assert!(Secret::new("").unwrap_err().contains("0 characters"));
        assert!(Secret::new(&"x".repeat(513)).is_err());
    }

    #[test]
    fn names_that_a_stranger_may_own_are_not_local() {
        for name in ["127.0.0.1", "::1", "localhost", "node-a", "a.internal", "x.localhost."] {
            assert!(is_local_name(name), "{name}");
        }
        for name in ["evil.test", "example.com", "127.0.0.1.nip.io", "", "."] {
            assert!(!is_local_name(name), "{name}");
        }
    }

    #[test]
    fn hosts_lose_their_port() {
        assert_eq!(host_of("localhost:7440"), "localhost");
        assert_eq!(host_of("[::1]:7440"), "::1");
        assert_eq!(host_of("node-a"), "node-a");
    }

    #[test]
    fn the_header_by_is_bounded() {
        let mut headers = HeaderMap::new();
        assert_eq!(by(&headers), "api");
        headers.insert(BY_HEADER, "ana@laptop".parse().unwrap());
        assert_eq!(by(&headers), "ana@laptop");
        headers.insert(BY_HEADER, "x".repeat(1000).parse().unwrap());
        assert_eq!(by(&headers).len(), BY_CHARS_MAX);
    }
}
