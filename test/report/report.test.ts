import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CacheError } from '../../src/errors.ts';
import { formatAge, formatSeconds, formatTable } from '../../src/report/format.ts';
import { formatBytes } from '../../src/text/format-bytes.ts';
import { createLog } from '../../src/report/log.ts';
import { createProgress, progressLine, type Terminal } from '../../src/report/progress.ts';
import { resultText } from '../../src/report/result.ts';
import { stderrTerminal as terminalOf } from '../../src/report/terminal.ts';

function screen(): Terminal & { text: string } {
  return {
    text: '',
    interactive: false,
    columns: 80,
    write(text) {
      this.text += text;
    },
    colour: (_name, text) => text,
  };
}

describe('figures', () => {
  it.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [999, '999 bytes'],
    [1000, '1.0 kB'],
    [58_123_456, '58 MB'],
    [999_999, '1.0 MB'],
    [1_234_000_000, '1.2 GB'],
  ])('%s bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it.each([
    [0.04, '0.0 s'],
    [1.23, '1.2 s'],
    [9.96, '10 s'],
    [59.6, '1 min'],
    [130, '2 min 10 s'],
    [3900, '1 h 5 min'],
  ])('%s seconds are %s', (seconds, text) => expect(formatSeconds(seconds)).toBe(text));

  it('gives ages in one unit', () => {
    expect([5e3, 3.6e6, 9e7].map(formatAge)).toEqual(['5 s', '1 h', '1 d']);
  });

  it('aligns tables', () => {
    expect(
      formatTable(
        [
          ['a', '1'],
          ['bbb', '22'],
        ],
        [1],
      ),
    ).toBe('a     1\nbbb  22');
  });
});

describe('result lines', () => {
  const about = {
    recipe: 'bundle',
    label: 'Ruby gems',
    key: 'p/bundle-1.tar.gz',
    url: 's3://b/p/bundle-1.tar.gz',
  };
  const work = { storedBytes: 58e6, bytes: 200e6, files: 9412, seconds: 1.2 };

  it("says what the user's guide says, and what it saved", () => {
    expect(resultText({ ...about, ...work, type: 'restored', from: 's3', installSeconds: 131.2 })).toBe(
      'Ruby gems restored from S3 cache (58 MB, 9,412 files, 1.2 s; saved about 2 min 10 s)',
    );
  });

  it('claims no gain that is not known', () => {
    expect(resultText({ ...about, ...work, type: 'restored', from: 'local', installSeconds: 0 })).toBe(
      'Ruby gems restored from local cache (58 MB, 9,412 files, 1.2 s)',
    );
  });
});

describe('the log', () => {
  it('has steps only when verbose, warnings and errors always', () => {
    const quiet = screen();
    const log = createLog({ verbose: false, debug: false, terminal: quiet });
    log.event({ type: 'step', text: 'Cache miss for npm (1)' });
    log.event({ type: 'warning', message: 'No lockfile', hint: 'Make one.' });
    log.error(new CacheError('STORE_BUSY', 'It is busy', { hint: 'Wait.' }));
    expect(quiet.text).toBe(
      '[cache] warning: No lockfile. Make one.\n[cache] error: It is busy. Wait. [STORE_BUSY]\n',
    );

    const verbose = screen();
    createLog({ verbose: true, debug: false, terminal: verbose }).event({
      type: 'step',
      text: 'Cache miss for npm (1)',
    });
    expect(verbose.text).toBe('[cache] Cache miss for npm (1)\n');
  });

  it('keeps a message on one line, whatever it holds, and says it once', () => {
    const terminal = screen();
    const log = createLog({ verbose: false, debug: false, terminal });
    for (let i = 0; i < 2; i++)
      log.error(new CacheError('STORE_FAILED', 'line\nbreak \u001b[31m and colour'));
    expect(terminal.text).toBe('[cache] error: line break \\u001b[31m and colour [STORE_FAILED]\n');
  });

  it('shows stack traces with debug only, causes included', () => {
    const terminal = screen();
    const error = new CacheError('STORE_FAILED', 'outer', { cause: new Error('inner') });
    createLog({ verbose: false, debug: true, terminal }).error(error);
    expect(terminal.text).toMatch(/outer[\s\S]*at [\s\S]*Caused by: Error: inner/);
  });
});

describe('redaction', () => {
  it.each([
    ['https://user:pass@host/x', 'pass'],
    ['key AKIAIOSFODNN7EXAMPLE here', 'AKIAIOSFODNN7EXAMPLE'],
    ['of a session ASIAIOSFODNN7EXAMPLE', 'ASIAIOSFODNN7EXAMPLE'],
    ['of a role AROAIOSFODNN7EXAMPLE:me', 'AROAIOSFODNN7EXAMPLE'],
    ['of a user AIDAIOSFODNN7EXAMPLE', 'AIDAIOSFODNN7EXAMPLE'],
    ['?X-Amz-Signature=abcdef123&x=1', 'abcdef123'],
    ['aws_secret_access_key = wJalrXUtnFEMI', 'wJalrXUtnFEMI'],
    ['-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----', 'MC4CAQ'],
  ])('takes the credential out of %j', (text, secret) => {
    expect(new CacheError('STORE_FAILED', text, { hint: text }).message).not.toContain(secret);
    expect(new CacheError('STORE_FAILED', 'x', { hint: text }).hint).not.toContain(secret);
  });
});

describe('progress', () => {
  const moved = { phase: 'download', recipe: 'npm', bytes: 50e6, total: 100e6, files: 4012 } as const;

  it('has bytes, rate and time left within the width of the terminal', () => {
    const line = progressLine(moved, 2, 120);
    expect(line).toMatch(/^npm down \[#+ +\] 50 MB of 100 MB, 25 MB\/s, 2\.0 s left, 4,012 files$/);
    expect(progressLine(moved, 2, 55)).toBe('npm down 50 MB of 100 MB, 25 MB/s, 2.0 s left');
    expect(progressLine(moved, 2, 40)).toBe('npm down 50 MB of 100 MB, 25 MB/s');
    for (let columns = 0; columns < 130; columns++) {
      const text = progressLine(moved, 2, columns);
      expect(text.length).toBeLessThan(Math.max(columns, 11));
      expect(text).toMatch(/^[ -~]+$/);
    }
  });

  it('shows no bar where the total is not known', () => {
    expect(progressLine({ ...moved, total: 0 }, 2, 120)).toBe('npm down 50 MB, 25 MB/s, 4,012 files');
  });

  it('says of an upload that all is packed, not that all has arrived', () => {
    const upload = { ...moved, phase: 'upload' } as const;
    expect(progressLine(upload, 2, 120)).toMatch(
      /^npm up \[#+ +\] 50 MB of 100 MB, 25 MB\/s, 2\.0 s left, 4,012 files$/,
    );
    expect(progressLine({ ...upload, bytes: 100e6 }, 4, 120)).toBe(
      `npm up [${'#'.repeat(30)}] 100 MB of 100 MB, sending the last of it, 4,012 files`,
    );
  });

  describe('by the clock', () => {
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());
    const CLEAR = '\r\u001b[2K';

    it('is drawn once the work takes long, and goes on while nothing comes', () => {
      const terminal = { ...screen(), interactive: true, columns: 120 };
      const progress = createProgress(terminal);
      progress.update(moved);
      vi.advanceTimersByTime(700);
      expect(terminal.text).toBe('');
      vi.advanceTimersByTime(1300);
      expect(terminal.text.split(CLEAR).at(-1)).toBe(progressLine(moved, 2, 120));
      vi.advanceTimersByTime(2000);
      expect(terminal.text.split(CLEAR).at(-1)).toBe(progressLine(moved, 4, 120));
    });

    it('gives way to a line and comes back; once ended it does not', () => {
      const terminal = { ...screen(), interactive: true };
      const progress = createProgress(terminal);
      progress.update(moved);
      vi.advanceTimersByTime(1000);
      progress.clear();
      expect(terminal.text.endsWith(CLEAR)).toBe(true);
      vi.advanceTimersByTime(100);
      expect(terminal.text.endsWith(CLEAR)).toBe(false);
      progress.end();
      const { text } = terminal;
      expect(text.endsWith(CLEAR)).toBe(true);
      vi.advanceTimersByTime(5000);
      expect(terminal.text).toBe(text);
      expect(vi.getTimerCount()).toBe(0);
    });

    it('is silent in a pipe, and when the work is quick', () => {
      const pipe = screen();
      createProgress(pipe).update(moved);
      const terminal = { ...screen(), interactive: true };
      const progress = createProgress(terminal);
      progress.update(moved);
      vi.advanceTimersByTime(500);
      progress.end();
      vi.advanceTimersByTime(5000);
      expect(pipe.text + terminal.text).toBe('');
    });
  });

  it('honours NO_COLOR, FORCE_COLOR and CI', () => {
    const tty = { isTTY: true, columns: 80 };
    const pipe = { isTTY: false, columns: 0 };
    expect(terminalOf({ write: () => {} }, () => pipe, {}).columns).toBe(80);
    const stderrTerminal = (stream: typeof tty, env: Record<string, string>) =>
      terminalOf({ write: () => {} }, () => stream, env);
    expect(stderrTerminal(tty, {}).colour('red', 'x')).toBe('\u001b[31mx\u001b[0m');
    expect(stderrTerminal(tty, { NO_COLOR: '1' }).colour('red', 'x')).toBe('x');
    expect(stderrTerminal(pipe, { FORCE_COLOR: '1' }).colour('red', 'x')).toBe('\u001b[31mx\u001b[0m');
    expect(
      [stderrTerminal(tty, {}), stderrTerminal(tty, { CI: 'true' }), stderrTerminal(pipe, {})].map(
        (t) => t.interactive,
      ),
    ).toEqual([true, false, false]);
  });
});
