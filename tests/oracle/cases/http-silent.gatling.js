// silent and notSilent: counts, failures, tryMax, groups.
import { exec, tryMax, group, simulation } from "@gatling.io/core";
import { http, status } from "@gatling.io/http";
import { one, protocol, say } from "./lib.js";
/* pages
/bad 500
*/
const look = [exec((s) => s.set("was", s.isFailed())), say("#{was}")];
export default simulation((setUp) => {
  setUp(
    one("silent", http("a").get("/a").silent(), http("bad").get("/bad").silent(), http("both").get("/b").silent().notSilent(), http("both2").get("/b").notSilent().silent(), ...look),
    one("unbuilt", http("u").get("/#{nope}").silent(), ...look),
    one("uri", http("x").get("/static/x"), http("y").get("/y/static"), http("z").get("/static/z").notSilent()).protocols(protocol.silentUri(".*/static/.*")),
    one("group", group("quiet").on(http("a").get("/a").silent())),
  ).protocols(protocol);
});
