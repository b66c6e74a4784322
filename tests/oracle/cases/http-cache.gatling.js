// The cache: what is skipped, what is asked again with validators.
import { regex, StringBody, exec } from "@gatling.io/core";
import { http, status, flushHttpCache } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/max 200 cache-control: max-age=100
body

/expires 200 expires: Wed, 01 Jan 2200 00:00:00 GMT

/past 200 expires: Thu, 01 Jan 1970 00:00:00 GMT

/no 200 cache-control: no-cache, max-age=100

/store 200 cache-control: no-store | etag: "n"

/zero 200 cache-control: max-age=0 | etag: "z"

/etag 200 etag: "e1"

/etag 304

/etag 200 etag: "e2"

/modified 200 last-modified: Mon, 01 Jan 2024 00:00:00 GMT

/both 200 etag: W/"w" | last-modified: Mon, 01 Jan 2024 00:00:00 GMT

/private 200 cache-control: private, max-age=60

/smax 200 cache-control: s-maxage=60

/ko 500 cache-control: max-age=100

/pragma 200 pragma: no-cache | cache-control: max-age=100
*/
const twice = (path) => [http(path).get(path), http(`${path} again`).get(path)];
export default run(
  ...["max", "expires", "past", "no", "store", "zero", "etag", "modified", "both", "private", "smax", "ko", "pragma"].map((name) => one(name, ...twice(`/${name}`), http("third").get(`/${name}`))),
  one("query", http("a").get("/max?1"), http("b").get("/max?2"), http("a").get("/max?1")),
  one("header", http("a").get("/max").header("Accept", "x/y"), http("b").get("/max").header("Accept", "z/z")),
  one("post", http("a").post("/max").body(StringBody("1")), http("b").post("/max").body(StringBody("2"))),
  one("ownvalidator", http("a").get("/etag"), http("b").get("/etag").header("If-None-Match", "\"mine\"")),
  one("skipped", http("a").get("/max").check(regex("(body)").saveAs("x")), exec((s) => s.remove("x")), http("a").get("/max").check(regex("(body)").saveAs("x")), say("#{x.exists()}")),
  one("validpost", http("a").post("/etag").body(StringBody("b")).header("Content-Type", "t/p"), http("b").post("/etag").body(StringBody("b")).header("Content-Type", "t/p"), http("f").post("/both").formParam("a", "1"), http("f2").post("/both").formParam("a", "1")),
);
