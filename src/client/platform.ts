// Time and chance, as browsers and Node have them alike.
import type { Environment, Timer } from './transport.ts'

export const platform: Omit<Environment, 'connect'> = {
  now: () => performance.now(),
  wallMicros: () => Math.floor((performance.timeOrigin + performance.now()) * 1000),
  random: () => (crypto.getRandomValues(new Uint32Array(1))[0] as number) / 0x1_0000_0000,
  randomId: () => crypto.getRandomValues(new Uint32Array(4)),
  after(milliseconds: number, action: () => void): Timer {
    const timer = setTimeout(action, milliseconds)
    return { cancel: () => clearTimeout(timer) }
  },
}
