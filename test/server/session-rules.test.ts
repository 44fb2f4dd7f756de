import { describe, expect, test } from "bun:test";
import type { Admitted } from "../../src/auth/verdict.ts";
import { WIRE_ERROR } from "../../src/base/errors.ts";
import { type AdminLimits, NO_ADMIN_LIMITS } from "../../src/config/admin-limits.ts";
import { DEFAULT_HUB_OPTIONS, type HubOptions } from "../../src/config/hub-options.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { hashUserPassword } from "../../src/crypto/password.ts";
import { type LoginRequest, parseLogin } from "../../src/session/login.ts";
import {
  barClient,
  checkRoom,
  type CountedSession,
  hasEmptyPassword,
  withinLimits,
} from "../../src/server/session-rules.ts";
import { Pack } from "../../src/wire/pack.ts";

const limits = (some: Partial<AdminLimits>): AdminLimits => ({ ...NO_ADMIN_LIMITS, ...some });
const options = (some: Partial<HubOptions>): HubOptions => ({ ...DEFAULT_HUB_OPTIONS, ...some });

function admitted(
  verifier: Admitted["account"]["verifier"] = { kind: "anonymous" },
  grants?: Admitted["grants"],
): Admitted {
  const account = {
    name: "alice",
    isEnabled: true,
    expires: undefined,
    group: undefined,
    policy: DEFAULT_POLICY,
    verifier,
    totp: undefined,
    address: undefined,
  };
  return { kind: "admitted", name: "alice", account, ...(grants === undefined ? {} : { grants }) };
}
const RADIUS = { kind: "outside", authority: "radius", alias: undefined } as const;

function request(change: Partial<LoginRequest> = {}): LoginRequest {
  const pack = new Pack()
    .setStr("hubname", "VPN")
    .setStr("username", "alice")
    .setInt("authtype", 0)
    .setStr("client_str", "SoftEther VPN Client")
    .setInt("client_build", 9674)
    .setInt("client_id", 7);
  return { ...parseLogin(pack)!, ...change };
}

describe("withinLimits()", () => {
  const applied = (some: Partial<AdminLimits>, policy = DEFAULT_POLICY) =>
    withinLimits(policy, admitted(), { limits: limits(some), options: DEFAULT_HUB_OPTIONS });

  test("without limits a policy is as it is", () => {
    expect(applied({})).toEqual(DEFAULT_POLICY);
  });

  test("the lower of two rates and counts holds, and 0 is no limit in both", () => {
    expect(applied({ max_bitrates_upload: 5 }).max_upload).toBe(5);
    expect(
      applied({ max_bitrates_upload: 5 }, { ...DEFAULT_POLICY, max_upload: 3 }).max_upload,
    ).toBe(3);
    expect(
      applied({ max_bitrates_download: 5 }, { ...DEFAULT_POLICY, max_download: 9 }).max_download,
    ).toBe(5);
    expect(applied({ max_multilogins_per_user: 2 }).multi_logins).toBe(2);
  });

  test("what is denied is denied to everybody", () => {
    expect(applied({ deny_bridge: 1, deny_routing: 1, deny_qos: 1 })).toEqual({
      ...DEFAULT_POLICY,
      no_bridge: true,
      no_routing: true,
      no_routing_v6: true,
      no_qos: true,
    });
  });

  test("the VLAN of RADIUS counts if the hub says so, and after that of the policy", () => {
    const grants = { vlanId: 12 };
    const vlanOf = (policy: number, isAssigned: 0 | 1) =>
      withinLimits({ ...DEFAULT_POLICY, vlan_id: policy }, admitted(RADIUS, grants), {
        limits: NO_ADMIN_LIMITS,
        options: options({ AssignVLanIdByRadiusAttribute: isAssigned }),
      }).vlan_id;
    expect([vlanOf(0, 0), vlanOf(0, 1), vlanOf(5, 1)]).toEqual([0, 12, 5]);
  });
});

describe("barClient()", () => {
  test("a client below the build that is wanted gets 87, a server does not", () => {
    const wanted = options({ ClientMinimumRequiredBuild: 9675 });
    expect(barClient(request(), admitted(), wanted)).toBe(WIRE_ERROR.VERSION_INVALID);
    expect(barClient(request({ clientBuild: 9675 }), admitted(), wanted)).toBeUndefined();
    const bridge = request({ clientProduct: "SoftEther VPN Server (Cascade Mode)" });
    expect(barClient(bridge, admitted(), wanted)).toBeUndefined();
  });

  test("a client without the id that is wanted gets 127", () => {
    expect(barClient(request(), admitted(), options({ RequiredClientId: 8 }))).toBe(
      WIRE_ERROR.CLIENT_ID_REQUIRED,
    );
    expect(barClient(request(), admitted(), options({ RequiredClientId: 7 }))).toBeUndefined();
  });

  test("users of RADIUS without a VLAN are refused if the hub says so", () => {
    const strict = options({ DenyAllRadiusLoginWithNoVlanAssign: 1 });
    expect(barClient(request(), admitted(RADIUS, {}), strict)).toBe(WIRE_ERROR.ACCESS_DENIED);
    expect(barClient(request(), admitted(RADIUS, { vlanId: 3 }), strict)).toBeUndefined();
    expect(barClient(request(), admitted(), strict)).toBeUndefined();
  });
});

describe("hasEmptyPassword()", () => {
  const ofPassword = (text: string) =>
    admitted({
      kind: "password",
      hash: hashUserPassword("alice", new TextEncoder().encode(text)),
    });
  const plain = (text: string) =>
    request({ proof: { kind: "plain-password", password: new TextEncoder().encode(text) } });

  test("tells who could have come in without knowing anything", () => {
    expect(hasEmptyPassword(admitted(), request())).toBe(true);
    expect(hasEmptyPassword(ofPassword(""), request())).toBe(true);
    expect(hasEmptyPassword(ofPassword("x"), request())).toBe(false);
    expect(hasEmptyPassword(admitted(RADIUS), plain(""))).toBe(true);
    expect(hasEmptyPassword(admitted(RADIUS), plain("x"))).toBe(false);
  });
});

describe("checkRoom()", () => {
  const session = (mode: CountedSession["mode"], isLocal = false) => ({ mode, isLocal });
  const there = [session("client"), session("monitor"), session("bridge"), session("client", true)];
  const room = (next: CountedSession, some: Partial<AdminLimits>, maxSessions = 0) =>
    checkRoom(there, next, { maxSessions, limits: limits(some) });

  test("the lower limit of all sessions holds", () => {
    expect(room(session("client"), {}, 4)).toBe(WIRE_ERROR.HUB_IS_BUSY);
    expect(room(session("client"), {}, 5)).toBeUndefined();
    expect(room(session("client"), { max_sessions: 4 }, 5)).toBe(WIRE_ERROR.HUB_IS_BUSY);
  });

  test("clients and bridges are counted apart where that is switched on, those of this machine as neither", () => {
    const apart = { max_sessions_client_bridge_apply: 1 };
    const clients = { ...apart, max_sessions_client: 2 };
    expect(room(session("client"), clients)).toBe(WIRE_ERROR.HUB_IS_BUSY);
    expect(room(session("client", true), clients)).toBeUndefined();
    expect(room(session("bridge"), clients)).toBeUndefined();
    expect(room(session("bridge"), { ...apart, max_sessions_bridge: 1 })).toBe(
      WIRE_ERROR.HUB_IS_BUSY,
    );
    expect(room(session("client"), { max_sessions_client: 1 })).toBeUndefined();
  });
});
