/** What an error number of protocol.md 8 means and what to do about it, for the person at the client. */
export function refusalText(error: number): string {
  return REFUSALS[error] ?? `The server refused with error ${error}`;
}

const REFUSALS: Readonly<Record<number, string>> = {
  1: "The server could not be reached",
  2: "The other side is not a VPN server: check host and port",
  3: "The server broke off the connection",
  4: "The server did not understand us (error 4)",
  7: "The server does not offer this way to log in (error 7)",
  8: "The server has no hub of this name (error 8): check --hub",
  9: "The server refused the login (error 9): check hub, user name and password",
  10: "The hub is offline (error 10): its administrator must put it online",
  11: "The session was ended by an administrator (error 11)",
  12: "Access denied (error 12): the user may be expired, disabled or barred by policy",
  13: "The session timed out on the server (error 13)",
  14: "The server does not accept this transport for the session (error 14)",
  15: "The session has too many connections (error 15)",
  16: "The hub is full (error 16): try again later",
  20: "This user is logged in too often (error 20): end another session first",
  21: "The server's licence does not allow this session (error 21)",
  33: "The server does not support this (error 33): is it a bridge?",
  49: "No member of the server's cluster can host the hub (error 49)",
  51: "An empty password is good on the server itself only (error 51)",
  52: "Not enough rights (error 52)",
  87: "The hub wants a newer client (error 87)",
  105: "The server accepts no sessions now (error 105)",
  106: "The server's certificate has expired (error 106)",
  107: "Monitoring mode is not allowed to this user (error 107)",
  108: "Bridge mode is not allowed to this user (error 108): connect with --mode client",
  109: "This address may not log in to the hub (error 109)",
  126: "The session reached the time that its policy allows (error 126)",
  127: "The hub wants another client id (error 127)",
  148: "The server is shutting down (error 148)",
};
