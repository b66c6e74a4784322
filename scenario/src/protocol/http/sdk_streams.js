// WebSockets and event streams: `ws` and `sse`.

import {
  Immutable, any, count, duration, fail, isFunction, name, register, show, text,
} from "onrush:base";
import { checkSpecs, conditional } from "onrush:checks";
import { ActionBuilder, doIf } from "onrush:structure";

/** Whether a socket is open: what `onConnected` runs upon. */
const CONNECTED = "onrushWsConnected";

// ---- checks of messages ------------------------------------------------------------------------

class MessageCheck extends Immutable {
  static label = "a check of messages";
  change(changes) {
    return this.with({ spec: { ...this.spec, ...changes } });
  }
  added(group) {
    return this.change({ checks: [...this.spec.checks, group] });
  }
  matching(...checks) {
    return this.change({ matching: [...this.spec.matching, ...checkSpecs(checks, "matching(...)")] });
  }
  check(...checks) {
    return this.added({ checks: checkSpecs(checks, "check(...)") });
  }
  /** A function of one parameter takes the session, one of two the message as well. */
  checkIf(when) {
    if (!isFunction(when) || when.length < 2) return conditional(when, (checks) => this.added({ checks }));
    const then = (...checks) =>
      this.added({ when: register(when), checks: checkSpecs(checks, "checkIf(...).then(...)") });
    return Object.assign(new TypedCondition(), { then });
  }
}
class TypedCondition extends Immutable {
  static label = "checkIf(...) without .then(...)";
}
class FrameCheck extends MessageCheck {
  static label = "a check of frames";
  silent() {
    return this.change({ silent: true });
  }
}

const messageCheck = (Kind, label, binary, named = text) => (title) => {
  const spec = { name: named(title, `the name of ${label}`), binary, matching: [], checks: [] };
  return Object.assign(new Kind(), { spec });
};

/** The names of checks of events are no expressions in Gatling, those of frames are. */
const literal = (value, label) => (typeof value === "string" ? { lit: value } : text(value, label));

/** `.on(...checks)` after `.await(timeout)`, ending in `add(sequence)`. */
const awaiting = (Kind, label, timeout, add) => {
  const within = duration(timeout, "the duration of await");
  const on = (...checks) => {
    const specs = checks.map((check) =>
      check instanceof Kind ? check.spec : fail(`${label} takes checks of messages, found ${show(check)}`));
    if (specs.length === 0) fail(`${label} needs at least one check`);
    return add({ timeout: within, checks: specs });
  };
  return Object.assign(new Await(), { on });
};
class Await extends Immutable {
  static label = "await(...) without .on(...)";
}

// ---- actions -----------------------------------------------------------------------------------

/** `name` is the request's, `socket` which of the user's streams is meant. */
class StreamAction extends ActionBuilder {
  static label = "an action of a stream";
  steps() {
    const spec = { [this.kind]: { [this.key]: this.socket, op: this.op() } };
    return [{ step: "action", protocol: "http", name: this.title, spec }];
  }
  op() {
    return this.made;
  }
}

/** `await(timeout)` of builders that collect sequences in `awaits`. */
const awaitingFor = (Kind) =>
  function (timeout) {
    return awaiting(Kind, "on(...)", timeout, (sequence) => this.with({ awaits: [...this.awaits, sequence] }));
  };

class WsSend extends StreamAction {
  static label = "a WebSocket frame";
  op() {
    return { [this.frame]: { content: this.content, awaits: this.awaits } };
  }
}
WsSend.prototype.await = awaitingFor(FrameCheck);

const WS = { kind: "ws", key: "socket", socket: { lit: "gatling.http.webSocket" } };

const bytes = (value) =>
  Array.isArray(value) ? { lit: value.map((byte) => Math.trunc(Number(byte))) } : any(value, "sendBytes");

/** What a request has and a stream does not. */
const without = (Kind, what, members) => {
  for (const member of members) {
    Kind.prototype[member] = () => fail(`${what} has no ${member}(...)`);
  }
};

const OF_ANSWERS = [
  "check", "checkIf", "ignoreProtocolChecks", "resources", "silent", "notSilent",
  "disableFollowRedirect", "requestTimeout", "transformResponse",
];
const OF_BODIES = [
  "body", "bodyPart", "bodyParts", "asMultipartForm", "asFormUrlEncoded", "formParam",
  "multivaluedFormParam", "formParamMap", "form", "formUpload", "processRequestBody",
];

/** `process(f)`: the engine hands over pairs of time and content. */
const processing = (stream, label) => (...args) => {
  const [socket, f] = args.length > 1 ? [text(args[0], `the name of ${label}`), args[1]] : [stream.socket, args[0]];
  if (!isFunction(f)) fail(`${label} takes a function, found ${show(f)}`);
  const process = register((messages, session) =>
    f(Array.from(messages, ([at, content]) => ({ timestamp: () => at, message: () => content })), session), f);
  return Object.assign(new StreamAction(), { ...stream, socket, title: { lit: label }, made: { process } });
};

/** Made from the builder of requests: a handshake is one. */
export const webSockets = (Request) => {
  class WsConnect extends Request {
    static label = "a WebSocket connect";
    subprotocol(value) {
      return this.with({ sub: text(value, "subprotocol") });
    }
    onConnected(chain) {
      if (!isFunction(chain?.steps)) fail(`onConnected takes a chain, found ${show(chain)}`);
      return this.with({ chain });
    }
    steps() {
      const connect = { request: this.spec, awaits: this.awaits };
      if (this.sub !== null) connect.subprotocol = this.sub;
      if (this.chain !== null) connect.connected = CONNECTED;
      const spec = { ws: { socket: this.socket, op: { connect } } };
      const action = { step: "action", protocol: "http", name: this.title, spec };
      if (this.chain === null) return [action];
      return [action, ...doIf(`#{${CONNECTED}}`).then(this.chain).steps()];
    }
  }
  WsConnect.prototype.await = awaitingFor(FrameCheck);
  without(WsConnect, "a WebSocket connect", [...OF_ANSWERS, ...OF_BODIES, "asJson", "asXml"]);

  class Ws extends Immutable {
    static label = "ws(...) without an action such as .connect(...)";
    wsName(socket) {
      return this.with({ socket: text(socket, "wsName") });
    }
    /** No private member: copies of a builder would not have it. */
    action(Kind, rest) {
      return Object.assign(new Kind(), { ...WS, title: this.title, socket: this.socket, ...rest });
    }
    connect(url) {
      const spec = { method: "GET", url: text(url, "the url of a WebSocket") };
      return this.action(WsConnect, { spec, awaits: [], sub: null, chain: null });
    }
    sendText(content) {
      return this.action(WsSend, { frame: "send_text", content: text(content, "sendText"), awaits: [] });
    }
    sendBytes(content) {
      return this.action(WsSend, { frame: "send_bytes", content: bytes(content), awaits: [] });
    }
    close(code = 1000, reason = "Bye") {
      if (typeof reason !== "string") fail(`the reason of close must be a text, found ${show(reason)}`);
      if (count(code, "the code of close", 1000) > 4999) fail(`the code of close must be at most 4999, found ${code}`);
      return this.action(StreamAction, { made: { close: { code, reason } } });
    }
  }
  const ws = (title, socket) =>
    Object.assign(new Ws(), {
      title: text(title, "the name of a WebSocket request"),
      socket: socket === undefined ? WS.socket : text(socket, "wsName"),
    });
  return Object.assign(ws, {
    label: "ws",
    checkTextMessage: messageCheck(FrameCheck, "checkTextMessage", false),
    checkBinaryMessage: messageCheck(FrameCheck, "checkBinaryMessage", true),
    processUnmatchedMessages: processing(WS, "ws.processUnmatchedMessages"),
  });
};

export const isWsInboundMessageText = (message) => typeof message.message() === "string";
export const isWsInboundMessageBinary = (message) => typeof message.message() !== "string";

// ---- event streams -----------------------------------------------------------------------------

const SSE = { kind: "sse", key: "stream", socket: { lit: "gatling.http.sse" } };

class EventCheck extends MessageCheck {
  static label = "a check of events";
}

class SseCheck extends StreamAction {
  static label = "setCheck()";
  op() {
    return { check: this.awaits };
  }
}
SseCheck.prototype.await = awaitingFor(EventCheck);

/** Made from the builder of requests: a connect is one. */
export const eventStreams = (Request) => {
  class SseConnect extends Request {
    static label = "an SSE connect";
    steps() {
      const connect = { request: this.spec, awaits: this.awaits };
      const spec = { sse: { stream: this.socket, op: { connect } } };
      return [{ step: "action", protocol: "http", name: this.title, spec }];
    }
  }
  SseConnect.prototype.await = awaitingFor(EventCheck);
  without(SseConnect, "an SSE connect", OF_ANSWERS);

  class Sse extends Immutable {
    static label = "sse(...) without an action such as .get(...)";
    sseName(stream) {
      return this.with({ socket: text(stream, "sseName") });
    }
    /** No private member: copies of a builder would not have it. */
    action(Kind, rest) {
      return Object.assign(new Kind(), { ...SSE, title: this.title, socket: this.socket, ...rest });
    }
    connect(method, url) {
      const spec = { method, url: text(url, "the url of an event stream") };
      return this.action(SseConnect, { spec, awaits: [] });
    }
    get(url) {
      return this.connect("GET", url);
    }
    post(url) {
      return this.connect("POST", url);
    }
    setCheck() {
      return this.action(SseCheck, { awaits: [] });
    }
    close() {
      return this.action(StreamAction, { made: "close" });
    }
  }
  const sse = (title, stream) =>
    Object.assign(new Sse(), {
      title: text(title, "the name of an SSE request"),
      socket: stream === undefined ? SSE.socket : text(stream, "sseName"),
    });
  return Object.assign(sse, {
    label: "sse",
    checkMessage: messageCheck(EventCheck, "checkMessage", false, literal),
    processUnmatchedMessages: processing(SSE, "sse.processUnmatchedMessages"),
  });
};

// ---- protocol ----------------------------------------------------------------------------------

/** What stands before relative urls; whether that gives a url shows with each of them. */
export const base = (value, what) =>
  typeof value === "string" ? value : fail(`${what} must be a text, found ${show(value)}`);

/** What the http protocol says of streams. */
export const streamProtocol = {
  wsBaseUrl(url) {
    return this.change({ ws_base_urls: [base(url, "wsBaseUrl")] });
  },
  wsBaseUrls(...urls) {
    return this.change({ ws_base_urls: urls.flat().map((url) => base(url, "a url of wsBaseUrls")) });
  },
  wsReconnect() {
    return this.change({ ws_max_reconnects: 4294967295 });
  },
  wsMaxReconnects(max) {
    return this.change({ ws_max_reconnects: count(max, "wsMaxReconnects") });
  },
  wsAutoReplyTextFrame(f) {
    if (!isFunction(f)) fail(`wsAutoReplyTextFrame takes a function, found ${show(f)}`);
    return this.appended("ws_auto_replies", { function: register(f) });
  },
  wsAutoReplySocketIo4() {
    return this.appended("ws_auto_replies", "socket_io4");
  },
  wsUnmatchedInboundMessageBufferSize(max) {
    return this.change({ ws_unmatched_max: count(max, "wsUnmatchedInboundMessageBufferSize") });
  },
  sseUnmatchedInboundMessageBufferSize(max) {
    return this.change({ sse_unmatched_max: count(max, "sseUnmatchedInboundMessageBufferSize") });
  },
};
