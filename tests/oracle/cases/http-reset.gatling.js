// A reset connection.
import { exec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/reset 200 !reset
*/
export default run(one("reset", http("reset").get("/reset"), exec((s) => s.set("was", s.isFailed())), say("#{was}")));
