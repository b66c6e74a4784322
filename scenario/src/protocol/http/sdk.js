// "@gatling.io/http": requests, the protocol, HTTP's own checks, body parts.

import {
  Immutable, any, count, fail, isFunction, list, literal, micros, name, number, plain, show, text,
} from "onrush:base";
import { glue } from "onrush:base";
import { bodyOf, pebbleFile, pebbleText } from "onrush:bodies";
import {
  captureGroupCheck, checkSpecs, conditional, findCheck, multipleFindCheck,
} from "onrush:checks";
import {
  addressList, connecting, headerList, headerOf, protocolConnecting, proxyTo,
} from "onrush:http-connection";
import { filterSpecs } from "onrush:filters";
import { base, eventStreams, streamProtocol, webSockets } from "onrush:http-streams";
import { ProtocolBuilder, asProtocol } from "onrush:simulation";
import { ActionBuilder } from "onrush:structure";
import { bodyProcessor, responseTransform } from "onrush:http-responses";

// ---- shared parts ------------------------------------------------------------------------------

const one = (key, value, what) => ({
  one: { name: text(key, `the name of ${what}`), value: any(value, `the value of ${what}`) },
});

const many = (key, values, what) => {
  const title = text(key, `the name of ${what}`);
  if (Array.isArray(values)) {
    const items = values.map((value) => literal(value, `a value of ${what}`));
    return { many: { name: title, values: items } };
  }
  return { many_expr: { name: title, values: list(values, `the values of ${what}`) } };
};

const map = (given, what) => {
  if (isFunction(given) || typeof given === "string") return { map_expr: any(given, what) };
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    fail(`${what} takes an object of names and values, found ${show(given)}`);
  }
  const entries = Object.entries(given);
  return { map: entries.map(([key, value]) => [key, any(value, `the value of ${key}`)]) };
};

// ---- requests ----------------------------------------------------------------------------------

/** A request as part of another action. */
export const inside = (request, where) =>
  request?.constructor === HttpRequestActionBuilder
    ? { name: request.title, spec: request.spec }
    : fail(`${where} takes http requests, found ${show(request)}`);

export class HttpRequestActionBuilder extends ActionBuilder {
  static label = "an http request";
  change(changes) {
    return this.with({ spec: { ...this.spec, ...changes } });
  }
  appended(field, ...items) {
    return this.change({ [field]: [...(this.spec[field] ?? []), ...items] });
  }
  queryParam(key, value) {
    return this.appended("query", one(key, value, "queryParam"));
  }
  multivaluedQueryParam(key, values) {
    return this.appended("query", many(key, values, "multivaluedQueryParam"));
  }
  queryParamMap(given) {
    return this.appended("query", map(given, "queryParamMap"));
  }
  header(key, value) {
    return this.appended("headers", headerOf(key, value));
  }
  headers(headers) {
    return this.appended("headers", ...headerList(headers));
  }
  asJson() {
    return this.change({ default_type: "application/json" });
  }
  asXml() {
    return this.change({ default_type: "application/xml" });
  }
  ignoreProtocolSignatureCalculators() {
    return this.change({ ignore_protocol_signature: true });
  }
  ignoreProtocolHeaders() {
    return this.change({ ignore_protocol_headers: true });
  }
  disableUrlEncoding() {
    return this.change({ disable_url_encoding: true });
  }
  body(given) {
    const body = bodyOf(given);
    if (body === undefined) fail(`body(...) takes a body such as StringBody(...), found ${show(given)}`);
    return this.change({ body });
  }
  bodyPart(part) {
    return this.bodyParts(part);
  }
  bodyParts(...parts) {
    return this.appended("parts", ...parts.map((part) =>
      part instanceof BodyPart ? part.spec : fail(`bodyPart(...) takes body parts, found ${show(part)}`)));
  }
  asMultipartForm() {
    return this.change({ multipart: true });
  }
  asFormUrlEncoded() {
    return this.header("content-type", "application/x-www-form-urlencoded");
  }
  formParam(key, value) {
    return this.appended("form", one(key, value, "formParam"));
  }
  multivaluedFormParam(key, values) {
    return this.appended("form", many(key, values, "multivaluedFormParam"));
  }
  formParamMap(given) {
    return this.appended("form", map(given, "formParamMap"));
  }
  form(given) {
    return this.appended("form", map(given, "form"));
  }
  formUpload(key, path) {
    return this.bodyPart(RawFileBodyPart(key, path)).change({ multipart: true });
  }
  check(...checks) {
    return this.appended("checks", ...checkSpecs(checks, "check(...)"));
  }
  checkIf(when) {
    return conditional(when, (specs) => this.appended("checks", ...specs));
  }
  ignoreProtocolChecks() {
    return this.change({ ignore_protocol_checks: true });
  }
  transformResponse(f) {
    return this.change({ transform_response: responseTransform(f) });
  }
  processRequestBody(processor) {
    return this.appended("body_processors", bodyProcessor(processor));
  }
  silent() {
    return this.change({ silent: true });
  }
  notSilent() {
    return this.change({ silent: false });
  }
  disableFollowRedirect() {
    return this.change({ disable_follow_redirect: true });
  }
  requestTimeout(timeout) {
    return this.change({ request_timeout_us: micros(timeout, "requestTimeout") });
  }
  resources(...requests) {
    return this.appended("resources", ...requests.map((request) => {
      const resource = inside(request, "resources(...)");
      if (request.spec.resources !== undefined) fail("resources can't have resources themselves");
      return resource;
    }));
  }
  steps() {
    return [{ step: "action", protocol: "http", name: this.title, spec: this.spec }];
  }
}

Object.assign(HttpRequestActionBuilder.prototype, connecting);

class Http extends Immutable {
  static label = "http(...) without a method such as .get(...)";
  httpRequest(method, url) {
    const verb = isFunction(method) ? text(method) : name(method, "the method of httpRequest");
    const spec = { method: verb, url: text(url, "the url of an http request") };
    return Object.assign(new HttpRequestActionBuilder(), { title: this.title, spec });
  }
}
for (const method of ["get", "put", "post", "patch", "head", "delete", "options"]) {
  Http.prototype[method] = function (url) {
    return this.httpRequest(method.toUpperCase(), url);
  };
}

// ---- protocol ----------------------------------------------------------------------------------

class HttpProtocolBuilder extends ProtocolBuilder {
  static label = "the http protocol";
  constructor(spec) {
    super();
    this.protocol = "http";
    this.spec = spec;
  }
  change(changes) {
    return this.with({ spec: { ...this.spec, ...changes } });
  }
  appended(field, ...items) {
    return this.change({ [field]: [...(this.spec[field] ?? []), ...items] });
  }
  baseUrl(url) {
    return this.change({ base_urls: [base(url, "baseUrl")] });
  }
  baseUrls(...urls) {
    return this.change({ base_urls: urls.flat().map((url) => base(url, "a url of baseUrls")) });
  }
  shareConnections() {
    return this.change({ share_connections: true });
  }
  localAddress(address) {
    return this.localAddresses(address);
  }
  localAddresses(...addresses) {
    if (addresses.length === 0) fail("localAddresses(...) needs at least one address");
    const list = addressList(addresses.flat(), "localAddresses(...)");
    return this.change({ local_addresses: list, use_all_local_addresses: false });
  }
  useAllLocalAddresses() {
    return this.change({ use_all_local_addresses: true, local_addresses_matching: undefined });
  }
  maxConnectionsPerHost(max) {
    return this.change({ max_connections_per_host: count(max, "maxConnectionsPerHost", 1) });
  }
  disableAutoReferer() {
    return this.change({ disable_auto_referer: true });
  }
  disableAutoOrigin() {
    return this.change({ disable_auto_origin: true });
  }
  disableCaching() {
    return this.change({ disable_caching: true });
  }
  header(key, value) {
    return this.appended("headers", headerOf(key, value));
  }
  headers(headers) {
    return this.appended("headers", ...headerList(headers));
  }
  silentResources() {
    return this.change({ silent_resources: true });
  }
  silentUri(pattern) {
    return this.change({ silent_uri: name(pattern, "the pattern of silentUri") });
  }
  disableUrlEncoding() {
    return this.change({ disable_url_encoding: true });
  }
  disableFollowRedirect() {
    return this.change({ disable_follow_redirect: true });
  }
  maxRedirects(max) {
    return this.change({ max_redirects: count(max, "maxRedirects") });
  }
  strict302Handling() {
    return this.change({ strict_302: true });
  }
  inferHtmlResources(...filters) {
    return this.change({ infer_html_resources: filterSpecs(filters, "inferHtmlResources") });
  }
  check(...checks) {
    return this.appended("checks", ...checkSpecs(checks, "check(...)"));
  }
  checkIf(when) {
    return conditional(when, (specs) => this.appended("checks", ...specs));
  }
}
Object.assign(HttpProtocolBuilder.prototype, connecting, protocolConnecting);
for (const [method, key] of Object.entries({
  acceptHeader: "accept",
  acceptCharsetHeader: "accept-charset",
  acceptEncodingHeader: "accept-encoding",
  acceptLanguageHeader: "accept-language",
  authorizationHeader: "authorization",
  connectionHeader: "connection",
  contentTypeHeader: "content-type",
  doNotTrackHeader: "dnt",
  originHeader: "origin",
  userAgentHeader: "user-agent",
  upgradeInsecureRequestsHeader: "upgrade-insecure-requests",
})) {
  HttpProtocolBuilder.prototype[method] = function (value) {
    return this.header(key, value);
  };
}
for (const [after, infer_names] of Object.entries({
  UrlTail: "url_tail",
  AbsoluteUrl: "absolute_url",
  RelativeUrl: "relative_url",
  Path: "path",
  LastPathElement: "last_path_element",
})) {
  HttpProtocolBuilder.prototype[`nameInferredHtmlResourcesAfter${after}`] = function () {
    return this.change({ infer_names });
  };
}

Object.assign(HttpProtocolBuilder.prototype, streamProtocol);

/** `http("name").get(...)` is a request, `http.baseUrl(...)` a protocol. */
const protocol = new HttpProtocolBuilder({});
const request = (title) =>
  Object.assign(new Http(), { title: text(title, "the name of an http request") });
request.label = "http";
export const http = asProtocol(
  new Proxy(request, {
    get: (target, member) =>
      typeof member === "symbol" || member in target
        ? target[member]
        : bound(protocol[member]),
  }),
  protocol,
);
const bound = (member) => (isFunction(member) ? member.bind(protocol) : member);

// ---- checks ------------------------------------------------------------------------------------

export const status = () => findCheck({ kind: "status" });
export const header = (key) =>
  multipleFindCheck({ kind: "header", name: text(key, "the name of header") });
export const headerRegex = (key, pattern) =>
  captureGroupCheck({
    kind: "header_regex",
    name: text(key, "the name of headerRegex"),
    pattern: text(pattern, "the pattern of headerRegex"),
  });
export const currentLocation = () => findCheck({ kind: "current_location" });
export const currentLocationRegex = (pattern) =>
  captureGroupCheck({
    kind: "current_location_regex",
    pattern: text(pattern, "the pattern of currentLocationRegex"),
  });

// ---- body parts --------------------------------------------------------------------------------

class BodyPart extends Immutable {
  static label = "a body part";
  change(changes) {
    return this.with({ spec: { ...this.spec, ...changes } });
  }
  contentType(value) {
    return this.change({ content_type: text(value, "contentType") });
  }
  charset(value) {
    return this.change({ charset: name(value, "charset") });
  }
  dispositionType(value) {
    return this.change({ disposition_type: text(value, "dispositionType") });
  }
  fileName(value) {
    return this.change({ file_name: text(value, "fileName") });
  }
  contentId(value) {
    return this.change({ content_id: text(value, "contentId") });
  }
  transferEncoding(value) {
    return this.change({ transfer_encoding: name(value, "transferEncoding") });
  }
  header(key, value) {
    const computed = isFunction(key) || (typeof key === "string" && key.includes("#{"));
    const header = computed
      ? { name: text(key), value: text(value, "the value of a body part's header") }
      : headerOf(key, value);
    return this.change({ headers: [...(this.spec.headers ?? []), header] });
  }
}

/** `([name,] content)`. */
const part = (label, kind, content) => (...args) => {
  if (args.length === 0 || args.length > 2) fail(`${label} takes [name,] content`);
  const value = args[args.length - 1];
  const spec = { body: { [kind]: content(value, label) } };
  if (args.length === 2) spec.name = text(args[0], `the name of ${label}`);
  return Object.assign(new BodyPart(), { spec });
};
const bytes = (value, label) => (Array.isArray(value) ? { lit: plain(value, label) } : text(value, label));

export const StringBodyPart = part("StringBodyPart", "text", text);
export const ElFileBodyPart = part("ElFileBodyPart", "el_file", text);
export const RawFileBodyPart = part("RawFileBodyPart", "raw_file", text);
export const ByteArrayBodyPart = part("ByteArrayBodyPart", "bytes", bytes);
export const PebbleStringBodyPart = part("PebbleStringBodyPart", "text", pebbleText);
export const PebbleFileBodyPart = part("PebbleFileBodyPart", "text", pebbleFile);

export {
  Cookie, CookieKey, addCookie, flushCookieJar, flushHttpCache, flushSessionCookies, getCookieValue,
  httpConcurrentRequests, poll,
} from "onrush:http-actions";
export { sitemap } from "onrush:feeders";

export { proxyTo as Proxy };
export { HttpResponseStatus } from "onrush:http-responses";

// ---- streams -----------------------------------------------------------------------------------

export const ws = webSockets(HttpRequestActionBuilder);
export const sse = eventStreams(HttpRequestActionBuilder);
export { isWsInboundMessageBinary, isWsInboundMessageText } from "onrush:http-streams";

// ---- the packages' own glue --------------------------------------------------------------------

export const [
  fromJvmHttpResponseStatus, requestActionBuilderImpl, requestWithBodyActionBuilderImpl,
  underlyingRequestTransform, underlyingResponseTransform, wrapBodyPart, wrapHttpHeaders,
  wrapHttpProtocolBuilder, wrapHttpRequestActionBuilder, wrapRequest, wrapRequestBody, wrapResponse,
  wrapResponseBody,
] = [
  "fromJvmHttpResponseStatus", "requestActionBuilderImpl", "requestWithBodyActionBuilderImpl",
  "underlyingRequestTransform", "underlyingResponseTransform", "wrapBodyPart", "wrapHttpHeaders",
  "wrapHttpProtocolBuilder", "wrapHttpRequestActionBuilder", "wrapRequest", "wrapRequestBody",
  "wrapResponse", "wrapResponseBody",
].map(glue);
