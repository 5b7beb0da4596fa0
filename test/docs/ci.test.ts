/** docs/ci.md: the workflow is what GitHub takes; all pipelines are YAML whose commands work. */
import { expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { expectExit, makeNpmProject, useSandbox } from '../e2e/support.ts';
import { blockBelow, blocksBelow } from './pages.ts';
import { workflowErrors } from './workflow-errors.ts';

const PAGE = 'docs/ci.md';
const sandbox = useSandbox();

it('its workflows are what GitHub takes', async () => {
  const [workflow, step] = blocksBelow(PAGE, 'GitHub Actions', 'yaml').map(({ text }) => text);
  expect(await workflowErrors(workflow!)).toEqual([]);
  expect(await workflowErrors(workflow!.replace('runs-on', 'run-on'))).not.toEqual([]);
  const steps = parse(step!) as unknown;
  const other = { on: 'push', jobs: { job: { 'runs-on': 'ubuntu-24.04', steps } } };
  expect(await workflowErrors(stringify(other))).toEqual([]);
});

/** Every script in a pipeline of any of them. */
function scripts(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    ['run', 'script', 'before_script', 'command'].includes(name)
      ? [inner as string | string[]].flat()
      : scripts(inner),
  );
}

it('what they run is found, and works on a project whose entry is there', async () => {
  makeNpmProject(sandbox.project);
  expectExit(await sandbox.run(['save', 'npm']), 0);
  const ours = ['GitHub Actions', 'GitLab', 'Buildkite']
    .flatMap((heading) => blocksBelow(PAGE, heading, 'yaml'))
    .flatMap(({ text }) => scripts(parse(text)))
    .filter((script) => script.startsWith('sandbox-cache'));
  expect(ours).toEqual(expect.arrayContaining(['sandbox-cache warm', 'sandbox-cache ensure']));
  for (const script of new Set(ours)) {
    expectExit(await sandbox.script(script), 0);
  }
});

it("GitLab's token reaches the file that AWS's web identity reads", async () => {
  makeNpmProject(sandbox.project);
  const template = (parse(blockBelow(PAGE, 'GitLab', 'yaml')) as Record<string, { before_script: string[] }>)[
    '.sandbox-cache'
  ]!;
  const lines = [...template.before_script, 'cat "$AWS_WEB_IDENTITY_TOKEN_FILE"'];
  const { stdout } = await sandbox.script(lines.join('\n'), { env: { AWS_ID_TOKEN: 'header.payload.sign' } });
  expect(stdout).toBe('header.payload.sign');
});
