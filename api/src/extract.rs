//! Extractors that answer problems: JSON bodies with the offset and the pointer of what is wrong,
//! strict query parameters, and the header that names the caller.

use axum::extract::{FromRequest, FromRequestParts, Query as AxumQuery, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use onrush_raft::ledger::command::Caller;
use serde::de::DeserializeOwned;

use crate::error::{Kind, Problem};

pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";
/// Where the answer is that of an earlier request with the same key.
pub const REPLAYED_HEADER: &str = "idempotency-replayed";
const IDEMPOTENCY_CHARS_MAX: usize = 255;
/// The most that a JSON body may have.
pub const JSON_BYTES_MAX: usize = 1 << 20;

/// A JSON body of at most [`JSON_BYTES_MAX`].
pub struct Json<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_content_type(request.headers())?;
        let bytes = read_body(request).await?;
        parse(&bytes).map(Self)
    }
}

/// Like [`Json`], but an empty body stands for the default.
pub struct OptionalJson<T>(pub T);

impl<S: Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let typed = check_content_type(request.headers());
        let bytes = read_body(request).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        typed?;
        parse(&bytes).map(Self)
    }
}

async fn read_body(request: Request) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::new(Kind::TooLarge, format!("a JSON body may have {JSON_BYTES_MAX} bytes at most"))
    };
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    if announced.and_then(|v| v.parse::<u64>().ok()).is_some_and(|n| n > JSON_BYTES_MAX as u64) {
        return Err(too_large());
    }
    match Limited::new(request.into_body(), JSON_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Problem::new(Kind::InvalidRequest, "the body was cut off")),
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let lower = given.to_ascii_lowercase();
    let mut parts = lower.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let json = kind == "application/json" || kind.ends_with("+json");
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    let utf8 = charset.is_none_or(|name| name.trim_matches('"') == "utf-8");
    if json && utf8 {
        return Ok(());
    }
    let shown = if given.is_empty() { "none" } else { given };
    Err(Problem::new(
        Kind::UnsupportedMediaType,
        format!("the content type must be application/json in UTF-8, not {shown}"),
    ))
}

/// Parses a body; errors name the byte offset and the JSON pointer.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value: Result<T, _> = serde_path_to_error::deserialize(&mut reader);
    match value {
        Ok(value) => match reader.end() {
            Ok(()) => Ok(value),
            Err(error) => Err(json_problem(bytes, &error, String::new())),
        },
        Err(error) => {
            let pointer = pointer_of(error.path());
            Err(json_problem(bytes, error.inner(), pointer))
        }
    }
}

fn json_problem(bytes: &[u8], error: &serde_json::Error, pointer: String) -> Problem {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    let offset = match error.is_eof() {
        true => bytes.len(),
        false => offset_of(bytes, error.line(), error.column()),
    };
    let detail = format!("{what} at byte {offset}");
    let lead = if error.is_data() { "the body does not fit" } else { "the body is not JSON" };
    Problem::new(Kind::InvalidRequest, format!("{lead}: {detail}")).at(pointer, detail)
}

/// `serde_json` counts lines and columns from one; a column of zero is the line's start.
fn offset_of(bytes: &[u8], line: usize, column: usize) -> usize {
    let before: usize = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + column.saturating_sub(1)).min(bytes.len())
}

/// Down to the last place that has a name: what is behind it could not be read as a key.
fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map_while(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { variant } => Some(format!("/{variant}")),
            Segment::Unknown => None,
        })
        .collect()
}

/// Query parameters. What every read takes (`consistency`) is left out; the rest must be known.
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let kept: Vec<&str> = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.starts_with("consistency="))
            .collect();
        let uri: Uri = format!("/?{}", kept.join("&"))
            .parse()
            .map_err(|_| Problem::new(Kind::InvalidRequest, "the query cannot be read"))?;
        match AxumQuery::<T>::try_from_uri(&uri) {
            Ok(AxumQuery(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text =
                    text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                Err(Problem::field("?", format!("the query does not fit: {text}")))
            }
        }
    }
}

/// Path parameters; ids are judged by the handlers, so only the encoding can be wrong here.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(Kind::InvalidRequest, rejection.body_text())),
        }
    }
}

/// Who asks, as the client states it (`Onrush-By`), and its `Idempotency-Key`.
pub struct By(pub Caller);

impl<S: Sync> FromRequestParts<S> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let (name, idempotency_key) =
            (crate::auth::by(&parts.headers), idempotency_key(&parts.headers)?);
        Ok(Self(Caller { name, idempotency_key }))
    }
}

/// What every write takes, for its documentation.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by By")]
pub struct IdempotencyKey {
    /// A second request with the same key is not carried out, and gets the answer of the first: for a
    /// day, in the same project. 1 to 255 visible characters.
    #[param(rename = "idempotency-key")]
    idempotency_key: Option<String>,
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_HEADER) else { return Ok(None) };
    let key = value.to_str().unwrap_or_default().trim();
    if (1..=IDEMPOTENCY_CHARS_MAX).contains(&key.len()) {
        return Ok(Some(key.to_owned()));
    }
    Err(Problem::new(
        Kind::InvalidRequest,
        format!("an Idempotency-Key has 1 to {IDEMPOTENCY_CHARS_MAX} visible ASCII characters"),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only its type matters here")]
        simulation: Sim,
        #[expect(dead_code, reason = "only its type matters here")]
        #[serde(default)]
        parameters: BTreeMap<String, String>,
    }

    #[derive(Debug, Deserialize)]
    struct Sim {
        #[expect(dead_code, reason = "only its type matters here")]
        file: String,
    }

    fn check(text: &str, pointer: &str, words: &str) {
        let problem = parse::<Body>(text.as_bytes()).unwrap_err();
        let body = problem.body(None);
        assert_eq!(body.status, 400);
        assert_eq!(body.errors[0].pointer, pointer, "{body:?}");
        assert!(body.detail.contains(words), "{body:?}");
    }

    #[test]
    fn bad_json_is_told_by_offset_and_pointer() {
        check("{not json", "", "the body is not JSON: key must be a string at byte 1");
        check("{\"simulation\":", "/simulation", "at byte 14");
        check("{\"simulation\":{\"file\":\"a\"}} x", "", "trailing characters at byte 28");
        check("{\"simulation\":{\"file\":3}}", "/simulation/file", "invalid type");
        check("{\n\"nodes\": 1}", "/nodes", "unknown field `nodes`");
        check(
            "{\"simulation\":{\"file\":\"a\"},\"parameters\":{\"n\":1}}",
            "/parameters/n",
            "string",
        );
        check("{\"simulation\":{\"file\":\"\\ud800\"}}", "/simulation/file", "hex escape");
        check("{\"simulation\":{\"file\":1e400}}", "/simulation/file", "number out of range");
        let deep = "[".repeat(10_000);
        assert!(parse::<serde_json::Value>(deep.as_bytes()).is_err());
    }

    #[test]
    fn only_json_in_utf8_is_taken() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            check_content_type(&headers)
        };
        assert!(of("application/json").is_ok());
        assert!(of("application/json; charset=UTF-8").is_ok());
        assert!(of("application/merge-patch+json").is_ok());
        assert!(of("application/json; charset=utf-16").is_err());
        assert!(of("text/plain").is_err());
        assert!(check_content_type(&HeaderMap::new()).is_err());
    }
}
