// jsonpJsonPath and jsonpJmesPath.
import { jsonpJsonPath, jsonpJmesPath } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/p 200 content-type: application/javascript
cb({"a":[1,2],"b":"x"});

/n 200 content-type: application/javascript
nothing here
*/
export default run(
  one("jsonp",
    http("path").get("/p").check(jsonpJsonPath("$.a[1]").saveAs("v")), say("#{v}"),
    http("all").get("/p").check(jsonpJsonPath("$.a[*]").findAll().saveAs("v")), say("#{v}"),
    http("jmes").get("/p").check(jsonpJmesPath("b").saveAs("v")), say("#{v}"),
    http("none").get("/p").check(jsonpJsonPath("$.z")),
    http("jmesnone").get("/p").check(jsonpJmesPath("z")),
    http("not").get("/n").check(jsonpJsonPath("$.a")),
    http("jmesnot").get("/n").check(jsonpJmesPath("a")),
  ),
);
