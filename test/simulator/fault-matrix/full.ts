// Every case of every matrix, and some hundred random damages, with a table of what came of them. Takes a quarter of an hour:
//   node test/simulator/fault-matrix/full.ts [journal|superblock|segments|random …]
import { CASES, type Count, DAMAGES, Past, runCase } from './journal-matrix.ts'
import { onOneNode, striped } from './random-damage.ts'
import { SegmentMatrix } from './segment-matrix.ts'
import { runSuperblocks } from './superblock-matrix.ts'
import { table } from './table.ts'

const RANDOM = 150
const wanted = process.argv.slice(2)
const rows: (string | number)[][] = []
const section = (name: string, run: () => void): void => {
  if (wanted.length === 0 || wanted.includes(name)) run()
}

section('journal', () => {
  for (const damage of DAMAGES) {
    for (const together of [true, false]) {
      const past = new Past(together)
      const count: Count = { recovered: 0, refused: 0, reasons: new Map() }
      for (let bits = 0; bits < CASES; bits++) runCase(past, damage, bits, count)
      const name = `${damage.name}, sent ${together ? 'together' : 'one by one'}`
      rows.push([name, count.recovered, count.refused])
    }
  }
})
section('superblock', () => {
  const past = new Past(true)
  const count = { served: 0, refused: 0 }
  for (let bits = 0; bits < CASES; bits++) count[runSuperblocks(past, bits)] += 1
  rows.push(['superblock copies corrupt', count.served, count.refused])
})
section('segments', () => {
  const matrix = new SegmentMatrix()
  for (let bits = 0; bits < CASES; bits++) matrix.run(bits)
  rows.push(['segments corrupt, running', matrix.count.recovered, matrix.count.refused])
})
section('random', () => {
  for (const [name, run] of [
    ['random sectors of one node', onOneNode],
    ['random sectors, striped', striped],
  ] as const) {
    for (let seed = 1; seed <= RANDOM; seed++) run(seed)
    rows.push([name, RANDOM, 0])
  }
})
console.log(table(['damage', 'recovered', 'refused'], rows))
