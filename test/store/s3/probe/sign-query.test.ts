import { expect, it } from 'vitest';
import { signQuery } from '../../../../src/store/s3/probe/sign-query.ts';

/** The example of the AWS General Reference, "Signature Version 4 signing process". */
it('signs as AWS does', () => {
  const { authorization } = signQuery(
    {
      host: 'iam.amazonaws.com',
      query: 'Action=ListUsers&Version=2010-05-08',
      region: 'us-east-1',
      service: 'iam',
      at: new Date('2015-08-30T12:36:00Z'),
    },
    { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' },
  );
  expect(authorization).toBe(
    'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, ' +
      'SignedHeaders=content-type;host;x-amz-date, ' +
      'Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7',
  );
});
