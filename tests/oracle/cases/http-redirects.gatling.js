// Redirects: each hop a request of its own, names, methods, headers, errors.
import { StringBody, regex, simulation } from "@gatling.io/core";
import { http, status, header, currentLocation } from "@gatling.io/http";
import { one, protocol, say } from "./lib.js";
/* pages
/301 301 location: /end?1

/302 302 location: end?2

/303 303 location: http://TARGET/end?3

/307 307 location: /end?7

/308 308 location: /end?8

/chain 302 location: /302

/loop 302 location: /loop

/none 302

/empty 302 location:

/300 300 location: /end

/frag 302 location: /end?f#frag

/cookie 302 location: /end?c | set-cookie: hop=1; Path=/

/bad 302 location: /500

/500 500

/up/er/x 302 location: ../y

/scheme 302 location: //TARGET/end?s

/body 302 location: /end?b | content-type: text/plain
redirect body
*/
const codes = ["301", "302", "303", "307", "308"];
const calls = (method) => codes.map((code) => http(`${method} ${code}`)[method](`/${code}`).header("X-Own", "o").header("Content-Type", "a/b").body(StringBody("body")));
export default simulation((setUp) => {
  const p = protocol.disableCaching();
  setUp(
    one("get", ...codes.map((code) => http(code).get(`/${code}`).header("X-Own", "o"))),
    one("post", ...calls("post")), one("put", ...calls("put")), one("delete", ...calls("delete")), one("options", ...codes.map((code) => http(code).options(`/${code}`))), one("head", ...codes.map((code) => http(code).head(`/${code}`))),
    one("kinds", http("chain").get("/chain").check(status().is(200), currentLocation().saveAs("at")), say("#{at}"), http("none").get("/none"), http("empty").get("/empty").disableFollowRedirect().check(status().is(302)), http("300").get("/300"), http("frag").get("/frag"), http("bad").get("/bad"), http("up").get("/up/er/x"), http("scheme").get("/scheme"), http("body").get("/body").check(regex("redirect")), http("checked").get("/302").check(status().is(302))),
    one("cookie", http("cookie").get("/cookie"), http("after").get("/end")),
    one("off", http("off").get("/302").disableFollowRedirect(), http("offchecked").get("/302").disableFollowRedirect().check(status().is(302), header("location").is("end?2"))),
    one("max", http("loop").get("/loop")).protocols(p.maxRedirects(3)),
    one("strict", ...calls("post")).protocols(p.strict302Handling()),
    one("protooff", http("x").get("/302").check(status().is(302))).protocols(p.disableFollowRedirect()),
    one("form", http("form").post("/302").formParam("a", "1"), http("form307").post("/307").formParam("a", "1")),
  ).protocols(p);
});
