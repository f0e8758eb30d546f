// Equal keys, equal replicas: everything that a replica knows, and its disk holds, as text. Headers and prepares stand for
// themselves by number. Left out is what has no meaning: how often the superblock was written.
import { equal128, getKey } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import type { Header } from '../../storage/header.ts'
import { headerOf, type JournalMemory } from '../../storage/journal.ts'
import type { Member } from '../../storage/member.ts'
import { contentOf, type SuperblockState } from '../../storage/superblock.ts'
import { compareText } from '../virtual-disk.ts'
import type { Local } from './local.ts'
import type { PendingWrite } from './step-disk.ts'

/** A number for every text. */
export class Ids {
  readonly #ids = new Map<string, number>()

  readonly #checksums = new Map<number, { readonly words: Uint32Array; readonly id: number }>()

  /** Of the text of the checksum that stands at the beginning of these words, found without it. */
  ofChecksum(words: Uint32Array): number {
    const key = (words[0] as number) + ((words[1] as number) & 0x1fffff) * 0x1_0000_0000
    const known = this.#checksums.get(key)
    if (known !== undefined && equal128(known.words, 0, words, 0)) return known.id
    const id = this.of(getKey(words, 0))
    this.#checksums.set(key, { words: words.slice(0, 4), id })
    return id
  }

  of(text: string): number {
    let id = this.#ids.get(text)
    if (id === undefined) {
      id = this.#ids.size + 1
      this.#ids.set(text, id)
    }
    return id
  }
}

type Parts = Pick<Local, 'replica' | 'journal' | 'superblock' | 'disk' | 'ledger' | 'nonces' | 'oath'>

export function localKey(parts: Parts, ids: Ids): string {
  const { replica: r, journal: j, superblock: s, disk, oath } = parts
  const header = (h: Header | null): number => (h === null ? 0 : ids.ofChecksum(h))
  const message = (m: Message): number => header(headerOf(m))
  const headers = (list: readonly (Header | null)[]): string => list.map(header).join()
  const members = (list: readonly Member[]): string =>
    list.map((m) => `${m.instance}.${m.view}.${m.op}.${m.committed}`).join()
  const state = (v: SuperblockState | null): string =>
    v === null
      ? ''
      : [v.view, v.logView, v.commitMax, v.checkpointOp, v.replacement, members(v.members), headers(v.suffix)].join()
  const writes = (list: JournalMemory['writing']): string =>
    list.map((held) => (held === null ? '' : `${message(held.write.message)}x${held.done.length}`)).join()
  const pending = (write: PendingWrite): string =>
    `${write.part}${write.slot}=${write.part === 'superblock' ? '' : sector(write.bytes, ids)}`
  return [
    r.status,
    r.view,
    r.logView,
    r.op,
    r.commitMin,
    r.commitMax,
    header(r.commitHeader),
    r.chainedFrom,
    r.timestamp,
    r.peers.map((p) => `${p.view},${p.commit},${p.checkpoint},${p.wishView}`).join(' '),
    r.pipeline.map((p) => `${p.op},${header(p.header)},${p.acks}`).join(' '),
    r.cache.map(([op, m]) => `${op},${message(m)}`).join(' '),
    r.inFlight.map(([client, { session, number }]) => `${client},${session},${number}`).join(' '),
    r.viewHead,
    headers(r.suffix),
    r.doViewChanges
      .map((v) => {
        const bits = v.headers.map((_, i) => `${v.present(i) ? 1 : 0}${v.nack(i) ? 1 : 0}`).join('')
        return `${v.replica},${v.logView},${v.op},${v.commitMin},${v.commitMax},${v.checkpointOp},${headers(v.headers)},${bits},${v.instance},${members(v.members)}`
      })
      .join(' '),
    `${r.digests.disputed},${members([r.self])}`,
    r.nonce.join(),
    `${r.wish},${r.behind},${r.stateLost},${r.transferredOp},${r.adopting},${r.halted},${parts.nonces}`,
    r.digests.own.join(),
    r.clients.join(),
    parts.ledger.join(),
    headers(j.known),
    j.dirty.join(''),
    j.faulty.join(''),
    headers(j.prepareOnDisk),
    headers(j.headerOnDisk),
    writes(j.writing),
    writes(j.queued),
    `${j.checkpointOp},${j.failed}`,
    state(s.state),
    state(s.inFlight),
    state(s.staging),
    s.waiting.length,
    [...disk.sectors]
      .map(([place, bytes]) =>
        place.startsWith('superblock') ? `s${superblock(bytes, ids)}` : `${place}=${sector(bytes, ids)}`,
      )
      .sort(compareText)
      .join(),
    disk.pending.map(pending).join(),
    oath.view,
    oath.logView,
    oath.acknowledged.join(),
    [...oath.led]
      .map(([key, id]) => `${key}=${id}`)
      .sort(compareText)
      .join(),
  ].join('|')
}

/** Of the journal: every sector begins with a header. */
function sector(bytes: Uint8Array, ids: Ids): number {
  return ids.ofChecksum(new Uint32Array(bytes.buffer, bytes.byteOffset, 4))
}

const superblocks = new WeakMap<Uint8Array, number>()

function superblock(bytes: Uint8Array, ids: Ids): number {
  let id = superblocks.get(bytes)
  if (id === undefined) {
    id = ids.of(contentOf(bytes))
    superblocks.set(bytes, id)
  }
  return id
}
