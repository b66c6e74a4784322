// Checks of the protocol come after the request's own; ignoreProtocolChecks.
import { regex, simulation, exec, substring } from "@gatling.io/core";
import { http, status } from "@gatling.io/http";
import { one, protocol, say } from "./lib.js";
/* pages
/x 500 content-type: text/plain
abc
*/
export default simulation((setUp) => {
  setUp(
    one("checks", http("a").get("/x"), http("b").get("/x").check(regex("zz")), http("c").get("/x").ignoreProtocolChecks(), http("d").get("/x").check(status().is(201)), http("e").get("/x").ignoreProtocolChecks().check(regex("a"))).protocols(protocol.check(regex("yy"), status().is(500))),
    one("if", exec((s) => s.set("on", true)), http("a").get("/x").check(status().is(500))).protocols(protocol.checkIf("#{on}").then(regex("qq"))),
    one("order", http("a").get("/x").check(substring("(mine)").name("mine"))).protocols(protocol.check(substring("(proto)").name("proto"), status().is(500))),
  );
});
