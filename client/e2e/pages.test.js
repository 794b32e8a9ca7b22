'use strict'
// Pages in WeChat and websites: a real browser, sent through the simulator's consent and
// QR pages, against a real gateway and an app that knows headers only. The site is
// localhost and WeChat 127.0.0.1, so that the two are different sites to the browser.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { mkdirSync, mkdtempSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { chromium } = require('playwright-core')
const { start, startExample, binary } = require('./gateway')

const LAUNCH = {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-sync'
  ]
}
const WECHAT =
  'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.50(0x28003237) WeChat/arm64 Language/en'
const COMPUTER = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36'

test('pages', async (t) => {
  const path = binary(t)
  if (!path) return
  const env = await start(path, { pages: true })
  const site = env.gateway.replace('127.0.0.1', 'localhost')
  const browser = await chromium.launch(LAUNCH)
  t.after(async () => {
    await browser.close()
    await env.stop()
  })

  // person is somebody's browser, with cookies of its own.
  const person = async (t, userAgent = WECHAT) => {
    const context = await browser.newContext({ userAgent, locale: 'en-GB' })
    t.after(() => context.close())
    return context
  }
  const exchanges = async () => (await env.control('state')).calls['/sns/oauth2/access_token'] || 0
  const atWeChat = (page) => page.url().startsWith(env.simulator)
  // agree presses a user's button on WeChat's page and waits for the site.
  const agree = async (page, user, quirk = '') => {
    assert.ok(atWeChat(page), 'not at WeChat but at ' + page.url())
    if (quirk) await page.locator('select').selectOption(quirk)
    await page.getByRole('button', { name: user }).click()
    await page.waitForURL((url) => url.href.startsWith(site) && !url.pathname.startsWith('/wechat/callback'))
  }
  const openid = async (page) => (/^x-openid: (o\S+)$/im.exec(await page.locator('body').innerText()) || [])[1]
  const code = async (response) => [response.status(), response.headers()['x-wechat-gateway']]

  await t.test('in WeChat and on a computer', async (t) => {
    const phone = await (await person(t)).newPage()
    await phone.goto(site + '/a?b=c')
    assert.match(
      phone.url(),
      /\/connect\/oauth2\/authorize\?appid=wx2222222222222222&.*&scope=snsapi_base&.*#wechat_redirect$/
    )
    await agree(phone, 'alice')
    assert.equal(phone.url(), site + '/a?b=c')
    assert.ok(await openid(phone))
    const computer = await (await person(t, COMPUTER)).newPage()
    await computer.goto(site + '/a')
    assert.match(computer.url(), /\/connect\/qrconnect\?appid=wx3333333333333333&.*&scope=snsapi_login&/)
    await agree(computer, 'alice')
    assert.equal(computer.url(), site + '/a')
    assert.match(await computer.locator('body').innerText(), /^x-unionid: o/im)
    assert.notEqual(await openid(computer), await openid(phone))
    // Nothing of ours reaches the app, and no cookie is for scripts.
    assert.doesNotMatch(await computer.locator('body').innerText(), /wechat_session/)
    assert.equal(await computer.evaluate('document.cookie'), '')
  })

  await t.test('three tabs', async (t) => {
    const context = await person(t)
    const tabs = []
    for (const name of ['/a', '/b', '/c']) {
      const tab = await context.newPage()
      await tab.goto(site + name)
      tabs.push(tab)
    }
    for (const i of [2, 0, 1]) await agree(tabs[i], 'alice')
    for (const [i, tab] of tabs.entries()) assert.equal(tab.url(), site + ['/a', '/b', '/c'][i])
    // A fourth is in at once.
    const tab = await context.newPage()
    await tab.goto(site + '/d')
    assert.equal(await openid(tab), await openid(tabs[0]))
  })

  await t.test('Back, refresh, a shared link', async (t) => {
    const page = await (await person(t)).newPage()
    const callbacks = []
    page.on('request', (request) => {
      if (request.url().startsWith(site + '/wechat/callback')) callbacks.push(request.url())
    })
    await page.goto(site + '/public')
    await page.goto(site + '/a')
    await agree(page, 'alice')
    const alice = await openid(page)
    // Back leads to WeChat, where the user may press again; no callback is in the history.
    await page.goBack()
    assert.ok(!page.url().includes('/callback'), page.url())
    const before = await exchanges()
    if (atWeChat(page)) await agree(page, 'alice')
    else await page.goto(site + '/a')
    assert.equal(await openid(page), alice)
    assert.equal(await exchanges(), before)
    // Refresh of the callback.
    await page.goto(callbacks[0])
    assert.equal(page.url(), site + '/a')
    assert.equal(await openid(page), alice)
    assert.equal(await exchanges(), before)
    // Somebody else opens the address of the callback, with its old code and state.
    const other = await (await person(t)).newPage()
    await other.goto(callbacks[0])
    assert.equal(await exchanges(), before)
    await agree(other, 'bob')
    assert.equal(other.url(), site + '/a')
    const bob = await openid(other)
    assert.ok(bob && bob !== alice)
    await page.reload()
    assert.equal(await openid(page), alice)
  })

  await t.test('callbacks that are loaded twice make one exchange', async (t) => {
    for (const quirk of ['double', 'two_codes']) {
      const page = await (await person(t)).newPage()
      let loads = 0
      page.on('request', (request) => {
        if (request.url().startsWith(site + '/wechat/callback')) loads++
      })
      await page.goto(site + '/a')
      const before = await exchanges()
      await agree(page, 'alice', quirk)
      assert.equal(page.url(), site + '/a', quirk)
      assert.ok(await openid(page), quirk)
      assert.equal(loads, 2, quirk)
      assert.equal(await exchanges(), before + 1, quirk)
    }
  })

  await t.test('codes that do not count, a state that was altered', async (t) => {
    for (const quirk of ['late', 'code_used', 'altered_state']) {
      const page = await (await person(t)).newPage()
      await page.goto(site + '/a')
      await page.locator('select').selectOption(quirk)
      await page.getByRole('button', { name: 'alice' }).click()
      await page.waitForURL((url) => url.href.startsWith(env.simulator + '/connect/oauth2') && /n%3D1/.test(url.href))
      await agree(page, 'alice')
      assert.equal(page.url(), site + '/a', quirk)
      assert.ok(await openid(page), quirk)
    }
  })

  await t.test('a refusal and a snapshot', async (t) => {
    for (const [quirk, status, name] of [
      ['refuse', 403, 'consent_refused'],
      ['snapshot', 401, 'snapshot_user']
    ]) {
      const page = await (await person(t)).newPage()
      await page.goto(site + '/a')
      await page.locator('select').selectOption(quirk)
      const [response] = await Promise.all([
        page.waitForResponse((answer) => answer.url().startsWith(site) && answer.status() >= 400),
        page.getByRole('button', { name: 'alice' }).click()
      ])
      assert.deepEqual(await code(response), [status, name])
      assert.equal(await openid(page), undefined)
    }
  })

  await t.test('cookies that are blocked', async (t) => {
    const profile = mkdtempSync(join(tmpdir(), 'caddy-wechat-chromium-'))
    mkdirSync(join(profile, 'Default'))
    const settings = { profile: { default_content_setting_values: { cookies: 2 } } }
    writeFileSync(join(profile, 'Default', 'Preferences'), JSON.stringify(settings))
    const context = await chromium.launchPersistentContext(profile, Object.assign({ userAgent: WECHAT }, LAUNCH))
    t.after(async () => {
      await context.close()
      rmSync(profile, { recursive: true, force: true })
    })
    const page = await context.newPage()
    const before = await exchanges()
    await page.goto(site + '/a')
    let presses = 0
    while (atWeChat(page) && presses < 6) {
      presses++
      await Promise.all([
        page.waitForResponse((answer) => answer.url().startsWith(site)),
        page.getByRole('button', { name: 'alice' }).click()
      ])
      await page.waitForLoadState()
    }
    assert.equal(presses, 3)
    assert.ok(page.url().startsWith(site + '/wechat/callback'), page.url())
    assert.match(await page.locator('body').innerText(), /login_not_kept/)
    assert.equal(await exchanges(), before)
    assert.deepEqual(await context.cookies(), [])
  })

  await t.test('two users, one after the other', async (t) => {
    const context = await person(t)
    const page = await context.newPage()
    await page.goto(site + '/form')
    await agree(page, 'alice')
    const alice = await page.locator('#who').innerText()
    const aliceCookies = await context.cookies(site)
    await page.locator('#logout button').click()
    await page.waitForURL(site + '/wechat/logged-out')
    assert.match(await page.locator('body').innerText(), /logged out/i)
    await page.locator('a').first().click()
    await page.waitForURL((url) => url.href.startsWith(env.simulator))
    await agree(page, 'bob')
    await page.goto(site + '/form')
    const bob = await page.locator('#who').innerText()
    assert.ok(bob.startsWith('o') && bob !== alice)
    // What alice's browser had is worth nothing.
    await context.clearCookies()
    await context.addCookies(aliceCookies)
    await page.goto(site + '/form')
    assert.ok(!page.url().startsWith(site + '/form'), page.url())
  })

  await t.test('a form after the end of the session', async (t) => {
    const context = await person(t)
    const page = await context.newPage()
    await page.goto(site + '/form')
    await agree(page, 'alice')
    const other = await context.newPage()
    await other.goto(site + '/form')
    await other.locator('#logout button').click()
    await other.waitForURL(site + '/wechat/logged-out')
    await page.locator('input').fill('tea')
    const [response] = await Promise.all([
      page.waitForResponse((answer) => answer.url().endsWith('/form/order')),
      page.locator('#order button').click()
    ])
    assert.equal(response.status(), 401)
    assert.match(await page.locator('body').innerText(), /was not processed/)
    assert.equal(
      env.seen.find(({ url }) => url === '/form/order'),
      undefined
    )
    // The link opens a window of its own, so that what was typed is not left; after a
    // login there, sending again is enough.
    const [fresh] = await Promise.all([page.waitForEvent('popup'), page.locator('a').first().click()])
    await fresh.waitForURL((url) => url.href.startsWith(env.simulator))
    await agree(fresh, 'alice')
    await page.reload()
    const order = env.seen.find(({ method, url }) => method === 'POST' && url === '/form/order')
    assert.equal(String(order.body), 'what=tea')
    assert.ok(order.headers.some(([name, value]) => name.toLowerCase() === 'x-openid' && value.startsWith('o')))
  })

  await t.test('a logout that lasts', async (t) => {
    const context = await person(t)
    const page = await context.newPage()
    await page.goto(site + '/form')
    await agree(page, 'alice')
    await page.locator('#logout button').click()
    await page.waitForURL(site + '/wechat/logged-out')
    // A link on somebody else's page.
    const foreign = await context.newPage()
    await foreign.goto(env.simulator + '/')
    await foreign.evaluate('location.href = ' + JSON.stringify(site + '/wechat/authorize?to=/form'))
    await foreign.waitForURL(site + '/**')
    assert.match(await foreign.locator('body').innerText(), /logged out/i)
    // Back shows nothing that the server would have to say again.
    await page.goBack()
    await page.reload()
    assert.notEqual(await page.locator('#who').count(), 1)
  })
})

test('the example in a browser', async (t) => {
  const path = binary(t)
  if (!path) return
  const example = await startExample(path)
  const browser = await chromium.launch(LAUNCH)
  t.after(async () => {
    await browser.close()
    await example.stop()
  })
  const page = await browser.newPage({ locale: 'en-GB' })
  const secrets = new Set() // codes and states that went through the address bar
  browser.contexts()[0].on('request', (request) => {
    const { searchParams, pathname } = new URL(request.url())
    if (pathname === '/wechat/callback') secrets.add(searchParams.get('code')).add(searchParams.get('state'))
  })

  await t.test('a stranger sees his headers', async () => {
    await page.goto(example.gateway + '/')
    assert.ok(page.url().startsWith(example.simulator + '/connect/qrconnect?'), page.url())
    await page.getByRole('button', { name: 'alice' }).click()
    await page.waitForURL(example.gateway + '/')
    assert.match(
      await page.locator('body').innerText(),
      /X-OpenID: o\S+\s+X-UnionID: o\S+\s+X-AppID: wx3333333333333333/
    )
  })

  await t.test('cookies that are lost on the way', async (t) => {
    const context = await browser.newContext({ userAgent: WECHAT })
    t.after(() => context.close())
    const phone = await context.newPage()
    await phone.goto(example.gateway + '/')
    await phone.locator('select').selectOption('cookie_lost')
    await phone.getByRole('button', { name: 'alice' }).click()
    await phone.waitForURL(
      (url) => url.href.startsWith(example.simulator + '/connect/oauth2') && /n%3D1/.test(url.href)
    )
    await phone.getByRole('button', { name: 'alice' }).click()
    await phone.waitForURL(example.gateway + '/')
    assert.match(await phone.locator('body').innerText(), /X-OpenID: o\S+\s+X-UnionID:\s+X-AppID: wx2222222222222222/)
  })

  await t.test('logs have neither codes nor states', async () => {
    assert.ok(secrets.size >= 2)
    const log = example.log.join('')
    assert.match(log, /"uri":"\/wechat\/callback\?/)
    for (const secret of secrets) assert.ok(!log.includes(secret), 'a code or state is in the log')
  })

  await t.test('the playground shows three ways in', async () => {
    await page.goto(example.simulator + '/')
    await page.waitForSelector('body[data-ready]')
    await page.getByRole('button', { name: 'All three', exact: true }).click()
    const seen = page.locator('#out-ways').filter({ hasText: /one unionid: o/ })
    await seen.waitFor({ timeout: 30000 })
    const ids = (await seen.innerText()).match(/\bo[A-Za-z0-9_-]{27}/g)
    assert.equal(new Set(ids).size, 4) // three openids and the unionid
    assert.equal(await page.locator('#open-site').getAttribute('href'), example.gateway + '/')
  })
})
