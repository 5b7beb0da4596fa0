import { describe, expect, it } from 'vitest';
import { likeness, parseSketch, sketchOf, sketchText } from '../../../src/session/base/sketch.ts';

const texts = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, n) => `node_modules/p${from + n} 1.0.0 sha512-${from + n}`);

describe('the likeness of two sketches', () => {
  it.each([
    [1000, 0],
    [1000, 10],
    [1000, 300],
    [1000, 1000],
    [40, 4],
    [3, 1],
  ])('of %i texts, %i of them others, is near the true one', (count, others) => {
    const [a, b] = [texts(count), texts(count, others)];
    const truth = (count - others) / (count + others);
    // Three times the standard deviation of 128 draws, and what collisions in 16 bits may add.
    expect(Math.abs(likeness(sketchOf(a), sketchOf(b)) - truth)).toBeLessThan(0.14);
  });

  it('is 1 whatever the order, and 0 for nothing', () => {
    expect(likeness(sketchOf(texts(50)), sketchOf(texts(50).reverse()))).toBe(1);
    expect(likeness(sketchOf([]), sketchOf([]))).toBe(0);
  });
});

describe('the text of a sketch', () => {
  it('is read back, and fits into metadata', () => {
    const sketch = sketchOf(texts(999));
    expect(parseSketch(sketchText(sketch))).toEqual(sketch);
    expect(sketchText(sketch)).toMatch(/^[A-Za-z0-9_-]{342}$/);
  });

  it.each(['', 'x', 'A'.repeat(341), 'A'.repeat(344), '*'.repeat(342)])('%j is none', (text) => {
    expect(parseSketch(text)).toBeUndefined();
  });
});
