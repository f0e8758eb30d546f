// What a client of the load may be told under any fault, and what it may not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Counters, type Load, outcomeOf, topicOutcomeOf } from '../../chaos/load/context.ts'
import { poll } from '../../chaos/load/readers.ts'
import { Anomalies, LogHistory } from '../../simulator/checkers/log-history.ts'
import { type Client, type Consistency, GalgoError } from '../../src/index.ts'
import { Status } from '../../src/protocol/errors.ts'

const refusal = (status: number): GalgoError => new GalgoError('refused', `refused with ${status}`, { status })

test('a refusal that a fault can bring about is one; bytes and rights that were right before are no such thing', () => {
  for (const status of [Status.transientNotAccepted, Status.cannotAppendMessage, Status.cannotReadMessage])
    assert.equal(outcomeOf(refusal(status)), 'refused')
  assert.equal(outcomeOf(refusal(Status.requestAlreadyApplied)), 'unknown')
  for (const status of [Status.unauthorized, Status.invalidBatchChecksum, Status.invalidFormat])
    assert.throws(() => outcomeOf(refusal(status)), /refused with/)
})

test('a topic that is never removed is gone for nobody but who may be behind', async () => {
  const told = async (status: number, consistency: Consistency): Promise<number> => {
    const anomalies = new Anomalies()
    const load: Load = {
      partitions: [new LogHistory<number>('partition 0', anomalies)],
      anomalies,
      counters: new Counters(),
      stop: new AbortController().signal,
      abandon: new AbortController().signal,
      servers: [],
    }
    const client = { poll: () => Promise.reject(refusal(status)) } as unknown as Client
    assert.equal(await poll(load, client, { partition: 0, from: 0, count: 1, consistency }), null)
    return anomalies.count
  }
  for (const status of [Status.streamNameNotFound, Status.topicIdNotFound, Status.partitionNotFound]) {
    assert.equal(await told(status, 'linearizable'), 1)
    assert.equal(await told(status, 'any'), 0)
  }
  assert.equal(await told(Status.cannotReadMessage, 'linearizable'), 0)
  const anomalies = new Anomalies()
  topicOutcomeOf({ anomalies }, refusal(Status.topicNameNotFound), true)
  assert.equal(anomalies.list[0]?.kind, 'catalog')
})
