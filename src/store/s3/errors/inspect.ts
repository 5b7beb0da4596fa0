/** What an error of the SDK says, whatever its shape. */

/** The parts of an SDK error that decisions are made on. */
export interface Inspected {
  /** The S3 error code (`NoSuchKey`), or the class of the error; never empty. */
  name: string;
  /** HTTP status, when there was an answer. */
  status: number | undefined;
  headers: Readonly<Record<string, string>>;
  /** Whether the answer carried an S3 error document with a code. */
  hasCode: boolean;
  message: string;
  /** `<Region>` of the error document. */
  region: string | undefined;
  skewCorrected: boolean;
}

interface SdkShape {
  name?: unknown;
  message?: unknown;
  Code?: unknown;
  Region?: unknown;
  $metadata?: { httpStatusCode?: number; clockSkewCorrected?: boolean };
  $response?: { statusCode?: number; headers?: Record<string, string> };
}

export function inspect(error: unknown): Inspected {
  const shape: SdkShape = typeof error === 'object' && error !== null ? error : {};
  return {
    name: typeof shape.name === 'string' && shape.name !== '' ? shape.name : 'Error',
    status: shape.$metadata?.httpStatusCode ?? shape.$response?.statusCode,
    headers: shape.$response?.headers ?? {},
    hasCode: typeof shape.Code === 'string',
    message: typeof shape.message === 'string' ? shape.message : String(error),
    region: typeof shape.Region === 'string' ? shape.Region : undefined,
    skewCorrected: shape.$metadata?.clockSkewCorrected === true,
  };
}
