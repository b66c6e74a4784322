// jsonPath: typed values and their failures.
// @differs errors.*crashed: * | the words after are the parser's own | words of parsers
import { jsonPath } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/json 200 content-type: application/json
{"i":7,"d":1.5,"s":"8","b":true,"z":null,"l":[1,"x",2],"m":{"k":1},"big":12345678901,"neg":-0.0,"w":1000.0}

/notjson 200 content-type: text/plain
<html>

/empty 200 content-type: application/json
*/
const types = ["ofString", "ofInt", "ofLong", "ofDouble", "ofBoolean", "ofList", "ofMap", "ofObject"];
const keys = ["i", "d", "s", "b", "z", "l", "m", "big", "neg", "w", "nope"];
export default run(
  ...types.map((type) =>
    one(type, ...keys.flatMap((key) => [
      http(`${type} ${key}`).get("/json").check(jsonPath(`$.${key}`)[type]().saveAs(`${type}-${key}`)),
    ]),
    ...keys.map((key) => say(`${key} #{${type}-${key}.exists()}`)))),
  one("validate",
    http("is").get("/json").check(jsonPath("$.i").ofInt().is(8)),
    http("isdouble").get("/json").check(jsonPath("$.d").ofDouble().is(2.25)),
    http("isbool").get("/json").check(jsonPath("$.b").ofBoolean().is(false)),
    http("istext").get("/json").check(jsonPath("$.i").is("8")),
    http("in").get("/json").check(jsonPath("$.i").ofInt().in(1, 2)),
    http("lt").get("/json").check(jsonPath("$.i").ofInt().lt(3)),
    http("gte").get("/json").check(jsonPath("$.d").ofDouble().gte(3.5)),
    http("null").get("/json").check(jsonPath("$.i").ofObject().isNull()),
    http("notnull").get("/json").check(jsonPath("$.z").ofObject().notNull()),
    http("notnullmissing").get("/json").check(jsonPath("$.nope").ofObject().notNull()),
    http("allints").get("/json").check(jsonPath("$.l[*]").ofInt().findAll().saveAs("ints")), say("#{ints}"),
    http("notjson").get("/notjson").check(jsonPath("$.a")),
    http("empty").get("/empty").check(jsonPath("$.a")),
    http("saved").get("/json").check(jsonPath("$.big").ofLong().saveAs("n1"), jsonPath("$.w").saveAs("n2"), jsonPath("$.neg").saveAs("n3"), jsonPath("$.m").saveAs("n4"), jsonPath("$.l").saveAs("n5"), jsonPath("$.d").ofDouble().saveAs("n6")),
    say("#{n1} #{n2} #{n3} #{n4} #{n5} #{n6}"),
  ),
);
