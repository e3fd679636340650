// reader-memory.ts - run by memory.test.ts, in a process of its own whose young space is so large that it is collected
// only when this program says so. Prints how many bytes of all that was read stay.

import { createPace, int, readList, shape, text } from "../sync.ts";
import { aService, byHand, heldClock, inScope } from "./services.ts";

const READERS = 20;
const OBJECTS = { path: "/v1/objects", kind: "object", reader: shape({ id: text, created: int, padding: text }) };

const padding = "x".repeat(3_000);
const data = Array.from({ length: 100 }, (_, n) => ({ id: `n_${n}`, created: 1, padding }));
const page = Buffer.from(JSON.stringify({ data, has_more: false }));

/** Collects what is young. What survives twice is old: only a full collection looks at it again. */
function collectYoung(): void {
  for (let time = 0; time < 4; time += 1) globalThis.gc?.({ type: "minor" });
}

/** The bytes that stay once as many readers, all of which had to wait, have read a page each. */
async function readAndCount(): Promise<number> {
  return inScope(async (ends) => {
    const server = await byHand(ends, (_, response) => response.end(page));
    const clock = heldClock();
    const stop = new AbortController().signal;
    const stripe = aService(server.url, { clock, pace: createPace({ clock, stop }, { all: 1, lane: () => 1 }) });
    const reads = Array.from({ length: READERS }, () => readList(stripe, OBJECTS, { t0: 2 }, () => undefined));
    await reads[0]; // the only one that need not wait
    await clock.slept(1);
    collectYoung(); // the others are old now
    const before = process.memoryUsage().heapUsed;
    for (let turn = 1; turn < READERS; turn += 1) {
      await clock.slept(turn);
      clock.wakeAll();
      await reads[turn];
    }
    collectYoung();
    return process.memoryUsage().heapUsed - before;
  });
}

await readAndCount(); // the first round loads fetch and warms up: that stays too
process.stdout.write(JSON.stringify({ read: READERS * page.length, kept: await readAndCount() }));
