// What HTTP's requests and its protocol have in common: headers, how they say who sends them, and
// the way to the target.

import { Immutable, count, fail, flag, name, show, text } from "onrush:base";
import { requestSigner } from "onrush:http-responses";

// ---- headers -----------------------------------------------------------------------------------

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export const headerOf = (key, value) => {
  if (typeof key !== "string" || !TOKEN.test(key)) fail(`${show(key)} is no name of a header`);
  if (typeof value === "string" && /[\r\n\0]/.test(value)) {
    fail(`the value of header ${key} contains a line break`);
  }
  return { name: key, value: text(value, `the value of header ${key}`) };
};

export const headerList = (headers, what = "headers(...)") => {
  if (typeof headers !== "object" || headers === null) {
    fail(`${what} takes an object of names and values, found ${show(headers)}`);
  }
  return Object.entries(headers).map(([key, value]) => headerOf(key, value));
};

// ---- who sends them ----------------------------------------------------------------------------

const credentials = (what, user, password) => ({
  user: text(user, `the user of ${what}`),
  password: text(password, `the password of ${what}`),
});

/** Methods of requests and of the protocol. */
export const connecting = {
  basicAuth(user, password) {
    const basic_auth = credentials("basicAuth", user, password);
    return this.change({ basic_auth, digest_auth: undefined });
  },
  digestAuth(user, password) {
    const digest_auth = credentials("digestAuth", user, password);
    return this.change({ digest_auth, basic_auth: undefined });
  },
  /** Beyond Gatling's JavaScript: `(request, session) => request`, as its JVM has it. */
  sign(f) {
    return this.change({ sign: requestSigner(f), oauth1: undefined });
  },
  signWithOAuth1(consumerKey, clientSharedSecret, token, tokenSecret, useAuthorizationHeader = true) {
    return this.change({
      sign: undefined,
      oauth1: {
        consumer_key: text(consumerKey, "the consumer key of signWithOAuth1"),
        consumer_secret: text(clientSharedSecret, "the client shared secret of signWithOAuth1"),
        token: text(token, "the token of signWithOAuth1"),
        token_secret: text(tokenSecret, "the token secret of signWithOAuth1"),
        in_parameters: !flag(useAuthorizationHeader, "useAuthorizationHeader of signWithOAuth1"),
      },
    });
  },
  proxy(given) {
    if (!(given instanceof ProxyBuilder)) fail(`proxy(...) takes a Proxy(host, port), found ${show(given)}`);
    return this.change({ proxy: given.spec });
  },
};

// ---- proxies -----------------------------------------------------------------------------------

class ProxyBuilder extends Immutable {
  static label = "a proxy";
  change(changes) {
    return this.with({ spec: { ...this.spec, ...changes } });
  }
  credentials(user, password) {
    return this.change({ credentials: credentials("a proxy", user, password) });
  }
  connectHeader(key, value) {
    return this.change({ connect_headers: [...(this.spec.connect_headers ?? []), headerOf(key, value)] });
  }
  connectHeaders(headers) {
    const more = headerList(headers, "connectHeaders(...)");
    return this.change({ connect_headers: [...(this.spec.connect_headers ?? []), ...more] });
  }
}
for (const kind of ["http", "https", "socks4", "socks5"]) {
  ProxyBuilder.prototype[kind] = function () {
    return this.change({ kind });
  };
}

export const proxyTo = (host, port) => {
  if (count(port, "the port of a Proxy", 1) > 65535) fail(`the port of a Proxy must be at most 65535, found ${port}`);
  const spec = { kind: "http", host: name(host, "the host of a Proxy"), port };
  return Object.assign(new ProxyBuilder(), { spec });
};
proxyTo.label = "Proxy";

// ---- the protocol's own ------------------------------------------------------------------------

const ADDRESS = /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$/;
export const addressList = (given, what) => {
  if (!Array.isArray(given) || given.length === 0) {
    fail(`${what} takes a list of IP addresses, found ${show(given)}`);
  }
  return given.map((one) =>
    typeof one === "string" && ADDRESS.test(one) ? one : fail(`${what} takes IP addresses, found ${show(one)}`));
};
const entries = (given, what) => {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    fail(`${what} takes an object, found ${show(given)}`);
  }
  return Object.entries(given);
};

export const protocolConnecting = {
  warmUp(url) {
    if (!/^https?:\/\//.test(name(url, "the url of warmUp"))) fail(`warmUp takes an absolute url, found ${show(url)}`);
    return this.change({ warm_up: url });
  },
  /** Onrush sends no request of its own before a test unless `warmUp(url)` asks for one. */
  disableWarmUp() {
    return this.change({ warm_up: undefined });
  },
  noProxyFor(...hosts) {
    return this.change({ no_proxy_for: hosts.flat().map((host) => name(host, "a host of noProxyFor")) });
  },
  useAllLocalAddressesMatching(...patterns) {
    if (patterns.length === 0) fail("useAllLocalAddressesMatching(...) needs at least one pattern");
    const local_addresses_matching = patterns.flat().map((one) => name(one, "a pattern of useAllLocalAddressesMatching"));
    return this.change({ use_all_local_addresses: true, local_addresses_matching });
  },
  proxyProtocolSourceIpV4Address(address) {
    return this.change({ proxy_protocol_source_v4: text(address, "proxyProtocolSourceIpV4Address") });
  },
  proxyProtocolSourceIpV6Address(address) {
    return this.change({ proxy_protocol_source_v6: text(address, "proxyProtocolSourceIpV6Address") });
  },
  /** Names are looked up off the engine's threads in any case; the servers are the machine's. */
  asyncNameResolution(...servers) {
    if (servers.flat().length > 0) {
      fail("asyncNameResolution(...) with servers of its own is not supported: names are looked up by " +
        "the machine's resolver, off the engine's threads; set its servers in /etc/resolv.conf, or give " +
        "addresses with hostNameAliases(...)");
    }
    return this;
  },
  hostNameAliases(aliases) {
    const host_name_aliases = {};
    for (const [host, list] of entries(aliases, "hostNameAliases(...)")) {
      host_name_aliases[host] = addressList(list, `hostNameAliases for ${host}`);
    }
    return this.change({ host_name_aliases });
  },
  perUserNameResolution() {
    return this.change({ per_user_name_resolution: true });
  },
  enableHttp2() {
    return this.change({ enable_http2: true });
  },
  http2PriorKnowledge(remotes) {
    const http2_prior_knowledge = {};
    for (const [remote, speaks] of entries(remotes, "http2PriorKnowledge(...)")) {
      if (!/^.+:\d+$/.test(remote)) fail(`http2PriorKnowledge takes "host:port", found ${show(remote)}`);
      http2_prior_knowledge[remote] = flag(speaks, `http2PriorKnowledge for ${remote}`);
    }
    return this.change({ http2_prior_knowledge });
  },
};
