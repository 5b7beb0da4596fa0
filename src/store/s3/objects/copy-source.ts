/**
 * The `x-amz-copy-source` of an object, and its condition.
 * @returns undefined for a key that must not be copied: one with `%` ends radosgw, the whole service
 */
export function copySource({
  bucket,
  key,
  etag,
}: {
  bucket: string;
  key: string;
  etag: string;
}): { CopySource: string; CopySourceIfMatch: string } | undefined {
  if (key.includes('%')) return undefined;
  const path = key.split('/').map(encodeURIComponent).join('/');
  return { CopySource: `${bucket}/${path}`, CopySourceIfMatch: `"${etag}"` };
}
