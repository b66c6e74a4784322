// Multipart: headers of parts, their order, files, charsets, an own boundary.
import { exec } from "@gatling.io/core";
import { http, StringBodyPart, RawFileBodyPart, ElFileBodyPart, ByteArrayBodyPart } from "@gatling.io/http";
import { one, run } from "./lib.js";

const p = (name) => http(name).post("/parts");
export default run(
  one("parts",
    exec((s) => s.set("user", "ann").set("n", 3)),
    p("string").bodyPart(StringBodyPart("a", "v")), p("noname").bodyPart(StringBodyPart("v")),
    p("type").bodyPart(StringBodyPart("a", "{}").contentType("application/json")), p("charset").bodyPart(StringBodyPart("a", "é").contentType("text/plain").charset("ISO-8859-1")),
    p("all").bodyPart(StringBodyPart("a", "v").contentType("a/b").fileName("f.txt").contentId("id1").transferEncoding("binary").dispositionType("attachment").header("X-Part", "h")),
    p("file").bodyPart(RawFileBodyPart("f", "raw.txt")), p("filename").bodyPart(RawFileBodyPart("f", "raw.txt").fileName("other.txt").contentType("x/y")), p("elfile").bodyPart(ElFileBodyPart("f", "el.json")),
    p("bytes").bodyPart(ByteArrayBodyPart("b", [104, 105])), p("upload").formUpload("up", "raw.txt"), p("mixed").formParam("p", "q").bodyPart(StringBodyPart("a", "v")).formParam("r", "s"),
    p("several").bodyParts(StringBodyPart("a", "1"), StringBodyPart("b", "#{user}")), p("asform").asMultipartForm().formParam("a", "1"), p("own").header("Content-Type", "multipart/form-data; boundary=myown").bodyPart(StringBodyPart("a", "v")), p("related").header("Content-Type", "multipart/related").bodyPart(StringBodyPart("a", "v"))),
);
