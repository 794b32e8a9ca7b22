'use strict'
// The simulator's page in a real browser, against a real gateway.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { mkdirSync, mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { chromium } = require('playwright-core')
const { start, startExample, binary } = require('./gateway')

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]
// The folder that the README's picture goes to, and others; none unless asked.
const PICTURES = process.env.PLAYGROUND_PICTURES

test('playground', async (t) => {
  const path = binary(t)
  if (!path) return
  const env = await start(path)
  const profile = mkdtempSync(join(tmpdir(), 'caddy-wechat-chromium-'))
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    args: FLAGS,
    viewport: { width: 1280, height: 860 },
    locale: 'en-GB',
    colorScheme: 'light'
  })
  t.after(async () => {
    await browser.close()
    await env.stop()
    rmSync(profile, { recursive: true, force: true })
  })
  const page = await browser.newPage()
  const complaints = []
  page.on('pageerror', (err) => complaints.push(err.message))
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  const foreign = []
  page.on('request', (request) => {
    if (!request.url().startsWith(env.simulator) && !request.url().startsWith('data:')) foreign.push(request.url())
  })
  await page.goto(env.simulator + '/')
  await page.waitForSelector('body[data-ready]')

  const click = (name) => page.getByRole('button', { name, exact: true }).click()
  const text = async (id, pattern) => {
    await page.locator(id).filter({ hasText: pattern }).waitFor({ timeout: 15000 })
    return page.locator(id).textContent()
  }
  const picture = async (name) => {
    if (!PICTURES) return
    mkdirSync(PICTURES, { recursive: true })
    await page.screenshot({ path: join(PICTURES, name + '.png') })
  }

  await t.test('a login', async () => {
    await click('wx.login()')
    await text('#out-who', /gave the code [0-9a-f]{32}\./)
    await click('Log in')
    await text('#out-who', /Logged in for 7200 s/)
    assert.equal(await page.locator('#chip').textContent(), 'logged in')
    assert.match(await page.locator('#trace > li').first().textContent(), /POST \/wechat\/login.*200/)
  })

  await t.test('a proxied call', async () => {
    await page.getByRole('button', { name: 'Call', exact: true }).click()
    const seen = await text('#out-call', /The app saw o[A-Za-z0-9_-]{27}, unionid o/)
    const app = env.seen.at(-1)
    assert.equal(app.url, '/headers')
    const openid = app.headers.find(([name]) => name.toLowerCase() === 'x-openid')[1]
    assert.ok(seen.includes(openid))
    const sides = page.locator('#trace > li').first().locator('.side')
    assert.match(await sides.nth(0).textContent(), /Authorization: Bearer .*removed/)
    assert.match(await sides.nth(1).textContent(), new RegExp('X-Openid: ' + openid + 'by the gateway', 'i'))
    assert.doesNotMatch(await sides.nth(1).textContent(), /Authorization/)
  })

  await t.test('forgeries', async () => {
    for (const [name, id, words] of [
      ['Spell it with a tilde', '#out-tilde', /forgery was removed/],
      ['Claim a unionid', '#out-union', /forgery was removed/],
      ['Alter the token', '#out-altered', /401 login_required/]
    ]) {
      await page.getByRole('button', { name }).click()
      await text(id, words)
    }
    const tilde = env.seen.find(({ headers }) => headers.some(([name]) => name.includes('~')))
    assert.equal(tilde, undefined)
    // The page is no witness if the forgery was never sent.
    assert.match(await page.locator('#trace').textContent(), /X~OpenID: oFORGED/)
    await page.getByRole('button', { name: 'Try all' }).click()
    await text('#out-forge', /All 9 were held off/)
    assert.equal(await page.locator('.mark.good').count(), 9)
  })

  await t.test('an app that shows a forgery is called broken', async () => {
    await page.locator('#path').fill('/public')
    const seen = page.waitForResponse((res) => res.url().endsWith('/simulator/gateway'))
    await page.getByRole('button', { name: 'Alter the token' }).click()
    await seen
    await text('#out-altered', /token was accepted/) // a public path takes whatever comes
    assert.match(await page.locator('#try-altered').textContent(), /BROKEN/)
    await page.locator('#path').fill('/headers')
    await page.getByRole('button', { name: 'Alter the token' }).click()
    await text('#out-altered', /401/)
  })

  await t.test('a user without a unionid', async () => {
    await page.locator('#name').fill('carol')
    await page.locator('#unionid').uncheck()
    await click('Add user')
    await text('#out-who', /carol is a user now/)
    await page.getByRole('button', { name: 'Claim a unionid' }).click()
    await text('#out-union', /no unionid at all/)
    await click('Call')
    await text('#out-call', /without a unionid/)
  })

  await t.test('an errcode', async () => {
    await page.locator('#known').selectOption('40226')
    await click('Set')
    await text('#out-wechat', /WeChat answers 40226/)
    await click('Log in')
    await text('#out-who', /Refused: 403 user_blocked/)
    await click('Answer normally')
    await text('#out-wechat', /normally/)
    await click('Log in')
    await text('#out-who', /Logged in/)
  })

  await t.test('a quota that is used up once', async () => {
    await page.locator('#known').selectOption('45009')
    await click('Set')
    await text('#out-wechat', /WeChat answers 45009, 1 times/)
    await click('Log in')
    await text('#out-who', /Refused: 503 wechat_unavailable\. The gateway asks WeChat again in \d+ s/)
    assert.equal(await page.locator('#chip').textContent(), 'refused')
    // What was said before is not about what happens now.
    assert.equal(await page.locator('#out-wechat').textContent(), '')
    await click('Answer normally')
    await text('#out-wechat', /suspended logins asks again at once/)
    await click('Log in')
    await text('#out-who', /Logged in/)
    assert.equal(await page.locator('#chip').textContent(), 'logged in')
  })

  await t.test('a slow WeChat', async () => {
    await page.locator('#delay').fill('1500')
    await page.locator('#known').selectOption('0')
    await click('Set')
    await text('#out-wechat', /1500 ms longer/)
    await click('Log in')
    await text('#out-who', /Waiting/)
    assert.equal(await page.locator('#login').getAttribute('aria-busy'), 'true')
    await text('#out-who', /Logged in/)
    assert.equal(await page.locator('#login').getAttribute('aria-busy'), null)
    await page.locator('#delay').fill('0')
    await click('Answer normally')
    await text('#out-wechat', /normally/)
  })

  await t.test('developer tools', async () => {
    await page.locator('#tools').selectOption('bob')
    await text('#out-who', /Codes of the developer tools log in as bob/)
    const login = async (code) => {
      const res = await page.request.post(env.gateway + '/wechat/login', { data: { code } })
      return [res.status(), (await res.json()).error]
    }
    const code = '0c1AbCdEfGhIjKlMnOpQrStUvWxYz234'
    assert.deepEqual(await login(code), [200, undefined])
    assert.deepEqual(await login('the code is a mock one'), [400, 'invalid_request'])
    await page.locator('#tools').selectOption('')
    await text('#out-who', /developer tools are invalid/)
    assert.deepEqual(await login(code.replace('0c1', '0c2')), [401, 'code_rejected'])
  })

  await t.test('being kicked', async () => {
    await click('Be kicked')
    await text('#out-end', /Kicked by login number \d elsewhere/)
    await click('Call')
    await text('#out-call', /The app saw/)
  })

  await t.test('a logout', async () => {
    await click('Log out')
    await text('#out-end', /Logged out/)
    assert.equal(await page.locator('#chip').textContent(), 'logged out')
    await click('Call')
    await text('#out-call', /Refused: 401 login_required/)
    await click('Log in')
    await text('#out-who', /Logged in/)
  })

  await t.test('the keyboard is enough', async () => {
    await page.locator('#path').focus()
    await page.keyboard.press('Enter')
    await text('#out-call', /The app saw/)
    await page.locator('input[name=user][value=carol]').focus()
    await page.keyboard.press('ArrowUp')
    assert.equal(await page.locator('input[name=user][value=bob]').isChecked(), true)
    await click('Call')
    await text('#out-call', /without a unionid/)
    await text('#status', /without a unionid/)
    for (const control of await page.locator('button, input, select').all()) {
      if (!(await control.isVisible())) continue
      const name = await control.evaluate(
        (node) =>
          node.getAttribute('aria-label') ||
          node.textContent.trim() ||
          (node.labels && node.labels[0] && node.labels[0].textContent.trim())
      )
      assert.ok(name, 'a control without a name: ' + (await control.evaluate((node) => node.outerHTML)))
    }
  })

  await t.test('pictures, phone, dark, Chinese', async () => {
    await page.locator('input[name=user][value=alice]').check()
    await page.getByRole('button', { name: 'Try all' }).click()
    await text('#out-forge', /All 9/)
    await click('Log in')
    await text('#out-who', /Logged in/)
    await page.locator('#clear').click()
    await page.getByRole('button', { name: 'Erase the real one by Connection' }).click()
    await text('#out-connection', /removed/)
    await page.getByRole('button', { name: 'Spell it with a tilde' }).click()
    await text('#out-tilde', /removed/)
    await page.locator('#trace > li').nth(1).locator('summary').click()
    await page.evaluate(() => {
      document.activeElement.blur()
      scrollTo(0, 0)
    })
    await page.setViewportSize({ width: 1280, height: 1000 })
    await picture('playground')
    const fits = async () =>
      assert.ok(
        await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
        'the page is wider than the screen'
      )
    await fits()
    await page.setViewportSize({ width: 360, height: 780 })
    await fits()
    await picture('phone')
    await page.emulateMedia({ colorScheme: 'dark' })
    await picture('phone-dark')
    await page.setViewportSize({ width: 1280, height: 860 })
    await page.locator('#lang').click()
    assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN')
    await page.getByRole('button', { name: '调用', exact: true }).click()
    await text('#out-call', /应用看到/)
    await page.evaluate(() => scrollTo(0, 0))
    await picture('dark-zh')
  })

  assert.deepEqual(foreign, [])

  await t.test('the example of the README', async (t) => {
    const example = await startExample(path)
    t.after(() => example.stop())
    await page.goto(example.simulator + '/')
    await page.waitForSelector('body[data-ready]')
    if ((await page.locator('html').getAttribute('lang')) !== 'en') await page.locator('#lang').click()
    await click('Call')
    await text('#out-call', /The app saw o[A-Za-z0-9_-]{27}, unionid o/)
    await page.getByRole('button', { name: 'Try all' }).click()
    await text('#out-forge', /All 9 were held off/)
    await click('Be kicked')
    await text('#out-end', /Kicked by login number 5/)
  })

  assert.deepEqual(complaints, [])
})
