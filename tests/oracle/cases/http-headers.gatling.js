// Order and spelling of headers: own, helpers, automatic ones. At most four of one's own, as Gatling
// sends more in the order of a hash map.
// @differs sent.many.0.headers | in the order given | more than four headers of one's own
import { StringBody, exec, simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, protocol } from "./lib.js";

export default simulation((setUp) => {
  const helped = protocol.userAgentHeader("agent").acceptHeader("text/html");
  setUp(
    one("own", http("get").get("/a").header("B-One", "1").header("a-two", "2").header("b-one", "again"), http("accept").get("/a").header("Accept", "x/y"), http("trim").get("/a").header("trim", "  v  ").header("empty", ""), http("post").post("/a").headers({ "Content-Type": "text/plain" }).header("Z", "z").body(StringBody("b")),
      exec((s) => s.set("h", "el")), http("el").get("/a").header("El", "#{h}").header("Fn", (s) => s.get("h") + "2")).protocols(protocol),
    one("proto", http("get").get("/a"), http("both").get("/a").header("X-both", "mine"), http("ignore").get("/a").ignoreProtocolHeaders().header("x-user", "proto").header("Only", "me"), http("ignorepost").post("/a").ignoreProtocolHeaders().header("x-user", "proto").body(StringBody("b"))).protocols(protocol.header("X-Proto", "p").header("X-Both", "proto")),
    one("helped", http("get").get("/a"), http("own").get("/a").header("User-Agent", "own"), http("post").post("/a").body(StringBody("b"))).protocols(helped),
    one("types", http("get").get("/a"), http("post").post("/a").body(StringBody("b"))).protocols(protocol.contentTypeHeader("text/x").acceptEncodingHeader("gzip").acceptLanguageHeader("en")),
    one("rest", http("get").get("/a")).protocols(protocol.doNotTrackHeader("1").upgradeInsecureRequestsHeader("1").acceptCharsetHeader("utf-8")),
    one("conn", http("get").get("/a")).protocols(protocol.connectionHeader("keep-alive").authorizationHeader("Bearer t")),
    one("many", http("get").get("/a").headers({ A: "1", B: "2", C: "3", D: "4", E: "5" })),
  ).protocols(protocol);
});
