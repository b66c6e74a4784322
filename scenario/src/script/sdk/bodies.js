// Request bodies. Each is also a function of the session, and used as one: `bodyString().is(body)`.

import { fail, fn, isFunction, literal, native, show, text } from "onrush:base";

const bodies = new WeakMap();

/** The body of a request, or `undefined` for any other value. */
export const bodyOf = (value) => (isFunction(value) ? bodies.get(value) : undefined);

const made = (label, body, f) => {
  f.label = label;
  bodies.set(f, body);
  return f;
};

const resolve = (value, session) =>
  isFunction(value) ? value(session) : native.elValue(value, session);

/** For `processRequestBody`: the body goes out compressed. */
export const gzipBody = () => fail("gzipBody belongs into processRequestBody(gzipBody)");
gzipBody.label = "gzipBody";

export const StringBody = (value) =>
  made("StringBody(...)", { text: text(value, "the text of StringBody") }, (session) =>
    String(resolve(value, session)));

export const ElFileBody = (path) =>
  made("ElFileBody(...)", { el_file: text(path, "the path of ElFileBody") }, (session) =>
    String(native.elValue(native.resourceText(resolve(path, session)), session)));

export const RawFileBody = (path) =>
  made("RawFileBody(...)", { raw_file: text(path, "the path of RawFileBody") }, (session) =>
    native.resourceBytes(resolve(path, session)));

export const ByteArrayBody = (bytes) => {
  const isBytes = Array.isArray(bytes) || ArrayBuffer.isView(bytes);
  if (!isBytes && !isFunction(bytes) && typeof bytes !== "string") {
    fail(`ByteArrayBody takes an array of bytes, an expression-language string or a function, found ${show(bytes)}`);
  }
  const content = isBytes ? literal(bytes, "the bytes of ByteArrayBody") : text(bytes, "ByteArrayBody");
  return made("ByteArrayBody(...)", { bytes: content }, (session) =>
    isBytes ? Array.from(bytes) : resolve(bytes, session));
};

const template = (source, kind) => {
  const problem = native.pebbleProblem(source);
  if (problem != null) fail(problem, kind);
  return { pebble: source };
};

/** What `{text: …}` of a body becomes for a template in the script. */
export const pebbleText = (source, what) => {
  if (typeof source !== "string") fail(`${what} takes a template, found ${show(source)}`);
  return template(source);
};

/** The same of a template in a file; where the path depends on the user, it is read when used. */
export const pebbleFile = (path, what) => {
  if (typeof path === "string" && !path.includes("#{")) {
    const problem = native.resourceProblem(path);
    if (problem != null) fail(problem, "file_missing");
    return template(native.resourceText(path), "file_invalid");
  }
  text(path, `the path of ${what}`);
  return fn((session) => native.pebbleValue(native.resourceText(resolve(path, session)), session));
};

export const PebbleStringBody = (source) =>
  made("PebbleStringBody(...)", { text: pebbleText(source, "PebbleStringBody") }, (session) =>
    native.pebbleValue(source, session));

export const PebbleFileBody = (path) =>
  made("PebbleFileBody(...)", { text: pebbleFile(path, "PebbleFileBody") }, (session) =>
    native.pebbleValue(native.resourceText(resolve(path, session)), session));
