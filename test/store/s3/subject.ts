import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { CacheEvent } from '../../../src/events.ts';
import { createS3Store, type S3StoreOptions } from '../../../src/store/s3/s3-store.ts';
import type { S3Target } from '../../support/servers.ts';
import type { Subject } from '../contract.ts';

/** An S3 store in a bucket of its own. */
export async function createS3Subject(target: S3Target): Promise<Subject & { bucket: string }> {
  const { bucket, prefix } = await target.place();
  const { conditionalPut, conditionalComplete, atomicConditions } = target.traits;
  const open = () => createS3Store(s3Options(target, { bucket }));
  return {
    store: await open(),
    bucket,
    prefix,
    another: open,
    leftovers: async () => {
      const { Uploads = [] } = await target.client.send(
        new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }),
      );
      return Uploads.length;
    },
    oneWinner: { small: conditionalPut && atomicConditions, large: conditionalComplete && atomicConditions },
    marksWrites: true,
    close: async () => {},
  };
}

export function s3Options(
  { endpoint, region, credentials }: Pick<S3Target, 'endpoint' | 'region' | 'credentials'>,
  options: Partial<S3StoreOptions> & { bucket: string },
): S3StoreOptions {
  const emit = (event: CacheEvent): void => {
    if (event.type === 'warning' && !event.message.includes('trying again'))
      throw new Error(`no warning expected: ${event.message}`);
  };
  return {
    endpoint,
    region,
    credentials,
    accelerate: false,
    stallTimeoutMs: 20_000,
    retryDelayMs: 20,
    emit,
    ...options,
  };
}
