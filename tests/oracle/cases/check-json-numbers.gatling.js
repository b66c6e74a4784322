// Numbers of a JSON answer, of any size: as text, as typed values, in the session and in functions.
import { exec, jmesPath, jsonPath } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/json 200 content-type: application/json
{"safe":9007199254740991,"beyond":9007199254740993,"neg":-9007199254740993,"max":9223372036854775807,"min":-9223372036854775808,"over":9223372036854775808,"umax":18446744073709551615,"huge":123456789012345678901234567890,"frac":0.1234567890123456789012345,"dec":1.50,"e":1e5,"negz":-0,"negzf":-0.0,"tiny":1e-400,"inf":1e400,"f21":1e21,"list":[9007199254740993,1.5,"x",18446744073709551615],"map":{"t":["z"],"id":3,"a":{"c":1,"b":2}}}
*/
const keys = ["safe", "beyond", "neg", "max", "min", "over", "umax", "huge", "frac", "dec", "e", "negz", "negzf", "tiny", "inf", "f21", "list", "map"];
const whole = ["beyond", "neg", "max", "min", "over", "umax", "huge", "list"];
const checks = { jsonPath: (key) => jsonPath(`$.${key}`), jmesPath: (key) => jmesPath(key) };
export default run(
  ...Object.entries(checks).map(([name, check]) =>
    one(name,
      ...keys.flatMap((key) => [
        exec((s) => s.set("i", "-").set("l", "-").set("d", "-")),
        http(key).get("/json").check(
          check(key).saveAs("s"), check(key).ofObject().saveAs("v"),
          check(key).ofInt().optional().saveAs("i"), check(key).ofLong().optional().saveAs("l"), check(key).ofDouble().optional().saveAs("d"),
        ),
        say(`${key} #{s} #{v} #{v.jsonStringify()} #{i} #{l} #{d}`),
      ]),
      http("filter").get("/json").check(
        check("umax").is("18446744073709551615"), check("huge").ofObject().transform((value) => `<${value}>`).saveAs("t"),
      ),
      say("#{t}"),
    )),
  one("functions",
    ...whole.flatMap((key) => [
      http(key).get("/json").check(jsonPath(`$.${key}`).ofObject().saveAs("v")),
      exec((s) => s.set("text", `${s.get("v")} ` + s.get("v")).set("again", s.get("v"))),
      say(`${key} #{text} #{again}`),
    ]),
    http("map").get("/json").check(jsonPath("$.map").ofMap().saveAs("v"), jsonPath("$.list").ofList().saveAs("w")),
    exec((s) => s.set("text", `${s.get("v")} ` + s.get("w") + String(s.get("v").get("t")))),
    say("#{text}"),
  ),
);
