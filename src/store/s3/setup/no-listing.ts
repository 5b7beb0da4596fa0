/**
 * Some services do not know a setting, and take the question for a listing of the bucket: Swift for every
 * one, Ceph RGW 16 for some. To the SDK that looks like a setting that is empty.
 */
import { Readable } from 'node:stream';

interface Command {
  middlewareStack: {
    add(
      middleware: (next: (args: never) => Promise<Answer>) => (args: never) => Promise<Answer>,
      options: { step: 'deserialize'; priority: 'low' },
    ): void;
  };
}

interface Answer {
  response: unknown;
}

/** @returns the command, whose sending fails as NotImplemented if the answer is a listing */
export function noListing<T>(command: T): T {
  // Typed for the inputs and outputs of each command; this one looks at neither.
  (command as unknown as Command).middlewareStack.add(
    (next) => async (args) => {
      const answer = await next(args);
      const response = answer.response as { statusCode: number; body: unknown };
      if (response.statusCode !== 200 || !(response.body instanceof Readable)) return answer;
      const chunks: Buffer[] = [];
      for await (const chunk of response.body) chunks.push(chunk as Buffer);
      const body = Buffer.concat(chunks);
      if (/^(<\?[^>]*>)?\s*<ListBucketResult\b/.test(body.toString('latin1', 0, 500))) throw notImplemented();
      response.body = Readable.from([body]);
      return answer;
    },
    { step: 'deserialize', priority: 'low' },
  );
  return command;
}

function notImplemented(): Error {
  return Object.assign(new Error('The service lists the bucket instead'), {
    name: 'NotImplemented',
    Code: 'NotImplemented',
    $metadata: { httpStatusCode: 501 },
  });
}
