// addCookie, getCookieValue, flushSessionCookies, flushCookieJar.
import { exec } from "@gatling.io/core";
import { http, addCookie, Cookie, getCookieValue, CookieKey, flushSessionCookies, flushCookieJar } from "@gatling.io/http";
import { one, run, say, other } from "./lib.js";
/* pages
/set 200 set-cookie: a=1; Path=/ | set-cookie: f="6"; Path=/; Max-Age=100
*/
export default run(
  one("add", exec((s) => s.set("v", "el")), exec(addCookie(Cookie("k", "#{v}"))), http("g").get("/"), exec(addCookie(Cookie("p", "1").withPath("/x"))), http("g").get("/"), http("x").get("/x"), exec(addCookie(Cookie("z", "gone").withMaxAge(0))), http("g").get("/")),
  one("get", http("set").get("/set"), exec(getCookieValue(CookieKey("f").saveAs("cf"))), exec(getCookieValue(CookieKey("a"))), say("#{cf} #{a}"), exec(getCookieValue(CookieKey("none"))), exec((s) => s.set("was", s.isFailed())), say("#{was} #{none.exists()}")),
  one("flush", http("set").get("/set"), exec(flushSessionCookies()), http("g").get("/"), exec(flushCookieJar()), http("g").get("/")),
);
