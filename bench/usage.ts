// usage.ts - loaded into a measured process with --import: what it cost goes to the last line of stderr as it exits.

import { writeSync } from "node:fs";

process.on("exit", () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  // Microseconds, and kilobytes.
  const usage = { cpuMs: Math.round((userCPUTime + systemCPUTime) / 1000), peakKb: maxRSS };
  writeSync(2, `\n${JSON.stringify(usage)}\n`);
});
