// What functions find in values that feeders, checks and other functions saved.
import { exec, jsonPath, regex, jmesPath } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/json 200 content-type: application/json
{"s":"t","n":3,"d":1.5,"b":true,"z":null,"list":[1,"a",{"k":"v"}],"map":{"k":{"l":[5]}}}
*/
const type = (v) => (v == null ? "none" : typeof v);

export default run(
  one(
    "values",
    http("json").get("/json").check(
      jsonPath("$.list").ofList().saveAs("list"), jsonPath("$.map").ofMap().saveAs("map"),
      jsonPath("$.n").ofInt().saveAs("n"), jsonPath("$.n").saveAs("text"), jsonPath("$.b").ofBoolean().saveAs("b"),
      jsonPath("$.d").ofDouble().saveAs("d"), jmesPath("list").ofList().saveAs("list2"), jsonPath("$").ofObject().saveAs("all"),
      regex("\"(.)\":").findAll().saveAs("keys"), jsonPath("$.list").saveAs("listText"), jsonPath("$.z").ofObject().optional().saveAs("z"),
    ),
    exec((s) => s.set("r", [type(s.get("n")), type(s.get("text")), type(s.get("b")), type(s.get("d")), type(s.get("z"))].join())),
    say("types #{r} #{n} #{text} #{b} #{d}"),
    exec((s) => s.set("r", [s.get("list").length, s.get("list")[1], s.get("list").get(0), s.get("list").size(), s.get("map").k.l[0], s.get("map").get("k").get("l").get(0)].join())),
    say("host #{r}"),
    say("text #{list} | #{map} | #{list2} | #{keys} | #{listText} | #{all.map.k.l(0)}"),
    say("json #{list.jsonStringify()} #{map.jsonStringify()} #{all.jsonStringify()}"),
    exec((s) => s.set("r", s.get("keys").length + " " + Array.from(s.get("keys")).join("-"))),
    say("array #{r}"),
  ),
);
