// The handshake of a WebSocket: headers, cookies, parameters, subprotocols.
// @differs sent.*.extensions | none are offered | WebSocket extensions
import { exec } from "@gatling.io/core";
import { addCookie, Cookie, http, ws } from "@gatling.io/http";
import { one, runWith, sockets, streams } from "./lib.js";
/* pages
/w 101

/chat 101 sec-websocket-protocol: chat

/v2 101 sec-websocket-protocol: v2

/cookie 101 set-cookie: ws=1; Path=/

/page 200 content-type: text/html | set-cookie: page=1; Path=/
<html></html>
*/
const open = (path) => ws("connect").connect(path);
const close = ws("close").close();
export default runWith(streams,
  one("plain", open("/w"), close),
  one("own", open("/w").header("B-One", "1").header("a-two", "2"), close),
  one("overrides", open("/w").header("Upgrade", "h2c").header("Connection", "close").header("Sec-WebSocket-Version", "12"), close),
  one("origin", open("/w").header("Origin", "http://elsewhere"), close),
  one("accept", open("/w").header("Accept", "text/plain").header("Host", "elsewhere"), close),
  one("auth", open("/w").basicAuth("u", "p"), close),
  one("query", open("/w?a=b c").queryParam("q", "d e").queryParam("r", "~*"), close),
  one("absolute", open(`${sockets}/w`), close),
  one("function", exec((s) => s.set("p", "w")), open((s) => `/${s.get("p")}`), close, ws("el", "two").connect("/#{p}#f"), ws("close", "two").close()),
  one("sub", open("/chat").subprotocol("chat"), close),
  one("subs", open("/v2").subprotocol("chat, v2"), close),
  one("subEl", exec((s) => s.set("p", "chat")), open("/chat").subprotocol("#{p}"), close),
  one("cookies", addCookie(Cookie("a", "b")), http("page").get("/page"), open("/cookie"), http("after").get("/after"), close),
  one("bare", open("/w").ignoreProtocolHeaders().header("x-user", "bare"), close),
  one("helped", open("/w"), close).protocols(streams.acceptHeader("text/html").header("X-Proto", "p").originHeader("http://o")),
  one("protoAuth", open("/w"), close).protocols(streams.basicAuth("u", "p")),
);
