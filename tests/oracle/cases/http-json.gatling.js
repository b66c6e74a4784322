// asJson, asXml, asFormUrlEncoded, asMultipartForm: headers beside own and protocol ones.
import { StringBody, simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, protocol } from "./lib.js";

const kinds = (name) => one(name,
  http("json").post("/a").asJson().body(StringBody("{}")), http("jsonget").get("/a").asJson(), http("xml").post("/a").asXml().body(StringBody("<a/>")), http("xmlget").get("/a").asXml(),
  http("own").post("/a").header("Content-Type", "a/b").asJson().body(StringBody("{}")), http("own2").post("/a").asJson().header("Accept", "a/b").body(StringBody("{}")),
  http("form").post("/a").asFormUrlEncoded().formParam("a", "b"), http("formbody").post("/a").asFormUrlEncoded().body(StringBody("x=y")), http("both").post("/a").asJson().asXml().body(StringBody("x")));
export default simulation((setUp) => {
  setUp(kinds("plain").protocols(protocol), kinds("proto").protocols(protocol.acceptHeader("text/html").contentTypeHeader("text/x")));
});
