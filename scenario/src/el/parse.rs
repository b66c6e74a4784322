//! Text → parts. Attribute names are `[^.#{}()]+`; `\#{` is a literal `#{`, and of backslashes before
//! a `#{` two stand for one: `\\#{x}` is a backslash and the value.

use super::access::{Access, Path, Step};
use super::builtin::Builtin;
use super::{Dynamic, Part};

/// # Errors
/// The reason alone; the caller adds the text.
pub(super) fn parse(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("#{") {
        let before = rest[..start].trim_end_matches('\\');
        let backslashes = start - before.len();
        literal.push_str(before);
        literal.extend(std::iter::repeat_n('\\', backslashes / 2));
        if backslashes % 2 == 1 {
            literal.push_str("#{");
            rest = &rest[start + 2..];
            continue;
        }
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal).into()));
        }
        let (dynamic, after) = expression(&rest[start + 2..])?;
        parts.push(Part::Dynamic(dynamic));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Text(literal.into()));
    }
    Ok(parts)
}

/// The longest prefix that may be a name, and what follows.
fn name(text: &str) -> (&str, &str) {
    let end = text.find(['.', '#', '{', '}', '(', ')']).unwrap_or(text.len());
    text.split_at(end)
}

fn expected_close(found: &str) -> String {
    found.chars().next().map_or_else(
        || "'}' expected but end of source found".to_owned(),
        |found| format!("'}}' expected but '{found}' found"),
    )
}

fn nested(text: &str) -> Option<String> {
    (text.starts_with("#{") || text.starts_with('{'))
        .then(|| "nested attribute definition is not allowed".to_owned())
}

/// What follows `#{`, up to and including its `}`.
fn expression(source: &str) -> Result<(Dynamic, &str), String> {
    let (root, mut rest) = name(source);
    if let Some(reason) = nested(rest) {
        return Err(reason);
    }
    if root.is_empty() {
        return Err(if rest.is_empty() {
            expected_close(rest)
        } else {
            "attribute name is missing".to_owned()
        });
    }
    if let Some(arguments) = rest.strip_prefix('(')
        && let Some(end) = arguments.find(')')
        && let Some(builtin) = Builtin::new(root, &arguments[..end])?
    {
        let rest = &arguments[end + 1..];
        let after = rest.strip_prefix('}').ok_or_else(|| expected_close(rest))?;
        return Ok((Dynamic::Builtin(builtin), after));
    }
    let mut steps = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((Dynamic::Path(Path::new(root, steps)), after));
        }
        let before = source[..source.len() - rest.len()].into();
        let (access, after) = access(rest)?;
        steps.push(Step { before, access });
        rest = after;
    }
}

/// One accessor: `.key`, `._1`, `.function()`, `(0)` or `(attribute)`.
fn access(text: &str) -> Result<(Access, &str), String> {
    if let Some(index) = text.strip_prefix('(') {
        let (index, rest) = name(index);
        if let Some(reason) = nested(rest) {
            return Err(reason);
        }
        let rest = rest.strip_prefix(')').ok_or_else(|| "')' expected".to_owned())?;
        if index.is_empty() {
            return Err("index is missing".to_owned());
        }
        let access = index.parse().map_or_else(|_| Access::IndexBy(index.into()), Access::Index);
        return Ok((access, rest));
    }
    let Some(member) = text.strip_prefix('.') else {
        return Err(nested(text).unwrap_or_else(|| expected_close(text)));
    };
    let (member, rest) = name(member);
    if let Some(reason) = nested(rest) {
        return Err(reason);
    }
    if member.is_empty() {
        return Err("key is missing after '.'".to_owned());
    }
    if let Some(rest) = rest.strip_prefix("()") {
        let access = match member {
            "size" => Access::Size,
            "random" => Access::Random,
            "exists" => Access::Exists,
            "isUndefined" => Access::IsUndefined,
            "jsonStringify" => Access::JsonStringify,
            "htmlUnescape" => Access::HtmlUnescape,
            _ => return Err(format!("unknown function '.{member}()'")),
        };
        return Ok((access, rest));
    }
    let tuple = member
        .strip_prefix('_')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|&position| position > 0);
    Ok((tuple.map_or_else(|| Access::Key(member.into()), Access::Tuple), rest))
}
