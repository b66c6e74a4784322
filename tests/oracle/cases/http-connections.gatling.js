// A user keeps its connection; it opens others for resources, at most six per host.
import { pause, simulation, scenario, atOnceUsers, rampUsers } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, protocol, other, ms } from "./lib.js";
/* pages
/close 200 connection: close
*/
export default simulation((setUp) => {
  setUp(
    one("keep", http("a").get("/a"), http("b").get("/b"), pause(1), http("c").get("/c"), http("o").get(`${other}/o`), http("d").get("/d"), http("o2").get(`${other}/o2`)),
    one("asked", http("a").get("/a").header("Connection", "close"), http("b").get("/b")),
    one("close", http("a").get("/close"), http("b").get("/b")),
  ).protocols(protocol);
});
