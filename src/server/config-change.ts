import type { ConfigStep } from "../config/diff.ts";

/** Name of the hub that a step is about. */
export function hubOfStep(step: ConfigStep): string | undefined {
  if (step.kind === "hub_removed") return step.name;
  if (!("hub" in step)) return undefined;
  return typeof step.hub === "string" ? step.hub : step.hub.name;
}

/** The path of what a step changes, as logs and `vpn reload` show it. */
export function describeStep(step: ConfigStep): string {
  switch (step.kind) {
    case "listener_added":
      return `server.listen ${step.listen.address ?? "*"}:${step.listen.port} added`;
    case "listener_removed":
      return `server.listen ${step.listen.address ?? "*"}:${step.listen.port} removed`;
    case "hub_added":
      return `hub.${step.hub.name} added`;
    case "hub_changed":
      return `hub.${step.hub.name} changed: ${step.changed.join(", ")}`;
    case "hub_removed":
      return `hub.${step.name} removed`;
    case "user_added":
      return `hub.${step.hub}.user.${step.user.name} added`;
    case "user_changed":
      return `hub.${step.hub}.user.${step.user.name} changed: ${step.changed.join(", ")}`;
    case "user_removed":
      return `hub.${step.hub}.user.${step.name} removed`;
    case "bridge_added":
    case "bridge_changed":
    case "bridge_removed":
      return `hub.${step.hub}.bridge ${step.device} ${step.kind.slice("bridge_".length)}`;
    case "securenat_added":
    case "securenat_changed":
    case "securenat_removed":
      return `hub.${step.hub}.securenat ${step.kind.slice("securenat_".length)}`;
    case "cascade_added":
    case "cascade_changed":
    case "cascade_removed":
      return `hub.${step.hub}.cascade.${step.name} ${step.kind.slice("cascade_".length)}`;
    case "l3_switch_added":
    case "l3_switch_changed":
    case "l3_switch_removed":
      return `l3switch.${step.name} ${step.kind.slice("l3_switch_".length)}`;
    case "server_changed":
      return `server changed: ${step.changed.join(", ")}`;
    case "tls_changed":
      return "tls changed";
    case "log_changed":
      return "log changed";
    case "limits_changed":
      return "limits changed";
    case "lockout_changed":
      return "lockout changed";
    case "restart_needed":
      return `${step.key} changed: takes effect at the next start`;
  }
}
