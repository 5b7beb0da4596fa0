/** What an element may hold: text, children, or a repeated element. */
export type XmlContent = string | number | boolean | XmlNode | readonly XmlContent[] | undefined;
export interface XmlNode {
  readonly [name: string]: XmlContent;
}

const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** A whole document with S3's namespace on its root. */
export function xmlDocument(root: string, content: XmlContent): string {
  const body = inner(content);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${NAMESPACE}">${body}</${root}>`;
}

/** A whole document without a namespace, as S3 sends its errors. */
export function xmlElement(root: string, content: XmlContent): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}>${inner(content)}</${root}>`;
}

function inner(content: XmlContent): string {
  if (content === undefined) return '';
  if (typeof content !== 'object') return escape(String(content));
  return Object.entries(content)
    .map(([name, value]) =>
      [value]
        .flat()
        .map((item) => element(name, item))
        .join(''),
    )
    .join('');
}

function element(name: string, content: XmlContent): string {
  return content === undefined ? '' : `<${name}>${inner(content)}</${name}>`;
}

function escape(text: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/[\r\n\t]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** The inner text of every `<name>` in a small, flat document such as `<Delete>` or `<CompleteMultipartUpload>`. */
export function xmlAll(document: string, name: string): string[] {
  const pattern = new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`, 'g');
  return [...document.matchAll(pattern)].map((match) => match[1] ?? '');
}

/** The text of the first `<name>`, unescaped; undefined when there is none. */
export function xmlText(document: string, name: string): string | undefined {
  const [first] = xmlAll(document, name);
  return first === undefined ? undefined : unescape(first.trim());
}

const ENTITIES: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function unescape(text: string): string {
  return text.replace(/&(#x[0-9a-f]+|#[0-9]+|[a-z]+);/gi, (whole, name: string) => {
    if (name.startsWith('#x')) return String.fromCodePoint(Number.parseInt(name.slice(2), 16));
    if (name.startsWith('#')) return String.fromCodePoint(Number(name.slice(1)));
    return ENTITIES[name] ?? whole;
  });
}
