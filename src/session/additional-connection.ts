import { VpnError } from "../base/errors.ts";
import { Pack } from "../wire/pack.ts";
import { DIRECTION, type Direction } from "./connection.ts";
import type { DialDeps, DialTarget } from "./dial-target.ts";
import { greet, type Greeted } from "./greet.ts";
import { WIRE_BUILD, WIRE_VERSION } from "./handshake.ts";
import type { Recruit } from "./recruiter.ts";
import type { Welcome } from "./welcome.ts";

/** A further connection of an open session, from the same server (protocol.md 12.1). */
export async function connectAgain(
  target: DialTarget,
  first: Greeted,
  { sessionKey, stream }: Welcome,
  deps: DialDeps,
): Promise<Recruit> {
  const at = { host: first.address, port: first.port, mayLeaveTls: !stream.isEncrypted };
  const { link, talk } = await greet(target, at, deps, ({ certificate }) => {
    if (Buffer.compare(first.certificate, certificate.der) === 0) return;
    throw new VpnError("certificate", "The server shows another certificate than before");
  });
  try {
    const reply = await talk.askPack(
      target.host,
      new Pack()
        .setStr("method", "additional_connect")
        .setData("session_key", sessionKey)
        .setStr("client_str", target.clientName)
        .setInt("client_ver", WIRE_VERSION)
        .setInt("client_build", WIRE_BUILD),
    );
    if (!stream.isEncrypted) link.leaveTls();
    return { link, direction: readDirection(reply), rest: talk.finish() };
  } catch (error) {
    link.closeInOrder();
    throw error;
  } finally {
    talk.release();
  }
}

function readDirection(reply: Pack): Direction {
  const direction = reply.int("direction");
  return direction === DIRECTION.TO_CLIENT || direction === DIRECTION.TO_SERVER
    ? direction
    : DIRECTION.BOTH;
}
