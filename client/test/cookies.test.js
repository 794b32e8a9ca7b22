'use strict'
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { json, settle } = require('./fake')
const { setUp } = require('./setup')

const jars = import('../src/cookies.js')
const noStorage = { read: () => null, write() {} }

// The tests of RFC 6265's working group. Their clock stands in 2010.
test('cookies are kept and sent as in the tests of RFC 6265', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2010, 0, 1) })
  const { Jar } = await jars
  for (const { test: name, received, sent, 'sent-to': to } of require('./data/cookies.json')) {
    if (name.startsWith('DISABLED')) continue
    const base = 'http://home.example.org:8888'
    const jar = new Jar(noStorage)
    received.forEach((line) => jar.set(line, base + '/cookie-parser?' + name))
    const got = jar.header(new URL(to || '/cookie-parser-result?' + name, base).href)
    assert.equal(got, sent.map((cookie) => cookie.name + '=' + cookie.value).join('; '), name)
  }
})

test('dates are read as in the tests of RFC 6265', async () => {
  const { parseDate } = await jars
  for (const file of ['dates', 'dates-bsd']) {
    for (const { test: text, expected } of require(`./data/${file}.json`)) {
      const time = parseDate(text)
      assert.equal(time === undefined ? null : new Date(time).toUTCString(), expected, text)
    }
  }
})

const cookieOf = (gateway) => gateway.requests.at(-1).header.Cookie

test('apps that know their users by cookies get them back', async (t) => {
  const { gateway, client } = setUp(t, { cookies: true })
  gateway.answers['/shop/login'] = [
    json(
      200,
      {},
      {
        'Set-Cookie': 'sid=1; Path=/; HttpOnly; Expires=Wed, 21 Oct 2099 07:28:00 GMT, cart=a=b; Path=/shop, theme=dark'
      }
    )
  ]
  await client.request({ url: '/shop/login', method: 'POST' })
  await client.request({ url: '/shop/items' })
  assert.equal(cookieOf(gateway), 'cart=a=b; theme=dark; sid=1')
  await client.request({ url: '/news' })
  assert.equal(cookieOf(gateway), 'sid=1')
  gateway.answers['/news'] = [
    Object.assign(json(200, {}, { 'set-cookie': 'ignored=1' }), {
      cookies: ['sid=2; Path=/; Max-Age=60', 'sid=; Path=/shop; Max-Age=0']
    })
  ]
  await client.request({ url: '/news' })
  await client.uploadFile({ url: '/news', filePath: 'tmp://1', name: 'file' })
  assert.equal(cookieOf(gateway), 'sid=2')
  await client.downloadFile({ url: '/news', header: { cookie: 'own=1' } })
  assert.equal(gateway.requests.at(-1).header.cookie, 'own=1; sid=2')
  t.mock.timers.tick(60000)
  await client.request({ url: '/news' })
  assert.equal(cookieOf(gateway), undefined)
})

test('cookies are off by default', async (t) => {
  const { gateway, wx, client } = setUp(t)
  gateway.answers['/a'] = [json(200, {}, { 'Set-Cookie': 'sid=1; Max-Age=60' })]
  await client.request({ url: '/a' })
  await client.request({ url: '/b' })
  assert.equal(cookieOf(gateway), undefined)
  assert.equal(wx.storage.size, 1)
})

test('cookies with an end survive a restart, and reach another copy of the client', async (t) => {
  const { gateway, client, another } = setUp(t, { cookies: true })
  const other = another()
  gateway.answers['/a'] = [Object.assign(json(200, {}), { cookies: ['sid=1', 'kept=2; Max-Age=3600'] })]
  await client.request({ url: '/a' })
  await client.request({ url: '/b' })
  assert.equal(cookieOf(gateway), 'sid=1; kept=2')
  await another().request({ url: '/b' })
  assert.equal(cookieOf(gateway), 'kept=2')
  await other.request({ url: '/b' })
  assert.equal(cookieOf(gateway), 'kept=2')
})

// The app's cookies say who the user is. After a logout nobody is.
test('a logout, also of another copy, forgets the cookies', async (t) => {
  const { gateway, wx, client, another } = setUp(t, { cookies: true })
  const other = another()
  gateway.answers['/a'] = [Object.assign(json(200, {}), { cookies: ['sid=1', 'kept=2; Max-Age=3600'] })]
  await client.request({ url: '/a' })
  await other.logout()
  await client.request({ url: '/public' })
  assert.equal(cookieOf(gateway), undefined)
  assert.doesNotMatch([...wx.storage.values()].join(), /kept/)
})

test('a secure cookie is not sent over http, nor one of another server kept', async (t) => {
  const { Jar } = await jars
  t.mock.timers.enable({ apis: ['Date'], now: 1e12 })
  const jar = new Jar(noStorage)
  for (const line of [
    'a=1; Secure',
    '__Host-b=1; Secure; Path=/',
    '__Host-c=1; Path=/',
    '__Secure-d=1',
    'e=1; Domain=evil.example',
    'f=1; Domain=example.com',
    'g=' + 'x'.repeat(4096)
  ]) {
    jar.set(line, 'https://shop.example.com/')
  }
  assert.equal(jar.header('https://shop.example.com/'), 'a=1; __Host-b=1; f=1')
  assert.equal(jar.header('http://shop.example.com/'), 'f=1')
  for (let i = 0; i < 60; i++) jar.set('n' + i + '=1', 'https://shop.example.com/')
  assert.equal(jar.header('https://shop.example.com/').split('; ').length, 50)
})

test('sockets carry the cookies, too', async (t) => {
  const { gateway, wx, client } = setUp(t, { cookies: true })
  gateway.answers['/a'] = [json(200, {}, { 'Set-Cookie': 'sid=1' })]
  await client.request({ url: '/a' })
  await client.connectSocket({ url: '/ws' })
  await settle()
  assert.deepEqual(wx.sockets[0].header, { Authorization: 'Bearer token-1', Cookie: 'sid=1' })
})
