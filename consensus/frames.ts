// Frames between replicas: what stands in bytes 128..256, and the bodies. All are sealed (both checksums).
//
//   ping 1 / pong 2      every replica to every other: liveness, durable view, digests of checkpoints
//   prepare 6            primary to all; also the answer to getPrepare. Layout: src/protocol/frame.ts
//   prepareOk 7          backup to the primary of its durable view: "this prepare is durable here"
//   commit 9             primary to all: heartbeat and commit number
//   startViewChange 10   all to all: "I want view `view`" (the sender has not left its own yet)
//   doViewChange 11      to the primary of `view`: log suffix, head first, with present and nack bits
//   startView 12         primary to all: the log suffix of the new view, head first
//   getView 14           "send me startView", with a nonce
//   getHeaders 15 / headers 16, getPrepare 17   repair
//   notMember 24         to a directory that does not hold the place that it speaks for
//   getCheckpoint 18 / checkpoint 19            "which checkpoint have you?"; its header is the body of the answer
//   getBlock 20 / block 21                      bytes of a checkpoint's file or of a segment; a block without a body: gone.
//                                               The body of getBlock is the segment's name, or empty for the checkpoint
//   coldStart 25 / coldVote 26                  after too many power cuts: "what does your journal hold from `op` on?"; the header
//                                               of the last executed op, and those that can be read from `op` to `last`
//   confirm 22 / confirmed 23                   primary to all: "do I still lead?"; the answer repeats the round's number
//
//   | frame           | 128             | 136          | 144          | 152        | 160          | 168          | 176     | 184        | 192     |
//   | ping, pong      | op              | commit       | checkpointOp | number     | digest (16)  |              | log_view, status | pipeline, slots | loss epoch, checkpoint µs |
//   | prepareOk       | checksum (16)   |              | op           | commitMin  | checkpointOp |              |         |            |         |
//   | commit          | commit          | op           | checkpointOp | sent at    | digest (16)  |              |         |            |         |
//   | doViewChange    | present (16)    |              | nack (16)    |            | op           | commitMin    | commitMax | checkpointOp | log_view, loss epoch, at 200 the losses that what is executed counts |
//   | startView       | nonce           | op           | commitMax    | checkpointOp | member       |              |         | loss epoch | sent at |
//   | getView         | nonce           |              | op           | view       |              |              |         |            |         |
//   | getHeaders      | opMin           | opMax        |              |            |              |              |         |            |         |
//   | confirm(ed)     | round           |              |              |            |              |              |         |            |         |
//   | getPrepare      | checksum (16)   |              | op           |            |              |              |         |            |         |
//   | coldStart       | op              |              |              |            |              |              |         |            |         |
//   | coldVote        | op              | last         | end          | commitMax  | durableOp    | log_view, epoch | chainedFrom | voter, shown (u32) | head | suffixFrom, at 208 the losses that what is executed counts |
//   | notMember       | member (24): who holds the place of replica, at 152: the addressee |              |              |         |            |         |
//
//   ping, pong: 200 is for each replica, u32, how many µs it takes to answer the sender's pings; 0: unknown. commit: 152 and
//   startView: 192 are in ms of the sender's own time. startViewChange: 128 is 1 when a primary steps down for that view.
//   All but prepares carry the sender's member (`storage/member.ts`) in bytes 232..256. getView: 136 is 1 when the sender stands
//   in for a lost directory, 144 and 152 then say when the newest holder that it has heard of got the place. startView: 160 is the addressee's member, once the op that made it one is committed. The
//   bodies of doViewChange and coldVote, and of a startView with such a member, end with a block of 256 bytes: the members that the sender knows.
import { getU64 } from '../src/protocol/frame.ts'
import type { Message } from '../src/protocol/message.ts'

export const FrameAt = {
  /** Of the sender; in all frames but prepares. */
  member: 232,
  ping: {
    op: 128,
    commit: 136,
    checkpointOp: 144,
    number: 152,
    digest: 160,
    logView: 176,
    status: 180,
    pipeline: 184,
    slots: 188,
    lossEpoch: 192,
    checkpointMicros: 196,
    /** u32 for each replica, µs: five end at 220. */
    roundTrips: 200,
  },
  prepareOk: { checksum: 128, op: 144, commitMin: 152, checkpointOp: 160 },
  commit: { commit: 128, op: 136, checkpointOp: 144, sentAt: 152, digest: 160 },
  startViewChange: { stepsDown: 128 },
  doViewChange: {
    present: 128,
    nack: 144,
    op: 160,
    commitMin: 168,
    commitMax: 176,
    checkpointOp: 184,
    logView: 192,
    lossEpoch: 196,
    executedEpoch: 200,
  },
  startView: { nonce: 128, op: 136, commitMax: 144, checkpointOp: 152, member: 160, lossEpoch: 184, sentAt: 192 },
  getView: { nonce: 128, replacement: 136, op: 144, view: 152 },
  notMember: { member: 128, replica: 152 },
  coldStart: { op: 128 },
  coldVote: {
    op: 128,
    last: 136,
    end: 144,
    commitMax: 152,
    durableOp: 160,
    logView: 168,
    lossEpoch: 172,
    chainedFrom: 176,
    voter: 184,
    shown: 188,
    head: 192,
    suffixFrom: 200,
    executedEpoch: 208,
  },
  getHeaders: { opMin: 128, opMax: 136 },
  getPrepare: { checksum: 128, op: 144 },
  confirm: { round: 128 },
  checkpoint: { digest: 128, op: 144, size: 152 },
  block: { request: 128, op: 136, position: 144, length: 152 },
} as const

/** At the end of the bodies of doViewChange and coldVote, and of a startView with a member. */
export const MEMBERS_BLOCK_SIZE = 256

/** Where the headers in the body of a startView end. */
export function startViewEnd({ words, size }: Message): number {
  return size - (getU64(words, FrameAt.startView.member) === 0 ? 0 : MEMBERS_BLOCK_SIZE)
}

/** Headers in one `headers` frame: it fits into the smallest frame size that a cluster can be given. */
export const HEADERS_PER_FRAME = 30
