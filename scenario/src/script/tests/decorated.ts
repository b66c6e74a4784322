const log: string[] = [];
const name = (c: any) => String(c.name);
function d(label: string): any {
  log.push("eval " + label);
  return (value: any, c: any) => {
    log.push(`${label}: ${c.kind} ${name(c)} ${c.static ?? "-"} ${c.private ?? "-"} ${typeof value} ${Object.keys(c.access ?? {}).sort().join("+")}`);
    c.metadata[label] = c.kind;
    c.addInitializer?.(function (this: any) { log.push("init " + label); });
    if (c.kind === "field") return (x: any) => { log.push("first value " + label); return x + 1; };
    if (c.kind === "accessor") return { init(x: any) { log.push("first value " + label); return x * 2; } };
    if (c.kind === "method") return function (this: any, ...args: any[]) { log.push("call " + label); return value.apply(this, args); };
    return undefined;
  };
}
const k = (x: string) => { log.push("key " + x); return x; };
class Base { hello() { return "hello"; } }
@d("C1") @d("C2")
class C<T> extends Base {
  @d("m") m(): string { return super.hello() + this.#pm(1) + this.#g; }
  @d("f1") @d("f2") f: number = 2; @d("none") none!: number
  @d("sm") static sm() { return 5; }
  @d("sf") static readonly sf = 3;
  @d("acc") accessor acc = 4; accessor bare = "b"; static accessor [k("x")] = 1;
  @d("get") get g() { return 6; }
  @d("pm") #pm(n: number) { return n + 7; }
  @d("pf") #pf = 8;
  @d("pg") get #g() { return 9; }
  @d("ps") static set #s(v: number) { log.push("set " + v); }
  @d("pa") accessor #pa = 10;
  @d("sacc") static accessor sacc = 11;
  plain = log.push("plain");
  [k("k1")] = 1; @d("comp") [k("k2")]() { return this.#pf + this.#pa; }
  static { C.#s = 3; log.push("static block"); }
  @d("sset") static set ss(x: any) {}
  @d("lit") "a b" = 1; @d("num") 7 = 1;
}
log.push("made");
const c: any = new C();
log.push([c.m(), c.f, c.none, C.sm(), C.sf, c.acc, c.bare, (C as any).x, c.g, c.k2(), (C as any).sacc, c["a b"], c[7]].join(" "));
const E = @d("E") class {};
log.push(E.name, C.name, c.m.name, Object.getOwnPropertyNames(C.prototype).sort().join(), Object.getOwnPropertyNames(C).sort().join());
log.push(Object.keys((C as any)[(Symbol as any).metadata ?? Symbol.for("Symbol.metadata")]).join());
