//! What neither QuickJS nor the TypeScript transform knows, rewritten before either sees it:
//! decorators and `accessor` of classes, `import x = require("…")`, `export =` and the imports of
//! what is exported so. The text is edited in place, so that its lines stay what they are.

mod classes;
mod edits;
mod exports;

use oxc_allocator::Allocator;
use oxc_ast_visit::Visit as _;
use oxc_parser::Parser;

use edits::Edits;
pub(super) use edits::Shifts;

use super::typescript::source_type;

/// Stands before the name of a module in an import that was a `require`.
pub(super) const REQUIRE: &str = "require:";

/// The export that is all that a CommonJS module exports, as Node calls it.
pub(super) const WHOLE: &str = "module.exports";

/// What an import of a module gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Exports of an ES module.
    Names,
    /// One value: of CommonJS, or by `export =`.
    Whole,
    /// One value, the default.
    Json,
}

/// What the rewriting asks about the rest of the graph.
pub(super) trait Lookup {
    /// What `require(name)` finds; `None`: nothing.
    fn required(&self, name: &str) -> Option<Shape>;

    /// Whether an import of that name finds a file with `export =`.
    fn is_assigned(&self, name: &str) -> bool;
}

/// Which decorators a file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Those of TypeScript's `experimentalDecorators`.
    pub(super) legacy_decorators: bool,
    pub(super) decorator_metadata: bool,
}

/// The text without what only this module knows; `None` where there is nothing of it, or where the
/// text does not parse, which whoever reads it next tells.
pub(super) fn rewrite(
    path: &str,
    source: &str,
    dialect: Dialect,
    lookup: &dyn Lookup,
) -> Option<(String, Shifts)> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, source, source_type(path)).parse();
    if parsed.panicked || parsed.diagnostics.iter().next().is_some() {
        return None;
    }
    let mut edits = Edits::new(source);
    exports::rewrite(&parsed.program, lookup, &mut edits);
    let mut classes = classes::Classes::new(&mut edits, dialect);
    classes.visit_program(&parsed.program);
    (!edits.is_empty()).then(|| edits.apply())
}

/// Whether a file of TypeScript has `export =`.
pub(super) fn exports_whole(path: &str, source: &str) -> bool {
    let mut exports = source.split("export").skip(1);
    if !exports.any(|rest| rest.trim_start().starts_with(['=', '/'])) {
        return false;
    }
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, source, source_type(path)).parse();
    exports::is_whole(&parsed.program)
}

/// An offset of the parser's in the text.
fn at(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
