// A protocol on a population replaces the simulation's; scenario without one takes it.
import { simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, protocol, target } from "./lib.js";

export default simulation((setUp) => {
  setUp(
    one("own", http("a").get("/a")).protocols(protocol.header("X-Own", "1").baseUrl(target + "/own")),
    one("shared", http("a").get("/a")),
  ).protocols(protocol.header("X-Shared", "1").acceptHeader("s/s"));
});
