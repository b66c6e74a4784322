// Order of cookies, one set at a time: longest path, then creation, which overwriting renews.
import { http } from "@gatling.io/http";
import { one, run } from "./lib.js";
/* pages
/1 200 set-cookie: a=1; Path=/

/2 200 set-cookie: b=2

/x/3 200 set-cookie: c=3

/4 200 set-cookie: d=4; Path=/x; HttpOnly

/5 200 set-cookie: e=5; Path=/; Secure

/6 200 set-cookie: a=again; Path=/

/7 200 set-cookie: b=; Path=/; Max-Age=0

/8 200 set-cookie: g="q 8"; Path=/; Expires=nonsense

/9 200 set-cookie: h=9; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=50
*/
const get = (path) => http(path).get(path);
export default run(one("order", ...["/1", "/2", "/x/3", "/4", "/5", "/x/look", "/6", "/x/look", "/7", "/8", "/9", "/x/look", "/y"].map(get)));
