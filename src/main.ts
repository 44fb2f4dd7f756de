import { VERSION } from "./base/version.ts";
import { runApplication } from "./command/application.ts";
import { systemEnvironment } from "./command/environment.ts";

const args = process.argv.slice(2);
const isDaemon =
  ["server", "bridge"].includes(args[0] ?? "") ||
  (args[0] === "client" && ["connect", "monitor", "service"].includes(args[1] ?? ""));
if (isDaemon && VERSION !== "dev") {
  // Loaded by those that stay: a command that answers and ends needs no system calls of ours.
  const { calmRuntime } = await import("./platform/calm-runtime.ts");
  calmRuntime(process.execPath, args);
}
process.exitCode = await runApplication(args, systemEnvironment());
