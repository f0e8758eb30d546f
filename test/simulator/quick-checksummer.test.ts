// The simulator's checksums stand in for real ones, so they have to see whatever a fault does to a few bits.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { quickChecksummer } from '../../simulator/quick-checksummer.ts'
import { SeededRandom } from '../../simulator/random.ts'

/** Four words of every lane. */
const SIZE = 64

function sum(bytes: Uint8Array): string {
  const out = new Uint32Array(4)
  quickChecksummer.mac(bytes, 0, bytes.length, out, 0)
  return out.join()
}

function flip(bytes: Uint8Array, bit: number): void {
  bytes[bit >>> 3] = (bytes[bit >>> 3] as number) ^ (1 << (bit & 7))
}

test('no one and no two flipped bits go unseen', () => {
  const random = new SeededRandom(1, 0)
  const bytes = Uint8Array.from({ length: SIZE }, () => random.below(256))
  for (const content of [new Uint8Array(SIZE), bytes]) {
    const right = sum(content)
    for (let a = 0; a < 8 * SIZE; a++) {
      flip(content, a)
      assert.notEqual(sum(content), right, `bit ${a}`)
      for (let b = a + 1; b < 8 * SIZE; b++) {
        flip(content, b)
        assert.notEqual(sum(content), right, `bits ${a} and ${b}`)
        flip(content, b)
      }
      flip(content, a)
    }
  }
})
