// Whose data directory holds a replica's place in the cluster. Every directory gets a random number when it is formatted, its
// *instance*; replicas remember, durably, whose promises they count. A directory that takes the place of a lost one does so
// by an op of the log: from there on what the lost one may still have said in the network is nobody's.
import { getU64, setU64 } from '../src/protocol/frame.ts'

/** Bytes of an encoded member: instance u64, op u64, view u32, committed u32. */
export const MEMBER_SIZE = 24
/** Instances are whole numbers from 1 up to here. */
export const INSTANCE_MAX = 2 ** 48 - 1

export interface Member {
  /** 0: nobody yet; the first that is heard is the one. */
  readonly instance: number
  /** View and op of the prepare that gave it the place; 0 and 0 for the first one. */
  readonly view: number
  readonly op: number
  /** This replica has executed that op, so it is part of the log for good. */
  readonly committed: boolean
}

export const NOBODY: Member = { instance: 0, view: 0, op: 0, committed: false }

/** Did `a` get the place after `b`? */
export function isLater(a: Pick<Member, 'view' | 'op'>, b: Pick<Member, 'view' | 'op'>): boolean {
  return a.view > b.view || (a.view === b.view && a.op > b.op)
}

export function putMember(words: Uint32Array, byte: number, member: Member): void {
  setU64(words, byte, member.instance)
  setU64(words, byte + 8, member.op)
  words[(byte + 16) >>> 2] = member.view
  words[(byte + 20) >>> 2] = member.committed ? 1 : 0
}

/** Do these words name the same holder, since the same op? Without making a member of them. */
export function namesMember(words: Uint32Array, byte: number, member: Member): boolean {
  return (
    getU64(words, byte) === member.instance &&
    getU64(words, byte + 8) === member.op &&
    words[(byte + 16) >>> 2] === member.view
  )
}

export function getMember(words: Uint32Array, byte: number): Member {
  return {
    instance: getU64(words, byte),
    op: getU64(words, byte + 8),
    view: words[(byte + 16) >>> 2] as number,
    committed: words[(byte + 20) >>> 2] === 1,
  }
}
