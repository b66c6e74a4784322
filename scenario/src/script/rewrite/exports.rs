//! `import x = require("…")`, `export =`, and imports of what is exported so, as imports and exports
//! of ES modules: the one value has the name that Node gives it.

use oxc_ast::ast::{
    Declaration, ExportFromDeclaration, Expression, ImportDeclaration, ImportDeclarationSpecifier,
    ModuleExportName, Program, Statement, TSExportAssignment, TSImportEqualsDeclaration,
    TSModuleReference,
};
use oxc_span::GetSpan as _;

use super::edits::{Edits, Side};
use super::{Lookup, REQUIRE, Shape, WHOLE, at};

pub(super) fn is_whole(program: &Program<'_>) -> bool {
    program.body.iter().any(|it| matches!(it, Statement::TSExportAssignment(_)))
}

pub(super) fn rewrite(program: &Program<'_>, lookup: &dyn Lookup, edits: &mut Edits<'_>) {
    for (index, statement) in program.body.iter().enumerate() {
        match statement {
            Statement::TSImportEqualsDeclaration(it) => required(it, None, lookup, edits),
            Statement::ExportDeclaration(export) => {
                if let Declaration::TSImportEqualsDeclaration(it) = &export.declaration {
                    required(it, Some(at(export.span.start)), lookup, edits);
                }
            }
            Statement::TSExportAssignment(it) => assigned(it, program, edits),
            Statement::ImportDeclaration(it)
                if it.import_kind.is_value() && lookup.is_assigned(&it.source.value) =>
            {
                imported(it, index, edits);
            }
            Statement::ExportFromDeclaration(it)
                if it.export_kind.is_value() && lookup.is_assigned(&it.source.value) =>
            {
                passed_on(it, index, edits);
            }
            _ => {}
        }
    }
}

/// `import x = require("m")`; `exported` is where an `export` before it begins.
fn required(
    it: &TSImportEqualsDeclaration<'_>,
    exported: Option<usize>,
    lookup: &dyn Lookup,
    edits: &mut Edits<'_>,
) {
    let TSModuleReference::ExternalModuleReference(module) = &it.module_reference else { return };
    if !it.import_kind.is_value() {
        return;
    }
    let (local, name) = (it.id.name.as_str(), module.expression.value.as_str());
    let binding = match lookup.required(name) {
        Some(Shape::Whole) => format!("{{ {} as {local} }}", quoted(WHOLE)),
        Some(Shape::Json) => local.to_owned(),
        Some(Shape::Names) | None => format!("* as {local}"),
    };
    let from = format!("{REQUIRE}{name}");
    let mut text = format!("import {binding} from {};", quoted(&from));
    if exported.is_some() {
        text.push_str(&format!(" export {{ {local} }};"));
    }
    edits.replace(exported.unwrap_or_else(|| at(it.span.start)), at(it.span.end), text);
}

/// `export = value`.
fn assigned(it: &TSExportAssignment<'_>, program: &Program<'_>, edits: &mut Edits<'_>) {
    let value = it.expression.span();
    if let Expression::Identifier(name) = &it.expression
        && is_type_only(program, &name.name)
    {
        edits.replace(at(it.span.start), at(it.span.end), "export {};");
        return;
    }
    edits.replace(at(it.span.start), at(value.start), "const __onrush_whole = ");
    let names =
        format!("; export {{ __onrush_whole as default, __onrush_whole as {} }};", quoted(WHOLE));
    edits.insert(at(value.end), Side::Closes(0), names);
}

/// Whether a name is one of an interface or a type, and of nothing that is a value.
fn is_type_only(program: &Program<'_>, name: &str) -> bool {
    let named = |id: &oxc_ast::ast::BindingIdentifier<'_>| id.name == name;
    let mut types = false;
    for statement in &program.body {
        match statement {
            Statement::TSInterfaceDeclaration(it) => types |= named(&it.id),
            Statement::TSTypeAliasDeclaration(it) => types |= named(&it.id),
            Statement::ClassDeclaration(it) if it.id.as_ref().is_some_and(named) => return false,
            Statement::FunctionDeclaration(it) if it.id.as_ref().is_some_and(named) => {
                return false;
            }
            Statement::VariableDeclaration(it)
                if it
                    .declarations
                    .iter()
                    .any(|it| it.id.get_binding_identifier().is_some_and(|id| id.name == name)) =>
            {
                return false;
            }
            _ => {}
        }
    }
    types
}

/// `import d, { a as b } from "m"` of one value: its properties.
fn imported(it: &ImportDeclaration<'_>, index: usize, edits: &mut Edits<'_>) {
    let Some(specifiers) = &it.specifiers else { return };
    let whole = format!("__onrush_whole_{index}");
    let (mut bindings, mut braced, mut properties) = (Vec::new(), Vec::new(), Vec::new());
    for specifier in specifiers {
        match specifier {
            ImportDeclarationSpecifier::ImportDefaultSpecifier(it) => {
                bindings.push(it.local.name.to_string());
            }
            ImportDeclarationSpecifier::ImportNamespaceSpecifier(it) => {
                braced.push(format!("{} as {}", quoted(WHOLE), it.local.name));
            }
            ImportDeclarationSpecifier::ImportSpecifier(it) if it.import_kind.is_value() => {
                let local = &it.local.name;
                match it.imported.name().as_str() {
                    "default" => braced.push(format!("default as {local}")),
                    name => properties.push(format!("{local} = {whole}[{}]", quoted(name))),
                }
            }
            ImportDeclarationSpecifier::ImportSpecifier(_) => {}
        }
    }
    if braced.is_empty() && properties.is_empty() {
        return;
    }
    if !properties.is_empty() {
        braced.push(format!("{} as {whole}", quoted(WHOLE)));
    }
    bindings.push(format!("{{ {} }}", braced.join(", ")));
    let mut text = format!("import {} from {};", bindings.join(", "), quoted(&it.source.value));
    if !properties.is_empty() {
        text.push_str(&format!(" const {};", properties.join(", ")));
    }
    edits.replace(at(it.span.start), at(it.span.end), text);
}

/// `export { a as b } from "m"` of one value.
fn passed_on(it: &ExportFromDeclaration<'_>, index: usize, edits: &mut Edits<'_>) {
    let whole = format!("__onrush_whole_{index}");
    let (mut consts, mut names) = (Vec::new(), Vec::new());
    for (number, specifier) in it.specifiers.iter().enumerate() {
        if !specifier.export_kind.is_value() {
            continue;
        }
        let value = match specifier.local.name().as_str() {
            "default" => whole.clone(),
            name => format!("{whole}[{}]", quoted(name)),
        };
        consts.push(format!("{whole}_{number} = {value}"));
        let exported = match &specifier.exported {
            ModuleExportName::StringLiteral(text) => quoted(&text.value),
            other => other.name().to_string(),
        };
        names.push(format!("{whole}_{number} as {exported}"));
    }
    if consts.is_empty() {
        return;
    }
    let text = format!(
        "import {{ {} as {whole} }} from {}; const {}; export {{ {} }};",
        quoted(WHOLE),
        quoted(&it.source.value),
        consts.join(", "),
        names.join(", ")
    );
    edits.replace(at(it.span.start), at(it.span.end), text);
}

/// A text of JavaScript.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
