// URLs: parameters, encoding, absolute and relative, fragments.
import { exec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, target, other, say } from "./lib.js";

const g = (url, name = "g") => http(name).get(url);
export default run(
  // Gatling drops the connection that such a request was to be written to: nothing follows.
  one("raw", g("/raw path?a=b c&d=é", "raw").disableUrlEncoding()),
  one("raw parameter", g("/raw", "raw").queryParam("k", "v w").disableUrlEncoding()),
  one("urls",
    exec((s) => s.set("v", "é &=+").set("l", ["a", "b c"]).set("m", { k: "v 1", "k&": "x" })),
    g("/a b/c?d=e f"), g("/%20/%zz?x=%41"), g("/a?b#frag"), g("/a/../b/./c"), g("/a//b"), g("/é?é=é"), g(`${target}/abs`), g(`${other}/abs`), g("/x?a=1&a=2&&b"), g("/[x]{y}|z^`\"<>\\"),
    g("/~a!b*c'(d)-._;e:@&=+$,"), g("?only=query"), g("/q?a=b+c%2B"), g("/p;x=1/q"),
    g("/a").queryParam("k", "v w").queryParam("~!*()'-._", "~!*()'-._").queryParam("é", "#{v}").queryParam("n", 5),
    g("/a?x=1").queryParam("k", "v"), g("/a#f").queryParam("k", "v"), g("/a?").queryParam("k", ""),
    g("/a").multivaluedQueryParam("l", ["x", "y"]).multivaluedQueryParam("e", "#{l}").multivaluedQueryParam("f", (s) => ["p", "q"]),
    g("/a").queryParamMap({ x: "1", y: "#{v}", z: 3 }).queryParamMap("#{m}"),
    g("/a").queryParam("f", (s) => "fn").queryParam("#{l(0)}", "elkey"),
    g("/el/#{l(1)}/x"), g((s) => "/fn/" + s.scenario()), g("/colon:80/x")),
);
