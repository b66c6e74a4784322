//! HAR 1.2, as browsers save it. Reads leniently: recorders leave out what the format demands.
//! <http://www.softwareishard.com/blog/har-12-spec/>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::hints::Seen;
use super::recording::{
    Body, Item, Part, Recording, Request, is_own_business, literal, name_of, split_origin,
};

/// A longer gap is a break of whoever recorded.
const PAUSE_MS_MAX: u64 = 600_000;

pub(super) struct Options {
    pub pause_ms_min: u64,
    pub keep_static: bool,
}

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    #[serde(default)]
    entries: Vec<Entry>,
    #[serde(default)]
    pages: Vec<Page>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    title: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    started_date_time: String,
    #[serde(default)]
    time: f64,
    request: HarRequest,
    response: HarResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarRequest {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Pair>,
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct HarResponse {
    status: i64,
    #[serde(default)]
    headers: Vec<Pair>,
    #[serde(default)]
    content: Content,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    #[serde(default)]
    mime_type: String,
    text: Option<String>,
    encoding: Option<String>,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    params: Vec<Param>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Param {
    name: String,
    #[serde(default)]
    value: String,
    file_name: Option<String>,
}

/// # Errors
/// What is wrong with the file, with line and column.
pub(super) fn read(bytes: &[u8], options: &Options) -> Result<Recording, String> {
    // Some recorders begin with a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let har: Har = serde_json::from_slice(bytes).map_err(|error| format!("not a HAR: {error}"))?;
    let title = har.log.pages.first().map(|page| page.title.clone());
    let mut recording = Recording {
        name: title.filter(|it| !it.is_empty()).unwrap_or_else(|| "Recorded".to_owned()),
        ..Recording::default()
    };
    let mut reader = Reader { options, seen: Seen::default(), left_out: 0, ended_ms: None };
    let mut entries = har.log.entries;
    entries.sort_by_key(started_ms);
    let mut next = entries.iter().peekable();
    while let Some(entry) = next.next() {
        // A redirect is followed by the virtual user itself.
        let mut last = entry;
        while let Some(follower) = next.peek()
            && follows(last, follower)
        {
            last = follower;
            next.next();
        }
        reader.entry(entry, last, &mut recording)?;
    }
    if reader.left_out > 0 {
        recording.notes.push(format!(
            "left out: requests for images, styles, scripts and fonts ({}); --keep-static keeps them",
            reader.left_out
        ));
    }
    if recording.requests() == 0 {
        return Err("no HTTP request in it".to_owned());
    }
    Ok(recording)
}

fn started_ms(entry: &Entry) -> Option<i64> {
    let at: jiff::Timestamp = entry.started_date_time.parse().ok()?;
    Some(at.as_millisecond())
}

fn follows(entry: &Entry, next: &Entry) -> bool {
    if !matches!(entry.response.status, 301 | 302 | 303 | 307 | 308) {
        return false;
    }
    let header = |it: &&Pair| it.name.eq_ignore_ascii_case("location");
    let Some(location) = entry.response.headers.iter().find(header) else { return false };
    let to = location.value.split('#').next().unwrap_or_default();
    let url = next.request.url.as_str();
    let path = split_origin(url).map_or(url, |(_, rest)| rest);
    !to.is_empty() && (url == to || path == to)
}

struct Reader<'a> {
    options: &'a Options,
    seen: Seen,
    left_out: usize,
    /// When the last request that was kept had its answer.
    ended_ms: Option<i64>,
}

impl Reader<'_> {
    /// `last`: the end of its redirect chain, or itself.
    fn entry(
        &mut self,
        entry: &Entry,
        last: &Entry,
        recording: &mut Recording,
    ) -> Result<(), String> {
        let request = &entry.request;
        if !request.url.starts_with("http") {
            return Ok(());
        }
        if !self.options.keep_static && is_static(last) {
            self.left_out += 1;
            return Ok(());
        }
        if split_origin(&request.url).is_none() {
            return Err(format!("{} is not a URL", request.url));
        }
        self.pause(entry, recording);
        let name = name_of(&request.method, &request.url);
        let headers: Vec<(String, String)> = request
            .headers
            .iter()
            .filter(|pair| !is_own_business(&pair.name))
            .filter(|pair| !(pair.name.eq_ignore_ascii_case("content-type") && is_form(request)))
            .map(|pair| (pair.name.clone(), literal(&pair.value)))
            .collect();
        let body = request.post_data.as_ref().and_then(|data| body(data, recording));
        let texts = request.headers.iter().filter(|pair| !is_own_business(&pair.name));
        let texts = texts.map(|pair| pair.value.as_str());
        let posted = request.post_data.as_ref().map(|data| data.text.as_str());
        let hints = self.seen.hints(texts.chain(posted).chain([request.url.as_str()]));
        let status = u16::try_from(last.response.status).ok().filter(|status| *status >= 100);
        let ended = started_ms(last).map(|at| at.saturating_add(rounded(last.time)));
        self.ended_ms = self.ended_ms.max(ended);
        if let Some(text) = text_of(&last.response.content) {
            self.seen.response(&name, &text);
        }
        recording.items.push(Item::Request(Box::new(Request {
            name,
            method: request.method.to_uppercase(),
            url: literal(request.url.split('#').next().unwrap_or_default()),
            headers,
            body,
            status,
            hints,
            ..Request::default()
        })));
        Ok(())
    }

    fn pause(&self, entry: &Entry, recording: &mut Recording) {
        let (Some(ended), Some(started)) = (self.ended_ms, started_ms(entry)) else { return };
        let gap = u64::try_from(started - ended).unwrap_or(0).min(PAUSE_MS_MAX);
        if gap >= self.options.pause_ms_min.max(1) {
            recording.items.push(Item::PauseMs(gap));
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a float's cast saturates")]
fn rounded(ms: f64) -> i64 {
    ms.max(0.0).round() as i64
}

fn is_form(request: &HarRequest) -> bool {
    request.post_data.as_ref().is_some_and(|data| !data.params.is_empty())
}

fn is_static(entry: &Entry) -> bool {
    const KINDS: [&str; 8] = [
        "image/",
        "font/",
        "text/css",
        "text/javascript",
        "application/javascript",
        "application/x-javascript",
        "application/font",
        "audio/",
    ];
    const ENDINGS: [&str; 12] = [
        ".css", ".js", ".mjs", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".ico", ".webp", ".woff",
        ".woff2",
    ];
    let path = entry.request.url.split(['?', '#']).next().unwrap_or_default();
    let kind = entry.response.content.mime_type.as_str();
    entry.request.method == "GET"
        && (KINDS.iter().any(|known| kind.starts_with(known))
            || ENDINGS.iter().any(|known| path.ends_with(known)))
}

fn text_of(content: &Content) -> Option<String> {
    let text = content.text.as_ref()?;
    if content.encoding.as_deref() == Some("base64") {
        return String::from_utf8(STANDARD.decode(text).ok()?).ok();
    }
    Some(text.clone())
}

fn body(data: &PostData, recording: &mut Recording) -> Option<Body> {
    if data.params.is_empty() {
        return (!data.text.is_empty()).then(|| Body::Text(literal(&data.text)));
    }
    if !data.mime_type.starts_with("multipart/") {
        let decode = |text: &str| {
            let plain = text.replace('+', " ");
            let decoded = percent_encoding::percent_decode_str(&plain).decode_utf8_lossy();
            literal(&decoded)
        };
        let pairs = data.params.iter().map(|it| (decode(&it.name), decode(&it.value)));
        return Some(Body::Form(pairs.collect()));
    }
    let part = |it: &Param| match &it.file_name {
        Some(file) => {
            recording.notes.push(format!("put {file} into resources/"));
            Part::Upload(it.name.clone(), file.clone())
        }
        None => Part::Field(it.name.clone(), literal(&it.value)),
    };
    Some(Body::Parts(data.params.iter().map(part).collect()))
}
