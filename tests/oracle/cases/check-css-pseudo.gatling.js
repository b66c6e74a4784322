// css: what Gatling's engine has besides CSS. Places among what was found, texts, kinds of controls.
// @differs sent.pseudo.15.* | document order | matches of the CSS combinators
// @differs sent.pseudo.17.* | as CSS has it | an element that holds comments alone
import { css } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/html 200 content-type: text/html
<!doctype html><html><head><title>T</title></head><body><h1 id="top">Head</h1><div id="outer" class="box a"><p class="x">one</p><div class="box b"><p>two</p><p class="x">three</p></div><p>four</p></div><ul id="l"><li class="i">L0</li><li class="i on">L1 <b>bold</b></li><li>L2</li><li class="i">L3</li></ul><h2>Form</h2><form action="/go"><input type="text" name="t" value="v"><input type="password" name="pw"><input type="checkbox" name="c1" checked><input type="checkbox" name="c2"><input type="radio" name="r" value="1"><input type="submit" name="go"><input type="reset" name="no"><input type="file" name="f"><input type="image" name="im"><input type="button" name="bu"><input type="hidden" name="csrf" value="tok"><input name="bare"><textarea name="ta">area</textarea><select name="s"><option value="a">A</option><option value="b" selected>B</option></select><button name="plain">Plain</button><button name="typed" type="button">Typed</button></form><p id="empty"></p><p id="comment"><!-- c --></p><p id="space"> </p><table id="computers"><tbody><tr><td><a href="/computers/381">ACE</a></td><td>-</td></tr><tr><td><a href="/computers/6">Amiga 500</a></td><td>1987</td></tr><tr><td><a href="/computers/7">Amiga 1000</a></td><td>1985</td></tr></tbody></table><p id="odd">it's O'Brien (x) a)b "q"</p><div id="1st">digit</div></body></html>
*/
const table = (name, selectors, attribute) => [
  http(name).get("/html").check(...selectors.map((selector, i) =>
    (attribute ? css(selector, attribute) : css(selector)).findAll().saveAs(`v${i}`))),
  say(selectors.map((selector, i) => `${selector} -> #{v${i}}`).join("\n")),
];
const none = (...selectors) =>
  http("none").get("/html").check(...selectors.map((selector) => css(selector).findAll().notExists()));
export default run(
  one("pseudo",
    ...table("places", ["li:first", "li:last", "li:even", "li:odd", "li:eq(1)", "li:eq(-1)", "li:eq( 2 )", "li:gt(1)", "li:lt(2)", "li:gt(0):lt(3)", "li:gt(-1)", "li.i:eq(1)", "li:eq(1).i", "li:eq(2):contains(L)", "ul > li:first", "#l li:last", "li::first", "body *:eq(1)", ":header:last", "option:last", "#computers a:first", "td a:eq(1)"]),
    ...table("steps", ["div p:eq(1)", "div > p:eq(1)", "div > p:gt(0)", "div > p:odd", "div p:last", "div:first p", "div:first > p", "div:eq(1) p:last", "div:last", "li:first + li", "li:first ~ li:even", "h1 ~ p:first", "li:odd b", "tr:eq(1) a", "tr:gt(0) td:first", "tr td:eq(3)", "p.x:gt(0)", "div:gt(0) p", "li:first, li:last", "li:last, li:first", "li:even, li:first"]),
    ...table("texts", ["a:contains(ACE)", "a:contains('Amiga 500')", "a:contains(\"500\")", "p:contains(it's)", "p:contains('O'Brien')", "p:contains('a)b')", "li:contains(bold)", "li:contains('L1 bold')", "ul:contains(L0)", "a:contains(Amiga):first", "a:contains(Amiga):eq(1)", "p:contains(o):eq(1)", "div:contains(two)", "tr:contains(ACE) a", "tr:contains(1985) td:first", "td:has(a)", "tr:has(':contains(ACE)') td:last", "tr:has('a') td:eq(1)", "li:not(':contains(bold)')", "p.x:contains()"]),
    ...table("structure", ["li:first-child", "li:last-child", "b:only-child", "p:first-of-type", "p:last-of-type", "b:only-of-type", "li:nth-child(2)", "li:nth-child(odd)", "li:nth-child(even)", "li:nth-child(2n+1)", "li:nth-child( 2n + 1 )", "li:nth-child(-n+2)", "li:nth-last-child(2)", "p:nth-of-type(2)", "p:nth-last-of-type(1)", "li:not(.i)", "li:not(:first-child)", "li:not([class])", "li:not('.i')", "div:has(div) > h1, h1", "div:has(p.x) > div", "div:has('p:eq(3)') > div", "div:has(p:first) > div", "html:root > head", "#1st"]),
    ...table("kinds", [":text", ":password", ":checkbox", ":radio", ":submit", ":reset", ":file", ":image", ":button", ":checked", ":input", "input:input", ":input:first", ":checkbox:not(:checked)", "form :text, form :password", "input:button"], "name"),
    ...table("kinds", ["p:empty:not(#comment)", "p:parent:not(#comment)", "p:not(:empty):not(#comment)", ":header", "div:parent", "ul:parent", "form > input:first ~ p, #empty"], "id"),
    ...table("attributes", ["[NAME=t]", "input[Type=text]", "[name='t']", "[name=\"t\"]", "[name=t]", "[name^=c]", "[name$=f]", "[name*='sr']", "[Name~=t]", "[name|=t]", "[VALUE]", "[value=tok]"], "NAME"),
    ...table("order", ["div > p", "div > p, h1"]),
    ...table("comments", ["p:empty", "p:parent"], "id"),
    none("li:not(:first)", "li:gt(9)", "li:eq(9)", "li:eq(-9)", "li:lt(-1)", "p:contains('nope')", "p:contains( two)", "#nope:first", "[name*='']", "li:first:last", "div:has('p:eq(9)')", "li:contains(bold):eq(1)"),
    http("selected").get("/html").check(css(":selected").find().is("B"), css("option:selected", "value").is("b"), css("select > :selected").findAll().saveAs("v")), say("#{v}"),
  ),
);
