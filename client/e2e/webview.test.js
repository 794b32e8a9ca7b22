'use strict'
// A Mini Program's web-view in a real browser, against a real gateway.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { chromium } = require('playwright-core')
const { start, binary } = require('./gateway')

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']

test('web-view', async (t) => {
  const path = binary(t)
  if (!path) return
  const env = await start(path)
  const profile = mkdtempSync(join(tmpdir(), 'caddy-wechat-chromium-'))
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    args: FLAGS,
    locale: 'en-GB',
    userAgent:
      'Mozilla/5.0 (Linux; Android 14; wv) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36 MicroMessenger/8.0.50 miniProgram/' +
      env.appID
  })
  t.after(async () => {
    await browser.close()
    await env.stop()
    rmSync(profile, { recursive: true, force: true })
  })
  const post = async (route, token, body) => {
    const headers = { 'Content-Type': 'application/json' }
    if (token) headers.Authorization = 'Bearer ' + token
    const res = await fetch(env.gateway + '/wechat/' + route, { method: 'POST', headers, body: JSON.stringify(body) })
    return res.status === 204 ? {} : res.json()
  }
  const login = async (user) => {
    await env.control('users', { name: user })
    const { code } = await env.control('code', { user })
    return (await post('login', '', { code })).token
  }
  const enter = async (token, to) => (await post('ticket', token, { to })).url
  const openID = async () => /x-openid: (\S+)/i.exec(await page.textContent('body'))[1]
  const page = await browser.newPage()
  const lastSeen = () => env.seen.findLast(({ url }) => url !== '/favicon.ico')

  const [first, second] = [await login('alice'), await login('bob')]
  let who

  await t.test('a ticket opens the page, and a reload of it goes on', async () => {
    const url = await enter(first, '/orders?id=7')
    for (let i = 0; i < 2; i++) {
      await page.goto(url)
      assert.equal(page.url(), env.gateway + '/orders?id=7')
      who = await openID()
    }
    const app = lastSeen()
    assert.equal(app.url, '/orders?id=7')
    assert.ok(!app.headers.some(([name, value]) => /^(cookie|referer)$/i.test(name) || value.includes(url)))
  })

  await t.test('another person is asked first', async () => {
    await page.goto(await enter(second, '/b'))
    assert.match(await page.textContent('h1'), /Switch to another user/)
    const before = env.seen.length
    await page.getByRole('button', { name: 'Switch user' }).click()
    await page.waitForURL(env.gateway + '/b')
    assert.notEqual(await openID(), who)
    assert.ok(env.seen.length > before)
    assert.ok(!lastSeen().headers.some(([name, value]) => /^referer$/i.test(name) && value.includes('enter')))
  })

  await t.test('the logout of the Mini Program is that of the page', async () => {
    await post('logout', second, {})
    const res = await page.goto(env.gateway + '/b')
    assert.equal(res.status(), 401)
    assert.match(await page.textContent('h1'), /Go back and open this again/)
  })

  await t.test('a used ticket is a page', async () => {
    const third = await login('alice')
    const url = await enter(third, '/a')
    await page.goto(url)
    await browser.clearCookies()
    const res = await page.goto(url)
    assert.equal(res.status(), 410)
    assert.match(await page.textContent('h1'), /Go back and open this again/)
  })
})
