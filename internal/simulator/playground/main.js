// The page: its buttons, and what they do.
import { $, hush, make, page, remember, say, T } from './page.js'
import { appID, ask, client, newClient, newClients, saved, token, watch, who } from './phone.js'
import { explain, explainError, headersSeen, valueOf } from './reading.js'
import { call, drawForgeries, FORGERIES, forgetVerdicts, signedIn, use } from './forgeries.js'
import { drawStage, forgetStage, play } from './stage.js'
import { browse } from './browsers.js'
import { scan } from './scan.js'
import { drawTrace } from './trace.js'

const refusedLast = new Set() // of whom the gateway's last word was a refusal

watch(async (exchange) => {
  page.exchanges.unshift(exchange)
  page.exchanges.length = Math.min(page.exchanges.length, 40)
  draw()
  await play(exchange)
})

function draw() {
  const t = T()
  const { lang, state } = page
  document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en'
  document.title = t.title
  $('lang').textContent = t.other
  $('lang').lang = lang === 'zh' ? 'en' : 'zh-CN'
  for (const node of document.querySelectorAll('[data-t]')) node.textContent = t[node.dataset.t]
  for (const node of document.querySelectorAll('[data-label]')) {
    node.setAttribute('aria-label', t[node.dataset.label])
    if (node.id === 'name') node.placeholder = t.name
  }
  $('no-gateway').hidden = !!state.gateway
  for (const id of ['login', 'session', 'send', 'all', 'logout', 'kick', 'in-wechat', 'on-computer', 'all-ways', 'scan', 'show-picture']) $(id).disabled = !state.gateway
  $('open-site').hidden = !state.gateway
  $('open-site').href = state.gateway + '/'
  $('open-scan').hidden = !state.gateway
  $('open-scan').href = state.gateway + state.prefix + '/scan'
  const one = saved()
  const refused = refusedLast.has(who())
  $('chip').textContent = refused ? t.chipRefused : one.loggedOut ? t.chipOut : one.token ? t.chipIn : t.chipNone
  $('chip').className = refused ? 'chip bad' : one.token ? 'chip good' : 'chip'
  for (const option of $('known').options) option.textContent = option.value === '' ? t.anyCode : `${option.value} – ${t.codes[option.value]}`
  drawForgeries()
  drawTrace()
  drawStage()
}

function drawUsers() {
  const { state } = page
  $('users').replaceChildren(...state.users.map(({ name, unionid }) => {
    const radio = make('input', { type: 'radio', name: 'user', value: name, checked: name === page.user })
    radio.addEventListener('change', () => { page.user = name; forget(); draw() })
    return make('label', { className: 'pick' }, radio, make('bdi', { textContent: name }), make('small', { textContent: unionid ? T().withUnionid : T().withoutUnionid }))
  }))
  $('tools').replaceChildren(make('option', { value: '', textContent: T().nobody }), ...state.users.map(({ name }) => make('option', { value: name, textContent: name })))
  $('tools').value = state.developer_tools || ''
}

// forget clears what was found out about another user.
function forget() {
  hush()
  forgetVerdicts()
  forgetStage()
}

// act runs what a button does, says how it ended, and keeps two from running at
// once, which would mix their traces. What was said before is taken back at once:
// it is not about what happens now.
let busy = Promise.resolve()
function act(button, out, reason, work) {
  button.setAttribute('aria-busy', 'true')
  busy = busy.then(async () => {
    page.why = reason
    const subject = who()
    hush()
    say(out, T().waiting, 'wait')
    try {
      const [text, kind, refused] = await work()
      if (refused) refusedLast.add(subject)
      else if (refused === false) refusedLast.delete(subject)
      say(out, text, kind)
    } catch (err) {
      const [text, kind, refused] = explainError(err)
      if (refused) refusedLast.add(subject)
      say(out, text, kind)
    }
    await refresh()
    button.removeAttribute('aria-busy')
    draw()
    $(out).scrollIntoView({ block: 'nearest' }) // on a phone it may be below the button and the screen
  })
  return busy
}

// refresh asks how the gateway and the simulator are now.
async function refresh() {
  try {
    const { live, last_errcode } = await ask('state')
    Object.assign(page.state, { live, last_errcode })
  } catch { /* the strip stays as it was */ }
}

const label = (key) => () => T()[key]

$('code').addEventListener('click', () => act($('code'), 'out-end', () => 'wx.login()', async () => {
  const { code } = await ask('code', { user: page.user, appid: appID() })
  return [T().code(code), '']
}))
$('login').addEventListener('click', () => act($('login'), 'out-who', label('login'), async () => [T().loggedIn((await client().login()).expires_in), 'good', false]))
$('session').addEventListener('click', () => act($('session'), 'out-end', label('session'), async () => [T().left(await client().session()), 'good', false]))
$('add').addEventListener('submit', (event) => {
  event.preventDefault()
  act($('add'), 'out-users', label('add'), async () => {
    const name = $('name').value.trim()
    page.state.users = await ask('users', { name, unionid: $('unionid').checked })
    page.user = name
    forget()
    $('name').value = ''
    drawUsers()
    return [T().added_(name), 'good']
  })
})
$('call').addEventListener('submit', (event) => {
  event.preventDefault()
  act($('send'), 'out-call', label('send'), async () => {
    const guest = $('guest').checked
    const said = explain(await call({ method: $('method').value, guest }))
    return guest ? said.slice(0, 2) : said // a refusal of a guest is not about the user
  })
})
$('logout').addEventListener('click', () => act($('logout'), 'out-who', label('logout'), async () => {
  await client().logout()
  refusedLast.delete(who())
  return [T().loggedOut, '']
}))
$('kick').addEventListener('click', () => act($('kick'), 'out-end', label('kick'), async () => {
  await signedIn()
  const mine = token()
  for (let n = 1; n <= 20; n++) {
    await newClient(new Map()).login()
    const res = await use(mine, { url: page.state.prefix + '/session' })
    if (res.statusCode === 401) return [T().kicked(n), '']
  }
  return [T().notKicked(20), '']
}))
// The three ways in, and how each calls the app.
const WAYS = [
  ['miniProgram', () => client().request({ url: $('path').value })],
  ['inWechat', () => browse('wechat', $('path').value)],
  ['onComputer', () => browse('computer', $('path').value)]
]
for (const [id, way] of [['in-wechat', WAYS[1]], ['on-computer', WAYS[2]]]) {
  $(id).addEventListener('click', () => act($(id), 'out-ways', label(way[0]), async () => explain(await way[1]()).slice(0, 2)))
}
$('all-ways').addEventListener('click', () => act($('all-ways'), 'out-ways', label('allWays'), async () => {
  const seen = []
  for (const [key, call] of WAYS) {
    page.why = label(key)
    const res = await call()
    const headers = headersSeen(res)
    if (!headers || !valueOf(headers, 'x-openid')) return [T()[key] + ': ' + explain(res)[0], 'bad']
    seen.push({ way: T()[key], id: valueOf(headers, 'x-openid'), union: valueOf(headers, 'x-unionid') })
  }
  const unions = new Set(seen.map(({ union }) => union))
  return [T().waysSeen(seen, unions.size === 1 ? [...unions][0] : null), unions.size === 1 ? 'good' : 'bad']
}))
$('show-picture').addEventListener('click', () => act($('show-picture'), 'out-picture', label('picture'), async () => {
  const image = $('shown')
  image.hidden = true
  image.src = await client().signedURL('/picture.svg')
  try {
    await image.decode()
  } catch {
    return [T().pictureFailed, 'bad']
  }
  image.hidden = false
  image.alt = T().picture
  return [T().pictureShown, 'good']
}))
$('scan').addEventListener('click', () => act($('scan'), 'out-scan', label('scan'), () => scan(act)))
$('clear').addEventListener('click', () => { page.exchanges.length = 0; forgetStage(); draw() })
$('lang').addEventListener('click', () => {
  page.lang = page.lang === 'zh' ? 'en' : 'zh'
  remember('lang', page.lang)
  hush()
  drawUsers()
  draw()
})
$('app').addEventListener('change', () => { forget(); draw() })
$('known').addEventListener('change', () => { if ($('known').value) $('errcode').value = $('known').value })
$('errcode').addEventListener('input', () => { $('known').value = $('errcode').value in T().codes ? $('errcode').value : '' })
const setAnswer = (errcode, times, delay_ms) => act($('set'), 'out-wechat', label('wechat'), async () => {
  await ask('answer', { errcode, times, delay_ms })
  newClients() // they rest after a refusal, as they should; here somebody waits
  const rest = errcode === 0 && page.state.gateway ? page.state.wakes ? T().wakes : T().sleeps : ''
  return [T().willAnswer(errcode, times) + (delay_ms ? T().delayed(delay_ms) : '') + rest, '']
})
$('tools').addEventListener('change', () => act($('tools'), 'out-users', label('tools'), async () => {
  const name = $('tools').value
  page.state.developer_tools = (await ask('developer-tools', { user: name })).developer_tools
  return [T().toolsAre(name), '']
}))
$('path').addEventListener('input', () => { forgetVerdicts(); hush(); draw() })
$('answer').addEventListener('submit', (event) => {
  event.preventDefault()
  setAnswer(Number($('errcode').value), Number($('times').value), Number($('delay').value))
})
$('normal').addEventListener('click', () => setAnswer(0, 0, 0))

async function tryOne(forgery) {
  page.why = () => T().tries[forgery.key]
  forgery.result = null
  draw()
  const [verdict, text] = await forgery.run()
  forgery.result = verdict
  drawForgeries()
  return [text, { held: 'good', broken: 'bad' }[verdict] || '']
}

for (const forgery of FORGERIES) {
  forgery.button.addEventListener('click', () => act(forgery.button, 'out-' + forgery.key, label('forge'), () => tryOne(forgery)))
}
$('all').addEventListener('click', () => act($('all'), 'out-forge', label('all'), async () => {
  forgetVerdicts()
  draw()
  for (const forgery of FORGERIES) {
    await tryOne(forgery)
    say('out-' + forgery.key, '')
  }
  const failed = FORGERIES.filter((forgery) => forgery.result !== 'held').length
  return failed ? [T().someBroken(failed), 'bad'] : [T().allHeld(FORGERIES.length), 'good']
}))

for (const code of ['40226', '-1', '40029', '40163', '45011', '45009', '40013', '40125', '40164', '0', '']) $('known').append(make('option', { value: code }))
draw()
try {
  page.state = await ask('state')
  page.user = page.state.users[0].name
  for (const id of page.state.apps) $('app').append(make('option', { value: id, textContent: id }))
  $('app-row').hidden = page.state.apps.length < 2
  drawUsers()
  draw()
  document.body.dataset.ready = 'yes'
  if (new URLSearchParams(location.search).has('scene')) $('scan').click() // somebody followed a code
} catch (err) {
  say('out-who', ...explainError(err))
}
