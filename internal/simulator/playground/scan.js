// The phone that scans the code of a desktop, and its user who picks the number.
import { $, make, T } from './page.js'
import { ask, client } from './phone.js'

// newestScene is what the address of this page says, which is what the code of the
// desktop leads to, or the code that was drawn last.
async function newestScene() {
  const scanned = new URLSearchParams(location.search).get('scene')
  if (scanned) history.replaceState(null, '', location.pathname) // each code is good once
  const { drawn } = await ask('state')
  return scanned || (drawn && drawn.scene)
}

// scan shows what asks, with a button for each number. act runs what a button does.
export async function scan(act) {
  const scene = await newestScene()
  if (!scene) return [T().noCode, '']
  const view = await client().scan.describe(scene)
  const answer = (name, decide) => {
    const button = make('button', { type: 'button', textContent: name })
    button.addEventListener('click', () => act(button, 'out-scan', () => T().scan, decide))
    return button
  }
  $('numbers').append(
    ...view.numbers.map((n) => answer(T().pick(n), async () => {
      await client().scan.approve(scene, n)
      return [T().approved, 'good']
    })),
    answer(T().deny, async () => {
      await client().scan.deny(scene)
      return [T().denied, '']
    })
  )
  return [T().asks(view), '']
}
