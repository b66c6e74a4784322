//! What the converters have in common: requests, pauses and groups, before they are written down.
//! Texts are expression-language templates already: a literal `#{` of the source is `\#{` here.

/// A conversation to be written as a scenario.
#[derive(Debug, Default)]
pub(super) struct Recording {
    /// Of the scenario.
    pub name: String,
    pub items: Vec<Item>,
    /// Attributes that every user begins with, and a run's parameters may change.
    pub variables: Vec<(String, String)>,
    /// The variable that all URLs begin with.
    pub base_variable: Option<String>,
    /// What was left out, and what to look at.
    pub notes: Vec<String>,
}

#[derive(Debug)]
pub(super) enum Item {
    Request(Box<Request>),
    PauseMs(u64),
    Group(String, Vec<Self>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub name: String,
    pub method: String,
    /// With its query.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Body>,
    /// User and password.
    pub basic: Option<(String, String)>,
    /// What the answer was.
    pub status: Option<u16>,
    pub no_redirect: bool,
    /// What to look at, as comments above the request.
    pub hints: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Text(String),
    Form(Vec<(String, String)>),
    Parts(Vec<Part>),
    /// A file of the author's own, which is not part of the input.
    File(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Field(String, String),
    Upload(String, String),
}

impl Recording {
    pub(super) fn requests(&self) -> usize {
        fn count(items: &[Item]) -> usize {
            let each = items.iter().map(|item| match item {
                Item::Request(_) => 1,
                Item::PauseMs(_) => 0,
                Item::Group(_, inside) => count(inside),
            });
            each.sum()
        }
        count(&self.items)
    }

    /// All requests, in order.
    pub(super) fn each(&self) -> Vec<&Request> {
        fn add<'a>(items: &'a [Item], all: &mut Vec<&'a Request>) {
            for item in items {
                match item {
                    Item::Request(request) => all.push(request),
                    Item::PauseMs(_) => {}
                    Item::Group(_, inside) => add(inside, all),
                }
            }
        }
        let mut all = Vec::new();
        add(&self.items, &mut all);
        all
    }
}

/// A literal text as a template.
pub(super) fn literal(text: &str) -> String {
    text.replace("#{", "\\#{")
}

/// Lower case, with hyphens: a file's name.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.chars().flat_map(char::to_lowercase) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    let short: String = slug.chars().take(60).collect();
    if short.is_empty() { "converted".to_owned() } else { short }
}

/// Scheme, host and port of an absolute URL, and the rest.
pub(super) fn split_origin(url: &str) -> Option<(&str, &str)> {
    let after = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let start = url.len() - after.len();
    let end = after.find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    (end > start).then(|| url.split_at(end))
}

/// `GET /products/{}`: short enough for a table.
pub(super) fn name_of(method: &str, url: &str) -> String {
    let path = split_origin(url).map_or(url, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = if path.is_empty() { "/" } else { path };
    format!("{method} {path}")
}

/// Headers that a virtual user sets by itself, or that are the recording browser's own business.
pub(super) fn is_own_business(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    const OWN: [&str; 14] = [
        "host",
        "content-length",
        "connection",
        "proxy-connection",
        "keep-alive",
        "transfer-encoding",
        "te",
        "cookie",
        "referer",
        "origin",
        "if-none-match",
        "if-modified-since",
        "priority",
        "upgrade",
    ];
    name.starts_with(':')
        || name.starts_with("sec-fetch-")
        || name.starts_with("sec-ch-")
        || OWN.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_at_their_origin() {
        assert_eq!(split_origin("http://a:1/b?c"), Some(("http://a:1", "/b?c")));
        assert_eq!(split_origin("https://a?c"), Some(("https://a", "?c")));
        assert_eq!(split_origin("https://"), None);
        assert_eq!(split_origin("/b"), None);
        assert_eq!(name_of("GET", "http://a/b?c=1"), "GET /b");
        assert_eq!(name_of("GET", "http://a"), "GET /");
    }

    #[test]
    fn slugs_name_files() {
        assert_eq!(slug("POST /api/Log in!"), "post-api-log-in");
        assert_eq!(slug("…"), "converted");
        assert_eq!(literal("a #{b}"), "a \\#{b}");
    }
}
