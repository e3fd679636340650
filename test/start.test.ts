// start.test.ts - what happens before a run: the file .env, --version, and a Node that is too old.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { VERSION } from "../sync.ts";

const PROGRAMS = ["sync.ts", "bootstrap-attio.ts", "test-one.ts"] as const;
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const TOO_OLD = `data:text/javascript,Object.defineProperty(process.versions,"node",{value:"24.11.1"})`;

/** The programs in a folder of their own, so that no file .env of this folder is read. */
function aCopy(test: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "sync-"));
  test.after(() => rmSync(folder, { recursive: true }));
  for (const file of [...PROGRAMS, "package.json"]) copyFileSync(join(ROOT, file), join(folder, file));
  return folder;
}

function run(folder: string, args: readonly string[], env: Record<string, string> = {}) {
  const { PATH = "" } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    env: { PATH, ...env },
    encoding: "utf8",
  });
  return { code: status, out: stdout, err: stderr };
}

describe("every program", () => {
  test("says that Node is too old and exits 2, whatever it was asked", (test) => {
    const folder = aCopy(test);
    for (const program of PROGRAMS) {
      const { code, out, err } = run(folder, ["--import", TOO_OLD, program, "--dry-run"]);
      assert.deepEqual([code, out], [2, ""], program);
      assert.match(err, /^Node 24\.11\.1 is too old: 24\.12 is needed\..+npm ci.+\n$/);
    }
  });

  test("says its version, which is the package's", (test) => {
    const folder = aCopy(test);
    const manifest: unknown = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    assert.ok(typeof manifest === "object" && manifest !== null && "version" in manifest);
    assert.equal(manifest.version, VERSION);
    for (const program of PROGRAMS)
      assert.deepEqual(run(folder, [program, "--version"]), {
        code: 0,
        out: `stripe-attio-sync ${VERSION}\n`,
        err: "",
      });
  });

  test("reads the file .env beside it, from wherever it is started; what is set already wins", (test) => {
    const folder = aCopy(test);
    writeFileSync(join(folder, ".env"), "CURRENCY=quid\nREFRESH_DAYS=often\n");
    for (const program of PROGRAMS) {
      const { code, err } = run(tmpdir(), [join(folder, program)], { REFRESH_DAYS: "weekly" });
      assert.equal(code, 2, program);
      assert.match(err, /CURRENCY is "quid"/);
      assert.match(err, /REFRESH_DAYS is "weekly"/);
    }
  });
});
