// The page as a person has it: served by a real node, in Chromium. Everything is waited for; nothing outside is spoken to.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { readRecipe, writeRecipe } from '../../simulator/stage/recording.ts'
import { takeSnapshot } from '../../simulator/stage/snapshot.ts'
import { Stage } from '../../simulator/stage/stage.ts'
import { TestCluster, until } from '../integration/processes.ts'
import { startBrowser } from './browser.ts'

const BUILT = fileURLToPath(new URL('../../build/simulator/index.html', import.meta.url))
const skip = process.platform === 'linux' ? false : 'the tests of pages run on Linux'
/** A simulated second in a real one. */
const REAL_TIME = '6'

let browser: Browser
let cluster: TestCluster
let url = ''

before(
  async () => {
    if (skip !== false) return
    assert.ok(existsSync(BUILT), 'the page is not built: npm run build:simulator')
    browser = await startBrowser()
    cluster = await TestCluster.make(1)
    cluster.start()
    await until('a node', async () => await cluster.nodes[0]?.status())
    url = `http://${cluster.nodes[0]?.http}/simulator`
  },
  { timeout: 360_000 },
)

after(async () => {
  await browser?.close()
  await cluster?.remove()
})

interface View {
  readonly hash: string
  readonly width?: number
  readonly dark?: boolean
}

/** A page on this address; it must not complain, nor ask anybody else. */
async function withPage(
  base: string,
  { hash, width = 1280, dark = false }: View,
  use: (page: Page) => Promise<void>,
): Promise<void> {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: dark ? 'dark' : 'light',
    hasTouch: width < 500,
    isMobile: width < 500,
  })
  const page = await context.newPage()
  const complaints: string[] = []
  const origin = new URL(base).origin
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`))
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message))
  page.on('requestfailed', (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`))
  page.on('request', (request) => {
    const asked = new URL(request.url())
    if (asked.origin !== origin && asked.protocol !== 'data:') complaints.push(`asks ${request.url()}`)
  })
  try {
    await page.goto(`${base}#${hash}`)
    await picture(page).waitFor()
    await use(page)
    assert.deepEqual(complaints, [])
  } finally {
    await context.close()
  }
}

const picture = (page: Page) => page.locator('.picture svg')
const verdict = (page: Page) => page.getByRole('region', { name: 'Verdict' })
const replica = (page: Page, index: number) => page.getByRole('region', { name: `Replica ${index}` })
const press = async (page: Page, index: number, button: string | RegExp) =>
  await replica(page, index).getByRole('button', { name: button, exact: true }).click()
const told = async (page: Page, text: string | RegExp) =>
  await page.getByRole('list', { name: 'Events' }).getByText(text).first().waitFor()
const hashOf = async (page: Page) => await verdict(page).getByLabel('hash of the run').textContent()

/** The primary's index and view, once there is one that `is` right. */
async function primary(page: Page, viewMin = 0): Promise<{ index: number; view: number }> {
  const found = await page.waitForFunction((min) => {
    const label = document.querySelector('.picture svg')?.getAttribute('aria-label') ?? ''
    const [, index, view] = /replica (\d): primary, view (\d+)/.exec(label) ?? []
    return Number(view) >= min ? { index: Number(index), view: Number(view) } : null
  }, viewMin)
  return (await found.jsonValue()) as { index: number; view: number }
}

async function held(page: Page): Promise<void> {
  assert.equal(await verdict(page).getByRole('status').first().textContent(), 'Everything held so far')
}

async function acknowledged(page: Page, count: number): Promise<void> {
  await page.waitForFunction(
    (min) => Number(document.querySelector('output[aria-label=acknowledged]')?.textContent) >= min,
    count,
  )
}

test('a node serves the page, strictly, and it draws a cluster at work', { skip }, async () => {
  const redirect = await fetch(url, { redirect: 'manual' })
  assert.equal(redirect.headers.get('location'), '/simulator/')
  const response = await fetch(`${url}/`)
  assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'/)
  await withPage(url, { hash: 'seed=7&replicas=3' }, async (page) => {
    await page.getByLabel('Speed').fill(REAL_TIME)
    await acknowledged(page, 10)
    await primary(page)
    assert.equal(await page.locator('.picture .cell').count(), 120)
    assert.ok((await page.locator('.picture .cell.committed').count()) > 0)
    await page.locator('.picture g.frame').first().waitFor({ state: 'attached' })
    await told(page, /is committed: a majority has it on disk/)
    await held(page)
    assert.equal(new URL(page.url()).hash, '#seed=7&replicas=3')
  })
})

test('the primary is killed, another one leads, the old one comes back; the address replays it, here as there', {
  skip,
}, async () => {
  await withPage(url, { hash: 'seed=11&replicas=3' }, async (page) => {
    await page.getByLabel('Speed').fill(REAL_TIME)
    await acknowledged(page, 5)
    const old = await primary(page)
    await press(page, old.index, 'Kill')
    await told(page, `The process of replica ${old.index} is killed.`)
    const next = await primary(page, old.view + 1)
    assert.notEqual(next.index, old.index)
    await press(page, old.index, 'Restart')
    await told(page, new RegExp(`^Replica ${old.index} follows replica`))
    await page.getByRole('button', { name: 'Pause', exact: true }).first().click()
    await verdict(page).getByRole('button', { name: 'Final check' }).click()
    await verdict(page).getByText('equal, byte for byte').waitFor({ timeout: 60_000 })
    await held(page)
    // Deeds only; the run is computed here, by another engine's build, and says the same.
    const address = new URL(page.url()).hash.slice(1)
    assert.match(address, /^seed=11&replicas=3&do=\d+\.crash\.\d_\d+\.restart\.\d$/)
    const moment = await page.getByLabel('Moment of the run').inputValue()
    const at = (Number(moment) + 1) * 1000
    const stage = new Stage(readRecipe(address, { seed: 0, replicas: 5, deeds: [] }))
    stage.advance(at)
    await withPage(url, { hash: `${address}&at=${at}` }, async (again) => {
      await again
        .getByLabel('Simulated time')
        .getByText(`${(at / 1e6).toFixed(3)} s`)
        .waitFor()
      assert.equal(await hashOf(again), takeSnapshot(stage).hash)
    })
  })
})

test('a corrupted slot is known as damaged after a restart, repaired from the others, and the verdict stays', {
  skip,
}, async () => {
  await withPage(url, { hash: 'seed=3&replicas=3' }, async (page) => {
    await page.getByRole('button', { name: 'Corrupt a committed slot' }).click()
    await page.getByLabel('Speed').fill(REAL_TIME)
    await told(page, /is on the disk of replica \d again, byte for byte what it was/)
    await told(page, /1 slot damaged \(not absent!\)/)
    await told(page, /the flipped bits are gone/)
    await held(page)
  })
})

test('by hand and by keyboard: steps, a chosen slot, links, the way back', { skip }, async () => {
  await withPage(url, { hash: 'seed=5&replicas=3&at=900000' }, async (page) => {
    await page.getByLabel('Simulated time').getByText('0.900 s').waitFor()
    const before = await hashOf(page)
    const events = Number(await verdict(page).getByLabel('events').textContent())
    await page.keyboard.press('e')
    await verdict(page)
      .getByLabel('events')
      .getByText(String(events + 1))
      .waitFor()
    await page.getByRole('button', { name: '1 message' }).click()
    // Arrows choose a slot; its button flips bits there.
    const cells = replica(page, 2).getByRole('group', { name: 'Journal of replica 2' })
    await cells.getByRole('button', { name: /^slot 0:/ }).click()
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('ArrowRight')
    await press(page, 2, 'slot 2')
    await told(page, 'Bits flip on the disk of replica 2, in journal slot 2. It does not know yet.')
    await cells.getByRole('button', { name: /^slot 2:.*bits have flipped/ }).waitFor()
    await page.getByRole('button', { name: 'Cut from replica 0 to replica 1' }).click()
    await told(page, 'Nothing gets from replica 0 to replica 1 any more.')
    await page.locator('.picture .link.cut').waitFor({ state: 'attached' })
    await press(page, 2, 'Isolate')
    await replica(page, 2).getByText('isolated').waitFor()
    assert.match(page.url(), /\.rot-slot\.2\.2_\d+\.cut\.0\.1_\d+\.isolate\.2$/)
    // Back before all of it, the run is what it was.
    await page.getByLabel('Moment of the run').fill('900')
    await page.getByLabel('Simulated time').getByText('0.900 s').waitFor()
    assert.equal(await hashOf(page), before)
    await held(page)
  })
})

test('the other buttons: a pause, lost power, both ways of a link, and every kind of file', { skip }, async () => {
  await withPage(url, { hash: 'seed=5&replicas=3&at=2500000' }, async (page) => {
    await page.getByLabel('Simulated time').getByText('2.500 s').waitFor()
    for (const file of ['segment', 'checkpoint', 'superblock']) await press(page, 0, file)
    await page.getByRole('button', { name: 'Cut between replicas 1 and 2, both ways' }).click()
    await page.locator('.picture .link.cut').nth(1).waitFor({ state: 'attached' })
    await page.getByRole('button', { name: 'Cut between replicas 1 and 2, both ways' }).click()
    await press(page, 2, 'Isolate')
    await press(page, 2, 'Rejoin')
    await press(page, 2, 'Pause')
    await press(page, 1, 'Cut power')
    const cuts = '\\d+\\.cut\\.1\\.2_\\d+\\.cut\\.2\\.1_\\d+\\.mend\\.1\\.2_\\d+\\.mend\\.2\\.1'
    assert.match(page.url(), /do=\d+\.rot-segment\.0_\d+\.rot-checkpoint\.0_\d+\.rot-superblock\.0_/)
    assert.match(page.url(), new RegExp(cuts))
    assert.match(page.url(), /isolate\.2_\d+\.rejoin\.2_\d+\.pause\.2_\d+\.power\.1$/)
    await page.getByLabel('Speed').fill(REAL_TIME)
    await page.getByRole('button', { name: 'Play', exact: true }).first().click()
    await press(page, 1, 'Restart')
    await told(page, /^Replica 1 (follows replica|is primary)/)
    await verdict(page).getByRole('button', { name: 'Final check' }).click()
    await verdict(page).getByText('equal, byte for byte').waitFor({ timeout: 60_000 })
    await held(page)
  })
})

test('random faults strike and stop; five replicas; a fresh seed', { skip }, async () => {
  await withPage(url, { hash: 'seed=9&replicas=3' }, async (page) => {
    await page.getByRole('button', { name: '5 replicas' }).click()
    await page.getByLabel('Speed').fill(REAL_TIME)
    await page.getByRole('button', { name: 'Random faults' }).click()
    await told(page, 'Random faults begin.')
    await acknowledged(page, 20)
    await page.getByRole('button', { name: 'Random faults' }).click()
    await told(page, /Random faults end/)
    await held(page)
    assert.match(page.url(), /#seed=9&replicas=5&do=\d+\.faults\.1_\d+\.faults\.0$/)
    await page.getByRole('button', { name: 'New seed' }).click()
    await page.waitForURL((now) => !now.hash.includes('seed=9&') && !now.hash.includes('do='))
  })
})

test('an address that says no run is answered with a sentence, and a run all the same', { skip }, async () => {
  await withPage(url, { hash: 'seed=7&do=5.explode.0' }, async (page) => {
    await page.getByRole('alert').getByText('"explode" is nothing that can be done to a cluster').waitFor()
    await primary(page)
  })
})

for (const dark of [false, true]) {
  test(`on a phone, ${dark ? 'dark' : 'light'}: nothing is wider than the screen, and time stays in reach`, {
    skip,
  }, async () => {
    await withPage(url, { hash: 'seed=7&replicas=5', width: 390, dark }, async (page) => {
      await page.getByLabel('Speed').fill(REAL_TIME)
      await acknowledged(page, 3)
      const { wide, paper } = await page.evaluate(() => ({
        wide: document.documentElement.scrollWidth - innerWidth,
        paper: getComputedStyle(document.body).backgroundColor,
      }))
      assert.ok(wide <= 0, `${wide} pixels too wide`)
      const [red = 0] = /\d+/.exec(paper)?.map(Number) ?? []
      assert.ok(dark ? red < 60 : red > 200, paper)
      assert.ok(await page.getByRole('button', { name: 'Pause', exact: true }).first().isVisible())
      await held(page)
    })
  })
}

test('the built files work without a server', { skip }, async () => {
  const recipe = { seed: 21, replicas: 3, deeds: [] }
  const stage = new Stage(recipe)
  stage.advance(700_000)
  await withPage(pathToFileURL(BUILT).href, { hash: `${writeRecipe(recipe)}&at=700000` }, async (page) => {
    await page.getByLabel('Simulated time').getByText('0.700 s').waitFor()
    assert.equal(await hashOf(page), takeSnapshot(stage).hash)
  })
})
