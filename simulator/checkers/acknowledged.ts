// What a client was told is true, and stays true: an acknowledged request stands in the one history, at the op that the
// acknowledgement named, with the contents that the client sent.
import type { Checksummer } from '../../src/protocol/checksum.ts'
import { equal128 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import type { Acknowledgement, SimClient } from '../client.ts'
import { Violation } from '../violation.ts'
import type { Entry, HistoryChecker } from './history.ts'

export class AcknowledgedChecker {
  readonly #history: HistoryChecker
  readonly #checksummer: Checksummer
  readonly #sum = new Uint32Array(4)
  highestOp = 0
  count = 0

  constructor(history: HistoryChecker, checksummer: Checksummer) {
    this.#history = history
    this.#checksummer = checksummer
  }

  /** False when what the client hears of is lost, and told as lost, already. */
  onAcknowledged(client: SimClient, { request, op }: Acknowledgement): boolean {
    this.count += 1
    const isRequest = (entry: Entry): boolean => entry.client === client.key && entry.request === request.number
    const entry = this.#history.entry(op)
    this.#checksummer.mac(request.frame, HEADER_SIZE, request.frame.length, this.#sum, 0)
    const wasLost = this.#history
      .lostEntries(op)
      .some((lost) => isRequest(lost) && equal128(this.#sum, 0, lost.bodyChecksum, 0))
    if (wasLost && (entry === undefined || !isRequest(entry))) return false
    this.highestOp = Math.max(this.highestOp, op)
    const what = `client ${client.index} was told that its request ${request.number} is op ${op}`
    if (entry === undefined) throw new Violation('acknowledged', `${what}, which nobody executed`)
    if (!isRequest(entry))
      throw new Violation('acknowledged', `${what}, which is request ${entry.request} of client ${entry.client}`)
    if (!equal128(this.#sum, 0, entry.bodyChecksum, 0))
      throw new Violation('acknowledged', `${what}, which holds other contents`)
    return true
  }
}
