import { oneLine } from '../errors/context.ts';
import type { SourceFailure } from '../errors/describe-error.ts';
import { inspect } from '../errors/inspect.ts';

/**
 * Asks the endpoint for credentials of this container (ECS, EKS Pod Identity) once more: the SDK's chain keeps
 * to itself what it said.
 * @returns undefined where none is set, or it gives credentials now
 */
export async function containerFailure(): Promise<SourceFailure | undefined> {
  const { fromHttp } = await import('@aws-sdk/credential-provider-http');
  try {
    await fromHttp({ maxRetries: 0, logger: SILENT })();
    return undefined;
  } catch (error) {
    const { message } = inspect(error);
    if (message.startsWith('No HTTP credential provider host provided')) return undefined;
    const { Message: detail } = Object(error) as { Message?: unknown };
    const said = typeof detail === 'string' ? `${message}: ${detail}` : message;
    return {
      message: `the endpoint of container credentials (ECS, EKS Pod Identity) gave none: ${oneLine(said)}`,
      hint: 'Check the role of the task or of the pod, or unset AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_CREDENTIALS_RELATIVE_URI.',
    };
  }
}

/** It warns on the console else. */
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
