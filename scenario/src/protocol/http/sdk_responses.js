// Responses as `transformResponse` sees them, and what is done to the bodies of requests.

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

class ResponseBody {
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

const REDIRECTS = [301, 302, 303, 307, 308];

class Response {
  constructor(parts) {
    this.parts = parts;
  }
  status() {
    return { code: this.parts.code, reasonPhrase: this.parts.reason };
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
    return false;
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
    if (typeof content === "string") return this.with({ body: new ResponseBody(content), content });
    if (!Array.isArray(content) && !ArrayBuffer.isView(content)) {
      fail(`withBody takes a text or bytes, found ${show(content)}`);
    }
    const bytes = Array.from(content);
    const text = String.fromCharCode(...bytes.slice(0, 1 << 16).map((byte) => byte & 255));
    return this.with({ body: new ResponseBody(text, bytes), content: bytes });
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
  return register(({ status, reason, headers, text, bytes }, session) => {
    const body = new ResponseBody(text, bytes);
    const made = f(new Response({ code: status, reason, headers: new HttpHeaders(headers), body }), session);
    return isFunction(made?.then) ? made.then(finished) : finished(made);
  }, f);
};

export const bodyProcessor = (processor) =>
  processor === gzipBody
    ? "gzip"
    : fail(`processRequestBody takes gzipBody, found ${show(processor)}`);
