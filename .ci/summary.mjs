// Reads Vitest's JSON reports of one gate, names every test that no run has run, and prints the closing line.
// usage: node .ci/summary.mjs REPORT…; exits with 1 for a skipped test that nothing below allows.
import { readFileSync } from 'node:fs';

/** What no machine of ours can run, and why. Anything else that is skipped is something that this script failed to install. */
const ALLOWED = [
  [/\b(MinIO|LocalStack)\b/, 'no Docker engine here'],
  [/\bTEST_S3_ENDPOINT\b/, 'no server of the caller'],
  [
    /(mounting|unshare) is not permitted here|takes root to become another user/,
    "for root alone: root's run has it under a name without this reason",
  ],
  [/\bmoto cannot run here/, "a Python package, which Debian's packages do not have"],
  [/\bmoto (access|objects) /, 'moto verifies no signatures, and lets several of simultaneous writers win'],
];

const reports = process.argv.slice(2).map((path) => JSON.parse(readFileSync(path, 'utf8')));
const tests = reports.flatMap(({ testResults }) =>
  testResults.flatMap(({ name: file, assertionResults }) =>
    assertionResults.map(({ fullName, status }) => ({
      name: `${file.replace(/^.*?\/(?=test\/)/, '')}: ${fullName}`,
      status,
    })),
  ),
);
const run = new Set(
  tests.filter(({ status }) => status === 'passed' || status === 'failed').map(({ name }) => name),
);
const skipped = [...new Set(tests.map(({ name }) => name))].filter((name) => !run.has(name)).sort();

const allowed = new Map();
let unexplained = 0;
for (const name of skipped) {
  const why = ALLOWED.find(([pattern]) => pattern.test(name))?.[1];
  if (why === undefined) {
    unexplained++;
    console.log(
      `skipped: ${name} (NOT ALLOWED: install what it needs, or say in .ci/summary.mjs why it cannot run)`,
    );
  } else {
    allowed.set(why, [...(allowed.get(why) ?? []), name.slice(0, name.indexOf(':'))]);
  }
}
for (const [why, files] of allowed)
  console.log(`skipped: ${files.length} of ${[...new Set(files)].join(', ')} (${why})`);

const count = (field) => reports.reduce((sum, report) => sum + report[field], 0);
console.log(`\n${count('numPassedTests')} passed, ${count('numFailedTests') + unexplained} failed`);
process.exitCode = unexplained === 0 ? 0 : 1;
