// A host on the official TypeScript SDK: the same as `host_sdk.py`.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const [command, ...args] = process.argv.slice(2);
const client = new Client({ name: "host", version: "1" }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: { name: "blue" } }));
const call = async (name, given = {}, options = {}) =>
  (await client.callTool({ name, arguments: given }, undefined, options)).content[0].text;

async function cancelled() {
  const stop = new AbortController();
  const hung = call("hang", {}, { signal: stop.signal, onprogress: () => stop.abort() });
  await hung.catch(() => {});
  for (;;) {
    const ended = await call("endings");
    if (ended !== "0") return ended;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

await client.connect(new StdioClientTransport({ command, args, env: process.env, stderr: "inherit" }));
const progress = [];
const tools = (await client.listTools()).tools.map((tool) => tool.name).sort();
const found = {
  server: Boolean(client.getServerVersion()),
  tools,
  sum: await call("add", { a: 2, b: -5 }),
  large: (await call("large", { size: 1000000 })).length,
  talk: await call("talk", {}, { onprogress: ({ progress: done }) => progress.push(done) }),
  asked: await call("ask"),
  ended: await cancelled(),
  ...(tools.includes("poll") ? { poll: await call("poll") } : {}),
  progress,
};
console.log(JSON.stringify(found));
await client.close();
