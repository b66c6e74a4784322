//! `inferHtmlResources`: from pages to requests. What a page names is worked out once for each of its
//! contents; a page that is not sent again (304, or fresh in the user's cache) has the resources of
//! its last content.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::rc::Rc;

use super::action::Named;
use super::config::Config;
use super::infer_html::{self, Named as Found};
use super::request::Template;
use super::spec::{Header, InferSpec, Naming, RequestSpec};
use super::url::Url;
use crate::expr::{Compiled, Expr};
use crate::java_regex::Regex;

/// Different requests, and documents, that a thread remembers for one protocol.
const REMEMBERED_MAX: usize = 10_000;
/// Resources of one document, and of one request with the style sheets that its page names: more are
/// no page's, and a target could keep a user busy for ever with them.
pub(super) const RESOURCES_MAX: usize = 1_000;
/// Of a document that is looked through.
const DOCUMENT_BYTES_MAX: usize = 4 << 20;

pub(super) type Requests = Rc<[Rc<Named>]>;

/// What the protocol says of it, and what is known already.
pub(super) struct Infer {
    allow: Option<Vec<Regex>>,
    deny: Vec<Regex>,
    naming: Naming,
    known: RefCell<Known>,
}

#[derive(Default)]
struct Known {
    /// By the address of a page or a style sheet: a hash of its content, and what that names.
    documents: HashMap<String, (u64, Requests)>,
    requests: HashMap<(String, bool), Rc<Named>>,
}

impl Infer {
    /// # Errors
    /// A pattern that is none.
    pub(super) fn new(spec: &InferSpec, naming: Naming) -> Result<Self, String> {
        let all = |patterns: &[String]| {
            let compiled: Result<Vec<_>, _> = patterns.iter().map(|it| Regex::whole(it)).collect();
            compiled.map_err(|error| format!("inferHtmlResources: {error}"))
        };
        Ok(Self {
            allow: spec.allow.as_deref().map(all).transpose()?,
            deny: all(&spec.deny)?,
            naming,
            known: RefCell::default(),
        })
    }

    /// What a page, or a style sheet, names; and, the first time, what is to be said of it.
    pub(super) fn of_document(
        &self,
        url: &Url,
        content: &str,
        is_css: bool,
        config: &Config,
    ) -> (Requests, Option<String>) {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let hash = hasher.finish();
        let address = url.to_string();
        if let Some((held, requests)) = self.known.borrow().documents.get(&address)
            && *held == hash
        {
            return (Rc::clone(requests), None);
        }
        let too_large = content.len() > DOCUMENT_BYTES_MAX;
        let found = match is_css {
            _ if too_large => Vec::new(),
            true => infer_html::of_css(content, url),
            false => infer_html::of_page(content, url),
        };
        let mut known = self.known.borrow_mut();
        if known.documents.len().max(known.requests.len()) >= REMEMBERED_MAX {
            *known = Known::default();
        }
        let mut undecided = None;
        let mut allowed = found.iter().filter(|it| {
            self.allows(&it.url.to_string()).unwrap_or_else(|why| {
                undecided = Some(why);
                false
            })
        });
        let first = allowed.by_ref().take(RESOURCES_MAX);
        let requests: Requests =
            first.filter_map(|it| request(it, self.naming, &mut known, config)).collect();
        let note = if too_large {
            let most = DOCUMENT_BYTES_MAX >> 20;
            Some(format!("{address} is larger than the {most} MiB that are looked through"))
        } else {
            let more = allowed.next().is_some();
            let more = more.then(|| {
                format!(
                    "{address} names more than {RESOURCES_MAX} resources; the first are fetched"
                )
            });
            more.or_else(|| {
                undecided.map(|why| format!("{why}; what {address} names is not fetched"))
            })
        };
        known.documents.insert(address, (hash, Rc::clone(&requests)));
        (requests, note)
    }

    /// Of a document that did not come again.
    pub(super) fn of_known(&self, url: &Url) -> Option<Requests> {
        let known = self.known.borrow();
        known.documents.get(&url.to_string()).map(|(_, requests)| Rc::clone(requests))
    }

    /// # Errors
    /// A pattern that needed too many steps.
    fn allows(&self, url: &str) -> Result<bool, String> {
        let any = |them: &[Regex]| {
            for it in them {
                if it.is_match(url)? {
                    return Ok(true);
                }
            }
            Ok::<_, String>(false)
        };
        Ok(self.allow.as_deref().map_or(Ok(true), any)? && !any(&self.deny)?)
    }
}

/// None: no request that could be sent.
fn request(found: &Found, naming: Naming, known: &mut Known, config: &Config) -> Option<Rc<Named>> {
    let key = (found.url.to_string(), found.css);
    if let Some(named) = known.requests.get(&key) {
        return Some(Rc::clone(named));
    }
    let accept = if found.css { "text/css,*/*;q=0.1" } else { "*/*" };
    let accept = Header { name: "accept".to_owned(), value: Expr::str(accept) };
    let spec = RequestSpec {
        headers: vec![accept],
        // It is sent as it is named.
        disable_url_encoding: true,
        ..RequestSpec::new("GET", Expr::str(key.0.as_str()))
    };
    let name = Compiled::Lit(naming.name(&found.url).into());
    let named = Rc::new(Named { name, template: Template::compile(&spec, config).ok()? });
    known.requests.insert(key, Rc::clone(&named));
    Some(named)
}

impl Naming {
    fn name(self, url: &Url) -> String {
        let text = match self {
            Self::AbsoluteUrl => url.to_string(),
            Self::RelativeUrl => url.path_and_query.clone(),
            Self::Path => url.path().to_owned(),
            Self::LastPathElement => {
                let path = url.path();
                let end = path.strip_suffix('/').unwrap_or(path);
                path[end.rfind('/').map_or(0, |at| at + 1)..].to_owned()
            }
            Self::UrlTail => {
                let url = url.to_string();
                url[url.rfind('/').map_or(0, |at| at + 1)..].to_owned()
            }
        };
        if text.is_empty() { "/".to_owned() } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_inferred_requests() {
        let name = |naming: Naming, url: &str| naming.name(&Url::parse(url, true).unwrap());
        let url = "http://a.test:81/js/s.js?v=1";
        assert_eq!(name(Naming::UrlTail, url), "s.js?v=1");
        assert_eq!(name(Naming::AbsoluteUrl, url), url);
        assert_eq!(name(Naming::RelativeUrl, url), "/js/s.js?v=1");
        assert_eq!(name(Naming::Path, url), "/js/s.js");
        assert_eq!(name(Naming::LastPathElement, url), "s.js");
        assert_eq!(name(Naming::LastPathElement, "http://a.test/x/y/"), "y/");
        assert_eq!(name(Naming::LastPathElement, "http://a.test/"), "/");
        assert_eq!(name(Naming::UrlTail, "http://a.test/x/"), "/");
    }
}
