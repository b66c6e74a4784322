// The benchmark's cases for k6.
import http from "k6/http";
import { check } from "k6";

const kind = __ENV.CASE;
const target = __ENV.TARGET;
const rows = open("./resources/visitors.csv").trim().split("\n").slice(1).map((row) => row.split(","));

export const options = {
  vus: Number(__ENV.USERS),
  duration: `${__ENV.SECONDS}s`,
  summaryTrendStats: ["p(50)", "p(99)"],
};

function get() {
  http.get(`${target}/`, { tags: { name: "get" } });
}

let x = 0;
function counted() {
  x += 1;
}

function order() {
  const [id, token] = rows[(__VU + __ITER) % rows.length];
  const headers = {
    "accept": "application/json", "accept-encoding": "identity", "content-type": "application/json",
    "user-agent": "bench/1", "x-token": token, "x-trace": `trace-${id}`,
  };
  const body = `{"item": ${id}, "token": "${token}", "quantity": 1}`;
  const answer = http.post(`${target}/items/${id}?token=${token}`, body,
    { headers, timeout: "10s", tags: { name: "order" } });
  check(answer, { status: (it) => it.status === 200 });
  return answer.json("id");
}

export default function () {
  if (kind === "trivial") return get();
  if (kind === "script") counted();
  order();
}
