// usage.ts - loaded into a measured process with --import: what it cost goes to the last line of stderr as it exits.

import { writeSync } from "node:fs";

const parse = JSON.parse;
let parseMicroseconds = 0;

JSON.parse = (text, reviver) => {
  text.charCodeAt(0); // joins a text that was put together from pieces: that is no part of parsing
  const before = process.cpuUsage();
  try {
    return parse(text, reviver);
  } finally {
    const { user, system } = process.cpuUsage(before);
    parseMicroseconds += user + system;
  }
};

process.on("exit", () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  const milliseconds = (microseconds: number): number => Math.round(microseconds / 1000);
  const cpuMs = milliseconds(userCPUTime + systemCPUTime);
  writeSync(2, `\n${JSON.stringify({ cpuMs, parseMs: milliseconds(parseMicroseconds), peakKb: maxRSS })}\n`);
});
