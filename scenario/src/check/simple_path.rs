//! The paths that most checks use, `$.a.b[0]` and `a.b[0]`: walked without the machinery of a full
//! query.

use crate::value::Value;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct SimplePath(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    /// Negative from the end.
    Index(i64),
}

impl SimplePath {
    /// `$`, then `.name`, `['name']` and `[n]`; none for anything else.
    pub(super) fn json_path(path: &str) -> Option<Self> {
        Self::parts(path.strip_prefix('$')?)
    }

    /// `name`, then `.name` and `[n]`; none for anything else.
    pub(super) fn jmes_path(path: &str) -> Option<Self> {
        if path.starts_with(['.', '[']) || path.contains('\'') {
            return None;
        }
        Self::parts(&format!(".{path}"))
    }

    fn parts(mut rest: &str) -> Option<Self> {
        let mut parts = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let (name, after) = after.split_at(end);
                let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                if !plain || !name.starts_with(|char: char| !char.is_ascii_digit()) {
                    return None;
                }
                parts.push(Part::Key(name.to_owned()));
                rest = after;
                continue;
            }
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            let key = inside.strip_prefix('\'').and_then(|inside| inside.strip_suffix('\''));
            parts.push(match key {
                Some(key) if is_plain(key) => Part::Key(key.to_owned()),
                Some(_) => return None,
                None => Part::Index(inside.parse().ok().filter(|_| !inside.starts_with('+'))?),
            });
            rest = after;
        }
        Some(Self(parts))
    }

    pub(super) fn walk<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(root, |value, part| match (part, value) {
            (Part::Key(key), Value::Map(fields)) => fields.get(key.as_str()),
            (Part::Index(index), Value::List(items)) => item(items, *index),
            _ => None,
        })
    }
}

/// A name in quotes without a meaning of its own: `['*']` is any, blanks may be passed over.
fn is_plain(key: &str) -> bool {
    let blank = |char: char| char.is_whitespace();
    !key.is_empty() && key != "*" && !key.starts_with(blank) && !key.contains(['\'', '\\', '['])
}

/// By its place, a negative one from the end.
pub(super) fn item(items: &[Value], index: i64) -> Option<&Value> {
    let index = if index < 0 {
        items.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(index).ok()?
    };
    items.get(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_ones_are_walked_and_others_left_alone() {
        let text = r#"{"a":{"b":[1,{"c d":2}]},"x-y":3}"#;
        let json = crate::value::json::parse(text).unwrap();
        let found = |path: Option<SimplePath>| path.unwrap().walk(&json).map(Value::to_json);
        for (path, expected) in [
            ("$", Some(text)),
            ("$.a.b[0]", Some("1")),
            ("$.a['b'][-1]['c d']", Some("2")),
            ("$['x-y']", Some("3")),
            ("$.a.b[7]", None),
            ("$.a.b[-3]", None),
            ("$.a.b.c", None),
        ] {
            assert_eq!(found(SimplePath::json_path(path)).as_deref(), expected, "{path}");
        }
        assert_eq!(found(SimplePath::jmes_path("a.b[-2]")).as_deref(), Some("1"));
        for path in [
            "$..a",
            "$.*",
            "$[*]",
            "$[?(@.a)]",
            "$[0:1]",
            "$[1,2]",
            "$.x-y",
            "a",
            "$.",
            "$['a','b']",
            "$.1",
            "$['*']",
            "$[' a']",
            "$['']",
        ] {
            assert_eq!(SimplePath::json_path(path), None, "{path}");
        }
        for path in ["", "a | b", "a.b[]", "length(a)", "@", "[0]", "a['b']", "'raw'"] {
            assert_eq!(SimplePath::jmes_path(path), None, "{path}");
        }
    }
}
