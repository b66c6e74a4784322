//! `jmesPath(path)`: one result; null is nothing found.

use std::ops::ControlFlow;

use jmespath::{Context, DEFAULT_RUNTIME, ErrorReason, Expression, Variable, interpret};
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
    General(Expression<'static>),
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
    jmespath::compile(path)
        .map(Path::General)
        .map_err(|error| format!("Failed to parse jmesPath {path}: {}", reason(&error.reason)))
}

fn reason(reason: &ErrorReason) -> String {
    let text = reason.to_string();
    text.trim_start_matches("Parse error: ").trim_start_matches("Runtime error: ").to_owned()
}

fn value(variable: &Variable) -> Value {
    match variable {
        Variable::Null | Variable::Expref(_) => Value::Null,
        Variable::Bool(flag) => Value::Bool(*flag),
        Variable::String(text) => Value::from(text.as_str()),
        Variable::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::Double(number.as_f64().unwrap_or(f64::NAN)), Value::Int),
        Variable::Array(items) => Value::list(items.iter().map(|item| value(item)).collect()),
        Variable::Object(fields) => Value::map(
            fields.iter().map(|(key, field)| (key.as_str().into(), value(field))).collect(),
        ),
    }
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
        let found = match path.as_ref().map_err(|error| Failure::Extraction(error.clone()))? {
            Path::Simple(simple) => simple
                .walk(response.json(self.within)?)
                .filter(|json| !json.is_null())
                .and_then(|json| json_type::read(json, self.of)),
            Path::General(expression) => {
                let mut context = Context::new(expression.as_str(), &DEFAULT_RUNTIME);
                let found =
                    interpret(response.jmes(self.within)?, expression.as_ast(), &mut context)
                        .map_err(|error| Failure::Fatal(reason(&error.reason)))?;
                let found = value(&found);
                if found.is_null() { None } else { json_type::convert(found, self.of) }
            }
        };
        if let Some(found) = found {
            let _ = each(found);
        }
        Ok(())
    }
}
