import type { EncodedObject } from "./account-keys.ts";
import { account } from "./account-schema.ts";
import { tableOfKeys } from "./ownership.ts";
import type { ConfigProblem } from "./problem.ts";
import { Place, type ReadContext } from "./shape.ts";
import { systemFiles } from "./source-files.ts";

/** What of these keys could not be read again, the first fault of it; undefined for a good account. */
export function faultOfAccount({ keys, secrets }: EncodedObject): string | undefined {
  const faults: string[] = [];
  const tell = ({ key, text }: ConfigProblem) => void faults.push(`${key}: ${text}`);
  const context: ReadContext = {
    env: {},
    files: systemFiles,
    fail: tell,
    deny: tell,
    warn: () => undefined,
    holdsSecret: () => undefined,
  };
  const nowhere = { file: "", line: 1, column: 1 };
  account.read(tableOfKeys(keys, secrets, nowhere), new Place("", context));
  return faults[0];
}
