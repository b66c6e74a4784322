// 301 and 308 are remembered by a user; flushHttpCache forgets.
import { StringBody } from "@gatling.io/core";
import { http, flushHttpCache } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/301 301 location: /end?1

/308 308 location: /end?8
*/
export default run(
  one("remembered", http("a").get("/301"), http("b").get("/301"), http("post").post("/301").body(StringBody("x")), http("c").get("/308"), http("d").post("/308").body(StringBody("x")), http("off").get("/301").disableFollowRedirect()),
);
