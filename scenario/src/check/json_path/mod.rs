//! `jsonPath(path)`: Gatling's dialect, which is older than RFC 9535 and differs from it: `$.my-key` is
//! a name, a filter looks at an object itself, `..name` does not look inside what it found. Null is a
//! match.

mod parse;
mod walk;

use std::ops::ControlFlow;

use parse::Step;

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
    General(Vec<Step>),
}

impl JsonPath {
    pub(super) fn new(path: &Expr, of: JsonType, within: Within) -> Result<Self, String> {
        Ok(Self { path: Pattern::new(path, |path| Ok(compile(path)))?, of, within })
    }
}

fn compile(path: &str) -> Result<Path, String> {
    if let Some(simple) = SimplePath::json_path(path) {
        return Ok(Path::Simple(simple));
    }
    parse::parse(path)
        .map(Path::General)
        .map_err(|error| format!("Failed to parse jsonPath {path}: {error}"))
}

/// Hands over what the path finds, as Gatling orders it.
fn query<'a>(path: &Path, json: &'a Value, each: walk::Each<'a, '_>) -> ControlFlow<()> {
    match path {
        Path::Simple(simple) => simple.walk(json).map_or(ControlFlow::Continue(()), each),
        Path::General(steps) => walk::walk(json, json, steps, each),
    }
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
        let path = path.as_ref().map_err(|error| Failure::Extraction(error.clone()))?;
        let _ended = query(path, json, &mut |found| match json_type::read(found, self.of) {
            Some(found) => each(found),
            None => ControlFlow::Continue(()),
        });
        Ok(())
    }

    /// All that the path finds count, whatever type is asked for.
    fn count(&self, response: &Prepared<'_>, texts: &Texts<'_>) -> Result<i64, Failure> {
        let json = response.json(self.within)?;
        let path = self.path.get(&texts[0]).map_err(Failure::Extraction)?;
        let path = path.as_ref().map_err(|error| Failure::Extraction(error.clone()))?;
        let mut count = 0;
        let _ended = query(path, json, &mut |_| {
            count += 1;
            ControlFlow::Continue(())
        });
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &str = r#"{"l":[1,"x",2.5,null,true,3],"m":{"zeta":1,"alpha":2,"mid":{"b":1,"a":2}},
        "deep":{"id":9,"in":[{"id":{"id":8}},{"x":{"id":7}}],"none":{}},"my-key":{"1a":5},
        " a":"blank","a":"plain","*":"star","it's":"quote","big":[9007199254740993,18446744073709551615]}"#;

    fn found(path: &str) -> String {
        let json = crate::value::json::parse(STORE).unwrap();
        let path = match compile(path) {
            Ok(path) => path,
            Err(error) => return error,
        };
        let mut found = Vec::new();
        let _ended = query(&path, &json, &mut |value| {
            found.push(value.to_json());
            ControlFlow::Continue(())
        });
        found.join(" ")
    }

    #[test]
    fn the_dialect_is_gatlings() {
        for (path, expected) in [
            ("$.m.zeta", "1"),
            ("$.my-key.1a", "5"),
            ("$.l[-1]", "3"),
            ("$.l[0,-2,9]", "1 true"),
            ("$.l[1:3]", "x 2.5"),
            ("$.l[::2]", "1 2.5 true"),
            ("$.l[:-4]", "1 x"),
            ("$.l[::-1]", "3 true null 2.5 x 1"),
            ("$.l[-1:-3:-1]", "3 true"),
            ("$.l[*]", "1 x 2.5 null true 3"),
            ("$.m[*]", ""),
            ("$.l.*", ""),
            ("$.m.mid.*", "1 2"),
            ("$.m['zeta','alpha','no']", "1 2"),
            ("$['it\\'s']", "quote"),
            ("$[\"a\"]", "plain"),
            // A name in quotes loses its first blanks.
            ("$[' a']", "plain"),
            ("$.mid", ""),
            // What was found is not looked into.
            ("$..id", r#"9 {"id":8} 7"#),
            ("$.m.mid..*", r#"{"b":1,"a":2} 1 2"#),
            ("$..*.b", "1"),
            // A filter takes the items of a list, and an object itself.
            ("$.l[?(@ > 1)]", "2.5 3"),
            ("$.l[?(@ == null)]", "null"),
            ("$.l[?(@ != 1)]", "x 2.5 null true 3"),
            ("$.l[?('x' == @ || @ == true && @ != 3)]", "x true"),
            ("$.m.mid[?(@.a == 2)].b", "1"),
            ("$.m.mid[?(@.a == 3)]", ""),
            ("$.m.mid[?(@.a > @.b)].a", "2"),
            ("$.m.mid[?(@.a == $.m.alpha)].a", "2"),
            ("$.m.mid[?(@.no != 1)]", ""),
            ("$..[?(@.b)].a", "2"),
            ("$..*[?(@.b)].a", "2"),
            ("$.big[?(@ == 9007199254740993)]", "9007199254740993"),
            ("$.big[?(@ > 9007199254740993)]", "18446744073709551615"),
        ] {
            assert_eq!(found(path), expected, "{path}");
        }
    }

    #[test]
    fn blanks_are_passed_over_between_words() {
        for path in [
            " $ . m . zeta ",
            "$.m [ 'zeta' ]",
            "$\t['m']\n.zeta",
            "$.m['zeta' , 'no']",
            "$.l[ 0 ]",
            "$.l[ 0 : 1 ]",
            "$.l[?( @==1 )]",
        ] {
            assert_eq!(found(path), "1", "{path}");
        }
        for path in ["$.l[? (@==1)]", "$.l[?(@==1) ]", "$. .id"] {
            assert!(found(path).starts_with("Failed to parse"), "{path}");
        }
    }

    #[test]
    fn what_does_not_parse_is_told_with_its_place() {
        for (path, expected) in [
            ("", "'$' expected at character 1, found the end"),
            ("a.b", "'$' expected at character 1, found 'a'"),
            ("$..", "a name expected at character 4, found the end"),
            ("$.l[?(@.x =~ /y/)]", "')]' expected at character 11, found '='"),
            ("$.l.length()", "a step expected at character 11, found '('"),
        ] {
            assert_eq!(found(path), format!("Failed to parse jsonPath {path}: {expected}"));
        }
        for path in [
            "$.a[",
            "$.a[1",
            "$.a['b",
            "$.a[1:2,3]",
            "$.a[?(@.b && 2)]",
            "$.a[::0]",
            "$..['b']",
            "$f",
        ] {
            assert!(found(path).starts_with("Failed to parse"), "{path}");
        }
        let nested = format!("$.a{}", "[?(@.b".repeat(10_000));
        assert!(found(&nested).starts_with("Failed to parse"));
    }
}
