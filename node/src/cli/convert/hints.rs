//! Correlation: a value of a request that an earlier response brought must be read from there by
//! every user anew. Finds such values and says where they came from; changing the request is the
//! author's decision.

use serde_json::Value;

/// Shorter values are equal by chance.
const LENGTH_MIN: usize = 6;
/// Values that are remembered of one recording.
const VALUES_MAX: usize = 20_000;
/// Hints of one request.
const HINTS_MAX: usize = 4;

/// Where a value was first seen.
#[derive(Debug)]
struct Origin {
    value: String,
    request: String,
    check: String,
}

/// The values of the responses so far.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<Origin>);

impl Seen {
    /// Remembers what a JSON response brought.
    pub(super) fn response(&mut self, request: &str, body: &str) {
        if let Ok(value) = serde_json::from_str::<Value>(body) {
            self.json(request, "$", &value);
        }
        for (name, value) in hidden_inputs(body) {
            self.add(request, &value, format!("css(\"input[name='{name}']\", \"value\")"));
        }
    }

    fn json(&mut self, request: &str, path: &str, value: &Value) {
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    let plain = key.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
                    let path =
                        if plain { format!("{path}.{key}") } else { format!("{path}['{key}']") };
                    self.json(request, &path, value);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    self.json(request, &format!("{path}[{index}]"), value);
                }
            }
            Value::String(text) => self.add(request, text, format!("jsonPath(\"{path}\")")),
            Value::Number(number) => {
                self.add(request, &number.to_string(), format!("jsonPath(\"{path}\")"));
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn add(&mut self, request: &str, value: &str, check: String) {
        let telling = value.len() >= LENGTH_MIN && !value.contains(char::is_whitespace);
        if telling && self.0.len() < VALUES_MAX && !self.0.iter().any(|it| it.value == value) {
            let (value, request) = (value.to_owned(), request.to_owned());
            self.0.push(Origin { value, request, check });
        }
    }

    /// What to say of a request with these texts.
    pub(super) fn hints<'a>(&self, texts: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
        let known = self.0.iter().filter(|it| texts.clone().any(|text| has(text, &it.value)));
        let hint = |it: &Origin| {
            let (value, name) = (&it.value, &it.request);
            let attribute = attribute_of(&it.check);
            format!(
                "hint: {value} came from \"{name}\": save it there with \
                 {}.saveAs(\"{attribute}\") and write #{{{attribute}}} here",
                it.check
            )
        };
        known.take(HINTS_MAX).map(hint).collect()
    }
}

/// As a whole: not as a part of a longer word.
fn has(text: &str, value: &str) -> bool {
    let word = |letter: Option<char>| letter.is_some_and(|it| it.is_alphanumeric());
    text.match_indices(value).any(|(at, _)| {
        !word(text[..at].chars().next_back()) && !word(text[at + value.len()..].chars().next())
    })
}

/// `token` of `jsonPath("$.user.token")`.
fn attribute_of(check: &str) -> String {
    let words = check.rsplit(|it: char| !it.is_ascii_alphanumeric());
    let mut named = words
        .filter(|word| word.starts_with(|it: char| it.is_ascii_alphabetic()) && *word != "value");
    named.next().unwrap_or("value").to_owned()
}

/// Names and values of `<input type="hidden">`.
fn hidden_inputs(html: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for tag in html.split("<input").skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let attribute = |name: &str| {
            let (_, rest) = tag.split_once(&format!("{name}=\""))?;
            Some(rest.split('"').next().unwrap_or_default().to_owned())
        };
        if attribute("type").as_deref() == Some("hidden")
            && let (Some(name), Some(value)) = (attribute("name"), attribute("value"))
        {
            found.push((name, value));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_responses_are_found_in_later_requests() {
        let mut seen = Seen::default();
        seen.response("Login", r#"{"user": {"token": "abc-123-def", "short": "ab"}}"#);
        seen.response("Page", r#"<input type="hidden" name="csrf" value="c5rf-70k3n">"#);
        let hints = seen.hints(["Bearer abc-123-def", "a=c5rf-70k3n&b=1"].into_iter());
        assert_eq!(
            hints,
            [
                "hint: abc-123-def came from \"Login\": save it there with \
                 jsonPath(\"$.user.token\").saveAs(\"token\") and write #{token} here",
                "hint: c5rf-70k3n came from \"Page\": save it there with \
                 css(\"input[name='csrf']\", \"value\").saveAs(\"csrf\") and write #{csrf} here",
            ]
        );
        assert!(seen.hints(["xabc-123-defx"].into_iter()).is_empty());
        assert!(seen.hints(["ab"].into_iter()).is_empty());
    }
}
