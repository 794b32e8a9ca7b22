'use strict'
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { createClient } = require('..')
const { Gateway, fakeWx, json, refusal, settle } = require('./fake')

const HOUR = 3600 * 1000

function setUp(t, options) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e12 })
  const gateway = new Gateway()
  const wx = fakeWx(gateway)
  const client = createClient(Object.assign({ baseURL: 'https://example.com', wx }, options))
  const tick = async (ms) => {
    t.mock.timers.tick(ms)
    await settle()
  }
  return { gateway, wx, client, tick }
}

// track runs beside the test and remembers how a promise ended.
function track(promise) {
  const end = {}
  promise.then(
    (res) => {
      end.res = res
    },
    (err) => {
      end.err = err
    }
  )
  return end
}

const logins = (gateway) => gateway.count('/wechat/login')

test('logs in silently before the first request', async (t) => {
  const { gateway, wx, client } = setUp(t)
  const res = await client.request({ url: '/a' })
  assert.equal(res.statusCode, 200)
  assert.equal(res.data.token, 'token-1')
  assert.equal(res.errMsg, 'request:ok')
  assert.deepEqual(gateway.seen, ['POST /wechat/login', 'GET /a'])
  assert.match(gateway.requests[0].data.nonce, /^[A-Za-z0-9_-]{16,64}$/)
  assert.equal('appid' in gateway.requests[0].data, false)
  await client.request({ url: 'https://example.com/b' })
  assert.equal(wx.logins, 1)
})

test('sends the appid when it has one', async (t) => {
  const { gateway, client } = setUp(t, { appid: 'wx1234567890abcdef', prefix: '/login/' })
  gateway.answers['/login/login'] = [json(200, { token: 'other', expires_in: 10 })]
  await client.request({ url: '/public' })
  assert.equal(gateway.requests[0].data.appid, 'wx1234567890abcdef')
})

test('many requests at once make one login and respect the limit of ten', async (t) => {
  const { gateway, wx, client } = setUp(t)
  const all = await Promise.all(Array.from({ length: 50 }, (_, i) => client.request({ url: '/' + i })))
  assert.ok(all.every((res) => res.statusCode === 200))
  assert.equal(logins(gateway), 1)
  assert.equal(wx.logins, 1)
  assert.ok(wx.most <= 10, `${wx.most} at once`)
})

test('slow requests leave room for a login', async (t) => {
  const { gateway, wx, client } = setUp(t)
  await client.request({ url: '/a' })
  gateway.hold.add('/slow')
  const slow = Array.from({ length: 12 }, () => track(client.request({ url: '/slow' })))
  await settle()
  const end = track(client.login())
  await settle()
  assert.ok(end.res, 'the login waits for slow requests')
  gateway.hold.clear()
  while (slow.some((s) => !s.res)) {
    gateway.release('/slow')
    await settle()
  }
  assert.ok(wx.most <= 10)
})

for (const error of ['login_required', 'session_expired', 'session_ended']) {
  test(`401 ${error} makes one login and one retry`, async (t) => {
    const { gateway, client } = setUp(t)
    await client.request({ url: '/a' })
    gateway.answers['/b'] = [refusal(401, error)]
    const res = await client.request({ url: '/b', method: 'POST', data: { x: 1 } })
    assert.equal(res.statusCode, 200)
    assert.equal(res.data.token, 'token-2')
    assert.equal(logins(gateway), 2)
    assert.equal(gateway.count('/b'), 2)
    assert.deepEqual(gateway.requests.at(-1).data, { x: 1 })
  })

  test(`401 ${error} for ever reaches the caller`, async (t) => {
    const { gateway, client } = setUp(t)
    gateway.answers['/b'] = Array.from({ length: 50 }, () => refusal(401, error))
    const res = await client.request({ url: '/b' })
    assert.equal(res.statusCode, 401)
    assert.equal(res.data.error, error)
    assert.equal(logins(gateway), 2)
    assert.equal(gateway.count('/b'), 2)
  })
}

test("a 401 of the app is the app's", async (t) => {
  const { gateway, client } = setUp(t)
  gateway.answers['/b'] = [json(401, { error: 'wrong_pin' }), json(401, 'no'), json(403, { error: 'login_required' })]
  for (const status of [401, 401, 403]) assert.equal((await client.request({ url: '/b' })).statusCode, status)
  assert.equal(logins(gateway), 1)
})

test('many 401s at once make one login', async (t) => {
  const { gateway, client } = setUp(t)
  await client.request({ url: '/a' })
  gateway.end('token-1')
  const all = await Promise.all(Array.from({ length: 20 }, () => client.request({ url: '/b' })))
  assert.ok(all.every((res) => res.statusCode === 200 && res.data.token === 'token-2'))
  assert.equal(logins(gateway), 2)
})

// A request is slow; meanwhile others found the session ended and logged in.
// Its late 401 is about the old token and must not cost the new one.
test('a late 401 of an older token neither logs in again nor drops the newer one', async (t) => {
  const { gateway, client } = setUp(t)
  await client.request({ url: '/a' })
  gateway.end('token-1')
  gateway.hold.add('/slow')
  const slow = track(client.request({ url: '/slow' }))
  await settle()
  await client.request({ url: '/b' })
  assert.equal(logins(gateway), 2)
  gateway.hold.clear()
  gateway.release('/slow')
  await settle()
  assert.equal(slow.res.data.token, 'token-2')
  assert.equal((await client.request({ url: '/c' })).data.token, 'token-2')
  assert.equal(logins(gateway), 2)
})

test('a 401 during a login joins it', async (t) => {
  const { gateway, client } = setUp(t)
  await client.request({ url: '/a' })
  gateway.end('token-1')
  gateway.hold.add('/slow')
  gateway.hold.add('/wechat/login')
  const slow = track(client.request({ url: '/slow' }))
  const quick = track(client.request({ url: '/b' }))
  await settle()
  gateway.hold.delete('/slow')
  gateway.release('/slow')
  await settle()
  assert.equal(logins(gateway), 2)
  gateway.hold.clear()
  gateway.release('/wechat/login')
  await settle()
  assert.equal(slow.res.data.token, 'token-2')
  assert.equal(quick.res.data.token, 'token-2')
  assert.equal(logins(gateway), 2)
})

// Both tokens are of one session, so its end is the end of the renewed one, too.
test('session_ended of an older token of the same session is believed', async (t) => {
  const { gateway, client, tick } = setUp(t)
  await client.request({ url: '/a' })
  gateway.answers['/slow'] = [refusal(401, 'session_ended')]
  gateway.hold.add('/slow')
  const slow = track(client.request({ url: '/slow', timeout: 2 * HOUR }))
  await settle()
  await tick(HOUR)
  await client.request({ url: '/b' })
  await settle()
  assert.equal(gateway.count('/wechat/renew'), 1)
  gateway.hold.clear()
  gateway.release('/slow')
  await settle()
  assert.equal(slow.res.data.token, 'token-3')
  assert.equal(gateway.count('/slow'), 2)
  assert.equal(logins(gateway), 2)
})

test('renews at half of expires_in, beside the requests', async (t) => {
  const { gateway, client, tick } = setUp(t)
  await client.request({ url: '/a' })
  await tick(HOUR - 1)
  await client.request({ url: '/b' })
  await settle()
  assert.equal(gateway.count('/wechat/renew'), 0)
  await tick(1)
  gateway.hold.add('/wechat/renew')
  const many = await Promise.all(Array.from({ length: 20 }, () => client.request({ url: '/c' })))
  assert.ok(
    many.every((res) => res.data.token === 'token-1'),
    'a request waited for the renewal'
  )
  assert.equal(gateway.count('/wechat/renew'), 1)
  gateway.hold.clear()
  gateway.release('/wechat/renew')
  await settle()
  assert.equal((await client.request({ url: '/d' })).data.token, 'token-2')
  assert.equal(logins(gateway), 1)
})

test('a renewal that is slower than a login does not replace its token', async (t) => {
  const { gateway, client, tick } = setUp(t)
  await client.request({ url: '/a' })
  await tick(HOUR)
  gateway.hold.add('/wechat/renew')
  await client.request({ url: '/b' }) // token-2 is on its way
  await client.login()
  assert.equal((await client.request({ url: '/c' })).data.token, 'token-3')
  gateway.hold.clear()
  gateway.release('/wechat/renew')
  await settle()
  assert.equal((await client.request({ url: '/d' })).data.token, 'token-3')
})

test('a refused renewal is a login at the next request', async (t) => {
  const { gateway, client, tick } = setUp(t)
  await client.request({ url: '/a' })
  await tick(HOUR)
  gateway.end('token-1')
  gateway.answers['/b'] = [json(200, {})]
  await client.request({ url: '/b' })
  await settle()
  assert.equal((await client.request({ url: '/c' })).data.token, 'token-2')
  assert.equal(gateway.count('/c'), 1)
})

test('a renewal that fails is tried again later, and not at every request', async (t) => {
  const { gateway, client, tick } = setUp(t)
  await client.request({ url: '/a' })
  await tick(HOUR)
  gateway.answers['/wechat/renew'] = [
    { lost: 'timeout' },
    json(503, { error: 'store_unavailable' }, { 'Retry-After': '300' })
  ]
  const round = async () => {
    await client.request({ url: '/b' })
    await settle()
  }
  await round()
  await round()
  assert.equal(gateway.count('/wechat/renew'), 1)
  await tick(60000)
  await round()
  assert.equal(gateway.count('/wechat/renew'), 2)
  await tick(299000)
  await round()
  assert.equal(gateway.count('/wechat/renew'), 2)
  await tick(1000)
  await round()
  await round()
  assert.equal(gateway.count('/wechat/renew'), 3)
  assert.equal(logins(gateway), 1)
})

// Near the end of a session a renewed token is no longer than the old one; half
// of less and less would be renewals without end.
test('the last token of a session is not renewed for ever', async (t) => {
  const { gateway, client, tick } = setUp(t)
  await client.request({ url: '/a' })
  await tick(HOUR)
  gateway.expiresIn = 3600
  for (let i = 0; i < 3600; i += 60) {
    await client.request({ url: '/b' })
    await tick(60 * 1000)
  }
  assert.equal(gateway.count('/wechat/renew'), 1)
  gateway.expiresIn = 7200
  await client.request({ url: '/b' })
  assert.equal(logins(gateway), 2)
})

test('a token past its end is not sent', async (t) => {
  const { gateway, client, tick } = setUp(t)
  await client.request({ url: '/a' })
  await tick(2 * HOUR)
  assert.equal((await client.request({ url: '/b' })).data.token, 'token-2')
  assert.equal(gateway.count('/b'), 1)
})

test('keeps the token in storage', async (t) => {
  const { gateway, wx, client, tick } = setUp(t)
  await client.request({ url: '/a' })
  const again = () => createClient({ baseURL: 'https://example.com', wx })
  assert.equal((await again().request({ url: '/b' })).data.token, 'token-1')
  await tick(HOUR)
  await again().request({ url: '/c' })
  await settle()
  assert.equal((await again().request({ url: '/d' })).data.token, 'token-2')
  assert.equal(wx.logins, 1)
  const elsewhere = createClient({ baseURL: 'https://other.example', wx })
  assert.equal((await elsewhere.request({ url: '/e' })).data.token, 'token-3')
  assert.equal(logins(gateway), 2)
})

test('works without storage', async (t) => {
  const { gateway, wx } = setUp(t)
  wx.getStorageSync =
    wx.setStorageSync =
    wx.removeStorageSync =
      () => {
        throw new Error('storage denied')
      }
  const client = createClient({ baseURL: 'https://example.com', wx })
  await client.request({ url: '/a' })
  await client.request({ url: '/b' })
  await client.logout()
  assert.equal(logins(gateway), 1)
})

test('storage that somebody else has written is no session', async (t) => {
  for (const saved of ['x', 7, { token: '' }, { token: 5, expiresAt: 9e15 }, { token: 'x' }, []]) {
    await t.test(JSON.stringify(saved), async (t) => {
      const { wx } = setUp(t)
      wx.getStorageSync = () => saved
      const client = createClient({ baseURL: 'https://example.com', wx })
      assert.equal((await client.request({ url: '/a' })).data.token, 'token-1')
    })
  }
})

test('guest requests carry no token and make no login', async (t) => {
  const { gateway, wx, client } = setUp(t)
  const res = await client.request({ url: '/public', guest: true, header: { Authorization: 'Basic eA==' } })
  assert.equal(res.statusCode, 200)
  assert.equal(gateway.requests[0].header.Authorization, 'Basic eA==')
  assert.equal((await client.request({ url: '/private', guest: true })).data.error, 'login_required')
  assert.equal(wx.logins, 0)
})

test('the token replaces an Authorization of any spelling', async (t) => {
  const { gateway, client } = setUp(t)
  const header = { authorization: 'Basic eA==', 'X-A': 'b' }
  await client.request({ url: '/a', header })
  assert.deepEqual(gateway.requests.at(-1).header, { 'X-A': 'b', Authorization: 'Bearer token-1' })
  assert.deepEqual(header, { authorization: 'Basic eA==', 'X-A': 'b' })
})

// Whoever gets the token is the user.
test('the token goes to the gateway only', async (t) => {
  const { gateway, wx, client } = setUp(t)
  for (const url of [
    'https://evil.example/a',
    'https://example.com.evil.example/',
    'https://example.com@evil.example/',
    'http://example.com/a',
    'a',
    '',
    undefined,
    null
  ]) {
    await assert.rejects(client.request({ url }), TypeError, String(url))
    await assert.rejects(client.connectSocket({ url }), TypeError, String(url))
  }
  assert.equal(gateway.seen.length, 0)
  assert.equal(wx.logins, 0)
  for (const baseURL of ['example.com', 'https://', 'https://u@example.com', 'https://example.com?x', undefined]) {
    assert.throws(() => createClient({ baseURL, wx }), TypeError, String(baseURL))
  }
})

test('single-page mode has no login, only guests', async (t) => {
  const { gateway, wx, client } = setUp(t)
  wx.scene = 1154
  assert.equal((await client.request({ url: '/public' })).statusCode, 200)
  const res = await client.request({ url: '/private' })
  assert.equal(res.statusCode, 401)
  await assert.rejects(client.login(), /single-page/)
  assert.equal(wx.logins, 0)
  assert.equal(logins(gateway), 0)
  wx.scene = 1001
  assert.equal((await client.request({ url: '/private' })).statusCode, 200)
})

test('old platforms know the scene of the launch only', async (t) => {
  const { wx, client } = setUp(t)
  delete wx.getEnterOptionsSync
  wx.getLaunchOptionsSync = () => ({ scene: 1154 })
  assert.equal((await client.request({ url: '/private' })).statusCode, 401)
  assert.equal(wx.logins, 0)
})

test('what the platform refuses reaches the caller as it is', async (t) => {
  const { client } = setUp(t)
  await assert.rejects(client.request({ url: '/a', method: 'PATCH' }), { errMsg: 'request:fail method is invalid' })
})

test('a request that got lost is not repeated', async (t) => {
  const { gateway, client } = setUp(t)
  gateway.answers['/a'] = [{ lost: 'timeout' }]
  await assert.rejects(client.request({ url: '/a' }), { errMsg: 'request:fail timeout' })
  assert.equal(gateway.count('/a'), 1)
})

test('callbacks are called as wx calls them', async (t) => {
  const { gateway, client } = setUp(t)
  gateway.answers['/lost'] = [{ lost: 'timeout' }]
  const calls = []
  const note = (name) => (res) => calls.push(name + ' ' + res.errMsg)
  const callbacks = { success: note('success'), fail: note('fail'), complete: note('complete') }
  client.request(Object.assign({ url: '/a' }, callbacks))
  await settle()
  client.request(Object.assign({ url: '/lost' }, callbacks))
  await settle()
  assert.deepEqual(calls, [
    'success request:ok',
    'complete request:ok',
    'fail request:fail timeout',
    'complete request:fail timeout'
  ])
})

test('abort works before, while and after a request is sent', async (t) => {
  const { gateway, client } = setUp(t)
  gateway.hold.add('/wechat/login')
  const early = client.request({ url: '/a' })
  const end = track(early)
  await settle()
  early.abort()
  await settle()
  assert.deepEqual(end.err, { errMsg: 'request:fail abort' })
  gateway.hold.clear()
  gateway.release('/wechat/login')
  await settle()
  assert.equal(gateway.count('/a'), 0)
  gateway.hold.add('/b')
  const sent = client.request({ url: '/b' })
  const sentEnd = track(sent)
  await settle()
  sent.abort()
  await settle()
  assert.deepEqual(sentEnd.err, { errMsg: 'request:fail abort' })
  const done = client.request({ url: '/c' })
  assert.equal((await done).statusCode, 200)
  done.abort()
})

test('listeners of the task hear the request once it is sent', async (t) => {
  const { client } = setUp(t)
  const heard = []
  const call = client.request({ url: '/a' })
  call.onHeadersReceived(() => heard.push('removed'))
  call.offHeadersReceived()
  call.onHeadersReceived((res) => heard.push(typeof res.header))
  await call
  assert.deepEqual(heard, ['object'])
})
