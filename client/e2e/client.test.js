'use strict'
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { createClient } = require('..')
const { start, binary } = require('./gateway')
const { makeWx } = require('./wx')

test('client and gateway', async (t) => {
  const path = binary(t)
  if (!path) return
  const env = await start(path)
  t.after(() => env.stop())
  let n = 0
  // Everybody is a new user, so that the tests do not end each other's sessions.
  const setUp = async (unionid = true) => {
    const name = 'user' + ++n
    await env.control('reset', {})
    await env.control('users', { name, unionid })
    const wx = makeWx(env, name)
    return { name, wx, client: createClient({ baseURL: env.gateway, wx }) }
  }

  await t.test('the app sees who it is', async () => {
    const { client } = await setUp()
    const res = await client.request({ url: '/json', header: { 'X-OpenID': 'forged' } })
    assert.match(res.data.headers['x-openid'], /^o[A-Za-z0-9_-]{27}$/)
    assert.match(res.data.headers['x-unionid'], /^o[A-Za-z0-9_-]{27}$/)
    assert.equal(res.data.headers['x-appid'], env.appID)
    assert.equal(res.data.headers.authorization, undefined)
    const nobody = await setUp(false)
    const other = await nobody.client.request({ url: '/json' })
    assert.notEqual(other.data.headers['x-openid'], res.data.headers['x-openid'])
    assert.equal('x-unionid' in other.data.headers, false)
  })

  await t.test('thirty requests at once are one login', async () => {
    const { wx, client } = await setUp()
    const all = await Promise.all(
      Array.from({ length: 30 }, (_, i) => client.request({ url: '/json', method: 'POST', data: { i } }))
    )
    assert.ok(all.every((res) => res.statusCode === 200))
    assert.equal(wx.logins, 1)
    assert.equal((await env.control('state')).calls['/sns/jscode2session'], 1)
  })

  await t.test('a lost answer costs neither a code nor a session', async () => {
    const { wx, client } = await setUp()
    wx.loseNext = '/wechat/login'
    assert.equal((await client.request({ url: '/json' })).statusCode, 200)
    assert.equal(wx.logins, 1)
    assert.equal((await env.control('state')).calls['/sns/jscode2session'], 1)
  })

  await t.test('a session that was ended elsewhere is replaced once', async () => {
    const { wx, client } = await setUp()
    const kicked = await client.request({ url: '/json' })
    const others = [1, 2].map(() =>
      createClient({
        baseURL: env.gateway,
        wx: Object.assign({}, wx, { getStorageSync: () => '', setStorageSync() {} })
      })
    )
    for (const other of others) await other.login() // max_per_user is 2
    wx.logins = 0
    const all = await Promise.all(Array.from({ length: 10 }, () => client.request({ url: '/json' })))
    assert.ok(all.every((res) => res.data.headers['x-openid'] === kicked.data.headers['x-openid']))
    assert.equal(wx.logins, 1)
  })

  await t.test("WeChat's errors reach the caller", async () => {
    const { wx, client } = await setUp()
    await env.control('answer', { errcode: 40029, times: 1 })
    assert.equal((await client.request({ url: '/json' })).statusCode, 200)
    assert.equal(wx.logins, 2)
    for (const [errcode, error, statusCode, logins] of [
      [40029, 'code_rejected', 401, 2],
      [40226, 'user_blocked', 403, 1],
      [40125, 'gateway_misconfigured', 502, 1]
    ]) {
      const another = await setUp()
      await env.control('answer', { errcode, times: 0 })
      await assert.rejects(another.client.request({ url: '/json' }), { error, statusCode })
      assert.equal(another.wx.logins, logins)
    }
  })

  await t.test('an app that refuses in the words of the gateway gets a POST once', async () => {
    const { wx, client } = await setUp()
    const before = env.seen.length
    const res = await client.request({ url: '/refuse', method: 'POST', data: { pay: 1 } })
    assert.equal(res.statusCode, 401)
    assert.equal(res.data.error, 'login_required')
    const file = await client.uploadFile({ url: '/refuse', filePath: 'x', name: 'file' })
    assert.equal(file.statusCode, 401)
    assert.equal(env.seen.length, before + 2)
    assert.equal(wx.logins, 1)
  })

  await t.test('cookies of the app pass the gateway both ways', async () => {
    const { wx } = await setUp()
    const client = createClient({ baseURL: env.gateway, wx, cookies: true })
    await client.request({ url: '/json/cookie' })
    assert.equal((await client.request({ url: '/json/a' })).data.headers.cookie, 'sid=1; kept=2')
    assert.equal((await client.request({ url: '/jsonp' })).data.headers.cookie, 'kept=2')
  })

  await t.test('logout, and guests', async () => {
    const { client } = await setUp()
    const before = await client.session()
    assert.equal(before.appid, env.appID)
    assert.ok(before.expires_in > 7000)
    await client.logout()
    assert.equal((await client.request({ url: '/json' })).data.error, 'login_required')
    assert.equal((await client.request({ url: '/public' })).statusCode, 200)
    await client.login()
    assert.equal((await client.request({ url: '/json' })).statusCode, 200)
    assert.equal((await client.request({ url: '/json', guest: true })).statusCode, 401)
  })

  await t.test("uploads, downloads and sockets arrive as the user's", async () => {
    const { client } = await setUp()
    const file = await client.uploadFile({ url: '/json/up', filePath: 'x'.repeat(1000), name: 'file' })
    assert.ok(JSON.parse(file.data).bytes > 1000)
    assert.match(JSON.parse(file.data).headers['x-openid'], /^o/)
    await client.logout()
    assert.equal((await client.downloadFile({ url: '/json' })).statusCode, 401)
    await client.login()
    assert.equal((await client.downloadFile({ url: '/json' })).statusCode, 200)
    const socket = await client.connectSocket({ url: '/ws' })
    await new Promise((resolve, reject) => {
      socket.onOpen(resolve)
      socket.onError((err) => reject(new Error(err.errMsg)))
    })
    assert.equal(env.seen.at(-1).method, 'UPGRADE')
    assert.match(Object.fromEntries(env.seen.at(-1).headers)['x-openid'], /^o/)
  })
})

test('a first request logs in on its way through a real gateway', async (t) => {
  const path = binary(t)
  if (!path) return
  const env = await start(path, { site: 'one_trip' })
  t.after(() => env.stop())
  const wx = makeWx(env, 'alice')
  const client = createClient({ baseURL: env.gateway, wx, oneTrip: true })
  const before = env.seen.length
  const first = await client.request({ url: '/json/first', method: 'POST', data: { n: 1 } })
  assert.match(first.data.headers['x-openid'], /^o/)
  assert.equal(first.data.headers.authorization, undefined)
  const { token } = JSON.parse([...wx.storage.values()][0])
  const second = await client.request({ url: '/json/second' })
  assert.equal(second.data.headers['x-openid'], first.data.headers['x-openid'])
  assert.ok(token)
  assert.equal(wx.logins, 1)
  assert.deepEqual(
    env.seen.slice(before).map((request) => request.url),
    ['/json/first', '/json/second']
  )
  // A request on a public path leaves the code for the next one.
  const guest = makeWx(env, 'bob')
  const another = createClient({ baseURL: env.gateway, wx: guest, oneTrip: true })
  assert.equal((await another.request({ url: '/public' })).statusCode, 200)
  assert.match((await another.request({ url: '/json' })).data.headers['x-openid'], /^o/)
  assert.equal(guest.logins, 1)
})

test('tokens of a real gateway are renewed in time', async (t) => {
  const path = binary(t)
  if (!path) return
  const env = await start(path, { session: 'token_lifetime 4s' })
  t.after(() => env.stop())
  const wx = makeWx(env, 'alice')
  const client = createClient({ baseURL: env.gateway, wx })
  const { token } = await client.login()
  const now = Date.now
  t.mock.method(Date, 'now', () => now() + 2500) // the clock of the client alone
  for (let tries = 0; tries < 50; tries++) {
    assert.equal((await client.request({ url: '/json' })).statusCode, 200)
    if (JSON.parse([...wx.storage.values()][0]).token !== token) break
  }
  assert.notEqual(JSON.parse([...wx.storage.values()][0]).token, token)
  assert.equal(wx.logins, 1)
})
