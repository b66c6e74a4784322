// disableCaching, and flushHttpCache.
import { simulation, exec } from "@gatling.io/core";
import { http, flushHttpCache } from "@gatling.io/http";
import { one, protocol } from "./lib.js";
/* pages
/max 200 cache-control: max-age=100 | etag: "a"

/301 301 location: /max
*/
export default simulation((setUp) => {
  setUp(
    one("off", http("a").get("/max"), http("b").get("/max"), http("c").get("/301"), http("d").get("/301")).protocols(protocol.disableCaching()),
    one("flush", http("a").get("/max"), exec(flushHttpCache()), http("b").get("/max"), http("c").get("/301"), exec(flushHttpCache()), http("d").get("/301")).protocols(protocol),
  );
});
