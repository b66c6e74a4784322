// Relative urls without a base.
import { exec, simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, say, target } from "./lib.js";

export default simulation((setUp) => {
  setUp(
    one("none", exec((s) => s.set("u", "/x")), http("g").get("#{u}"), exec((s) => s.set("was", s.isFailed())), http("abs").get(target + "/y").header("was", "#{was}")).protocols(http.disableWarmUp().header("x-user", "none")),
  );
});
