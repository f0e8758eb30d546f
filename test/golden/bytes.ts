// Bytes as tests write them.

/** `01 02 "text" 0a` as bytes. */
export function hex(text: string): Uint8Array {
  const bytes: number[] = []
  for (const part of text.match(/"[^"]*"|[0-9a-f]+/g) ?? []) {
    if (part.startsWith('"')) bytes.push(...new TextEncoder().encode(part.slice(1, -1)))
    else for (let i = 0; i < part.length; i += 2) bytes.push(Number.parseInt(part.slice(i, i + 2), 16))
  }
  return Uint8Array.from(bytes)
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
