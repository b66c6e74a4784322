// form: which controls are collected, and sending them back.
// @differs sent.form.1.* | a list in text | lists and maps that came from
// @differs sent.form.2.* | a list in a form is several parameters | lists and maps that came from
import { form } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/html 200 content-type: text/html
<html><body><form id="f" action="/go"><input type="text" name="t" value="v 1"><input type="hidden" name="h" value="h&amp;1"><input type="checkbox" name="c1" value="on1" checked><input type="checkbox" name="c2" value="x"><input type="radio" name="r" value="1"><input type="radio" name="r" value="2" checked><input type="submit" name="s" value="go"><input type="text" name="dis" value="d" disabled><textarea name="ta">area</textarea><select name="sel"><option value="a">A</option><option value="b" selected>B</option></select><select name="multi" multiple><option value="1" selected>1</option><option value="2" selected>2</option></select><select name="def"><option value="p">P</option><option value="q">Q</option></select><input type="password" name="pw" value="s"><button name="b" value="b">B</button><input type="file" name="file"></form></body></html>
*/
export default run(
  one("form",
    http("page").get("/html").check(form("#f").saveAs("f")),
    say("#{f.t} #{f.h} #{f.c1} #{f.r} #{f.ta} #{f.sel} #{f.def} #{f.pw} #{f.c2.exists()} #{f.s.exists()} #{f.dis.exists()} #{f.multi}"),
    http("send").post("/go").form("#{f}").formParam("t", "changed").formParam("extra", "1"),
    http("none").get("/html").check(form("#nope")),
  ),
);
