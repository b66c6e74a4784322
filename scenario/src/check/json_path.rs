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
    serde_json_path::JsonPath::parse(&standardise(path))
        .map(Path::General)
        .map_err(|error| format!("Failed to parse jsonPath {path}: {error}"))
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
            Path::General(path) => {
                for found in path.query(json).iter() {
                    if let Some(found) = json_type::read(found, self.of)
                        && each(found).is_break()
                    {
                        break;
                    }
                }
            }
        }
        Ok(())
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
}
