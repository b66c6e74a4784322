// Users one after another take the records of a queue in turn; two scenarios share one object.
import { csv, feed, scenario, rampUsers, atOnceUsers, pause } from "@gatling.io/core";
import { run, say, one, ms } from "./lib.js";

const queue = csv("users.csv").queue();
export default run(
  scenario("first").exec(feed(queue), say("#{user}")).injectOpen(atOnceUsers(1)),
  scenario("second").exec(pause(ms(500)), feed(queue), say("#{user}"), pause(ms(500)), feed(queue), say("#{user}")).injectOpen(atOnceUsers(1)),
  one("own", feed(csv("users.csv")), say("#{user}"), feed(csv("users.csv")), say("#{user}")),
);
