import { expect, test } from "bun:test";
import { tryDecodeBase32 } from "../../src/crypto/base32.ts";

// RFC 4648 10, and what people make of it.
test.each([
  ["MY======", "f"],
  ["MZXQ====", "fo"],
  ["MZXW6===", "foo"],
  ["MZXW6YQ=", "foob"],
  ["MZXW6YTB", "fooba"],
  ["MZXW6YTBOI======", "foobar"],
  ["mzxw 6ytb-oi", "foobar"],
])("tryDecodeBase32() reads %j", (text, expected) => {
  expect(new TextDecoder().decode(tryDecodeBase32(text))).toBe(expected);
});

test.each(["", "M", "MZ1Q", "MZ=XQ", "M0", "MZXW6YT"])("tryDecodeBase32() refuses %j", (text) => {
  expect(tryDecodeBase32(text)).toBeUndefined();
});
