//! From what JavaScript threw to a [`Problem`]: the place in the simulation's own files (never in
//! the SDK), mapped back to TypeScript where that is the source, with an excerpt.

use rquickjs::{Ctx, Value as JsValue};

use super::modules::{Graph, is_builtin};
use super::typescript::Place;
use crate::shard::{Problem, ProblemKind};

/// The name of the errors that the SDK throws: their message stands alone.
const SDK_ERROR: &str = "OnrushError";

/// Lines of an excerpt longer than this are cut: minified bundles have one endless line.
const EXCERPT_CHARS_MAX: usize = 160;

/// What was thrown, taken out of the runtime.
#[derive(Clone, Debug)]
pub(super) struct Thrown {
    /// `Error: boom`, or the message alone if the SDK threw it.
    pub(super) text: String,
    stack: String,
    kind: Option<String>,
}

impl Thrown {
    pub(super) fn new<'js>(ctx: &Ctx<'js>, value: &JsValue<'js>) -> Self {
        let Some(error) = value.as_object().filter(|_| value.is_error()) else {
            let mut text = to_text(ctx, value);
            if value.is_undefined() || value.is_null() {
                text.insert_str(0, "uncaught ");
            }
            return Self { text, stack: String::new(), kind: None };
        };
        let field = |name: &str| error.get::<_, String>(name).unwrap_or_default();
        let (name, message) = (field("name"), field("message"));
        let text = match (name.as_str(), message.as_str()) {
            (SDK_ERROR, message) => message.to_owned(),
            (name, "") => name.to_owned(),
            (name, message) => format!("{name}: {message}"),
        };
        let kind = error.get::<_, Option<String>>("kind").ok().flatten();
        Self { text, stack: field("stack"), kind }
    }

    /// Something that has no place.
    pub(super) fn text(text: &str) -> Self {
        Self { text: text.to_owned(), stack: String::new(), kind: None }
    }

    /// The innermost frame that is the user's, as evaluated (not yet mapped to TypeScript).
    pub(super) fn frame(&self) -> Option<(String, Place)> {
        self.stack.lines().filter_map(parse_frame).find(|(file, _)| is_user_file(file))
    }

    pub(super) fn into_problem(self, graph: &Graph, entry: &str) -> Problem {
        let kind = match self.kind.as_deref() {
            Some("file_missing") => ProblemKind::FileMissing,
            Some("file_invalid") => ProblemKind::FileInvalid,
            _ => ProblemKind::Script,
        };
        if let Some((file, place)) = self.frame() {
            let place = graph.original(&file, place);
            return at(graph, kind, self.text, &file, Some(place));
        }
        match missing_export(graph, &self.text) {
            Some((file, place)) => at(graph, kind, self.text, &file, Some(place)),
            None => at(graph, kind, self.text, entry, None),
        }
    }
}

fn to_text<'js>(ctx: &Ctx<'js>, value: &JsValue<'js>) -> String {
    let coerced: rquickjs::Result<rquickjs::Coerced<String>> =
        rquickjs::FromJs::from_js(ctx, value.clone());
    match coerced {
        Ok(text) => text.0,
        Err(_) => {
            let _ = ctx.catch();
            value.type_name().to_owned()
        }
    }
}

fn is_user_file(file: &str) -> bool {
    !is_builtin(file) && file != "native" && !file.starts_with('<')
}

/// `    at name (file:line:column)` or `    at file:line:column`.
fn parse_frame(line: &str) -> Option<(String, Place)> {
    let rest = line.trim().strip_prefix("at ")?;
    let inner = match rest.rfind('(') {
        Some(open) if rest.ends_with(')') => rest.get(open + 1..rest.len() - 1)?,
        _ => rest,
    };
    let (front, last) = inner.rsplit_once(':')?;
    let last: u32 = last.parse().ok()?;
    match front.rsplit_once(':') {
        Some((file, line)) if line.parse::<u32>().is_ok() => {
            Some((file.to_owned(), Place { line: line.parse().ok()?, column: last }))
        }
        _ => Some((front.to_owned(), Place { line: last, column: 1 })),
    }
}

/// QuickJS gives no place for an import of a name that is not exported; the name itself finds it.
fn missing_export(graph: &Graph, text: &str) -> Option<(String, Place)> {
    let mut quoted = text.split('\'').skip(1).step_by(2);
    let (name, _module) = (quoted.next()?, quoted.next()?);
    if !text.contains("export") {
        return None;
    }
    graph.files.iter().find_map(|(path, file)| {
        let start = file.text.find("import")?;
        let offset = start + word_at(file.text.get(start..)?, name)?;
        Some((path.clone(), place_of(&file.text, offset)))
    })
}

fn word_at(text: &str, word: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    text.match_indices(word).map(|(offset, _)| offset).find(|offset| {
        let before = text.get(..*offset).and_then(|part| part.chars().next_back());
        let after = text.get(offset + word.len()..).and_then(|part| part.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

pub(super) fn place_of(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let fit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place {
        line: fit(before.matches('\n').count() + 1),
        column: fit(before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1),
    }
}

/// A problem of a file as a whole.
pub(super) fn plain(kind: ProblemKind, message: String, file: &str) -> Problem {
    Problem { kind, message, file: Some(file.to_owned()), line: None, column: None, excerpt: None }
}

/// A problem at a place of a file as written.
pub(super) fn at(
    graph: &Graph,
    kind: ProblemKind,
    message: String,
    file: &str,
    place: Option<Place>,
) -> Problem {
    let mut problem = plain(kind, message, file);
    if let Some(place) = place {
        problem.line = Some(place.line);
        problem.column = Some(place.column);
        problem.excerpt = graph.files.get(file).and_then(|file| excerpt(&file.text, place));
    }
    problem
}

/// The line with a caret below the column:
///
/// ```text
/// 12 | const x = oops();
///    |           ^
/// ```
fn excerpt(text: &str, place: Place) -> Option<String> {
    let line = text.lines().nth(usize::try_from(place.line).ok()?.checked_sub(1)?)?;
    let shown: String = line.chars().take(EXCERPT_CHARS_MAX).collect();
    let column = usize::try_from(place.column).ok()?.saturating_sub(1);
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    if column > shown.chars().count() {
        return Some(format!("{number} | {shown}"));
    }
    // A tab stays a tab, so that the caret stands under its column in any terminal.
    let pad: String =
        shown.chars().take(column).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    Some(format!("{number} | {shown}\n{gutter} | {pad}^"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_functions_modules_and_syntax_errors() {
        let place = |line, column| Place { line, column };
        for (line, expected) in [
            ("    at f (lib/a.js:3:7)", ("lib/a.js", place(3, 7))),
            ("    at <anonymous> (sim.js:1:2)", ("sim.js", place(1, 2))),
            ("    at sim.js:9:1", ("sim.js", place(9, 1))),
        ] {
            let (file, found) = parse_frame(line).unwrap();
            assert_eq!((file.as_str(), found), expected);
        }
        assert_eq!(parse_frame("    at map (native)"), None);
    }

    #[test]
    fn the_caret_stands_under_the_column() {
        let text = excerpt("a\n\tfoo()\n", Place { line: 2, column: 2 }).unwrap();
        assert_eq!(text, "2 | \tfoo()\n  | \t^");
    }
}
