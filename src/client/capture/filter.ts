import { MAX_FILTER_CHARS } from "../../base/limits.ts";
import { FilterFrame, type FrameTest } from "./filter-frame.ts";
import { parseFilter } from "./filter-parser.ts";
import { FilterError } from "./filter-token.ts";

/** Says of each frame whether it is wanted, in the language of pcap-filter(7) as far as filter-parser.ts tells. */
export class CaptureFilter {
  readonly text: string;
  readonly #test: FrameTest;
  readonly #frame = new FilterFrame();

  /** @throws FilterError */
  constructor(text: string) {
    if (text.length > MAX_FILTER_CHARS) {
      throw new FilterError(`longer than ${MAX_FILTER_CHARS} characters`, MAX_FILTER_CHARS + 1);
    }
    this.text = text;
    this.#test = parseFilter(text);
  }

  /** The frame of `size` bytes at `start`. */
  matches(view: DataView, start: number, size: number): boolean {
    const frame = this.#frame;
    frame.aim(view, start, size);
    return this.#test(frame) && !frame.isCut;
  }

  /** Lets go of the bytes that were looked at last. */
  release(): void {
    this.#frame.release();
  }
}

/** The filter with a caret below the place that is wrong, for a terminal: two lines. */
export function pointAt(text: string, { column }: FilterError): string {
  // oxlint-disable-next-line no-control-regex
  const plain = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
  return `  ${plain}\n  ${" ".repeat(Bun.stringWidth(plain.slice(0, column - 1)))}^\n`;
}
