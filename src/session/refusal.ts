/**
 * What an error number of protocol.md 8 means and what to do about it, for the person at the client. One line, the
 * number in it, so that what others write about it is found.
 */
export function refusalText(error: number): string {
  const [meaning, remedy] = refusalOf(error);
  return `${meaning} (error ${error})${remedy === undefined ? "" : `: ${remedy}`}`;
}

/** The meaning alone, for where the number is told beside it and nobody is at a command line. */
export function refusalMeaning(error: number): string {
  return refusalOf(error)[0];
}

function refusalOf(error: number): readonly [meaning: string, remedy: string | undefined] {
  const known = REFUSALS[error] ?? UNKNOWN;
  return typeof known === "string" ? [known, undefined] : known;
}

const UNKNOWN = [
  "The server refused for a reason that has no name here",
  "its log says more",
] as const;

const ASK_ADMIN = "ask its administrator";
const CLUSTER = "connect to the controller of the cluster";
const LICENCE = "the server's owner must see to its licences";
const OWN_CARD = "log in by --cert and --key instead of a smart card";
const ADMIN_ONLY =
  "this answer belongs to administration, not to a login: the server confuses the two";

type Refusal = string | readonly [meaning: string, remedy: string];

/** Meaning, and what to do where somebody at the client can do something. 70 to 72 are not assigned. */
const REFUSALS: Readonly<Record<number, Refusal>> = {
  1: ["The server could not be reached", "check host and port, and that no firewall is in between"],
  2: ["The other side is not a VPN server", "check host and port"],
  3: ["The server broke off the connection", "it is tried again; its log says more"],
  4: [
    "The server did not understand us",
    "it may be too old, or something in between changes what we send",
  ],
  5: [
    "The server does not take this program for a VPN client",
    "check that it is a server of this protocol",
  ],
  6: "The session was cancelled by its user",
  7: [
    "The server does not offer this way to log in",
    "use another of --password-file, --plain, --cert, --anonymous",
  ],
  8: ["The server has no hub of this name", "check --hub"],
  9: [
    "The server refused the login",
    "check hub, user name and password, and the code of a second factor",
  ],
  10: ["The hub is offline", "its administrator must put it online"],
  11: ["The session was ended by an administrator", ASK_ADMIN],
  12: [
    "Access denied",
    "the user may be expired, disabled or barred by policy; ask the hub's administrator",
  ],
  13: ["The session timed out on the server", "it is opened anew"],
  14: ["The server does not accept this transport for the session", "connect with --no-udp"],
  15: ["The session has too many connections", "ask for fewer with --connections"],
  16: ["The hub is full", "try again later, or ask its administrator for a higher limit"],
  17: ["The proxy could not be reached", "check --proxy, or the variable https_proxy"],
  18: ["The proxy refused", "check that it lets connections to this host and port through"],
  19: ["The proxy wants another login", "check the user of --proxy and --proxy-password-file"],
  20: ["This user is logged in too often", "end another session first"],
  21: ["The server's licence does not allow this session", LICENCE],
  22: [
    "The virtual network card does not work",
    "check that /dev/net/tun is there and that this is root",
  ],
  23: ["The other side has an internal fault", "try again; its log says more"],
  24: ["The smart card cannot be opened", OWN_CARD],
  25: ["The PIN of the smart card is wrong", OWN_CARD],
  26: ["The certificate is not on the smart card", OWN_CARD],
  27: ["The private key is not on the smart card", OWN_CARD],
  28: ["The smart card cannot be written", OWN_CARD],
  29: ["What was asked for does not exist", ADMIN_ONLY],
  30: ["A network card of this name exists already", "choose another name"],
  31: ["The network card cannot be made", "check that /dev/net/tun is there and that this is root"],
  32: ["This is no name for a network card", "take letters and digits, at most 31"],
  33: [
    "The server does not support this",
    "it may be a bridge, which takes no sessions, or bar all clients",
  ],
  34: [
    "An account of this name exists already",
    "choose another name, or change that one with account set",
  ],
  35: ["The account is connected", "disconnect it first"],
  36: ["There is no account of this name", "vpn client account list shows them"],
  37: ["The account is not connected", "connect it first"],
  38: ["The server finds a value of the request invalid", "check the names of hub and user"],
  39: ["The smart card failed", OWN_CARD],
  40: ["No smart card is chosen", OWN_CARD],
  41: ["The network card is in use by an account", "disconnect that account first"],
  42: ["The network card of the account is not there", "choose one with account set --nic"],
  43: ["The network card of the account is in use", "choose another with account set --nic"],
  44: ["The network card of the account is switched off", "choose another with account set --nic"],
  45: ["The server finds a value out of its range", "check the settings of the account"],
  46: ["The server is not the controller of its cluster", CLUSTER],
  47: ["The server is still connecting", "try again in a moment"],
  48: ["The server cannot reach the controller of its cluster", CLUSTER],
  49: ["No member of the server's cluster can host the hub", "try again later"],
  50: ["The hub is not managed on this member", CLUSTER],
  51: ["An empty password is good on the server itself only", "the user needs a password"],
  52: ["Not enough rights", ASK_ADMIN],
  53: ["There is no such listener", ADMIN_ONLY],
  54: ["This listener exists already", ADMIN_ONLY],
  55: ["The server is not a member of a cluster", ADMIN_ONLY],
  56: ["The server does not support this cipher", ADMIN_ONLY],
  57: ["A hub of this name exists already", ADMIN_ONLY],
  58: ["The server has too many hubs", ADMIN_ONLY],
  59: ["A cascade of this name exists already", ADMIN_ONLY],
  60: ["A cluster has no cascades", ADMIN_ONLY],
  61: ["The cascade is offline", ADMIN_ONLY],
  62: ["The access list is full", ADMIN_ONLY],
  63: ["The server has too many users for its licence", LICENCE],
  64: ["The hub has too many groups", ADMIN_ONLY],
  65: ["There is no such group", ADMIN_ONLY],
  66: ["A user of this name exists already", ADMIN_ONLY],
  67: ["A group of this name exists already", ADMIN_ONLY],
  68: ["The user does not log in by a password", "use --cert, or ask the hub's administrator"],
  69: ["The old password is wrong, or there is no such user", "check both"],
  73: ["The session of a cascade cannot be ended so", ADMIN_ONLY],
  74: ["The bridge has no connection configured", ADMIN_ONLY],
  75: ["It is online already", ADMIN_ONLY],
  76: ["It is offline already", ADMIN_ONLY],
  77: ["The certificate is of no use to the server", "it must have an RSA key"],
  78: ["The session of SecureNAT cannot be ended so", ADMIN_ONLY],
  79: ["SecureNAT needs a hub that stands alone", ADMIN_ONLY],
  80: ["SecureNAT is not running", ADMIN_ONLY],
  81: ["A product that blocks VPNs is in the way", "ask who runs this network"],
  82: ["The session of a bridge cannot be ended so", ADMIN_ONLY],
  83: ["The local bridge is stopped", ADMIN_ONLY],
  84: ["Local bridges are not supported there", ADMIN_ONLY],
  85: ["The server's certificate is not trusted", "check it, and tell by --verify what to trust"],
  86: ["The server is of another product", "use the client that its vendor gives"],
  87: ["The hub wants a newer client", "update this program"],
  88: ["A capture device cannot be added", ADMIN_ONLY],
  89: ["The server is of another edition", "use the client that its vendor gives"],
  90: ["There is no such capture device", ADMIN_ONLY],
  91: ["The session of a layer-3 switch cannot be ended so", ADMIN_ONLY],
  92: ["A layer-3 switch of this name exists already", ADMIN_ONLY],
  93: ["There is no such layer-3 switch", ADMIN_ONLY],
  94: ["The server does not take this name", "check the names of hub and user"],
  95: ["The interface cannot be added", ADMIN_ONLY],
  96: ["The interface cannot be deleted", ADMIN_ONLY],
  97: ["The interface exists already", ADMIN_ONLY],
  98: ["The route cannot be added", ADMIN_ONLY],
  99: ["The route cannot be deleted", ADMIN_ONLY],
  100: ["The route exists already", ADMIN_ONLY],
  101: [
    "The clock of one of the two is wrong",
    "set the time of this machine, and tell the server's administrator",
  ],
  102: ["The layer-3 switch cannot start", ADMIN_ONLY],
  103: ["The server has too few licences for clients", LICENCE],
  104: ["The server has too few licences for bridges", `connect with --mode client, or ${LICENCE}`],
  105: ["The server accepts no sessions now", "try again later, or ask its administrator"],
  106: ["The server's certificate has expired", "its administrator must renew it"],
  107: ["Monitoring mode is not allowed to this user", "connect with --mode client"],
  108: ["Bridge mode is not allowed to this user", "connect with --mode client"],
  109: [
    "This address may not log in to the hub",
    "ask its administrator, or connect from elsewhere",
  ],
  110: ["The server holds too many items of this kind", ASK_ADMIN],
  111: ["The server is out of memory", "try again later"],
  112: ["It exists already", ADMIN_ONLY],
  113: ["The server has a fatal fault", ASK_ADMIN],
  114: ["The server breaks the terms of its licence", LICENCE],
  115: ["The server has no connection to the internet", ASK_ADMIN],
  116: ["The client breaks the terms of a licence", ASK_ADMIN],
  117: ["The server does not know this command or value", ADMIN_ONLY],
  118: ["The licence key is invalid", LICENCE],
  119: ["The server has no licence", LICENCE],
  120: ["The server has no licence for a cluster", LICENCE],
  121: ["The server lacks a part that its administration needs", LICENCE],
  122: ["The server lacks a part that its administration needs", LICENCE],
  123: ["The server is a trial version that has expired", LICENCE],
  124: ["The server wants the client of its own brand", "use the client that its vendor gives"],
  125: ["The client wants a server of its own brand", "use the server that its vendor gives"],
  126: ["The session reached the time that its policy allows", "connect again when it is needed"],
  127: ["The hub wants another client id", "ask its administrator for a client that it knows"],
  128: ["Too many users were made in a short time", ADMIN_ONLY],
  129: ["The subscription of the server is older than its version", LICENCE],
  130: ["The trial of the server was used too often", LICENCE],
  131: ["Several servers are behind one address", ASK_ADMIN],
  132: ["The key of the server's dynamic name is in use elsewhere", ADMIN_ONLY],
  133: ["The dynamic name is taken", ADMIN_ONLY],
  134: ["The dynamic name has letters that are not allowed", ADMIN_ONLY],
  135: ["The dynamic name is too long", ADMIN_ONLY],
  136: ["The dynamic name is empty", ADMIN_ONLY],
  137: ["The dynamic name is too short", ADMIN_ONLY],
  138: [
    "The user's password must be set again for this way to log in",
    "ask the hub's administrator",
  ],
  139: ["The service of dynamic names is not reached", ADMIN_ONLY],
  140: ["The server cannot listen for VPN over ICMP", ADMIN_ONLY],
  141: ["The server cannot listen for VPN over DNS", ADMIN_ONLY],
  142: ["OpenVPN is switched off on the server", ADMIN_ONLY],
  143: [
    "The server's edition does not know this way to log in",
    "use --password-file with a user of the hub",
  ],
  144: ["A public VPN service does not allow this", "choose another server"],
  145: ["A public VPN service does not allow this to clients of others", "choose another server"],
  146: ["A public VPN service is reached by its own client only", "choose another server"],
  147: ["The server's edition does not have this function", ASK_ADMIN],
  148: ["The server is shutting down", "it is tried again"],
  149: [
    "The server's certificate is for another host",
    "check --server, or tell by --verify what to trust",
  ],
  150: ["The server speaks no version of TLS that is safe", "its administrator must update it"],
  151: ["The server and this client have no cipher in common", "its administrator must update it"],
  152: ["The server failed in the TLS handshake", "check host and port; its log says more"],
};
