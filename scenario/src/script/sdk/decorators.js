// What decorated classes are made with: `decorators` by script/rewrite/classes.rs, for those of the
// proposal; the others by the TypeScript transform, for `experimentalDecorators`.

Symbol.metadata ??= Symbol.for("Symbol.metadata");

/** The key of the methods that only evaluate decorators. */
const EVALUATED = Symbol("decorators");

const callable = (value, what) => {
  if (typeof value !== "function") throw new TypeError(`${what} must be a function, found ${typeof value}`);
  return value;
};

const propertyKey = (key) => (typeof key === "symbol" ? key : String(key));

const named = (f, name, prefix = "") => {
  const text = typeof name === "symbol" ? `[${name.description ?? ""}]` : name;
  return Object.defineProperty(f, "name", { value: prefix + text, configurable: true });
};

const run = (list, self) => {
  for (const f of list) f.call(self);
};

/** One decorated member. */
class Member {
  decorators = [];
  key = undefined;
  /** What gives the initial value, the outermost first. */
  initial = [];
  /** What `addInitializer` was given. */
  extra = [];
  /** What the decorators made of it, where it is private. */
  made = undefined;
}

class Decorators {
  #name;
  #ofClass;
  #metadata;
  #members = [];
  /** What runs before the static fields, and before the fields of an instance. */
  #methods = { own: [], instance: [] };
  #finished = [];
  /** The class as it is written, and as its decorators left it. */
  target = undefined;
  value = undefined;

  constructor(name, ofClass) {
    this.#name = name;
    this.#ofClass = ofClass;
  }

  #member(index) {
    return (this.#members[index] ??= new Member());
  }

  evaluated(index, decorators) {
    this.#member(index).decorators = decorators;
    return EVALUATED;
  }

  key(index, ...key) {
    const member = this.#member(index);
    if (key.length > 0) member.key = propertyKey(key[0]);
    return member.key;
  }

  made(index) {
    return this.#member(index).made;
  }

  initial(index, self, value) {
    return this.#member(index).initial.reduce((value, f) => f.call(self, value), value);
  }

  extra(index, self) {
    run(this.#member(index).extra, self);
  }

  begin(self) {
    run(this.#methods.instance, self);
  }

  finish(target) {
    run(this.#finished, target);
  }

  /** Applies all of them; what the class is afterwards. */
  apply(target, entries) {
    this.target = target;
    delete target[EVALUATED];
    if (this.#name !== undefined && Object.getOwnPropertyDescriptor(target, "name")?.writable === false) {
      named(target, this.#name);
    }
    this.#metadata = Object.create(Object.getPrototypeOf(target)?.[Symbol.metadata] ?? null);
    const all = entries.map(([kind, isStatic, key, hidden], index) => {
      const member = this.#member(index);
      member.key ??= key;
      return { member, kind, isStatic, hidden };
    });
    const isField = (it) => it.kind === "field";
    const order = [(it) => !isField(it) && it.isStatic, (it) => !isField(it) && !it.isStatic,
      (it) => isField(it) && it.isStatic, (it) => isField(it) && !it.isStatic];
    for (const fits of order) for (const it of all.filter(fits)) this.#decorate(target, it);
    Object.defineProperty(target, Symbol.metadata, { value: this.#metadata, writable: true, configurable: true });
    let found = target;
    for (const decorator of this.#ofClass.toReversed()) {
      const context = { kind: "class", name: target.name, metadata: this.#metadata };
      const result = this.#call(decorator, found, context, this.#finished);
      if (result !== undefined) found = callable(result, "what a class decorator returns");
    }
    if (found !== target && !Object.hasOwn(found, Symbol.metadata)) {
      Object.defineProperty(found, Symbol.metadata, { value: this.#metadata, writable: true, configurable: true });
    }
    run(this.#methods.own, found);
    this.value = found;
    return found;
  }

  #call(decorator, value, context, extra) {
    let open = true;
    context.addInitializer = (f) => {
      if (!open) throw new TypeError("addInitializer is only for the time in which the decorator runs");
      extra.push(callable(f, "what addInitializer takes"));
    };
    try {
      return callable(decorator, "a decorator")(value, context);
    } finally {
      open = false;
    }
  }

  #decorate(target, { member, kind, isStatic, hidden }) {
    const { key } = member;
    const holder = isStatic ? target : target.prototype;
    const methods = isStatic ? this.#methods.own : this.#methods.instance;
    const extra = kind === "field" || kind === "accessor" ? member.extra : methods;
    let value = current(holder, key, kind, hidden);
    for (const decorator of member.decorators.toReversed()) {
      const context = {
        kind, name: key, static: isStatic, private: hidden !== undefined,
        access: access(kind, key, hidden), metadata: this.#metadata,
      };
      const given = kind === "accessor" ? { get: value.get, set: value.set } : value;
      const result = this.#call(decorator, given, context, extra);
      if (result === undefined) continue;
      if (kind === "field") {
        member.initial.unshift(callable(result, "what a field's decorator returns"));
      } else if (kind === "accessor") {
        value = combined(value, result, member);
      } else {
        value = callable(result, `what a ${kind}'s decorator returns`);
      }
    }
    if (hidden !== undefined) member.made = value;
    else if (kind !== "field") define(holder, key, kind, value);
  }
}

/** What a member is before it is decorated. */
const current = (holder, key, kind, hidden) => {
  if (kind === "field") return undefined;
  if (hidden !== undefined) {
    if (kind === "accessor") return { get: named(hidden.value.get, key, "get "), set: named(hidden.value.set, key, "set ") };
    return named(hidden.value, key, { getter: "get ", setter: "set " }[kind]);
  }
  const found = Object.getOwnPropertyDescriptor(holder, key);
  return { method: found.value, getter: found.get, setter: found.set, accessor: found }[kind];
};

const define = (holder, key, kind, value) => {
  const found = Object.getOwnPropertyDescriptor(holder, key);
  const changed = { method: { value }, getter: { get: value }, setter: { set: value }, accessor: value }[kind];
  const kept = kind === "accessor" ? { get: changed.get, set: changed.set } : changed;
  Object.defineProperty(holder, key, { ...found, ...kept });
};

const combined = (before, result, member) => {
  if (typeof result !== "object" || result === null) {
    throw new TypeError(`what an accessor's decorator returns must be an object, found ${typeof result}`);
  }
  const { get, set, init } = result;
  if (init !== undefined) member.initial.unshift(callable(init, "init of an accessor"));
  return {
    get: get === undefined ? before.get : callable(get, "get of an accessor"),
    set: set === undefined ? before.set : callable(set, "set of an accessor"),
  };
};

const access = (kind, key, hidden) => {
  const all = hidden ?? {
    has: (object) => key in object,
    get: (object) => object[key],
    set: (object, value) => {
      object[key] = value;
    },
  };
  const found = { has: all.has };
  if (kind !== "setter") found.get = all.get;
  if (kind !== "method" && kind !== "getter") found.set = all.set;
  return found;
};

/** Of a class (`key` is absent), a property (`descriptor` is undefined) or a method (it is null). */
const decorate = (decorators, target, key, descriptor) => {
  const member = key !== undefined;
  let found = target;
  if (member) found = descriptor === null ? Object.getOwnPropertyDescriptor(target, key) : descriptor;
  for (const decorator of decorators.toReversed()) {
    if (!decorator) continue;
    const result = member ? callable(decorator, "a decorator")(target, key, found) : callable(decorator, "a decorator")(found);
    found = result || found;
  }
  if (member && found) Object.defineProperty(target, key, found);
  return found;
};

Object.defineProperty(globalThis, "babelHelpers", {
  value: Object.freeze({
    decorators: (name, ofClass) => new Decorators(name, ofClass),
    decorate,
    decorateParam: (index, decorator) => (target, key) => decorator(target, key, index),
    decorateMetadata: (name, value) => globalThis.Reflect?.metadata?.(name, value),
  }),
});
