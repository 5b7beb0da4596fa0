/** The pages that users read, and the blocks of code in them. */
import { readdirSync, readFileSync } from 'node:fs';

const ROOT = new URL('../../', import.meta.url);

export interface Block {
  /** `docs/docker.md` */
  page: string;
  /** Of the line that opens it, from 1. */
  line: number;
  /** The heading above it. */
  heading: string;
  /** `bash`, `yaml` and so on. */
  language: string;
  text: string;
}

export const PAGES = ['README.md', ...readdirSync(new URL('docs/', ROOT)).map((name) => `docs/${name}`)];

/** The fenced blocks of a page. */
export function blocksOf(page: string, ...languages: string[]): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  let open: Block | undefined;
  for (const [index, line] of readFileSync(new URL(page, ROOT), 'utf8').split('\n').entries()) {
    if (open) {
      if (line === '```') {
        blocks.push(open);
        open = undefined;
      } else {
        open.text += `${line}\n`;
      }
    } else if (line.startsWith('```')) {
      open = { page, line: index + 1, heading, language: line.slice(3).trim(), text: '' };
    } else if (line.startsWith('#')) {
      heading = line.replace(/^#+ /, '');
    }
  }
  if (open) throw new Error(`${page}:${open.line}: a block without an end`);
  return blocks.filter(({ language }) => languages.includes(language));
}

/** The blocks below a heading. @throws Error when there is none */
export function blocksBelow(page: string, heading: string, language: string): Block[] {
  const found = blocksOf(page, language).filter((block) => block.heading === heading);
  if (found.length === 0) throw new Error(`${page}: no ${language} below "${heading}"`);
  return found;
}

/** The first one below a heading. @throws Error when there is none */
export function blockBelow(page: string, heading: string, language: string): string {
  return blocksBelow(page, heading, language)[0]!.text;
}

export const nameOf = ({ page, line }: Block): string => `${page}:${line}`;
