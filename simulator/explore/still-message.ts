// Messages whose contents stay: what one future of a replica gives back must be there for the next one, so nothing is counted
// and no buffer is used twice.
import { Message, MessagePool, sectorCeil } from '../../src/protocol/message.ts'

class StillMessage extends Message {
  constructor(capacity: number) {
    super(new ArrayBuffer(capacity), 0, capacity, [])
    this.references = 1
  }

  override ref(): this {
    return this
  }

  override unref(): void {}
}

export class EndlessPool extends MessagePool {
  constructor(sizeMax: number) {
    super([{ size: sizeMax, count: 1 }], (size) => ({ buffer: new ArrayBuffer(size), offset: 0 }))
  }

  override acquire(size: number): Message {
    return new StillMessage(sectorCeil(size))
  }
}
