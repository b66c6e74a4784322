// httpConcurrentRequests: all at once, then the next action.
// @order any
import { exec, group, regex } from "@gatling.io/core";
import { http, httpConcurrentRequests } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/slow 200 !delay: 200
saved

/bad 500
*/
export default run(
  one("all", httpConcurrentRequests(http("a").get("/slow?a").check(regex("(saved)").saveAs("x")), http("b").get("/slow?b"), http("c").post("/c")), say("#{x}")),
  one("ko", group("g").on(httpConcurrentRequests(http("a").get("/bad"), http("b").get("/b"))), exec((s) => s.set("was", s.isFailed())), say("#{was}")),
);
