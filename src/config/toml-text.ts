import { isSecret } from "./ownership.ts";
import type { StoredKeys, StoredValue } from "./state-objects.ts";

/** A table as a file would have it. Of a secret a comment tells that it is there; keys without value are left out. */
export function formatToml(path: readonly string[], keys: StoredKeys): string {
  const lines = Object.entries(keys).flatMap(([key, value]) => {
    if (value === null) return [];
    if (isSecret(value)) return [`# ${key} is set, and not shown`];
    return [`${key} = ${valueText(value)}`];
  });
  return [`[${path.map(keyText).join(".")}]`, ...lines, ""].join("\n");
}

function keyText(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : stringText(key);
}

function valueText(value: StoredValue): string {
  if (typeof value === "string") return stringText(value);
  if (Array.isArray(value)) return `[${value.map(valueText).join(", ")}]`;
  return String(value);
}

/** JSON's escapes are those of TOML's basic strings, which also forbid DEL as it is. */
function stringText(text: string): string {
  return JSON.stringify(text).replaceAll("\u007f", "\\u007f");
}
