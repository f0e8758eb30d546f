// Defects of a slow primary that steps down.
import { type Mutant, mutant, REPLICA } from './mutant.ts'

const FAIL_SLOW = 'consensus/fail-slow.ts'

export const SLOW_MUTANTS: readonly Mutant[] = [
  mutant('a primary is slow although the others are, too', 'slow-primary: where everybody has links', [
    FAIL_SLOW,
    'return mine > Slow.times * other + Slow.more',
    'return mine > Slow.more',
  ]),
  mutant(
    'a primary steps down for a moment of slowness',
    'slow-primary: links that are 200 times slower for a moment',
    [FAIL_SLOW, 'if (this.#farFor >= Slow.patience && this.#isFar)', 'if (this.#isFar)'],
  ),
  mutant('primaries step down one after the other', 'slow-primary: whoever leads has slow links', [
    FAIL_SLOW,
    '    if (now < this.#quietUntil) return null\n',
    '',
  ]),
  mutant(
    'the rest after a primary has stepped down is as long each time',
    'slow-primary: whoever leads has slow links',
    [FAIL_SLOW, 'const again = this.#quiet > 0 && now - this.#quietUntil <= this.#quiet', 'const again = false'],
  ),
  mutant(
    'the next in turn takes over from a slow primary, slow or not',
    'slow-primary: of five replicas two have a loop',
    [FAIL_SLOW, 'if (isMuchMore(distance, its)) return r', 'return r'],
  ),
  mutant('of two slow disks the one that is just ahead takes over', 'slow-primary: of five replicas two have a disk', [
    FAIL_SLOW,
    'isAhead(r) && !this.#hasSlowDisk(r)',
    'isAhead(r)',
  ]),
  mutant(
    'a replica that cannot lead takes over from a slow primary',
    'slow-primary: the next one in turn does not keep up',
    [REPLICA, 'mayLead: (replica) => this.#mayLead(this.#peers[replica] as Peer),', 'mayLead: () => true,'],
  ),
  mutant('a primary whose loop stands still sees only how soon it is answered itself', 'slow-primary: for 180 ms', [
    FAIL_SLOW,
    'return out === 0 || back === 0 ? 0 : Math.max(out, back)',
    'return back === 0 ? 0 : out',
  ]),
  mutant('a slow disk is never the fault of the primary', 'slow-primary: a disk that is 50 times slower steps down', [
    REPLICA,
    "return ahead || this.#failSlow.isDiskSlow ? 'me' : 'others'",
    "return 'others'",
  ]),
  mutant('what requests wait for because of others is not set off', 'consensus/fail-slow', [
    FAIL_SLOW,
    "waiting === 'me' ? step : -step",
    "waiting === 'me' ? step : 0",
  ]),
  mutant('nobody joins in when a primary steps down', 'slow-primary: links that are 200 times slower steps down', [
    REPLICA,
    'if (mine && this.view === view - 1) {',
    'if (false) {',
  ]),
  mutant('a primary whom nobody hears steps down for ever', 'slow-primary: nobody hears', [
    REPLICA,
    'if (this.#now >= this.#stepDownUntil) this.#wish = 0\n      else if',
    'if',
  ]),
]
