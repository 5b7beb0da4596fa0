/** What a bucket is to be like, and the two words that every step is told in. */

export interface Wanted {
  bucket: string;
  /** Without slashes at the ends. */
  prefix: string;
  /** Days after which entries expire; undefined: they stay. */
  expireDays: number | undefined;
  /** Days after which uploads that were never completed are removed. */
  abortDays: number;
  /** New entries go to the storage class INTELLIGENT_TIERING. */
  tiering: boolean;
  /** Whether to block public access. */
  blockPublic: boolean;
  /** `isAsked`: somebody has named it; else a bucket that has an encryption keeps it. */
  encryption: { algorithm: 'AES256' | 'aws:kms' | 'aws:kms:dsse'; key: string | undefined; isAsked: boolean };
  /** Transfer Acceleration. */
  accelerate: boolean;
  /** The bucket that access logs go to. */
  logBucket: string | undefined;
}

/** One setting of the bucket, as it was found. */
export interface Step {
  /** `public access block` */
  title: string;
  /** `unsupported`: the service does not have it. */
  state: 'done' | 'todo' | 'unsupported';
  /** What there is to say about it. */
  note?: string;
  /** Commands of the AWS CLI that do the same, without the options that say where. */
  commands: readonly (readonly string[])[];
  apply(signal: AbortSignal): Promise<Applied>;
}

export interface Applied {
  result: 'done' | 'unsupported' | 'denied' | 'failed';
  note?: string;
}
