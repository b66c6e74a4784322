//! Rendering: nodes and expressions over a user's attributes and the template's own variables.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::expression::{Expr, is_function};
use super::parse::{Node, at};
use super::{DEPTH_MAX, OUTPUT_BYTES_MAX, PASSES_MAX, filters};
use crate::session::Session;
use crate::step::cast;
use crate::value::{Value, ValueMap};

type Macro<'a> = (&'a [(String, Option<Expr>)], &'a [Node]);

struct Scope<'a> {
    session: &'a Session,
    /// Innermost last.
    variables: Vec<(String, Value)>,
    macros: HashMap<&'a str, Macro<'a>>,
    passes: u32,
    depth: u32,
}

/// # Errors
/// What cannot be computed, with its line.
pub(super) fn render(nodes: &[Node], session: &Session) -> Result<String, String> {
    let mut scope =
        Scope { session, variables: Vec::new(), macros: HashMap::new(), passes: 0, depth: 0 };
    let mut out = String::new();
    scope.nodes(nodes, &mut out)?;
    Ok(out)
}

impl<'a> Scope<'a> {
    fn nodes(&mut self, nodes: &'a [Node], out: &mut String) -> Result<(), String> {
        // A macro may be used before the line it is written in.
        for node in nodes {
            if let Node::Macro { name, parameters, body } = node {
                self.macros.insert(name, (parameters, body));
            }
        }
        for node in nodes {
            self.node(node, out)?;
            if out.len() > OUTPUT_BYTES_MAX {
                return Err(format!("the template writes more than {OUTPUT_BYTES_MAX} bytes"));
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &'a Node, out: &mut String) -> Result<(), String> {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Output { line, expr } => {
                let value = self.eval(expr).map_err(|it| at(*line, &it))?;
                push(out, &value);
            }
            Node::If { line, branches, or_else } => {
                for (condition, body) in branches {
                    let value = self.eval(condition).map_err(|it| at(*line, &it))?;
                    if truth(&value).map_err(|it| at(*line, &it))? {
                        return self.nodes(body, out);
                    }
                }
                self.nodes(or_else, out)?;
            }
            Node::For { line, name, over, body, or_else } => {
                let over = self.eval(over).map_err(|it| at(*line, &it))?;
                let items = items(&over).map_err(|it| at(*line, &it))?;
                if items.is_empty() {
                    return self.nodes(or_else, out);
                }
                self.each(name, &items, body, out)?;
            }
            Node::Set { line, name, value } => {
                let value = self.eval(value).map_err(|it| at(*line, &it))?;
                self.variables.push((name.clone(), value));
            }
            Node::Filtered { line, filters, body } => {
                let mut inner = String::new();
                self.nodes(body, &mut inner)?;
                let mut value = Value::from(inner);
                for (name, arguments) in filters {
                    value = self.filter(name, &value, arguments).map_err(|it| at(*line, &it))?;
                }
                push(out, &value);
            }
            Node::Block(body) => self.nodes(body, out)?,
            Node::Macro { .. } => {}
        }
        Ok(())
    }

    fn each(
        &mut self,
        name: &str,
        items: &[Value],
        body: &'a [Node],
        out: &mut String,
    ) -> Result<(), String> {
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        for (index, item) in (0..).zip(items) {
            self.pass()?;
            let depth = self.variables.len();
            let mut about = ValueMap::new();
            about.insert("index".into(), Value::Int(index));
            about.insert("length".into(), Value::Int(length));
            about.insert("first".into(), Value::Bool(index == 0));
            about.insert("last".into(), Value::Bool(index == length - 1));
            about.insert("revindex".into(), Value::Int(length - index - 1));
            self.variables.push(("loop".to_owned(), Value::map(about)));
            self.variables.push((name.to_owned(), item.clone()));
            self.nodes(body, out)?;
            self.variables.truncate(depth);
        }
        Ok(())
    }

    fn pass(&mut self) -> Result<(), String> {
        self.passes += 1;
        if self.passes > PASSES_MAX {
            return Err(format!("the template takes more than {PASSES_MAX} turns"));
        }
        Ok(())
    }

    fn variable(&self, name: &str) -> Value {
        let own = self.variables.iter().rev().find(|(known, _)| known == name);
        let found = own.map(|(_, value)| value).or_else(|| self.session.get(name));
        found.cloned().unwrap_or_default()
    }

    fn eval(&mut self, expr: &'a Expr) -> Result<Value, String> {
        Ok(match expr {
            Expr::Lit(value) => value.clone(),
            Expr::Name(name) => self.variable(name),
            Expr::Interpolated(parts) => {
                let mut text = String::new();
                for part in parts {
                    let value = self.eval(part)?;
                    push(&mut text, &value);
                }
                text.into()
            }
            Expr::List(items) => Value::list(self.all(items)?),
            Expr::Map(entries) => {
                let mut map = ValueMap::new();
                for (key, value) in entries {
                    let key = self.eval(key)?.to_string();
                    map.insert(key.into(), self.eval(value)?);
                }
                Value::map(map)
            }
            Expr::Attribute(of, key) => {
                let (of, key) = (self.eval(of)?, self.eval(key)?);
                attribute(&of, &key)
            }
            Expr::Method(of, name, arguments) => {
                let of = self.eval(of)?;
                let arguments = self.all(arguments)?;
                filters::method(&of, name, &arguments)?
            }
            Expr::Call(name, arguments) => self.call(name, arguments)?,
            Expr::Filter(of, name, arguments) => {
                let of = self.eval(of)?;
                self.filter(name, &of, arguments)?
            }
            Expr::Test { negated, of, name } => {
                Value::Bool(filters::test(name, &self.eval(of)?) != *negated)
            }
            Expr::Not(of) => Value::Bool(!truth(&self.eval(of)?)?),
            Expr::Minus(of) => match self.eval(of)? {
                Value::Int(number) => Value::Int(number.wrapping_neg()),
                Value::Double(number) => Value::Double(-number),
                other => return Err(format!("cannot negate a {}", other.type_name())),
            },
            Expr::Ternary(condition, yes, no) => {
                let chosen = if truth(&self.eval(condition)?)? { yes } else { no };
                self.eval(chosen)?
            }
            Expr::Binary(sign, left, right) => self.binary(sign, left, right)?,
        })
    }

    fn all(&mut self, exprs: &'a [Expr]) -> Result<Vec<Value>, String> {
        exprs.iter().map(|it| self.eval(it)).collect()
    }

    fn binary(&mut self, sign: &str, left: &'a Expr, right: &'a Expr) -> Result<Value, String> {
        let left = self.eval(left)?;
        match sign {
            "and" if !truth(&left)? => return Ok(Value::Bool(false)),
            "or" if truth(&left)? => return Ok(Value::Bool(true)),
            _ => {}
        }
        let right = self.eval(right)?;
        Ok(match sign {
            "and" | "or" => Value::Bool(truth(&right)?),
            "==" | "equals" => Value::Bool(cast::equal(&left, &right)),
            "!=" => Value::Bool(!cast::equal(&left, &right)),
            "~" => {
                let mut text = String::new();
                push(&mut text, &left);
                push(&mut text, &right);
                text.into()
            }
            "contains" => Value::Bool(filters::contains(&left, &right)),
            ".." => filters::range(&left, &right)?,
            _ => filters::arithmetic(sign, &left, &right)?,
        })
    }

    fn filter(&mut self, name: &str, of: &Value, arguments: &'a [Expr]) -> Result<Value, String> {
        let arguments = self.all(arguments)?;
        filters::apply(name, of, &arguments)
    }

    fn call(&mut self, name: &str, arguments: &'a [Expr]) -> Result<Value, String> {
        let arguments = self.all(arguments)?;
        if let Some(&(parameters, body)) = self.macros.get(name) {
            self.pass()?;
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(format!("macros call each other more than {DEPTH_MAX} deep"));
            }
            // A macro sees its arguments and the attributes, not the variables around the call.
            let outer = std::mem::take(&mut self.variables);
            for (index, (parameter, default)) in parameters.iter().enumerate() {
                let value = match (arguments.get(index), default) {
                    (Some(given), _) => given.clone(),
                    (None, Some(default)) => self.eval(default)?,
                    (None, None) => Value::Null,
                };
                self.variables.push((parameter.clone(), value));
            }
            let mut out = String::new();
            let outcome = self.nodes(body, &mut out);
            self.variables = outer;
            self.depth -= 1;
            return outcome.map(|()| out.into());
        }
        if !is_function(name) {
            return Err(format!("Function or Macro [{name}] does not exist."));
        }
        filters::function(name, &arguments)
    }
}

/// Null is empty.
pub(super) fn push(out: &mut String, value: &Value) {
    if !value.is_null() {
        // Writing to a String cannot fail.
        let _ = write!(out, "{value}");
    }
}

/// Null is false; anything but a truth is an error.
fn truth(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::Null => Ok(false),
        _ => Err("Wrong operand(s) type in conditional expression".to_owned()),
    }
}

/// What a loop walks over: a list, or the entries of a map.
fn items(over: &Value) -> Result<Vec<Value>, String> {
    match over {
        Value::Null => Ok(Vec::new()),
        Value::List(items) => Ok(items.to_vec()),
        Value::Map(entries) => Ok(entries
            .iter()
            .map(|(key, value)| {
                let mut entry = ValueMap::new();
                entry.insert("key".into(), Value::Str(key.clone()));
                entry.insert("value".into(), value.clone());
                Value::map(entry)
            })
            .collect()),
        other => Err(format!("Not an iterable object. Value = [{other}]")),
    }
}

/// A missing member is null, as everything that is missing.
fn attribute(of: &Value, key: &Value) -> Value {
    let found = match (of, key) {
        (Value::Map(entries), key) => entries.get(key.to_string().as_str()),
        (Value::List(items), Value::Int(index)) => {
            usize::try_from(*index).ok().and_then(|index| items.get(index))
        }
        _ => None,
    };
    let Some(found) = found else {
        return key
            .as_str()
            .map_or(Value::Null, |name| filters::method(of, name, &[]).unwrap_or_default());
    };
    found.clone()
}
