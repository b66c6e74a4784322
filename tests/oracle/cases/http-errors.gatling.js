// What a broken target gives: refused, closed, reset, half a body, timeouts.
import { exec, simulation } from "@gatling.io/core";
import { http, status } from "@gatling.io/http";
import { one, protocol, say, closed, ms } from "./lib.js";
/* pages
/close 200 !close

/reset 200 !reset

/half 200 !half
0123456789

/slow 200 !delay: 1500

/closesecond 200

/closesecond 200 !close

/closeonce 200

/closeonce 200 !close

/closeonce 200
*/
const look = [exec((s) => s.set("was", s.isFailed())), say("#{was}")];
export default simulation((setUp) => {
  setUp(
    one("refused", http("refused").get(`${closed}/`), ...look),
    one("unknown", http("unknown").get("http://no-such-host.invalid/"), ...look),
    one("close", http("close").get("/close"), ...look),
    one("half", http("half").get("/half"), ...look),
    one("timeout", http("timeout").get("/slow").requestTimeout(ms(400)), ...look),
    one("reused", http("first").get("/closesecond"), http("second").get("/closesecond"), ...look),
    one("retried", http("first").get("/closeonce"), http("second").get("/closeonce"), ...look),
    one("checked", http("close").get("/close").check(status().is(200)), ...look),
  ).protocols(protocol);
});
