//! `jmesPath(path)`: one result; null is nothing found. The language is parsed by the `jmespath` crate
//! and interpreted here, on our own values: objects keep their order, numbers their digits.

mod functions;
mod interpret;

use std::ops::ControlFlow;

use jmespath::ast::Ast;
use smallvec::{SmallVec, smallvec};

use super::json_type;
use super::pattern::Pattern;
use super::prepared::Within;
use super::simple_path::SimplePath;
use super::{Extractor, Failure, JsonType, Kind, Prepared, Scope, Texts};
use crate::expr::{Compiled, Expr};
use crate::value::Value;

#[derive(Debug)]
pub(super) struct JmesPath {
    /// A path that does not parse is an ordinary failure of the check, at run time.
    path: Pattern<Result<Path, String>>,
    of: JsonType,
    within: Within,
}

enum Path {
    Simple(SimplePath),
    General(Ast),
}

impl JmesPath {
    pub(super) fn new(path: &Expr, of: JsonType, within: Within) -> Result<Self, String> {
        Ok(Self { path: Pattern::new(path, |path| Ok(compile(path)))?, of, within })
    }
}

fn compile(path: &str) -> Result<Path, String> {
    let path = path.trim();
    if let Some(simple) = SimplePath::jmes_path(path) {
        return Ok(Path::Simple(simple));
    }
    let parsed = jmespath::parse(path).map_err(|error| {
        let reason = error.reason.to_string();
        reason.trim_start_matches("Parse error: ").to_owned()
    });
    parsed
        .and_then(|ast| interpret::check(&ast).map(|()| Path::General(ast)))
        .map_err(|reason| format!("Failed to parse jmesPath {path}: {reason}"))
}

impl Extractor for JmesPath {
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
        format!("{}({})", self.within.name("jmesPath", "jsonpJmesPath"), texts[0])
    }

    /// A function that gets a value of the wrong type.
    fn may_be_fatal(&self) -> bool {
        self.path.is_dynamic()
            || !matches!(self.path.get("").as_deref(), Ok(Ok(Path::Simple(_)) | Err(_)))
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let path = self.path.get(&texts[0]).map_err(Failure::Extraction)?;
        let json = response.json(self.within)?;
        let found = match path.as_ref().map_err(|error| Failure::Extraction(error.clone()))? {
            Path::Simple(simple) => simple
                .walk(json)
                .filter(|json| !json.is_null())
                .and_then(|json| json_type::read(json, self.of)),
            Path::General(ast) => {
                let found = interpret::interpret(json, ast).map_err(Failure::Fatal)?;
                if found.is_null() { None } else { json_type::read(&found, self.of) }
            }
        };
        if let Some(found) = found {
            let _ = each(found);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"m":{"zeta":1,"alpha":2,"mid":{"b":1,"a":2}},"l":[1,"x",2.5,null,true,3],
        "big":[9007199254740993,18446744073709551615],"n":[3,1,2.5],"t":["b","a"],"e":[],"s":"täxt",
        "items":[{"id":2,"n":"y","tags":["p","q"]},{"id":1,"n":"x","tags":[]},{"id":3,"n":null}]}"#;

    fn found(path: &str) -> String {
        let json = crate::value::json::parse(JSON).unwrap();
        match compile(path) {
            Ok(Path::Simple(path)) => path.walk(&json).unwrap_or(&Value::Null).to_json(),
            Ok(Path::General(ast)) => interpret::interpret(&json, &ast)
                .map_or_else(|error| error, |found| found.to_json()),
            Err(error) => error,
        }
    }

    #[test]
    fn expressions() {
        for (path, expected) in [
            ("m", r#"{"zeta":1,"alpha":2,"mid":{"b":1,"a":2}}"#),
            ("m.*", r#"[1,2,{"b":1,"a":2}]"#),
            ("{z: m.zeta, a: m.alpha}", r#"{"z":1,"a":2}"#),
            ("[m.zeta, big[0]]", "[1,9007199254740993]"),
            ("big | [1]", "18446744073709551615"),
            ("big[?@ == `18446744073709551615`] | [0]", "18446744073709551615"),
            ("l[-1]", "3"),
            ("l[1:3]", r#"["x",2.5]"#),
            ("l[::-2]", r#"[3,null,"x"]"#),
            ("l[10:]", "[]"),
            // Null is an item, unless it is projected.
            ("l[*]", r#"[1,"x",2.5,true,3]"#),
            ("l[]", r#"[1,"x",2.5,null,true,3]"#),
            ("l[?@ == `null`]", "[null]"),
            ("items[?id == `3`].n", "[]"),
            ("items[2].*", "[3,null]"),
            // No list has no items, but is a list.
            ("s[0:1]", "[]"),
            ("no[0]", "null"),
            ("no.*.x", "null"),
            ("items[*].n", r#"["y","x"]"#),
            ("items[].tags[]", r#"["p","q"]"#),
            ("items[?id > `1`].id", "[2,3]"),
            ("items[?n == 'x'].id | [0]", "1"),
            ("items[?!tags].id", "[1,3]"),
            ("items[?tags && id == `2`].n", r#"["y"]"#),
            ("e || s", "täxt"),
            ("'a' < 'b'", "null"),
            ("m == `{\"mid\":{\"a\":2,\"b\":1},\"alpha\":2,\"zeta\":1}`", "true"),
            ("n != `[3,1,2.5]`", "false"),
        ] {
            assert_eq!(found(path), expected, "{path}");
        }
    }

    #[test]
    fn functions() {
        for (path, expected) in [
            ("keys(m)", r#"["zeta","alpha","mid"]"#),
            ("values(m.mid)", "[1,2]"),
            ("merge(m.mid, `{\"c\":3,\"b\":4}`)", r#"{"b":4,"a":2,"c":3}"#),
            ("to_string(m.mid)", r#"{"b":1,"a":2}"#),
            ("to_string(big[1])", "18446744073709551615"),
            ("to_array(s)", r#"["täxt"]"#),
            ("to_number('1.5')", "1.5"),
            ("to_number('7.0')", "7"),
            ("to_number('x')", "null"),
            ("length(s)", "4"),
            ("length(m)", "3"),
            ("sum(n)", "6.5"),
            ("sum(e)", "0.0"),
            ("avg(n)", "2.1666666666666665"),
            ("avg(e)", "null"),
            ("abs(`-5`)", "5.0"),
            ("ceil(`1.2`)", "2.0"),
            ("floor(`1.8`)", "1.0"),
            ("max(n)", "3"),
            ("min(t)", "a"),
            ("max(big)", "18446744073709551615"),
            ("sort(n)", "[1,2.5,3]"),
            ("sort(t)", r#"["a","b"]"#),
            ("sort_by(items, &id)[*].id", "[1,2,3]"),
            ("max_by(items, &id).id", "3"),
            ("min_by(items, &id).id", "1"),
            ("map(&id, items)", "[2,1,3]"),
            ("reverse(t)", r#"["a","b"]"#),
            ("reverse(s)", "txät"),
            ("join('-', t)", "b-a"),
            ("contains(s, 'äx')", "true"),
            ("contains(l, `2.5`)", "true"),
            ("contains(l, `1.0`)", "false"),
            ("starts_with(s, 't')", "true"),
            ("ends_with(s, 'x')", "false"),
            ("not_null(no, s)", "täxt"),
            ("type(big)", "array"),
            ("type(no)", "null"),
        ] {
            assert_eq!(found(path), expected, "{path}");
        }
    }

    /// The words are those that Gatling 3.16.0 has for them.
    #[test]
    fn what_is_wrong_with_a_call() {
        for (path, expected) in [
            (
                "length(n[0])",
                "Invalid argument type calling \"length\": expected string, array or object but was number",
            ),
            (
                "sum(l)",
                "Invalid argument type calling \"sum\": expected array of number but was array \
                 containing number, string, null and boolean",
            ),
            (
                "max(`[true]`)",
                "Invalid argument type calling \"max\": expected array of number or string but was \
                 array containing boolean",
            ),
            (
                "keys(&a)",
                "Invalid argument type calling \"keys\": expected object but was expression",
            ),
            (
                "sort_by(items, &n)",
                "Invalid argument type calling \"sort_by\": expected string but was null",
            ),
            ("no_such(a)", "Failed to parse jmesPath no_such(a): unknown function \"no_such\""),
            (
                "a[?length()]",
                "Failed to parse jmesPath a[?length()]: invalid arity calling \"length\" \
                 (expected 1 but was 0)",
            ),
            (
                "not_null()",
                "Failed to parse jmesPath not_null(): invalid arity calling \"not_null\" \
                 (expected at least 1 but was 0)",
            ),
        ] {
            assert_eq!(found(path), expected, "{path}");
        }
        assert!(found("a[").starts_with("Failed to parse jmesPath a[: "));
    }
}
