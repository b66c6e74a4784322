// baseUrl: concatenated as it is; baseUrls: one per user, in turn; no base is an error.
// @order any
import { simulation, scenario, atOnceUsers, rampUsers } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, protocol, target, other, say } from "./lib.js";

export default simulation((setUp) => {
  setUp(
    one("path", http("g").get("/x"), http("g").get("x"), http("g").get("")).protocols(protocol.baseUrl(target + "/base")),
    one("slash", http("g").get("/x")).protocols(protocol.baseUrl(target + "/base/")),
    scenario("several").exec(http("1").get("/1"), http("2").get("/2")).injectOpen(rampUsers(3).during(3)).protocols(protocol.baseUrls(target, other)),
  );
});
