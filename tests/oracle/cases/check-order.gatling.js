// Order of checks: status, header, body, time; all run, the first failure is the text; later see earlier saves.
import { regex, jsonPath, bodyString, substring, responseTimeInMillis, exec } from "@gatling.io/core";
import { http, status, header } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/o 200 content-type: text/plain | x-h: hv
abc

/n 304 x-h: hv

/five 500 content-type: text/plain
abc
*/
export default run(
  one("order",
    http("body then header").get("/o").check(regex("z"), header("nope"), status().is(200)),
    http("time last").get("/o").check(responseTimeInMillis().gt(100000), substring("zz")),
    http("saves").get("/o").check(regex("q"), regex("(b)").saveAs("b"), header("x-h").saveAs("h")),
    say("#{b} #{h}"),
    http("chain").get("/o").check(regex("(c)").isEL("#{fromHeader}"), header("x-h").transform(() => "c").saveAs("fromHeader")),
    http("twice").get("/o").check(regex("zz"), regex("yy")),
    http("304").get("/n").check(regex("zz"), header("x-h").saveAs("h304")),
    http("304h").get("/n").check(header("nope")),
    say("#{h304}"),
    http("time").get("/o").check(responseTimeInMillis().lt(100000).saveAs("rt")),
    exec((s) => s.set("ok", Number(s.get("rt")) < 1000)),
    say("#{ok}"),
    http("500 body").get("/five").check(regex("zz")),
    http("500 save").get("/five").check(regex("(a)").saveAs("a5")),
    say("#{a5}"),
  ),
);
