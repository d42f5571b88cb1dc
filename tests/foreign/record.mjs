// Writes down every answer that a client of this process gets, one a line: what the hub said, as validate.py reads it.

import { appendFileSync } from "node:fs";

const asks = globalThis.fetch;

globalThis.fetch = async (target, options) => {
  const response = await asks(target, options);
  const body = await response.clone().text();
  const method = options?.method ?? target.method ?? "GET";
  const line = { asked: `${method} ${target.url ?? target}`, status: response.status, body };
  appendFileSync(process.env.FOREIGN_RECORD, JSON.stringify(line) + "\n");
  return response;
};
