// What a redirect, a parameter without values, an own Referer and silentUri make of a request.
/* pages
/raw 302 location: /to/a[b]{c}|d"<>?q=[1]{2}|3"<>#frag

/js 302 location: javascript:alert(1)

/mail 302 location: mailto:a@b.c

/same 302 location: http:foo

/colon 302 location: a.b:c

/dots 302 location: /../x/./y//../z

/307 307 location: /to/307

/silent/a 302 location: /to/loud

/loud 302 location: /silent/b

/silent/ko 500

/to/ko 302 location: /silent/ko
*/
import { exec } from "@gatling.io/core";
import { http, currentLocation } from "@gatling.io/http";
import { one, protocol, runWith, say } from "./lib.js";

const g = (url) => http("g").get(url);
const at = (url) => exec(g(url).check(currentLocation().saveAs("at")), say("#{at}"));
export default runWith(protocol.silentUri(".*/silent/.*"),
  one("locations", at("/raw"), g("/js"), g("/mail"), at("/same"), at("/colon"), at("/dots"), at("/x#own")),
  one("urls",
    exec((s) => s.set("none", [])), g("/a").multivaluedQueryParam("k", "#{none}"), g("/a?x=1").queryParamMap({}), g("/b?").multivaluedQueryParam("k", (s) => []),
    exec((s) => s.set("url", "/c?d  ")), g("#{url}"), g("/../a/../b/.."), g("/a//../b")),
  one("origins",
    http("o").post("/o").header("Referer", "http://ref.test:81/x"), http("o").post("/o").header("Referer", "https://Ref.test/x"), http("o").post("/o").header("Referer", "ref.test"),
    http("o").post("/307").header("Referer", "http://ref.test/x"), http("o").post("/307").header("Origin", "http://own.test")),
  one("silent", g("/silent/a"), g("/loud"), g("/to/ko"), say("#{none.isUndefined()}"), exec((s) => s.set("failed", String(s.isFailed()))), say("#{failed}")),
);
