// A base that is empty, no url or not there: absolute urls need none, the others tell of it one by one.
// @order any
import { exec, simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, target } from "./lib.js";

const ask = (name, protocol) =>
  one(name, exec((s) => s.set("u", "/x")), http(`${name} relative`).get("#{u}"), http("absolute").get(target + "/y"))
    .protocols(protocol.disableWarmUp().header("x-user", name));

export default simulation((setUp) => {
  setUp(
    ask("empty", http.baseUrl("")),
    ask("none", http.baseUrls()),
    ask("blank", http.baseUrl(" ")),
    ask("host", http.baseUrl("example.org")),
    ask("stream", http.baseUrl("").wsBaseUrl("")),
  );
});
