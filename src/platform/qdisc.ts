// Queueing discipline of an interface: what waits between the IP stack and the device.
import { SystemError } from "../base/errors.ts";
import { NetlinkMessage } from "./netlink-message.ts";
import { netlinkOrder } from "./netlink.ts";

/* <linux/rtnetlink.h>, <linux/pkt_sched.h> */
const RTM_NEWQDISC = 36;
const TC_BYTES = 20;
const TC_H_ROOT = 0xffff_ffff;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const NLM_F_REPLACE = 0x100;
const NLM_F_CREATE = 0x400;

/**
 * Makes fq_codel (RFC 8290) the interface's discipline: flows share what there is, and a flow that fills its queue is
 * told to slow down early. Undefined when done; else why not, as on a kernel without it: things work, with longer queues.
 */
export function trySetFqCodel(index: number): SystemError | undefined {
  const info = new Uint8Array(TC_BYTES);
  const view = new DataView(info.buffer);
  // struct tcmsg: u8 family, 3 unused, i32 index, u32 handle, u32 parent, u32 info.
  view.setInt32(4, index, true);
  view.setUint32(12, TC_H_ROOT, true);
  const message = new NetlinkMessage(RTM_NEWQDISC, info)
    .text(TCA_KIND, "fq_codel")
    .nested(TCA_OPTIONS, () => undefined);
  try {
    netlinkOrder(message, NLM_F_CREATE | NLM_F_REPLACE, `set fq_codel on interface ${index}`);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof SystemError) return thrown;
    throw thrown;
  }
}
