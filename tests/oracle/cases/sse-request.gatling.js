// The request that opens an event stream: method, headers, body, cookies.
// @differs sent.*.connection | one of its own | connection of an event stream
// @differs sent.cookies.2.headers | kept | cookies of an event stream
import { exec, StringBody } from "@gatling.io/core";
import { addCookie, Cookie, http, sse } from "@gatling.io/http";
import { one, protocol, run, target } from "./lib.js";
/* pages
/e 200 content-type: text/event-stream | !stream
send data: x¶¶

/cookie 200 content-type: text/event-stream | set-cookie: sse=1; Path=/ | !stream
send data: x¶¶

/page 200 content-type: text/html | set-cookie: page=1; Path=/
<html></html>
*/
const got = sse.checkMessage("got");
const get = (path = "/e") => sse("connect").get(path).await(3).on(got);
const post = (path = "/e") => sse("connect").post(path).await(3).on(got);
const close = sse("close").close();
export default run(
  one("plain", get(), close),
  one("own", get().header("B-One", "1"), close),
  one("accept", get().header("Accept", "text/plain").header("Cache-Control", "max-age=0"), close),
  one("json", get().asJson(), close),
  one("auth", get().basicAuth("u", "p"), close),
  one("query", get("/e?a=b c").queryParam("q", "d e"), close),
  one("absolute", get(`${target}/e`), close),
  one("function", exec((s) => s.set("p", "e")), get((s) => `/${s.get("p")}`), close, sse("el", "two").get("/#{p}#f").await(3).on(got), sse("close", "two").close()),
  one("cookies", addCookie(Cookie("a", "b")), http("page").get("/page"), get("/cookie"), http("after").get("/after"), close),
  one("lastId", get().header("Last-Event-ID", "5"), close),
  one("bare", get().ignoreProtocolHeaders().header("x-user", "bare"), close),
  one("empty", post(), close),
  one("body", post().body(StringBody("hello")), close),
  one("bodyJson", post().body(StringBody("{}")).asJson(), close),
  one("bodyType", post().body(StringBody("x")).header("Content-Type", "text/x"), close),
  one("form", post().formParam("a", "b c").formParam("d", "e"), close),
  one("helped", get(), sse("post", "two").post("/e").body(StringBody("b")).await(3).on(got), close, sse("close", "two").close()).protocols(protocol.acceptHeader("text/html").header("X-Proto", "p").header("Cache-Control", "private")),
  one("protoAuth", get(), close).protocols(protocol.basicAuth("u", "p")),
);
