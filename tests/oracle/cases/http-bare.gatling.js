// What is sent without any setting, for each method; bodies and Content-Length: 0.
import { StringBody, RawFileBody, ByteArrayBody, exec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run } from "./lib.js";

export default run(
  one("bare",
    http("get").get("/a"), http("post").post("/a"), http("put").put("/a"), http("patch").patch("/a"), http("delete").delete("/a"), http("head").head("/a"), http("options").options("/a"),
    http("custom").httpRequest("PROPFIND", "/a"), http("lower").httpRequest("get", "/a"),
    http("getbody").get("/a").body(StringBody("b")), http("deletebody").delete("/a").body(StringBody("b")), http("bytes").post("/a").body(ByteArrayBody([104, 105])), http("file").post("/a").body(RawFileBody("raw.txt")),
    http("emptybody").post("/a").body(StringBody("")), http("unicode").post("/a").body(StringBody("é€")), http("fnbody").put("/a").body(StringBody((s) => "fn " + s.scenario()))),
);
