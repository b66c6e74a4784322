//! The paths that most checks use, `$.a.b[0]` and `a.b[0]`: walked without the machinery of a full
//! query, and without a copy of the document.

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
                Some(key) if !key.contains(['\'', '\\', '[']) => Part::Key(key.to_owned()),
                Some(_) => return None,
                None => Part::Index(inside.parse().ok().filter(|_| !inside.starts_with('+'))?),
            });
            rest = after;
        }
        Some(Self(parts))
    }

    pub(super) fn walk<'a>(&self, root: &'a serde_json::Value) -> Option<&'a serde_json::Value> {
        self.0.iter().try_fold(root, |value, part| match part {
            Part::Key(key) => value.as_object()?.get(key),
            Part::Index(index) => {
                let items = value.as_array()?;
                let position = if *index < 0 {
                    items.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
                } else {
                    usize::try_from(*index).ok()?
                };
                items.get(position)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_ones_are_walked_and_others_left_alone() {
        let json = serde_json::json!({"a":{"b":[1,{"c d":2}]},"x-y":3});
        for (path, expected) in [
            ("$", Some(&json)),
            ("$.a.b[0]", json.pointer("/a/b/0")),
            ("$.a['b'][-1]['c d']", json.pointer("/a/b/1/c d")),
            ("$['x-y']", json.pointer("/x-y")),
            ("$.a.b[7]", None),
            ("$.a.b.c", None),
        ] {
            assert_eq!(SimplePath::json_path(path).unwrap().walk(&json), expected, "{path}");
        }
        let jmes = SimplePath::jmes_path("a.b[-2]").unwrap();
        assert_eq!(jmes.walk(&json), json.pointer("/a/b/0"));
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
        ] {
            assert_eq!(SimplePath::json_path(path), None, "{path}");
        }
        for path in ["", "a | b", "a.b[]", "length(a)", "@", "[0]", "a['b']", "'raw'"] {
            assert_eq!(SimplePath::jmes_path(path), None, "{path}");
        }
    }
}
