/** Which bucket and key a request means, and where it believes the bucket to be. */

export interface Address {
  bucket: string;
  /** Percent escapes removed. */
  key: string;
  /** The region in an AWS host name (`bucket.s3.eu-west-1.amazonaws.com`); undefined for any other host. */
  hostRegion: string | undefined;
}

const AWS_HOST =
  /^(?:(.+)\.)?s3(?:-accelerate)?(?:\.dualstack)?(?:[.-]([a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com$/;

/** Virtual-host style where the host begins with a bucket (`bucket.localhost`, `bucket.s3.….amazonaws.com`), else path style. */
export function parseAddress(host: string, rawPath: string): Address {
  const name = host.replace(/:\d+$/, '');
  const aws = AWS_HOST.exec(name);
  const hostBucket = aws === null ? /^(.+)\.localhost$/.exec(name)?.[1] : aws[1];
  const path = decodeURIComponent(rawPath.slice(1));
  if (hostBucket !== undefined) return { bucket: hostBucket, key: path, hostRegion: aws?.[2] };
  const slash = path.indexOf('/');
  const bucket = slash < 0 ? path : path.slice(0, slash);
  return { bucket, key: slash < 0 ? '' : path.slice(slash + 1), hostRegion: aws?.[2] };
}
