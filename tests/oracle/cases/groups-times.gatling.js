// Cumulated time counts requests and dummies, not pauses; duration counts all.
// @times 250
// @order any
import { group, pause, dummy, exec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, ms } from "./lib.js";
/* pages
/slow 200 !delay: 200
*/
export default run(
  one("times",
    group("g").on(
      dummy("d", 300), pause(ms(500)), http("slow").get("/slow"),
      group("in").on(http("slow").get("/slow"), pause(1)),
      http("quiet").get("/slow").silent(),
    ),
    group("pause").on(pause(1)),
    group("resources").on(http("page").get("/fast").resources(http("r1").get("/slow"), http("r2").get("/slow"))),
    group("redirect").on(http("redirect").get("/slow").queryParam("a", "b")),
  ),
);
