import { WIRE_ERROR } from "../base/errors.ts";

const NAMES = new Map(
  Object.entries(WIRE_ERROR).map(([name, error]) => [error as number, name.toLowerCase()]),
);

/** `too_many_user_session`: an error number of the protocol as logs name it. */
export function refusalName(error: number): string {
  return NAMES.get(error) ?? `error_${error}`;
}
