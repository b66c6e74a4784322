// Connections: each user its own, or shared.
// @order any
import { pause, rampUsers, scenario, simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, protocol, ms } from "./lib.js";

export default simulation((setUp) => {
  setUp(
    scenario("own").exec(http("a").get("/a"), http("b").get("/b")).injectOpen(rampUsers(2).during(2)),
    scenario("shared").exec(http("a").get("/a"), http("b").get("/b")).injectOpen(rampUsers(2).during(2)).protocols(protocol.shareConnections()),
  ).protocols(protocol.maxConnectionsPerHost(2));
});
