import { formatIpv4 } from "../base/ip.ts";
import type { RadiusSettings } from "../config/server-config.ts";
import {
  RADIUS_ATTRIBUTE,
  readAll,
  readIpv4Attribute,
  readNumber,
  readText,
  readTunnelText,
} from "../wire/radius-attribute.ts";
import { ATTRIBUTE_HEADER_BYTES, type RadiusPacket } from "../wire/radius.ts";
import type { OutsideGrants } from "./authority.ts";

/** Framed-IP-Address values that stand for "the user chooses" and "the server chooses" (RFC 2865 5.8). */
const NO_ADDRESS: readonly number[] = [0xffff_ffff, 0xffff_fffe];
/** Half a packet; the rest of an accounting record fits into the other half. */
const MAX_CLASS_BYTES = 2048;
/** hub.md 5.1 step 4. */
const MAX_VLAN_ID = 4095;

/** What an Access-Accept says about the session; what is out of range or malformed is as if it were not there. */
export function readGrants(
  answer: RadiusPacket,
  groupFrom: RadiusSettings["groupFrom"],
): OutsideGrants {
  const A = RADIUS_ATTRIBUTE;
  const framed = readIpv4Attribute(answer, A.FRAMED_IP_ADDRESS);
  const hasAddress = framed !== undefined && framed !== 0 && !NO_ADDRESS.includes(framed);
  const classes = readClasses(answer);
  const group = groupOf(answer, groupFrom);
  const vlanText = readTunnelText(answer, A.TUNNEL_PRIVATE_GROUP_ID);
  const vlanId = vlanText !== undefined && /^\d{1,4}$/.test(vlanText) ? Number(vlanText) : 0;
  const sessionTimeoutS = readNumber(answer, A.SESSION_TIMEOUT) ?? 0;
  const idleTimeoutS = readNumber(answer, A.IDLE_TIMEOUT) ?? 0;
  const interimIntervalS = readNumber(answer, A.ACCT_INTERIM_INTERVAL) ?? 0;
  return {
    ...(group === undefined ? {} : { group }),
    ...(hasAddress ? { framedAddress: formatIpv4(framed) } : {}),
    ...(sessionTimeoutS > 0 ? { sessionTimeoutS } : {}),
    ...(idleTimeoutS > 0 ? { idleTimeoutS } : {}),
    ...(vlanId >= 1 && vlanId <= MAX_VLAN_ID ? { vlanId } : {}),
    ...(classes.length > 0 ? { class: classes } : {}),
    ...(interimIntervalS > 0 ? { interimIntervalS } : {}),
  };
}

/** Copies, as many as a record has room for: each goes into every one (RFC 2865 5.25). */
function readClasses(answer: RadiusPacket): Uint8Array[] {
  let left = MAX_CLASS_BYTES;
  const isRoom = ({ length }: Uint8Array) => (left -= ATTRIBUTE_HEADER_BYTES + length) >= 0;
  return readAll(answer, RADIUS_ATTRIBUTE.CLASS)
    .filter(isRoom)
    .map((value) => value.slice());
}

function groupOf(answer: RadiusPacket, groupFrom: RadiusSettings["groupFrom"]): string | undefined {
  switch (groupFrom) {
    case "off":
      return undefined;
    case "Filter-Id":
      return readText(answer, RADIUS_ATTRIBUTE.FILTER_ID);
    case "Class": {
      const text = readText(answer, RADIUS_ATTRIBUTE.CLASS);
      // Servers set up for other VPN products write the group as "OU=staff;".
      return text === undefined ? undefined : (/^OU=([^;]+);?$/i.exec(text)?.[1] ?? text);
    }
  }
}
