// list streams: NonReplicated, code 201.
//
//   request: empty        reply: stream records back to back
import type { Reader, Writer } from '../bytes.ts'
import { readStream, type StreamRecord, writeStream } from './stream-record.ts'

export function decodeListStreams(reader: Reader): void {
  reader.finish()
}

export function encodeListStreamsReply(writer: Writer, streams: readonly StreamRecord[]): void {
  for (const stream of streams) writeStream(writer, stream)
}

export function decodeListStreamsReply(reader: Reader): StreamRecord[] {
  const streams: StreamRecord[] = []
  while (reader.remaining > 0) streams.push(readStream(reader))
  return streams
}
