// basicAuth: on the request, on the protocol, beside an own header.
import { simulation, exec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, protocol } from "./lib.js";

export default simulation((setUp) => {
  setUp(
    one("basic", exec((s) => s.set("u", "user").set("p", "pä:ss")), http("lit").get("/a").basicAuth("u", "p"), http("el").get("/a").basicAuth("#{u}", "#{p}"), http("fn").get("/a").basicAuth((s) => s.get("u"), (s) => "q"), http("none").get("/a"), http("empty").get("/a").basicAuth("", "")).protocols(protocol),
    one("proto", http("a").get("/a"), http("own").get("/a").basicAuth("x", "y")).protocols(protocol.basicAuth("u", "p")),
    one("helper", http("a").get("/a")).protocols(protocol.authorizationHeader("Bearer #{scenario.exists()}")),
  );
});
