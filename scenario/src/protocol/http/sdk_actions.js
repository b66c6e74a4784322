// HTTP's actions beside plain requests: cookies and the cache, several requests at once, polling.

import { inside } from "@gatling.io/http";
import { Builder, Immutable, any, duration, fail, flag, name, show, text } from "onrush:base";
import { ActionBuilder } from "onrush:structure";

/** An action that is no request; its title is what the graph and messages call it. */
class HttpActionBuilder extends ActionBuilder {
  static label = "an http action";
  steps() {
    return [{ step: "action", protocol: "http", name: { lit: this.title }, spec: this.spec }];
  }
}
const action = (title, spec) => Object.assign(new HttpActionBuilder(), { title, spec });

// ---- cookies and cache -------------------------------------------------------------------------

class AddCookie extends Immutable {
  static label = "Cookie(...)";
  change(changes) {
    return this.with({ spec: { ...this.spec, ...changes } });
  }
  withDomain(domain) {
    return this.change({ domain: name(domain, "the domain of a cookie") });
  }
  withPath(path) {
    return this.change({ path: name(path, "the path of a cookie") });
  }
  withMaxAge(seconds) {
    if (!Number.isInteger(seconds)) fail(`withMaxAge takes whole seconds, found ${show(seconds)}`);
    return this.change({ max_age: seconds });
  }
  withSecure(secure) {
    return this.change({ secure: flag(secure, "withSecure") });
  }
}

class GetCookie extends Immutable {
  static label = "CookieKey(...)";
  change(changes) {
    return this.with({ spec: { ...this.spec, ...changes } });
  }
  withDomain(domain) {
    return this.change({ domain: text(domain, "the domain of a cookie") });
  }
  withPath(path) {
    return this.change({ path: name(path, "the path of a cookie") });
  }
  withSecure(secure) {
    return this.change({ secure: flag(secure, "withSecure") });
  }
  saveAs(key) {
    return this.change({ save_as: name(key, "the attribute of saveAs") });
  }
}

export const Cookie = (key, value) => {
  const spec = { name: text(key, "the name of a cookie"), value: any(value, "the value of a cookie") };
  return Object.assign(new AddCookie(), { spec });
};
export const CookieKey = (key) =>
  Object.assign(new GetCookie(), { spec: { name: text(key, "the name of a cookie") } });

export const addCookie = (cookie) => {
  if (!(cookie instanceof AddCookie)) fail(`addCookie takes Cookie(name, value), found ${show(cookie)}`);
  return action("addCookie", { add_cookie: cookie.spec });
};
export const getCookieValue = (key) => {
  if (!(key instanceof GetCookie)) fail(`getCookieValue takes CookieKey(name), found ${show(key)}`);
  return action("getCookieValue", { get_cookie_value: key.spec });
};
export const flushSessionCookies = () => action("flushSessionCookies", { flush: "session_cookies" });
export const flushCookieJar = () => action("flushCookieJar", { flush: "cookie_jar" });
export const flushHttpCache = () => action("flushHttpCache", { flush: "http_cache" });

// ---- requests beside others ----------------------------------------------------------------------

export const httpConcurrentRequests = (...requests) => {
  if (requests.length === 0) fail("httpConcurrentRequests(...) needs at least one request");
  const concurrent = requests.map((request) => {
    const one = inside(request, "httpConcurrentRequests(...)");
    if (request.spec.resources !== undefined) fail("concurrent requests can't have resources");
    return one;
  });
  return action("httpConcurrentRequests", { concurrent });
};

class PollingEvery extends Builder {
  static label = "poll().every(...) without .exec(...)";
  exec(request) {
    const start = { every: this.period, request: inside(request, "poll().every(...).exec(...)") };
    return action("poll", { poll: { poller: this.poller, start } });
  }
}

class Polling extends Immutable {
  static label = "poll() without .every(...) or .stop()";
  pollerName(poller) {
    return this.with({ poller: name(poller, "pollerName") });
  }
  every(period) {
    const parts = { poller: this.poller, period: duration(period, "the period of poll") };
    return Object.assign(new PollingEvery(), parts);
  }
  stop() {
    return action("poll", { poll: { poller: this.poller } });
  }
}
export const poll = () => Object.assign(new Polling(), { poller: "poll" });
