// Cookies: attributes, order, domains, paths, deletion, own Cookie header.
// @differs sent.cookies.* | in the order of the answer | cookies that one answer sets
import { exec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, other } from "./lib.js";
/* pages
/set 200 set-cookie: a=1; Path=/ | set-cookie: b=2; Path=/x | set-cookie: c=3 

/set2 200 set-cookie: d="q 4"; Path=/; HttpOnly | set-cookie: e=5; Path=/; Secure | set-cookie: g=7; Domain=example.com | set-cookie: novalue

/set3 200 set-cookie: f=6; Path=/; Max-Age=100 | set-cookie: =noname | set-cookie: h=; Path=/

/x/set 200 set-cookie: deep=1 | set-cookie: root=2; Path=/

/del 200 set-cookie: a=; Path=/; Max-Age=0 | set-cookie: f=x; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT

/again 200 set-cookie: a=new; Path=/

/dates 200 set-cookie: p=1; Path=/; Expires=Wed, 01 Jan 2200 00:00:00 GMT | set-cookie: q=2; Path=/; Expires=nonsense

/dates2 200 set-cookie: r=3; Path=/; Max-Age=-1 | set-cookie: s=4; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=50

/fail 500 set-cookie: ko=1; Path=/

/samesite 200 set-cookie: ss=1; Path=/; SameSite=None; Secure
*/
export default run(
  one("cookies", http("set").get("/set"), http("set2").get("/set2"), http("set3").get("/set3"), http("root").get("/"), http("x").get("/x/y"), http("deep").get("/x/set"), http("x2").get("/x/z"), http("own").get("/").header("Cookie", "mine=1"),
    http("again").get("/again"), http("order").get("/"), http("del").get("/del"), http("after").get("/"), http("other").get(`${other}/`), http("dates").get("/dates"), http("dates2").get("/dates2"), http("final").get("/"), http("fail").get("/fail"), http("kept").get("/"), http("samesite").get("/samesite"), http("last").get("/")),
  one("ownonly", http("own").get("/").header("Cookie", "mine=1; two=2")),
);
