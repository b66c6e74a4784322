// checkIf on requests: conditions, several checks, and the implicit status check.
import { regex, substring, exec } from "@gatling.io/core";
import { http, status } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/c 500 content-type: text/plain
abc

/ok 200 content-type: text/plain
abc
*/
export default run(
  one("checkif",
    exec((s) => s.set("yes", true).set("no", false)),
    http("yes").get("/ok").checkIf("#{yes}").then(regex("z")),
    http("no").get("/ok").checkIf("#{no}").then(regex("z")),
    http("missing").get("/ok").checkIf("#{nope}").then(regex("z")),
    http("fn").get("/ok").checkIf((response) => response != null).then(regex("y")),
    http("statusinside").get("/c").checkIf("#{no}").then(status().is(200)),
    http("statusinsideyes").get("/c").checkIf("#{yes}").then(status().is(201)),
    http("throws").get("/ok").checkIf(() => { throw new Error("boom"); }).then(regex("a")),
    http("several").get("/ok").checkIf("#{yes}").then(regex("(a)").saveAs("a"), substring("q")),
    say("#{a}"),
  ),
);
