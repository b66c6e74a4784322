//! Digest access authentication (RFC 7616, and RFC 2617 as older targets speak it): what a target
//! asks for, and the answer to it. Pure.

use std::fmt::Write as _;

use http::header::WWW_AUTHENTICATE;
use md5::{Digest as _, Md5};
use sha2::{Sha256, Sha512_256};

use super::fields::{Fields, text_of};
use super::url::Url;

/// Origins whose challenges one user remembers; the oldest makes room.
const CHALLENGES_MAX: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
    Sha512Trunc256,
}

impl Hash {
    fn hex(self, text: &[u8]) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
            Self::Sha512Trunc256 => hex(&Sha512_256::digest(text)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    /// RFC 2069: the target offers no `qop`.
    None,
    Auth,
    /// The body is signed too.
    AuthInt,
}

/// What a target asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// As the target spells it.
    algorithm: Option<String>,
    hash: Hash,
    session: bool,
    protection: Protection,
    hash_user: bool,
    /// The password was right, the nonce was too old.
    pub stale: bool,
}

/// What a request is signed with.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub user: String,
    pub password: String,
}

/// Of the request that is signed.
pub(super) struct Signed<'a> {
    pub method: &'a str,
    /// Path and query, as sent.
    pub uri: &'a str,
    pub body: &'a [u8],
}

impl Challenge {
    /// The first one that can be answered.
    pub(super) fn of(headers: &Fields) -> Option<Self> {
        let lines = headers.get_all(WWW_AUTHENTICATE.as_str());
        lines
            .filter_map(text_of)
            .flat_map(schemes)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("digest"))
            .find_map(|(_, params)| Self::from_params(&params))
    }

    fn from_params(params: &[(String, String)]) -> Option<Self> {
        let of = |name: &str| {
            let found = params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        let is_true = |name: &str| of(name).is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let algorithm = of("algorithm");
        let named = algorithm.unwrap_or("MD5").to_ascii_uppercase();
        let (name, session) = match named.strip_suffix("-SESS") {
            Some(name) => (name, true),
            None => (named.as_str(), false),
        };
        let hash = match name {
            "MD5" => Hash::Md5,
            "SHA-256" => Hash::Sha256,
            "SHA-512-256" => Hash::Sha512Trunc256,
            _ => return None,
        };
        let offers = |wanted: &str| {
            of("qop").is_some_and(|list| {
                list.split(',').any(|one| one.trim().eq_ignore_ascii_case(wanted))
            })
        };
        let protection = match of("qop").map(str::trim) {
            None | Some("") => Protection::None,
            Some(_) if offers("auth") => Protection::Auth,
            Some(_) if offers("auth-int") => Protection::AuthInt,
            Some(_) => return None,
        };
        Some(Self {
            realm: of("realm")?.to_owned(),
            nonce: of("nonce")?.to_owned(),
            opaque: of("opaque").map(str::to_owned),
            algorithm: algorithm.map(str::to_owned),
            hash,
            session,
            protection,
            hash_user: is_true("userhash"),
            stale: is_true("stale"),
        })
    }

    /// The value of `Authorization` for the `count`th request under this nonce.
    fn answer(&self, login: &Login, request: &Signed<'_>, count: u32, cnonce: &str) -> String {
        let h = |text: &str| self.hash.hex(text.as_bytes());
        let Login { user, password } = login;
        let Self { realm, nonce, .. } = self;
        let mut secret = h(&format!("{user}:{realm}:{password}"));
        if self.session {
            secret = h(&format!("{secret}:{nonce}:{cnonce}"));
        }
        let mut what = format!("{}:{}", request.method, request.uri);
        if self.protection == Protection::AuthInt {
            what = format!("{what}:{}", self.hash.hex(request.body));
        }
        let what = h(&what);
        let qop = match self.protection {
            Protection::None => "",
            Protection::Auth => "auth",
            Protection::AuthInt => "auth-int",
        };
        let response = if qop.is_empty() {
            h(&format!("{secret}:{nonce}:{what}"))
        } else {
            h(&format!("{secret}:{nonce}:{count:08x}:{cnonce}:{qop}:{what}"))
        };
        let name = if self.hash_user { h(&format!("{user}:{realm}")) } else { quoted(user) };
        let mut out = format!(
            "Digest username=\"{name}\", realm=\"{}\", uri=\"{}\"",
            quoted(realm),
            request.uri
        );
        // Writing to a String cannot fail.
        let _ = write!(out, ", algorithm={}", self.algorithm.as_deref().unwrap_or("MD5"));
        let _ = write!(out, ", nonce=\"{}\"", quoted(nonce));
        if !qop.is_empty() {
            let _ = write!(out, ", nc={count:08x}, cnonce=\"{cnonce}\", qop={qop}");
        } else if self.session {
            let _ = write!(out, ", cnonce=\"{cnonce}\"");
        }
        let _ = write!(out, ", response=\"{response}\"");
        if let Some(opaque) = &self.opaque {
            let _ = write!(out, ", opaque=\"{}\"", quoted(opaque));
        }
        if self.hash_user {
            out.push_str(", userhash=true");
        }
        out
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The challenges of a `WWW-Authenticate` line, each with its parameters: several may share it.
fn schemes(line: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        let end = rest.find([' ', ',', '=', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return found;
        }
        let after = after.trim_start_matches([' ', '\t']);
        match after.strip_prefix('=') {
            Some(value) if !found.is_empty() => {
                let (value, left) = param_value(value.trim_start());
                if let Some((_, params)) = found.last_mut() {
                    params.push((word.to_owned(), value));
                }
                rest = left;
            }
            Some(value) => rest = value,
            None => {
                found.push((word.to_owned(), Vec::new()));
                rest = after;
            }
        }
    }
}

/// A token or a quoted string, and what follows.
fn param_value(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, one)) = chars.next() {
        match one {
            '"' => return (value, &inner[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

/// The challenges one user has met, and how often each was answered.
#[derive(Debug, Default)]
pub(super) struct Challenges {
    /// By origin.
    known: Vec<(Url, Challenge, u32)>,
}

impl Challenges {
    /// Whether the same request is worth another try: the target had not asked before, asks for
    /// another realm's password, or found the nonce too old. Else the password is wrong.
    pub(super) fn meet(&mut self, url: &Url, challenge: Challenge) -> bool {
        match self.known.iter_mut().find(|(of, ..)| of.same_origin(url)) {
            Some((_, held, count)) => {
                let worth = challenge.stale || held.realm != challenge.realm;
                // The same nonce goes on counting.
                if held.nonce != challenge.nonce {
                    (*held, *count) = (challenge, 0);
                }
                worth
            }
            None => {
                if self.known.len() >= CHALLENGES_MAX {
                    self.known.remove(0);
                }
                self.known.push((url.clone(), challenge, 0));
                true
            }
        }
    }

    /// The value of `Authorization`, where that origin has asked for one.
    pub(super) fn answer(
        &mut self,
        url: &Url,
        login: &Login,
        request: &Signed<'_>,
        cnonce: &str,
    ) -> Option<String> {
        let (_, challenge, count) = self.known.iter_mut().find(|(of, ..)| of.same_origin(url))?;
        *count += 1;
        Some(challenge.answer(login, request, *count, cnonce))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(lines: &[&str]) -> Option<Challenge> {
        Challenge::of(&lines.iter().map(|line| ("WWW-Authenticate", *line)).collect())
    }

    fn login(user: &str, password: &str) -> Login {
        Login { user: user.to_owned(), password: password.to_owned() }
    }

    const INDEX: Signed<'_> = Signed { method: "GET", uri: "/dir/index.html", body: b"" };
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    /// RFC 7616, 3.9.1: the target offers both, the first is taken.
    #[test]
    fn the_rfcs_own_example() {
        let line = |algorithm: &str| {
            format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                 algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        let mufasa = login("Mufasa", "Circle of Life");
        let of = |algorithm: &str| {
            challenge(&[&line(algorithm)]).unwrap().answer(&mufasa, &INDEX, 1, CNONCE)
        };
        let sha = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
        assert!(of("SHA-256").contains(&format!("response=\"{sha}\"")));
        assert_eq!(
            of("MD5"),
            format!(
                "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", \
                 uri=\"/dir/index.html\", algorithm=MD5, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
                 cnonce=\"{CNONCE}\", qop=auth, response=\"8ca523f5e9506fed4657c9700eebdbec\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        );
    }

    /// RFC 7616, 3.9.2: SHA-512-256 and a hashed user name.
    #[test]
    fn hashed_user_names() {
        let line = "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
                    nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
                    opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDssOS\", charset=UTF-8, \
                    userhash=true";
        let request = Signed { method: "GET", uri: "/doe.json", body: b"" };
        let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm";
        let login = login("J\u{e4}s\u{f8}n Doe", "Secret, or not?");
        let said = challenge(&[line]).unwrap().answer(&login, &request, 1, cnonce);
        assert!(said.ends_with(", userhash=true"), "{said}");
        let name = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b";
        assert!(said.contains(&format!("username=\"{name}\"")), "{said}");
    }

    /// Figures worked out with md5sum, from RFC 2617's formulas.
    #[test]
    fn sessions_integrity_and_the_oldest_form() {
        let login = login("u", "p");
        let request = Signed { method: "POST", uri: "/x?y=1", body: b"body" };
        let of = |rest: &str| {
            let line = format!("Digest realm=\"r\", nonce=\"n\"{rest}");
            challenge(&[&line]).unwrap().answer(&login, &request, 10, "c")
        };
        let h = |text: &str| Hash::Md5.hex(text.as_bytes());
        assert_eq!(h("abc"), "900150983cd24fb0d6963f7d28e17f72");
        let secret = h("u:r:p");
        let old = h(&format!("{secret}:n:{}", h("POST:/x?y=1")));
        let expected = format!(
            "Digest username=\"u\", realm=\"r\", uri=\"/x?y=1\", algorithm=MD5, nonce=\"n\", \
             response=\"{old}\""
        );
        assert_eq!(of(""), expected);
        let session = h(&format!("{secret}:n:c"));
        let signed = h(&format!("{session}:n:0000000a:c:auth:{}", h("POST:/x?y=1")));
        let said = of(", qop=auth, algorithm=MD5-sess");
        assert!(said.contains(&format!("algorithm=MD5-sess, nonce=\"n\", nc=0000000a, cnonce=\"c\", qop=auth, response=\"{signed}\"")), "{said}");
        let what = h(&format!("POST:/x?y=1:{}", h("body")));
        let signed = h(&format!("{secret}:n:0000000a:c:auth-int:{what}"));
        assert!(of(", qop=\"auth-int\"").contains(&format!("response=\"{signed}\"")));
    }

    #[test]
    fn challenges_are_found_among_others() {
        let both = "Basic realm=\"b, c\", Digest realm=\"r \\\"q\\\"\", nonce=n, qop=\"auth\"";
        let found = challenge(&["Negotiate", both]).unwrap();
        assert_eq!((found.realm.as_str(), found.nonce.as_str()), ("r \"q\"", "n"));
        let unknown = "Digest realm=\"r\", nonce=\"n\", algorithm=SHA3";
        let known = "Digest realm=\"r\", nonce=\"m\", algorithm=sha-256-SESS, stale=TRUE";
        let found = challenge(&[unknown, known]).unwrap();
        assert_eq!((found.hash, found.session, found.stale), (Hash::Sha256, true, true));
        for broken in ["", "Digest", "=", "Digest nonce=\"n", "Digest realm=r", "Basic realm=\"r\""]
        {
            assert_eq!(challenge(&[broken]), None, "{broken}");
        }
    }

    #[test]
    fn a_nonce_counts_its_requests_and_a_new_one_starts_again() {
        let url = |text: &str| Url::parse(text, true).unwrap();
        let with = |nonce: &str, stale: &str| {
            let line = format!("Digest realm=\"r\", nonce=\"{nonce}\", qop=auth{stale}");
            challenge(&[&line]).unwrap()
        };
        let mut known = Challenges::default();
        let login = login("u", "p");
        let count = |known: &mut Challenges, at: &str| {
            let said = known.answer(&url(at), &login, &INDEX, "c")?;
            Some(said.split("nc=").nth(1)?[..8].to_owned())
        };
        assert_eq!(count(&mut known, "http://a/"), None);
        assert!(known.meet(&url("http://a/x"), with("1", "")));
        assert_eq!(count(&mut known, "http://a/").as_deref(), Some("00000001"));
        // A wrong password: not tried again, and the nonce goes on.
        assert!(!known.meet(&url("http://a/"), with("1", "")));
        assert_eq!(count(&mut known, "http://a/").as_deref(), Some("00000002"));
        assert!(known.meet(&url("http://a/"), with("2", ", stale=true")));
        assert_eq!(count(&mut known, "http://a/").as_deref(), Some("00000001"));
        assert_eq!(count(&mut known, "http://a:81/"), None);
        for port in 1..=2 * CHALLENGES_MAX {
            known.meet(&url(&format!("http://b:{port}/")), with("1", ""));
        }
        assert_eq!(known.known.len(), CHALLENGES_MAX);
    }
}
