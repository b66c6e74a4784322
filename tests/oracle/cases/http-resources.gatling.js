// Resources: counts, names, what they see, failing parents, silence.
// @order any
import { regex, exec, simulation, group } from "@gatling.io/core";
import { http, status } from "@gatling.io/http";
import { one, protocol, say } from "./lib.js";
/* pages
/page 200 content-type: text/html | set-cookie: a=1; Path=/
token=abc

/bad 500

/r 302 location: /r2
*/
export default simulation((setUp) => {
  setUp(
    one("page", http("page").get("/page").check(regex("token=(\\w+)").saveAs("t")).resources(http("r1").get("/r1?#{t}").header("X-T", "#{t}"), http("r2").get("/bad"), http("r3").get("/r"), http("r4").post("/form").formParam("a", "1")), exec((s) => s.set("was", s.isFailed())), say("#{was}")),
    one("badparent", http("bad").get("/bad").resources(http("never").get("/x")), say("on")),
    one("unbuilt", http("u").get("/page").resources(http("r").get("/#{nope}"), http("r2").get("/fine")), exec((s) => s.set("was", s.isFailed())), say("#{was}")),
    one("unbuiltparent", http("u").get("/#{nope}").resources(http("never").get("/x")), say("on")),
    one("silentparent", http("s").get("/page").silent().resources(http("loud").get("/x"))),
    one("saves", http("page").get("/page").resources(http("r1").get("/page").check(regex("(token)").saveAs("fromr"))), say("#{fromr}")),
    one("silentres", http("page").get("/page").resources(http("quiet").get("/x"), http("loud").get("/y").notSilent())).protocols(protocol.silentResources()),
    one("silenturi", http("page").get("/page").resources(http("quiet").get("/x.css"), http("loud").get("/y")), http("quiet2").get("/z.css"), http("loud2").get("/z.css").notSilent()).protocols(protocol.silentUri(".*css")),
    one("checked", http("page").get("/page").resources(http("r1").get("/x").check(status().is(404), regex("zz")))),
    one("group", group("g").on(http("page").get("/page").resources(http("r1").get("/x"), http("r2").get("/bad")))),
  ).protocols(protocol);
});
