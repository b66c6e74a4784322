//! `jsonPath(path)`: Gatling's dialect on an RFC 9535 engine. What Gatling writes more freely
//! (`$.my-key`) is brought into the standard's form first; null is a match.

use std::ops::ControlFlow;

use smallvec::{SmallVec, smallvec};

use super::json_type;
use super::pattern::Pattern;
use super::prepared::Within;
use super::simple_path::SimplePath;
use super::{Extractor, Failure, JsonType, Kind, Prepared, Scope, Texts};
use crate::expr::{Compiled, Expr};
use crate::value::Value;

#[derive(Debug)]
pub(super) struct JsonPath {
    /// A path that does not parse is an ordinary failure of the check, at run time.
    path: Pattern<Result<Path, String>>,
    of: JsonType,
    within: Within,
}

enum Path {
    Simple(SimplePath),
    General(serde_json_path::JsonPath),
    /// What stands between `..*` and `..*`.
    Any(Vec<serde_json_path::JsonPath>),
}

impl JsonPath {
    pub(super) fn new(path: &Expr, of: JsonType, within: Within) -> Result<Self, String> {
        Ok(Self { path: Pattern::new(path, |path| Ok(compile(path)))?, of, within })
    }
}

fn compile(path: &str) -> Result<Path, String> {
    let path = path.trim();
    if let Some(simple) = SimplePath::json_path(path) {
        return Ok(Path::Simple(simple));
    }
    let parse = |part: &str| {
        serde_json_path::JsonPath::parse(&standardise(part))
            .map_err(|error| format!("Failed to parse jsonPath {path}: {error}"))
    };
    let mut parts = parts(path);
    if parts.len() == 1 {
        return parse(path).map(Path::General);
    }
    let first = parse(parts.remove(0));
    let rest = parts.iter().map(|part| parse(&format!("${part}")));
    std::iter::once(first).chain(rest).collect::<Result<_, _>>().map(Path::Any)
}

/// Splits at each `..*`, which is not the standard's: it begins with the node itself. Those in
/// brackets are left alone.
fn parts(path: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    for (at, char) in path.char_indices() {
        match (quote, char) {
            (Some(open), _) if open == char => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(char),
            (None, '[') => depth += 1,
            (None, ']') => depth = depth.saturating_sub(1),
            (None, '.') if depth == 0 && at >= start && path[at..].starts_with("..*") => {
                parts.push(&path[start..at]);
                start = at + "..*".len();
            }
            (None, _) => {}
        }
    }
    parts.push(&path[start..]);
    parts
}

/// A node and all below it, parents first, as Gatling walks.
fn walk<'a>(json: &'a serde_json::Value, found: &mut Vec<&'a serde_json::Value>) {
    found.push(json);
    match json {
        serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|item| walk(item, found)),
        _ => {}
    }
}

fn query_any<'a>(
    parts: &[serde_json_path::JsonPath],
    json: &'a serde_json::Value,
) -> Vec<&'a serde_json::Value> {
    let Some((first, rest)) = parts.split_first() else { return Vec::new() };
    let mut nodes = first.query(json).all();
    for part in rest {
        let mut all = Vec::new();
        nodes.iter().for_each(|node| walk(node, &mut all));
        nodes = all.into_iter().flat_map(|node| part.query(node).all()).collect();
    }
    nodes
}

/// Brackets names that only Gatling takes after a dot. Text in quotes is left alone.
fn standardise(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    let mut quote = None;
    while let Some(char) = rest.chars().next() {
        let width = char.len_utf8();
        match quote {
            Some(_) if char == '\\' => {
                let escaped = rest[width..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..width + escaped]);
                rest = &rest[width + escaped..];
                continue;
            }
            Some(open) if open == char => quote = None,
            Some(_) => {}
            None if char == '\'' || char == '"' => quote = Some(char),
            None if char == '.' => {
                let descendant = rest.starts_with("..");
                let dots = if descendant { 2 } else { 1 };
                let after = &rest[dots..];
                let end =
                    after.find(|char: char| "*.[]()=!<>&|,".contains(char) || char.is_whitespace());
                let name = &after[..end.unwrap_or(after.len())];
                let digit = |char: char| char.is_ascii_digit();
                let number = out.ends_with(digit) && name.starts_with(digit);
                if needs_brackets(name) && !number {
                    out.push_str(if descendant { ".." } else { "" });
                    out.push_str(&format!(
                        "['{}']",
                        name.replace('\\', "\\\\").replace('\'', "\\'")
                    ));
                } else {
                    out.push_str(&rest[..dots + name.len()]);
                }
                rest = &after[name.len()..];
                continue;
            }
            None => {}
        }
        out.push(char);
        rest = &rest[width..];
    }
    out
}

fn needs_brackets(name: &str) -> bool {
    let standard = |char: char| char.is_alphanumeric() || char == '_' || !char.is_ascii();
    !name.is_empty()
        && (!name.chars().all(standard) || name.starts_with(|c: char| c.is_ascii_digit()))
}

impl Extractor for JsonPath {
    fn scope(&self) -> Scope {
        Scope::Body
    }

    fn kind(&self) -> Kind {
        json_type::kind(self.of)
    }

    fn patterns(&self) -> SmallVec<[&Compiled; 2]> {
        smallvec![self.path.source()]
    }

    fn name(&self, texts: &Texts<'_>) -> String {
        format!("{}({})", self.within.name("jsonPath", "jsonpJsonPath"), texts[0])
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let json = response.json(self.within)?;
        let path = self.path.get(&texts[0]).map_err(Failure::Extraction)?;
        match path.as_ref().map_err(|error| Failure::Extraction(error.clone()))? {
            Path::Simple(simple) => {
                if let Some(found) =
                    simple.walk(json).and_then(|json| json_type::read(json, self.of))
                {
                    let _ = each(found);
                }
            }
            Path::General(path) => tell(path.query(json).all(), self.of, each),
            Path::Any(parts) => tell(query_any(parts, json), self.of, each),
        }
        Ok(())
    }
}

fn tell(
    found: Vec<&serde_json::Value>,
    of: JsonType,
    each: &mut dyn FnMut(Value) -> ControlFlow<()>,
) {
    for found in found.into_iter().filter_map(|found| json_type::read(found, of)) {
        if each(found).is_break() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_brought_into_the_standards_form() {
        for (gatling, standard) in [
            ("$.my-key.b", "$['my-key'].b"),
            ("$..my-key[*]", "$..['my-key'][*]"),
            ("$.a[?(@.x-y == 'a.b-c')]", "$.a[?(@['x-y'] == 'a.b-c')]"),
            ("$.a[?(@.x == 1.5)].b", "$.a[?(@.x == 1.5)].b"),
            ("$.a.*", "$.a.*"),
            ("$['a.b-c']", "$['a.b-c']"),
            ("$.1a", "$['1a']"),
            ("$.a1.my-key", "$.a1['my-key']"),
        ] {
            assert_eq!(standardise(gatling), standard);
        }
    }

    #[test]
    fn any_node_below_begins_with_the_node_itself() {
        assert_eq!(parts("$.a..*.b..*"), ["$.a", ".b", ""]);
        assert_eq!(parts("$['..*']..b[?(@..*)]"), ["$['..*']..b[?(@..*)]"]);
        let json = serde_json::json!({"a": {"b": [1, {"c": 2}]}, "d": 3});
        let found = |path: &str| match compile(path) {
            Ok(Path::Any(parts)) => {
                query_any(&parts, &json).iter().map(|found| found.to_string()).collect()
            }
            _ => Vec::new(),
        };
        let below = [r#"{"b":[1,{"c":2}]}"#, r#"[1,{"c":2}]"#, "1", r#"{"c":2}"#, "2"];
        assert_eq!(found("$.a..*"), below);
        assert_eq!(found("$..*.c"), ["2"]);
        assert_eq!(found("$.d..*"), ["3"]);
        assert!(compile("$..*x").is_err());
    }
}
