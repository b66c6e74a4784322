// A literal relative url without a base.
// @differs * | refused when loaded | a literal url that cannot be sent
import { simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one } from "./lib.js";

export default simulation((setUp) => {
  setUp(one("none", http("g").get("/x")).protocols(http.disableWarmUp()));
});
