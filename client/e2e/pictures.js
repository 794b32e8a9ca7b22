'use strict'
// Makes the pictures of the READMEs:
//
//	CADDY_WECHAT_BINARY=<a gateway> npm run pictures -- <folder>
//
// A font with Chinese characters must be installed.

const { writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { chromium } = require('playwright-core')
const { startExample } = require('./gateway')
const UPNG = require('upng-js')

const SLOWLY = 0.3 // of the speed, so that pictures can be taken in time
const STEP = 80 // ms from one frame of the animation to the next
const COLORS = 64

async function open(browser, example, locale, viewport, reducedMotion) {
  const page = await browser.newPage({ locale, viewport, reducedMotion, colorScheme: 'light' })
  await page.goto(example.simulator + '/')
  await page.waitForSelector('body[data-ready]')
  return page
}

async function still(browser, example, locale, path) {
  const page = await open(browser, example, locale, { width: 1200, height: 610 }, 'reduce')
  await page.locator('#all').click()
  await page.locator('#out-forge.good').waitFor()
  await page.locator('#try-tilde').click()
  await page.locator('#out-tilde.good').waitFor()
  await page.locator('[aria-busy]').waitFor({ state: 'detached' })
  await page.evaluate(() => document.activeElement.blur())
  await page.screenshot({ path })
  await page.close()
}

async function animation(browser, example, path) {
  const page = await open(browser, example, 'en-GB', { width: 960, height: 600 }, 'no-preference')
  const tools = await page.context().newCDPSession(page)
  await tools.send('Animation.enable')
  await tools.send('Animation.setPlaybackRate', { playbackRate: SLOWLY })
  const frames = []
  const take = async (ms) => frames.push({ png: await page.screenshot(), ms })
  await take(900)
  for (const id of ['send', 'try-tilde', 'try-altered']) {
    await page.locator('#' + id).click()
    await page.evaluate(() => document.activeElement.blur())
    let last = Date.now()
    while ((await page.locator('.packet').count()) || (await page.locator('[aria-busy]').count())) {
      await take(0)
      await page.waitForTimeout(Math.max(0, STEP / SLOWLY - (Date.now() - last)))
      frames.at(-1).ms = (Date.now() - last) * SLOWLY
      last = Date.now()
    }
    await take(1600)
  }
  const { width, height } = page.viewportSize()
  const pixels = frames.map(({ png }) => UPNG.toRGBA8(UPNG.decode(png))[0])
  writeFileSync(
    path,
    Buffer.from(
      UPNG.encode(
        pixels,
        width,
        height,
        COLORS,
        frames.map(({ ms }) => Math.round(ms))
      )
    )
  )
  await page.close()
}

async function main(folder) {
  const example = await startExample(process.env.CADDY_WECHAT_BINARY)
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu']
  })
  try {
    await still(browser, example, 'en-GB', join(folder, 'playground.png'))
    await still(browser, example, 'zh-CN', join(folder, 'playground.zh-CN.png'))
    await animation(browser, example, join(folder, 'playground-animated.png'))
  } finally {
    await browser.close()
    await example.stop()
  }
}

main(process.argv[2])
