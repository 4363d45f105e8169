// The same tools as `server.py`, on the official TypeScript SDK with sessions and an event store:
// `server.mjs PORT`.
import { randomUUID } from "node:crypto";
import express from "express";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { isInitializeRequest } from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";

const port = Number(process.argv[2]);
const sessions = new Map();
let ended = 0;

class Events {
  sent = [];
  async storeEvent(stream, message) {
    this.sent.push({ stream, message });
    return String(this.sent.length);
  }
  async replayEventsAfter(last, { send }) {
    const stream = this.sent[Number(last) - 1]?.stream;
    for (const [at, each] of this.sent.entries())
      if (each.stream === stream && at >= Number(last)) await send(String(at + 1), each.message);
    return stream;
  }
}

const text = (said) => ({ content: [{ type: "text", text: String(said) }] });

function made() {
  const server = new McpServer({ name: "tools", version: "1" });
  const tell = (extra, progress) => {
    const progressToken = extra._meta?.progressToken;
    return extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress } });
  };
  const sum = { a: z.number(), b: z.number() };
  server.registerTool("add", { inputSchema: sum }, ({ a, b }) => text(a + b));
  server.registerTool("large", { inputSchema: { size: z.number() } }, ({ size }) => text("ü".repeat(size)));
  server.registerTool("talk", {}, async (extra) => {
    await tell(extra, 1);
    await tell(extra, 2);
    // the SDK's client drops progress that it reads in one piece with the answer
    await new Promise((resolve) => setTimeout(resolve, 200));
    return text("told");
  });
  server.registerTool("ask", {}, async (extra) => {
    const requestedSchema = { type: "object", properties: { name: { type: "string" } } };
    const answer = await server.server.elicitInput(
      { message: "Which colour?", requestedSchema },
      { relatedRequestId: extra.requestId },
    );
    return text(answer.content.name);
  });
  server.registerTool("hang", {}, async (extra) => {
    const gone = new Promise((resolve) => extra.signal.addEventListener("abort", resolve));
    await tell(extra, 1);
    await gone;
    ended += 1;
    return text("cancelled");
  });
  server.registerTool("endings", {}, () => text(ended));
  server.registerTool("poll", {}, async (extra) => {
    extra.closeSSEStream?.();
    await new Promise((resolve) => setTimeout(resolve, 200));
    return text("polled");
  });
  return server;
}

const app = express();
app.use(express.json({ limit: "10mb" }));
app.all("/mcp", async (request, response) => {
  let transport = sessions.get(request.headers["mcp-session-id"]);
  if (!transport) {
    if (!isInitializeRequest(request.body)) {
      response.status(request.headers["mcp-session-id"] ? 404 : 400).send("no session");
      return;
    }
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new Events(),
      retryInterval: 50,
      onsessioninitialized: (id) => sessions.set(id, transport),
    });
    await made().connect(transport);
  }
  await transport.handleRequest(request, response, request.body);
});
app.listen(port, "127.0.0.1", () =>
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}/mcp` })),
);
