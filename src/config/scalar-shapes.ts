import { tryParseDuration } from "../base/duration.ts";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { type Net, tryParseNet } from "../base/ip.ts";
import { isGroupMac, type MacAddress, tryParseMac } from "../base/mac.ts";
import { mismatch, type Place, type Shape } from "./shape.ts";
import { isWorldReadable } from "./source-files.ts";
import type { TomlNode } from "./toml-tree.ts";

export const bool: Shape<boolean> = {
  expects: "true or false",
  read: (node, place) =>
    node.kind === "boolean" ? node.value : place.fail(node, mismatch(bool.expects, node)),
};

/** A whole number; what a double cannot hold exactly is out of every range. */
export function integer(min: number, max: number, noun = "a whole number"): Shape<number> {
  const expects = `${noun} from ${min} to ${max}`;
  return {
    expects,
    read(node, place) {
      const isGood = node.kind === "integer" && node.value >= min && node.value <= max;
      return isGood ? Number(node.value) : place.fail(node, mismatch(expects, node));
    },
  };
}

export const port = integer(1, 65_535, "a port");

/** `"40000-44999"`, both included. */
export const portRange: Shape<{ readonly first: number; readonly last: number }> = {
  expects: 'ports "FIRST-LAST" from 1 to 65535',
  read(node, place) {
    const written = node.kind === "string" ? /^(\d{1,5})-(\d{1,5})$/.exec(node.value) : null;
    const [first, last] = [Number(written?.[1]), Number(written?.[2])];
    return first >= 1 && first <= last && last <= 65_535
      ? { first, last }
      : place.fail(node, mismatch(portRange.expects, node));
  },
};

/** A string that `parse` accepts: it gives undefined for all others. */
export function textOf<T>(expects: string, parse: (text: string) => T | undefined): Shape<T> {
  return {
    expects,
    read(node, place) {
      const value = node.kind === "string" ? parse(node.value) : undefined;
      return value === undefined ? place.fail(node, mismatch(expects, node)) : value;
    },
  };
}

export function text(maxChars: number): Shape<string> {
  return textOf(`text of at most ${maxChars} characters`, (value) =>
    value.length <= maxChars ? value : undefined,
  );
}

export function choice<const T extends string>(...values: readonly T[]): Shape<T> {
  const expects = values.map((value) => JSON.stringify(value)).join(" or ");
  return textOf(expects, (found) => values.find((value) => value === found));
}

export const net: Shape<Net> = textOf('a network such as "192.168.30.0/24"', tryParseNet);

/** Of one host: neither a group's nor all zeros. */
export const stationMac: Shape<MacAddress> = textOf(
  'the MAC of a station such as "5e:00:53:00:00:01"',
  tryParseStationMac,
);

/** Undefined for all that is not the MAC of one host. */
export function tryParseStationMac(written: string): MacAddress | undefined {
  const found = tryParseMac(written);
  return found === undefined || found === 0 || isGroupMac(found) ? undefined : found;
}

const RATE_UNITS = { bit: 1, kbit: 1e3, Mbit: 1e6, Gbit: 1e9 } as const;

/** `"10Mbit"`, in bits a second; "0" is none. */
export function rate(most: number): Shape<number> {
  return textOf(`a rate up to "${most}bit" (units bit, kbit, Mbit, Gbit)`, (found) => {
    if (found === "0") return 0;
    const [, digits, unit] = /^(\d{1,10}(?:\.\d{1,3})?)(bit|kbit|Mbit|Gbit)$/.exec(found) ?? [];
    if (digits === undefined) return undefined;
    const value = Math.round(Number(digits) * RATE_UNITS[unit as keyof typeof RATE_UNITS]);
    return value >= 1 && value <= most ? value : undefined;
  });
}

/** `"30s"`, in milliseconds. Both bounds are written as a file would. */
export function duration(min: string, max: string): Shape<number> {
  const [least, most] = [tryParseDuration(min) ?? 0, tryParseDuration(max) ?? 0];
  return textOf(`a duration from "${min}" to "${max}" (units ms, s, m, h, d)`, (found) => {
    const value = tryParseDuration(found);
    return value !== undefined && value >= least && value <= most ? value : undefined;
  });
}

/** Likewise, or `"0"` for never. */
export function durationOrNever(min: string, max: string): Shape<number> {
  const some = duration(min, max);
  return {
    expects: `"0", or ${some.expects}`,
    read(node, place) {
      if (node.kind === "string" && node.value === "0") return 0;
      return some.read(node, place);
    },
  };
}

/** Milliseconds since 1970 of a TOML date or `"YYYY-MM-DD[ hh:mm:ss]"`; local time where no zone is given. */
export const moment: Shape<number> = {
  expects: 'a date such as "2027-06-30" or "2027-06-30 18:00:00"',
  read(node, place) {
    const written = node.kind === "date" ? node.text : node.kind === "string" ? node.value : "";
    return parseMoment(written) ?? place.fail(node, mismatch(moment.expects, node));
  },
};

const MOMENT =
  /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)?)?$/;

function parseMoment(written: string): number | undefined {
  const found = MOMENT.exec(written);
  if (found === null) return undefined;
  const [year, month, day, hour, minute, second] = found
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const parts = [year!, month! - 1, day!, hour!, minute!, second!] as const;
  // Dates that do not exist roll over to the next month; they are refused, not guessed.
  const probe = new Date(Date.UTC(...parts));
  const isReal =
    probe.getUTCMonth() === parts[1] &&
    probe.getUTCDate() === day &&
    probe.getUTCHours() === hour &&
    minute! < 60 &&
    second! < 60;
  if (!isReal) return undefined;
  const zone = found[7];
  if (zone === undefined) return new Date(...parts).getTime();
  return probe.getTime() - zoneMinutes(zone) * 60_000;
}

function zoneMinutes(zone: string): number {
  if (/^z$/i.test(zone)) return 0;
  const size = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6));
  return zone.startsWith("-") ? -size : size;
}

/** Absolute; relative to the file that names it, with `~/` for the home directory. */
export const path: Shape<string> = {
  expects: "a path",
  read(node, place) {
    if (node.kind !== "string" || node.value === "")
      return place.fail(node, mismatch("a path", node));
    // A key or a certificate pasted here is shown to nobody.
    if (/[\n\r\0]/.test(node.value))
      return place.fail(node, "expected a path, found several lines");
    const found = resolvePath(node.value, node, place);
    return found ?? place.fail(node, "~/ needs the environment variable HOME");
  },
};

/** A path of a regular file that can be read now. It is read anew when it is used (CF-12). */
export const existingFile: Shape<string> = {
  expects: "the path of a file",
  read: (node, place) => readExisting(node, place)?.path,
};

/** Likewise, of a private key: others must not be able to read it (CF-11). */
export const privateKeyFile: Shape<string> = {
  expects: "the path of a private key",
  read(node, place) {
    const found = readExisting(node, place);
    if (found === undefined || !isWorldReadable(found.mode)) return found?.path;
    const mode = found.mode.toString(8).padStart(4, "0");
    const text = `the private key ${found.path} can be read by everybody (mode ${mode}): chmod 600`;
    place.context.deny(place.problem(node, text));
    return undefined;
  },
};

/** Largest file of certificates or of a key. */
export const MAX_PEM_BYTES = 1 << 20;

function readExisting(node: TomlNode, place: Place): { path: string; mode: number } | undefined {
  const found = path.read(node, place);
  if (found === undefined) return undefined;
  const file = place.context.files.read(found, MAX_PEM_BYTES);
  switch (file.kind) {
    case "file":
      return { path: found, mode: file.mode };
    case "missing":
      return place.fail(node, `${found} does not exist`);
    case "refused":
      return place.fail(node, `${found} ${file.reason}`);
  }
}

/** Undefined where the home directory is asked for and not known. */
export function resolvePath(written: string, node: TomlNode, place: Place): string | undefined {
  const home = place.context.env["HOME"];
  if (written === "~" || written.startsWith("~/")) {
    return home === undefined || home === "" ? undefined : join(home, written.slice(1));
  }
  return isAbsolute(written) ? written : resolve(dirname(node.at.file), written);
}
