// What the simulations of this folder share: settings, and requests that carry their own name, so
// that the target counts by it what the report counts.

import { getParameter } from "@gatling.io/core";
import { http } from "@gatling.io/http";

export const target = getParameter("target", "http://127.0.0.1:7480");
export const rate = Number(getParameter("rate", "2"));
export const duration = Number(getParameter("duration", "4"));

/** @type {(amount: number) => { amount: number, unit: "milliseconds" }} */
export const ms = (amount) => ({ amount, unit: "milliseconds" });

const named = (name) => http(name);
const marked = (name, request) => request.header("X-Request-Name", name);

export const get = (name, url) => marked(name, named(name).get(url));
export const post = (name, url) => marked(name, named(name).post(url));
export const put = (name, url) => marked(name, named(name).put(url));
export const del = (name, url) => marked(name, named(name).delete(url));

export const protocol = http.baseUrl(target).acceptHeader("application/json")
  .userAgentHeader("onrush-large").disableCaching();
