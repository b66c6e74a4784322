// css: selectors, attributes, text, arity and errors.
// @differs sent.css.27.body | document order | a list of CSS selectors
// @differs sent.css.33.* | HTML has no case | CSS type selectors
// @differs requests.s16 | HTML has no case | CSS type selectors
// @differs errors.css((LI* | HTML has no case | CSS type selectors
import { css } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/html 200 content-type: text/html
<!doctype html><html><head><title> The title </title></head><body><ul id="l"><li class="i a">one</li><li class="i">two <b>bold</b></li><li class="i" data-x="3">three</li></ul><a href="/x?a=1&amp;b=2" rel=nofollow>link &amp; text</a><a name="n">anchor</a><p>x<br>y</p><input type="hidden" name="csrf" value="tok en"><div></div></body></html>
*/
const get = (name, ...checks) => http(name).get("/html").check(...checks);
const selectors = ["title", "li.i", "#l > li:first-child", "li:last-child", "li:nth-child(2)", "a[href]", "a[rel=nofollow]", "a[href^='/x']", "li[data-x]", "ul li.a", "li.a + li", "p", "li:nth-of-type(3)", "a[name=n], title", "*[data-x='3']", "li b", "LI"];
export default run(
  one("css",
    ...selectors.flatMap((selector, i) => [get(`s${i}`, css(selector).findAll().saveAs("v")), say("#{v}")]),
    get("attr", css("a", "href").saveAs("v")), say("#{v}"),
    get("value", css("input[name=csrf]", "value").saveAs("v")), say("#{v}"),
    get("data", css("li", "data-x").findAll().saveAs("v")), say("#{v}"),
    get("second", css("li.i").find(1).saveAs("v")), say("#{v}"),
    get("noattr", css("a", "nope")),
    get("none", css("h1")),
    get("far", css("li").find(5)),
    get("allnone", css("h1").findAll()),
    get("is", css("li").is("zwei")),
    get("emptydiv", css("div").saveAs("v")), say("[#{v}]"),
    get("el", css("#{nope}")),
    get("attris", css("a", "href").is("/y")),
  ),
);
