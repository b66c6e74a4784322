//! TypeScript → JavaScript by oxc; beside `rewrite` the only file that names it (its API moves every
//! release). Types are removed and TypeScript's own constructs (enums, parameter properties)
//! rewritten; nothing is type-checked. Positions map back through the source map.

use std::path::Path;

use oxc_allocator::Allocator;
use oxc_codegen::{Codegen, CodegenOptions};
use oxc_parser::Parser;
use oxc_semantic::SemanticBuilder;
use oxc_span::SourceType;
use oxc_transformer::{
    DecoratorOptions, HelperLoaderMode, HelperLoaderOptions, TransformOptions, Transformer,
};

use super::rewrite::{Dialect, Shifts};

/// A place in a text: both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// What does not compile, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxProblem {
    pub(super) message: String,
    pub(super) place: Option<Place>,
}

/// The generated JavaScript with the way back to the TypeScript.
pub(super) struct Stripped {
    pub(super) code: String,
    pub(super) map: PositionMap,
}

/// Generated position → original position.
#[derive(Debug, Default)]
pub(super) struct PositionMap {
    /// In the order of the generated text; none where it is not TypeScript.
    tokens: Vec<(Place, Place)>,
    /// From what was rewritten before that.
    shifts: Option<Shifts>,
}

impl PositionMap {
    /// The place in the TypeScript of a place in the JavaScript: that of the nearest mark before.
    pub(super) fn original(&self, generated: Place) -> Place {
        let key = (generated.line, generated.column);
        let after = self.tokens.partition_point(|(from, _)| (from.line, from.column) <= key);
        let before = after.checked_sub(1).and_then(|index| self.tokens.get(index));
        let place = before.map_or(generated, |(_, original)| *original);
        self.shifts.as_ref().map_or(place, |shifts| shifts.original(place))
    }

    /// The text before the TypeScript was removed had been rewritten.
    pub(super) fn after(mut self, shifts: Option<Shifts>) -> Self {
        self.shifts = shifts;
        self
    }
}

/// Returns the first of a list of oxc's diagnostics as the error of the calling function. A macro,
/// so that the diagnostics' own crate need not be a dependency.
macro_rules! refuse_first {
    ($source:expr, $diagnostics:expr) => {
        if let Some(diagnostic) = $diagnostics.iter().next() {
            let offset = diagnostic.labels.first().map(|label| label.offset());
            return Err(SyntaxProblem {
                message: format!("SyntaxError: {}", diagnostic.message),
                place: offset.map(|offset| place_of($source, offset as usize)),
            });
        }
    };
}

/// Its own files are modules, whatever their endings say of them elsewhere.
pub(super) fn source_type(path: &str) -> SourceType {
    if path.ends_with(".cts") {
        return SourceType::ts();
    }
    SourceType::from_path(Path::new(path)).unwrap_or_else(|_| SourceType::ts())
}

/// Whether the text has the syntax of an ES module: what does not parse as a script is one.
pub(super) fn is_module(path: &str, source: &str) -> bool {
    let allocator = Allocator::default();
    let kind = SourceType::from_path(Path::new(path)).unwrap_or_default();
    let parsed = Parser::new(&allocator, source, kind.with_unambiguous(true)).parse();
    parsed.program.source_type.is_module()
}

/// # Errors
/// The first syntax error.
pub(super) fn strip(path: &str, source: &str, dialect: Dialect) -> Result<Stripped, SyntaxProblem> {
    let allocator = Allocator::default();
    let file = Path::new(path);
    let parsed = Parser::new(&allocator, source, source_type(path)).parse();
    refuse_first!(source, parsed.diagnostics);
    let mut program = parsed.program;
    let semantic = SemanticBuilder::new().with_enum_eval(true).build(&program);
    refuse_first!(source, semantic.diagnostics);
    let scoping = semantic.semantic.into_scoping();
    let options = TransformOptions {
        decorator: DecoratorOptions {
            legacy: dialect.legacy_decorators,
            emit_decorator_metadata: dialect.decorator_metadata,
            ..DecoratorOptions::default()
        },
        helper_loader: HelperLoaderOptions {
            mode: HelperLoaderMode::External,
            ..HelperLoaderOptions::default()
        },
        ..TransformOptions::default()
    };
    let transformed =
        Transformer::new(&allocator, file, &options).build_with_scoping(scoping, &mut program);
    refuse_first!(source, transformed.diagnostics);
    let options = CodegenOptions { source_map_path: Some(file.into()), ..Default::default() };
    let printed = Codegen::new().with_options(options).build(&program);
    let tokens = printed.map.iter().flat_map(|map| map.get_tokens()).map(|token| {
        let from = Place { line: token.get_dst_line() + 1, column: token.get_dst_col() + 1 };
        let to = Place { line: token.get_src_line() + 1, column: token.get_src_col() + 1 };
        (from, to)
    });
    let map = PositionMap { tokens: tokens.collect(), shifts: None };
    Ok(Stripped { code: printed.code, map })
}

fn place_of(source: &str, offset: usize) -> Place {
    let before = source.get(..offset).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    let fit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place { line: fit(line), column: fit(column) }
}
