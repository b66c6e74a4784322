// substring: positions, arity, errors.
import { substring } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/text 200 content-type: text/plain
ababab
*/
const get = (name, ...checks) => http(name).get("/text").check(...checks);
export default run(
  one(
    "substring",
    get("first", substring("ab").saveAs("v")), say("#{v}"),
    get("third", substring("ab").find(2).saveAs("v")), say("#{v}"),
    get("all", substring("aba").findAll().saveAs("v")), say("#{v}"),
    get("none", substring("x")),
    get("far", substring("ab").find(3)),
    get("is", substring("ab").is(2)),
    get("notExists", substring("ab").notExists()),
    get("el", substring("#{nope}")),
    get("lt", substring("b").lt(1)),
  ),
);
