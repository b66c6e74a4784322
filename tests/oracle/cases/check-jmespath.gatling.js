// jmesPath: the dialect, types and errors.
// @differs errors.*crashed: * | the words after are the parser's own | words of parsers
import { jmesPath } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/json 200 content-type: application/json
{"a":{"b":[10,20,30]},"items":[{"id":1,"n":"x"},{"id":2,"n":"y"}],"s":"text","z":null,"t":true,"d":1.5,"x y":"sp","w":[1,2,3,4]}

/notjson 200 content-type: text/plain
<html>
*/
const paths = [
  "a.b[0]", "a.b[-1]", "a.b[1:]", "items[*].id", "items[?id==`2`].n | [0]", "length(items)", "s", "t", "d", "\"x y\"", "a", "keys(a)", "items[0]", "items[].n", "{k: s}", "[s, d]",
  "sum(w)", "avg(w)", "max(w)", "join('-', items[*].n)", "to_string(d)", "sort_by(items, &id)[-1].n", "contains(s, 'ex')", "type(s)", "w[::2]", "reverse(w)",
];
export default run(
  one("jmes", ...paths.flatMap((path, i) => [http(`j${i}`).get("/json").check(jmesPath(path).saveAs("v")), say("#{v}")])),
  one("typed",
    http("int").get("/json").check(jmesPath("a.b[0]").ofInt().saveAs("v")), say("#{v}"),
    http("list").get("/json").check(jmesPath("a.b").ofList().saveAs("v")), say("#{v} #{v(1)}"),
    http("map").get("/json").check(jmesPath("items[0]").ofMap().saveAs("v")), say("#{v.n}"),
    http("intoftext").get("/json").check(jmesPath("s").ofInt()),
    http("boolofint").get("/json").check(jmesPath("d").ofBoolean()),
    http("is").get("/json").check(jmesPath("s").is("other")),
    http("isint").get("/json").check(jmesPath("a.b[0]").ofInt().is(11)),
    http("none").get("/json").check(jmesPath("nope")),
    http("null").get("/json").check(jmesPath("z")),
    http("isnull").get("/json").check(jmesPath("z").ofObject().isNull()),
    http("bad").get("/json").check(jmesPath("a[")),
    http("fn").get("/json").check(jmesPath("nope(a)")),
    http("type").get("/json").check(jmesPath("length(d)")),
    http("notjson").get("/notjson").check(jmesPath("a")),
    http("notExists").get("/json").check(jmesPath("s").notExists()),
    http("el").get("/json").check(jmesPath("#{nope}")),
  ),
);
