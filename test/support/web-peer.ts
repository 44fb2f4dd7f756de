// Run in a namespace: `serve PORT...` answers every request on all addresses; `ask ADDRESS/PORT...` makes a request of
// each at once and prints as JSON, in their order, what came of them: {"outcome":"answered","head":[...]}, "silent" where
// the connection stood and nothing came, or "unreachable".
import { connect, createServer } from "node:net";

const CONNECT_MS = 4000;
const ANSWER_MS = 4000;
const [role, ...words] = process.argv.slice(2);

function serve(ports: readonly number[]): void {
  for (const port of ports) {
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.on("data", () =>
        socket.end("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"),
      );
    });
    server.listen({ host: "::", port });
  }
}

function ask(host: string, port: number): Promise<object> {
  const { promise, resolve } = Promise.withResolvers<object>();
  const socket = connect({ host, port });
  let heard = "";
  const end = (outcome: string) => {
    clearTimeout(deadline);
    socket.destroy();
    resolve({ outcome, head: heard.split("\r\n\r\n")[0]!.split("\r\n") });
  };
  let deadline = setTimeout(() => end("unreachable"), CONNECT_MS);
  socket.on("connect", () => {
    clearTimeout(deadline);
    deadline = setTimeout(() => end("silent"), ANSWER_MS);
    socket.write("GET / HTTP/1.1\r\nHost: server\r\n\r\n");
  });
  socket.on("data", (data) => {
    heard += data.toString("latin1");
    if (heard.includes("\r\n\r\n")) end("answered");
  });
  socket.on("error", () => end("unreachable"));
  return promise;
}

if (role === "serve") serve(words.map(Number));
else {
  const answers = words.map((word) => {
    const [host, port] = word.split("/");
    return ask(host!, Number(port));
  });
  console.log(JSON.stringify(await Promise.all(answers)));
}
