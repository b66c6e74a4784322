//! A website with a search, comments by form, and editors who write and publish.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use serde_json::json;

use super::super::shop;
use super::{Call, Checked, expect, field, html, is_password, nowhere, with_header};

const HITS: u64 = 7;
const PAGE: u64 = 3;
/// What the simulation searches for.
const WORDS: &str = include_str!("../../../simulations/large/resources/words.csv");

#[derive(Debug, Default)]
pub(super) struct Cms {
    issued: u64,
    /// Visitor → articles that a search has shown to them.
    shown: HashMap<String, HashSet<String>>,
    /// Given with an article's page and not used yet → the article.
    nonces: HashMap<String, String>,
    editors: HashMap<String, String>,
    /// Draft → its version and its state.
    drafts: HashMap<String, (u64, &'static str)>,
}

impl Cms {
    pub(super) fn answer(&mut self, call: &Call, path: &[&str]) -> Checked {
        match (call.method.as_str(), path) {
            ("GET", []) => Ok(self.home()),
            ("GET", ["search"]) => self.search(call),
            ("GET", ["articles", slug]) => self.article(call, slug),
            ("POST", ["articles", slug, "comments"]) => self.comment(call, slug),
            ("POST", ["admin", "login"]) => self.login(call),
            ("POST", ["admin", "drafts"]) => self.draft(call),
            ("PUT", ["admin", "drafts", id]) => self.change(call, id, "written"),
            ("POST", ["admin", "drafts", id, "publish"]) => self.change(call, id, "published"),
            ("GET", ["published", id]) => self.published(id),
            _ => nowhere(call),
        }
    }

    fn next(&mut self, kind: &str) -> String {
        self.issued += 1;
        format!("{kind}-{}", self.issued)
    }

    fn home(&mut self) -> super::Answer {
        let visitor = self.next("visitor");
        self.shown.insert(visitor.clone(), HashSet::new());
        let page = "<html><head><title>News</title></head><body><nav><a href=\"/cms/search\">Search</a>\
            </nav><p id=\"count\">Articles: 1,234</p></body></html>";
        let cookie = format!("visitor={visitor}; Path=/cms");
        with_header(html(200, page.to_owned()), "set-cookie", &cookie)
    }

    fn visitor(&mut self, call: &Call) -> Result<&mut HashSet<String>, String> {
        let visitor = call.cookie("visitor");
        self.shown.get_mut(&visitor).ok_or_else(|| format!("{visitor:?} is no visitor"))
    }

    fn search(&mut self, call: &Call) -> Checked {
        expect(call.referer().starts_with("/cms"), || format!("from {:?}", call.referer()))?;
        let word = call.query("q");
        let known = WORDS.lines().any(|line| line.split(',').next() == Some(&word));
        expect(known, || format!("q is {word:?}"))?;
        let page: u64 = call.query("page").parse().map_err(|_| "page is no number".to_owned())?;
        let slug: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
        let numbers = (page.saturating_sub(1) * PAGE + 1..=HITS).take(3);
        let slugs: Vec<String> = numbers.map(|n| format!("{slug}-{n}")).collect();
        expect(!slugs.is_empty(), || format!("there is no page {page}"))?;
        self.visitor(call)?.extend(slugs.iter().cloned());
        let hits: String = slugs
            .iter()
            .map(|it| format!("<li><a class=\"hit\" href=\"/cms/articles/{it}\">{it}</a></li>"))
            .collect();
        let total = format!("<span class=\"total\">{HITS} results for {word}</span>");
        Ok(html(200, format!("<html><body>{total}<ul>{hits}</ul></body></html>")))
    }

    fn article(&mut self, call: &Call, slug: &str) -> Checked {
        let shown = self.visitor(call)?.contains(slug);
        expect(shown, || format!("no search has shown {slug} to this visitor"))?;
        expect(call.referer().contains("/search"), || format!("from {:?}", call.referer()))?;
        let nonce = self.next("nonce");
        self.nonces.insert(nonce.clone(), slug.to_owned());
        Ok(html(
            200,
            format!(
                "<html><head><meta name=\"slug\" content=\"{slug}\"></head><body><article>Text\
                 </article><form action=\"/cms/articles/{slug}/comments\"><input type=\"hidden\" \
                 name=\"nonce\" value=\"{nonce}\"></form></body></html>"
            ),
        ))
    }

    fn comment(&mut self, call: &Call, slug: &str) -> Checked {
        let nonce = call.form("nonce")?;
        let of = self.nonces.remove(&nonce);
        expect(of.as_deref() == Some(slug), || format!("{nonce:?} is of {of:?}, not of {slug}"))?;
        let from = format!("/cms/articles/{slug}");
        expect(call.referer() == from, || format!("from {:?}", call.referer()))?;
        let (author, text) = (call.form("author")?, call.form("text")?);
        expect(text == format!("Große Kunst, {author} & co."), || format!("text {text:?}"))?;
        Ok(html(201, format!("<p class=\"comment\" data-author=\"{author}\">{text}</p>")))
    }

    fn login(&mut self, call: &Call) -> Checked {
        let body = call.json()?;
        let (user, password) = (field(&body, "user")?, field(&body, "password")?);
        expect(is_password(user, password), || format!("{user:?} has another password"))?;
        let token = self.next("editor");
        self.editors.insert(token.clone(), user.to_owned());
        let answer = shop::json(200, &json!({"user": user, "roles": ["author", "editor"]}));
        Ok(with_header(answer, "x-auth-token", &token))
    }

    fn editor(&self, call: &Call) -> Result<&String, String> {
        let token = call.header("x-auth-token");
        self.editors.get(token).ok_or_else(|| format!("{token:?} is no token of an editor"))
    }

    /// A multipart form with the fields `title` and `author` and the file `image`.
    fn draft(&mut self, call: &Call) -> Checked {
        let author = self.editor(call)?.clone();
        let media = call.header("content-type");
        let boundary =
            media.strip_prefix("multipart/form-data; boundary=").ok_or("no multipart")?;
        let text = call.text()?;
        let parts: Vec<&str> = text.split(&format!("--{boundary}")).collect();
        expect(parts.len() == 5, || format!("{} parts", parts.len().saturating_sub(2)))?;
        expect(parts[4].trim() == "--", || "the last boundary is missing".to_owned())?;
        let has = |wanted: &str| parts.iter().any(|part| part.contains(wanted));
        for wanted in [
            "name=\"title\"\r\n",
            &format!("\r\n\r\n{author}\r\n"),
            "name=\"image\"; filename=\"logo.svg\"\r\n",
            "<svg xmlns=",
        ] {
            expect(has(wanted), || format!("no part has {wanted:?}"))?;
        }
        let id = self.next("draft");
        self.drafts.insert(id.clone(), (1, "new"));
        Ok(with_header(shop::json(201, &json!({"draft": {"id": id}})), "etag", "\"v1\""))
    }

    /// Each change must name the version that the one before gave.
    fn change(&mut self, call: &Call, id: &str, state: &'static str) -> Checked {
        self.editor(call)?;
        let draft = self.drafts.get_mut(id).ok_or_else(|| format!("{id} is no draft"))?;
        call.expect_header("if-match", &format!("\"v{}\"", draft.0))?;
        match (draft.1, state) {
            ("new" | "written", "written") => {
                call.expect_header("content-type", "application/xml")?;
                let (text, version) = (call.text()?, format!("<version>{}</version>", draft.0));
                expect(text.contains(&version), || format!("{text} has not {version}"))?;
            }
            ("written", "published") => {}
            (before, _) => return Err(format!("{id} is {before}, and would be {state}")),
        }
        *draft = (draft.0 + 1, state);
        let answer = shop::json(200, &json!({"url": format!("/cms/published/{id}")}));
        Ok(with_header(answer, "etag", &format!("\"v{}\"", draft.0)))
    }

    fn published(&self, id: &str) -> Checked {
        let state = self.drafts.get(id).map(|draft| draft.1);
        expect(state == Some("published"), || format!("{id} is {state:?}"))?;
        let feed = format!("<feed><entry id=\"{id}\"><title>New</title></entry></feed>");
        Ok(shop::with_type(200, "application/xml", Bytes::from(feed)))
    }
}
