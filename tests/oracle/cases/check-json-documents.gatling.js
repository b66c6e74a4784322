// JSON documents: marks, encodings, what follows, and what is no JSON.
// @differs errors.*crashed: * | the words after are the parser's own | words of parsers
import { bodyString, exec, jmesPath, jsonPath } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/bom 200 content-type: application/json
﻿{"a":1}

/trail 200 content-type: application/json
{"a":1} {"a":2}

/text 200 content-type: application/json
{"a":1} x

/bracket 200 content-type: application/json
{"a":1}]

/lead 200 content-type: application/json
  {"a":1}

/nan 200 content-type: application/json
{"a":NaN}

/twice 200 content-type: application/json
{"a":1,"b":2,"a":3}

/zero 200 content-type: application/json
{"a":01}

/single 200 content-type: application/json
{'a':1}

/number 200 content-type: application/json
9007199254740993

/numbers 200 content-type: application/json
1 2

/joined 200 content-type: application/json
1x

/string 200 content-type: application/json
"text"

/cut 200 content-type: application/json
{"a":[1,2

/surrogate 200 content-type: application/json
{"a":"\ud83d\ude00|\ud83d|\u00e9"}
*/
const pages = ["bom", "trail", "text", "bracket", "lead", "nan", "twice", "zero", "single", "number", "numbers", "joined", "string", "cut", "surrogate"];
export default run(
  one("documents", ...pages.flatMap((page) => [
    exec((s) => s.set("v", "-").set("w", "-")),
    http(page).get(`/${page}`).check(jsonPath("$").saveAs("v")),
    http(page).get(`/${page}`).check(jmesPath("a").optional().saveAs("w")),
    say(`${page} #{v} #{w}`),
  ]),
  http("text").get("/bom").check(bodyString().saveAs("v")),
  exec((s) => s.set("v", s.get("v").length)),
  say("#{v}"),
  ),
);
