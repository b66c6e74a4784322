// Users that start one after another get the records in order.
import { csv, feed, scenario, rampUsers } from "@gatling.io/core";
import { run, say } from "./lib.js";

export default run(
  scenario("ramp").exec(feed(csv("users.csv")), say("#{user} #{pass}")).injectOpen(rampUsers(3).during(3)),
);
