// Locations that are read in more than one way.
// @differs sent.query.1.* | resolved as RFC 3986 says: `/query?q=1` | a `Location` that is only a query
// @differs sent.space.* | sent, with the space encoded | a `Location` with a space
// @differs requests.space Redirect 1 | sent, with the space encoded | a `Location` with a space
// @differs errors.The URI contain illegal* | sent, with the space encoded | a `Location` with a space
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/query 302 location: ?q=1

/query 200

/space 302 location: /end?a b
*/
export default run(one("query", http("query").get("/query")), one("space", http("space").get("/space")));
