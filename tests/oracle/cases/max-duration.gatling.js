// maxDuration: a normal end that does not wait; what is in flight is not counted.
import { scenario, pause, group, atOnceUsers, simulation, global, nothingFor, rampUsers } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { protocol, say } from "./lib.js";
/* pages
/slow 200 !delay: 4000
*/
export default simulation((setUp) => {
  setUp(
    scenario("flight").exec(say("1"), http("slow").get("/slow"), say("never")).injectOpen(atOnceUsers(1)),
    scenario("group").exec(group("open").on(say("1"), pause(9), say("never"))).injectOpen(atOnceUsers(1)),
    scenario("late").exec(say("x")).injectOpen(nothingFor(1), atOnceUsers(1), nothingFor(5), atOnceUsers(1)),
  ).protocols(protocol).maxDuration(2).assertions(global().allRequests().count().is(3));
});
