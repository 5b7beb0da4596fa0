import { inject } from 'vitest';

/** Asks this run's main process (see `global-setup.ts`). @throws Error with its words */
export async function askSharedRun<T>(path: string, name = ''): Promise<T> {
  const url = new URL(path, inject('sharedRun'));
  url.searchParams.set('name', name);
  const response = await fetch(url);
  const body = (await response.json()) as T & { error?: string };
  if (body.error !== undefined) throw new Error(body.error);
  return body;
}
