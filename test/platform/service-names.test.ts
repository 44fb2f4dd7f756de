import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serviceNames } from "../../src/platform/service-names.ts";

const LIST = `# Network services
ssh		22/tcp				# SSH
 domain		53/tcp
domain		53/udp
#secret		54/tcp
http		80/tcp		www
www-http	80/tcp
ddp		4/ddp
bad line
`;

test("serviceNames() reads services(5) when it is first asked, and takes the first name of a port", () => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-services-"));
  try {
    const path = join(folder, "services");
    const nameOf = serviceNames(path);
    writeFileSync(path, LIST);
    expect(nameOf(22, "tcp")).toBe("ssh");
    expect(nameOf(22, "udp")).toBeUndefined();
    expect(nameOf(53, "udp")).toBe("domain");
    expect(nameOf(54, "tcp")).toBeUndefined();
    expect(nameOf(80, "tcp")).toBe("http");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("serviceNames() knows no names where there is no list", () => {
  expect(serviceNames("/nonexistent/services")(80, "tcp")).toBeUndefined();
});
