import { describe, expect, test } from "bun:test";
import { proxyFromEnvironment } from "../../src/transport/proxy-environment.ts";

const HOST = "vpn.example.com";
const bytes = (text: string) => new TextEncoder().encode(text);

describe("proxyFromEnvironment()", () => {
  const forms: [string, object][] = [
    ["http://proxy:3128", { kind: "http", host: "proxy", port: 3128 }],
    ["http://proxy:80/", { kind: "http", host: "proxy", port: 80 }],
    ["proxy:3128", { kind: "http", host: "proxy", port: 3128 }],
    ["http://proxy", { kind: "http", host: "proxy", port: 8080 }],
    ["HTTP://[2001:db8::1]:3128", { kind: "http", host: "2001:db8::1", port: 3128 }],
    ["socks5://proxy", { kind: "socks5", host: "proxy", port: 1080 }],
    ["socks5h://proxy:9050", { kind: "socks5", host: "proxy", port: 9050 }],
    ["socks4a://192.0.2.1", { kind: "socks4", host: "192.0.2.1", port: 1080 }],
    [
      "http://al%40ice:p%3Ass%25@proxy:3128",
      { kind: "http", host: "proxy", port: 3128, user: "al@ice", password: bytes("p:ss%") },
    ],
  ];
  for (const [value, proxy] of forms) {
    test(`reads ${value}`, () => {
      expect(proxyFromEnvironment({ https_proxy: value }, HOST)).toEqual({
        user: undefined,
        password: undefined,
        ...proxy,
      } as never);
    });
  }

  test("looks at https_proxy before all_proxy, and at small letters before capitals", () => {
    const env: Record<string, string> = { HTTP_PROXY: "http", http_proxy: "http" };
    const chosen = () => proxyFromEnvironment(env, HOST)?.host;
    expect(chosen()).toBeUndefined();
    for (const name of ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"]) {
      env[name] = `http://${name.replace("_", "-").toLowerCase()}${name < "a" ? "-big" : ""}`;
      expect(chosen()).toBe(env[name]!.slice(7));
    }
    env["https_proxy"] = " ";
    expect(chosen()).toBe("https-proxy-big");
  });

  const exceptions: [string, string, boolean][] = [
    ["*", HOST, true],
    ["example.com", HOST, true],
    [".example.com", HOST, true],
    ["*.example.com", HOST, true],
    ["VPN.Example.COM.", HOST, true],
    ["localhost, vpn.example.com", HOST, true],
    ["localhost vpn.example.com", HOST, true],
    ["ample.com", HOST, false],
    ["vpn", HOST, false],
    ["", HOST, false],
    [",,", HOST, false],
    ["192.0.2.0/24", "192.0.2.9", true],
    ["192.0.2.9", "192.0.2.9", true],
    ["192.0.2.9", "192.0.2.99", false],
    ["192.0.2.0/24", "::ffff:192.0.2.9", true],
    ["2001:db8::/32", "2001:db8::1", true],
    ["[2001:db8::1]", "2001:db8:0::1", true],
    ["2001:db8::/32", "192.0.2.9", false],
    ["2", "192.0.2.2", false],
  ];
  for (const [list, host, isExcepted] of exceptions) {
    test(`no_proxy "${list}" ${isExcepted ? "excepts" : "does not except"} ${host}`, () => {
      for (const name of ["no_proxy", "NO_PROXY"]) {
        const found = proxyFromEnvironment({ https_proxy: "http://p", [name]: list }, host);
        expect(found === undefined).toBe(isExcepted);
      }
    });
  }

  for (const value of ["https://proxy", "ftp://proxy", "http://", "http://a b", "http://x:%%@p"]) {
    test(`refuses ${value} without repeating it`, () => {
      const read = () => proxyFromEnvironment({ ALL_PROXY: value }, HOST);
      expect(read).toThrow(expect.objectContaining({ code: "proxy_invalid" }));
      expect(read).toThrow(/^Cannot use the proxy in ALL_PROXY: expected http, socks4 or socks5/);
    });
  }
});
