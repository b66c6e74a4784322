//! Differences between a recording and a run, and which of them are known.

use std::fmt;

use serde_json::Value;

use super::case::Case;

/// One place where the two disagree.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub path: String,
    pub gatling: Option<Value>,
    pub onrush: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |side: &Option<Value>| {
            side.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string)
        };
        write!(
            f,
            "{}\n      gatling {}\n      onrush  {}",
            self.path,
            show(&self.gatling),
            show(&self.onrush)
        )
    }
}

/// A case's result.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub unexplained: Vec<Difference>,
    /// Numbers in [`Case::known`] that explain something.
    pub used: Vec<usize>,
}

impl Verdict {
    #[must_use]
    pub fn of(case: &Case, gatling: &Value, onrush: &Value) -> Self {
        let mut found = Vec::new();
        differ("", Some(gatling), Some(onrush), case.times_ms.unwrap_or_default(), &mut found);
        let mut verdict = Self::default();
        for difference in found {
            let fits = |path: &str| matches(path, &difference.path);
            match case.known.iter().position(|known| fits(&known.path)) {
                Some(index) => verdict.used.push(index),
                None => verdict.unexplained.push(difference),
            }
        }
        verdict
    }
}

fn differ(
    path: &str,
    gatling: Option<&Value>,
    onrush: Option<&Value>,
    tolerance_ms: u64,
    found: &mut Vec<Difference>,
) {
    let inside =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (gatling, onrush) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            for (name, value) in a {
                differ(&inside(name), Some(value), b.get(name), tolerance_ms, found);
            }
            for (name, value) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
                differ(&inside(name), None, Some(value), tolerance_ms, found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.iter().all(Value::is_object) => {
            for index in 0..a.len().max(b.len()) {
                let place = inside(&index.to_string());
                differ(&place, a.get(index), b.get(index), tolerance_ms, found);
            }
        }
        (Some(a), Some(b)) if a == b => {}
        // Told apart, so that one known difference does not hide another.
        (Some(a), Some(b)) if path.ends_with(".headers") && same_but_for_case(a, b) => {
            let path = format!("{path}:case");
            found.push(Difference { path, gatling: Some(a.clone()), onrush: Some(b.clone()) });
        }
        (Some(Value::Number(a)), Some(Value::Number(b)))
            if path.ends_with("_ms") && close(a.as_u64(), b.as_u64(), tolerance_ms) => {}
        (a, b) => found.push(Difference {
            path: path.to_owned(),
            gatling: a.cloned(),
            onrush: b.cloned(),
        }),
    }
}

/// Headers that differ in how names are spelt.
fn same_but_for_case(a: &Value, b: &Value) -> bool {
    let lower = |side: &Value| -> Option<Vec<String>> {
        let lines = side.as_array()?.iter().map(|line| {
            let (name, value) = line.as_str()?.split_once(':')?;
            Some(format!("{}:{value}", name.to_ascii_lowercase()))
        });
        lines.collect()
    };
    lower(a).is_some_and(|a| Some(a) == lower(b))
}

fn close(a: Option<u64>, b: Option<u64>, tolerance: u64) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a.abs_diff(b) <= tolerance)
}

/// Whether `text` fits `pattern`, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_their_place() {
        let mut found = Vec::new();
        let a = json!({"x": [{"y": 1, "at_ms": 100}, {"y": 2}], "z": ["a"]});
        let b = json!({"x": [{"y": 1, "at_ms": 120}], "z": ["b"], "w": 1});
        differ("", Some(&a), Some(&b), 20, &mut found);
        let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["x.1", "z", "w"]);
    }

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, fits) in [
            ("sent.*.headers", "sent.a.0.headers", true),
            ("sent.*", "sent.a", true),
            ("sent", "sent.a", false),
            ("*", "", true),
            ("errors.*x*", "errors.a x b", true),
            ("errors.*x", "errors.a x b", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
