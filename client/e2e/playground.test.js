'use strict'
// The simulator's page in a real browser, against a real gateway.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { execFile } = require('node:child_process')
const { promisify } = require('node:util')
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
const exec = promisify(execFile)
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

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
    colorScheme: 'light',
    reducedMotion: 'reduce',
    permissions: ['clipboard-read', 'clipboard-write']
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

  await t.test('a login', async () => {
    await click('wx.login()')
    await text('#out-end', /gave the code [0-9a-f]{32}\./)
    await click('Log in')
    await text('#out-who', /Logged in for 7200 s/)
    assert.equal(await page.locator('#chip').textContent(), 'logged in')
    assert.match(await page.locator('#trace > li').first().textContent(), /POST \/wechat\/login.*200/)
  })

  await t.test('a proxied call', async () => {
    await click('Call the app')
    const seen = await text('#out-call', /The app saw o[A-Za-z0-9_-]{27}, unionid o/)
    const app = env.seen.at(-1)
    assert.equal(app.url, '/headers')
    const openid = app.headers.find(([name]) => name.toLowerCase() === 'x-openid')[1]
    assert.ok(seen.includes(openid))
    const sides = page.locator('#trace > li').first().locator('.side')
    assert.match(await sides.nth(0).textContent(), /Authorization: Bearer .*removed/)
    assert.match(await sides.nth(1).textContent(), new RegExp('X-Openid: ' + openid + 'by the gateway', 'i'))
    assert.doesNotMatch(await sides.nth(1).textContent(), /Authorization/)
    // The stage says the same.
    assert.match(await page.locator('#saw').textContent(), new RegExp('X-Openid: ' + openid, 'i'))
    assert.match(await page.locator('#put').textContent(), new RegExp(openid))
    assert.match(await page.locator('#fell').textContent(), /Authorization: Bearer/)
    assert.match(await page.locator('#strip').textContent(), /sessions1calls of WeChatflowlast errcodenone/)
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
    assert.equal(await page.locator('#score').textContent(), '9/9')
  })

  await t.test('an app that shows a forgery is called broken', async () => {
    await page.locator('#path').fill('/public')
    const seen = page.waitForResponse((res) => res.url().endsWith('/simulator/gateway'))
    await page.getByRole('button', { name: 'Alter the token' }).click()
    await seen
    await text('#out-altered', /token was accepted/) // a public path takes whatever comes
    assert.match(await page.locator('#try-altered').textContent(), /BROKEN/)
    assert.equal(await page.locator('#score').textContent(), '0/9')
    await page.locator('#path').fill('/headers')
    await page.getByRole('button', { name: 'Alter the token' }).click()
    await text('#out-altered', /401/)
  })

  await t.test('a user without a unionid', async () => {
    await page.locator('#name').fill('carol')
    await page.locator('#unionid').uncheck()
    await click('Add user')
    await text('#out-users', /carol is a user now/)
    await page.getByRole('button', { name: 'Claim a unionid' }).click()
    await text('#out-union', /no unionid at all/)
    await click('Call the app')
    await text('#out-call', /without a unionid/)
  })

  await t.test('names in any script', async () => {
    for (const name of ['小明', "Zoë O'Neil", 'يوسف']) {
      await page.locator('#name').fill(name)
      await click('Add user')
      await text('#out-users', new RegExp(name + ' is a user now'))
      await click('Call the app')
      await text('#out-call', /The app saw o/)
    }
    await page.locator('#name').fill('a\u00ad')
    await click('Add user')
    await text('#out-users', /Failed: no such user, or not a name for one/)
    assert.match(complaints.pop(), /status of 400/)
    await page.locator('input[name=user][value=carol]').check()
  })

  await t.test('the token, opened', async () => {
    await click('Log in')
    await text('#out-who', /Logged in/)
    await page.locator('#token-box summary').click()
    assert.match(await page.locator('#token').textContent(), /"typ": "wxgw\+jwt"[^]*"aud": "wx1234567890abcdef"/)
  })

  await t.test('copies', async () => {
    const copied = () => page.evaluate(() => navigator.clipboard.readText())
    await page.locator('#try-tilde').click()
    await text('#out-tilde', /removed/)
    await page.locator('#trace > li').first().getByRole('button', { name: 'Copy as curl' }).click()
    await text('#status', /Copied/)
    const curl = await copied()
    assert.match(curl, new RegExp(`^curl -i \\\\\n {2}'${env.gateway}/headers' \\\\\n[^]*-H 'X~OpenID: oFORGED-0+'`))
    const { stdout } = await exec('sh', ['-c', curl.replace('curl -i', 'curl -sS -i --max-time 5')])
    assert.match(stdout, /^HTTP\/1\.1 200 OK/)
    await click('Copy this Caddyfile')
    await text('#out-forge', /Copied/)
    const file = join(profile, 'Caddyfile')
    writeFileSync(file, (await copied()).replace('example.com', 'http://127.0.0.1:1'))
    await exec(path, ['validate', '--config', file, '--adapter', 'caddyfile'], {
      env: { ...process.env, WECHAT_SECRET: '0123456789abcdef0123456789abcdef', HOME: profile, XDG_DATA_HOME: profile }
    })
  })

  await t.test('forgeries fall off where everybody sees it', async () => {
    await page.emulateMedia({ reducedMotion: 'no-preference' })
    await page.locator('#try-tilde').click()
    await page.locator('.packet .gone', { hasText: 'X~OpenID' }).waitFor() // on its way
    await page.locator('.packet .gone').waitFor({ state: 'detached' })
    await page.locator('.packet .set', { hasText: 'X-Openid' }).waitFor()
    await text('#out-tilde', /removed/)
    assert.equal(await page.locator('.packet').count(), 0)
    assert.match(await page.locator('#fell').textContent(), /X~OpenID/)
    assert.doesNotMatch(await page.locator('#saw').textContent(), /FORGED/)
    await page.emulateMedia({ reducedMotion: 'reduce' })
  })

  await t.test('an errcode', async () => {
    await page.locator('#known').selectOption('40226')
    await click('Set')
    await text('#out-wechat', /WeChat answers 40226/)
    await click('Log in')
    await text('#out-who', /Refused: 403 user_blocked/)
    assert.match(await page.locator('#strip').textContent(), /last errcode40226 user blocked/)
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
    await text('#out-users', /Codes of the developer tools log in as bob/)
    const login = async (code) => {
      const res = await page.request.post(env.gateway + '/wechat/login', { data: { code } })
      return [res.status(), (await res.json()).error]
    }
    const code = '0c1AbCdEfGhIjKlMnOpQrStUvWxYz234'
    assert.deepEqual(await login(code), [200, undefined])
    assert.deepEqual(await login('the code is a mock one'), [400, 'invalid_request'])
    await page.locator('#tools').selectOption('')
    await text('#out-users', /developer tools are invalid/)
    assert.deepEqual(await login(code.replace('0c1', '0c2')), [401, 'code_rejected'])
  })

  await t.test('being kicked', async () => {
    await click('Be kicked')
    await text('#out-end', /Kicked by login number \d elsewhere/)
    await click('Call the app')
    await text('#out-call', /The app saw/)
  })

  await t.test('a logout', async () => {
    await click('Log out')
    await text('#out-who', /Logged out/)
    assert.equal(await page.locator('#chip').textContent(), 'logged out')
    await click('Call the app')
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
    await click('Call the app')
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

  await t.test('phone, dark, Chinese, and whoever cannot see it', async () => {
    await page.locator('input[name=user][value=alice]').check()
    await page.getByRole('button', { name: 'Try all' }).click()
    await text('#out-forge', /All 9/)
    const looks = async (name) => {
      assert.ok(
        await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
        name + ': the page is wider than the screen'
      )
      await page.evaluate(axe + ';0')
      const { violations } = await page.evaluate(() => globalThis.axe.run())
      assert.deepEqual(
        violations.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html, failureSummary])]),
        [],
        name
      )
    }
    for (const [width, height] of [
      [1280, 860],
      [390, 844],
      [320, 640]
    ]) {
      await page.setViewportSize({ width, height })
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme })
        await looks(`${width} ${colorScheme}`)
      }
    }
    await page.setViewportSize({ width: 390, height: 844 })
    await page.locator('#lang').click()
    assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN')
    await looks('Chinese')
    // What came of it is in view, without a scroll.
    for (const [button, out, words] of [
      ['调用应用', '#out-call', /应用看到/],
      ['登录', '#out-who', /已登录/],
      ['全部试一遍', '#out-forge', /全部挡住/]
    ]) {
      await page.getByRole('button', { name: button, exact: true }).click()
      await text(out, words)
      await page.locator('[aria-busy]').waitFor({ state: 'detached' })
      assert.ok(
        await page.locator(out).evaluate((node) => {
          const { top, bottom } = node.getBoundingClientRect()
          return top >= 0 && bottom <= innerHeight
        }),
        button + ': what came of it is out of view'
      )
    }
  })

  assert.deepEqual(foreign, [])

  await t.test('the example of the README', async (t) => {
    const example = await startExample(path)
    t.after(() => example.stop())
    await page.goto(example.simulator + '/')
    await page.waitForSelector('body[data-ready]')
    if ((await page.locator('html').getAttribute('lang')) !== 'en') await page.locator('#lang').click()
    await click('Call the app')
    await text('#out-call', /The app saw o[A-Za-z0-9_-]{27}, unionid o/)
    await page.getByRole('button', { name: 'Try all' }).click()
    await text('#out-forge', /All 9 were held off/)
    await click('Be kicked')
    await text('#out-end', /Kicked by login number 5/)

    // A picture behind the gateway, which sends no header.
    await click('Show a picture')
    await text('#out-picture', /one address, and no header/)
    assert.ok(await page.locator('#shown').evaluate((image) => image.complete && image.naturalWidth > 0))

    // One window plays the phone, another the desktop.
    const desktop = async () => {
      const [opened] = await Promise.all([
        browser.waitForEvent('page'),
        page.getByRole('link', { name: 'Open the desktop' }).click()
      ])
      await opened.waitForFunction(() => document.getElementById('picture').naturalWidth > 0)
      return opened
    }
    await click('Scan its code')
    await text('#out-scan', /No desktop shows a code yet/)
    let other = await desktop()
    await click('Scan its code')
    await text('#out-scan', /Chrome, Linux asks to be logged in, from the network of this phone/)
    assert.equal(await page.locator('#numbers button').count(), 4)
    await click('It shows ' + (await other.locator('#number').textContent()).trim())
    await text('#out-scan', /Approved/)
    await other.waitForURL(example.gateway + '/')
    assert.match(await other.locator('body').textContent(), /X-OpenID: o[A-Za-z0-9_-]{27}/)
    await other.context().clearCookies()
    await other.close()

    other = await desktop()
    const right = (await other.locator('#number').textContent()).trim()
    await click('Scan its code')
    await text('#out-scan', /asks to be logged in/)
    await page.locator('#numbers button').filter({ hasNotText: right }).first().click()
    await text('#out-scan', /Refused: 403 scan_wrong_number/)
    await other.locator('#again').waitFor()
    await other.close()
  })

  assert.deepEqual(complaints, [])
})
