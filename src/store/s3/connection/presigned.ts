/**
 * Requests that were signed in advance. A client with this signer sends what somebody else signed in place of
 * signing by itself; everything else about it, from proxies to retries, is that of any other client.
 */
import { CacheError } from '../../../errors.ts';

export interface Presigned {
  bucket: string;
  /** Path and signed query of each key. */
  urls: ReadonlyMap<string, string>;
}

interface Request {
  method: string;
  path: string;
  headers: Record<string, string>;
  query?: Record<string, unknown>;
}

/** What the SDK takes for `signer`. */
export function presignedSigner({ bucket, urls }: Presigned): { sign<T>(request: T): Promise<T> } {
  return {
    // Typed for every kind of request; ours are all HTTP.
    async sign<T>(request: T): Promise<T> {
      const { method, path, headers } = request as Request;
      const key = decodeURIComponent(path).slice(`/${bucket}/`.length);
      const url = method === 'GET' ? urls.get(key) : undefined;
      if (url === undefined) {
        throw new CacheError(
          'STORE_ACCESS_DENIED',
          `The ticket does not allow ${method} of ${key || bucket}`,
          {
            hint: 'It reads the entries that it was made for, and nothing else.',
          },
        );
      }
      const parsed = new URL(url, 'http://host');
      return Object.assign(request as Request, {
        path: parsed.pathname,
        query: Object.fromEntries(parsed.searchParams),
        // The service refuses x-amz- headers that the signature does not cover.
        headers: Object.fromEntries(
          Object.entries(headers).filter(([name]) => !/^(x-amz-|amz-)/i.test(name)),
        ),
      }) as T;
    },
  };
}

/** The SDK asks for credentials before it calls the signer, which has no use for them. */
export const NO_CREDENTIALS = { accessKeyId: 'ticket', secretAccessKey: 'ticket' } as const;
