import {
  CLIENT_FLAGS,
  CONNECT_FLAGS,
  EXPORT_FLAGS,
  IMPORT_FLAGS,
  MONITOR_FLAGS,
  NIC_FLAGS,
  SERVICE_FLAGS,
  STORE_FLAGS,
  UP_FLAGS,
} from "./client-flags.ts";
import { command, group, type Argument, type CommandGroup } from "./definition.ts";

const account: Argument = {
  placeholder: "ACCOUNT",
  brief: "name of the account",
  isOptional: false,
};
const nic: Argument = { placeholder: "NIC", brief: "name of the NIC", isOptional: false };
const running: Argument = {
  placeholder: "NAME",
  brief: "account or interface",
  isOptional: true,
};

const severalAccounts: Argument = {
  placeholder: "ACCOUNT",
  brief: "names of accounts",
  isOptional: true,
  isRepeated: true,
};

const ACCOUNT_COMMANDS = group("Accounts: where to connect to, and as whom", {
  add: command("Make an account", {
    flags: STORE_FLAGS,
    args: [account],
    examples: [
      "vpn client account add hq --server vpn.example.com --hub office --user alice --ask-password",
      "vpn client account add lab --server [2001:db8::1]:5555 --hub lab --user bob --password-file pw --autostart",
    ],
    load: async () => (await import("./client-account.ts")).add,
  }),
  set: command("Change settings of an account that is not connected", {
    flags: STORE_FLAGS,
    args: [account],
    examples: [
      "vpn client account set hq --connections 8 --compress --no-udp",
      "vpn client account set hq --proxy http://alice@proxy.example.com:3128 --proxy-password-file pw",
      "vpn client account set hq --forget-password",
    ],
    load: async () => (await import("./client-account.ts")).set,
  }),
  list: command("List the accounts, those of client.toml and those made by commands", {
    flags: CLIENT_FLAGS,
    examples: ["vpn client account list", "vpn client account list --json"],
    load: async () => (await import("./client-account-view.ts")).list,
  }),
  show: command("Show an account as client.toml would have it", {
    flags: CLIENT_FLAGS,
    args: [account],
    examples: ["vpn client account show hq", "vpn client account show hq --json"],
    load: async () => (await import("./client-account-view.ts")).show,
  }),
  rename: command("Call an account that was made by a command by another name", {
    flags: CLIENT_FLAGS,
    args: [account, { placeholder: "NEW", brief: "its new name", isOptional: false }],
    examples: ["vpn client account rename hq headquarters"],
    load: async () => (await import("./client-account.ts")).rename,
  }),
  remove: command("Remove an account that is not connected", {
    flags: CLIENT_FLAGS,
    args: [account],
    examples: ["vpn client account remove hq"],
    load: async () => (await import("./client-account.ts")).remove,
  }),
  reset: command("Take back what commands changed of an account of client.toml", {
    flags: CLIENT_FLAGS,
    args: [account],
    examples: ["vpn client account reset hq"],
    load: async () => (await import("./client-account.ts")).reset,
  }),
  import: command("Make an account of a .vpn file of SoftEther's client", {
    flags: IMPORT_FLAGS,
    args: [{ placeholder: "FILE", brief: 'the file, "-" for standard input', isOptional: false }],
    examples: [
      "vpn client account import office.vpn",
      "vpn client account import office.vpn --name hq",
    ],
    load: async () => (await import("./client-account-file.ts")).importFile,
  }),
  export: command("Write an account, with its password, to a .vpn file for SoftEther's client", {
    flags: EXPORT_FLAGS,
    args: [account],
    examples: ["vpn client account export hq", "vpn client account export hq --output office.vpn"],
    load: async () => (await import("./client-account-file.ts")).exportFile,
  }),
});

const NIC_COMMANDS = group("Virtual network cards that accounts connect over", {
  add: command("Make a NIC; its interface is there while an account is connected over it", {
    flags: NIC_FLAGS,
    args: [nic],
    examples: [
      "vpn client nic add office",
      "vpn client nic add lab --device lab0 --address 10.0.0.2/24 --mtu 1400",
    ],
    load: async () => (await import("./client-nic.ts")).add,
  }),
  list: command("List the NICs", {
    flags: CLIENT_FLAGS,
    examples: ["vpn client nic list", "vpn client nic list --json"],
    load: async () => (await import("./client-nic.ts")).list,
  }),
  remove: command("Remove a NIC that is not in use", {
    flags: CLIENT_FLAGS,
    args: [nic],
    examples: ["vpn client nic remove office"],
    load: async () => (await import("./client-nic.ts")).remove,
  }),
  "set-mac": command("Give a NIC another MAC address", {
    flags: CLIENT_FLAGS,
    args: [nic, { placeholder: "MAC", brief: 'the address, or "random"', isOptional: false }],
    examples: [
      "vpn client nic set-mac office 5e:00:53:01:02:03",
      "vpn client nic set-mac office random",
    ],
    load: async () => (await import("./client-nic.ts")).setMac,
  }),
});

/** `vpn client ...`. */
export const CLIENT_COMMANDS: CommandGroup = group("Connect this machine to a hub", {
  connect: command("Connect, and stay connected until Ctrl-C", {
    flags: CONNECT_FLAGS,
    args: [{ placeholder: "ACCOUNT", brief: "name of an account", isOptional: true }],
    examples: [
      "vpn client connect hq",
      "vpn client connect --server vpn.example.com --hub office --user alice",
      "vpn client connect --server [2001:db8::1]:5555 --hub lab --user bob --password-file pw --address 10.0.0.2/24",
      "vpn client connect hq --connections 8 --compress --no-udp --routes 10.0.0.0/8,192.168.7.0/24",
      "vpn client connect hq --cert alice.pem --key alice.key --proxy http://alice@proxy:3128",
    ],
    load: async () => (await import("./client.ts")).connect,
  }),
  monitor: command("Capture all that a hub carries, for Wireshark, tcpdump or files", {
    flags: MONITOR_FLAGS,
    args: [{ placeholder: "ACCOUNT", brief: "name of an account", isOptional: true }],
    examples: [
      "vpn client monitor hq --write hq.pcapng",
      "vpn client monitor hq --write - | wireshark -k -i -",
      "vpn client monitor hq --write - | ssh eve@desk tcpdump -n -r -",
      'vpn client monitor hq --write - --filter "arp or udp port 67" --count 100 | tshark -r -',
      "vpn client monitor hq --write /var/cap/hq.pcapng --ring-size 100MB --ring-files 20",
      "vpn client monitor --server vpn.example.com --hub office --user eve --password-file pw --write eve.pcapng",
    ],
    load: async () => (await import("./client-monitor.ts")).monitor,
  }),
  status: command("Show the clients that run here", {
    flags: CLIENT_FLAGS,
    args: [running],
    examples: ["vpn client status", "vpn client status hq --json"],
    load: async () => (await import("./client-control.ts")).status,
  }),
  disconnect: command("End a client that runs here", {
    flags: CLIENT_FLAGS,
    args: [running],
    examples: ["vpn client disconnect", "vpn client disconnect hq"],
    load: async () => (await import("./client-control.ts")).disconnect,
  }),
  up: command("Connect accounts in the background: those named, or all with autostart", {
    flags: UP_FLAGS,
    args: [severalAccounts],
    examples: ["vpn client up", "vpn client up hq lab", "vpn client up hq --no-wait --json"],
    load: async () => (await import("./client-up.ts")).up,
  }),
  down: command("End accounts that run in the background: those named, or all", {
    flags: CLIENT_FLAGS,
    args: [severalAccounts],
    examples: ["vpn client down", "vpn client down hq"],
    load: async () => (await import("./client-up.ts")).down,
  }),
  service: command("Hold the accounts with autostart connected, for systemd", {
    flags: SERVICE_FLAGS,
    examples: [
      "vpn client service",
      "vpn client service --unit > /etc/systemd/system/vpn-client.service",
    ],
    load: async () => (await import("./client-service.ts")).service,
  }),
  account: ACCOUNT_COMMANDS,
  nic: NIC_COMMANDS,
});
