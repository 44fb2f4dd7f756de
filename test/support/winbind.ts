import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Namespace } from "./namespace.ts";
import { until } from "./process.ts";

// Samba's winbind with a domain of its own, the accounts of one machine. Its folders are mounted over those of an
// installation, in the mount namespace that `ip netns exec` makes, so that nothing of this machine is touched.

/** Name of the domain; all its users are in the group `None`. */
export const NT_DOMAIN = "TESTBOX";

const CONFIGURATION = `
[global]
  netbios name = ${NT_DOMAIN}
  workgroup = CORP
  server role = standalone server
  passdb backend = tdbsam
  idmap config * : backend = tdb
  idmap config * : range = 100000-200000
`;

// Accounts need a user of the system with the same name.
const MOUNT_AND_RUN = `
set -e
for folder in /run/samba /var/lib/samba /var/cache/samba /var/log/samba /etc/samba; do
  mkdir -p $folder
  mount -t tmpfs tmpfs $folder
done
mkdir -p /var/lib/samba/private /run/samba/winbindd
install -d -m 750 /var/lib/samba/winbindd_privileged
cp "$0/smb.conf" /etc/samba
while read -r user password; do
  printf '%s\\n%s\\n' "$password" "$password" | smbpasswd -s -a "$user"
done < "$0/users"
exec winbindd -F --no-process-group --debug-stdout`;

/** Starts it with these users, who are users of this system as well; gives the path of an ntlm_auth that asks it. */
export async function startWinbind(
  at: Namespace,
  users: Readonly<Record<string, string>>,
): Promise<string> {
  const folder = at.world.folder(`${at.name}-winbind`);
  writeFileSync(join(folder, "smb.conf"), CONFIGURATION);
  const lines = Object.entries(users).map(([user, password]) => `${user} ${password}\n`);
  writeFileSync(join(folder, "users"), lines.join(""), { mode: 0o600 });
  const daemon = at.spawn(["sh", "-c", MOUNT_AND_RUN, folder]);
  at.world.onClose(async () => void (await daemon.stop()));
  const inside = ["nsenter", "-m", "-t", String(daemon.pid)];
  await until(
    "winbind answers",
    async () => {
      if (!daemon.alive) throw new Error(`winbindd ended\n${daemon.output()}`);
      return (await at.run([...inside, "wbinfo", "-p"])).exitCode === 0;
    },
    { deadlineMs: 20_000, everyMs: 100, explain: () => daemon.output() },
  );
  const helper = join(folder, "ntlm_auth");
  writeFileSync(helper, `#!/bin/sh\nexec ${inside.join(" ")} ntlm_auth "$@"\n`, { mode: 0o755 });
  return helper;
}
