//! Decorators of classes and their members as the proposal has them (stage 3), and `accessor`.
//! Each decorator is evaluated where it is written, in a static method of no name that is put
//! before its member; a static block at the beginning of the class applies them, in
//! `sdk/decorators.js`. TypeScript's `experimentalDecorators` are left to its own transform.

use oxc_ast::ast::{
    AccessorProperty, AccessorPropertyType, Class, ClassElement, ClassType, Declaration, Decorator,
    ExportDeclaration, ExportDefaultDeclaration, ExportDefaultDeclarationKind, Expression,
    MethodDefinition, MethodDefinitionKind, MethodDefinitionType, PropertyDefinition,
    PropertyDefinitionType, PropertyKey, VariableDeclarator,
};
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan as _, Span};

use super::edits::{Edits, Side};
use super::exports::quoted;
use super::{Dialect, at};

/// The parts of the SDK for decorated classes: that of oxc's transform has this name.
const HELPERS: &str = "babelHelpers";

pub(super) struct Classes<'e, 's> {
    edits: &'e mut Edits<'s>,
    dialect: Dialect,
    /// Classes around the one that is looked at.
    depth: i32,
    /// Classes so far, for names of their own.
    count: usize,
    /// What stands around the class that comes next.
    setting: Setting,
}

#[derive(Clone, Debug, Default)]
enum Setting {
    #[default]
    Plain,
    /// Where `export` begins.
    Exported(usize),
    Default(usize),
    /// The variable that the class is put into.
    Named(String),
}

/// What is known of a member while its class is written.
struct Member {
    /// An entry of the list that `apply` gets.
    entry: String,
    instance_method: bool,
}

impl<'e, 's> Classes<'e, 's> {
    pub(super) fn new(edits: &'e mut Edits<'s>, dialect: Dialect) -> Self {
        Self { edits, dialect, depth: 0, count: 0, setting: Setting::Plain }
    }

    fn class(&mut self, class: &Class<'_>, setting: &Setting) {
        let number = self.count;
        self.count += 1;
        let wraps = !self.dialect.legacy_decorators && is_decorated(class);
        let mut members = Vec::new();
        self.depth += 1;
        for element in &class.body.body {
            let own = Own { class: number, index: members.len(), wraps };
            members.extend(self.element(element, &own));
        }
        self.depth -= 1;
        if wraps {
            self.wrap(class, setting, number, &members);
        }
    }

    /// The class becomes the value of a function that is called at once.
    fn wrap(&mut self, class: &Class<'_>, setting: &Setting, number: usize, members: &[Member]) {
        let held = format!("$onrush{number}");
        let name = class.id.as_ref().map(|id| id.name.to_string());
        let inner = name.clone().unwrap_or_else(|| format!("$class{number}"));
        let given = match (&name, setting) {
            (Some(_), _) => "undefined".to_owned(),
            (None, Setting::Default(_)) => quoted("default"),
            (None, Setting::Named(variable)) => quoted(variable),
            (None, _) => quoted(""),
        };
        let is_statement = class.r#type == ClassType::ClassDeclaration;
        let first = class.decorators.first().map(|it| at(it.span.start));
        let start = first.unwrap_or_else(|| at(class.span.start));
        // `export` stands before the decorators or behind them.
        let before = match setting {
            Setting::Exported(export) if first.is_some_and(|first| first < *export) => "export ",
            Setting::Default(export)
                if name.is_none() && first.is_some_and(|first| first < *export) =>
            {
                "export default "
            }
            _ => "",
        };
        let bound = match &name {
            Some(name) if is_statement => format!("let {name} = "),
            _ => String::new(),
        };
        let opening =
            format!("{before}{bound}(() => {{ const {held} = {HELPERS}.decorators({given}, [");
        let assigned = format!("]); var {inner} = ");
        let end = class.decorators.last().map_or(start, |it| at(it.span.end));
        if class.decorators.is_empty() {
            self.edits.insert(start, Side::Opens(self.depth), opening + &assigned);
        } else {
            self.list(&class.decorators, start, &opening);
            self.edits.insert(end, Side::Closes(self.depth), assigned);
        }
        self.head(class, setting, start, end);
        // The assignment gave it the class as it was.
        let result = format!("; return {inner} = {held}.value; }})()");
        let closing = match (setting, &name) {
            (Setting::Default(_), Some(name)) => {
                format!("{result}; export {{ {name} as default }};")
            }
            _ if is_statement => result + ";",
            _ => result,
        };
        let entries: Vec<&str> = members.iter().map(|it| it.entry.as_str()).collect();
        let mut begin =
            format!(" static {{ {inner} = {held}.apply(this, [{}]); }}", entries.join(", "));
        if members.iter().any(|it| it.instance_method) {
            begin.push_str(&format!(" #onrush{number} = {held}.begin(this);"));
        }
        let body = class.body.span;
        let finish = format!(" static {{ {held}.finish({inner}); }} ");
        let (first, last) = (at(body.start) + 1, at(body.end) - 1);
        if first == last {
            // What closes would stand before what opens.
            begin.push_str(&finish);
        } else {
            self.edits.insert(last, Side::Closes(self.depth), finish);
        }
        self.edits.insert(first, Side::Opens(self.depth), begin);
        self.edits.insert(at(body.end), Side::Closes(self.depth), closing);
    }

    /// What stands around the decorators: without its name, `export` and `abstract`.
    fn head(&mut self, class: &Class<'_>, setting: &Setting, start: usize, end: usize) {
        let from = match setting {
            Setting::Default(export) if class.id.is_some() => (*export).min(start),
            _ => start,
        };
        let until = at(class.id.as_ref().map_or(class.body.span.start, |id| id.span.start));
        let mut around = words(self.edits.source, from, start);
        around.extend(words(self.edits.source, end, until));
        for (start, end) in around {
            match self.edits.text(start, end) {
                "class" => break,
                "export" | "default" | "abstract" => self.edits.replace(start, end, ""),
                _ => {}
            }
        }
        if let Some(id) = &class.id {
            self.edits.replace(at(id.span.start), at(id.span.end), "");
        }
    }

    /// Decorators as the items of a list that `opening` begins.
    fn list(&mut self, decorators: &[Decorator<'_>], start: usize, opening: &str) {
        self.edits.insert(start, Side::Opens(self.depth), opening);
        for (index, decorator) in decorators.iter().enumerate() {
            let sign = at(decorator.span.start);
            self.edits.replace(sign, sign + 1, if index == 0 { "" } else { ", " });
        }
    }

    fn element(&mut self, element: &ClassElement<'_>, own: &Own) -> Option<Member> {
        match element {
            ClassElement::MethodDefinition(it) => {
                if it.r#type == MethodDefinitionType::TSAbstractMethodDefinition {
                    self.drop_abstract(it.span, own);
                    return None;
                }
                self.method(it, own)
            }
            ClassElement::PropertyDefinition(it) => {
                if it.r#type == PropertyDefinitionType::TSAbstractPropertyDefinition {
                    self.drop_abstract(it.span, own);
                    return None;
                }
                self.field(it, own)
            }
            ClassElement::AccessorProperty(it) => {
                if it.r#type == AccessorPropertyType::TSAbstractAccessorProperty {
                    self.drop_abstract(it.span, own);
                    return None;
                }
                self.accessor(it, own)
            }
            ClassElement::StaticBlock(_) | ClassElement::TSIndexSignature(_) => None,
        }
    }

    /// What has no code: the class itself may no longer be abstract.
    fn drop_abstract(&mut self, span: Span, own: &Own) {
        if own.wraps {
            self.edits.replace(at(span.start), at(span.end), "");
        }
    }

    /// The member's decorators, evaluated before it; whether there are any.
    fn decorators(&mut self, decorators: &[Decorator<'_>], own: &Own) -> bool {
        let (Some(first), Some(last)) = (decorators.first(), decorators.last()) else {
            return false;
        };
        if self.dialect.legacy_decorators {
            return false;
        }
        let Own { class, index, .. } = own;
        let opening = format!("static [$onrush{class}.evaluated({index}, [");
        self.list(decorators, at(first.span.start), &opening);
        self.edits.insert(at(last.span.end), Side::Closes(self.depth), "])]() {}");
        true
    }

    /// A computed key is kept when it is evaluated; others are known.
    fn key(&mut self, key: &PropertyKey<'_>, computed: bool, own: &Own) -> String {
        let span = key.span();
        let text = self.edits.text(at(span.start), at(span.end));
        if computed {
            let Own { class, index, .. } = own;
            let opening = format!("$onrush{class}.key({index}, ");
            self.edits.insert(at(span.start), Side::Opens(self.depth), opening);
            self.edits.insert(at(span.end), Side::Closes(self.depth), ")");
            return "undefined".to_owned();
        }
        match key {
            PropertyKey::StaticIdentifier(name) => quoted(&name.name),
            PropertyKey::PrivateIdentifier(name) => quoted(&format!("#{}", name.name)),
            PropertyKey::StringLiteral(literal) => quoted(&literal.value),
            _ => format!("String({text})"),
        }
    }

    fn method(&mut self, it: &MethodDefinition<'_>, own: &Own) -> Option<Member> {
        if !self.decorators(&it.decorators, own) {
            return None;
        }
        let key = self.key(&it.key, it.computed, own);
        let kind = match it.kind {
            MethodDefinitionKind::Get => "getter",
            MethodDefinitionKind::Set => "setter",
            MethodDefinitionKind::Method | MethodDefinitionKind::Constructor => "method",
        };
        let hidden = match &it.key {
            PropertyKey::PrivateIdentifier(name) => self.private_method(it, &name.name, own),
            _ => String::new(),
        };
        let entry = own.entry(kind, it.r#static, &key, &hidden);
        Some(Member { entry, instance_method: !it.r#static })
    }

    /// A private method cannot be replaced: it gets another name, and its own is a getter of what
    /// the decorators make of it.
    fn private_method(&mut self, it: &MethodDefinition<'_>, name: &str, own: &Own) -> String {
        let raw = own.storage();
        let key = it.key.span();
        let from = at(it.decorators.last().map_or(it.span.start, |last| last.span.end));
        let is_accessor = matches!(it.kind, MethodDefinitionKind::Get | MethodDefinitionKind::Set);
        for (start, end) in words(self.edits.source, from, at(key.start)) {
            if is_accessor && matches!(self.edits.text(start, end), "get" | "set") {
                self.edits.replace(start, end, "");
            }
        }
        self.edits.replace(at(key.start), at(key.end), raw.clone());
        let modifier = if it.r#static { "static " } else { "" };
        let made = format!("$onrush{}.made({})", own.class, own.index);
        let (public, access) = match it.kind {
            MethodDefinitionKind::Get => (
                format!("get #{name}() {{ return {made}.call(this); }}"),
                format!("get: (o) => o.#{name}"),
            ),
            MethodDefinitionKind::Set => (
                format!("set #{name}(value) {{ {made}.call(this, value); }}"),
                format!("set: (o, value) => {{ o.#{name} = value; }}"),
            ),
            _ => (format!("get #{name}() {{ return {made}; }}"), format!("get: (o) => o.#{name}")),
        };
        let text = format!(" {modifier}{public}");
        self.edits.insert(at(it.span.end), Side::Closes(self.depth), text);
        format!(
            "{{ has: (o) => #{name} in o, {access}, \
             value: function (...args) {{ return this.{raw}(...args); }} }}"
        )
    }

    fn field(&mut self, it: &PropertyDefinition<'_>, own: &Own) -> Option<Member> {
        if it.declare || !self.decorators(&it.decorators, own) {
            return None;
        }
        let key = self.key(&it.key, it.computed, own);
        let value = it.value.as_ref().map(|value| value.span());
        self.initial(value, self.key_end(&it.key, it.computed), it.span, it.r#static, own);
        let hidden = match &it.key {
            PropertyKey::PrivateIdentifier(name) => private_access(&name.name),
            _ => String::new(),
        };
        let entry = own.entry("field", it.r#static, &key, &hidden);
        Some(Member { entry, instance_method: false })
    }

    /// Behind the key, and the bracket of a computed one.
    fn key_end(&self, key: &PropertyKey<'_>, computed: bool) -> usize {
        let end = at(key.span().end);
        let behind = self.edits.source.get(end..).unwrap_or_default();
        if computed { end + behind.find(']').map_or(0, |at| at + 1) } else { end }
    }

    /// The initial value passes through what the decorators gave; what they want to run when the
    /// member is there follows.
    fn initial(
        &mut self,
        value: Option<Span>,
        key_end: usize,
        span: Span,
        is_static: bool,
        own: &Own,
    ) {
        let Own { class, index, .. } = own;
        let opening = format!("$onrush{class}.initial({index}, this, ");
        let call = format!("$onrush{class}.extra({index}, this)");
        let extra = if is_static {
            format!("; static {{ {call}; }}")
        } else {
            format!("; {}_extra = {call};", own.storage())
        };
        match value {
            Some(value) => {
                self.edits.insert(at(value.start), Side::Opens(self.depth), opening);
                self.edits.insert(at(value.end), Side::Closes(self.depth), ")");
                self.edits.insert(at(span.end), Side::Closes(self.depth), extra);
            }
            // A type is of no use here, and a `!` would be wrong.
            None => {
                let text = format!(" = {opening}undefined){extra}");
                self.edits.replace(key_end, at(span.end), text);
            }
        }
    }

    /// `accessor x = 1` is a private field with a getter and a setter.
    fn accessor(&mut self, it: &AccessorProperty<'_>, own: &Own) -> Option<Member> {
        let decorated = self.decorators(&it.decorators, own);
        let key_span = it.key.span();
        let key_end = self.key_end(&it.key, it.computed);
        let key_text = self.edits.text(at(key_span.start), at(key_span.end)).to_owned();
        let storage = if decorated { own.storage() } else { self.fresh() };
        let modifier = if it.r#static { "static " } else { "" };
        let made = format!("$onrush{}.made({})", own.class, own.index);
        let is_private = matches!(it.key, PropertyKey::PrivateIdentifier(_));
        let (first, second) = if !it.computed {
            (key_text.clone(), key_text.clone())
        } else if own.wraps {
            // One that is not decorated is no member of the list.
            let slot = if decorated { own.index.to_string() } else { quoted(&storage) };
            let keep = format!("$onrush{}.key({slot}", own.class);
            (format!("[{keep}, {key_text})]"), format!("[{keep})]"))
        } else {
            (format!("[{key_text}]"), format!("[{key_text}]"))
        };
        let (get, set) = if decorated && is_private {
            (format!("{made}.get.call(this)"), format!("{made}.set.call(this, value)"))
        } else {
            // What a decorator puts in the place of a class has none of its private names.
            let holder = if it.r#static && own.wraps {
                format!("$onrush{}.target", own.class)
            } else {
                "this".to_owned()
            };
            (format!("{holder}.{storage}"), format!("{holder}.{storage} = value"))
        };
        let text = format!(
            "{modifier}get {first}() {{ return {get}; }} \
             {modifier}set {second}(value) {{ {set}; }} {modifier}{storage}"
        );
        let from = at(it.decorators.last().map_or(it.span.start, |last| last.span.end));
        self.edits.replace(from, key_end, format!(" {text}"));
        if !decorated {
            self.edits.insert(at(it.span.end), Side::Closes(self.depth), ";");
            return None;
        }
        let value = it.value.as_ref().map(|value| value.span());
        self.initial(value, key_end, it.span, it.r#static, own);
        let key = match &it.key {
            PropertyKey::StaticIdentifier(name) => quoted(&name.name),
            PropertyKey::StringLiteral(literal) if !it.computed => quoted(&literal.value),
            _ if it.computed => "undefined".to_owned(),
            _ if is_private => quoted(&key_text),
            _ => format!("String({key_text})"),
        };
        let hidden = match &it.key {
            PropertyKey::PrivateIdentifier(name) => {
                let access = private_access(&name.name);
                let access = access.trim_end_matches('}');
                format!(
                    "{access}, value: {{ get() {{ return this.{storage}; }}, \
                     set(value) {{ this.{storage} = value; }} }} }}"
                )
            }
            _ => String::new(),
        };
        let entry = own.entry("accessor", it.r#static, &key, &hidden);
        Some(Member { entry, instance_method: !it.r#static })
    }

    fn fresh(&mut self) -> String {
        self.count += 1;
        format!("#onrush{}_accessor", self.count)
    }
}

/// Which member of which class.
struct Own {
    class: usize,
    index: usize,
    /// Whether the class is [wrapped](Classes::wrap).
    wraps: bool,
}

impl Own {
    fn storage(&self) -> String {
        format!("#onrush{}_{}", self.class, self.index)
    }

    fn entry(&self, kind: &str, is_static: bool, key: &str, hidden: &str) -> String {
        let hidden = if hidden.is_empty() { "undefined" } else { hidden };
        format!("[\"{kind}\", {is_static}, {key}, {hidden}]")
    }
}

/// Whether there is something for the SDK's part of a class to do.
fn is_decorated(class: &Class<'_>) -> bool {
    !class.decorators.is_empty()
        || class.body.body.iter().any(|element| match element {
            ClassElement::MethodDefinition(it) => !it.decorators.is_empty(),
            ClassElement::PropertyDefinition(it) => !it.decorators.is_empty(),
            ClassElement::AccessorProperty(it) => it.computed || !it.decorators.is_empty(),
            ClassElement::StaticBlock(_) | ClassElement::TSIndexSignature(_) => false,
        })
}

fn private_access(name: &str) -> String {
    format!(
        "{{ has: (o) => #{name} in o, get: (o) => o.#{name}, \
         set: (o, value) => {{ o.#{name} = value; }} }}"
    )
}

/// Words between two offsets, comments left out.
fn words(source: &str, from: usize, until: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = from;
    while let Some(rest) = source.get(at..until).filter(|rest| !rest.is_empty()) {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else {
            let end = rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(rest.len());
            if end > 0 {
                found.push((at, at + end));
            }
            end.max(rest.chars().next().map_or(1, char::len_utf8))
        };
        at += skipped;
    }
    found
}

impl<'a> Visit<'a> for Classes<'_, '_> {
    fn visit_export_declaration(&mut self, it: &ExportDeclaration<'a>) {
        if matches!(it.declaration, Declaration::ClassDeclaration(_)) {
            self.setting = Setting::Exported(at(it.span.start));
        }
        walk::walk_export_declaration(self, it);
    }

    fn visit_export_default_declaration(&mut self, it: &ExportDefaultDeclaration<'a>) {
        if matches!(it.declaration, ExportDefaultDeclarationKind::ClassDeclaration(_)) {
            self.setting = Setting::Default(at(it.span.start));
        }
        walk::walk_export_default_declaration(self, it);
    }

    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        if let (Some(id), Some(Expression::ClassExpression(_))) =
            (it.id.get_binding_identifier(), &it.init)
        {
            self.setting = Setting::Named(id.name.to_string());
        }
        walk::walk_variable_declarator(self, it);
    }

    fn visit_class(&mut self, it: &Class<'a>) {
        let setting = std::mem::take(&mut self.setting);
        if !it.declare {
            self.class(it, &setting);
        }
        // Between a class and those in it are its members.
        self.depth += 2;
        walk::walk_class(self, it);
        self.depth -= 2;
    }
}
