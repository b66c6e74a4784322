// Several users and scenarios: counts of users, requests, groups.
// @order any
import { scenario, atOnceUsers, rampUsers, group, exec, doIf } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { run, say } from "./lib.js";
/* pages
/bad 500
*/
const s = (name) => scenario(name).exec(group("g").on(say("a", "first")), http("bad").get("/bad"));
export default run(s("x").injectOpen(atOnceUsers(5)), s("y").injectOpen(rampUsers(4).during(1)), scenario("z").exec(say("id")).injectOpen(atOnceUsers(2), atOnceUsers(1)));
