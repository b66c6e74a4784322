// "events": an EventEmitter. Listeners run at once, within `emit`.

const lists = (emitter) => {
  emitter._events ??= new Map();
  return emitter._events;
};
const add = (emitter, name, listener, first) => {
  if (typeof listener !== "function") throw new TypeError("a listener must be a function");
  if (name !== "newListener") emitter.emit("newListener", name, listener.listener ?? listener);
  const list = lists(emitter).get(name) ?? [];
  lists(emitter).set(name, first ? [listener, ...list] : [...list, listener]);
  return emitter;
};
const once = (emitter, name, listener) => {
  const called = (...args) => {
    emitter.removeListener(name, called);
    return listener.apply(emitter, args);
  };
  return Object.assign(called, { listener });
};

class Methods {
  on(name, listener) {
    return add(this, name, listener, false);
  }
  prependListener(name, listener) {
    return add(this, name, listener, true);
  }
  once(name, listener) {
    return add(this, name, once(this, name, listener), false);
  }
  prependOnceListener(name, listener) {
    return add(this, name, once(this, name, listener), true);
  }
  removeListener(name, listener) {
    const list = lists(this).get(name) ?? [];
    const at = list.findLastIndex((held) => held === listener || held.listener === listener);
    if (at < 0) return this;
    const left = list.filter((held, index) => index !== at);
    if (left.length > 0) lists(this).set(name, left);
    else lists(this).delete(name);
    return this;
  }
  removeAllListeners(name) {
    if (name === undefined) lists(this).clear();
    else lists(this).delete(name);
    return this;
  }
  emit(name, ...args) {
    const list = lists(this).get(name) ?? [];
    if (list.length === 0 && name === "error") {
      throw args[0] instanceof Error ? args[0] : new Error(`Unhandled error. (${String(args[0])})`);
    }
    for (const listener of list) listener.apply(this, args);
    return list.length > 0;
  }
  listeners(name) {
    return (lists(this).get(name) ?? []).map((held) => held.listener ?? held);
  }
  rawListeners(name) {
    return [...(lists(this).get(name) ?? [])];
  }
  listenerCount(name) {
    return (lists(this).get(name) ?? []).length;
  }
  eventNames() {
    return [...lists(this).keys()];
  }
  /** There is no limit: nothing here lives long enough to leak. */
  setMaxListeners() {
    return this;
  }
  getMaxListeners() {
    return Infinity;
  }
}

/** A plain function, because old packages call it on their own objects. */
function EventEmitter() {}
const { constructor, ...methods } = Object.getOwnPropertyDescriptors(Methods.prototype);
Object.defineProperties(EventEmitter.prototype, { ...methods, addListener: methods.on, off: methods.removeListener });

const next = (emitter, name) =>
  new Promise((resolve, reject) => {
    emitter.once(name, (...args) => resolve(args));
    if (name !== "error") emitter.once("error", reject);
  });

module.exports = Object.assign(EventEmitter, { EventEmitter, defaultMaxListeners: 10, once: next });
