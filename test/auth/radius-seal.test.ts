import { describe, expect, test } from "bun:test";
import {
  findSealFault,
  hidePassword,
  requireMd5,
  sealAccessRequest,
  sealAccountingRequest,
} from "../../src/auth/radius-seal.ts";
import { encodeRadius, tryParseRadius } from "../../src/wire/radius.ts";
import { fromHex, toHex } from "../support/hex.ts";
import { answerTo, avpsOf, SECRET } from "./radius-world.ts";

// RFC 2865 7.1: nemo logs in with the password "arctangent".
const AUTHENTICATOR = fromHex("0f403f9473978057bd83d5cb98f4227a");
const ACCEPT = fromHex(
  "02 00 0026 86fe220e7624ba2a1005f6bf9b55e0b2 06 06 00000001 0f 06 00000000 0e 06 c0a80103",
);
const bytes = (text: string) => new TextEncoder().encode(text);

describe("hidePassword()", () => {
  test("gives the value of RFC 2865 7.1", () => {
    expect(toHex(hidePassword(bytes("arctangent"), SECRET, AUTHENTICATOR))).toBe(
      "0dbe708d93d413ce3196e43f782a0aee",
    );
  });

  test.each([
    [0, 16],
    [1, 16],
    [16, 16],
    [17, 32],
    [128, 128],
  ])("fills a password of %i bytes up to %i", (length, hidden) => {
    expect(hidePassword(new Uint8Array(length).fill(97), SECRET, AUTHENTICATOR)).toHaveLength(
      hidden,
    );
  });

  test("hides equal blocks in different bytes", () => {
    const hidden = hidePassword(new Uint8Array(32).fill(97), SECRET, AUTHENTICATOR);
    expect(toHex(hidden.subarray(0, 16))).not.toBe(toHex(hidden.subarray(16)));
  });

  test("refuses 129 bytes", () => {
    expect(() => hidePassword(new Uint8Array(129), SECRET, AUTHENTICATOR)).toThrow(RangeError);
  });
});

describe("findSealFault()", () => {
  const accept = tryParseRadius(ACCEPT)!;
  const faultOf = (answer: Uint8Array, request = REQUEST, isRequired = true) =>
    findSealFault(tryParseRadius(answer)!, request.subarray(4, 20), SECRET, isRequired);
  const REQUEST = encodeRadius({
    code: 1,
    identifier: 7,
    authenticator: AUTHENTICATOR,
    attributes: [],
  });

  test("finds none in the answer of RFC 2865 7.1 where no Message-Authenticator is asked for", () => {
    expect(findSealFault(accept, AUTHENTICATOR, SECRET, false)).toBeUndefined();
    expect(findSealFault(accept, AUTHENTICATOR, SECRET, true)).toBe("no_message_authenticator");
  });

  test("finds none in a sealed answer", () => {
    expect(faultOf(answerTo(REQUEST, 2, [[11, "staff"]]))).toBeUndefined();
  });

  test("AU-01 finds every changed bit", () => {
    const good = answerTo(REQUEST, 2, [[11, "staff"]]);
    // Lengths decide what is parsed at all, so they stay.
    const lengths = [2, 3, 21, 28];
    for (let at = 0; at < good.length; at++) {
      if (lengths.includes(at)) continue;
      const flawed = good.slice();
      flawed[at]! ^= 1;
      expect(faultOf(flawed)).toBeOneOf(["wrong_authenticator", "no_message_authenticator"]);
    }
  });

  test("AU-01 finds an answer to another request, and one of somebody with another secret", () => {
    const other = REQUEST.slice();
    other[4]! ^= 1;
    expect(faultOf(answerTo(other, 2))).toBe("wrong_authenticator");
    expect(faultOf(answerTo(REQUEST, 2, [], { secret: bytes("other") }))).toBe(
      "wrong_authenticator",
    );
  });

  test("looks at a Message-Authenticator that nobody required, and takes no second one", () => {
    const wrong = answerTo(REQUEST, 2, [[80, new Uint8Array(16)]], { isSealed: false });
    expect(faultOf(wrong, REQUEST, false)).toBe("wrong_authenticator");
    expect(faultOf(answerTo(REQUEST, 2, [[80, new Uint8Array(16)]]))).toBe("wrong_authenticator");
    const short = answerTo(REQUEST, 2, [[80, new Uint8Array(15)]], { isSealed: false });
    expect(faultOf(short)).toBe("wrong_authenticator");
  });
});

describe("requests", () => {
  test("sealAccessRequest() puts the Message-Authenticator first, and it seals what the peer would", () => {
    const packet = {
      code: 1,
      identifier: 3,
      authenticator: AUTHENTICATOR,
      attributes: [{ type: 1, value: bytes("nemo") }],
    };
    const sealed = sealAccessRequest(packet, SECRET);
    const avps = avpsOf(sealed.bytes);
    expect(avps.map(([type]) => type)).toEqual([80, 1]);
    // HMAC-MD5 over the packet with the seal blank, by openssl.
    const blank = sealed.bytes.slice();
    blank.fill(0, 22, 38);
    const { stdout } = Bun.spawnSync(
      ["openssl", "dgst", "-md5", "-mac", "HMAC", "-macopt", "key:xyzzy5461", "-binary"],
      { stdin: blank },
    );
    expect(toHex(avps[0]![1])).toBe(toHex(stdout));
  });

  test("sealAccountingRequest() is sealed by its authenticator (RFC 2866 3)", () => {
    const packet = {
      code: 4,
      identifier: 9,
      authenticator: AUTHENTICATOR,
      attributes: [{ type: 44, value: bytes("SID-1") }],
    };
    const sealed = sealAccountingRequest(packet, SECRET);
    const blank = sealed.bytes.slice();
    blank.fill(0, 4, 20);
    const { stdout } = Bun.spawnSync(["openssl", "dgst", "-md5", "-binary"], {
      stdin: Buffer.concat([blank, SECRET]),
    });
    expect(toHex(sealed.bytes.subarray(4, 20))).toBe(toHex(stdout));
    expect(toHex(sealed.authenticator)).toBe(toHex(stdout));
  });

  test("requireMd5() is content with a runtime that has MD5", () => {
    expect(requireMd5).not.toThrow();
  });
});
