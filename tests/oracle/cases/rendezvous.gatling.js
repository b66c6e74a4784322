// rendezVous holds the first n, releases them together, and is open from then on.
// @times 130
// @order any
import { exec, rendezVous, scenario, rampUsers, constantUsersPerSec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { protocol, run, say } from "./lib.js";

export default run(
  scenario("meet").exec(rendezVous(3), say("met")).injectOpen(constantUsersPerSec(2).during(3)),
);
