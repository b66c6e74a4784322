// Requests as `sign` sees them, responses as `transformResponse` does, and what is done to the bodies
// of requests.

import { fail, isFunction, register, show } from "onrush:base";
import { gzipBody } from "onrush:bodies";

class HttpHeaders {
  constructor(pairs) {
    this.pairs = pairs;
  }
  get(name) {
    return this.getAll(name)[0];
  }
  getAll(name) {
    const wanted = String(name).toLowerCase();
    return this.pairs.filter(([key]) => key.toLowerCase() === wanted).map(([, value]) => value);
  }
  add(name, value) {
    this.pairs.push([String(name), String(value)]);
    this.changed = true;
    return this;
  }
}

/** UTF-8, signed as Java's bytes are. */
const utf8 = (text) =>
  Array.from(unescape(encodeURIComponent(text)), (byte) => (byte.charCodeAt(0) << 24) >> 24);

/** Bytes that are no text, for who asks for text all the same. */
const binary = (bytes) =>
  String.fromCharCode(...bytes.slice(0, 1 << 16).map((byte) => byte & 255));

class Content {
  constructor(text, bytes) {
    Object.assign(this, { text, given: bytes });
  }
  string() {
    return this.text;
  }
  chars() {
    return this.text.split("");
  }
  bytes() {
    this.given ??= utf8(this.text);
    return Array.from(this.given);
  }
  length() {
    return this.bytes().length;
  }
}

/** `code reason`; the constants are named by the reasons. */
const STATUSES = `100 Continue,101 Switching Protocols,102 Processing,103 Early Hints,200 OK,201 Created,
202 Accepted,203 Non-Authoritative Information,204 No Content,205 Reset Content,206 Partial Content,
207 Multi-Status,300 Multiple Choices,301 Moved Permanently,302 Found,303 See Other,304 Not Modified,
305 Use Proxy,307 Temporary Redirect,308 Permanent Redirect,400 Bad Request,401 Unauthorized,
402 Payment Required,403 Forbidden,404 Not Found,405 Method Not Allowed,406 Not Acceptable,
407 Proxy Authentication Required,408 Request Timeout,409 Conflict,410 Gone,411 Length Required,
412 Precondition Failed,413 Request Entity Too Large,414 Request-URI Too Long,
415 Unsupported Media Type,416 Requested Range Not Satisfiable,417 Expectation Failed,
421 Misdirected Request,422 Unprocessable Entity,423 Locked,424 Failed Dependency,
425 Unordered Collection,426 Upgrade Required,428 Precondition Required,429 Too Many Requests,
431 Request Header Fields Too Large,500 Internal Server Error,501 Not Implemented,502 Bad Gateway,
503 Service Unavailable,504 Gateway Timeout,505 HTTP Version Not Supported,
506 Variant Also Negotiates,507 Insufficient Storage,510 Not Extended,
511 Network Authentication Required`;

export class HttpResponseStatus {
  constructor(code, reasonPhrase) {
    this.code = code;
    this.reasonPhrase = reasonPhrase;
  }
}
const known = new Map();
for (const line of STATUSES.split(/,\s*/)) {
  const status = new HttpResponseStatus(Number(line.slice(0, 3)), line.slice(4));
  HttpResponseStatus[status.reasonPhrase.toUpperCase().replace(/[^A-Z]/g, "_")] = status;
  known.set(status.code, status);
}

const REDIRECTS = [301, 302, 303, 307, 308];

class Response {
  constructor(parts) {
    this.parts = parts;
  }
  status() {
    const { code, reason } = this.parts;
    return known.get(code) ?? new HttpResponseStatus(code, reason);
  }
  headers() {
    return this.parts.headers;
  }
  body() {
    return this.parts.body;
  }
  isRedirect() {
    return REDIRECTS.includes(this.parts.code);
  }
  isHttp2() {
    return this.parts.http2;
  }
  /** The same with other parts: beyond Gatling, whose users write a JVM's constructor instead. */
  with(changes) {
    return new Response({ ...this.parts, ...changes, changed: true });
  }
  withStatus(code) {
    return this.with({ code, reason: "" });
  }
  withHeader(name, value) {
    const others = this.headers().pairs.filter(([key]) => key.toLowerCase() !== String(name).toLowerCase());
    return this.with({ headers: new HttpHeaders([...others, [String(name), String(value)]]) });
  }
  /** A text, or bytes. */
  withBody(content) {
    if (typeof content === "string") return this.with({ body: new Content(content), content });
    if (!Array.isArray(content) && !ArrayBuffer.isView(content)) {
      fail(`withBody takes a text or bytes, found ${show(content)}`);
    }
    const bytes = Array.from(content);
    return this.with({ body: new Content(binary(bytes), bytes), content: bytes });
  }
}

const finished = (made) => {
  if (!(made instanceof Response)) fail(`transformResponse must return a response, found ${show(made)}`);
  const { code, headers, body, content, changed } = made.parts;
  if (!changed && !headers.changed) return null;
  return { status: code, headers: headers.pairs, body: content ?? body.given ?? body.text };
};

export const responseTransform = (f) => {
  if (!isFunction(f)) fail(`transformResponse takes (response, session) => response, found ${show(f)}`);
  return register(({ status, reason, http2, headers, text, bytes }, session) => {
    const body = new Content(text, bytes);
    const parts = { code: status, reason, http2, headers: new HttpHeaders(headers), body };
    const made = f(new Response(parts), session);
    return isFunction(made?.then) ? made.then(finished) : finished(made);
  }, f);
};

export const bodyProcessor = (processor) =>
  processor === gzipBody
    ? "gzip"
    : fail(`processRequestBody takes gzipBody, found ${show(processor)}`);

// ---- signatures --------------------------------------------------------------------------------

/** Remembers what was added. */
class SignedHeaders extends HttpHeaders {
  added = [];
  add(name, value) {
    this.added.push([String(name), String(value), false]);
    return super.add(name, value);
  }
  /** In place of those of that name: beyond Gatling's typings, as its JVM has it. */
  set(name, value) {
    const others = this.pairs.filter(([key]) => key.toLowerCase() !== String(name).toLowerCase());
    this.pairs = [...others, [String(name), String(value)]];
    this.added.push([String(name), String(value), true]);
    return this;
  }
}

class Request {
  constructor(parts) {
    this.parts = parts;
  }
  /** Beyond Gatling's typings, as its JVM has it. */
  method() {
    return this.parts.method;
  }
  /** The absolute one. */
  uri() {
    return this.parts.url;
  }
  headers() {
    return this.parts.headers;
  }
  /** Absent: it has none. */
  body() {
    return this.parts.body;
  }
}

const signed = (made) =>
  made instanceof Request
    ? made.parts.headers.added
    : fail(`sign must return the request, found ${show(made)}`);

export const requestSigner = (f) => {
  if (!isFunction(f)) fail(`sign takes (request, session) => request, found ${show(f)}`);
  return register(({ method, url, headers, text, bytes }, session) => {
    const none = text === undefined && bytes === undefined;
    const body = none ? undefined : new Content(text ?? binary(bytes), bytes);
    const made = f(new Request({ method, url, headers: new SignedHeaders(headers), body }), session);
    return isFunction(made?.then) ? made.then(signed) : signed(made);
  }, f);
};
