// Where things stand in the picture: replicas on a circle, clients in the lower corners; one arrangement for wide pages and
// one for narrow ones, so that text keeps its size.
export interface Point {
  readonly x: number
  readonly y: number
}

export interface Arrangement {
  readonly width: number
  readonly height: number
  /** Of the ring of journal cells around a replica: outer and inner. */
  readonly outer: number
  readonly inner: number
  readonly replicas: readonly Point[]
  readonly clients: readonly Point[]
}

/** Sizes that fit the text inside and leave room between replicas: by number of replicas, for wide and for narrow pages. */
const SIZES = {
  wide: {
    width: 860,
    height: 470,
    client: { x: 90, y: 38 },
    3: { outer: 78, thick: 16, radiusX: 290, radiusY: 152 },
    5: { outer: 62, thick: 12, radiusX: 290, radiusY: 148 },
  },
  narrow: {
    width: 400,
    height: 430,
    client: { x: 46, y: 32 },
    3: { outer: 63, thick: 12, radiusX: 124, radiusY: 130 },
    5: { outer: 48, thick: 9, radiusX: 142, radiusY: 134 },
  },
} as const

export function arrange(replicas: number, clients: number, narrow: boolean): Arrangement {
  const { width, height, client, ...sizes } = SIZES[narrow ? 'narrow' : 'wide']
  const { outer, thick, radiusX, radiusY } = sizes[replicas === 3 ? 3 : 5]
  const center = { x: width / 2, y: outer + 8 + radiusY }
  const between = (width - 2 * client.x) / Math.max(1, clients - 1)
  return {
    width,
    height,
    outer,
    inner: outer - thick,
    replicas: Array.from({ length: replicas }, (_, i) => {
      const angle = -Math.PI / 2 + (2 * Math.PI * i) / replicas
      return { x: center.x + radiusX * Math.cos(angle), y: center.y + radiusY * Math.sin(angle) }
    }),
    clients: Array.from({ length: clients }, (_, i) => ({ x: client.x + between * i, y: height - client.y })),
  }
}

/** A point on the way from one place to another; links bend a little to the right, so that the two directions differ. */
export function onTheWay(from: Point, to: Point, share: number, bend: number): Point {
  const middle = bendPoint(from, to, bend)
  const rest = 1 - share
  return {
    x: rest * rest * from.x + 2 * rest * share * middle.x + share * share * to.x,
    y: rest * rest * from.y + 2 * rest * share * middle.y + share * share * to.y,
  }
}

export function bendPoint(from: Point, to: Point, bend: number): Point {
  const [dx, dy] = [to.x - from.x, to.y - from.y]
  const length = Math.hypot(dx, dy) || 1
  return { x: (from.x + to.x) / 2 - (dy / length) * bend, y: (from.y + to.y) / 2 + (dx / length) * bend }
}

/** The share of the way at which it leaves a circle of this radius around its beginning. */
export function edgeShare(from: Point, to: Point, radius: number): number {
  return Math.min(0.45, radius / (Math.hypot(to.x - from.x, to.y - from.y) || 1))
}

/** A piece of a ring as an SVG path, between two shares of the circle, clockwise from the top. */
export function ringPiece(center: Point, inner: number, outer: number, from: number, to: number): string {
  const at = (radius: number, share: number): string => {
    const angle = 2 * Math.PI * share - Math.PI / 2
    return `${(center.x + radius * Math.cos(angle)).toFixed(2)} ${(center.y + radius * Math.sin(angle)).toFixed(2)}`
  }
  return `M${at(outer, from)}A${outer} ${outer} 0 0 1 ${at(outer, to)}L${at(inner, to)}A${inner} ${inner} 0 0 0 ${at(inner, from)}Z`
}
