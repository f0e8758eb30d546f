// Tables and numbers as text. The JSON output is made from the same rows, so both always say the same.

export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => string | number
  /** Numbers read better with their ends aligned. */
  readonly align?: 'left' | 'right'
}

/** Columns two spaces apart, titles in capitals, no lines: what `column -t`, `awk` and people read equally well. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = [
    columns.map((column) => column.title.toUpperCase()),
    ...rows.map((row) => columns.map((column) => String(column.value(row)))),
  ]
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => (line[i] as string).length)))
  return cells
    .map((line) =>
      line
        .map((cell, i) =>
          columns[i]?.align === 'right' ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number),
        )
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** `name   value` lines. */
export function fields(pairs: readonly (readonly [name: string, value: string | number])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('')
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** Bytes with a binary unit. */
export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes / 1024
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${value.toFixed(1)} ${units[unit]}`
}

/** Microseconds since 1970 as ISO time, all six digits. */
export function time(micros: number): string {
  const iso = new Date(Math.floor(micros / 1000)).toISOString()
  return iso.replace('Z', `${String(micros % 1000).padStart(3, '0')}Z`)
}
