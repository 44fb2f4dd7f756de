/** A block of a pcapng file; `body` is what lies between its two lengths. */
export interface PcapngBlock {
  readonly type: number;
  readonly body: Uint8Array;
  readonly view: DataView;
}

/** All blocks, in order; throws where one does not end as it says. */
export function blocksOf(bytes: Uint8Array): PcapngBlock[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const blocks: PcapngBlock[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint32(at + 4, true);
    const isWhole = length % 4 === 0 && at + length <= bytes.length;
    if (!isWhole || view.getUint32(at + length - 4, true) !== length) {
      throw new Error(`The block at ${at} is broken`);
    }
    const body = bytes.subarray(at + 8, at + length - 4);
    const bodyView = new DataView(body.buffer, body.byteOffset, body.length);
    blocks.push({ type: view.getUint32(at, true), body, view: bodyView });
    at += length;
  }
  return blocks;
}

/** Options from `at` of the body on, by code. */
export function optionsOf({ body, view }: PcapngBlock, at: number): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  while (at < body.length) {
    const [code, length] = [view.getUint16(at, true), view.getUint16(at + 2, true)];
    if (code === 0) {
      if (at + 4 !== body.length) throw new Error("Something follows the end of the options");
      return options;
    }
    options.set(code, body.subarray(at + 4, at + 4 + length));
    at += 4 + ((length + 3) & ~3);
  }
  throw new Error("The options have no end");
}

const ENHANCED_PACKET = 6;

/** The frames of a capture, as far as they were kept. */
export function framesOfCapture(bytes: Uint8Array): Uint8Array[] {
  return blocksOf(bytes)
    .filter(({ type }) => type === ENHANCED_PACKET)
    .map(({ body, view }) => body.slice(20, 20 + view.getUint32(12, true)));
}
