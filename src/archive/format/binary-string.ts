/** Binary strings: one character a byte, whatever the encoding. Names of files stay as they are on disk. */

/** What `node:fs` takes: a string where it is ASCII, which is faster, else the bytes. */
export function fsPath(binary: string): string | Buffer {
  return isAscii(binary) ? binary : Buffer.from(binary, 'latin1');
}

/** Whether its bytes are a text. */
export function isUtf8(binary: string): boolean {
  const bytes = Buffer.from(binary, 'latin1');
  return Buffer.from(bytes.toString('utf8')).equals(bytes);
}

export function isAscii(binary: string): boolean {
  // eslint-disable-next-line no-control-regex -- the whole of ASCII
  return /^[\x00-\x7f]*$/.test(binary);
}

/** Bytes as they are, or those of a view. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** A text as its UTF-8 bytes. */
export function binary(text: string): string {
  return Buffer.from(text).toString('latin1');
}
