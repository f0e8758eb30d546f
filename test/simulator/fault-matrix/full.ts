// Every case of every matrix, and a table of what came of them: `node test/simulator/fault-matrix/full.ts`. Some minutes.
import { CASES, type Count, DAMAGES, Past, runCase } from './journal-matrix.ts'
import { table } from './table.ts'

const rows: (string | number)[][] = []
for (const damage of DAMAGES) {
  for (const together of [true, false]) {
    const past = new Past(together)
    const count: Count = { recovered: 0, refused: 0, reasons: new Map() }
    for (let bits = 0; bits < CASES; bits++) runCase(past, damage, bits, count)
    const name = `${damage.name}, ${together ? 'sent together' : 'sent one by one'}`
    rows.push([name, count.recovered, count.refused])
  }
}
console.log(table(['four entries on three nodes', 'recovered', 'refused'], rows))
