// Every bound of the program and its reason. A length meets its limit here before memory is set aside for it.

/* Specification constants: protocol.md 1, 4, 12, 13, 14. Not ours to tune. */

/** Largest Ethernet frame that may cross, in bytes (protocol.md 13). */
export const MAX_FRAME_BYTES = 1600;
/** Destination, source and EtherType: anything shorter is not a frame. */
export const MIN_FRAME_BYTES = 14;
/** A block announced larger than this ends the connection (protocol.md 13). */
export const MAX_BLOCK_BYTES = 3200;
/** Body of a keep-alive (protocol.md 13). */
export const MAX_KEEPALIVE_BYTES = 512;
/** TCP connections of one session (protocol.md 12). */
export const MAX_CONNECTIONS_PER_SESSION = 32;
/** Session time-out in seconds: least, usual, most (protocol.md 9). */
export const SESSION_TIMEOUT_S = { min: 5, default: 20, max: 60 } as const;
/** Name of a PACK element; `name_len` counts one byte more (protocol.md 4). */
export const MAX_PACK_NAME_BYTES = 63;
/** Hub, user, session and host names (protocol.md 1); longer ones are cut. */
export const MAX_NAME_CHARS = 255;
/** Signature body with the watermark: 1411 bytes of it and 0..1999 of filler (protocol.md 3.2). */
export const WATERMARK_BYTES = 1411;
export const MAX_SIGNATURE_BYTES = 3411;
/** Requests before the signature, and NOOPs, that one connection may make (protocol.md 2.2, 3.6). */
export const MAX_REQUESTS_BEFORE_LOGIN = 19;
export const MAX_NOOPS_BEFORE_LOGIN = 30;

/* Implementation limits: robustness.md 2. */

/** First PACK of a client: what stock servers take as well. */
export const MAX_BODY_BEFORE_LOGIN = 65_536;
/** What a server may answer to us as a client. */
export const MAX_ANSWER_TO_CLIENT = 1 << 20;
export const MAX_PACK_ELEMENTS_BEFORE_LOGIN = 1024;
export const MAX_PACK_ELEMENTS = 65_536;
export const MAX_PACK_VALUES = 65_536;
export const MAX_HTTP_LINE_BYTES = 4096;
export const MAX_HTTP_LINES = 128;
export const MAX_HTTP_HEAD_BYTES = 32_768;

/** Not logged in, one source (/32, /64): a person's machines behind one NAT stay below it. */
export const MAX_PENDING_PER_SOURCE = 16;
/** Not logged in, whole server: refused at random from the first figure, always at the second. */
export const MAX_PENDING = { shedFrom: 200, shedShare: 0.3, all: 1000 } as const;
/** Deadlines after accept, in milliseconds. A 5.02 client asks its user about the certificate meanwhile. */
export const TLS_HANDSHAKE_MS = 10_000;
export const FIRST_REQUEST_MS = 20_000;
export const LOGIN_MS = 30_000;
export const NOOP_EXTENSION_MS = 15_000;

/** What waits for one port, with what its sockets have not taken: latency is what queues cost. */
export const MAX_EGRESS_BYTES = 1 << 20;
/** A session whose sockets take nothing for this long while bytes wait is ended. */
export const NO_PROGRESS_MS = 30_000;
/** After close_notify the peer has this long to close its side. */
export const CLOSE_MS = 5_000;

export const MAX_FDB_ENTRIES = 65_536;
/** MACs of a network session whose policy names no number. */
export const MAX_FDB_ENTRIES_PER_PORT = 4096;
export const FDB_AGE_MS = 600_000;
/** Flows of one port that the broadcast limiter follows, and that may begin in half a second (hub.md 2.10). */
export const MAX_STORM_RECORDS_PER_PORT = 1024;
/** By then the largest divisor of the limiter has decayed to nothing: what is forgotten later was over. */
export const STORM_FORGET_MS = 600_000;
/** Addresses that hosts are looking at, which are not polled meanwhile. */
export const MAX_HELD_POLLS = 1024;
/** Moves of one MAC between ports that are followed in a second; more is a loop or an attack. */
export const MAX_MAC_MOVES_PER_S = 10;
export const MAX_IP_ENTRIES = 65_536;
/** Addresses of a network session that are listed and owned. */
export const MAX_IP_ENTRIES_PER_PORT = 4096;
export const IP_AGE_MS = 60_000;
/** As IP_AGE_MS, of addresses that a DHCP server gave. */
export const LEASE_AGE_MS = 300_000;
/** For how long a fresh owner keeps its MAC or IP against another port. */
export const OWNERSHIP_MS = 13_000;
/** MACs and addresses of a client-mode session (hub.md 2.7, 2.8). */
export const CLIENT_MODE_MACS = 3;
export const CLIENT_MODE_IPV4 = 4;
export const CLIENT_MODE_IPV6 = 15;
export const MIN_IPV6_LIMIT = 5;

export const MAX_HUBS = 4096;
export const MAX_SESSIONS = 4096;
export const MAX_USERS_PER_HUB = 10_000;
/** Links to other hubs that one hub dials. */
export const MAX_CASCADES_PER_HUB = 1024;
/** Interfaces of this machine that a hub leads to. */
export const MAX_BRIDGES_PER_HUB = 64;
/** IFNAMSIZ less the zero at its end. */
export const MAX_INTERFACE_NAME_BYTES = 15;
/** Of an interface that a bridge makes: the least that IPv4 counts on, and what leaves room for a tag in a frame. */
export const MIN_BRIDGE_MTU = 576;
export const MAX_BRIDGE_MTU = 1582;

export const MAX_PASSWORD_BYTES = 1024;
/** Certificate and signature of a login: what stock servers take, and an RSA key of 4096 bits. */
export const MAX_CERTIFICATE_BYTES = 100_000;
export const MAX_SIGNATURE_OF_LOGIN_BYTES = 512;
/** A revocation list of a large company has some ten thousand entries of 40 bytes. */
export const MAX_CRL_BYTES = 4 << 20;
/** Password hashes at once, each on a thread and with 64 MiB, and logins that wait for one. */
export const MAX_PASSWORD_HASHES = { atOnce: 2, waiting: 64 } as const;
/** Secret of one-time codes: RFC 4226 4 R6 asks for 128 bits at least; 64 bytes are a block of its hash. */
export const TOTP_SECRET_BYTES = { min: 16, max: 64 } as const;
/** RADIUS and NT: one try, all tries of a login, servers that are tried, logins that wait in all. */
export const OUTSIDE_RETRY_MS = 5_000;
export const OUTSIDE_TIMEOUT_MS = 15_000;
export const MAX_OUTSIDE_SERVERS = 16;
export const MAX_OUTSIDE_WAITING = 64;
export const ACCOUNTING_INTERVAL_MS = 300_000;
/** Accounting records that wait for a server: a start and a stop of every session; how long, and how many are asked about at once. */
export const MAX_ACCOUNTING_RECORDS = 8192;
export const ACCOUNTING_KEEP_MS = 3_600_000;
export const MAX_ACCOUNTING_IN_FLIGHT = 32;
/** A server that stops waits this long for its last records to be confirmed. */
export const ACCOUNTING_CLOSE_MS = 2_000;
/** Helper processes for NT domains at once, and bytes of an answer of one. */
export const MAX_NTLM_HELPERS = 4;
export const MAX_NTLM_ANSWER_BYTES = 4096;
/** Rules of a hub about the addresses that sessions come from: each login walks them. */
export const MAX_SOURCE_RULES = 4096;
/** Rules of a hub's access list (hub.md 7.1), one of each family where both are meant; files of names that they refer to. */
export const MAX_ACCESS_RULES = 32_768;
export const MAX_ACCESS_FILES = 256;
/** A file of names in an access rule (hub.md 7.2). */
export const MAX_ACCESS_FILE_BYTES = 1 << 20;
/** Failed logins of one user from all sources: so many in the window, then one is looked at in each interval. */
export const LOCKOUT_USER_FAILURES = 20;
export const LOCKOUT_USER_WINDOW_MS = 600_000;
export const LOCKOUT_USER_INTERVAL_MS = 5_000;
/** Users, whether they exist or not, of whom failures and used codes are kept. */
export const LOCKOUT_MAX_USERS = 65_536;
/** Sources kept of one user. */
export const LOCKOUT_KNOWN_SOURCES = 16;
/** A source where the user logged in lately is neither counted nor held. */
export const LOCKOUT_KNOWN_SOURCE_MS = 86_400_000;
/** Failed logins of one source (/32, /64), in milliseconds and sources kept. */
export const LOCKOUT_PENALTY_MS = 5_000;
export const LOCKOUT_ENFORCE_MS = 15_000;
export const LOCKOUT_MAX_MS = 600_000;
export const LOCKOUT_MAX_SOURCES = 65_536;

export const MAX_CONFIG_BYTES = 4 << 20;
export const MAX_CONFIG_DEPTH = 32;
export const MAX_CONFIG_STRING = 65_536;
export const MAX_CONFIG_ITEMS = 65_536;

/** Bytes of one write to a TLS socket: stays in the L2 cache (dataplane.md 2). */
export const WRITE_BATCH_BYTES = 40_960;
/** Bytes that the kernel may hold unsent for one socket; more only adds delay (dataplane.md 7). */
export const NOTSENT_LOWAT_BYTES = 131_072;
/** Keys, list items and tables of all configuration files: room for the longest access list; parsed within some seconds. */
export const MAX_CONFIG_ENTRIES = 262_144;

/** Bytes of one run that a hub hands to a port: what a full port drops at once, and what stays in the L2 cache. */
export const MAX_FORWARD_BYTES = 49_152;
/** Depth to which ports in the process may answer a hub within its own delivery; more is a loop. */
export const MAX_FORWARD_DEPTH = 8;
/**
 * Ports that a hub has given frames without a flush. Each session among them holds a unit of its own meanwhile, of
 * which there are 768 (session/batch.ts): a flood to more sessions would be lost for the rest of them.
 */
export const MAX_UNFLUSHED_PORTS = 512;
/** So many ports that were given nothing but broadcasts share the cost of a flush for as long as this. */
export const FAN_OUT_PORTS = 128;
export const FAN_OUT_PAUSE_MS = 3;
/** Frames of one hub that access rules delay (robustness.md FR-23). */
export const MAX_DELAYED_BYTES = 4 * 1024 * 1024;
/** Lines about refused logins in a minute, of all sources: fail2ban must see each, a disk must not fill. */
export const MAX_LOGIN_FAILURE_LINES_PER_MINUTE = 600;
/** Lines of one kind that a hub logs in a minute (robustness.md 1.5). */
export const MAX_LOG_REPEATS_PER_MINUTE = 10;
/** The same for lines about who has which address: none must be missing when an office begins its day. */
export const MAX_ADDRESS_LINES_PER_MINUTE = 600;

/** Routes of one account through its tunnel: those it names, less the servers' addresses cut out of them. */
export const MAX_TUNNEL_ROUTES = 1024;
/** Addresses of a server that are remembered and kept off the tunnel; the oldest go first. */
export const MAX_SERVER_ADDRESSES = 32;
/** A record of what must be undone: a resolv.conf of some KiB and a few dozen rules. */
export const MAX_UNDO_BYTES = 1 << 20;
/** Addresses of one host that a dial tries: more than any service publishes, fewer than a hostile zone can. */
export const MAX_DIAL_ADDRESSES = 32;

/** A configuration of SoftEther or one of its .vpn files: what thousands of users fill. */
export const MAX_DECLARED_BYTES = 16 << 20;
export const MAX_DECLARED_DEPTH = 16;
export const MAX_DECLARED_ITEMS = 1 << 20;
/** IPv6 routers of one link that are remembered (RFC 4861 6.3.4 asks for two at least). */
export const MAX_ROUTERS = 16;
/** Times that an account puts its name servers back into a resolv.conf that others write: a day of short leases. */
export const MAX_DNS_CONTESTS = 100;

/** Lines that wait for one log file or for the syslog receiver: some ten thousand; what comes on top is lost and counted. */
export const MAX_LOG_QUEUE_BYTES = 1 << 20;
/** Bytes of one write to a log file. */
export const MAX_LOG_WRITE_BYTES = 1 << 16;
/** Lines are written this late at most, so that a burst costs one write. */
export const LOG_FLUSH_MS = 100;
/** A file that could not be written is tried again after this. */
export const LOG_RETRY_MS = 1_000;
/** After this without another loss the trouble with a log counts as over. */
export const LOG_CALM_MS = 10_000;
/** A log file that nothing was written to for this long is closed: a server has two for each hub. */
export const LOG_IDLE_MS = 30_000;
/** A stopping server waits this long for disks and for the syslog receiver. */
export const LOG_CLOSE_MS = 2_000;
/** How often old log files and the room on the disk are looked at (hub.md 10). */
export const LOG_CLEAN_MS = 300_000;
/** Log files that one look takes note of. */
export const MAX_LOG_FILES = 100_000;
/** Syslog messages: what receivers should take by UDP (RFC 5424 6.1), and what the usual ones take by TCP. */
export const MAX_SYSLOG_BYTES = { udp: 2048, tcp: 8192 } as const;
/** Waits before another try to reach the receiver, doubled from the first to the second. */
export const SYSLOG_RETRY_MS = { first: 1_000, most: 60_000 } as const;
/** A receiver that has not accepted, or takes nothing while bytes wait, for this long is dialled anew. */
export const SYSLOG_STALL_MS = 15_000;
/** Addresses of the receiver's name are asked for again after this. */
export const SYSLOG_LOOKUP_MS = 300_000;
/** Frames of one hub that wait to become lines of its packet log. */
export const PACKET_LOG_BYTES = 1 << 19;
/** Lines of a packet log that are made in one turn of the event loop: under a millisecond. */
export const PACKET_LINES_PER_TURN = 256;
/** Bytes of a frame whose packet log line tells of its headers only. */
export const PACKET_HEADER_BYTES = 192;
/** Fields of requests that were seen passing by, in characters. */
export const MAX_REQUEST_FIELD_CHARS = 511;
/** A capture filter: what people type or scripts put together. */
export const MAX_FILTER_CHARS = 4096;
export const MAX_FILTER_DEPTH = 64;
/** Frames of a monitoring client that wait for a slow disk or reader, twice: those being written, and the next. */
export const MAX_CAPTURE_BYTES = 8 << 20;

/** NAT entries of a hub, and of one inside address of it (robustness.md 2). */
export const MAX_NAT_ENTRIES = 65_536;
export const MAX_NAT_ENTRIES_PER_ADDRESS = 16_384;
/** TCP flows of one inside address whose targets have not accepted yet. */
export const MAX_HALF_OPEN_PER_ADDRESS = 1024;
/** What the TCP connections of one SecureNAT hold in all, sent and not acknowledged or received and not taken. */
export const MAX_NAT_TCP_BYTES = 64 << 20;
/** Of one of them each way: 200 Mbit/s over 160 ms. */
export const MAX_TCP_BUFFER_BYTES = 4 << 20;
/** Connections that are over and only answer late segments (RFC 9293 TIME-WAIT): the oldest make room. */
export const MAX_TIME_WAIT = 4096;
/** Open files that guests leave to sessions, logs and listeners; half of them where there are fewer than twice as many. */
export const OPEN_FILES_BESIDES_NAT = 8192;
/** A guest waits for its target this long (hub.md 11.3). */
export const NAT_CONNECT_MS = 10_000;
/** What one flow reads of its target before others get their turn: four chunks (secure-nat/tcp/tcp-io.ts). */
export const NAT_READ_BYTES_PER_TURN = 262_144;
/** Addresses that are probed for at once before they are given away. */
export const MAX_ADDRESS_PROBES = 1024;
/** What a DHCP server may be told to hand out: routes (hub.md 11.1), name or time servers, addresses of certain MACs. */
export const MAX_DHCP_ROUTES = 64;
export const MAX_DHCP_SERVERS_OF_A_KIND = 8;
export const MAX_FIXED_LEASES = 4096;
/** Leases, offers and resting addresses of a virtual DHCP server: as many as a hub has addresses in its table. */
export const MAX_DHCP_BINDINGS = 65_536;
/** Addresses that are offered at once: the oldest offer makes room, so that nobody can hold them all. */
export const MAX_DHCP_OFFERS = 1024;
/** Addresses that rest since somebody has them who has no lease; never more than half of the pool. */
export const MAX_DHCP_RESTING = 1024;
/** Machines whose last address is known when they come back without a lease, the latest. */
export const MAX_DHCP_REMEMBERED = 4096;
/** Lines about NAT entries and leases that a hub logs in a minute: two for each, of 250 new ones a second. */
export const MAX_NAT_LINES_PER_MINUTE = 30_000;
/**
 * DNS messages of guests and their resolvers (robustness.md 2). `udpBytes` is what goes to a guest by UDP: the size
 * that resolvers have agreed upon for EDNS, beyond which they ask by TCP.
 */
export const DNS_LIMITS = {
  messageBytes: 65_535,
  nameBytes: 255,
  labelBytes: 63,
  pointerJumps: 16,
  records: 64,
  udpBytes: 4096,
} as const;
/** A question by TCP: a name, and what EDNS and padding (RFC 8467 4.1) add. */
export const MAX_DNS_STREAM_QUESTION_BYTES = 1024;
/** Questions of one inner address: a page with a hundred names, twice over; what comes faster is lost. */
export const DNS_QUESTIONS_PER_S = 500;
/** Answers to one guest that all others hear, in a second, and to all: no port may flood more by asking a software host to. */
export const GROUP_ANSWERS_PER_S = { perGuest: 32, all: 2000 } as const;
/** Questions that wait for an answer, of all guests and of one, and the sockets that they share. */
export const MAX_DNS_PENDING = { all: 2048, perAddress: 256 } as const;
export const MAX_DNS_SOCKETS = 256;
/** A resolver is given this long before the next one is asked; all of them together this long (robustness.md DN-07). */
export const DNS_RETRY_MS = 1_000;
export const DNS_TIMEOUT_MS = 4_500;
/** A resolver that let others answer for it is asked last for this long. */
export const DNS_SILENCE_MS = 30_000;
/** Resolvers that are used of those named. */
export const MAX_DNS_RESOLVERS = 8;
/** Inner addresses whose rate is followed; the one that was quiet longest goes first. */
export const MAX_RATED_ASKERS = 4096;
/** A resolv.conf; real ones have some hundred bytes. */
export const MAX_RESOLV_CONF_BYTES = 65_536;

/** Virtual layer 3 switches, and of each the hubs it leads to, its addresses in one of them, its routes (hub.md 12.1). */
export const MAX_L3_SWITCHES = 4096;
export const MAX_L3_INTERFACES = 4096;
export const MAX_L3_ADDRESSES = 16;
export const MAX_L3_ROUTES = 4096;
export const DEFAULT_L3_MTU = 1500;
/** RFC 8200 5. */
export const MIN_IPV6_MTU = 1280;
/** Packets of an L3 switch that wait until somebody has told his MAC: for one next hop, and in all (hub.md 12.2). */
export const MAX_WAITING_PER_NEIGHBOR = 64;
export const MAX_WAITING_PACKETS = 10_000;
/** Neighbours of a software host on one link, and how many of them may not have answered yet. */
export const MAX_NEIGHBORS = 8192;
export const MAX_UNRESOLVED_NEIGHBORS = 1024;
/** A neighbour that has answered is not asked again for so long, if it is used (RFC 4861 10, hub.md 12.2). */
export const NEIGHBOR_REACHABLE_MS = 30_000;
/** Between questions; how many go to everybody before packets are given up, and to the last known MAC alone. */
export const NEIGHBOR_RETRY_MS = 1_000;
export const NEIGHBOR_GIVE_UP_ASKS = 5;
export const NEIGHBOR_PROBES = 3;
/** ICMP errors of one software host or router: a traceroute of 30 hops sends 90 probes at once (robustness.md IP-08). */
export const ICMP_ERRORS = { perSecond: 200, burst: 100 } as const;
/** Packets in parts that a software host waits for: of one inner address, for how long, and in all (robustness.md 2, hub.md 11.2). */
export const MAX_REASSEMBLIES_PER_ADDRESS = 64;
export const REASSEMBLY_MS = 10_000;
export const MAX_REASSEMBLY_BYTES = 50 << 20;
/** Parts of one packet: 65,535 bytes over links with the smallest MTU of IPv4, 68, are 1,366. */
export const MAX_FRAGMENTS = 1500;
/** Between two announcements against a station that has an address of ours (RFC 5227 1.1, DEFEND_INTERVAL). */
export const NEIGHBOR_DEFEND_MS = 10_000;
/** Hosts that ask for routers within half a second and are remembered for it; for more of them everybody is told. */
export const MAX_ROUTER_SOLICITORS = 16;
/** A layer 3 switch says where it is at the start, once again, and then so often: well before switches forget it. */
export const L3_ANNOUNCE_AGAIN_MS = 2_000;
export const L3_ANNOUNCE_MS = 120_000;
/** An echo that has not been answered by then is forgotten (hub.md 11.3). */
export const NAT_ECHO_TIMEOUT_MS = 10_000;
/**
 * DHCPv6 messages of guests: what fits an Ethernet frame, options that the busiest client sends twice over, and the
 * associations of one message that are answered.
 */
export const DHCPV6_LIMITS = {
  messageBytes: 1500,
  options: 64,
  associations: 8,
  duidBytes: 130,
} as const;
