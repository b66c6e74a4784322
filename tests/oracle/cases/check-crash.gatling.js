// Patterns that do not compile: what the response and its other checks become.
// @differs errors.* | the words are the parser's own | words of parsers
import { regex, css, jsonPath, jmesPath, exec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/t 200 content-type: text/plain
abc
*/
export default run(
  one("crash",
    exec((s) => s.set("bad", "a[").set("badcss", "a[[")),
    http("regex").get("/t").check(regex("#{bad}"), regex("(b)").saveAs("b")),
    say("#{b.exists()}"),
    http("css").get("/t").check(css("#{badcss}"), regex("(b)").saveAs("b")),
    say("#{b.exists()}"),
    http("jsonPath").get("/t").check(jsonPath("#{bad}"), regex("(b)").saveAs("b")),
    say("#{b.exists()}"),
  ),
);
