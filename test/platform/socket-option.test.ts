import { afterEach, describe, expect, test } from "bun:test";
import { libc } from "../../src/platform/libc.ts";
import {
  setNoDelay,
  setNotSentLowat,
  setReceiveBuffer,
  setSendBuffer,
  SOCKET_OPTION,
  tryGetSocketOption,
} from "../../src/platform/socket-option.ts";

const opened: number[] = [];
const tcpSocket = () => {
  const fd = libc.socket(2, 1, 0);
  opened.push(fd);
  return fd;
};
afterEach(() => {
  for (const fd of opened.splice(0)) libc.close(fd);
});

describe("socket options", () => {
  test("setNotSentLowat() and setNoDelay() take effect", () => {
    const fd = tcpSocket();
    expect(setNotSentLowat(fd, 131_072)).toBeTrue();
    expect(setNoDelay(fd)).toBeTrue();
    expect(tryGetSocketOption(fd, SOCKET_OPTION.notSentLowat)).toBe(131_072);
    expect(tryGetSocketOption(fd, SOCKET_OPTION.noDelay)).toBe(1);
  });

  test("setSendBuffer() and setReceiveBuffer() take effect, doubled by the kernel", () => {
    const fd = tcpSocket();
    expect(setSendBuffer(fd, 65_536)).toBeTrue();
    expect(setReceiveBuffer(fd, 65_536)).toBeTrue();
    expect(tryGetSocketOption(fd, SOCKET_OPTION.sendBuffer)).toBe(131_072);
    expect(tryGetSocketOption(fd, SOCKET_OPTION.receiveBuffer)).toBe(131_072);
  });

  test("FI-05 a closed descriptor is answered by false, not by an exception", () => {
    expect(setNotSentLowat(-1, 1)).toBeFalse();
    expect(tryGetSocketOption(-1, SOCKET_OPTION.noDelay)).toBeUndefined();
  });
});
