//! What Gatling 3.16.0 found in a page, selector by selector.

use std::ops::ControlFlow;

use super::element::attribute;
use super::query::Query;
use crate::check::page::Page;

const PAGE: &str = concat!(
    r#"<!doctype html><html><head><title>T</title></head><body>"#,
    r#"<h1 id="top">Head</h1>"#,
    r#"<div id="outer" class="box a"><p class="x">one</p><div class="box b"><p>two</p><p class="x">three</p></div><p>four</p></div>"#,
    r#"<ul id="l"><li class="i">L0</li>"#,
    r#"<li class="i on">L1 <b>bold</b></li><li>L2</li><li class="i">L3</li></ul>"#,
    r#"<h2>Form</h2>"#,
    r#"<form action="/go"><input type="text" name="t" value="v"><input type="password" name="pw">"#,
    r#"<input type="checkbox" name="c1" checked><input type="checkbox" name="c2"><input type="radio" name="r" value="1">"#,
    r#"<input type="submit" name="go"><input type="reset" name="no"><input type="file" name="f">"#,
    r#"<input type="image" name="im"><input type="button" name="bu"><input type="hidden" name="csrf" value="tok">"#,
    r#"<input name="bare"><textarea name="ta">area</textarea>"#,
    r#"<select name="s"><option value="a">A</option><option value="b" selected>B</option></select>"#,
    r#"<button name="plain">Plain</button><button name="typed" type="button">Typed</button></form>"#,
    r#"<p id="empty"></p><p id="comment"><!-- c --></p><p id="space"> </p>"#,
    r#"<table id="computers"><tbody><tr><td><a href="/computers/381">ACE</a></td><td>-</td></tr>"#,
    r#"<tr><td><a href="/computers/6">Amiga 500</a></td><td>1987</td></tr>"#,
    r#"<tr><td><a href="/computers/7">Amiga 1000</a></td><td>1985</td></tr></tbody></table>"#,
    r#"<p id="odd">it's O'Brien (x) a)b "q"</p><div id="1st">digit</div></body></html>"#,
);

/// Texts, or the values of an attribute.
const FOUND: [(Option<&str>, &str); 4] = [
    (
        None,
        r##"
li:first -> [L0]
li:last -> [L3]
li:even -> [L0, L2]
li:odd -> [L1 bold, L3]
li:eq(1) -> [L1 bold]
li:eq(-1) -> [L3]
li:eq( 2 ) -> [L2]
li:gt(1) -> [L2, L3]
li:lt(2) -> [L0, L1 bold]
li:gt(0):lt(3) -> [L1 bold, L2]
li:gt(-1) -> [L0, L1 bold, L2, L3]
li.i:eq(1) -> [L1 bold]
li:eq(1).i -> [L1 bold]
li:eq(2):contains(L) -> [L2]
ul > li:first -> [L0]
#l li:last -> [L3]
li::first -> [L0]
body *:eq(1) -> [onetwothreefour]
:header:last -> [Form]
option:last -> [B]
#computers a:first -> [ACE]
td a:eq(1) -> [Amiga 500]
div p:eq(1) -> [two]
div > p:eq(1) -> [four]
div > p:gt(0) -> [four, two, three]
div > p:odd -> [four, three]
div p:last -> [four]
div:first p -> [one, two, three, four]
div:first > p -> [one, four]
div:eq(1) p:last -> [three]
div:last -> [digit]
li:first + li -> [L1 bold]
li:first ~ li:even -> [L1 bold, L3]
h1 ~ p:first -> []
li:odd b -> [bold]
tr:eq(1) a -> [Amiga 500]
tr:gt(0) td:first -> [Amiga 500]
tr td:eq(3) -> [1987]
p.x:gt(0) -> [three]
div:gt(0) p -> [two, three]
li:first, li:last -> [L0, L3]
li:last, li:first -> [L3, L0]
li:even, li:first -> [L0, L2]
a:contains(ACE) -> [ACE]
a:contains('Amiga 500') -> [Amiga 500]
a:contains("500") -> [Amiga 500]
p:contains(it's) -> [it's O'Brien (x) a)b "q"]
p:contains('O'Brien') -> [it's O'Brien (x) a)b "q"]
p:contains('a)b') -> [it's O'Brien (x) a)b "q"]
li:contains(bold) -> [L1 bold]
li:contains('L1 bold') -> [L1 bold]
ul:contains(L0) -> [L0L1 boldL2L3]
a:contains(Amiga):first -> [Amiga 500]
a:contains(Amiga):eq(1) -> [Amiga 1000]
p:contains(o):eq(1) -> [two]
div:contains(two) -> [onetwothreefour, twothree]
tr:contains(ACE) a -> [ACE]
tr:contains(1985) td:first -> [Amiga 1000]
td:has(a) -> [ACE, Amiga 500, Amiga 1000]
tr:has(':contains(ACE)') td:last -> [-]
tr:has('a') td:eq(1) -> [-]
li:not(':contains(bold)') -> [L0, L2, L3]
p.x:contains() -> [one, three]
li:first-child -> [L0]
li:last-child -> [L3]
b:only-child -> [bold]
p:first-of-type -> [one, two, ]
p:last-of-type -> [three, four, it's O'Brien (x) a)b "q"]
b:only-of-type -> [bold]
li:nth-child(2) -> [L1 bold]
li:nth-child(odd) -> [L0, L2]
li:nth-child(even) -> [L1 bold, L3]
li:nth-child(2n+1) -> [L0, L2]
li:nth-child( 2n + 1 ) -> [L0, L2]
li:nth-child(-n+2) -> [L0, L1 bold]
li:nth-last-child(2) -> [L2]
p:nth-of-type(2) -> [three, four, ]
p:nth-last-of-type(1) -> [three, four, it's O'Brien (x) a)b "q"]
li:not(.i) -> [L2]
li:not(:first-child) -> [L1 bold, L2, L3]
li:not([class]) -> [L2]
li:not('.i') -> [L2]
div:has(div) > h1, h1 -> [Head]
div:has(p.x) > div -> [twothree]
div:has('p:eq(3)') > div -> [twothree]
div:has(p:first) > div -> [twothree]
html:root > head -> [T]
#1st -> [digit]
"##,
    ),
    (
        Some("name"),
        r##"
:text -> [t]
:password -> [pw]
:checkbox -> [c1, c2]
:radio -> [r]
:submit -> [go]
:reset -> [no]
:file -> [f]
:image -> [im]
:button -> [bu, typed]
:checked -> [c1]
:input -> [t, pw, c1, c2, r, go, no, f, im, bu, csrf, bare, ta, s, plain, typed]
input:input -> [t, pw, c1, c2, r, go, no, f, im, bu, csrf, bare]
:input:first -> [t]
:checkbox:not(:checked) -> [c2]
form :text, form :password -> [t, pw]
input:button -> [bu]
"##,
    ),
    (
        Some("id"),
        r##"
p:empty:not(#comment) -> [empty]
p:parent:not(#comment) -> [space, odd]
p:not(:empty):not(#comment) -> [space, odd]
:header -> [top]
div:parent -> [outer, 1st]
ul:parent -> [l]
form > input:first ~ p, #empty -> [empty]
"##,
    ),
    (
        Some("NAME"),
        r##"
[NAME=t] -> [t]
input[Type=text] -> [t]
[name='t'] -> [t]
[name="t"] -> [t]
[name=t] -> [t]
[name^=c] -> [c1, c2, csrf]
[name$=f] -> [f, csrf]
[name*='sr'] -> [csrf]
[Name~=t] -> [t]
[name|=t] -> [t]
[VALUE] -> [t, r, csrf]
[value=tok] -> [csrf]
"##,
    ),
];

/// None of these found any.
const NOTHING: [&str; 12] = [
    "li:not(:first)",
    "li:gt(9)",
    "li:eq(9)",
    "li:eq(-9)",
    "li:lt(-1)",
    "p:contains('nope')",
    "p:contains( two)",
    "#nope:first",
    "[name*='']",
    "li:first:last",
    "div:has('p:eq(9)')",
    "li:contains(bold):eq(1)",
];

fn found(page: &Page, selector: &str, name: Option<&str>) -> String {
    let mut values = Vec::new();
    let mut add = |element| {
        match name {
            Some(name) => values.extend(attribute(element, name).map(str::to_owned)),
            None => values.push(page.text_of(element).trim().to_owned()),
        }
        ControlFlow::Continue(())
    };
    Query::new(selector).unwrap().select(page, &mut add).unwrap();
    format!("[{}]", values.join(", "))
}

#[test]
fn selectors_find_what_they_find_in_gatling() {
    let page = Page::parse(PAGE).unwrap();
    let mut looked_at = 0;
    for (name, table) in FOUND {
        for line in table.trim().lines() {
            let (selector, expected) = line.split_once(" -> ").unwrap();
            assert_eq!(found(&page, selector, name), expected, "{selector}");
            looked_at += 1;
        }
    }
    for selector in NOTHING {
        assert_eq!(found(&page, selector, None), "[]", "{selector}");
        looked_at += 1;
    }
    assert_eq!(looked_at, 135);
}
