// Messages as `galgo consume` writes them: text is the payload and a line feed, JSON an object a line.
import type { PolledMessage } from '../../index.ts'
import type { HeaderValue } from '../../protocol/user-headers.ts'
import type { OutputBuffer } from '../output-buffer.ts'
import { time } from './table.ts'

const NEWLINE = 10

export async function printText(output: OutputBuffer, { payload }: PolledMessage): Promise<void> {
  // In one piece: other partitions are written meanwhile.
  const line = new Uint8Array(payload.length + 1)
  line.set(payload)
  line[payload.length] = NEWLINE
  await output.write(line)
}

const encoder = new TextEncoder()

export async function printJson(output: OutputBuffer, message: PolledMessage): Promise<void> {
  await output.write(encoder.encode(`${JSON.stringify(jsonMessage(message))}\n`))
}

export function jsonMessage(message: Readonly<Omit<PolledMessage, 'headerBytes' | 'checksum'>>) {
  return {
    partition: message.partition,
    offset: message.offset,
    timestamp: time(message.timestamp),
    originTimestamp: time(message.originTimestamp),
    id: message.id.toString(16).padStart(32, '0'),
    headers: Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [name, jsonValue(value)])),
    payload: jsonBytes(message.payload),
  }
}

function jsonValue(value: HeaderValue): unknown {
  if (typeof value === 'bigint') return value.toString()
  return value instanceof Uint8Array ? jsonBytes(value) : value
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function jsonBytes(bytes: Uint8Array): string | { base64: string } {
  try {
    return utf8.decode(bytes)
  } catch {
    return { base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64') }
  }
}
