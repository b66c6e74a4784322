// Automatic Referer and Origin: which pages set them, which requests carry them.
import { StringBody, simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, protocol, other } from "./lib.js";
/* pages
/html 200 content-type: text/html; charset=utf-8
<html></html>

/xhtml 200 content-type: application/xhtml+xml
<html/>

/json 200 content-type: application/json
{}

/html500 500 content-type: text/html

/redirect 302 location: /html?r | content-type: text/html
*/
const g = (url) => http(url).get(url);
const p = (url) => http(`post ${url}`).post(url).body(StringBody("x"));
export default simulation((setUp) => {
  setUp(
    one("referer", p("/before"), g("/json"), g("/html?a=1#f"), g("/json"), p("/x"), g("/next"), g("/xhtml"), p("/y"), g("/html500"), p("/z"), g("/redirect"), p("/w"), g(`${other}/o`), p(`${other}/o`), http("del").delete("/d"), http("head").head("/h"), http("opt").options("/h"), http("put").put("/h"),
      http("ajax").get("/html?ajax").header("X-Requested-With", "XMLHttpRequest"), p("/afterajax"), http("own").post("/own").header("Referer", "http://r").header("Origin", "http://o").body(StringBody("x")), http("ignore").post("/i").ignoreProtocolHeaders().header("x-user", "referer").body(StringBody("x"))),
    one("off", g("/html"), p("/x")).protocols(protocol.disableAutoReferer()),
    one("originoff", g("/html"), p("/x")).protocols(protocol.disableAutoOrigin()),
    one("proto", g("/html"), p("/x")).protocols(protocol.originHeader("http://po")),
  ).protocols(protocol);
});
