//! What must not be read over a shoulder, in a pasted terminal or in a report: passwords, tokens,
//! keys, cookies. Goes by names; a secret under a harmless name is shown, unless it was seen under a
//! telling one.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// What stands for a secret.
const MASK: &str = "****";
/// Shorter values would blank out half of a text.
const KNOWN_LENGTH_MIN: usize = 4;
/// Values that are looked for everywhere.
const KNOWN_MAX: usize = 64;

const TELLING: &str = "password|passwd|secret|token|api[-_]?key|credential|authorization";

static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("(?i){TELLING}|^session$")));
/// `"token": "x"`; a text that was cut may end inside of the value.
static JSON: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r#"(?i)("[^"]*(?:{TELLING})[^"]*"\s*:\s*)(?:"(?:[^"\\]|\\.)*(?:"|\\?\z)|[\d.]+)"#
    ))
});
/// `token=x`, in forms and queries.
static FORM: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"(?i)([\w.%-]*(?:{TELLING})[\w.%-]*=)[^&\s#]+")));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns above are valid")
}

/// Masks secrets, and remembers what it masked.
#[derive(Debug)]
pub struct Secrets {
    show: bool,
    known: Vec<String>,
}

impl Secrets {
    /// `show`: nothing is masked.
    #[must_use]
    pub fn new(show: bool) -> Self {
        Self { show, known: Vec::new() }
    }

    /// The value of a session's attribute.
    pub fn attribute(&mut self, name: &str, value: &str) -> String {
        if self.show {
            return value.to_owned();
        }
        if NAME.is_match(name) {
            let new = value.len() >= KNOWN_LENGTH_MIN && self.known.len() < KNOWN_MAX;
            if new && !self.known.iter().any(|known| known == value) {
                self.known.push(value.to_owned());
            }
            return MASK.to_owned();
        }
        self.text(value)
    }

    /// The value of a header: of credentials the scheme stays, of cookies their names.
    #[must_use]
    pub fn header(&self, name: &str, value: &str) -> String {
        if self.show {
            return value.to_owned();
        }
        match name.to_ascii_lowercase().as_str() {
            "authorization" | "proxy-authorization" => match value.split_once(' ') {
                Some((scheme, _)) => format!("{scheme} {MASK}"),
                None => MASK.to_owned(),
            },
            "cookie" => {
                let masked = |pair: &str| match pair.split_once('=') {
                    Some((name, _)) => format!("{}={MASK}", name.trim()),
                    None => MASK.to_owned(),
                };
                value.split(';').map(masked).collect::<Vec<_>>().join("; ")
            }
            "set-cookie" => {
                let (pair, rest) = value.split_once(';').unwrap_or((value, ""));
                let name = pair.split('=').next().unwrap_or_default();
                let rest = if rest.is_empty() { String::new() } else { format!(";{rest}") };
                format!("{name}={MASK}{rest}")
            }
            name if NAME.is_match(name) => MASK.to_owned(),
            _ => self.text(value),
        }
    }

    /// Any other text.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        if self.show {
            return text.to_owned();
        }
        let mut masked = JSON.replace_all(text, format!("${{1}}\"{MASK}\""));
        masked = Cow::Owned(FORM.replace_all(&masked, format!("${{1}}{MASK}")).into_owned());
        for known in &self.known {
            if masked.contains(known.as_str()) {
                masked = Cow::Owned(masked.replace(known.as_str(), MASK));
            }
        }
        masked.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        let mut secrets = Secrets::new(false);
        assert_eq!(secrets.attribute("accessToken", "abc-123"), "****");
        assert_eq!(secrets.attribute("user", "ada"), "ada");
        let json = r#"{"user":"ada","password": "x\"y","tokens":3,"n":4}"#;
        let masked = r#"{"user":"ada","password": "****","tokens":"****","n":4}"#;
        assert_eq!(secrets.text(json), masked);
        assert_eq!(secrets.text(r#"{"token":"eyJhbGci"#), r#"{"token":"****""#);
        assert_eq!(secrets.text("{\"token\":\"eyJ\\"), r#"{"token":"****""#);
        assert_eq!(secrets.text("user=ada&password=x&a=b"), "user=ada&password=****&a=b");
        assert_eq!(secrets.text("/things/abc-123?x=1"), "/things/****?x=1");
        assert_eq!(secrets.header("Authorization", "Bearer abc"), "Bearer ****");
        assert_eq!(secrets.header("cookie", "a=1; b=2"), "a=****; b=****");
        let cookie = secrets.header("Set-Cookie", "session=ada; Path=/; HttpOnly");
        assert_eq!(cookie, "session=****; Path=/; HttpOnly");
        assert_eq!(secrets.header("x-api-key", "k"), "****");
        assert_eq!(secrets.header("accept", "text/html"), "text/html");
    }

    #[test]
    fn asked_for_everything_is_shown() {
        let mut secrets = Secrets::new(true);
        assert_eq!(secrets.attribute("password", "x"), "x");
        assert_eq!(secrets.header("cookie", "a=1"), "a=1");
        assert_eq!(secrets.text("token=1"), "token=1");
    }
}
