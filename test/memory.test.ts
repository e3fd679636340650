// memory.test.ts - a page that was read is garbage at once, however long its reader had waited for its turn.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

import { int, readAs, shape } from "../sync.ts";

const KEPT = shape({ read: int, kept: int });

test("no reader that waited for its turn keeps the page it read", () => {
  const flags = ["--expose-gc", "--min-semi-space-size=64", "--max-semi-space-size=64"];
  const run = spawnSync(process.execPath, [...flags, `${import.meta.dirname}/reader-memory.ts`], { encoding: "utf8" });

  assert.equal(run.status, 0, run.stderr);
  const { read, kept } = readAs("figures", KEPT, JSON.parse(run.stdout));
  assert.ok(kept < read / 2, `${kept} bytes are kept of ${read}`);
});
