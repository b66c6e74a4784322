//! `multipart/form-data` bodies: form parameters first, then parts, as Gatling writes them.

use bytes::Bytes;
use rand::Rng;

use crate::charset::Charset;

/// Length of the boundaries that we make.
const BOUNDARY_CHARS: usize = 35;

/// One part, worked out for a user.
#[derive(Clone, Debug, Default)]
pub struct PartContent {
    pub name: Option<String>,
    pub file_name: Option<String>,
    /// `form-data` when absent.
    pub disposition_type: Option<String>,
    pub content_type: Option<String>,
    pub charset: Option<Charset>,
    pub transfer_encoding: Option<String>,
    pub content_id: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// Alphanumeric, fresh for each request.
pub fn boundary(rng: &mut impl Rng) -> String {
    (0..BOUNDARY_CHARS).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))).collect()
}

/// The boundary that a user's own `Content-Type` names.
#[must_use]
pub fn boundary_of(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })
}

/// The whole body. The heads of its parts are ASCII, but for the names of files; the values of form
/// parameters are UTF-8 whatever the content type says: as Gatling has it.
#[must_use]
pub fn encode(boundary: &str, form: &[(String, String)], parts: &[PartContent]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in form {
        push_line(&mut out, &format!("--{boundary}"));
        push_line(&mut out, &format!("Content-Disposition: form-data; name=\"{}\"", quoted(name)));
        push_line(&mut out, "");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    for part in parts {
        push_line(&mut out, &format!("--{boundary}"));
        push_headers(&mut out, part);
        push_line(&mut out, "");
        out.extend_from_slice(&part.body);
        out.extend_from_slice(b"\r\n");
    }
    push_line(&mut out, &format!("--{boundary}--"));
    out
}

fn push_headers(out: &mut Vec<u8>, part: &PartContent) {
    push(out, "Content-Disposition: ");
    push(out, part.disposition_type.as_deref().unwrap_or("form-data"));
    if let Some(name) = &part.name {
        push(out, &format!("; name=\"{}\"", quoted(name)));
    }
    if let Some(name) = &part.file_name {
        push(out, "; filename=\"");
        out.extend_from_slice(&part.charset.unwrap_or(Charset::Utf8).encode(&quoted(name)));
        push(out, "\"");
    }
    push_line(out, "");
    if let Some(content_type) = &part.content_type {
        let charset = part.charset.map(|it| format!("; charset={}", it.name())).unwrap_or_default();
        push_line(out, &format!("Content-Type: {content_type}{charset}"));
    }
    if let Some(encoding) = &part.transfer_encoding {
        push_line(out, &format!("Content-Transfer-Encoding: {encoding}"));
    }
    if let Some(id) = &part.content_id {
        push_line(out, &format!("Content-ID: {id}"));
    }
    for (name, value) in &part.headers {
        push_line(out, &format!("{name}: {value}"));
    }
}

/// Line breaks and quotes inside a quoted name would be headers of the attacker's choice.
fn quoted(text: &str) -> String {
    text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn push_line(out: &mut Vec<u8>, line: &str) {
    push(out, line);
    out.extend_from_slice(b"\r\n");
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&Charset::Ascii.encode(text));
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    use super::*;

    #[test]
    fn form_parameters_come_before_parts() {
        let file = PartContent {
            name: Some("doc".into()),
            file_name: Some("a\"b.txt".into()),
            content_type: Some("text/plain".into()),
            charset: Some(Charset::Utf8),
            content_id: Some("<1>".into()),
            headers: vec![("X-Own".into(), "1".into())],
            body: Bytes::from_static(b"data"),
            ..PartContent::default()
        };
        let body = encode("B", &[("k".into(), "v".into())], &[file]);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "--B\r\nContent-Disposition: form-data; name=\"k\"\r\n\r\nv\r\n\
             --B\r\nContent-Disposition: form-data; name=\"doc\"; filename=\"a%22b.txt\"\r\n\
             Content-Type: text/plain; charset=UTF-8\r\nContent-ID: <1>\r\nX-Own: 1\r\n\r\ndata\r\n\
             --B--\r\n"
        );
    }

    #[test]
    fn boundaries() {
        let mut rng = SmallRng::seed_from_u64(1);
        let made = boundary(&mut rng);
        assert_eq!(made.len(), 35);
        assert!(made.chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(made, boundary(&mut rng));
        assert_eq!(boundary_of("multipart/form-data; boundary=\"abc\""), Some("abc"));
        assert_eq!(boundary_of("multipart/form-data"), None);
    }
}
