// Content-Encoding, chunks, charsets: what checks see.
import { bodyString, bodyLength } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/gzip 200 content-type: text/plain | !gzip
zipped text

/deflate 200 content-type: text/plain | !deflate
deflated text

/chunked 200 content-type: text/plain | !chunked
in chunks

/unknown 200 content-type: text/plain; charset=nope
text

/emptygzip 200 content-type: text/plain | !chunked
*/
const get = (path) => [http(path).get(path).check(bodyString().saveAs("b"), bodyLength().saveAs("l")), say("#{b} #{l}")];
export default run(one("encodings", ...["/gzip", "/deflate", "/chunked", "/unknown", "/emptygzip"].flatMap(get)));
