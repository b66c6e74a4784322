//! `multipart/form-data` bodies: form parameters first, then parts, as Gatling writes them.

use rand::Rng;

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
    pub charset: Option<String>,
    pub transfer_encoding: Option<String>,
    pub content_id: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
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

/// The whole body.
#[must_use]
pub fn encode(boundary: &str, form: &[(String, String)], parts: &[PartContent]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in form {
        push_line(&mut out, &format!("--{boundary}"));
        push_line(&mut out, &format!("Content-Disposition: form-data; name=\"{}\"", quoted(name)));
        push_line(&mut out, "");
        push_line(&mut out, value);
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
    let mut disposition = part.disposition_type.clone().unwrap_or_else(|| "form-data".to_owned());
    for (key, value) in [("name", &part.name), ("filename", &part.file_name)] {
        if let Some(value) = value {
            disposition.push_str(&format!("; {key}=\"{}\"", quoted(value)));
        }
    }
    push_line(out, &format!("Content-Disposition: {disposition}"));
    if let Some(content_type) = &part.content_type {
        let charset =
            part.charset.as_ref().map(|name| format!("; charset={name}")).unwrap_or_default();
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
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
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
            charset: Some("UTF-8".into()),
            content_id: Some("<1>".into()),
            headers: vec![("X-Own".into(), "1".into())],
            body: b"data".to_vec(),
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
