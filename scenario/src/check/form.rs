//! `form(selector)`: the successful controls of each form, as a map of name to value: what a
//! browser would send. Left out: controls without a name, inputs without a type or a value, buttons,
//! files, what is disabled, boxes and radios that are not checked. Several values of one name are a
//! list. <https://docs.gatling.io/concepts/checks/#form>

use std::ops::ControlFlow;
use std::sync::Arc;

use scraper::ElementRef;
use smallvec::{SmallVec, smallvec};

use super::css;
use super::pattern::Pattern;
use super::{Extractor, Failure, Kind, Prepared, Scope, Texts};
use crate::expr::{Compiled, Expr};
use crate::value::{Value, ValueMap};

#[derive(Debug)]
pub(super) struct Form {
    selector: Pattern<css::Query>,
}

impl Form {
    pub(super) fn new(selector: &Expr) -> Result<Self, String> {
        Ok(Self { selector: css::pattern(selector)? })
    }
}

impl Extractor for Form {
    fn scope(&self) -> Scope {
        Scope::Body
    }

    fn kind(&self) -> Kind {
        Kind::Any
    }

    fn patterns(&self) -> SmallVec<[&Compiled; 2]> {
        smallvec![self.selector.source()]
    }

    // Gatling's is a css check with another node type, and says so.
    fn name(&self, texts: &Texts<'_>) -> String {
        format!("css(({},None))", texts[0])
    }

    fn may_be_fatal(&self) -> bool {
        self.selector.is_dynamic()
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let query = self.selector.get(&texts[0]).map_err(Failure::Fatal)?;
        query.select(response.page()?, &mut |element| {
            if element.value().name() == "form" {
                each(Value::map(controls(element)))
            } else {
                ControlFlow::Continue(())
            }
        })
    }
}

/// The values of a form by name, in the order of the document.
fn controls(form: ElementRef<'_>) -> ValueMap {
    let mut found = ValueMap::new();
    for element in form.descendants().filter_map(ElementRef::wrap) {
        let Some(name) = element.attr("name").filter(|name| !name.is_empty()) else { continue };
        if element.attr("disabled").is_some() {
            continue;
        }
        match element.value().name() {
            "input" => {
                if let Some(value) = input(element) {
                    put(&mut found, name, value.into());
                }
            }
            "select" => select(element, &mut |value| put(&mut found, name, value)),
            "textarea" => put(&mut found, name, element.text().collect::<String>().into()),
            _ => {}
        }
    }
    found
}

fn put(found: &mut ValueMap, name: &str, value: Value) {
    match found.get_mut(name) {
        None => {
            found.insert(name.into(), value);
        }
        Some(Value::List(values)) => Arc::make_mut(values).push(value),
        Some(single) => *single = Value::list(vec![single.clone(), value]),
    }
}

fn input<'a>(element: ElementRef<'a>) -> Option<&'a str> {
    match element.attr("type")?.to_ascii_lowercase().as_str() {
        "submit" | "reset" | "button" | "file" | "image" => None,
        "checkbox" | "radio" => {
            element.attr("checked")?;
            Some(element.attr("value").unwrap_or("on"))
        }
        _ => element.attr("value"),
    }
}

/// The selected options; of a list that shows one of them, the first if none is selected.
fn select(element: ElementRef<'_>, put: &mut dyn FnMut(Value)) {
    let options = || {
        let inner = element.descendants().filter_map(ElementRef::wrap);
        inner.filter(|it| it.value().name() == "option" && it.attr("value").is_some())
    };
    let value = |option: ElementRef<'_>| Value::from(option.attr("value").unwrap_or_default());
    let selected: Vec<_> = options().filter(|it| it.attr("selected").is_some()).collect();
    if element.attr("multiple").is_some() {
        // Even one of several is a list.
        if !selected.is_empty() {
            put(Value::list(selected.into_iter().map(value).collect()));
        }
        return;
    }
    if let Some(option) = selected.last().copied().or_else(|| options().next()) {
        put(value(option));
    }
}

#[cfg(test)]
mod tests {
    use scraper::{Html, Selector};

    use super::*;

    /// What Gatling 3.16.0 made of the same page.
    #[test]
    fn the_values_that_a_browser_would_send() {
        let html = Html::parse_document(
            r#"<form><input type="hidden" name="t" value="a b"><input type="text" name="u" value="">
            <input name="notype" value="1"><input type="text" name="noval">
            <input type="checkbox" name="c" checked><input type="checkbox" name="c2" value="z">
            <input type="radio" name="r" value="1"><input type="radio" name="r" value="2" checked>
            <select name="s"><option value="1">a</option><option value="2" selected>b</option></select>
            <select name="s0"><option value="x">a</option><option value="y">b</option></select>
            <select name="sm" multiple><option value="m1" selected>a</option>
            <option value="m2" selected>b</option></select><textarea name="ta">hello
w</textarea><input type="submit" name="go" value="Go">
            <input type="text" name="d" value="dis" disabled>
            <input type="text" name="dup" value="1"><input type="text" name="dup" value="2">
            <button name="bb" value="1">x</button></form>"#,
        );
        let form = html.select(&Selector::parse("form").unwrap()).next().unwrap();
        let found = Value::map(controls(form));
        let expected = "{t=a b, u=, c=on, r=2, s=2, s0=x, sm=[m1, m2], ta=hello\nw, dup=[1, 2]}";
        assert_eq!(found.to_string(), expected);
    }
}
