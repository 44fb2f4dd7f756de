import { runApplication } from "./command/application.ts";
import { systemEnvironment } from "./command/environment.ts";

process.exitCode = await runApplication(process.argv.slice(2), systemEnvironment());
